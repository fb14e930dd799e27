"""Owns the cells and rays of a central hyperplane arrangement for the oracle, in exact arithmetic and without code of `theory`.

Deletion and restriction: a cell of the first k - 1 hyperplanes is cut in two by H_k exactly if its sign vector is one of the cells that
they cut out of H_k, an arrangement of one dimension less. Each cell carries a witness in whole numbers, so every sign vector listed is
shown to occur; those not listed are excluded by the recursion. Floats are read as the decimals they print as.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

Vector = tuple[int, ...]
Signs = tuple[int, ...]


def rational(value: float) -> Fraction:
    """The decimal that a float prints as."""
    return Fraction(repr(float(value)))


def primitive(row: Sequence[Fraction | int]) -> Vector:
    """The positive multiple of a rational vector that consists of coprime whole numbers."""
    scale = lcm(*(Fraction(a).denominator for a in row)) if row else 1
    whole = [int(a * scale) for a in row]
    divisor = gcd(*whole) or 1
    return tuple(a // divisor for a in whole)


def dot(u: Sequence[int], v: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(u, v, strict=True))


def sign(value: Fraction | int) -> int:
    return (value > 0) - (value < 0)


def echelon(rows: Sequence[Sequence[Fraction | int]]) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form, its nonzero rows and their pivots."""
    left = [[Fraction(a) for a in row] for row in rows]
    done: list[list[Fraction]] = []
    pivots: list[int] = []
    for column in range(len(left[0]) if left else 0):
        row = next((r for r in left if r[column] != 0), None)
        if row is None:
            continue
        left.remove(row)
        row = [a / row[column] for a in row]
        left = [[a - r[column] * b for a, b in zip(r, row, strict=True)] if r[column] else r for r in left]
        done = [[a - r[column] * b for a, b in zip(r, row, strict=True)] if r[column] else r for r in done]
        done.append(row)
        pivots.append(column)
    return done, pivots


def null_space(rows: Sequence[Sequence[Fraction | int]], width: int) -> list[Vector]:
    """A basis of {w : row . w = 0 for every row} in whole numbers."""
    reduced, pivots = echelon(rows)
    basis = []
    for free in (j for j in range(width) if j not in pivots):
        w = [Fraction(int(j == free)) for j in range(width)]
        for row, pivot in zip(reduced, pivots, strict=True):
            w[pivot] = -row[free]
        basis.append(primitive(w))
    return basis


def solve(rows: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> list[Fraction] | None:
    """Some solution of rows @ z = right, exactly; None if there is none."""
    width = len(rows[0])
    reduced, pivots = echelon([[*row, b] for row, b in zip(rows, right, strict=True)])
    if width in pivots:
        return None
    z = [Fraction(0)] * width
    for row, pivot in zip(reduced, pivots, strict=True):
        z[pivot] = row[width]
    return z


def cells(points: Sequence[Vector], width: int) -> dict[Signs, Vector]:
    """Every full-dimensional cell: sign vector -> witness. A zero point has sign 0 and every witness."""
    if not points:
        return {(): (0,) * width}
    *others, last = points
    signs = cells(others, width)
    if not any(last):
        return {(*s, 0): w for s, w in signs.items()}
    for i, other in enumerate(others):
        if any(other) and other in (last, tuple(-a for a in last)):
            flip = 1 if other == last else -1
            return {(*s, flip * s[i]): w for s, w in signs.items()}
    basis = null_space([last], width)
    walls = cells([primitive([dot(x, b) for b in basis]) for x in others], width - 1)
    result: dict[Signs, Vector] = {}
    for s, w in signs.items():
        if s in walls:
            z = walls[s]
            on_wall = [sum(b[j] * c for b, c in zip(basis, z, strict=True)) for j in range(width)]
            far = 1 + max((abs(dot(x, last)) // abs(dot(x, on_wall)) for x in others if any(x)), default=0)
            for side in (1, -1):
                result[(*s, side)] = primitive([far * a + side * b for a, b in zip(on_wall, last, strict=True)])
        else:
            side = sign(dot(last, w))
            assert side != 0, "a witness on the hyperplane shows that the cell is cut"
            result[(*s, side)] = w
    return result


def rays(points: Sequence[Vector], width: int) -> list[Vector]:
    """Both directions of every line that hyperplanes of the arrangement meet in; the points must span."""
    lines = set()
    directions = sorted({max(x, tuple(-a for a in x)) for x in points if any(x)})
    for subset in combinations(directions, width - 1):
        basis = null_space(subset, width)
        if len(basis) == 1:
            lines.add(max(basis[0], tuple(-a for a in basis[0])))
    return [g for line in sorted(lines) for g in (line, tuple(-a for a in line))]


@dataclass(frozen=True)
class Arrangement:
    """Cells and rays of given points, in coordinates that the points span.

    Attributes:
        points: exact points in r independent columns; columns: which columns of the given ones these are.
        signs: (M, n) of the cells; witnesses: an inner point of each.
        rays: exact generators g of the cells' closures, in multiples that make the largest |x_i . g| equal to 1.
        products: exact x_i . g, (rays, n).
        members: of each cell the indices of the rays in its closure: they generate it.
    """

    points: list[tuple[Fraction, ...]]
    columns: list[int]
    signs: NDArray[np.int8]
    witnesses: list[Vector]
    rays: list[tuple[Fraction, ...]]
    products: list[list[Fraction]]
    members: list[NDArray[np.intp]]

    @classmethod
    def of(cls, points: Sequence[Sequence[Fraction]]) -> "Arrangement":
        """The arrangement of exact points (n, p), not all zero."""
        kept = sorted(echelon(points)[1])
        exact = [tuple(x[j] for j in kept) for x in points]
        whole, width = [primitive(x) for x in exact], len(kept)
        listed = cells(whole, width)
        signs = np.array(list(listed), np.int8)
        directions, products = [], []
        for g in rays(whole, width):
            values = [sum((a * b for a, b in zip(x, g, strict=True)), Fraction(0)) for x in exact]
            largest = max(map(abs, values))
            directions.append(tuple(a / largest for a in g))
            products.append([value / largest for value in values])
        at = np.array([[sign(value) for value in row] for row in products], np.int8)
        members = [np.flatnonzero(((at == 0) | (at == s)).all(axis=1)) for s in signs]
        for s, member in zip(signs, members, strict=True):
            inside = at[member].astype(int).sum(axis=0)  # the rays of a pointed cone of full dimension sum to an inner point
            assert ((inside * s > 0) | (s == 0)).all(), "rays do not generate the cell"
        return cls(exact, kept, signs, list(listed.values()), directions, products, members)
