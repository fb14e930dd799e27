"""Owns cone programs in which every pattern has its variables: objectives and fits that column_generation.py does not know.

A neuron of pattern D with v = |a| w costs c_D |v|_D, c_D = (4/n) sqrt(h_D), |v|_D^2 = v' M_D v (objectives.py), and the least value is

    min sum_{D, +-} c_D |v_{D,+-}|_D   s.t.  sum_D D X (v_{D,+} - v_{D,-}) = y - r,   S_D X v_{D,+-} >= 0,   r within the tolerance.

With a budget it is the limit U in place of the aim, and the largest prediction at a point q is sought, cells being cut in two by q.

The largest eigenvalue is the largest <P, K> over P >= 0 of trace 1, and K is linear in the measure over neurons: the program's dual is

    max lambda . y   s.t.  (2/n) (a^2 h_D + w' M_D w) >= a (s X_D' lambda + sum_i S_i mu_i x_i) . w  for all a, w, D, s;  mu >= 0,  P >= 0

with M_D and h_D linear in P: semidefinite, a small block a pattern and sign, whose multiplier is a neuron [[a^2, v'], [v, w w']].
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from flatproof.theory.flatness.neurons import Array, NotRealized, Signs
from flatproof.theory.flatness.objectives import Objective, Tolerance, metrics

SEEN = 1e-12  # of the largest eigenvalue of M_D: smaller ones are 0
ROOT2 = float(np.sqrt(2))


@dataclass(frozen=True)
class Wanted:
    """What is to be solved.

    Attributes:
        points: with the constant appended where there is a bias, (n, p).
        y: labels, (n,).
        signs: patterns, entries -1 and 1, (M, n).
        objective: what is minimized; tolerance: how well networks fit.
        metric: P, (n, n), where the objective has the largest eigenvalue and P is chosen; None otherwise.
    """

    points: Array
    y: Array
    signs: Signs
    objective: Objective
    tolerance: Tolerance
    metric: Array | None = None

    def metrics(self) -> tuple[Array, Array]:
        """M_D (M, p, p) and h_D (M,)."""
        return metrics(self.points, self.signs > 0, self.objective, self.metric)


@dataclass(frozen=True)
class Solved:
    """A solution.

    Attributes:
        value: the least value, or the largest prediction.
        dual: lambda, (n,); tau: of the budget, 0 without one.
        v: neurons |a| w (K, p) with their patterns (K,), output signs +-1 (K,) and a (K,), NaN where the best a follows from v.
        missed: r = y - f(x), (n,).
        metric: P, (n, n), where it was sought.
    """

    value: float
    dual: Array
    v: Array
    pattern: NDArray[np.intp]
    sides: Array
    a: Array
    missed: Array
    tau: float = 0.0
    metric: Array | None = None


def least(wanted: Wanted) -> Solved:
    """The least value of the objective; where that has the largest eigenvalue, with the P that gives the best bound.

    Args:
        wanted: the problem.

    Returns:
        The solution.

    Raises:
        NotRealized: if the solver fails.
    """
    if wanted.objective.lambda_max and wanted.metric is None:
        return _semidefinite(wanted)
    return _second_order(wanted)


def extreme(wanted: Wanted, q: Array, end: int, most: float) -> Solved:
    """The largest end * f(q) over networks of value at most `most`.

    Args:
        wanted: the problem.
        q: a point, with the constant appended where there is a bias, (p,).
        end: 1 or -1.
        most: the budget.

    Returns:
        The solution; its value is end * f(q).

    Raises:
        NotRealized: if the solver fails.
    """
    return _second_order(wanted, q, end, most)


def _second_order(wanted: Wanted, q: Array | None = None, end: int = 1, most: float = np.inf) -> Solved:
    points, signs, y = wanted.points, wanted.signs, wanted.y
    import clarabel

    (n, p), m = points.shape, len(signs)
    halves = (1.0,) if q is None else (1.0, -1.0)
    pattern = np.tile(np.arange(m), 2 * len(halves))
    sides = np.repeat([1.0, -1.0], m * len(halves))
    half = np.tile(np.repeat(halves, m), 2)
    matrices, heads = wanted.metrics()
    values, vectors = np.linalg.eigh(matrices)
    seen = values > SEEN * np.maximum(values[:, -1:], np.finfo(float).tiny)
    prices = 4 / n * np.sqrt(heads)
    k, exact = len(pattern), wanted.tolerance.exact
    misses = 0 if exact else n
    columns = k * p + k + misses

    def rows_of(blocks: Array) -> sp.csc_matrix:
        """Dense rows on each neuron's own coordinates, (K, a, p) -> (K a, columns)."""
        many = blocks.shape[1]
        at = np.repeat(np.arange(k * many), p)
        places = np.broadcast_to(p * np.arange(k)[:, None, None] + np.arange(p), blocks.shape).ravel()
        return sp.csc_matrix((blocks.ravel(), (at, places)), shape=(k * many, columns))

    on = signs[pattern] > 0
    output = (sides[:, None, None] * on[:, :, None] * points).transpose(1, 0, 2).reshape(n, k * p)
    fit = sp.hstack([sp.csc_matrix(output), sp.csc_matrix((n, k)), sp.identity(n) if not exact else sp.csc_matrix((n, 0))])
    parts: list[Any] = [fit]
    right: list[Any] = [y]
    kinds: list[Any] = [clarabel.ZeroConeT(n)]
    live = points.any(axis=1)
    inside: list[Any] = [-(signs[pattern][:, live, None] * points[live])]
    if q is not None:
        inside.append(-(half[:, None, None] * q))
    walls = rows_of(np.concatenate(inside, axis=1))
    parts.append(walls)
    right.append(np.zeros(walls.shape[0]))
    kinds.append(clarabel.NonnegativeConeT(walls.shape[0]))
    lengths = sp.hstack([sp.csc_matrix((1, k * p)), sp.csc_matrix(np.ones((1, k))), sp.csc_matrix((1, misses))])
    cost = np.asarray(lengths.todense()).ravel()
    gain = np.zeros(columns)
    if q is not None:
        gain[: k * p] = (end * sides * (half > 0))[:, None].repeat(p, 1).ravel() * np.tile(q, k)
        parts.append(lengths / most)
        right.append(np.ones(1))
        kinds.append(clarabel.NonnegativeConeT(1))
        cost = -gain
    if not exact:
        own = sp.hstack([sp.csc_matrix((n, k * p + k)), sp.identity(n)])
        if wanted.tolerance.mean_square:
            parts.append(sp.vstack([sp.csc_matrix((1, columns)), -own]))
            right.append(np.append(np.sqrt(n * wanted.tolerance.mean_square), np.zeros(n)))
            kinds.append(clarabel.SecondOrderConeT(n + 1))
        else:
            parts += [own, -own]
            right += [np.full(2 * n, wanted.tolerance.each)]
            kinds.append(clarabel.NonnegativeConeT(2 * n))
    roots = np.sqrt(np.where(seen, values, 0))[:, :, None] * vectors.transpose(0, 2, 1) * prices[:, None, None]
    cones = np.concatenate([np.zeros((m, 1, p)), -roots], axis=1)[pattern]
    heads_at = sp.csc_matrix((-np.ones(k), (np.arange(k) * (p + 1), k * p + np.arange(k))), shape=(k * (p + 1), columns))
    kept = np.concatenate([np.ones((k, 1), bool), seen[pattern]], axis=1)
    parts.append(sp.csr_matrix(rows_of(cones) + heads_at)[kept.ravel()])
    right.append(np.zeros(int(kept.sum())))
    kinds += [clarabel.SecondOrderConeT(int(count)) for count in kept.sum(axis=1)]
    x, z = _clarabel(cost, sp.vstack(parts, format="csc"), np.concatenate(right), kinds)
    v = x[: k * p].reshape(k, p)
    missed = np.zeros(n) if exact else x[k * p + k :]
    sign = -1.0 if q is None else 1.0
    tau = 0.0 if q is None else float(z[n + walls.shape[0]]) / most
    value = float(cost @ x) if q is None else float(gain @ x)
    return Solved(value, sign * z[:n], v, pattern, sides, np.full(k, np.nan), missed, tau, wanted.metric)


