"""Owns the second-order cone program over a chosen list of patterns and signs, assembled for Clarabel in one go.

The program is that of theory/program.py in coordinates V of the data's row space (points U, (n, r), orthonormal columns), with
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


def _block_diagonal(blocks: Array) -> sp.csc_matrix:
    """(K, a, r) -> (K a, K r)."""
    k, a, r = blocks.shape
    rows = np.repeat(np.arange(k * a), r)
    columns = np.broadcast_to(r * np.arange(k)[:, None, None] + np.arange(r), blocks.shape).ravel()
    return sp.csc_matrix((blocks.ravel(), (rows, columns)), shape=(k * a, k * r))


def solve_master(u: Array, y: Array, signs: NDArray[np.int8], sides: Array, prices: Array, box: float) -> Master:
    """min sum_k c_k t_k + box |slack|_1  s.t.  sum_k side_k D_k U v_k + slack = y,  S_k U v_k >= 0,  ||D_k U v_k|| <= t_k.

    Args: u (n, r); y (n,); signs (K, n); sides (K,) of +-1; prices (K,). Clarabel is an interior-point method: of a face of
    optimal dual points it returns one near the middle, so that few more patterns look binding than are.
    """
    import clarabel

    (k, n), r = signs.shape, u.shape[1]
    on = signs > 0
    neurons, slack = k * r, 2 * n
    output = (sides[:, None, None] * on[:, :, None] * u).transpose(1, 0, 2).reshape(n, neurons)
    unit = u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), np.finfo(float).tiny)
    values, vectors = np.linalg.eigh(np.einsum("ki,ia,ib->kab", on.astype(float), u, u, optimize=True))
    root = np.sqrt(np.maximum(values, 0))[:, :, None] * vectors.transpose(0, 2, 1)  # ||root v|| = ||D U v||
    cone = np.concatenate([np.zeros((k, 1, r)), -root], axis=1)
    length = sp.csc_matrix((-np.ones(k), (np.arange(k) * (r + 1), np.arange(k))), shape=(k * (r + 1), k))
    identity = sp.identity(n)
    blocks: Any = [
        [sp.csc_matrix(output), None, sp.hstack([identity, -identity])],
        [-_block_diagonal(signs[:, :, None] * unit), None, None],
        [None, sp.csc_matrix((slack, k)), -sp.identity(slack)],
        [_block_diagonal(cone), length, None],
    ]
    rows = sp.bmat(blocks, format="csc")
    right = np.zeros(rows.shape[0])
    right[:n] = y
    cost = np.concatenate([np.zeros(neurons), prices, np.full(slack, box)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11  # it stops at "almost solved" where rounding does
    settings.max_threads = 1
    cones = [clarabel.ZeroConeT(n), clarabel.NonnegativeConeT(k * n + slack), *[clarabel.SecondOrderConeT(r + 1)] * k]
    quadratic = sp.csc_matrix((len(cost), len(cost)))
    solution = clarabel.DefaultSolver(quadratic, cost, rows, right, cones, settings).solve()
    x = np.array(solution.x)
    v, lengths = x[:neurons].reshape(k, r), x[neurons : neurons + k]
    return Master(-np.array(solution.z[:n]), v, lengths, float(np.abs(x[-slack:]).max()))
