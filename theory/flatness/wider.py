"""Owns flattest networks of other objectives and of fits within a tolerance, with certificates, for sets of few patterns.

`flattest_for` solves the cone program over all patterns (whole_program.py); certificates are of format 4 of theory/check_certificate.py,
which tells what proves what. As for the trace (certificate.py), dual points are shortened to rational numbers, every pattern is proved with
multipliers near those of a floating-point projection, and the dual point is shrunk by what the worst proof needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flatproof.theory.check_certificate import HALVES, WIDER, Data, Prediction, check, digest, statement
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.certificate import Problem, Proof, decimal_rows, neurons_written, shrinkage
from flatproof.theory.flatness.exact_metrics import Metrics
from flatproof.theory.flatness.exact_networks import Networks
from flatproof.theory.flatness.exact_predictions import ExactPoint, Neuron
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.neurons import Array, Signs
from flatproof.theory.flatness.objectives import Objective, Tolerance, exact_metric, metrics
from flatproof.theory.flatness.patterns import Patterns, cells, faces, positive_sets
from flatproof.theory.flatness.projection import project_linear
from flatproof.theory.flatness.rational import ONE, ZERO, Rationals, common, dot, number, numbers, root, short
from flatproof.theory.flatness.setting import Answer, Setting
from flatproof.theory.flatness.whole_program import Solved, Wanted, extreme, least

LIMIT = 2_000  # patterns in one program, unless told otherwise
FLOOR = 1e-12  # of the largest eigenvalue of M_D, in the projection
WITNESS = 1e-6  # of the largest label: networks at an end of a range fit within a tolerance that is smaller by this
POLISHED = Fraction(1, 10**4)  # how much dearer than the solution a network may be whose neurons are weighted anew, relative
METRIC_BITS = 30  # binary digits of P


@dataclass(frozen=True)
class Range:
    """What is proved of predictions at one point.

    Attributes:
        x: the point, (d,).
        low, high: f(x) of every network within `within` of the least is between them; infinite where there is no bound.
        reached: predictions of networks that are so near, small and large; NaN where none was made.
        entry: of the certificate.
    """

    x: Array
    low: float
    high: float
    reached: tuple[float, float]
    entry: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Wider(Answer):
    """The least value of an objective over the networks that fit.

    Attributes:
        setting: the problem.
        objective: what is minimized; tolerance: how well networks fit.
        patterns: every activation pattern.
        signs: the on-sets among them, entries -1 and 1, (M, n).
        solved: the cone program's solution.
    """

    objective: Objective
    tolerance: Tolerance
    patterns: Patterns = field(repr=False)
    signs: Signs = field(repr=False)
    solved: Solved = field(repr=False)

    @property
    def value(self) -> float:
        """The least value, as floating point has it."""
        return self.solved.value

    @property
    def lower(self) -> Fraction:
        """No network that fits has a smaller value: proved in rational numbers."""
        return self._bound[1]

    @property
    def upper(self) -> Fraction:
        """The value of `neurons`, or more."""
        return self._total(self.neurons)

    # ------------------------------------------------------------------------------------------------------ what is exact

    @cached_property
    def rows(self) -> list[Rationals]:
        """The points as the decimal fractions that they print as, the constant 1 appended where there is a bias."""
        return decimal_rows(self.architecture, self.x)

    @cached_property
    def head(self) -> dict[str, Any]:
        """The fields of the certificate that say what it is about."""
        d = self.x.shape[1]
        inputs, labels = [numbers(row[:d]) for row in self.rows], numbers([decimal(label) for label in self.y.tolist()])
        out = {
            "architecture": self.architecture,
            "kinks": self.kinks,
            "data_sha256": digest(inputs, labels),
            "x": inputs,
            "y": labels,
        }
        wanted = self.objective
        if wanted != Objective():
            written: Any = {"trace": number(decimal(wanted.trace)), "squares": number(decimal(wanted.squares))}
            if self.solved.metric is not None:
                weight = decimal(wanted.lambda_max)
                metric = [numbers(row) for row in exact_metric(self.solved.metric, weight, METRIC_BITS)]
                written |= {"lambda_max": number(weight), "metric": metric, "eigenvalue": 0}
            if wanted.inner is not None:
                written["inner"] = [numbers(row) for row in wanted.inner]
            out["objective"] = written
        return out if self.tolerance.exact else out | {"tolerance": self.tolerance.written()}

    @cached_property
    def metrics(self) -> Metrics:
        """The on-sets as the checker has them."""
        return Metrics(Data(self.head))

    @cached_property
    def _floats(self) -> tuple[Array, Array]:
        """M_D and c_D in floating point."""
        matrices, heads = metrics(self.setting.points, self.signs > 0, self.objective, self.solved.metric)
        return matrices, 4 / len(self.y) * np.sqrt(heads)

    @cached_property
    def factors(self) -> Array:
        """F of each on-set with F' F the inverse of M_D, its eigenvalues floored, (M, p, p)."""
        values, vectors = np.linalg.eigh(self._floats[0])
        with np.errstate(divide="ignore"):
            scale = np.where(values[:, -1:] > 0, 1 / np.sqrt(np.maximum(values, FLOOR * values[:, -1:])), 0.0)
        return np.ascontiguousarray(scale[:, :, None] * vectors.transpose(0, 2, 1))

    @cached_property
    def on_sets(self) -> list[tuple[int, ...]]:
        """The members of each on-set."""
        return [tuple(np.flatnonzero(row > 0).tolist()) for row in self.signs]

    @cached_property
    def _bound(self) -> tuple[Rationals, Fraction, dict[tuple[tuple[int, ...], int], dict[str, Any]]]:
        """The dual point, the lower bound, and proofs by on-set and sign as JSON has them."""
        metrics, proofs, worst = self.metrics, dict[tuple[tuple[int, ...], int], Proof](), ZERO
        dual = [short(value) for value in self.solved.dual.tolist()]
        on = self.signs > 0
        for s in (1, -1):
            _, mu, _ = self._projected(s * (on * self.solved.dual) @ self.setting.points)
            for m, members in enumerate(self.on_sets):
                if not members:
                    continue
                price = metrics.price(members)
                squares = sum((max(s * dual[i], ZERO) ** 2 for i in members), ZERO)
                if squares <= Fraction(*metrics.of(members).simple):
                    continue
                g = [s * c for c in metrics.linear(members, dual)]
                proof = metrics.prove(members, g, mu[m], price)
                worst = max(worst, proof.square / price)
                proofs[members, s] = proof
        theta = shrinkage(worst)
        dual = [theta * value for value in dual]
        lower = dot(self.metrics.data.y, dual) - self._loss(dual)
        return dual, lower, {key: metrics.written(proof, theta) for key, proof in proofs.items()}

    def _projected(self, gradients: Array, extra: Array | None = None) -> tuple[Array, Array, Array]:
        """`project_linear` of (M, p) on every pattern, on the positive side of one more row if there is one."""
        points, signs = self.setting.points, self.signs
        if extra is not None:
            points, signs = np.vstack([points, extra]), np.hstack([signs, np.ones((len(signs), 1), np.int8)])
        return project_linear(points, signs, gradients, self.factors, np.zeros(len(signs), bool))

    def _loss(self, dual: Rationals) -> Fraction:
        """What dual . f(X) may fall short of dual . y."""
        if self.tolerance.mean_square:
            return root(len(dual) * decimal(self.tolerance.mean_square) * dot(dual, dual))
        return decimal(self.tolerance.each) * sum(map(abs, dual), ZERO)

    # ------------------------------------------------------------------------------------------------------------ networks

    @cached_property
    def networks(self) -> Networks:
        """What makes solutions exact."""
        metric = self.solved.metric
        return Networks(self.setting, self.objective, self.tolerance, self.patterns, self.signs, self.metrics, self.rows, metric)

    @cached_property
    def neurons(self) -> list[Neuron]:
        """A network that fits exactly, nearly as flat as can be: v, output sign, and its cost, or a where lambda_max is bounded.

        Raises:
            ValueError: where none fits exactly.
        """
        if self.objective.lambda_max:
            return self.networks.exact(self.solved, polish=False)
        polished = self.networks.exact(self.solved, polish=True)
        near = (1 + POLISHED) * Fraction(self.solved.value)
        if not self.tolerance.exact or self.networks.total(polished, ZERO) <= near:
            return polished
        plain = self.networks.exact(self.solved, polish=False)
        return min(polished, plain, key=lambda network: self.networks.total(network, ZERO))

    @cached_property
    def eigenvalue(self) -> Fraction:
        """A bound on the largest eigenvalue of `neurons`, closely."""
        return self.networks.eigenvalue(self.neurons)

    def _total(self, network: Sequence[Neuron]) -> Fraction:
        """The value of a network, at most."""
        return self.networks.total(network, self.eigenvalue if self.objective.lambda_max else ZERO)

    # --------------------------------------------------------------------------------------------------------- predictions

    def range(self, x: ArrayLike, within: float, witness: int = -1) -> Range:
        """What networks within `within` of the least value predict at a point.

        Args:
            x: the point, (d,).
            within: relative, of `upper`.
            witness: the end, 1 or -1, that the certificate has a network at.

        Returns:
            The range, with its proofs.

        Raises:
            ValueError: for an objective with lambda_max, and within < 0.
        """
        if self.objective.lambda_max:
            raise ValueError("predictions do not go with lambda_max: expected an objective without it")
        if not 0 <= within < np.inf:
            raise ValueError(f"within must be a number >= 0, got {within}")
        at = np.asarray(x, float)
        row = decimal_rows(self.architecture, at[None])[0]
        entry: dict[str, Any] = {"x": numbers(row[: len(at)]), "statement": None}
        low, high, reached = -np.inf, np.inf, (np.nan, np.nan)
        place = ExactPoint(False, self.rows, self.metrics.data.y, row).place
        beta = place.beta if place.ray is None else {place.ray[0]: place.ray[1]}
        if place.ray is not None and self.tolerance.exact:
            value = place.ray[1] * self.metrics.data.y[place.ray[0]]
            entry["ray"] = {"of": place.ray[0], "times": number(place.ray[1])}
            low = high = float(value)
            reached = (low, low)
        elif place.direction is not None and not self.objective.squares:
            entry["direction"] = numbers(place.direction)
        else:
            if not self.objective.squares or beta is not None:
                entry["cone"] = {str(i): number(b) for i, b in sorted((beta or {}).items())}
            most = (ONE + decimal(within)) * self.upper
            ends, networks = dict[int, Fraction](), list[list[Neuron]]()
            for e, name in ((-1, "low"), (1, "high")):
                entry[name], ends[e] = self._end(row, e, most, beta)
                networks.append(self._near(row, e, within))
            values = [sum((s * max(dot(row, v), ZERO) for v, s, _ in network), ZERO) for network in networks]
            low, high = float(-ends[-1]), float(ends[1])
            reached = (float(values[0]), float(values[1]))
            entry["witness"] = neurons_written(max(zip(values, networks, strict=True), key=lambda pair: witness * pair[0])[1])
        return Range(at, low, high, reached, entry)

    def _wanted(self) -> Wanted:
        return Wanted(self.setting.points, self.y, self.signs, self.objective, self.tolerance)

    def _end(self, q: Rationals, e: int, most: Fraction, beta: dict[int, Fraction] | None) -> tuple[dict[str, Any], Fraction]:
        """The bound on e f(q), with its proofs as JSON has them."""
        data, metrics = self.metrics.data, self.metrics
        at, scale = np.array([float(c) for c in q]), common(q)[1]
        solved = extreme(self._wanted(), at, e, float(most))
        dual = [short(value) for value in solved.dual.tolist()]
        on = self.signs > 0
        linear = (on * solved.dual) @ self.setting.points
        worst, proofs = short(solved.tau) ** 2, dict[str, list[Any]]()
        for h, (s, side) in enumerate(HALVES):
            gain = e * s if side > 0 else 0
            extra = [[int(side * c * scale * data.scale) for c in q]]
            _, mu, _ = self._projected(gain * at - s * linear, np.array([float(c) / data.scale for c in extra[0]]))
            for m, members in enumerate(self.on_sets):
                shares = (beta or {}) if gain > 0 else {}
                terms = (max(shares.get(i, ZERO) - s * dual[i], ZERO) for i in members)
                simple = Fraction(*metrics.of(members).simple) * worst
                if (gain <= 0 or beta is not None) and sum((t * t for t in terms), ZERO) <= simple:
                    continue
                g = [gain * c - s * b for c, b in zip(q, metrics.linear(members, dual), strict=True)]
                price = metrics.price(members)
                proof = metrics.prove(members, g, mu[m], worst * price, extra)
                if proof.square:
                    worst = max(worst, proof.square / price)
                written = metrics.written(proof, query=True)
                written["nu"] = number(Fraction(written["nu"]) * scale)
                proofs.setdefault(",".join(map(str, members)), [None] * 4)[h] = written
        tau = root(worst)
        bound = dot(data.y, dual) + self._loss(dual) + tau * most
        return {"bound": number(bound), "dual": numbers(dual), "tau": number(tau), "proofs": proofs}, bound

    def _near(self, q: Rationals, e: int, within: float) -> list[Neuron]:
        """A network within `within` of the lower bound whose prediction is small or large; the flattest if none is made."""
        at = np.array([float(c) for c in q])
        limit = (ONE + decimal(within)) * self.lower
        wanted = replace(self._wanted(), tolerance=self.networks.tightened(WITNESS))
        for share in (0.999, 0.99, 0.9, 0.5):
            solved = extreme(wanted, at, e, float(self.lower) * (1 + share * within))
            network = self.networks.exact(solved, polish=False)
            if self._total(network) <= limit and self.networks.fits(network):
                return network
        return self.neurons

    # --------------------------------------------------------------------------------------------------------- certificate

    def certificate(self, ranges: Sequence[Range] = (), within: float = 0.0, labels: ArrayLike | None = None) -> dict[str, Any]:
        """The certificate, ready for JSON.

        Args:
            ranges: what is proved of predictions.
            within: that they were asked for.
            labels: of their points, (k,), if it is to say whether all networks have these signs.

        Returns:
            The certificate, which the checker has accepted.

        Raises:
            check_certificate.Invalid: if the checker does not.
        """
        dual, lower, proofs = self._bound
        patterns = cells(self.setting.points) if self.setting.differentiable else faces(self.setting.points)
        entries = list[dict[str, Any]]()
        left = dict(proofs)
        shown = Problem(False, self.rows).short_witnesses(patterns.signs, patterns.witnesses)
        for w, row in zip(shown, (patterns.signs > 0).tolist(), strict=True):
            on = tuple(i for i, inside in enumerate(row) if inside)
            entries.append({"w": numbers(w), "plus": left.pop((on, 1), None), "minus": left.pop((on, -1), None)})
        head, upper = dict(self.head), self.upper
        if self.objective.lambda_max:
            head["objective"] = head["objective"] | {"eigenvalue": number(self.eigenvalue)}
            network = [{"v": numbers(v), "sign": sign, "a": number(a)} for v, sign, a in self.neurons]
        else:
            network = neurons_written(self.neurons)
        data = self.metrics.data
        said = statement(self.architecture, self.kinks, data.n, data.d, lower, upper, str(data.objective), str(data.tolerance))
        out = {"format": WIDER, "statement": said, **head, "dual": numbers(dual), "lower": number(lower), "upper": number(upper)}
        out |= {"neurons": network, "patterns": entries}
        if ranges:
            out |= {"within": number(decimal(within)), "predictions": self._predictions(ranges, within, upper)}
            if labels is not None:
                out["decision"] = self._decision(out["predictions"], np.asarray(labels, float), within, upper)
        check(out)
        return out

    def _cases(self, entries: Sequence[dict[str, Any]], within: float, upper: Fraction) -> Iterator[Prediction]:
        """Entries as the checker reads them."""
        active = sorted({*self.on_sets, *([] if self.setting.differentiable else [()])})
        for entry in entries:
            yield Prediction(self.metrics.data, entry, "the prediction", active, decimal(within), self.lower, upper)

    def _predictions(self, ranges: Sequence[Range], within: float, upper: Fraction) -> list[dict[str, Any]]:
        entries = [each.entry for each in ranges]
        return [
            entry | {"statement": case.statement}
            for entry, case in zip(entries, self._cases(entries, within, upper), strict=True)
        ]

    def _decision(self, entries: Sequence[dict[str, Any]], labels: Array, within: float, upper: Fraction) -> dict[str, Any]:
        """Whether all networks have the labels' signs, as far as it is proved."""
        right, wrong = [], []
        for label, case in zip(labels, self._cases(entries, within, upper), strict=True):
            end = case.low if label > 0 else None if case.high is None else -case.high
            right.append(end is not None and end > 0)
            reached = case.reached if case.reached is not None else case.low if case.low == case.high else None
            wrong.append(case.unbounded or (reached is not None and float(reached) * label <= 0))
        answer = "all" if all(right) else "not all" if any(wrong) else "undecided"
        return {"labels": numbers([decimal(label) for label in labels.tolist()]), "answer": answer}