def _semidefinite(wanted: Wanted) -> Solved:
    """The program in lambda, P and mu; what it says of neurons stands in the multipliers of its blocks."""
    import clarabel

    points, y = wanted.points, wanted.y
    active = np.flatnonzero((wanted.signs > 0).any(axis=1))
    signs = wanted.signs[active]
    (n, p), m = points.shape, len(signs)
    pairs, block = _triangle(n), _triangle(p + 1)
    scale = np.where(pairs[0] == pairs[1], 1.0, ROOT2)
    rows, columns, values, right = list[Any](), list[Any](), list[Any](), list[Any]()
    first_mu = n + len(scale)
    variables, height = first_mu + 2 * m * n, 0

    def put(matrix: Any, b: Array, at: Any) -> None:
        """Rows of constraints: a small matrix on the columns `at`."""
        nonlocal height
        entries = sp.coo_matrix(matrix)
        rows.append(entries.row + height)
        columns.append(np.asarray(at)[entries.col])
        values.append(entries.data)
        right.append(b)
        height += len(b)

    put(-(pairs[0] == pairs[1]).astype(float)[None], np.array([-wanted.objective.lambda_max]), np.arange(n, first_mu))
    put(-sp.identity(2 * m * n), np.zeros(2 * m * n), np.arange(first_mu, variables))
    put(-sp.diags(scale), np.zeros(len(scale)), np.arange(n, first_mu))
    start = height
    weights = np.where(block[0] == block[1], 1.0, ROOT2)
    bare, heads = metrics(points, signs > 0, wanted.objective, None)
    products = points[pairs[0]][:, :, None] * points[pairs[1]][:, None, :]
    products = (products + products.transpose(0, 2, 1)) * np.where(pairs[0] == pairs[1], 0.5, 1.0)[:, None, None]
    inner = np.trace(products, axis1=1, axis2=2)
    for k, row in enumerate(signs):
        seen = (row[pairs[0]] > 0) & (row[pairs[1]] > 0)
        whole = np.zeros((p + 1, p + 1, len(scale)))
        whole[0, 0], whole[1:, 1:] = inner * seen, products.transpose(1, 2, 0) * seen
        fixed = np.zeros((p + 1, p + 1))
        fixed[0, 0], fixed[1:, 1:] = heads[k], bare[k]
        of_metric, constant = -2 / n * weights[:, None] * whole[block], 2 / n * weights * fixed[block]
        for side, s in enumerate((1.0, -1.0)):
            linear = np.zeros((p + 1, p + 1, 2 * n))
            linear[0, 1:, :n] = s * (points * (row > 0)[:, None]).T / 2
            linear[0, 1:, n:] = (points * row[:, None]).T / 2
            at = np.concatenate([np.arange(n), first_mu + (2 * k + side) * n + np.arange(n), np.arange(n, first_mu)])
            put(np.hstack([weights[:, None] * linear[block], of_metric]), constant, at)
    matrix = sp.csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(height, variables))
    kinds: list[Any] = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(2 * m * n), clarabel.PSDTriangleConeT(n)]
    kinds += [clarabel.PSDTriangleConeT(p + 1)] * (2 * m)
    cost = np.append(-y, np.zeros(variables - n))
    x, z = _clarabel(cost, matrix, np.concatenate(right), kinds)
    metric = np.zeros((n, n))
    metric[pairs] = metric[pairs[::-1]] = x[n:first_mu]
    neurons = z[start:].reshape(2 * m, len(weights)) / weights
    a = np.sqrt(np.maximum(neurons[:, 0], 0))
    v = neurons[:, np.flatnonzero((block[0] == 0) & (block[1] > 0))]
    return Solved(float(y @ x[:n]), x[:n], v, np.repeat(active, 2), np.tile([1.0, -1.0], m), a, np.zeros(n), metric=metric)


def _triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the upper triangle, a column after the other, as Clarabel counts them."""
    columns, rows = np.tril_indices(size)
    return rows, columns


def _clarabel(cost: Array, matrix: Any, right: Array, kinds: list[Any]) -> tuple[Array, Array]:
    """The solution and the multipliers; NotRealized if there are none."""
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11  # it stops at "almost solved" where rounding does
    settings.max_threads = 1
    quadratic = sp.csc_matrix((len(cost), len(cost)))
    solution = clarabel.DefaultSolver(quadratic, cost, matrix, right, kinds, settings).solve()
    x, z = np.array(solution.x), np.array(solution.z)
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise NotRealized(f"the cone program was not solved: {solution.status}")
    return x, z
