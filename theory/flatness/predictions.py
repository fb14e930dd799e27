"""Owns what networks nearly as flat as the flattest predict away from the training points, with proofs in rational numbers.

`Predictions.case` looks at one point q. On the ray of a sample the prediction is determined. Outside the cone of the samples (of
x' = (x, 1): outside their convex hull) it is free: some w is positive at q and nowhere positive on the samples, so a neuron along w
changes f(q) at no cost, for Sim-BN two barely active ones that cancel (the ledger, theorem-3.2). Inside it the range over all
interpolating networks of trace at most (1 + within) times the flattest is a convex program (range_program.py), whose dual
point is turned into a proof (exact_predictions.py) that theory/check_certificate.py checks here and in files.

The range over exactly flattest networks is ill-posed in floating point: two points 1e-3 apart can move an end from 0.5 to 0.9998 within
a trace of 1e-6. `within` = 0 stands for that limit: the ends then bound it from outside, closely where the limit is stable.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.theory.check_certificate import Data, Invalid, Prediction
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.certificate import Problem, decimal_rows, neurons_written, total
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.exact_predictions import End, ExactPoint, Neuron, Place
from flatproof.theory.flatness.neurons import Array, Signs
from flatproof.theory.flatness.patterns import Patterns
from flatproof.theory.flatness.projection import project_linear
from flatproof.theory.flatness.range_program import Extreme, RangeProgram
from flatproof.theory.flatness.rational import ONE, as_whole, number, numbers
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import Network, check_points, normalizer, with_ones

WITHIN = 1e-6  # networks whose trace is this near the flattest, relative, unless told otherwise
POINTS = 32  # in exact numbers that are kept at once
TIGHT = 1e-7  # dual points of larger limits are tried where a bound is further from what networks attain, relative
WIDER = (10.0, 100.0, 1000.0)  # such limits, in units of the one asked for
SHARES = (0.5, 0.9, 0.99)  # of the limit on the trace, for which networks at the end are looked for: the rest is for moving them
STEPS = tuple(10.0**k for k in range(-13, -4))  # of a neuron off its kinks, relative
SPARE = Fraction(1, 10**9)  # of the lower bound: a certificate's may be that much smaller than the one of floating point
LEAST = 1e-8  # the smallest limit that the cone program is solved for


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest predictions at some points; iterates over `low` and `high`.

    Attributes:
        low, high: (k,), rounded outwards, infinite where predictions are unbounded.
        certified: whether both ends are proved in rational numbers, (k,); where not, they are what floating point came to.
        within: the statement is about all networks of trace at most (1 + within) times the flattest; 0: about the flattest.
    """

    low: Array
    high: Array
    certified: NDArray[np.bool_]
    within: float

    def __iter__(self) -> Iterator[Array]:
        return iter((self.low, self.high))


@dataclass
class Case:
    """What is known of the predictions at one point.

    Attributes:
        x: the point (d,).
        place: where it lies.
        low, high: bounds, floats rounded outwards; NaN where not asked for.
        proved: the ends (-1 and 1) with a proof.
        ends: proofs of the ends in the cone of the samples.
        extremes: their programs' solutions; solver: that solves them.
        witness: an interpolating network within `within` of the flattest, and its prediction, in rational numbers.
    """

    x: Array
    place: Place | None
    low: float = np.nan
    high: float = np.nan
    proved: set[int] = field(default_factory=set)
    ends: dict[int, End] = field(default_factory=dict)
    extremes: dict[int, Extreme] = field(default_factory=dict)
    solver: RangeProgram | None = field(default=None, repr=False)
    witness: tuple[list[Neuron], Fraction] | None = None


