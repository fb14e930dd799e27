"""Owns `Data`: a training set together with the population it came from, and the seeding rule."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
TRAIN, TEST = 0, 1


def generator(seed: int, stream: int) -> np.random.Generator:
    """The generator of one stream of one seed (PCG64, seeded through SeedSequence: equal on every platform).

    SeedSequence works on 32-bit words; seeds of one word keep the streams apart.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number of at least 0 and below 2^32, got {seed!r}")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(seed), stream])))


def positive(name: str, value: int, least: int = 1) -> int:
    """`value` as an int of at least `least`; ValueError names the argument otherwise."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


@dataclass(frozen=True)
class Data:
    """A training set and its population.

    Attributes:
        name: the distribution, with its parameters in `settings`.
        x: training inputs, (n, d).
        y: training labels, (n,).
        draw: how `sample` draws from the population.
        size: the number of points of the population, equally likely, when `enumerate` can list them; None when it is
            infinite or has more than 2**20.
    """

    name: str
    x: Array
    y: Array
    settings: dict[str, int | float]
    draw: Callable[[int, np.random.Generator], tuple[Array, Array]] = field(repr=False)
    size: int | None = None
    support: Callable[[], tuple[Array, Array]] | None = field(repr=False, default=None)

    def sample(self, k: int, seed: int) -> tuple[Array, Array]:
        """k fresh points of the population, independent of the training set: x (k, d), y (k,)."""
        return self.draw(positive("k", k), generator(seed, TEST))

    def enumerate(self) -> tuple[Array, Array]:
        """Every point of the population once, all equally likely: x (N, d), y (N,). ValueError if it cannot be listed."""
        if self.support is None:
            raise ValueError(f"the population of {self.name} with {self.settings} is infinite or too large to list")
        return self.support()


def given(x: Array, y: Array, test_x: Array | None = None, test_y: Array | None = None) -> Data:
    """A user's own points (n, d) and labels (n,), with test points (k, d), (k,) as the population (the training set if None).

    Errors: ValueError naming the array for NaN, empty arrays or wrong shapes.
    """
    if (test_x is None) != (test_y is None):
        raise ValueError("test_x and test_y must be given together")
    train = _pair("x", x, "y", y)
    test = train if test_x is None or test_y is None else _pair("test_x", test_x, "test_y", test_y)
    if test[0].shape[1] != train[0].shape[1]:
        raise ValueError(f"test_x must have {train[0].shape[1]} columns like x, got {test[0].shape[1]}")

    def draw(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        rows = rng.integers(0, len(test[1]), count)
        return test[0][rows], test[1][rows]

    return Data("given", *train, {"n": len(train[1]), "d": train[0].shape[1]}, draw, len(test[1]), lambda: test)


def _pair(x_name: str, x: Array, y_name: str, y: Array) -> tuple[Array, Array]:
    raw = {name: np.asarray(values) for name, values in ((x_name, x), (y_name, y))}
    for name, values in raw.items():
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{name} must hold real numbers, got dtype {values.dtype}")
    points, labels = (values.astype(np.float64) for values in raw.values())
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"{x_name} must have shape (n, d) with n, d >= 1, got {points.shape}")
    if labels.shape != (len(points),):
        raise ValueError(f"{y_name} must have shape ({len(points)},), one label for each row of {x_name}, got {labels.shape}")
    for name, values in ((x_name, points), (y_name, labels)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, row {int(np.argwhere(~np.isfinite(values))[0][0])} is not")
    return points, labels
