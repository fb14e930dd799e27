"""Owns the second-order cone program over a chosen list of patterns and signs, assembled for Clarabel in one go.

The program is that of program.py in coordinates V of the data's row space (points U, (n, r), orthonormal columns), with
slack on the interpolation constraint at the price `box`, so that any list of patterns is feasible and the dual point lies in a box.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Master:
    """Solution of the restricted program: dual point (n,), neurons v (K, r), their ||D U v|| (K,), and the largest slack used."""

    dual: Array
    v: Array
    lengths: Array
    slack: float


def frame(active: Array, off: Array) -> tuple[Array, int]:
    """Coordinates in which a neuron's cone is round: v = W z.

    Args:
        active: points on the pattern's positive side, (k, r).
        off: the others, (m, r).

    Returns:
        W (r, r) and the rank q: ||active @ W z|| = ||z[:q]||, and the rest of z moves only the points in `off`, at most by 1 each.
    """
    _, s, vt = np.linalg.svd(active, full_matrices=True)
    rank = int(np.sum(s > 1e-9 * s[0]))
    scale = np.ones(len(vt))
    scale[:rank] = s[:rank]
    if rank < len(vt) and len(off):
        scale[rank:] = np.maximum(np.abs(off @ vt[rank:].T).max(axis=0), 1e-9)
    return vt.T / scale, rank


def solve_master(u: Array, y: Array, signs: NDArray[np.int8], sides: Array, prices: Array, box: float) -> Master:
    """min sum_k c_k t_k + box |slack|_1  s.t.  sum_k side_k D_k U v_k + slack = y,  S_k U v_k >= 0,  ||D_k U v_k|| <= t_k.

    Each neuron has coordinates of its own, v_k = W_k z_k / c_k, in which its cone is round and its cost 1. Clarabel is an interior-point
    method: of a face of optimal dual points it returns one near the middle, so that few more patterns look binding than are.

    Args:
        u: points, (n, r).
        y: labels, (n,).
        signs: patterns, (K, n).
        sides: the outputs' signs, +-1, (K,).
        prices: c, (K,).
        box: price of slack.

    Returns:
        The solution.
    """
    import clarabel

    (k, n), r = signs.shape, u.shape[1]
    live = u.any(axis=1)
    frames = [frame(u[sign > 0], u[(sign <= 0) & live]) for sign in signs]
    maps = np.array([w / price for (w, _), price in zip(frames, prices, strict=True)])
    ranks = [rank for _, rank in frames]
    z = np.einsum("ia,kab->kib", u, maps)  # pre-activations of the samples, (K, n, r)
    output = (sides[:, None, None] * (signs > 0)[:, :, None] * z).transpose(1, 0, 2).reshape(n, k * r)
    inside = signs[:, live, None] * z[:, live]
    size = np.abs(inside).max(axis=2, keepdims=True)
    inside = inside / np.where(size > 0, size, 1)
    cones = np.zeros((k, r + 1, r))
    cones[:, 1:, :] = -np.eye(r) / prices[:, None, None]
    kept = np.concatenate([np.arange(r + 1) <= rank for rank in ranks])
    lengths = sp.csc_matrix((-1 / prices, (np.arange(k) * (r + 1), np.arange(k))), shape=(k * (r + 1), k))
    slack, identity = 2 * n, sp.identity(n)
    blocks: Any = [
        [sp.csc_matrix(output), None, sp.hstack([identity, -identity])],
        [-block_diagonal(inside), None, None],
        [None, sp.csc_matrix((slack, k)), -sp.identity(slack)],
        [sp.csr_matrix(block_diagonal(cones))[kept], sp.csr_matrix(lengths)[kept], None],
    ]
    rows = sp.bmat(blocks, format="csc")
    right = np.zeros(rows.shape[0])
    right[:n] = y
    cost = np.concatenate([np.zeros(k * r), np.ones(k), np.full(slack, box)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11  # it stops at "almost solved" where rounding does
    settings.max_threads = 1
    kinds = [
        clarabel.ZeroConeT(n),
        clarabel.NonnegativeConeT(inside.shape[0] * inside.shape[1] + slack),
        *[clarabel.SecondOrderConeT(rank + 1) for rank in ranks],
    ]
    quadratic = sp.csc_matrix((len(cost), len(cost)))
    solution = clarabel.DefaultSolver(quadratic, cost, rows, right, kinds, settings).solve()
    x = np.array(solution.x)
    v = np.einsum("kab,kb->ka", maps, x[: k * r].reshape(k, r))
    return Master(-np.array(solution.z[:n]), v, x[k * r : k * r + k] / prices, float(np.abs(x[-slack:]).max()))


def block_diagonal(blocks: Array) -> sp.csc_matrix:
    """(K, a, r) -> (K a, K r)."""
    k, a, r = blocks.shape
    rows = np.repeat(np.arange(k * a), r)
    columns = np.broadcast_to(r * np.arange(k)[:, None, None] + np.arange(r), blocks.shape).ravel()
    return sp.csc_matrix((blocks.ravel(), (rows, columns)), shape=(k * a, k * r))
