"""Owns flattest networks of several outputs, with certificates, for sets of few patterns.

`flattest_outputs` bounds the least trace from below by linear matrix inequalities over all patterns and from above by a network
(outputs_program.py); both are made exact here: dual points and N are rounded and shrunk until every matrix is semidefinite in rational
numbers, and networks are corrected until they interpolate. Certificates are of format 5 of theory/check_certificate.py, which tells what
proves what. Whether the bounds meet is not known beforehand: a copositive form need not have such an N.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from flatproof.theory import check_certificate as checker
from flatproof.theory.check_certificate import check, digest, in_whole, semidefinite
from flatproof.theory.flatness import outputs_program as program
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.certificate import Problem, decimal_rows, well_conditioned
from flatproof.theory.flatness.exact_metrics import brief
from flatproof.theory.flatness.exact_predictions import ExactPoint
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.neurons import Array, NotRealized, Signs
from flatproof.theory.flatness.outputs_program import OnSet, Relaxed
from flatproof.theory.flatness.patterns import Patterns, cells, faces
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.rational import (
    ONE,
    ZERO,
    Rationals,
    Whole,
    as_whole,
    common,
    dot,
    number,
    numbers,
    root,
    short,
    solve,
)
from flatproof.theory.flatness.setting import Setting

LIMIT = 500  # patterns, unless told otherwise
INWARD = 1e-9  # of a neuron's size: how far it is moved off its kinks
ON_KINK = 1e-5  # |x_i . v| / |x_i| up to which a neuron of size 1 is taken to be on the kink
LEAST = 1e-7  # entries of N below this share of the largest are left out
SHARPEST = 1e-9  # what duals are shrunk by at least, relative
LAST = 1e-2  # and at most
Products = dict[tuple[int, int], Fraction]
OutputNeuron = tuple[Rationals, Rationals, Fraction]


@dataclass(frozen=True, eq=False)
class Outputs:
    """Bounds on the least trace over networks of several outputs that interpolate.

    Attributes:
        setting: the points, the class of networks and the notion at kinks; its label is the first output's.
        labels: (n, K).
        patterns: every cell or face.
        sets: every on-set that is not empty.
        prices: sqrt(K) c_D of these.
        relaxed: a dual point with its N, up to rounding.
    """

    setting: Setting
    labels: Array
    patterns: Patterns = field(repr=False)
    sets: list[OnSet] = field(repr=False)
    prices: Array = field(repr=False)
    relaxed: Relaxed = field(repr=False)

    @cached_property
    def head(self) -> dict[str, Any]:
        """The fields of the certificate that say what it is about."""
        d = self.setting.x.shape[1]
        inputs = [numbers(row[:d]) for row in self._rows]
        labels = [numbers([decimal(c) for c in row]) for row in self.labels.tolist()]
        return {
            "architecture": self.setting.architecture,
            "kinks": self.setting.kinks,
            "data_sha256": digest(inputs, labels),
            "x": inputs,
            "y": labels,
        }

    @cached_property
    def _rows(self) -> list[Rationals]:
        return decimal_rows(self.setting.architecture, self.setting.x)

    @cached_property
    def _exact(self) -> checker.Outputs:
        return checker.Outputs(checker.Data({"format": checker.OUTPUTS, **self.head}), self.head["y"])

    @property
    def lower(self) -> Fraction:
        """No network that interpolates has a smaller trace: proved in rational numbers."""
        return self._exact.at_labels(self._proved[0])

    @property
    def upper(self) -> Fraction:
        """The trace of `neurons` at the best balance, or more."""
        return sum((cost for _, _, cost in self.neurons), ZERO)

    @cached_property
    def _proved(self) -> tuple[list[Rationals], list[Products]]:
        """The dual point and N of each on-set."""
        spare = SHARPEST
        while spare < LAST:
            theta = 1 / np.sqrt(1 + spare)
            dual = [[short(theta * c) for c in row] for row in self.relaxed.dual.tolist()]
            tables = [_rounded(case, theta**2 * table) for case, table in zip(self.sets, self.relaxed.products, strict=True)]
            worst = max((self._excess(*parts, dual) for parts in zip(self.sets, tables, self.prices, strict=True)), default=0.0)
            if worst <= 0:
                return dual, tables
            spare = max(2 * spare, spare + 1.5 * worst)
        raise NotRealized(f"the dual point is too far from feasible: {spare:.0e}")

    def _excess(self, case: OnSet, products: Products, price: float, dual: list[Rationals]) -> float:
        """0 if the matrix of an on-set is semidefinite, otherwise about what the price falls short by, relative."""
        rest = self._exact.prove(_members(case.signs), dual, products)
        if semidefinite(in_whole(rest)):
            return 0.0
        seen = case.basis.T @ np.array(rest, float) @ case.basis / price**2
        return max(-float(np.linalg.eigvalsh(seen)[0]), SHARPEST)

    @cached_property
    def neurons(self) -> list[OutputNeuron]:
        """A network that interpolates exactly: w, a and what it costs.

        Raises:
            NotRealized: where none is made.
        """
        if not self.labels.any():
            return []
        signs = np.array([case.signs for case in self.sets])
        v, index, a = program.network(self.setting.points, self.labels, signs, self.prices, self.relaxed.dual)
        size = np.abs(v).max(axis=1, keepdims=True)
        units = np.array([self._settled(unit) for unit in v / size])
        problem = Problem(False, self._rows)
        if self.setting.differentiable:
            given = [as_whole([short(c) for c in row]) for row in units + INWARD * self._interior(signs)[index]]
        else:
            given = [problem.settled(unit) for unit in units]
        start = [
            [short(c) * short(float(s)) / max(map(abs, w)) for c in row]
            for row, s, w in zip(a.tolist(), size[:, 0], given, strict=True)
        ]
        whole = given + problem.varied(problem.short_witnesses(self.patterns.signs, self.patterns.witnesses))
        start += [[ZERO] * self.labels.shape[1]] * (len(whole) - len(given))
        fit = self._fitted(problem, whole, start)
        return [self._priced(_fractions(w), b) for w, b in zip(whole, fit, strict=True) if any(b)]

    def _interior(self, signs: Signs) -> Array:
        """A point inside the cell of each on-set, of size 1."""
        inside = self.patterns.witnesses.astype(float)
        place = {row.tobytes(): k for k, row in enumerate(np.where(self.patterns.signs > 0, 1, -1).astype(np.int8))}
        chosen = inside[[place[row.tobytes()] for row in signs]]
        return chosen / np.abs(chosen).max(axis=1, keepdims=True)

    def _settled(self, v: Array) -> Array:
        """A neuron of size 1 moved onto the kinks that it is on but for what the solver leaves."""
        points = self.setting.points
        kink = points[np.abs(points @ v) <= ON_KINK * np.linalg.norm(points, axis=1)]
        moved = v - np.linalg.pinv(kink) @ (kink @ v) if len(kink) else v
        return moved if np.abs(moved).max() > 0.5 else v

    def _fitted(self, problem: Problem, whole: Whole, start: list[Rationals]) -> list[Rationals]:
        """a near those given, of neurons in whole numbers, with which they interpolate exactly."""
        count, scale = self.labels.shape[1], problem.scale
        active = problem.active(whole)
        order = well_conditioned(active, [max(map(abs, a)) for a in start])
        order = [j for k, j in enumerate(order) if any(active[j]) and (k < problem.n or any(start[j]))]
        matrix = [[active[j][i] for j in order] for i in range(problem.n)]
        out = [[ZERO] * count for _ in whole]
        for k in range(count):
            fit = solve(matrix, [decimal(c) * scale for c in self.labels[:, k].tolist()], [start[j][k] for j in order])
            if fit is None:
                raise NotRealized("no network was found that interpolates exactly")
            for j, value in zip(order, fit, strict=True):
                out[j][k] = value
        return out

    def _priced(self, w: Rationals, a: Rationals) -> OutputNeuron:
        on = [i for i, row in enumerate(self._rows) if dot(row, w) > 0]
        length = sum((dot(self._rows[i], w) ** 2 for i in on), ZERO)
        return w, a, root(self._exact.price(on) * length * dot(a, a))

    def at_most(self, x: ArrayLike, direction: ArrayLike, within: float) -> tuple[float, dict[str, Any] | None]:
        """A bound on direction . f(x) of every network within `within` of `upper`, relative.

        Args:
            x: the point, (d,).
            direction: (K,).
            within: relative.

        Returns:
            The bound with the certificate's entry; infinity and None where none is made: outside the cone of the samples if the active
            samples of some pattern do not span the space.

        Raises:
            ValueError: for shapes that do not fit, NaN and within < 0.
        """
        at, along = np.asarray(x, float), np.asarray(direction, float)
        wanted = self.setting.x.shape[1:], self.labels.shape[1:]
        if (at.shape, along.shape) != wanted or not (np.isfinite(at).all() and np.isfinite(along).all()):
            raise ValueError(f"expected a finite point and direction of shapes {wanted}, got {at.shape, along.shape}")
        if not 0 <= within < np.inf:
            raise ValueError(f"within must be a number >= 0, got {within}")
        p = self.setting.points.shape[1]
        row = decimal_rows(self.setting.architecture, at[None])[0]
        query = np.array([float(c) for c in row])
        points = np.vstack([self.setting.points, query])
        beta = dict[int, Fraction]()
        if any(case.basis.shape[1] < p for case in self.sets) or len(self.sets) < len(self._on_sets()):
            place = ExactPoint(False, self._rows, [ZERO] * len(self._rows), row).place
            if place.direction is not None:
                return np.inf, None
            beta = self._near(row) or place.beta or dict([place.ray] if place.ray else [])
        sets, costs, gains, queries = list[OnSet](), list[float](), list[Array | None](), list[checker.Query | None]()
        exact = [decimal(c) for c in along.tolist()]
        for case, price in zip(self.sets, self.prices, strict=True):
            spans = case.basis.shape[1] == p
            seen = row if spans else self._exact.within(beta, _members(case.signs))
            for side in (1, -1):
                signs = np.append(case.signs, side).astype(np.int8)
                forms = [{i: ONE} for i in program.distinct(signs[:, None] * points)] if spans else case.forms
                sets.append(OnSet(signs, case.basis, forms))
                costs.append(float(price))
                gains.append(np.outer([float(c) for c in seen], along) if side > 0 else None)
                queries.append((seen, side, exact) if spans or side > 0 else None)
        most = (ONE + decimal(within)) * self.upper
        solved, tau = program.largest(self.setting.points, self.labels, sets, np.array(costs), float(most), query, gains)
        dual = [[short(c) for c in values] for values in solved.dual.tolist()]
        tables = [_rounded(case, tau * table) for case, table in zip(sets, solved.products, strict=True)]
        for spare in (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
            size = short(tau * (1 + spare) + spare)
            if all(
                semidefinite(in_whole(self._exact.prove(_members(c.signs[:-1]), dual, t, size, q)))
                for c, t, q in zip(sets, tables, queries, strict=True)
            ):
                break
        else:
            return np.inf, None
        bound = self._exact.at_labels(dual) + size * most
        pairs = dict[str, list[Any]]()
        for case, table in zip(sets, tables, strict=True):
            pairs.setdefault(",".join(map(str, _members(case.signs[:-1]))), []).append(_written(table))
        edges = {",".join(map(str, _members(case.signs))) for case in self.sets if case.basis.shape[1] < p}
        proofs: dict[str, Any] = {key: {"ends": pair} if key in edges else pair for key, pair in pairs.items()}
        if () in self._on_sets():
            proofs[""] = {"ends": [{}, {}]}
        entry = {
            "x": numbers(row[: len(at)]),
            "direction": numbers(exact),
            "statement": None,
            "bound": number(bound),
            "dual": [numbers(values) for values in dual],
            "tau": number(size),
            "proofs": proofs,
        }
        if beta:
            entry["cone"] = {str(i): number(share) for i, share in sorted(beta.items())}
        return float(bound), entry

    def _near(self, q: Rationals) -> dict[int, Fraction]:
        """beta >= 0 with q = sum_i beta_i x_i, of samples as near q as can be; empty if rounding leaves none."""
        points, at = self.setting.points, np.array([float(c) for c in q])
        found = linprog(np.sum((points - at) ** 2, axis=1), A_eq=points.T, b_eq=at, method="highs-ds")
        if found.x is None:
            return {}
        used = [int(i) for i in np.flatnonzero(found.x > 1e-12 * found.x.max(initial=0))]
        (*rows, right), _ = common(*[[self._rows[i][k] for i in used] for k in range(len(q))], q)
        shares = solve(rows, [Fraction(c) for c in right], [ZERO] * len(used))
        return dict(zip(used, shares, strict=True)) if shares and min(shares) >= 0 else {}

    def _on_sets(self) -> set[tuple[int, ...]]:
        """Every on-set, that of the origin's face too."""
        out = {tuple(np.flatnonzero(row > 0).tolist()) for row in self.patterns.signs}
        return out if self.setting.differentiable else out | {()}

    def certificate(self, entries: Sequence[dict[str, Any]] = (), within: float = 0.0) -> dict[str, Any]:
        """The certificate, checked, ready for JSON.

        Args:
            entries: of predictions, as `at_most` gives them.
            within: that they were asked for.
        """
        dual, tables = self._proved
        exact, lower, upper = self._exact, self.lower, self.upper
        written = {_members(case.signs): _written(table) for case, table in zip(self.sets, tables, strict=True)}
        written[()] = {}
        shown = Problem(False, self._rows).short_witnesses(self.patterns.signs, self.patterns.witnesses)
        patterns = [
            {"w": numbers(w), "products": written.pop(_members(row), None)}
            for w, row in zip(shown, self.patterns.signs, strict=True)
        ]
        networks = f"interpolating network of {exact.count} output{'s' * (exact.count > 1)}"
        names = self.setting.architecture, self.setting.kinks, len(self.labels), self.setting.x.shape[1]
        out = {
            "format": checker.OUTPUTS,
            "statement": checker.statement(*names, lower, upper, networks=networks),
            **self.head,
            "dual": [numbers(row) for row in dual],
            "lower": number(lower),
            "upper": number(upper),
            "neurons": [{"w": numbers(w), "a": numbers(a), "cost": number(cost)} for w, a, cost in self.neurons],
            "patterns": patterns,
        }
        if entries:
            share, active = decimal(within), sorted(self._on_sets())
            out |= {"within": number(share), "predictions": []}
            for entry in entries:
                try:
                    exact.prediction(entry, "the prediction", active, share, upper)
                except checker.Invalid as unsaid:  # its sentence alone is missing
                    said = str(unsaid).removeprefix('the prediction.statement is not "').removesuffix('"')
                    out["predictions"].append(entry | {"statement": said})
        check(out)
        return out


