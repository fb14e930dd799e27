"""Owns the continuous distributions of wen2023: `uniform_ball` (figure 7) and `unit_circle` (proposition-A.2)."""

from collections.abc import Callable

import numpy as np

from flatproof.synth.data import TRAIN, Array, Data, generator, positive


def _sphere(rng: np.random.Generator, count: int, d: int) -> Array:
    """Uniform on the unit sphere of R^d, (count, d)."""
    g = rng.standard_normal((count, d))
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def _radius(value: float, above: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not above < value < 1e150:
        raise ValueError(f"radius must be a number above {above:g} and below 1e150, got {value!r}")
    return float(value)


def uniform_ball(d: int = 10, n: int = 100, seed: int = 0, radius: float | None = None) -> Data:
    """n points uniform in the ball of R^d, y = |x[1]| - |x[2]| (wen2023, figure 7, has d = 10, n = 100).

    Args:
        d: dimension.
        n: size of the training set.
        seed: of the training set.
        radius: of the ball; sqrt(d) if None.

    Returns:
        The training set, x (n, d) and y (n,), with its population.

    Raises:
        ValueError: for d < 2, n < 1 or a radius that is not positive.
    """
    d, n = positive("d", d, least=2), positive("n", n)
    r = _radius(np.sqrt(d) if radius is None else radius, 0)

    def draw(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x = _sphere(rng, count, d) * (r * rng.random((count, 1)) ** (1 / d))
        return x, np.abs(x[:, 0]) - np.abs(x[:, 1])

    x, y = draw(n, generator(seed, TRAIN))
    return Data("uniform_ball", x, y, {"d": d, "n": n, "seed": int(seed), "radius": r}, draw, labels="real")


def unit_circle(
    d: int = 10,
    n: int = 100,
    seed: int = 0,
    radius: float | None = None,
    label: Callable[[Array], Array] | None = None,
) -> Data:
    """n points with (x[1], x[2]) uniform on the unit circle, y a Lipschitz function of (x[1], x[2]) (wen2023/proposition-A.2).

    The other d - 2 coordinates are uniform on the sphere of radius sqrt(radius² - 1).

    Args:
        d: dimension.
        n: size of the training set.
        seed: of the training set.
        radius: norm of the points; if None sqrt(d/2), which gives every coordinate variance one half, and 1 for d = 2.
        label: maps (k, 2) to (k,); if None 2 x[1] x[2], which is 2-Lipschitz on the circle.

    Returns:
        The training set, x (n, d) and y (n,), with its population.

    Raises:
        ValueError: for d < 2, n < 1, a radius of at most 1 (other than exactly 1 when d = 2), or labels of a wrong shape.
    """
    d, n = positive("d", d, least=2), positive("n", n)
    if label is not None and not callable(label):
        raise ValueError(f"label must be a function of (k, 2) arrays, got {label!r}")
    if d == 2:
        if radius is not None and radius != 1:
            raise ValueError(f"radius must be 1 when d = 2, got {radius!r}")
        r = 1.0
    else:
        r = _radius(np.sqrt(d / 2) if radius is None else radius, 1)

    def draw(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        circle = _sphere(rng, count, 2)
        rest = _sphere(rng, count, d - 2) * np.sqrt(r**2 - 1) if d > 2 else np.empty((count, 0))
        y = 2 * circle[:, 0] * circle[:, 1] if label is None else np.asarray(label(circle), dtype=np.float64)
        if y.shape != (count,) or not np.isfinite(y).all():
            raise ValueError(f"label must return shape ({count},) of finite numbers, got shape {y.shape}")
        return np.hstack([circle, rest]), y

    x, y = draw(n, generator(seed, TRAIN))
    return Data("unit_circle", x, y, {"d": d, "n": n, "seed": int(seed), "radius": r}, draw, labels="real")
