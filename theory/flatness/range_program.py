"""Owns the convex program of one prediction: the largest f(q) over all interpolating networks of cost at most U, and its dual.

Cells are those of the points, each cut in two by the sign of q . v (half_cells.py). With neurons v of output sign s, on-set D and
price c_D (program.py), a dual point (lambda, tau) bounds the prediction if for each half cell (D, side) and both signs s

    s [side = +] q . v - s <lambda, X v>_D <= tau c_D |X v|_D,     hence   f(q) <= lambda . y + tau U:                         (*)

sum over the neurons of a network. For any lambda the smallest tau is the largest of these steepest slopes over the prices, so every
lambda proves a bound.

Two solvers in turn. A cone program over the half cells that matter, found by pricing the others at its dual point; then, where its
accuracy leaves a gap, column generation: a linear program over neurons of fixed direction, exact to rounding, to which the steepest
neuron of each violated half cell is added.

Both are solved with reduced costs. With lambda* nearly optimal for the flattest network itself, c_D |X v|_D - s <lambda*, X v>_D >= 0
sums to cost - lambda* . y over an interpolating network, so that "cost <= U" reads "reduced costs <= U - lambda* . y", a number as
small as eps T that no subtraction of large ones blurs; the dual point is lambda = lambda_0 - tau lambda*.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.half_cells import ORDER, HalfCells
from flatproof.theory.flatness.linear_programs import EXACTLY
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.projection import project_linear

NEAR, BATCH, ROUNDS = 1e-3, 40, 40  # half cells this near binding come first; at most so many are added at a time
CLOSE = 1e-8  # the bound is this close to what networks attain, relative to the larger of it and the largest label: stop
UNSEEN = 1e-9  # share of a neuron's largest pre-activation that its activations must be
BOX = 1e4  # price of slack on the interpolation
PATIENCE = 5  # rounds of column generation without progress


@dataclass(frozen=True)
class Neurons:
    """Neurons of a program's solution: pattern (K,), output sign (K,), pre-activations at the points and the query (K, n + 1)."""

    pattern: NDArray[np.intp]
    sides: Array
    z: Array

    def take(self, index: NDArray[Any]) -> "Neurons":
        """Some of them."""
        return Neurons(self.pattern[index], self.sides[index], self.z[index])

    def __add__(self, other: "Neurons") -> "Neurons":
        return Neurons(
            np.concatenate([self.pattern, other.pattern]),
            np.concatenate([self.sides, other.sides]),
            np.vstack([self.z, other.z]),
        )


@dataclass(frozen=True)
class Extreme:
    """What the programs give, in units where labels and prices are about 1 at most and q has the length that it is given with.

    Attributes:
        bound: lambda . y + tau U, which no network exceeds, up to rounding.
        value: what the neurons below attain; at most `bound` up to rounding.
        dual: lambda (n,). tau: the smallest for it.
        neurons: which interpolate and cost at most U up to the solver's accuracy.
    """

    bound: float
    value: float
    dual: Array
    tau: float
    neurons: Neurons


