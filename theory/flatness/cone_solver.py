"""Owns the second-order cone program over a chosen list of patterns and signs, assembled for Clarabel in one go.

The program is that of program.py in coordinates V of the data's row space (points U, (n, r), orthonormal columns), with
slack on the interpolation constraint at the price `box`, so that any list of patterns is feasible and the dual point lies in a box.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from flatproof.theory.flatness.neurons import Array, OutOfTime

LEAST = 0.1  # seconds that a program has


@dataclass(frozen=True)
class Master:
    """Solution of the restricted program: dual point (n,), neurons v (K, r), their ||D U v|| (K,), and the largest slack used."""

    dual: Array
    v: Array
    lengths: Array
    slack: float


def frames(u: Array, signs: NDArray[np.int8]) -> tuple[Array, NDArray[np.intp]]:
    """Coordinates in which each neuron's cone is round: v = W z.

    Args:
        u: points, (n, r).
        signs: patterns, (K, n).

    Returns:
        W (K, r, r) and ranks q (K,): the length of the activations is ||z[:q]||, and the rest of z moves only inactive points, at most
        by 1 each.
    """
    on = signs > 0
    few = np.zeros((len(signs), max(0, u.shape[1] - len(u)), u.shape[1]))
    _, s, vt = np.linalg.svd(np.concatenate([on[:, :, None] * u, few], axis=1), full_matrices=False)
    seen = s > 1e-9 * s[:, :1]
    scale = np.where(seen, s, 1.0)
    for k in np.flatnonzero(~seen.all(axis=1) & ~on.all(axis=1)):
        scale[k, ~seen[k]] = np.maximum(np.abs(u[~on[k]] @ vt[k, ~seen[k]].T).max(axis=0), 1e-9)
    return vt.transpose(0, 2, 1) / scale[:, None, :], seen.sum(axis=1)


def solve_master(
    u: Array,
    y: Array,
    signs: NDArray[np.int8],
    sides: Array,
    prices: Array,
    box: float,
    walls: NDArray[np.int64] | None = None,
    end: float = np.inf,
) -> Master:
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
        walls: the points that bound each cell, padded with -1, (K, most): the only constraints then.
        end: the time (of `monotonic`) when it has to end, about.

    Returns:
        The solution.

    Raises:
        OutOfTime: if it is not solved then.
    """
    import clarabel

    (k, n), r = signs.shape, u.shape[1]
    live = u.any(axis=1)
    maps, ranks = frames(u, signs)
    maps = maps / prices[:, None, None]
    z = np.einsum("ia,kab->kib", u, maps)  # pre-activations of the samples, (K, n, r)
    output = (sides[:, None, None] * (signs > 0)[:, :, None] * z).transpose(1, 0, 2).reshape(n, k * r)
    bounding = np.tile(np.flatnonzero(live), (k, 1)) if walls is None else walls
    neuron, place = np.nonzero(bounding >= 0)
    sample = bounding[neuron, place]
    inside = signs[neuron, sample, None] * z[neuron, sample]
    size = np.abs(inside).max(axis=1, keepdims=True)
    inside = inside / np.where(size > 0, size, 1)
    columns = r * neuron[:, None] + np.arange(r)
    constraints = sp.csc_matrix(
        (inside.ravel(), (np.repeat(np.arange(len(neuron)), r), columns.ravel())), shape=(len(neuron), k * r)
    )
    cones = np.zeros((k, r + 1, r))
    cones[:, 1:, :] = -np.eye(r) / prices[:, None, None]
    kept = np.concatenate([np.arange(r + 1) <= rank for rank in ranks])
    lengths = sp.csc_matrix((-1 / prices, (np.arange(k) * (r + 1), np.arange(k))), shape=(k * (r + 1), k))
    slack, identity = 2 * n, sp.identity(n)
    blocks: Any = [
        [sp.csc_matrix(output), None, sp.hstack([identity, -identity])],
        [-constraints, None, None],
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
    settings.time_limit = max(LEAST, end - monotonic())
    kinds = [
        clarabel.ZeroConeT(n),
        clarabel.NonnegativeConeT(len(neuron) + slack),
        *[clarabel.SecondOrderConeT(rank + 1) for rank in ranks.tolist()],
    ]
    quadratic = sp.csc_matrix((len(cost), len(cost)))
    solution = clarabel.DefaultSolver(quadratic, cost, rows, right, kinds, settings).solve()
    if solution.status == clarabel.SolverStatus.MaxTime:
        raise OutOfTime(f"a cone program of {k:,} neurons was not solved in {settings.time_limit:.3g} s")
    x = np.array(solution.x)
    v = np.einsum("kab,kb->ka", maps, x[: k * r].reshape(k, r))
    return Master(-np.array(solution.z[:n]), v, x[k * r : k * r + k] / prices, float(np.abs(x[-slack:]).max()))


def block_diagonal(blocks: Array) -> sp.csc_matrix:
    """(K, a, r) -> (K a, K r)."""
    k, a, r = blocks.shape
    rows = np.repeat(np.arange(k * a), r)
    columns = np.broadcast_to(r * np.arange(k)[:, None, None] + np.arange(r), blocks.shape).ravel()
    return sp.csc_matrix((blocks.ravel(), (rows, columns)), shape=(k * a, k * r))
