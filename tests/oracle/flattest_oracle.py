"""Owns an independent answer to: what do all networks within a factor 1 + eps of the flattest predict at a point q?

No code of `theory` is used. A neuron (side, v) adds side relu(v . x) to f(x); with D = {i : v . x_i > 0} it costs c_D ||D X v||,

    c_D = (4/n) sqrt(sum_{i in D} ||x_i||^2)  ("no-bias", "bias": a column of ones is appended),    c_D = 4 / sqrt(n)  ("sim-bn").

T is the least total cost of neurons that interpolate y; the range at q is over networks of cost at most (1 + eps) T. Parameters are
differentiable: v lies in the closure of a full-dimensional cell and costs what the cell costs. All cells of the points (of points and
query for the range) are listed by exact arithmetic (arrangement.py), and each is written as what its rays generate, v = sum_k mu_k g_k
with mu >= 0: inside exactly, however thin the cell, and each column D X g_k is scaled to length 1.

Three steps, each of which can fail to be tight but not to be true:
    Clarabel solves the cone program over all cells and both sides (cone_program.py).
    Its directions and multipliers start a column generation with linear programs; a least-distance problem prices every cell.
    inner: the linear program's network, made to interpolate in rational arithmetic and shown there to cost at most (1 + eps) T_lower.
    outer: lambda . y + tau (1 + eps) T_upper, with tau raised until no cell violates the dual.
So [inner_low, inner_high] is contained in the true range, and that in [outer_low, outer_high], up to SAFETY in the outer one.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, isqrt, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import qr
from scipy.optimize import linprog

from tests.oracle.arrangement import Arrangement, echelon, rational, solve
from tests.oracle.cone_program import Array, Block, blocks_of, solve_cone_program

ROUNDS, PATIENCE = 100, 10
SAFETY = 4e-15  # relative to the sizes of the terms: what float64 may have lost in a sum of at most 12
Point = tuple[Array, float]  # multipliers of the labels and of the budget
WAYS = (("highs-ds", True, 1e-10), ("highs-ds", False, 1e-10), ("highs-ipm", True, 1e-10), ("highs-ds", False, 1e-7))


class Infeasible(ValueError):
    """No network of the architecture fits the labels."""


class OracleFailed(ArithmeticError):
    """The oracle has no answer; this says nothing about the data."""


@dataclass(frozen=True)
class Neuron:
    """weight * relu(v . x) with exact v (p,), seen as a limit from inside the cell whose on-set is `on`."""

    weight: Fraction
    v: tuple[Fraction, ...]
    on: tuple[bool, ...]


@dataclass(frozen=True)
class Bracket:
    """What is certain about one query: the true range contains `inner` and is contained in `outer`.

    Attributes:
        inner, outer: (low, high); infinite where the query is outside the cone of the data.
        least: an interval that T is in.
        networks: exact networks at the two ends of `inner`, empty where infinite.
    """

    inner: tuple[float, float]
    outer: tuple[float, float]
    least: tuple[float, float]
    networks: tuple[list[Neuron], ...] = field(default=(), repr=False)


@dataclass
class Column:
    """An unsigned neuron of length ||D X v|| = 1, v = sum_k mu_k g_k over the rays of its block."""

    block: Block
    mu: Array
    out: Array
    at_query: float


def column(block: Block, mu: Array) -> Column:
    """The neuron along mu, scaled to length 1."""
    mu = np.maximum(mu, 0)
    out = block.d @ mu
    length = float(np.linalg.norm(out))
    return Column(block, mu / length, out / length, float(block.at_query @ mu) / length)


def root_above(value: Fraction) -> Fraction:
    """A rational number at least sqrt(value), within about 2^-100 of it."""
    shift = 1 << 200
    return Fraction(isqrt(value.numerator * shift // value.denominator) + 1, 1 << 100)


class Oracle:
    """All flattest and nearly flattest networks of one data set.

    Args: x (n, d), not all zero; y (n,); architecture "no-bias", "bias" or "sim-bn"; solve False only checks that the labels can be
    fitted. Floats are read as the decimals they print as.
    Errors: Infeasible; OracleFailed.
    """

    def __init__(self, x: ArrayLike, y: ArrayLike, architecture: str, solve: bool = True):
        self.architecture = architecture
        self.points = [self.extended(row) for row in np.asarray(x, float).tolist()]
        self.y = [rational(b) for b in np.asarray(y, float).tolist()]
        self.n, self.top = len(self.y), max(map(abs, self.y)) or Fraction(1)
        self.targets = [b / self.top for b in self.y]
        self.labels = np.array([float(b) for b in self.targets])
        self.squares = [sum((a * a for a in row), Fraction(0)) for row in self.points]
        self.geometry = Arrangement.of(self.points)
        self.blocks = blocks_of(self.geometry, self.price, self.n)
        self.units = [column(b, unit) for b in self.blocks for unit in np.eye(len(b.rays))]
        self._check_feasible()
        self.multipliers = np.zeros(self.n)
        self.least, self.columns, self.network = self._least() if solve else ((0.0, inf), [], [])

    def extended(self, row: Sequence[float]) -> tuple[Fraction, ...]:
        """A point as the first layer sees it, exactly."""
        exact = tuple(rational(a) for a in row)
        return exact if self.architecture == "no-bias" else (*exact, Fraction(1))

    def square_price(self, on: Sequence[bool]) -> Fraction:
        """c_D^2, exactly."""
        if self.architecture == "sim-bn":
            return Fraction(16, self.n)
        return Fraction(16, self.n**2) * sum((s for s, active in zip(self.squares, on, strict=True) if active), Fraction(0))

    def price(self, on: Sequence[bool]) -> float:
        return sqrt(self.square_price(on))

    # --- exact networks -----------------------------------------------------------------------------------------------------------

    def neuron(self, c: Column) -> tuple[Neuron, list[Fraction]]:
        """The neuron of a column in exact numbers, and its outputs on the samples."""
        weights = [Fraction(a) for a in (c.mu * c.block.scale).tolist()]
        v = [Fraction(0)] * len(self.points[0])
        for w, k in zip(weights, c.block.rays.tolist(), strict=True):
            for j, g in zip(c.block.geometry.columns, c.block.geometry.rays[k], strict=True):
                v[j] += w * g
        on = np.zeros(self.n, bool)
        on[c.block.on] = True
        exact = Neuron(Fraction(1), tuple(v), tuple(on.tolist()))
        return exact, self.outputs(exact)

    def outputs(self, neuron: Neuron) -> list[Fraction]:
        """weight * relu(v . x_i), checking that v is in the closure of a cell with this on-set."""
        z = [sum((a * b for a, b in zip(x, neuron.v, strict=True)), Fraction(0)) for x in self.points]
        assert all((a >= 0) if active else (a <= 0) for a, active in zip(z, neuron.on, strict=True)), "outside its cell"
        return [neuron.weight * max(a, Fraction(0)) for a in z]

    def cost(self, network: Sequence[Neuron]) -> Fraction:
        """An upper bound of the total cost, exact up to 1e-30; OracleFailed unless the network interpolates exactly."""
        total, f = Fraction(0), [Fraction(0)] * self.n
        for neuron in network:
            out = self.outputs(neuron)
            f = [a + b for a, b in zip(f, out, strict=True)]
            total += root_above(self.square_price(neuron.on) * sum((a * a for a in out), Fraction(0)))
        if f != self.y:
            raise OracleFailed("the network does not interpolate")
        return total

    def value(self, network: Sequence[Neuron], q: Sequence[float]) -> Fraction:
        """f(q), exactly."""
        point = self.extended(q)
        inner = [sum((a * b for a, b in zip(point, neuron.v, strict=True)), Fraction(0)) for neuron in network]
        return sum((neuron.weight * max(z, Fraction(0)) for neuron, z in zip(network, inner, strict=True)), Fraction(0))

    def exact_network(self, columns: Sequence[Column], weights: Array) -> list[Neuron]:
        """The network sum_k weights_k columns_k, with the weights of independent columns solved for again so that it interpolates exactly.

        Columns that matter most are solved for first; single rays of the data's cells fill up what they do not span.
        """
        used = np.flatnonzero(np.abs(weights) > 1e-13 * np.abs(weights).max(initial=0.0))
        largest = float(np.abs(weights).max(initial=0.0)) or 1.0
        exact = [(*self.neuron(columns[k]), float(weights[k])) for k in used]
        rank = [columns[k].out * (abs(float(weights[k])) / largest + 1e-7) for k in used] + [c.out * 1e-9 for c in self.units]
        order = qr(np.array(rank).T, mode="r", pivoting=True)[1].tolist()[: self.n]
        basis = [exact[k] if k < len(exact) else (*self.neuron(self.units[k - len(exact)]), 0.0) for k in order]
        fixed = [exact[k] for k in range(len(exact)) if k not in order]
        rest = list(self.targets)
        for _, out, w in fixed:
            rest = [a - Fraction(w) * b for a, b in zip(rest, out, strict=True)]
        z = solve([list(row) for row in zip(*(out for _, out, _ in basis), strict=True)], rest)
        if z is None:
            raise OracleFailed("independent columns do not span the labels")
        network = [(neuron, Fraction(w)) for neuron, _, w in fixed] + [(b[0], a) for b, a in zip(basis, z, strict=True)]
        return [Neuron(w * self.top, neuron.v, neuron.on) for neuron, w in network if w != 0]

    # --- the least trace ------------------------------------------------------------------------------------------------------------

    def _least(self) -> tuple[tuple[float, float], list[Column], list[Neuron]]:
        """T within an interval, the columns that the cheapest networks are made of, and an exact network at its upper end."""
        if not any(self.y):
            return (0.0, 0.0), [], []
        solution = solve_cone_program(self.blocks, self.labels, 0, 0.0)
        likely = [c for c in self.units if abs(solution.multipliers @ c.out) > 0.5 * c.block.price]
        pivots = qr(np.array([c.out for c in self.units]).T, mode="r", pivoting=True)[1][: self.n]
        columns = likely + [self.units[k] for k in pivots] + directions(self.blocks, solution.mu)
        weights, lower, columns, self.multipliers = self._generate(
            self.blocks, columns, (solution.multipliers, 1.0), 0, (0.0, 0.0), 1e-11
        )
        if not len(weights):
            raise OracleFailed("the linear program of the least cost was not solved")
        network = self.exact_network(columns, weights)
        upper = float(self.cost(network)) * (1 + 1e-15)
        kept = [c for c, w in zip(columns, weights, strict=False) if w != 0]
        return (-lower * float(self.top) * (1 - SAFETY), upper), kept, network

    def _generate(
        self, blocks: list[Block], columns: list[Column], start: Point, end: int, budgets: tuple[float, float], tolerance: float
    ) -> tuple[Array, float, list[Column], Array]:
        """Column generation: weights of the columns, the least dual value (of -T for end 0), all columns, the multipliers behind it.

        Every cell is priced at the linear program's multipliers and half way to the best so far, which keeps them from swinging.
        """
        tight, loose = budgets
        weights, value = np.zeros(0), -inf if end else inf
        dual, best, stalled, least_gap = start, (inf, start), 0, inf
        for _ in range(ROUNDS):
            added = 0
            for share in (1.0, 0.5) if best[0] < inf else (1.0,):
                (multipliers, tau), (_, held) = dual, best
                multipliers, tau = share * multipliers + (1 - share) * held[0], share * tau + (1 - share) * held[1]
                ratio, violated = self._price(blocks, multipliers, end, max(tau, 0.0))
                columns, added = columns + violated, added + len(violated)
                best = min(best, dual_value(multipliers, max(tau, ratio) if end else ratio, self.labels, end, loose), key=first)
            gap = best[0] - value if end else best[0] + value
            stalled = 0 if gap < least_gap - 0.1 * tolerance * max(1.0, abs(value)) else stalled + 1
            least_gap = min(gap, least_gap)
            if len(weights) and (gap <= tolerance * max(1.0, abs(value)) or stalled > PATIENCE or not added):
                break
            solution = master(columns, self.labels, end, tight, self.multipliers)
            if solution is None:
                break
            weights, multipliers, tau, value = solution
            dual = (multipliers, tau)
        return weights, best[0], columns, best[1][0]

    def _check_feasible(self) -> None:
        """Infeasible unless the labels are in the span of the outputs of single rays, exactly: weights may have both signs."""
        reduced: list[list[Fraction]] = []
        seen: set[tuple[Fraction, ...]] = set()
        for c in self.units:
            out = tuple(self.neuron(c)[1])
            if out in seen:
                continue
            seen.add(out)
            longer = echelon([*reduced, out])[0]
            if len(longer) > len(reduced):
                reduced = longer
                if len(echelon([*reduced, self.targets])[1]) == len(reduced):
                    return
        raise Infeasible("the labels are not in the span of what neurons can put out")

    def _price(self, blocks: list[Block], multipliers: Array, end: int, threshold: float) -> tuple[float, list[Column]]:
        """The largest price ratio over all blocks and sides, and the columns that exceed the threshold, worst first."""
        at = np.cumsum([0] + [len(b.rays) for b in blocks])
        matrix, query = np.hstack([b.d for b in blocks]), np.concatenate([b.at_query for b in blocks]) * end
        seen, lost = multipliers @ matrix, SAFETY * (np.abs(multipliers) @ matrix + np.abs(query))
        worst, violated = threshold * (1 - 1e-9), []
        for i, b in enumerate(blocks):
            part = slice(at[i], at[i + 1])
            for side in (1, -1):
                gain = (side * (query[part] - seen[part]) if end else side * seen[part]) + lost[part]
                value, mu = b.steepest(gain, threshold * b.price * (1 - 1e-9))
                ratio = value / b.price
                worst = max(worst, ratio)
                if mu is not None and ratio > threshold * (1 + 1e-12):
                    violated.append((ratio, column(b, mu)))
        violated.sort(key=lambda pair: -pair[0])
        return worst, [c for _, c in violated[: 6 * len(multipliers)]]

    # --- the range ------------------------------------------------------------------------------------------------------------------

    def outside(self, geometry: Arrangement) -> bool:
        """Whether some w has w . q > 0 and w . x_i <= 0 for all i: rays of that pointed cone are rays of the arrangement."""
        return any(row[self.n] > 0 and all(a <= 0 for a in row[: self.n]) for row in geometry.products)

    def bracket(self, q: Sequence[float], within: float = 1e-6, tolerance: float = 1e-9) -> Bracket:
        """The range at q (d,) over networks of cost at most (1 + within) T; see Bracket.

        Refinement stops when inner and outer are `tolerance` times the largest label apart.
        """
        point = self.extended(list(q))
        if not any(point):
            return Bracket((0.0, 0.0), (0.0, 0.0), self.least)
        geometry = Arrangement.of([*self.points, point])
        if self.outside(geometry):
            return Bracket((-inf, inf), (-inf, inf), self.least)
        if not any(self.y):
            return Bracket((0.0, 0.0), (0.0, 0.0), self.least)
        blocks = blocks_of(geometry, lambda signs: self.price(signs[: self.n]), self.n)
        low = self._end(blocks, q, -1, within, tolerance)
        high = self._end(blocks, q, 1, within, tolerance)
        return Bracket((-low[0], high[0]), (-low[1], high[1]), self.least, (low[2], high[2]))

    def _end(
        self, blocks: list[Block], q: Sequence[float], end: int, within: float, tolerance: float
    ) -> tuple[float, float, list[Neuron]]:
        """max end * f(q): (inner, outer, network)."""
        top = float(self.top)
        tight, loose = self.least[0] * (1 + within) / top, self.least[1] * (1 + within) / top
        solution = solve_cone_program(blocks, self.labels, end, loose)
        columns = [self._seen_from(c, q) for c in self.columns] + directions(blocks, solution.mu)
        start = (solution.multipliers, solution.budget_multiplier)
        weights, outer, columns, _ = self._generate(blocks, columns, start, end, (tight, loose), tolerance)
        return self._exactly(columns, weights, q, end, within, outer)

    def _seen_from(self, c: Column, q: Sequence[float]) -> Column:
        """A column of the data's cells with its prediction at q: where q cuts the cell, v is in the closure of one half."""
        v = self.neuron(c)[0].v
        at = sum((a * b for a, b in zip(self.extended(q), v, strict=True)), Fraction(0))
        return Column(c.block, c.mu, c.out, float(max(at, Fraction(0))))

    def _exactly(
        self, columns: Sequence[Column], weights: Array, q: Sequence[float], end: int, within: float, outer: float
    ) -> tuple[float, float, list[Neuron]]:
        """The ends in the labels' own scale; the inner one of a mixture of the exact network with the flattest that fits the budget."""
        budget = Fraction(self.least[0]) * (1 + Fraction(within))
        cheap = self.cost(self.network)
        if cheap > budget:
            raise OracleFailed(f"T is known to {float(cheap / Fraction(self.least[0])) - 1:.1e} only, more than {within:g}")
        network = self.network
        if len(weights):
            far = self.exact_network(columns, weights)
            cost = self.cost(far)
            share = Fraction(1) if cost <= budget else (budget - cheap) / (cost - cheap)
            parts = [(share, far), (1 - share, self.network)]
            network = [Neuron(a * u.weight, u.v, u.on) for a, part in parts for u in part if a != 0]
        inner = end * self.value(network, q)
        return float(inner), float(outer) * float(self.top), network


