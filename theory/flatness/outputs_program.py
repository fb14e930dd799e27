"""Owns the program of flattest networks with several outputs, in floating point: a bound by semidefinite programming, and networks.

f(x) = sum_j a_j relu(w_j . x), a_j in R^K. A neuron contributes (2/n)(|a|^2 t_D + K |Xw|_D^2) to the trace of the Hessian of
(1/n) sum_i |f(x_i) - y_i|^2 at interpolation, (4/n) sqrt(K t_D) |a| |Xw|_D at the best balance: a group norm, whose dual is

    maximize  <dual, Y>   subject to   |dual_D' X v| <= sqrt(K) c_D |X v|_D   for all patterns D and v with S_i x_i . v >= 0.

The constraint says that v' (K c_D^2 G_D - B B') v >= 0 on a cone, B = sum_{i in D} x_i dual_i', which is copositivity. It is implied by

    K c_D^2 G_D - B B' - sum_{k,l} N_kl r_k r_l'  positive semidefinite,  N >= 0,    r_k . v >= 0 on the cone,

a linear matrix inequality in dual and N (Schur); without N it is the relaxation by nuclear norms, which leaves the cones out
(Sahiner, Ergen, Pauly, Pilanci: Vector-output ReLU neural network problems are copositive programs, 2021).

What it proves: no network goes below, for any n, p and K. It is the least trace where such an N exists for every copositive form: in cells
of p <= 4 walls whose active samples span the space, as a form is then one of p variables >= 0, and copositive matrices of order 4 are a sum
of a semidefinite one and one with no negative entry (Diananda 1962); and in the plane (p = 2) always, where cones have two walls and those
of one active sample are rays for the form. Elsewhere it may be less: the certificate's gap, to a network, bounds by how much.
Networks come from neurons that a dual point prices highest, found by alternating between v and the direction of a, and weighed by a
second-order cone program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from flatproof.theory.flatness.linear_programs import vertex
from flatproof.theory.flatness.neurons import Array, NotRealized, Signs
from flatproof.theory.flatness.projection import factors, project
from flatproof.theory.flatness.rational import ONE, ZERO, Rationals, as_whole, dot, solve

Index = NDArray[np.intp]
MOST = 4  # samples off an on-set of which one inequality may be combined
STARTS = 6  # directions of a from which neurons are sought, besides those of the outputs
TURNS = 12  # steps of that search
ROUNDS = 30  # of pricing
SHORTEST = 1e-7  # neurons below this share of the longest are left out
NEARLY = 1e-7  # price ratio above 1 that is taken for 1
ENDINGS = ("Solved", "AlmostSolved", "InsufficientProgress", "MaxIterations")
ALIKE = 1e-7  # distance at which neurons of size 1 are one


@dataclass(frozen=True)
class OnSet:
    """One set D of active samples.

    Attributes:
        signs: 1 on D, -1 elsewhere, (n,).
        basis: of the span of the active samples, in which sum_{i in D} x_i x_i' is I, (p, r).
        forms: weights >= 0 of combinations of the S_i x_i, which are >= 0 on the cone, all in that span.
    """

    signs: Signs
    basis: Array
    forms: list[dict[int, Fraction]]

    @cached_property
    def table(self) -> Array:
        """The weights, (k, n)."""
        out = np.zeros((len(self.forms), len(self.signs)))
        for row, form in zip(out, self.forms, strict=True):
            for i, weight in form.items():
                row[i] = float(weight)
        return out

    @property
    def on(self) -> Array:
        """1 on D, 0 elsewhere."""
        return (self.signs > 0).astype(float)


@dataclass(frozen=True)
class Relaxed:
    """A solution: its dual point (n, K) and for each on-set N, (k, k), symmetric."""

    dual: Array
    products: list[Array]


def on_set(points: Array, exact: Sequence[Rationals], signs: Signs) -> OnSet:
    """An on-set with the inequalities that its cone is known by.

    Where the active samples span the space these are the S_i x_i, otherwise combinations of them without a part across the span: of at most
    MOST inactive ones.

    Args:
        points: (n, p).
        exact: the same in rational numbers.
        signs: -1 and 1, (n,).

    Returns:
        The on-set.
    """
    p = points.shape[1]
    active = points[signs > 0]
    values, directions = np.linalg.svd(active, full_matrices=False)[1:]
    rank = int(np.sum(values > 1e-10 * values.max(initial=0)))
    basis = directions[:rank].T / values[:rank]
    single = [{i: ONE} for i in distinct(signs[:, None] * points)]
    if rank == p:
        return OnSet(signs, basis, single)
    inside = [as_whole(exact[i]) for i in np.flatnonzero(signs > 0).tolist()]
    across = [z for k in range(p) if any(z := solve(inside, [ZERO] * len(inside), [Fraction(k == m) for m in range(p)]) or [])]
    forms = [form for form in single if signs[min(form)] > 0]
    off = [min(form) for form in single if signs[min(form)] < 0]
    parts = {i: [dot(z, exact[i]) for z in across] for i in off}
    for chosen in (c for size in range(1, MOST + 1) for c in combinations(off, size)):
        weights = _positive([parts[i] for i in chosen])
        if weights is not None:
            forms.append(dict(zip(chosen, weights, strict=True)))
    rows = OnSet(signs, basis, forms).table @ (signs[:, None] * points) @ basis
    return OnSet(signs, basis, [forms[k] for k in distinct(rows, np.abs(points @ basis).max())])


def distinct(rows: Array, size: float = 0.0) -> list[int]:
    """The first row on each ray; zero rows are left out, and those that are next to nothing beside a size."""
    length = np.linalg.norm(rows, axis=1)
    keys = np.round(rows / np.where(length > 0, length, 1)[:, None], 9) + 0.0
    first = np.unique(keys, axis=0, return_index=True)[1]
    return sorted(int(i) for i in first if length[i] > 1e-9 * size)


def _positive(rows: Sequence[Rationals]) -> Rationals | None:
    """Weights > 0, the largest 1, with which rows sum to 0, if they are the only ones up to a factor."""
    *others, last = [as_whole(row) for row in rows]
    columns = [list(column) for column in zip(*others, strict=True)] if others else [[] for _ in last]
    weights = solve(columns, [Fraction(-c) for c in last], [ZERO] * len(others))
    if weights is None or any(w <= 0 for w in weights):
        return None
    factors = [next((c / r for c, r in zip(as_whole(row), row, strict=True) if r), ONE) for row in rows]
    out = [w * f for w, f in zip([*weights, ONE], factors, strict=True)]
    return [w / max(out) for w in out]


def relaxed(points: Array, y: Array, sets: Sequence[OnSet], prices: Array, cones: bool = True) -> Relaxed:
    """The best dual point of the linear matrix inequalities.

    Args:
        points: (n, p).
        y: labels, (n, K).
        sets: every on-set.
        prices: sqrt(K) c_D of each, (M,).
        cones: whether N is used.

    Returns:
        The dual point and N, feasible up to the solver's accuracy.

    Raises:
        NotRealized: if the solver does not come to an optimum.
    """
    (n, _), outputs = points.shape, y.shape[1]
    if not y.any():
        return Relaxed(np.zeros_like(y), [np.zeros((len(case.forms),) * 2) for case in sets])
    unit = float(prices.max())
    size = float(np.abs(y).max()) or 1.0
    program = _Program(n * outputs)
    for case, price in zip(sets, prices / unit, strict=True):
        program.add(points, case, float(price), outputs, cones)
    solution = program.solve(-(y / size).ravel())
    products = [unit**2 * table for table in program.products(solution)]
    return Relaxed(solution[: n * outputs].reshape(n, outputs) * unit, products)


def largest(
    points: Array, y: Array, sets: Sequence[OnSet], prices: Array, most: float, query: Array, gains: Sequence[Array | None]
) -> tuple[Relaxed, float]:
    """The best bound <dual, Y> + tau U on direction . f(q) over networks that interpolate at a cost of at most U.

    Args:
        points: (n, p).
        y: labels, (n, K).
        sets: every on-set, the query among its points as the last, twice: on each side, or for each end of what a neuron has there.
        prices: sqrt(K) c_D of each, (M,).
        most: U.
        query: q, (p,).
        gains: of each, what B is lessened by, (p, K), in the span of the active samples; None for nothing.

    Returns:
        The dual point with N, and tau.

    Raises:
        NotRealized: if the solver does not come to an optimum.
    """
    (n, _), outputs = points.shape, y.shape[1]
    program = _Program(n * outputs + 1)
    for case, price, gain in zip(sets, prices, gains, strict=True):
        program.add(np.vstack([points, query]), case, float(price), outputs, True, gain, tau=n * outputs)
    solution = program.solve(np.append(y.ravel(), most))
    return Relaxed(solution[: n * outputs].reshape(n, outputs), program.products(solution)), float(solution[n * outputs])


class _Program:
    """Linear matrix inequalities, one an on-set, [[tau I, B'], [B, tau price^2 G - sum N r r']] >= 0, for clarabel."""

    def __init__(self, variables: int) -> None:
        self.count = variables
        self.rows, self.columns, self.values, self.right = list[int](), list[int](), list[float](), list[float]()
        self.sizes, self.pairs = list[int](), list[tuple[int, list[tuple[int, int]], Array]]()

    def add(
        self,
        points: Array,
        case: OnSet,
        price: float,
        outputs: int,
        cones: bool,
        gain: Array | None = None,
        tau: int | None = None,
    ) -> None:
        """One on-set; with `gain` B = sum_D x_i dual_i' - gain, with the number of a variable for tau, which is 1 otherwise."""
        seen = points @ case.basis
        r = seen.shape[1]
        on = case.on[: len(points)] if tau is None else np.append(case.on[:-1], 0.0)
        gram = price**2 * (seen * on[:, None]).T @ seen
        size = outputs + r
        lower = [(i, j) for j in range(size) for i in range(j + 1)]
        at, first = {pair: k for k, pair in enumerate(lower)}, len(self.right)
        fixed = np.zeros((size, size))
        fixed[:outputs, :outputs], fixed[outputs:, outputs:] = np.eye(outputs), gram
        self.right += [0.0] * len(lower)
        for (i, j), row in at.items():
            if fixed[i, j]:
                self._entry(first + row, tau, -fixed[i, j] * (1 if i == j else np.sqrt(2)))
        for i in np.flatnonzero(on).tolist():
            for k in range(outputs):
                for c in range(r):
                    self._entry(first + at[k, outputs + c], i * outputs + k, -np.sqrt(2) * seen[i, c])
        if gain is not None:
            moved = case.basis.T @ gain
            for k in range(outputs):
                for c in range(r):
                    self.right[first + at[k, outputs + c]] -= np.sqrt(2) * moved[c, k]
        forms = case.table @ (case.signs[:, None] * seen)
        length = np.linalg.norm(forms, axis=1)
        forms /= length[:, None]
        pairs = [(k, m) for k in range(len(forms)) for m in range(k, len(forms))] if cones else []
        self.pairs.append((self.count, pairs, length))
        for k, m in pairs:
            both = (np.outer(forms[k], forms[m]) + np.outer(forms[m], forms[k])) / 2
            for a in range(r):
                for b in range(a, r):
                    self._entry(first + at[outputs + a, outputs + b], self.count, both[a, b] * (1 if a == b else np.sqrt(2)))
            self.count += 1
        self.sizes.append(size)

    def _entry(self, row: int, column: int | None, value: float) -> None:
        """A coefficient, or without a column a right-hand side."""
        if column is None:
            self.right[row] -= value
        elif value:
            self.rows.append(row)
            self.columns.append(column)
            self.values.append(value)

    def products(self, solution: Array) -> list[Array]:
        """N of each on-set."""
        out = list[Array]()
        for start, pairs, length in self.pairs:
            table = np.zeros((len(length),) * 2)
            for value, (k, m) in zip(solution[start:], pairs, strict=False):
                table[k, m] = table[m, k] = max(float(value), 0.0) / (length[k] * length[m]) / (1 if k == m else 2)
            out.append(table)
        return out

    def solve(self, cost: Array) -> Array:
        """The minimum of cost . (the first variables)."""
        import clarabel

        free = [k for start, pairs, _ in self.pairs for k in range(start, start + len(pairs))]
        shape = (len(self.right), self.count)
        matrix: Any = sp.csc_matrix((self.values, (self.rows, self.columns)), shape=shape)
        bounds: Any = sp.csc_matrix((-np.ones(len(free)), (range(len(free)), free)), shape=(len(free), self.count))
        cones = [clarabel.PSDTriangleConeT(size) for size in self.sizes]
        if free:
            matrix, cones = sp.vstack([matrix, bounds]), [*cones, clarabel.NonnegativeConeT(len(free))]
        right = np.concatenate([self.right, np.zeros(len(free))])
        whole = np.concatenate([cost, np.zeros(self.count - len(cost))])
        solution = clarabel.DefaultSolver(
            sp.csc_matrix((self.count, self.count)), whole, matrix.tocsc(), right, cones, _quiet()
        ).solve()
        out = np.array(solution.x)
        if not np.isfinite(out).all() or str(solution.status) not in ENDINGS:  # what it proves is made exact elsewhere
            raise NotRealized(f"the semidefinite program of {len(self.sizes)} on-sets is {solution.status}")
        return out


