"""Owns the pictures that the tests corrupt, and the generators of an image's random numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.corruptions import NAMES


def speckled(n: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Independent random bytes (n, side, side, 3): the hardest picture for a formula of neighbours."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def natural(n: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Coloured Gaussian fields whose power falls as 1 / f², as that of photographs does."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    frequency[0, 0] = 1
    noise = np.random.default_rng(seed).standard_normal((3, n, side, side))
    fields = np.fft.irfft2(np.fft.rfft2(noise) / frequency, (side, side))
    fields = 0.9 * fields[:1] + 0.4 * fields  # channels go together, as in photographs
    fields = (fields - fields.mean((-2, -1), keepdims=True)) / fields.std((-2, -1), keepdims=True)
    return np.clip(128 + 55 * fields, 0, 255).astype(np.uint8).transpose(1, 2, 3, 0)


def flat(n: int, side: int, byte: int) -> NDArray[np.uint8]:
    return np.full((n, side, side, 3), byte, dtype=np.uint8)


def generators(name: str, n: int, seed: int = 0) -> Sequence[np.random.Generator]:
    """What `corrupt` gives the first n images."""
    return [np.random.default_rng([seed, NAMES.index(name), i]) for i in range(n)]


def whole(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values in units of a byte, rounded down; a millionth below a whole number is that number."""
    return np.floor(np.clip(values, 0, 255) + 1e-6).astype(np.uint8)


def agree(result: NDArray[np.uint8], values: NDArray[np.float64]) -> bool:
    """Whether bytes are values, in units of a byte, rounded down; those a millionth from a whole number may be it or the one below."""
    values = np.clip(values, 0, 255)
    exact = result == np.floor(values)
    near = np.abs(values - np.round(values)) < 1e-6
    return bool((exact | near & ((result == np.round(values)) | (result == np.round(values) - 1))).all())
