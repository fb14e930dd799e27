"""Owns the subsets of a cube up to the symmetries of a Boolean function on it.

Vertices are counted in the order of the rows of `x`, all sign vectors of {-1, 1}^d; a subset is the number whose bit i says whether
vertex i is in it. A symmetry of y is a signed permutation g of the coordinates with y(g x) = y(x) for all x or -y(x) for all x: it
takes the networks that fit y on S to those that fit y, or their negatives, on g S, and changes no norm.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.networks import Array

Index = NDArray[np.intp]
Masks = NDArray[np.int64]
LARGEST = 4  # dimension whose 2^(2^d) subsets can be listed


def symmetries(x: Array, y: Array) -> Index:
    """Every symmetry of y as a permutation of the vertices: row k says where each vertex goes, (G, 2^d)."""
    d = x.shape[1]
    weights = 1 << np.arange(d)
    code = (x > 0) @ weights
    vertex = np.argsort(code)  # by code
    images = []
    for order, signs in product(permutations(range(d)), product((1, -1), repeat=d)):
        image = vertex[(x[:, order] * signs > 0) @ weights]
        if (y[image] == y).all() or (y[image] == -y).all():
            images.append(image)
    return np.array(images)


def moved(masks: Masks, permutation: Index) -> Masks:
    """The images of subsets under a permutation of the vertices, a byte at a time.

    Args:
        masks: the subsets, (K,).
        permutation: where each vertex goes, (N,).

    Returns:
        The images, (K,).
    """
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    out = np.zeros_like(masks)
    for start in range(0, len(permutation), 8):
        part = permutation[start : start + 8]
        table = (bits[:, : len(part)] << part).sum(axis=1)
        out |= table[(masks >> start) & 255]
    return out


def orbits_by_size(group: Index) -> list[int]:
    """How many subsets of each size there are up to a group, by Burnside's lemma, the empty one and the whole included.

    A permutation keeps the subsets that are unions of its cycles: those of n points are the coefficient of t^n in prod (1 + t^c) over its
    cycles' lengths c.

    Args:
        group: the permutations, (G, N).

    Returns:
        N + 1 numbers.
    """
    total = [0] * (group.shape[1] + 1)
    for lengths, count in Counter(tuple(sorted(cycle_lengths(g))) for g in group.tolist()).items():
        kept = [1]
        for c in lengths:
            kept = [a + b for a, b in zip(kept + [0] * c, [0] * c + kept, strict=True)]
        total = [a + count * b for a, b in zip(total, kept, strict=True)]
    return [n // len(group) for n in total]


def cycle_lengths(permutation: Sequence[int]) -> list[int]:
    """Of a permutation's cycles."""
    left, lengths = set(range(len(permutation))), []
    while left:
        at, length = min(left), 0
        while at in left:
            left.remove(at)
            at, length = permutation[at], length + 1
        lengths.append(length)
    return lengths


def orbits(group: Index) -> tuple[Masks, Masks]:
    """The nonempty subsets up to a group of permutations of the vertices.

    Args:
        group: the permutations, (G, N).

    Returns:
        The least number of each orbit, ascending, and its size, both (K,).

    Raises:
        ValueError: for a cube of more than 2^4 vertices.
    """
    if group.shape[1] > 2**LARGEST:
        raise ValueError(f"subsets are listed for d of at most {LARGEST}, got {group.shape[1]} vertices")
    masks = np.arange(1, 2 ** group.shape[1], dtype=np.int64)
    least = masks.copy()
    for permutation in group:
        np.minimum(least, moved(masks, permutation), out=least)
    representatives, sizes = np.unique(least, return_counts=True)
    return representatives, sizes


def members(mask: int, vertices: int) -> NDArray[np.bool_]:
    """Which vertices are in a subset.

    Args:
        mask: the subset.
        vertices: how many there are, N.

    Returns:
        (N,).
    """
    return (mask >> np.arange(vertices)) & 1 == 1