def _quiet() -> Any:
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    return settings


def network(points: Array, y: Array, signs: Signs, prices: Array, dual: Array, seed: int = 0) -> tuple[Array, Index, Array]:
    """Neurons that interpolate, as flat as alternating search finds them.

    Args:
        points: (n, p).
        y: labels, (n, K).
        signs: every on-set, -1 and 1, (M, n).
        prices: sqrt(K) c_D of each, (M,).
        dual: a dual point to start from, (n, K).
        seed: of the directions that the search starts from.

    Returns:
        v (J, p) with |D X v| = 1, the on-sets that they are in (J,), and a (J, K).
    """
    rng, factor = np.random.default_rng(seed), factors(points, signs)
    v: Array = np.zeros((0, points.shape[1]))
    index: Index = np.zeros(0, np.intp)
    best: Array = np.zeros((0, y.shape[1]))
    if not y.any():
        return v, index, best
    for _ in range(ROUNDS):
        found, at, ratio = _priced(points, signs, prices, dual, factor, rng)
        fresh = ratio > 1 - (1e-3 if not len(v) else -NEARLY)
        if len(v) and not fresh.any():
            break
        if not len(v):
            fresh[:] = True
        v, index = _merged(np.vstack([v, found[fresh]]), np.concatenate([index, at[fresh]]))
        best, dual = weighed(outputs_of(points, signs, v, index), y, prices[index])
    kept = np.flatnonzero(np.linalg.norm(best, axis=1) > SHORTEST * np.linalg.norm(best, axis=1).max(initial=0))
    v, index, best = few(points, y, signs, prices, v[kept], index[kept], best[kept])
    return np.array([_inside(points, signs[k], row) for k, row in zip(index, v, strict=True)]), index, best