def flattest_outputs(
    x: ArrayLike,
    y: ArrayLike,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    limit: int = LIMIT,
    cones: bool = True,
) -> Outputs:
    """Bounds on the least trace over two-layer ReLU networks of K outputs that interpolate, for small sets.

    The trace is that of the Hessian of (1/n) sum_i |f(x_i) - y_i|^2; the mean over outputs too is 1/K of it.

    Args:
        x: inputs, (n, d).
        y: labels, (n, K).
        architecture: "no-bias" or "bias".
        kinks: "differentiable" or "relu'(0)=0".
        limit: the most patterns.
        cones: whether the bound knows the cones; without them it is the relaxation by nuclear norms.

    Returns:
        The bounds, whose `certificate()` proves them.

    Raises:
        Infeasible: if no network fits the labels exactly.
        TooManyPatterns: with the count.
        NotRealized: if double precision does not suffice.
        ValueError: for NaN, shapes, unknown names, Sim-BN.
    """
    labels = np.asarray(y, float)
    if labels.ndim != 2 or not labels.shape[1]:
        raise ValueError(f"labels of several outputs must have shape (n, K), got {labels.shape}")
    settings = [Setting.of(x, column, architecture, kinks) for column in labels.T]
    setting = settings[0]
    if setting.architecture == "sim-bn":
        raise ValueError('architecture must be no-bias or bias, got "sim-bn"')
    for each in settings:
        check_feasible(each)
    points = setting.points
    patterns = (cells if setting.differentiable else faces)(points, limit)
    signs = np.unique(np.where(patterns.signs > 0, 1, -1).astype(np.int8), axis=0)
    signs = signs[(signs > 0).any(axis=1)]
    costs = np.sqrt(labels.shape[1]) * prices(setting.architecture, points, signs)
    exact = decimal_rows(setting.architecture, setting.x)
    sets = [program.on_set(points, exact, row) for row in signs]
    return Outputs(setting, labels, patterns, sets, costs, program.relaxed(points, labels, sets, costs, cones))


def _members(signs: Signs) -> tuple[int, ...]:
    return tuple(np.flatnonzero(signs > 0).tolist())


def _fractions(row: Sequence[Any]) -> Rationals:
    return [Fraction(c) for c in row]


def _rounded(case: OnSet, table: Array) -> Products:
    """N of the samples in short numbers, from N of the forms."""
    size = np.abs(case.table).max(axis=1)
    shares = table * size[:, None] * size
    out: Products = {}
    for k, m in zip(*np.nonzero(np.triu(shares) > LEAST * shares.max(initial=0.0)), strict=True):
        value = brief(float(table[k, m])) * (1 if k == m else 2)
        for i, a in case.forms[k].items():
            for j, b in case.forms[m].items():
                pair = (min(i, j), max(i, j))
                out[pair] = out.get(pair, ZERO) + value * a * b
    return dict(sorted(out.items()))


def _written(products: Products) -> dict[str, Any]:
    return {f"{i},{k}": number(value) for (i, k), value in products.items()}