def flattest_for(
    x: ArrayLike,
    y: ArrayLike,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    objective: Objective | None = None,
    tolerance: Tolerance | None = None,
    limit: int = LIMIT,
) -> Wider:
    """The least value of an objective over two-layer ReLU networks that fit labels, for small sets.

    Args:
        x: inputs, (n, d).
        y: real labels, (n,).
        architecture: "no-bias" or "bias".
        kinks: "differentiable" or "relu'(0)=0".
        objective: what is minimized; the trace if none is given.
        tolerance: how well networks have to fit; exactly if none is given.
        limit: the most patterns.

    Returns:
        The answer, whose `certificate()` proves it.

    Raises:
        Infeasible: if no network fits the labels exactly and there is no tolerance.
        TooManyPatterns: with the count.
        NotRealized: if double precision does not suffice.
        ValueError: for NaN, shapes, unknown names, Sim-BN, a tolerance together with lambda_max, an `inner` of another size.
    """
    setting = Setting.of(x, y, architecture, kinks)
    objective, tolerance = objective or Objective(), tolerance or Tolerance()
    if setting.architecture == "sim-bn":
        raise ValueError('architecture must be no-bias or bias, got "sim-bn": its prices are those of the trace alone')
    if objective.inner is not None and len(objective.inner) != setting.points.shape[1]:
        raise ValueError(f"inner must have {setting.points.shape[1]} rows, got {len(objective.inner)}")
    if objective.lambda_max and not tolerance.exact:
        raise ValueError("lambda_max is bounded at interpolation; expected no tolerance")
    if tolerance.exact:
        check_feasible(setting)
    patterns = cells(setting.points, limit) if setting.differentiable else positive_sets(setting.points, limit)[0]
    if objective.squares and not setting.differentiable:
        patterns = _with_silent(patterns)
    signs = np.where(patterns.signs > 0, 1, -1).astype(np.int8)
    solved = least(Wanted(setting.points, setting.y, signs, objective, tolerance))
    if solved.metric is not None:
        weight = decimal(objective.lambda_max)
        exact = exact_metric(solved.metric, weight, METRIC_BITS)
        metric = np.array([[float(entry) for entry in row] for row in exact])
        again = least(Wanted(setting.points, setting.y, signs, objective, tolerance, metric))
        solved = replace(solved, dual=again.dual, metric=metric)
    return Wider(setting, objective, tolerance, patterns, signs, solved)


def _with_silent(patterns: Patterns) -> Patterns:
    """The patterns and the empty on-set: neurons that no sample sees have a price with weights on squares, and may be seen elsewhere.

    It is missing where the origin is the only face that has it: then these are orthogonal to all samples.
    """
    if not (patterns.signs > 0).any(axis=1).all():
        return patterns
    rows = (np.vstack([part, np.zeros((1, part.shape[1]), part.dtype)]) for part in (patterns.signs, patterns.witnesses))
    return Patterns(*rows)
