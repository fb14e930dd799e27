"""Owns proofs in rational numbers for one on-set and sign where lengths are those of M_D (objectives.py).

For a linear term g (p,) a proof is u and mu >= 0 with M_D u = g + sum_i S_i mu_i x_i (and a multiple nu >= 0 of a point more); it takes a
price whose square is u' M_D u. Multipliers near those of floating point determine u where M_D is invertible; elsewhere, or where they come
to more than they should, the projection is found in exact arithmetic.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import frexp
from typing import Any

from flatproof.theory.check_certificate import Data, OnSet, square
from flatproof.theory.flatness.certificate import Proof
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.rational import ZERO, Rationals, Whole, common, dot, nearest, number, numbers

LEAST = 1e-8  # multipliers below this share of the largest are left out
DIGITS = 26  # significant bits of multipliers: at the best ones a proof's length does not change to first order
LOOSE = Fraction(1, 2**28)  # a proof is improved where it is longer than it should be by this, relative and squared


@dataclass
class Metrics:
    """The on-sets of one problem as the checker has them, each made once."""

    data: Data
    known: dict[tuple[int, ...], OnSet] = field(default_factory=dict, repr=False)

    def of(self, on: tuple[int, ...]) -> OnSet:
        """M_D with its unit, and the square of the price c_D."""
        if on not in self.known:
            self.known[on] = self.data.objective.over(on, self.data.gram(on))
        return self.known[on]

    def price(self, on: tuple[int, ...]) -> Fraction:
        """c_D^2."""
        return Fraction(*self.of(on).price)

    def linear(self, on: tuple[int, ...], dual: Rationals) -> Rationals:
        """sum_{i in D} dual_i x_i."""
        return [sum((dual[i] * self.data.x[i][k] for i in on), ZERO) for k in range(self.data.p)]

    def length(self, on: tuple[int, ...], v: Rationals) -> Fraction:
        """v' M_D v."""
        case = self.of(on)
        image = [dot(row, v) for row in case.gram]
        return dot(image, v) / case.unit

    def prove(self, on: tuple[int, ...], g: Rationals, mu: Array, enough: Fraction, extra: Whole | None = None) -> Proof:
        """A proof for a linear term.

        Args:
            on: D.
            g: (p,).
            mu: multipliers in floating point, (n,), or (n + 1,) with that of `extra`.
            enough: the square that the proof should not exceed.
            extra: at most one more row that v is on the positive side of, as it is.

        Returns:
            The proof.

        Raises:
            ArithmeticError: if there is none.
        """
        cone = self._cone(on, extra)
        near = self._near(on, g, mu, cone)
        if near is not None and near.square <= enough * (1 + LOOSE):
            return near
        case, scale = self.of(on), self.data.scale
        projection = nearest(case.gram, [scale * c for c in g], cone)
        found = [] if near is None else [near]
        if projection is not None:
            u = [Fraction(case.unit, scale) * c for c in projection[0]]
            found.append(Proof(self.length(on, u), u, {i: m for i, m in projection[1].items() if m}))
        if not found:
            raise ArithmeticError("a pattern has no proof in exact arithmetic")
        return min(found, key=lambda proof: proof.square)

    def _near(self, on: tuple[int, ...], g: Rationals, mu: Array, cone: Whole) -> Proof | None:
        """The proof that multipliers near those given determine; None where M_D is singular."""
        case, largest = self.of(on), float(mu.max(initial=0.0))
        shares = {i: brief(value) for i, value in enumerate(mu.tolist()) if value > LEAST * largest}
        right = list(g)
        for i, share in shares.items():
            right = [c + share * Fraction(row, self.data.scale) for c, row in zip(right, cone[i], strict=True)]
        (whole,), unit = common(right)
        length, determinant = square(case.gram, whole)
        if determinant <= 0:
            return None
        return Proof(Fraction(length * case.unit, determinant * unit**2), None, shares)

    def _cone(self, on: tuple[int, ...], extra: Whole | None) -> Whole:
        """Rows that v is on the positive side of, S_i x_i in whole numbers, and more."""
        members = set(on)
        rows = [row if i in members else [-c for c in row] for i, row in enumerate(self.data.whole)]
        return rows + (extra or [])

    def written(self, proof: Proof, theta: Fraction = Fraction(1), query: bool = False) -> dict[str, Any]:
        """A proof of theta g for JSON; the multiplier of a row more stands apart."""
        n = self.data.n
        mu = {str(i): number(theta * value) for i, value in sorted((proof.mu or {}).items()) if value and i < n}
        out: dict[str, Any] = {} if proof.v is None else {"v": numbers([theta * c for c in proof.v])}
        out |= {"mu": mu}
        return out | {"nu": number(theta * (proof.mu or {}).get(n, ZERO))} if query else out


def brief(value: float) -> Fraction:
    """The first DIGITS significant bits."""
    mantissa, exponent = frexp(value)
    return Fraction(round(mantissa * 2**DIGITS)) * Fraction(2) ** (exponent - DIGITS)