def _inside(points: Array, signs: Signs, v: Array) -> Array:
    """A neuron with the same activations on D that is in the cone: where D does not span the space, the projection may have left it."""
    active, off = points[signs > 0], points[signs < 0]
    if np.linalg.matrix_rank(active, tol=1e-10 * float(np.abs(active).max())) == points.shape[1]:
        return v
    reach = 10 * float(np.abs(v).max())
    found = linprog(off.sum(axis=0), A_ub=off, b_ub=np.zeros(len(off)), A_eq=active, b_eq=active @ v, bounds=(-reach, reach))
    return v if found.x is None else np.asarray(found.x)


def few(points: Array, y: Array, signs: Signs, prices: Array, v: Array, index: Index, a: Array) -> tuple[Array, Index, Array]:
    """At most n K of the neurons, with their directions of a and the same outputs, no dearer: a vertex of a linear program."""
    unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    columns = np.einsum("nj,jk->nkj", outputs_of(points, signs, v, index), unit).reshape(y.size, len(a))
    length = np.linalg.norm(columns, axis=0)
    aimed = columns @ np.linalg.norm(a, axis=1)  # Y but for what the solver leaves
    found = vertex(columns / length, prices[index] / length, aimed, 1e-9 * float(np.abs(y).max()))
    if found is None:
        return v, index, a
    chosen = np.flatnonzero(found > 0)
    return v[chosen], index[chosen], (found / length)[chosen, None] * unit[chosen]


