"""Owns pixels between bytes and [0, 1], the random numbers of each image, and reading images between their pixels."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Reals = NDArray[np.float64]
Generators = Sequence[np.random.Generator]
Effect = Callable[
    [Bytes, tuple[float, ...], Generators], Bytes
]  # images (n, s, s, 3), the severity's constants, a generator an image
ROUNDING = 1e-6  # of a byte: a value that near below a whole number is that number, whatever order its sum was taken in


def to_unit(images: Bytes) -> Reals:
    """Bytes as values in [0, 1]."""
    return images / 255.0


def to_bytes(values: Reals, rounding: float = ROUNDING) -> Bytes:
    """Values, cut to [0, 1], as bytes: rounded down, as the published images are.

    Args:
        values: in [0, 1] or beyond.
        rounding: how far below a whole number, in bytes, a value is that number. 0 belongs to formulas whose every operation is the
            authors': they lose whole numbers as the published images did.
    """
    return np.floor(np.clip(values, 0, 1) * 255 + rounding).astype(np.uint8)


def draws(generators: Generators, draw: Callable[[np.random.Generator], Reals | float]) -> Reals:
    """What `draw` takes from each image's generator, stacked (n, ...)."""
    return np.array([draw(generator) for generator in generators])


def mirrored(index: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """Indices beyond an edge, reflected at the middle of the last pixel: -1 is 1."""
    period = max(2 * side - 2, 1)
    index = index % period
    return np.where(index < side, index, period - index)


def reflected(index: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """Indices beyond an edge, reflected at the edge of the last pixel: -1 is 0."""
    index = index % (2 * side)
    return np.where(index < side, index, 2 * side - 1 - index)


def bilinear(images: Reals, rows: Reals, columns: Reals, beyond: Callable[[NDArray[np.intp], int], NDArray[np.intp]]) -> Reals:
    """Images read at real positions, linearly between the four pixels around each.

    Args:
        images: (n, s, s, channels).
        rows, columns: positions, (n, s, s), pixels; the middle of the first pixel is 0.
        beyond: which pixel an index stands for that is none; `mirrored` or `reflected`.

    Returns:
        (n, s, s, channels).
    """
    n, side, _, channels = images.shape
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    y, x = ([beyond(index + step, side) for step in (0, 1)] for index in (top, left))
    pixels = images.reshape(-1, channels)
    first = (np.arange(n) * side * side)[:, None, None]

    def corner(i: int, j: int) -> Reals:
        return pixels[first + y[i] * side + x[j]]

    upper = corner(0, 0) * (1 - right) + corner(0, 1) * right
    lower = corner(1, 0) * (1 - right) + corner(1, 1) * right
    return upper * (1 - down) + lower * down
