"""Owns the walls of cells: the few samples that bound each. Where all cells are listed, two that differ on one line share a wall of it.

A cell is cut out by its walls alone, so programs over it need no other constraints: about 2 (r - 1) instead of n.
"""

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.flatness.neurons import Signs

Index = NDArray[np.int64]


def walls(signs: Signs) -> Index:
    """The walls of every cell of a complete list.

    Args:
        signs: of all cells, (M, n), entries -1 and 1, 0 in the columns of points at the origin.

    Returns:
        Indices of samples, one of each line that bounds the cell, in front; -1 behind them, (M, most).
    """
    rows = np.ascontiguousarray(signs.T)
    oriented = rows * rows[:, :1]
    lines = np.sort(np.unique(oriented, axis=0, return_index=True)[1])
    lines = lines[rows[lines, 0] != 0]
    code = np.random.default_rng(0).integers(1, 2**63, len(lines), dtype=np.uint64)
    cell = np.zeros(
        len(signs), np.uint64
    )  # codes of distinct cells may agree by chance: then a wall too many is found, never one too few
    for key, on in zip(code, oriented[lines] > 0, strict=True):
        cell ^= np.where(on, key, np.uint64(0))
    known = np.sort(cell)
    bounds = np.zeros((len(lines), len(signs)), bool)
    for k, key in enumerate(code):
        across = cell ^ key
        place = np.minimum(np.searchsorted(known, across), len(known) - 1)
        bounds[k] = known[place] == across
    count = bounds.sum(axis=0)
    out = np.full((len(signs), int(count.max(initial=0))), -1, np.int64)
    cells, line = np.nonzero(bounds.T)
    out[cells, np.arange(len(cells)) - np.repeat(np.cumsum(count) - count, count)] = lines[line]
    return out
