"""Owns proofs by multipliers alone: how long the activations are that they determine, for all patterns at once in whole numbers.

With G = sum_{i in D} x_i x_i' and t = s sum_{i in D} lambda_i x_i + sum_i S_i mu_i x_i, the v of a proof solves G v = t, so that
|D X v|^2 = t' G^-1 t: no v needs to be written down where G is invertible (theory/check_certificate.py says what this proves).
Errors of mu matter squared: at the multipliers of the projection the length is least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.flatness.rational import Rationals, Whole, common, short

Objects = NDArray[Any]  # of Python's whole numbers


@dataclass(frozen=True)
class Quotients:
    """Numbers as quotients of whole numbers, all denominators positive; 0 / 0 where there is none."""

    above: Objects
    below: Objects

    def exact(self, *index: int) -> Fraction:
        """One of them."""
        return Fraction(self.above[index], self.below[index])

    def take(self, index: NDArray[np.intp]) -> "Quotients":
        """Some of them."""
        return Quotients(self.above[index], self.below[index])

    def __truediv__(self, other: "Quotients") -> "Quotients":
        return Quotients(self.above * other.below, self.below * other.above)

    def floats(self) -> NDArray[np.float64]:
        """All of them, rounded; infinite where there is none or it is too large."""
        flat = [_quotient(a, b) for a, b in zip(self.above.ravel(), self.below.ravel(), strict=True)]
        return np.array(flat).reshape(self.above.shape)


class OnSets:
    """What sums over on-sets say.

    Args:
        points: in whole numbers, (n, p).
        dual: lambda, (n,).
        active: on-sets, (M, n).
    """

    def __init__(self, points: Whole, dual: Rationals, active: NDArray[np.bool_]) -> None:
        (shares,), self.unit = common(dual)
        self.points, self.p, self.active = points, len(points[0]), active
        pairs = list(combinations_with_replacement(range(self.p), 2))
        rows = [
            [*(row[a] * row[b] for a, b in pairs), *(share * c for c in row), max(share, 0) ** 2, max(-share, 0) ** 2]
            for row, share in zip(points, shares, strict=True)
        ]
        table = sums(rows, active)
        self.gram = {pair: table[:, k] for k, pair in enumerate(pairs)}
        self.linear = table[:, len(pairs) : -2]
        self.trace: Objects = sum((self.gram[k, k] for k in range(self.p)), np.zeros(len(active), object))
        self.by_signs = Quotients(
            table[:, -2:].T, np.full((2, len(active)), self.unit**2, object)
        )  # by Cauchy-Schwarz alone, (2, M)

    def squares(
        self, chosen: NDArray[np.intp], side: int, mu: NDArray[np.floating] | None
    ) -> tuple[Quotients, list[dict[int, Fraction]]]:
        """|D X v|^2 of the v that multipliers determine.

        Args:
            chosen: on-sets, (K,).
            side: 0 or 1 for the sign + or -.
            mu: multipliers (K, n); those that are not positive and finite, or None, count as 0.

        Returns:
            The squares, (K,), 0 / 0 where v is not determined; the multipliers, shortened.
        """
        given: list[dict[int, Fraction]] = [{} for _ in chosen]
        if mu is not None:
            for k, i in zip(*(index.tolist() for index in np.nonzero((mu > 0) & np.isfinite(mu))), strict=True):
                given[k][i] = short(float(mu[k, i]))
        targets, units = np.zeros((len(chosen), self.p), object), np.zeros(len(chosen), object)
        for k, (m, multipliers) in enumerate(zip(chosen.tolist(), given, strict=True)):
            (shares,), unit = common(list(multipliers.values()))
            on = self.active[m]
            signed = [share if on[i] else -share for i, share in zip(multipliers, shares, strict=True)]
            sign = unit * (1 - 2 * side)
            more = [sum(share * self.points[i][c] for i, share in zip(multipliers, signed, strict=True)) for c in range(self.p)]
            targets[k] = [sign * a + self.unit * b for a, b in zip(self.linear[m], more, strict=True)]
            units[k] = unit * self.unit
        above, below = bordered({pair: column[chosen] for pair, column in self.gram.items()}, targets)
        return Quotients(above, below * units**2), given


def bordered(gram: dict[tuple[int, int], Objects], targets: Objects) -> tuple[Objects, Objects]:
    """t' G^-1 t of many positive semidefinite G, as numerators and denominators det G; 0 / 0 where G is singular.

    Args:
        gram: the entries (a, b), a <= b, of each G, (K,).
        targets: t, (K, p).

    Returns:
        Numerators and denominators, (K,): by Bareiss's elimination of G bordered by t, whose determinant is -det G t' G^-1 t.
    """
    count, p = targets.shape
    table = dict(gram) | {(a, p): targets[:, a] for a in range(p)} | {(p, p): np.zeros(count, object)}
    last, regular = np.full(count, 1, object), np.ones(count, bool)
    for k in range(p):
        regular &= table[k, k] != 0
        pivot = np.where(regular, table[k, k], 1)
        for i in range(k + 1, p + 1):
            for j in range(i, p + 1):
                table[i, j] = (pivot * table[i, j] - table[k, i] * table[k, j]) // last
        last = pivot
    return np.where(regular, -table[p, p], 0), np.where(regular, last, 0)


def sums(rows: Sequence[Sequence[int]], active: NDArray[np.bool_]) -> Objects:
    """active @ rows in whole numbers, (M, q): each row is packed into one number, so that a sum is one addition a member.

    Args:
        rows: (n, q).
        active: (M, n).
    """
    size, fields = len(rows[0]), len(rows) * max(abs(c) for row in rows for c in row)
    width = fields.bit_length() // 8 + 1
    bias = 1 << 8 * width - 1
    half = sum(bias << 8 * width * k for k in range(size))
    packed = [sum(c << 8 * width * k for k, c in enumerate(row)) for row in rows]
    out = np.zeros((len(active), size), object)
    for m, on in enumerate(active.tolist()):
        text = (sum(compress(packed, on)) + half).to_bytes(width * size, "little")
        out[m] = [int.from_bytes(text[k : k + width], "little") - bias for k in range(0, len(text), width)]
    return out


def _quotient(a: int, b: int) -> float:
    try:
        return a / b if b else np.inf
    except OverflowError:
        return np.inf
