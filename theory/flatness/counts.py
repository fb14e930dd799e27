"""Owns bounds of the number of cells: the most that there can be, and a quick lower one, by which too many are refused at once.

A linear subspace meets at most as many cells as there are, so sections by subspaces of 3 to 6 dimensions are counted. They are counted
modulo a prime: a matroid's cells become no more when dependent sets are added and the rank stays (Lucas 1975, weak maps), and that is
what reducing the points does to them. Deletion and restriction count: each line adds as many cells as those before it cut it into.
"""

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRIME = 2**31 - 1
DIMENSIONS = (3, 4, 5, 6)  # of sections
BLOCK = 50_000  # pairs of lines looked at in one go
MOST = 2000  # lines that are counted
Residues = NDArray[np.int64]


def cover_bound(n: int, p: int) -> int:
    """Cover (1965): n hyperplanes through the origin of R^p have at most 2 sum_{k<p} C(n-1, k) cells; equality in general position."""
    return 2 * sum(comb(n - 1, k) for k in range(p)) if n else 1


def cells_at_least(lines: NDArray[Any], enough: int) -> int:
    """A number of cells that there are at the least.

    Args:
        lines: normals in whole numbers, linearly spanning their space, (L, r).
        enough: counting may end beyond it.
    """
    r = lines.shape[1]
    best = 2**r  # r independent lines
    random = np.random.default_rng(0)
    for m in DIMENSIONS:
        if best > enough or m > r:
            break
        section = lines if m == r else lines.astype(object) @ random.integers(-(2**20), 2**20, (r, m)).astype(object)
        residues = (section[:MOST].astype(object) % PRIME).astype(np.int64)
        if _rank(residues) == m:
            best = max(best, _count(residues, enough))
    return best


def _count(lines: Residues, enough: int) -> int:
    """Cells of central lines modulo PRIME, or a part of them that is more than enough."""
    if lines.shape[1] == 3:
        return _count_in_space(lines, enough)
    total = 1
    for k in range(len(lines)):
        if total > enough:
            break
        cut = _restricted(lines[:k], lines[k])
        if cut.any(axis=1).all():  # else an earlier one is the same line
            total += _count(cut, enough - total)
    return total


def _count_in_space(lines: Residues, enough: int) -> int:
    """`_count` in three dimensions: in the plane of each line as many cells as twice the distinct lines that those before it cut."""
    total, start = 1, 0
    while start < len(lines) and total <= enough:
        end = min(len(lines), start + BLOCK // (start + 1) + 1, 2 * start + 20)
        rows = np.arange(start, end)
        pivot = (lines[rows] != 0).argmax(axis=1)
        others = (pivot[:, None] + [1, 2]) % 3
        head, tail = lines[rows, pivot], np.take_along_axis(lines[rows], others, axis=1)
        cut = head[:, None, None] * lines[:end, others].swapaxes(0, 1) - lines[:end, pivot].T[:, :, None] * tail[:, None] % PRIME
        a, b = np.moveaxis(cut % PRIME, 2, 0)
        before = np.arange(end) < rows[:, None]
        new = ~((a == 0) & (b == 0) & before).any(axis=1)  # else an earlier one is the same line
        slopes = np.sort(np.where(before, np.where(b != 0, a * _inverse(b) % PRIME, PRIME), PRIME + 1), axis=1)
        distinct = (np.diff(slopes, axis=1, prepend=-1) != 0) & (slopes <= PRIME)
        total += int((2 * distinct.sum(axis=1) + (rows == 0))[new].sum())
        start = end
    return total


def _restricted(lines: Residues, normal: Residues) -> Residues:
    """Lines (k, m) on the hyperplane normal . w = 0, a coordinate eliminated, (k, m - 1)."""
    j = int((normal != 0).argmax())
    out = (normal[j] * lines - lines[:, j : j + 1] * normal % PRIME) % PRIME
    return np.delete(out, j, axis=1)


def _inverse(values: Residues) -> Residues:
    """values^(PRIME - 2), by repeated squaring."""
    out, power, exponent = np.ones_like(values), values.copy(), PRIME - 2
    while exponent:
        if exponent & 1:
            out = out * power % PRIME
        power, exponent = power * power % PRIME, exponent >> 1
    return out


def _rank(lines: Residues) -> int:
    """Of the lines modulo PRIME."""
    rank = 0
    while lines.size and (left := np.flatnonzero(lines.any(axis=1))).size:
        lines, rank = _restricted(lines[left[1:]], lines[left[0]]), rank + 1
    return rank