def outputs_of(points: Array, signs: Signs, v: Array, index: Index) -> Array:
    """D X v of each neuron as columns, (n, J)."""
    return ((signs[index] > 0) * (v @ points.T)).T


def _priced(points: Array, signs: Signs, prices: Array, dual: Array, factor: Array, rng: Any) -> tuple[Array, Index, Array]:
    """Neurons of locally largest |dual_D' X v| / |X v|_D on every pattern, their patterns, and these over the prices."""
    outputs = dual.shape[1]
    starts = np.vstack([np.eye(outputs), -np.eye(outputs), rng.standard_normal((STARTS, outputs))])
    neurons, places, ratios = list[Array](), list[Index](), list[Array]()
    for start in starts:
        b = np.tile(start / np.linalg.norm(start), (len(signs), 1))
        for _ in range(TURNS):
            v, _, _ = project(points, signs, b @ dual.T, factor=factor)
            u = np.maximum((signs > 0) * (v @ points.T), 0)
            turned = u @ dual
            size = np.linalg.norm(turned, axis=1, keepdims=True)
            b = np.where(size > 0, turned / np.where(size > 0, size, 1), b)
        norm = np.linalg.norm(u, axis=1, keepdims=True)
        live = norm[:, 0] > 1e-9 * norm.max(initial=0)
        norm = norm[live]
        neurons.append(v[live] / norm)
        places.append(np.flatnonzero(live))
        ratios.append(size[live, 0] / norm[:, 0] / prices[live])
    v, index, ratio = np.vstack(neurons), np.concatenate(places), np.concatenate(ratios)
    order = np.argsort(-ratio, kind="stable")
    return v[order], index[order], ratio[order]


