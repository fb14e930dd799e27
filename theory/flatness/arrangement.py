"""Owns points as hyperplanes through the origin, in whole numbers: each once, by a primitive vector, in independent columns."""

from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Signs = NDArray[np.int8]
Whole = NDArray[Any]  # whole numbers: int64 where no step can overflow, Python's own otherwise
PRIME = 2**31 - 1


class Arrangement(NamedTuple):
    """The distinct hyperplanes, each by the primitive vector of the first point on it, in r independent columns."""

    lines: Whole  # (L, r)
    columns: list[int]
    line: list[int]  # of each point; 0 for a zero point
    orientation: Signs  # of each point along its line; 0 for a zero point
    shape: tuple[int, int]


def decimal(value: float) -> Fraction:
    """The number that a float prints as: 1/10 for 0.1. Whole numbers and short binary fractions are what they are."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(int(value))


def primitive(row: list[Any]) -> list[int]:
    """The positive multiple of a row that consists of whole numbers without a common divisor."""
    ratios = [value.as_integer_ratio() for value in row]
    denominator = lcm(*(b for _, b in ratios))
    whole = [a * (denominator // b) for a, b in ratios]
    divisor = gcd(*whole) or 1
    return [a // divisor for a in whole]


def checked(points: ArrayLike) -> NDArray[Any]:
    """Points as an array. ValueError unless they are (n, p) finite numbers."""
    array = np.asarray(points)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"points must hold real numbers, got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"points must have shape (n, p) with n, p >= 1, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"points must be finite, row {int(np.argwhere(~np.isfinite(array))[0][0])} is not")
    return array


def arrangement_of(points: ArrayLike) -> Arrangement:
    """The hyperplanes of points, (n, p). ValueError unless these are finite numbers."""
    array = checked(points)
    rows = [tuple(primitive([decimal(value) for value in row])) for row in array.tolist()]
    known: dict[tuple[int, ...], tuple[int, int]] = {(0,) * array.shape[1]: (0, 0)}
    lines: list[tuple[int, ...]] = []
    for row in rows:
        if row not in known:
            known[row], known[tuple(-a for a in row)] = (len(lines), 1), (len(lines), -1)
            lines.append(row)
    whole = np.array(lines, dtype=object).reshape(-1, array.shape[1])
    columns = _independent_columns(whole)
    reduced = np.array([primitive(row) for row in whole[:, columns].tolist()], dtype=object).reshape(len(lines), len(columns))
    line, orientation = zip(*(known[row] for row in rows), strict=True)
    return Arrangement(reduced, columns, list(line), np.array(orientation, np.int8), (array.shape[0], array.shape[1]))


def _independent_columns(rows: Whole) -> list[int]:
    """Columns that span the column space, by elimination; all of them where they are independent modulo a prime, as most are."""
    if _independent_modulo(rows):
        return list(range(rows.shape[1]))
    columns: list[int] = []
    while (left := np.flatnonzero((rows != 0).any(axis=1))).size:
        columns.append(int((rows[left[0]] != 0).argmax()))
        rows = restrict(rows[left], rows[left[0]])
        rows = np.array([primitive(row) for row in rows.tolist()], dtype=object)
    return sorted(columns)


def _independent_modulo(rows: Whole) -> bool:
    """Whether the columns are independent modulo PRIME, and so over the rationals: some minor is not a multiple of it."""
    left = np.array(rows % PRIME, np.int64).reshape(rows.shape)
    for column in range(rows.shape[1]):
        pivots = np.flatnonzero(left[:, column])
        if not pivots.size:
            return False
        pivot = left[pivots[0]].copy()
        factor = left[:, column] * pow(int(pivot[column]), -1, PRIME) % PRIME
        left = (left - factor[:, None] * pivot) % PRIME
    return True


def restrict(functionals: Whole, normal: Whole) -> Whole:
    """Functionals f restricted to c . w = 0, in multiples: |c_j| f - sign(c_j) f_j c with c = normal and its first c_j != 0.

    Coordinate j becomes zero; all of f does exactly if f is a multiple of c.
    """
    c, j = normal[..., None, :], (normal != 0).argmax(axis=-1)[..., None, None]
    pivot = np.take_along_axis(c, j, axis=-1)
    return abs(pivot) * functionals - np.sign(pivot) * np.take_along_axis(functionals, j, axis=-1) * c
