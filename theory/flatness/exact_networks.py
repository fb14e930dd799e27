"""Owns networks in rational numbers made from solutions of whole_program.py: off the kinks that they must not have, exact in what they fit.

A solution's neurons are moved onto the kinks that they are on but for rounding, then, where no sample may be on one, slightly into their
cells. Those of networks that interpolate are corrected until they do (certificate.py); fits within a tolerance are made within one that is
slightly smaller, and only shortened.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.check_certificate import Invalid
from flatproof.theory.flatness.certificate import Problem
from flatproof.theory.flatness.column_generation import seen
from flatproof.theory.flatness.exact_metrics import Metrics
from flatproof.theory.flatness.exact_predictions import Neuron
from flatproof.theory.flatness.linear_programs import vertex
from flatproof.theory.flatness.neurons import Array, NotRealized, Signs
from flatproof.theory.flatness.objectives import Objective, Tolerance, metrics
from flatproof.theory.flatness.patterns import Patterns
from flatproof.theory.flatness.rational import ZERO, Rationals, Whole, dot, root, short
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.flatness.whole_program import Solved

INWARD = 1e-9  # of a neuron's size: how far it is moved off its kinks
INTO_FACE = 1e-8  # likewise, where samples may be on kinks: farther than what is taken to be on one
ON_KINK = 1e-5  # |x_i . v| / |x_i| up to which a neuron of size 1 is taken to be on the kink
ZERO_THERE = 1e-10  # activations of neurons of size 1 up to which they are 0, where samples may be on kinks
SHORTEST = 1e-7  # neurons below this share of the longest are left out
TIGHTER = 1e-8  # of the largest label: networks in floating point fit within a tolerance that is smaller by this
ALIKE = 1 - 1e-6  # cosine from which a neuron is taken for one of the solution's
UNIT = 2**64  # upper bounds with lambda_max are multiples of 1 / UNIT
SPARE = Fraction(1, 2**34)  # how much above the eigenvalue of floating point a bound on it is taken, relative


@dataclass(frozen=True, eq=False)
class Networks:
    """One problem, as whole_program.py and Metrics have it."""

    setting: Setting
    objective: Objective
    tolerance: Tolerance
    patterns: Patterns
    signs: Signs
    metrics: Metrics
    rows: list[Rationals]
    metric: Array | None

    @cached_property
    def interior(self) -> Array:
        """A neuron inside each pattern, (M, p), of size 1."""
        inside = self.patterns.witnesses.astype(float)
        return inside / np.maximum(np.abs(inside).max(axis=1, keepdims=True), np.finfo(float).tiny)

    def tightened(self, share: float) -> Tolerance:
        """The tolerance less what rounding and shortening may take, a share of the largest label."""
        less, given = share * self.setting.top, self.tolerance
        if given.mean_square:
            size = float(np.sqrt(given.mean_square))
            return Tolerance(mean_square=max(size - less, size / 2) ** 2)
        return Tolerance(each=max(given.each - less, given.each / 2))

    @cached_property
    def _problem(self) -> Problem:
        return Problem(False, self.rows)

    @cached_property
    def _spare(self) -> Whole:
        return self._problem.short_witnesses(self.patterns.signs, self.patterns.witnesses)

    def exact(self, solved: Solved, polish: bool) -> list[Neuron]:
        """A floating-point solution as a network in rational numbers.

        Args:
            solved: the solution; with a tolerance and without polish one for a `tightened` one.
            polish: whether its neurons are weighted anew by a linear program at their present costs.

        Returns:
            v, output sign, and the cost, or a where lambda_max is bounded.

        Raises:
            ValueError: where no network interpolates exactly.
            NotRealized: where none is found within the tolerance.
        """
        if polish and not self.objective.squares:  # directions that no active sample sees cost nothing
            v = [seen(self.setting.points, self.signs[k], v) for k, v in zip(solved.pattern, solved.v, strict=True)]
            solved = replace(solved, v=np.array(v))
        size = np.abs(solved.v).max(axis=1)
        used = np.flatnonzero(size > SHORTEST * size.max())
        units = np.array([self._settled(v) for v in solved.v[used] / size[used, None]])
        sides, weights = solved.sides[used], size[used]
        if (
            self.setting.differentiable or self.objective.lambda_max
        ):  # the largest eigenvalue may be smaller with more active samples
            step = INWARD if self.setting.differentiable else INTO_FACE
            units = units + step * self.interior[solved.pattern[used]]
        else:
            solved, units = self._merged(used, units, solved)
            sides, weights = solved.sides, np.abs(solved.v).max(axis=1)
        alpha = sides * weights
        if not self.tolerance.exact:
            return self._within(units, alpha, solved, polish)
        quiet = 0.0 if self.setting.differentiable else ZERO_THERE * np.linalg.norm(self.setting.points, axis=1)
        unseen = (units @ self.setting.points.T <= quiet).all(axis=1)
        silent = [(u, a) for u, a in zip(units[unseen], alpha[unseen], strict=True)]
        units, alpha = units[~unseen], alpha[~unseen]
        if polish:
            units, alpha = self._reweighted(units, alpha, self.setting.y) or (units, alpha)
        fit = self._problem.network(units, alpha, self._spare, self.metrics.data.y, self.setting.differentiable)
        network = [self._priced(v, sign, solved) for v, sign, _ in fit]
        if polish:
            return network
        return network + [self._priced(self._shortened(u, a), int(np.sign(a)), solved) for u, a in silent]

    def _settled(self, v: Array) -> Array:
        """A neuron of size 1 moved onto the kinks that it is on but for what the solver leaves."""
        points = self.setting.points
        kink = points[np.abs(points @ v) <= ON_KINK * np.linalg.norm(points, axis=1)]
        moved = v - np.linalg.pinv(kink) @ (kink @ v) if len(kink) else v
        return moved if np.abs(moved).max() > 0.5 else v

    def _shortened(self, unit: Array, weight: float) -> Rationals:
        """|weight| unit in short numbers; where samples may be on kinks, with those there exactly that are to rounding."""
        if self.setting.differentiable:
            return [short(float(abs(weight) * c)) for c in unit]
        whole = self._problem.settled(unit)
        factor = short(float(abs(weight) * np.abs(unit).max())) / max(map(abs, whole))
        return [factor * c for c in whole]

    def _merged(self, used: NDArray[np.intp], units: Array, solved: Solved) -> tuple[Solved, Array]:
        """Neurons of one direction and output sign as one, whatever patterns they are counted in: it has their v and their a^2."""
        keys = np.round(np.column_stack([units, solved.sides[used]]), 6) + 0.0
        _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        v, squares = np.zeros((len(first), units.shape[1])), np.zeros(len(first))
        np.add.at(v, group, solved.v[used])
        np.add.at(squares, group, solved.a[used] ** 2)
        chosen = used[first]
        return replace(solved, v=v, a=np.sqrt(squares), sides=solved.sides[chosen], pattern=solved.pattern[chosen]), units[first]

    def _within(self, units: Array, alpha: Array, solved: Solved, polish: bool) -> list[Neuron]:
        """Neurons that fit within the tolerance as they are."""
        if polish:
            less = self.tightened(TIGHTER)
            size = float(np.sqrt(less.mean_square / self.tolerance.mean_square)) if less.mean_square else 0.0
            target = self.setting.y - size * solved.missed
            found = self._reweighted(units, alpha, target, less.each or TIGHTER / 2 * self.setting.top)
            if found is None:
                raise NotRealized("no network was found within the tolerance: it is too small")
            units, alpha = found
        return [self._priced(self._shortened(u, a), int(np.sign(a))) for u, a in zip(units, alpha, strict=True)]

    def _reweighted(self, units: Array, alpha: Array, target: Array, tolerance: float = 0.0) -> tuple[Array, Array] | None:
        """The cheapest combination of the neurons and of those inside every pattern, each entry within the tolerance; None without one."""
        points, inside = self.setting.points, self.interior[(self.patterns.signs > 0).any(axis=1)]
        signs = np.concatenate([np.sign(alpha), np.repeat([1.0, -1.0], len(inside))])
        weights = np.vstack([units, inside, inside])
        z = weights @ points.T
        outputs = np.where(z > (0.0 if self.setting.differentiable else ZERO_THERE), z, 0)
        matrices, heads = metrics(points, outputs > 0, self.objective, self.metric)
        cost = 4 / len(target) * np.sqrt(heads * np.maximum(np.einsum("kp,kpq,kq->k", weights, matrices, weights), 0))
        length = np.linalg.norm(outputs, axis=1)
        kept = np.flatnonzero(length > 0)
        signs, weights, cost, length = signs[kept], weights[kept], cost[kept], length[kept]
        found = vertex(signs * outputs[kept].T / length, cost / length, target, tolerance)
        if found is None:
            return None
        chosen = np.flatnonzero(found)
        return weights[chosen], (signs / length * found)[chosen]

    def _priced(self, v: Rationals, sign: int, solved: Solved | None = None) -> Neuron:
        """A neuron with what it costs, or where lambda_max is bounded with a: that of the solution's neuron which is most like it."""
        on = tuple(i for i, row in enumerate(self.metrics.data.x) if dot(row, v) > 0)
        if not self.objective.lambda_max:
            return v, sign, root(self.metrics.price(on) * self.metrics.length(on, v))
        w, points = np.array([float(c) for c in v]), self.setting.points
        size, active = float(np.linalg.norm(w)), points[list(on)]
        if solved is not None:
            lengths = np.linalg.norm(solved.v, axis=1)
            same = (solved.sides == sign) & (lengths > SHORTEST * lengths.max())
            same &= ((self.signs[solved.pattern] > 0) == np.isin(np.arange(len(points)), on)).all(axis=1)
            like = np.where(same, solved.v @ w / np.maximum(lengths * size, np.finfo(float).tiny), -1.0)
            best = int(np.argmax(like))
            if like[best] > ALIKE and solved.a[best] > 0:
                return v, sign, short(float(solved.a[best] * np.sqrt(size / lengths[best])))
        return v, sign, short(float(np.sqrt(np.linalg.norm(active @ w) / np.linalg.norm(active))))

    def fits(self, network: Sequence[Neuron]) -> bool:
        """Whether a network fits as well as it has to, exactly."""
        data = self.metrics.data
        output = [sum((s * max(dot(row, v), ZERO) for v, s, _ in network), ZERO) for row in data.x]
        try:
            data.tolerance.compare(output, data.y, "neurons")
        except Invalid:
            return False
        return True

    def _kernel(self, network: Sequence[Neuron]) -> Array:
        """K of a network with a, in floating point, (n, n)."""
        data, n, points = self.metrics.data, len(self.setting.y), self.setting.points
        kernel = np.zeros((n, n))
        for v, _, a in network:
            on = np.array([dot(row, v) > 0 for row in data.x])
            h = on * np.array([float(dot(row, v) / a) for row in data.x])
            kernel += 2 / n * (float(a) ** 2 * np.outer(on, on) * (points @ points.T) + np.outer(h, h))
        return kernel

    def eigenvalue(self, network: Sequence[Neuron]) -> Fraction:
        """A bound on the largest eigenvalue of a network with a that interpolates, closely."""
        return Fraction(float(np.linalg.eigvalsh(self._kernel(network))[-1])) * (1 + SPARE)

    def trace(self, network: Sequence[Neuron]) -> float:
        """The trace of a network with a that interpolates."""
        return float(np.trace(self._kernel(network)))

    def total(self, network: Sequence[Neuron], eigenvalue: Fraction) -> Fraction:
        """The value of a network, at most.

        Args:
            network: the network.
            eigenvalue: a bound on its largest eigenvalue; not read where the objective does not have it.
        """
        if not self.objective.lambda_max:
            return sum((cost for _, _, cost in network), ZERO)
        data = self.metrics.data
        data.objective.eigenvalue = eigenvalue
        least = data.objective.of([(v, a, tuple(i for i, row in enumerate(data.x) if dot(row, v) > 0)) for v, _, a in network])
        return Fraction(int(least * UNIT) + 1, UNIT)
