"""Owns bounds on predictions in rational numbers, and witnesses: floating-point dual points and neurons turned into proofs.

What a prediction's entry in a certificate says and why is told where it is checked, in theory/check_certificate.py. The numbers come
from range_program.py; a dual point is taken as it is, every half cell is proved with multipliers near those of the
floating-point projection (certificate.py), and tau is what the worst proof needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.check_certificate import HALVES
from flatproof.theory.flatness.certificate import Problem, Proof
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.rational import ONE, ZERO, Rationals, as_whole, common, dot, nearest, number, numbers, root

CLEAR = 1e-9  # proofs by Cauchy-Schwarz are taken where they hold with this much to spare, squared: rounding decides none
LOOSE = Fraction(
    1, 2**30
)  # a proof is improved where it needs a tau that is larger by this share, squared, than the numbers had it
Neuron = tuple[Rationals, int, Fraction]  # v, output sign, cost


@dataclass(frozen=True)
class Place:
    """Where a point q lies: on the ray of a sample, in the cone of the samples, or outside it.

    Attributes:
        ray: index of a sample and c >= 0 with q = c x_i.
        beta: weights >= 0 of samples with q = sum_i beta_i x_i.
        direction: w (p,) with w . q > 0 and w . x_i <= 0 for all i.
    """

    ray: tuple[int, Fraction] | None = None
    beta: dict[int, Fraction] | None = None
    direction: Rationals | None = None


@dataclass(frozen=True)
class End:
    """A bound on e f(q) over networks of trace at most U: bound = dual . y + tau U, with its proofs as JSON has them."""

    bound: Fraction
    dual: Rationals
    tau: Fraction
    proofs: dict[str, list[Any]]

    def written(self) -> dict[str, Any]:
        """For JSON."""
        return {"bound": number(self.bound), "dual": numbers(self.dual), "tau": number(self.tau), "proofs": self.proofs}


class ExactPoint:
    """One point q (p,) and the samples, rows (n, p) with labels y (n,), in whole numbers over one denominator."""

    def __init__(self, one_price: bool, rows: list[Rationals], y: Rationals, q: Rationals) -> None:
        self.problem, self.y, self.q = Problem(one_price, rows, q), y, q
        self.whole = [int(c * self.problem.scale) for c in q]
        self.place = self._place()

    def _place(self) -> Place:
        """By projecting q on {v : x_i . v <= 0}, the polar cone, in exact arithmetic; ArithmeticError if that cycles."""
        points, p = self.problem.points, self.problem.p
        for i, row in enumerate(points):
            k = max(range(p), key=lambda k: abs(row[k]))
            c = Fraction(self.whole[k], row[k]) if row[k] else ZERO
            if c >= 0 and self.whole == [c * value for value in row]:
                return Place(ray=(i, c))
        if not any(self.whole):
            return Place(ray=(0, ZERO))
        identity = [[int(j == k) for k in range(p)] for j in range(p)]
        solution = nearest(identity, self.q, [[-c for c in row] for row in points])
        if solution is None:
            raise ArithmeticError("the projection of a point on the samples' polar cone cycles")
        v, mu = solution
        if any(v):
            return Place(direction=[Fraction(c) for c in as_whole(v)])
        return Place(beta={i: m * self.problem.scale for i, m in mu.items() if m})

    def end(self, e: int, most: Fraction, dual: Array, tau: float, active: NDArray[np.bool_], multipliers: Array) -> End:
        """The bound on e f(q), e = 1 or -1, that a dual point proves.

        Args:
            e: which end.
            most: U.
            dual: lambda (n,).
            tau: what it needs up to rounding.
            active: on-sets, (M, n).
            multipliers: mu and nu of the projections, (4, M, n + 1), in the order of HALVES.

        Returns:
            The bound with its proofs.

        Raises:
            ArithmeticError: where a half cell has no proof.
        """
        problem, beta = self.problem, self.place.beta
        assert beta is not None
        exact = [Fraction(value) for value in dual.tolist()]
        weights = np.array([float(beta.get(i, ZERO)) for i in range(problem.n)])
        (shares,), denominator = common(exact)
        products = [[value * c for c in row] for value, row in zip(shares, problem.points, strict=True)]
        price = np.array([float(problem.price(np.flatnonzero(row).tolist())) for row in active])
        proofs: dict[str, list[Any]] = {}
        worst = Fraction(tau) ** 2
        for h, (s, side) in enumerate(HALVES):
            gain = e * s if side > 0 else 0
            terms = np.maximum((weights if gain > 0 else 0) - s * dual, 0)
            clear = active @ terms**2 <= (1 - CLEAR) * tau**2 * price
            extra = [[side * c for c in self.whole]]
            for m in np.flatnonzero(~clear):
                on = tuple(np.flatnonzero(active[m]).tolist())
                sums = [sum(products[i][k] for i in on) for k in range(problem.p)]
                target = [Fraction(gain * denominator * c - s * b, denominator) for c, b in zip(self.whole, sums, strict=True)]
                proof = self._proof(on, target, multipliers[h, m], extra, worst * problem.price(on))
                worst = max(worst, proof.square / problem.price(on))
                proofs.setdefault(",".join(map(str, on)), [None] * 4)[h] = self._written(proof)
        needed = root(worst)
        bound = sum((a * b for a, b in zip(exact, self.y, strict=True)), ZERO) + needed * most
        return End(bound, exact, needed, proofs)

    def _proof(self, on: Sequence[int], target: Rationals, mu: Array, extra: list[list[int]], enough: Fraction) -> Proof:
        """The proof with multipliers near those given, or the shortest where that is much shorter or the other fails."""
        proof = self.problem.rounded(on, target, mu, extra)
        if proof is not None and proof.square <= enough * (ONE + LOOSE):
            return proof
        shortest = self.problem.projected(on, target, extra)
        candidates = [each for each in (proof, shortest) if each is not None]
        if not candidates:
            raise ArithmeticError("a half cell has no proof in exact arithmetic")
        return min(candidates, key=lambda each: each.square)

    def _written(self, proof: Proof) -> dict[str, Any]:
        assert proof.v is not None
        assert proof.mu is not None
        n = self.problem.n
        mu = {str(i): number(value) for i, value in sorted(proof.mu.items()) if value and i < n}
        return {"v": numbers([self.problem.scale * c for c in proof.v]), "mu": mu, "nu": number(proof.mu.get(n, ZERO))}

    # ------------------------------------------------------------------------------------------------------------ witnesses

    def reached(self, network: Sequence[Neuron]) -> Fraction:
        """f(q)."""
        return sum((s * max(dot(self.q, v), ZERO) for v, s, _ in network), ZERO)

    def free(
        self, network: list[Neuron], aim: Fraction, spare: Fraction, inside: Rationals | None, bias: bool
    ) -> list[Neuron] | None:
        """The network with neurons that the samples do not see, or see and cancel, so that f(q) = aim; None if there are none.

        Args:
            spare: what these may cost.
            inside: z (p,) with x_i . z < 0 for all samples but zero points, if there is one: keeps samples off kinks.
        """
        w = self.place.direction
        assert w is not None
        need = aim - self.reached(network)
        if not need:
            return network
        rows = [[Fraction(c, self.problem.scale) for c in row] for row in self.problem.points]
        if self.problem.one_price:
            return network + self._cancelling(w, rows, need, spare)
        if bias:
            inside = [ZERO] * (self.problem.p - 1) + [-ONE]
        gain = dot(w, self.q)
        if inside is not None:
            step = gain / (2 * max(abs(dot(inside, self.q)), Fraction(1, 2**20) * gain))
            w = [a + step * b for a, b in zip(w, inside, strict=True)]
            gain = dot(w, self.q)
        elif any(dot(w, row) == 0 for row in rows if any(row)):
            return None
        factor = abs(need) / gain
        return [*network, ([factor * c for c in w], 1 if need > 0 else -1, ZERO)]

    def _cancelling(self, w: Rationals, rows: list[Rationals], need: Fraction, spare: Fraction) -> list[Neuron]:
        """Two neurons active at the samples where w . x is largest, there alike, with opposite signs: f(q) changes by `need`."""
        z = [dot(w, row) for row in rows]
        level = max(z)
        at = z.count(level)
        below = min((level - value for value in z if value < level), default=ONE)
        rise = dot(w, self.q) - level
        unit = root(self.problem.price(range(self.problem.n)) * at)  # the cost of activations 1 at these
        size = min(spare / (4 * unit), below * abs(need) / (2 * rise))
        eta = size * rise / (2 * abs(need))  # <= below / 4; size (1/eta - 1/(2 eta)) rise = need
        sign, out = (1 if need > 0 else -1), list[Neuron]()
        for part, s in ((eta, sign), (2 * eta, -sign)):
            v = [*w[:-1], w[-1] - level + part]
            out.append(([size / part * c for c in v], s, root((size * unit) ** 2)))
        return out