def _merged(v: Array, index: Index) -> tuple[Array, Index]:
    """The first of neurons that are alike."""
    size = np.abs(v).max(axis=1, keepdims=True)
    keys = np.column_stack([index, np.round(v / size / ALIKE)])
    first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
    return v[first], index[first]


def weighed(columns: Array, y: Array, prices: Array) -> tuple[Array, Array]:
    """The a of least sum_j price_j |column_j| |a_j| with sum_j column_j a_j' = Y, and the dual point.

    Args:
        columns: (n, J).
        y: (n, K).
        prices: (J,).

    Returns:
        a (J, K) and the dual point (n, K).

    Raises:
        NotRealized: if the solver does not come to an optimum.
    """
    import clarabel

    (n, count), outputs = columns.shape, y.shape[1]
    cost = prices * np.linalg.norm(columns, axis=0)
    columns, size = columns / cost, float(np.abs(y).max()) or 1.0
    equal: Any = sp.hstack([sp.csc_matrix((n * outputs, count)), sp.kron(sp.csc_matrix(columns), sp.identity(outputs))])
    place = np.arange(count)
    lengths = sp.csc_matrix((-np.ones(count), (place * (outputs + 1), place)), shape=(count * (outputs + 1), count))
    rest = (place[:, None] * (outputs + 1) + 1 + np.arange(outputs)).ravel()
    vectors = sp.csc_matrix(
        (-np.ones(count * outputs), (rest, np.arange(count * outputs))), shape=(count * (outputs + 1), count * outputs)
    )
    matrix: Any = sp.vstack([equal, sp.hstack([lengths, vectors])])
    right = np.concatenate([(y / size).ravel(), np.zeros(count * (outputs + 1))])
    cones = [clarabel.ZeroConeT(n * outputs), *[clarabel.SecondOrderConeT(outputs + 1)] * count]
    whole = np.concatenate([np.ones(count), np.zeros(count * outputs)])
    settings = _quiet()
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    solution = clarabel.DefaultSolver(
        sp.csc_matrix((len(whole), len(whole))), whole, matrix.tocsc(), right, cones, settings
    ).solve()
    x, z = np.array(solution.x), np.array(solution.z)
    if not np.isfinite(x).all() or str(solution.status) not in ENDINGS:
        raise NotRealized(f"the program of {count} neurons is {solution.status}")
    return x[count:].reshape(count, outputs) * size / cost[:, None], -z[: n * outputs].reshape(n, outputs)