@dataclass(frozen=True, eq=False)
class Predictions:
    """The nearly flattest networks of one data set, as far as their predictions go.

    Attributes:
        setting: the problem.
        patterns: every activation pattern.
        network: a flattest network, up to rounding.
        trace: its trace, in floating point.
        lower_bound: no interpolating network has a smaller trace.
        dual: the point (n,) behind that bound.
        thin: whether patterns were set aside, so that nothing is proved.
    """

    setting: Setting
    patterns: Patterns
    network: Network
    trace: float
    lower_bound: float
    dual: Array
    thin: bool

    @cached_property
    def signs(self) -> Signs:
        """The patterns with a sample on their positive side, zeros read as -1, (M, n)."""
        active = (self.patterns.signs > 0).any(axis=1)
        return np.where(self.patterns.signs[active] > 0, 1, -1).astype(np.int8)

    @cached_property
    def rows(self) -> list[list[Fraction]]:
        """The points as the decimal fractions that they print as, the constant 1 appended where there is a bias."""
        return decimal_rows(self.setting.architecture, self.setting.x)

    @cached_property
    def y(self) -> list[Fraction]:
        """The labels, likewise."""
        return [decimal(label) for label in self.setting.y.tolist()]

    @cached_property
    def program(self) -> Program:
        """The cone program of the flattest network, for its scales and factors."""
        return Program(self.setting, self.signs)

    @cached_property
    def flattest(self) -> list[Neuron]:
        """The network of the solution in rational numbers.

        Raises:
            ValueError: where none interpolates exactly.
        """
        return self.exact(self.network)

    @cached_property
    def upper(self) -> Fraction:
        """Its trace; what floating point says where no network interpolates exactly (then nothing is proved)."""
        try:
            return total(self.flattest)
        except ValueError:
            return Fraction(self.trace)

    def exact(self, network: Network) -> list[Neuron]:
        """A network that interpolates up to rounding, made to do so exactly.

        Args:
            network: of the setting's architecture.

        Returns:
            Its neurons in rational numbers.

        Raises:
            ValueError: where none interpolates exactly.
        """
        coefficients = network.w2
        if network.gamma is not None:
            coefficients = coefficients * network.gamma / np.maximum(normalizer(network, self.setting.x), np.finfo(float).tiny)
        problem, spare = self._spares
        return problem.network(network.weights, coefficients, spare, self.y, self.setting.differentiable)

    @cached_property
    def _spares(self) -> tuple[Problem, list[list[int]]]:
        problem = Problem(self.setting.architecture == "sim-bn", self.rows)
        return problem, problem.short_witnesses(self.patterns.signs, self.patterns.witnesses)

    @cached_property
    def data(self) -> Data:
        """The data as the checker has them."""
        return Data(
            {
                "architecture": self.setting.architecture,
                "kinks": self.setting.kinks,
                "x": [numbers(row[: self.setting.x.shape[1]]) for row in self.rows],
                "y": numbers(self.y),
            }
        )

    @cached_property
    def active(self) -> list[tuple[int, ...]]:
        """Every on-set, the empty one included where it occurs."""
        return sorted({tuple(np.flatnonzero(row > 0).tolist()) for row in self.patterns.signs})

    def range(self, x_new: ArrayLike, within: float = WITHIN) -> Ranges:
        """The ranges of predictions.

        Args:
            x_new: points, (k, d).
            within: how near the flattest, relative.

        Returns:
            Both ends at each point, and whether they are certified.

        Raises:
            ValueError: for NaN, a wrong number of columns, within < 0.
        """
        points = check_points(x_new, d=self.setting.x.shape[1])[0]
        cases = [self.case(x, within) for x in points]
        low, high = (np.array([getattr(case, name) for case in cases], float) for name in ("low", "high"))
        return Ranges(low, high, np.array([case.proved == {-1, 1} for case in cases], bool), within)

    def case(self, x: Array, within: float = WITHIN, ends: Sequence[int] = (-1, 1)) -> Case:
        """What can be said of the given ends at one point.

        Args:
            x: the point, (d,).
            within: how near the flattest, relative.
            ends: those asked for, -1 and 1.

        Returns:
            The case, with a proof of each end that has one.

        Raises:
            ValueError: for within < 0.
        """
        if not (0 <= within < np.inf):
            raise ValueError(f"within must be a number >= 0, got {within}")
        try:
            place = self._point(x).place
        except ArithmeticError:
            return Case(x, None, -np.inf, np.inf)
        if place.ray is not None:
            value = float(place.ray[1] * self.y[place.ray[0]])
            rounded = float(decimal(value)) == value and Fraction(value) == place.ray[1] * self.y[place.ray[0]]
            low, high = (value, value) if rounded else (np.nextafter(value, -np.inf), np.nextafter(value, np.inf))
            return Case(x, place, low, high, {-1, 1})
        if place.direction is not None:
            return Case(x, place, -np.inf, np.inf, {-1, 1} if self.lower_bound > 0 and within > 0 else set())
        case = Case(x, place)
        for end in ends:
            self.prove(case, end, within)
        return case

    def _point(self, x: Array) -> ExactPoint:
        """The point in exact numbers; the last POINTS are kept, for each is asked for several times."""
        key = x.tobytes()
        if key not in self._points:
            q = decimal_rows(self.setting.architecture, x[None])[0]
            if len(self._points) == POINTS:
                del self._points[next(iter(self._points))]
            self._points[key] = ExactPoint(self.setting.architecture == "sim-bn", self.rows, self.y, q)
        return self._points[key]

    @cached_property
    def _points(self) -> dict[bytes, ExactPoint]:
        return {}

    def attain(self, case: Case, end: int, within: float) -> float:
        """What networks attain in one direction at a point in the cone of the samples, in floating point.

        Args:
            case: the point.
            end: 1 for large predictions, -1 for small ones.
            within: how near the flattest, relative.

        Returns:
            The prediction.

        Raises:
            ArithmeticError: if the cone program is not solved.
        """
        solver = self._solver(case)
        if end not in case.extremes:
            case.extremes[end] = solver.extreme(end, self._limit(max(within, LEAST)))
        return end * case.extremes[end].value * solver.size * self.program.top

    def prove(self, case: Case, end: int, within: float) -> None:
        """Put the bound on one end at a point in the cone of the samples into its case, with its proof if there is one.

        Args:
            case: the point.
            end: 1 or -1.
            within: how near the flattest, relative.
        """
        solver = self._solver(case)
        try:
            if end not in case.extremes and self.setting.y.any():
                self.attain(case, end, within)
            extreme = case.extremes[end] = self._tightest(solver, case.extremes.get(end), end, within)
        except ArithmeticError:
            return self._set(case, end, np.inf)
        self._set(case, end, extreme.bound * solver.size * self.program.top)
        if self.thin or "flattest" not in self.__dict__:
            return None
        try:
            case.ends[end] = self._point(case.x).end(
                end,
                (ONE + decimal(within)) * self.upper,
                extreme.dual * solver.size,
                extreme.tau * solver.size / self.program.size,
                self.signs > 0,
                solver.multipliers(extreme.dual, end) * np.append(np.full(len(self.y), solver.size), 1.0),
            )
            self.check(case, within)
        except (ArithmeticError, Invalid):
            case.ends.pop(end, None)
            return None
        self._set(case, end, case.ends[end].bound)
        case.proved.add(end)
        return None

    def _tightest(self, solver: RangeProgram, extreme: Extreme | None, end: int, within: float) -> Extreme:
        """The best bound that the dual points for this limit and for larger ones give."""
        most = self._limit(within)
        if extreme is None:  # all labels are 0
            return solver.at(np.zeros(len(self.y)), end, most)
        best = solver.at(extreme.dual, end, most, extreme)
        for factor in WIDER:
            if best.bound - best.value <= TIGHT * max(1.0, abs(best.bound)):
                break
            other = solver.at(solver.extreme(end, self._limit(max(within, LEAST) * factor)).dual, end, most, extreme)
            best = min(best, other, key=lambda each: each.bound)
        return best

    def _set(self, case: Case, end: int, bound: Fraction | float) -> None:
        """The bound on end * f, rounded outwards."""
        rounded = float(bound)
        if rounded < bound or isinstance(bound, float):
            rounded = float(np.nextafter(rounded, np.inf))
        if end > 0:
            case.high = rounded
        else:
            case.low = -rounded + 0.0  # not -0.0

    def _limit(self, within: float) -> float:
        """(1 + within) times the network's trace, in the program's units."""
        return float(self.upper) * (1 + within) / (self.program.size * self.program.top)

    def _solver(self, case: Case) -> RangeProgram:
        if case.solver is None:
            q = with_ones(self.setting.architecture, case.x[None])
            inside = (q @ self.setting.coordinates.basis)[0]
            dual = self.dual / self.program.size
            case.solver = RangeProgram(self.program, dual, self.setting.points, q[0], inside)
        return case.solver

    # ------------------------------------------------------------------------------------------------- what goes into a file

    def check(self, case: Case, within: float) -> str:
        """The statement that an entry proves, by the independent checker.

        Args:
            case: the point with its proofs.
            within: how near the flattest, relative.

        Returns:
            The statement.

        Raises:
            Invalid: if it proves none.
        """
        return Prediction(
            self.data,
            self.entry(case, within, statement=None),
            "the prediction",
            self.active,
            decimal(within),
            Fraction(self.lower_bound),
            self.upper,
        ).statement

    def entry(self, case: Case, within: float, statement: str | None) -> dict[str, Any]:
        """A prediction's entry in a certificate.

        Args:
            case: the point with its proofs.
            within: how near the flattest, relative.
            statement: what it proves, by the checker; None for a draft.

        Returns:
            The entry, ready for JSON.
        """
        place = case.place
        q = decimal_rows(self.setting.architecture, case.x[None])[0][: len(case.x)]
        out: dict[str, Any] = {"x": numbers(q), "statement": statement}
        if place is not None and place.ray is not None:
            out["ray"] = {"of": place.ray[0], "times": number(place.ray[1])}
        elif place is not None and place.direction is not None and -1 in case.proved:
            out["direction"] = numbers(place.direction)
        elif case.ends and place is not None and place.beta is not None:
            out["cone"] = {str(i): number(b) for i, b in sorted(place.beta.items())}
            for end, name in ((-1, "low"), (1, "high")):
                if end in case.ends:
                    out[name] = case.ends[end].written()
        if case.witness is not None:
            out["witness"] = neurons_written(case.witness[0])
        return out

    # ------------------------------------------------------------------------------------------------------------ witnesses

    def find_witness(self, case: Case, end: int, within: float) -> tuple[list[Neuron], Fraction] | None:
        """An interpolating network whose prediction is extreme in one direction: the first beyond 0, or the most extreme found.

        Where predictions are unbounded, it goes past 0 by the size of the largest label.

        Args:
            case: the point.
            end: 1 for large predictions, -1 for small ones.
            within: its trace is at most (1 + within) times the flattest.

        Returns:
            The network in rational numbers, with its prediction; None where none was found.
        """
        limit = (ONE + decimal(within)) * Fraction(self.lower_bound) * (ONE - SPARE)
        best: tuple[list[Neuron], Fraction] | None = None
        for share in SHARES:
            try:
                exact = self._point(case.x)
                network = self._witness(case, exact, end, within * share, limit)
            except (ArithmeticError, ValueError):
                continue
            if network is not None and total(network) <= limit:
                value = exact.reached(network)
                best = (network, value) if best is None or end * (value - best[1]) > 0 else best
            if best is not None and (case.place is None or case.place.beta is None or end * best[1] > 0):
                break
        return best

    def _witness(self, case: Case, exact: ExactPoint, end: int, within: float, limit: Fraction) -> list[Neuron] | None:
        if case.place is None or case.place.ray is not None:
            return self.flattest
        if case.place.direction is not None:
            top = max(map(abs, self.y)) or ONE
            return exact.free(self.flattest, end * top, limit - self.upper, self._inside, self.setting.architecture != "no-bias")
        return self.realized(self._solver(case).extreme(end, self._limit(within), vertex=True))

    @cached_property
    def _inside(self) -> list[Fraction] | None:
        """z with x_i . z < 0 for all samples but zero points, None if there is none."""
        live = self.setting.points.any(axis=1)
        for signs, witness in zip(self.patterns.signs, self.patterns.witnesses, strict=True):
            if (signs[live] < 0).all() and not any(c != c for c in witness.tolist()):
                return [Fraction(c) for c in as_whole(witness.tolist())]
        return None

    def realized(self, extreme: Extreme) -> list[Neuron]:
        """The network of a program's solution in rational numbers, moved off the kinks where that is asked for, by as little as does it.

        Args:
            extreme: of a range program.

        Returns:
            The network's neurons.

        Raises:
            ValueError: where none interpolates exactly.
        """
        u, basis, neurons = self.setting.coordinates.u, self.setting.coordinates.basis, extreme.neurons
        signs = self.signs[neurons.pattern]
        v = self._inside_cells(neurons.z[:, :-1] @ u, neurons.pattern)
        lengths = np.linalg.norm((signs > 0) * (v @ u.T), axis=1)
        used = np.flatnonzero(lengths > 1e-10 * lengths.max(initial=0.0))
        weights, sizes = v[used] @ basis.T, np.abs(v[used] @ basis.T).max(axis=1)
        if self.setting.differentiable:
            weights = np.array(
                [self._off_kinks(w / size, m) for w, size, m in zip(weights, sizes, neurons.pattern[used], strict=True)]
            )
        else:
            weights = weights / sizes[:, None]
        problem, spare = self._spares
        coefficients = neurons.sides[used] * sizes * self.program.top
        return problem.network(weights, coefficients, spare, self.y, self.setting.differentiable)

    def _off_kinks(self, w: Array, pattern: int) -> Array:
        """A neuron (p,) moved towards its cell's witness until every sample is on its side, in exact arithmetic; ValueError if none
        of STEPS does it.
        """
        signs, inner = self.signs[pattern], self._witnesses[pattern]
        live = np.any(self.setting.points != 0, axis=1)
        for step in STEPS:
            moved = w + step * inner
            sides = np.sign(self._spares[0].outputs([as_whole(moved.tolist())])[0])
            if (sides == signs)[live].all():
                return moved
        raise ValueError("a neuron cannot be moved off its kinks in double precision")

    @cached_property
    def _witnesses(self) -> Array:
        """A vector well inside the cell of each pattern of the program, its largest entry 1, (M, p)."""
        inner = self.patterns.witnesses[(self.patterns.signs > 0).any(axis=1)].astype(float)
        return inner / np.abs(inner).max(axis=1, keepdims=True)

    def _inside_cells(self, v: Array, pattern: NDArray[np.intp]) -> Array:
        """Neurons (K, r) moved to the nearest in the closures of their cells: the solver leaves them slightly outside."""
        u, signs = self.setting.coordinates.u, self.signs[pattern]
        outside: NDArray[np.bool_] = np.any(signs * (v @ u.T) < 0, axis=1)
        identity = np.tile(np.eye(u.shape[1]), (len(v), 1, 1))
        moved = project_linear(u, signs, v, identity, ~outside)[0]
        return np.where(outside[:, None], moved, v)