class RangeProgram:
    """Predictions at one point over the networks of one data set.

    Args:
        program: the cone program of the flattest network.
        flattest: its dual point lambda*, (n,), in the units of `program`.
        points, q: the points (n, p) and the query (p,), with the constant 1 where there is a bias, as they are written.
        coordinates: the query in those of `program`, (r,).
    """

    def __init__(self, program: Program, flattest: Array, points: Array, q: Array, coordinates: Array):
        self.program, self.flattest = program, flattest
        self.size = size = float(np.linalg.norm(coordinates))  # the query is divided by it
        self.rows = np.vstack([program.u, coordinates / size])
        cells = HalfCells.of(points, q, program.signs)
        self.cells = replace(
            cells, at_query=cells.at_query / size, products=cells.products / np.append(np.ones(len(points)), size)
        )
        self.prices = np.repeat(program.prices, 2)

    def extreme(self, end: int, most: float, vertex: bool = False) -> Extreme:
        """The largest prediction, or the largest of its negative, over networks of bounded cost.

        Args:
            end: 1 or -1.
            most: the bound on the cost.
            vertex: whether neurons are wanted from a linear program: few, and exact to rounding.

        Returns:
            The bound, what is attained, and by which neurons.

        Raises:
            ArithmeticError: if the cone program is not solved.
        """
        program, cells = self.program, self.cells
        room = most - float(self.flattest @ program.y)
        if room <= 0:
            raise ArithmeticError("the limit on the trace lies below the trace of every network")
        ratios = program.price_ratios(self.flattest, enough=None)
        near = ratios >= min(1.0, float(ratios.max())) * (1 - NEAR)  # nearly dependent points leave all below 1
        filled = np.diff(cells.starts) > 0
        chosen = np.repeat(near, 2, axis=1) & filled  # (2, 2 M): sign, half cell
        if not chosen.any():
            raise ArithmeticError("no neuron is near its price: points are too nearly dependent")
        best: Extreme | None = None
        for _ in range(ROUNDS):
            dual, tau, value, neurons = self._cone_program(chosen, end, room)
            other, slopes = self._priced(dual, end, most)
            if best is None or other.bound < best.bound:
                best = replace(other, value=value, neurons=neurons)
            best = replace(best, value=value, neurons=neurons)
            if best.bound - value <= CLOSE * max(1.0, abs(best.bound)):
                return self._refined(best, end, most, room) if vertex else best
            wanted = ~chosen & filled & (slopes > tau * (1 + 1e-10))
            if not wanted.any():
                break
            new = np.argsort(np.where(wanted, -slopes, np.inf), axis=None)[: min(BATCH, int(wanted.sum()))]
            chosen.flat[new] = True
        assert best is not None
        return self._refined(best, end, most, room)

    def at(self, dual: Array, end: int, most: float, attained: Extreme | None = None) -> Extreme:
        """The bound that a dual point proves for a limit; value and neurons as in `attained`.

        Args:
            dual: lambda, (n,).
            end: 1 or -1.
            most: the limit on the cost.
            attained: a solution of the same end, if one is known.

        Returns:
            The bound, with the smallest tau for lambda.
        """
        priced = self._priced(dual, end, most)[0]
        return priced if attained is None else replace(priced, value=attained.value, neurons=attained.neurons)

    def multipliers(self, dual: Array, end: int) -> Array:
        """Multipliers of nearly the shortest proofs of all half cells.

        By projection with only those constraints that the steepest neuron's rays leave tight.

        Args:
            dual: lambda, (n,).
            end: 1 or -1.

        Returns:
            mu (n of them) and nu of each half cell, (4, M, n + 1), in the order of certificates.
        """
        program, cells, parts = self.program, self.cells, []
        seen = ((program.signs > 0) * dual) @ program.u
        steepest = [cells.steepest(gain)[1] for gain in cells.gains(dual, end)]
        half = np.repeat(np.arange(len(cells.starts) - 1), np.diff(cells.starts))
        for s, side in ORDER:
            mu = steepest[0 if s > 0 else 1]
            largest = np.maximum.reduceat(np.append(mu, 0.0), cells.starts[:-1]) * (np.diff(cells.starts) > 0)
            loose = np.zeros((len(largest), len(dual) + 1), bool)
            used = mu > 1e-9 * largest[half]
            np.logical_or.at(loose, half[used], cells.products[cells.members[used]] != 0)
            which = np.arange(len(program.signs)) * 2 + (0 if side > 0 else 1)
            signs = np.hstack([program.signs, np.full((len(program.signs), 1), side, np.int8)])
            signs = np.where(loose[which], 0, signs).astype(np.int8)
            gradients = end * s * max(side, 0) * self.rows[-1] - s * seen
            parts.append(project_linear(self.rows, signs, gradients, program.factors, np.zeros(len(seen), bool))[1])
        return np.array(parts)

    def _priced(self, dual: Array, end: int, most: float) -> tuple[Extreme, Array]:
        """The bound of a dual point, with its steepest neurons, and the slopes over the prices, (2, 2 M)."""
        gains = self.cells.gains(dual, end)
        steepest = [self.cells.steepest(gain) for gain in gains]
        slopes = np.array([bound for bound, _ in steepest]) / self.prices
        tau = float(slopes.max(initial=0.0))
        bound = float(dual @ self.program.y) + tau * most
        nothing = Neurons(np.zeros(0, np.intp), np.zeros(0), np.zeros((0, len(dual) + 1)))
        return Extreme(bound, bound, dual, tau, nothing), slopes

    def _refined(self, best: Extreme, end: int, most: float, room: float) -> Extreme:
        """The same by column generation; half cells are priced at the dual point of the linear program and half way to the best one so
        far, which keeps dual points from swinging.
        """
        columns, solved = self._normalized(best.neurons) + self._single_rays(), best.neurons
        value, dual, tau, stalled = -np.inf, best.dual, best.tau, 0
        for _ in range(ROUNDS):
            before = best.bound
            for share in (1.0, 0.5):
                point, limit = share * dual + (1 - share) * best.dual, share * tau + (1 - share) * best.tau
                priced, steepest = self._steepest_neurons(point, end, most, limit)
                columns = columns + steepest
                if priced.bound < best.bound:
                    best = priced
            stalled = stalled + 1 if best.bound > before - 0.1 * CLOSE * max(1.0, abs(before)) else 0
            if best.bound - value <= CLOSE * max(1.0, abs(best.bound)) or stalled > PATIENCE:
                break
            solution = self._linear_program(columns, end, room)
            if solution is None:
                break
            alpha, dual, tau, value = solution
            used = alpha > 0
            solved = columns.take(used)
            solved = replace(solved, z=solved.z * alpha[used, None])
        value = value if np.isfinite(value) else best.bound
        return replace(best, value=value, neurons=solved)

    def _steepest_neurons(self, dual: Array, end: int, most: float, limit: float) -> tuple[Extreme, Neurons]:
        """The bound of a dual point, and the steepest neurons of half cells that violate `limit`, the worst first."""
        cells, parts = self.cells, list[Neurons]()
        worst = 0.0
        for s, gain in zip((1.0, -1.0), cells.gains(dual, end), strict=True):
            bound, mu = cells.steepest(gain)
            slopes = bound / self.prices
            worst = max(worst, float(slopes.max(initial=0.0)))
            violated = np.flatnonzero(slopes > limit * (1 + 1e-13))
            violated = violated[np.argsort(-slopes[violated])][: 4 * BATCH]
            parts.append(Neurons(violated // 2, np.full(len(violated), s), cells.neurons(mu)[violated]))
        neurons = self._normalized(parts[0] + parts[1])
        total = float(dual @ self.program.y) + worst * most
        return Extreme(total, total, dual, worst, neurons), neurons

    def _single_rays(self) -> Neurons:
        """Neurons along single rays, in the cheapest cell of each, with either sign: they make up for what the others do not span."""
        cells = self.cells
        half = np.repeat(np.arange(len(cells.starts) - 1), np.diff(cells.starts))
        order = np.argsort(self.prices[half], kind="stable")
        ray, first = np.unique(cells.members[order], return_index=True)
        pattern = half[order[first]] // 2
        both = np.repeat([1.0, -1.0], len(ray))
        return self._normalized(Neurons(np.tile(pattern, 2), both, np.tile(cells.products[ray], (2, 1))))

    def _activations(self, neurons: Neurons) -> Array:
        """On the on-sets, (K, n)."""
        return (self.program.signs[neurons.pattern] > 0) * neurons.z[:, :-1]

    def _normalized(self, neurons: Neurons) -> Neurons:
        """At activations of length 1; those of next to none, and those that the samples hardly see, are left out."""
        length = np.linalg.norm(self._activations(neurons), axis=1)
        kept = (length > 1e-12 * length.max(initial=0.0)) & (length > UNSEEN * np.abs(neurons.z).max(axis=1, initial=0.0))
        return replace(neurons.take(kept), z=neurons.z[kept] / length[kept, None])

    def _linear_program(self, columns: Neurons, end: int, room: float) -> tuple[Array, Array, float, float] | None:
        """Weights (K,) of neurons, lambda (n,), tau and the value; None if it is not solved."""
        out = columns.sides[:, None] * self._activations(columns)
        gain = end * columns.sides * np.maximum(columns.z[:, -1], 0)
        reduced = np.maximum(self.program.prices[columns.pattern] - out @ self.flattest, 0.0)
        size = float(np.abs(gain).max(initial=0.0)) or 1.0
        solution: Any = linprog(
            -gain / size,
            A_ub=reduced[None] / room,
            b_ub=np.ones(1),
            A_eq=out.T,
            b_eq=self.program.y,
            method="highs-ds",
            options=EXACTLY,
        )
        if solution.status != 0:
            return None
        tau = -size * float(solution.ineqlin.marginals[0]) / room
        return solution.x, -size * solution.eqlin.marginals - tau * self.flattest, tau, -size * float(solution.fun)

    def _cone_program(self, chosen: NDArray[np.bool_], end: int, room: float) -> tuple[Array, float, float, Neurons]:
        """The cone program over chosen half cells: lambda (n,), tau, the value and the neurons."""
        import clarabel

        program, cells, n = self.program, self.cells, len(self.program.y)
        sign, half = np.nonzero(chosen)
        sides, prices = 1.0 - 2 * sign, self.prices[half]
        sizes = np.diff(cells.starts)[half]
        rays = np.concatenate([np.arange(cells.starts[h], cells.starts[h + 1]) for h in half])
        owner = np.repeat(np.arange(len(half)), sizes)
        out = sides[owner, None] * cells.d[rays] / prices[owner, None]
        gain = end * sides[owner] * cells.at_query[rays] / prices[owner]
        reduced = -out @ self.flattest
        k, r = len(half), len(cells.rotated)
        cone_rows = (owner[:, None] * (r + 1) + 1 + np.arange(r)).ravel()
        cone_columns = np.repeat(np.arange(len(rays)), r)
        cone_values = -(cells.rotated[:, rays] / prices[owner]).T.ravel()
        heads = sp.csc_matrix((-1 / prices, (np.arange(k) * (r + 1), np.arange(k))), shape=(k * (r + 1), k))
        slack, identity = 2 * n, sp.identity(n)
        ranks = np.maximum.reduceat(_ranks(cells.rotated[:, rays]), np.concatenate([[0], np.cumsum(sizes)[:-1]]))
        kept = np.concatenate([np.arange(r + 1) <= rank for rank in ranks])
        blocks: Any = [
            [sp.csc_matrix(out.T), None, sp.hstack([identity, -identity])],
            [sp.csc_matrix(reduced[None] / room), sp.csc_matrix(np.full((1, k), 1 / room)), None],
            [-sp.identity(len(rays)), None, None],
            [None, sp.csc_matrix((slack, k)), -sp.identity(slack)],
            [
                sp.csr_matrix((cone_values, (cone_rows, cone_columns)), shape=(k * (r + 1), len(rays)))[kept],
                sp.csr_matrix(heads)[kept],
                None,
            ],
        ]
        matrix = sp.bmat(blocks, format="csc")
        right = np.zeros(matrix.shape[0])
        right[:n], right[n] = program.y, 1.0
        cost = np.concatenate([-gain, np.zeros(k), np.full(slack, BOX)])
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
        settings.max_threads = 1
        kinds = [
            clarabel.ZeroConeT(n),
            clarabel.NonnegativeConeT(1 + len(rays) + slack),
            *[clarabel.SecondOrderConeT(int(rank) + 1) for rank in ranks],
        ]
        quadratic = sp.csc_matrix((len(cost), len(cost)))
        solution = clarabel.DefaultSolver(quadratic, cost, matrix, right, kinds, settings).solve()
        x, z = np.array(solution.x), np.array(solution.z)
        if not (np.isfinite(x).all() and np.isfinite(z).all()):
            raise ArithmeticError("the cone program of a prediction was not solved")
        mu = np.maximum(x[: len(rays)], 0) / prices[owner]
        pre = np.zeros((k, n + 1))
        np.add.at(pre, owner, (mu * cells.scale[rays])[:, None] * cells.products[cells.members[rays]])
        tau = float(z[n]) / room
        return z[:n] - tau * self.flattest, tau, float(gain @ x[: len(rays)]), Neurons(half // 2, sides, pre)


def _ranks(rotated: Array) -> NDArray[np.intp]:
    """How many leading rows of each column are in use, (K,)."""
    return ((np.abs(rotated) > 0) * np.arange(1, len(rotated) + 1)[:, None]).max(axis=0)
