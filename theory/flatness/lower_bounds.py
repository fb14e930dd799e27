"""Owns lower bounds of the flattest trace that need no list of activation patterns.

`relaxed_bound`, a theorem. By Cauchy-Schwarz sqrt(t_D) ||u|| >= sum_i ||x_i|| u_i (for "sim-bn" ||u|| >= q . u if |q| <= 1), so
    it is enough to bound the sum of these over the neurons of both signs. lambda . y does if for both signs s

        sum_i beta_i relu(x_i . w) >= 0 for all w,     beta_i = ||x_i|| - s lambda_i.

    A point inside the cone of others cannot be seen without seeing them: if gamma_i x_i = sum_j c_ij x_j with c >= 0, then
    gamma_i relu(x_i . w) <= sum_j c_ij relu(x_j . w). So sum_i c_ij <= beta_j + gamma_j for all j proves the condition, with beta_i < 0,
    that is |lambda_i| > ||x_i||, where others pay for it. Where points surround the origin (never with a bias), more is known: as
    relu(z) = (|z| + z) / 2 the condition reads sum_i beta_i |x_i . w| >= |m . w|, m = sum_i beta_i x_i, which expansions in both directions
    prove: gamma_i x_i = sum_j c_ij x_j, m = sum_j c_0j x_j with c of any sign and sum_i |c_ij| <= beta_j + gamma_j.
    The best lambda solves a linear program in about 4 n^2 coefficients (a cone program for "sim-bn"). The solver's expansions are
    mended until they hold to rounding, and lambda is shortened for what they then exceed their budget by.

`block_bound` is another: by Cauchy-Schwarz over the blocks of a partition of the samples, costs add up, so that
T*(all) >= sum_b |S_b| / n T*(S_b), each block's trace being certified by `flattest`. Blocks of one sample give trace_lower_bound.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from flatproof.theory.flatness.flattest import flattest
from flatproof.theory.flatness.linear_programs import least_combination
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import Architecture, with_ones

WRITTEN = 400_000  # n^2 r of a program that is written down in a second, at the least


def relaxed_bound(x: ArrayLike, y: ArrayLike, architecture: str = "no-bias") -> tuple[float, Array]:
    """A number that no interpolating network's trace goes below, never less than theory.trace_lower_bound but for rounding.

    Proved by expansions of points in each other (see the module); both notions at kinks obey it. Time and memory grow like n^2 r^2 in
    r = rank of the points: seconds for n = 100, r = 30.

    Args:
        x: inputs, (n, d).
        y: real labels, (n,).
        architecture: "no-bias", "bias" or "sim-bn".

    Returns:
        The bound, and the point lambda (n,) behind it: bound = lambda . y.

    Raises:
        ValueError: for NaN, shapes, unknown names.
    """
    return relaxed_dual(Setting.of(x, y, architecture))


def relaxed_dual(setting: Setting, seconds: float = np.inf) -> tuple[float, Array]:
    """`relaxed_bound` of a problem, the same for both notions at kinks; what the solver has after some seconds, or the bound sample by
    sample where its program would take too long to write down.
    """
    kind, points, labels, top = setting.architecture, setting.x, setting.y, setting.top
    u = setting.coordinates.u
    live = np.linalg.norm(u, axis=1) > 0  # a point at the origin is never seen
    rows = u[live]
    simple = sample_dual(kind, points, labels)
    if top == 0:
        return 0.0, np.zeros(len(labels))
    if len(rows) ** 2 * rows.shape[1] > WRITTEN * seconds:
        return float(simple @ labels), simple
    length = np.linalg.norm(with_ones(kind, points[live]), axis=1)
    size = float(length.max())
    even = kind == "no-bias" and bool(np.isfinite(least_combination(rows, -rows.sum(axis=0))).all())  # they surround the origin
    budgets, small, expansions = _relaxation(rows, labels[live] / top, None if kind == "sim-bn" else length / size, even, seconds)
    proved = np.zeros(len(labels))
    factor = 4 / np.sqrt(len(labels)) if kind == "sim-bn" else 4 * size / len(labels)
    proved[live] = factor * _mended(rows, budgets, small, expansions, even)
    return max(((float(dual @ labels), dual) for dual in (simple, proved)), key=lambda pair: pair[0])


def block_bound(
    x: ArrayLike, y: ArrayLike, blocks: Sequence[Sequence[int]], architecture: str = "no-bias", kinks: str = "differentiable"
) -> float:
    """sum_b |S_b| / n T*(S_b) over disjoint blocks of samples, a lower bound of T* for "no-bias" and "bias".

    Args:
        x: inputs, (n, d).
        y: real labels, (n,).
        blocks: rows of each block, whose cells must be few enough for theory.flattest.
        architecture: "no-bias" or "bias".
        kinks: "differentiable" or "relu'(0)=0".

    Returns:
        The bound.

    Raises:
        ValueError: for blocks that overlap, and for "sim-bn", whose prices do not add up over blocks.
    """
    setting = Setting.of(x, y, architecture, kinks)
    if setting.architecture == "sim-bn":
        raise ValueError('architecture must be no-bias or bias, got "sim-bn": its prices do not add up over blocks')
    index = [i for block in blocks for i in block]
    if len(set(index)) < len(index):
        raise ValueError("blocks must be disjoint")
    return sum(
        len(block) / len(setting.y) * flattest(setting.x[list(block)], setting.y[list(block)], architecture, kinks).lower_bound
        for block in blocks
    )


def sample_dual(kind: Architecture, points: Array, y: Array) -> Array:
    """The dual point behind theory.trace_lower_bound.

    Args:
        kind: "no-bias", "bias" or "sim-bn".
        points: inputs, (n, d).
        y: labels, (n,).

    Returns:
        lambda, (n,).
    """
    if kind != "sim-bn":
        return 4 / len(y) * np.linalg.norm(with_ones(kind, points), axis=1) * np.sign(y)
    parts = [np.maximum(side * y, 0) for side in (1, -1)]
    up, down = (part / (np.linalg.norm(part) or 1.0) for part in parts)
    return 4 / np.sqrt(len(y)) * (up - down)


def _relaxation(u: Array, y: Array, lengths: Array | None, even: bool, seconds: float = np.inf) -> tuple[Array, Array, Array]:
    """The program whose dual is sought: for the neurons w of one sign, h_j = sum of relu(w . u_j), W_i = sum of those with w . u_i > 0.

        min sum_{s,j} length_j a_sj   s.t.  a_s = h_s >= 0,  a_+ - a_- = y,  W_si . u_i = h_si,  W_si . u_j <= h_sj  for i, j = 1, .., n

    If `even`, h_j = sum of |w . u_j|, W_i = sum of w sign(w . u_i), W_0 = sum of w, a_s = (h_s + U W_s0) / 2 and |W_si . u_j| <= h_sj for
    i = 0, .., n. Without lengths: min ||a_+|| + ||a_-||. Returns budgets (2, n), lambda (n,) and expansions c (2, n or n + 1, n), as the
    solver has them.
    """
    import clarabel

    n, r = u.shape
    k = n + even
    identity: Any = sp.identity(n)
    both: Any = sp.identity(2 * n)
    row: Any = sp.csc_matrix(u)
    inner = sp.kron(sp.identity(2 * k), row)
    reach = sp.kron(sp.identity(2), sp.kron(np.ones((k, 1)), identity))
    own = sp.block_diag([point[None] for point in u])
    active = sp.hstack([sp.csc_matrix((2 * n, 2 * k * r)), both])
    if even:
        own = sp.hstack([sp.csc_matrix((n, r)), own])
        active = sp.hstack([sp.kron(sp.identity(2), sp.hstack([row, sp.csc_matrix((n, n * r))])), both]) / 2
    difference = sp.hstack([identity, -identity])
    other = sp.hstack([-inner, -reach]) if even else sp.hstack([sp.csc_matrix((2 * n, 2 * k * r)), -both])
    rows = [difference @ active, sp.hstack([sp.kron(sp.identity(2), own), -both]), sp.hstack([inner, -reach]), other]
    matrix: Any = sp.vstack(rows)
    equal = 3 * n
    cones = [clarabel.ZeroConeT(equal), clarabel.NonnegativeConeT(matrix.shape[0] - equal)]
    right = np.zeros(matrix.shape[0])
    right[:n] = y
    if lengths is None:
        sums: Any = sp.identity(2)
        units = sp.kron(sums, sp.csc_matrix(([-1.0], ([0], [0])), shape=(n + 1, 1)))
        parts = sp.kron(sums, sp.vstack([sp.csc_matrix((1, n)), identity])) @ active
        matrix = sp.bmat([[matrix, None], [-parts, units]])
        cones += [clarabel.SecondOrderConeT(n + 1)] * 2
        right = np.concatenate([right, np.zeros(2 * (n + 1))])
        cost = np.concatenate([np.zeros(active.shape[1]), np.ones(2)])
    else:
        cost = active.T @ np.concatenate([lengths, lengths])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.time_limit = seconds
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    quadratic = sp.csc_matrix((len(cost), len(cost)))
    z = np.array(clarabel.DefaultSolver(quadratic, cost, matrix.tocsc(), right, cones, settings).solve().z)
    z = np.where(np.isfinite(z), z, 0.0)
    expansions = z[equal:][: 2 * k * n].reshape(2, k, n)
    if even:
        expansions = 2 * (expansions - z[equal:][2 * k * n :][: 2 * k * n].reshape(2, k, n))
        expansions[:, 0] *= -1
    if lengths is not None:
        return np.vstack([lengths, lengths]), -z[:n], expansions
    budgets = np.maximum(-z[-2 * (n + 1) :].reshape(2, n + 1)[:, 1:], 0)
    return budgets / np.maximum(1, np.linalg.norm(budgets, axis=1, keepdims=True)), -z[:n], expansions


def _mended(u: Array, budgets: Array, dual: Array, expansions: Array, even: bool) -> Array:
    """The multiple of lambda that the expansions prove feasible once they hold to rounding.

    With theta lambda for lambda, beta gains (1 - theta) budget, which makes up for coefficients that exceed their budget by up to
    delta, where sum_i beta_i relu(x_i . w) >= -sum_j delta_j relu(x_j . w). If `even`, it is >= -sum_j delta_j |x_j . w| / 2, which is
    -sum_j delta_j relu(x_j . w) + e . w / 2 with e = sum_j delta_j x_j; and -e = sum_j kappa_j x_j for some kappa >= 0, as the points
    surround the origin, so that e . w >= -sum_j kappa_j relu(x_j . w).
    """
    share = 1.0
    for side, budget, c in zip((1, -1), budgets, expansions, strict=True):
        beta = budget - side * dual
        own = c[1:] if even else np.maximum(c, 0)
        gamma = np.maximum(np.einsum("ij,jk,ik->i", own, u, u, optimize=True) / np.sum(u**2, axis=1), 0)
        gamma[gamma < 1e-9 * gamma.max(initial=0)] = 0
        own = np.where(gamma[:, None] > 0, own, 0)
        if even:
            whole = np.vstack([c[:1], own])
            targets = np.vstack([beta @ u, gamma[:, None] * u])
            for _ in range(2):
                whole = whole + (targets - whole @ u) @ u.T  # U has orthonormal columns
            over = np.maximum(np.abs(whole).sum(axis=0) - beta - gamma, 0)
            over = over + least_combination(u, -(over @ u)) / 2
        else:
            own = np.array([_nonnegative(u, row, g * point) for row, g, point in zip(own, gamma, u, strict=True)])
            gamma = np.where(own.any(axis=1), gamma, 0)
            over = np.maximum(own.sum(axis=0) - beta - gamma, 0)
        with np.errstate(divide="ignore"):
            excess = np.max(np.divide(over, budget, out=np.zeros_like(over), where=over > 0))
        share = min(share, 1 / (1 + float(excess)))
    return share * dual


def _nonnegative(u: Array, c: Array, target: Array) -> Array:
    """Coefficients c >= 0 moved so that c @ U = target to rounding; zeros if they are not found nearby."""
    size = float(np.linalg.norm(target))
    free = c > 0
    for _ in range(30):
        missing = target - c @ u
        if np.linalg.norm(missing) <= 1e-14 * max(size, float(c.max(initial=0))):
            return c
        c = c.copy()
        c[free] += np.linalg.lstsq(u[free].T, missing, rcond=1e-10)[0]
        free &= c > 0
        c[~free] = 0
    return np.zeros_like(c)