def dual_value(multipliers: Array, price: float, y: Array, end: int, budget: float) -> tuple[float, Point]:
    """The dual value of a point once it violates no cell, and that point: an upper bound of end * f(q), or of -T (end = 0)."""
    value, lost = float(multipliers @ y), SAFETY * float(np.abs(multipliers * y).sum())
    if end == 0:
        return (lost - value) / price, (multipliers / price, 1.0)
    return value + lost + price * budget * (1 + SAFETY), (multipliers, price)


def first(pair: tuple[float, Point]) -> float:
    return pair[0]


def directions(blocks: list[Block], found: list[tuple[int, Array]]) -> list[Column]:
    """The neurons of a cone program's solution that carry a share of the cost."""
    pairs = [(blocks[i // 2], np.maximum(mu, 0)) for i, (_, mu) in enumerate(found)]
    costs = [b.price * float(np.linalg.norm(b.rotated @ mu)) for b, mu in pairs]
    total = sum(costs)
    return [column(b, mu) for (b, mu), c in zip(pairs, costs, strict=True) if np.isfinite(c) and c > 1e-8 * total]


def master(
    columns: Sequence[Column], y: Array, end: int, budget: float, reference: Array
) -> tuple[Array, Array, float, float] | None:
    """The linear program over given columns: signed weights, multipliers of y and of the budget, value; None if not solved.

    Least cost (end = 0), or the largest end * f(q) with the cost within the budget. The budget lies just above the least cost, so its
    row is written with the reduced costs at a reference, the multipliers of the least cost: sum (c - reference . out) alpha is at most
    budget - reference . y, all of them small numbers that do not cancel.
    """
    out, prices = np.array([c.out for c in columns]).T, np.array([c.block.price for c in columns])
    both, at = np.hstack([out, -out]), np.array([c.at_query for c in columns])
    if end == 0:
        size = float(prices.max())
        solution = _linear_program(np.concatenate([prices, prices]) / size, None, both, y)
        if solution is None:
            return None
        return solution.x[: len(at)] - solution.x[len(at) :], size * solution.eqlin.marginals, 0.0, size * float(solution.fun)
    size, excess = float(np.abs(at).max()) or 1.0, budget - float(reference @ y)
    reduced = np.concatenate([prices, prices]) - reference @ both
    solution = _linear_program(-end * np.concatenate([at, -at]) / size, reduced[None] / excess, both, y)
    if solution is None:
        return None
    tau = -size * float(solution.ineqlin.marginals[0]) / excess
    multipliers = -size * solution.eqlin.marginals - tau * reference
    return solution.x[: len(at)] - solution.x[len(at) :], multipliers, tau, -size * float(solution.fun)


def _linear_program(cost: Array, upper: Array | None, equal: Array, y: Array) -> Any:
    """min cost . alpha with equal @ alpha = y, upper @ alpha <= 1, alpha >= 0 by the first of HiGHS' ways that succeeds; None if none."""
    bound = None if upper is None else np.ones(len(upper))
    for method, presolve, tolerance in WAYS:
        options: Any = {"presolve": presolve, "primal_feasibility_tolerance": tolerance, "dual_feasibility_tolerance": tolerance}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = linprog(cost, upper, bound, equal, y, method=method, options=options)
        if solution.status == 0:
            return solution
    return None
