"""Owns the random data sets of the sweep: seed -> points, labels, architecture and queries."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tests.oracle.arrangement import rational
from tests.oracle.flattest_oracle import Infeasible, Oracle

Array = NDArray[np.float64]
ARCHITECTURES = ("no-bias", "bias", "sim-bn")


@dataclass(frozen=True)
class Instance:
    """One data set: its kind, x (n, d), y (n,), architecture, and queries with their kinds."""

    seed: int
    kind: str
    architecture: str
    x: list[list[float]]
    y: list[float]
    queries: list[tuple[str, list[float]]]


def raw(rng: np.random.Generator, n: int, d: int) -> Array:
    return rng.standard_normal((n, d))


def rounded(rng: np.random.Generator, n: int, d: int) -> Array:
    return rng.standard_normal((n, d)).round(2)


def near(distance: float) -> Callable[[np.random.Generator, int, int], Array]:
    def points(rng: np.random.Generator, n: int, d: int) -> Array:
        """One pair (two where there are enough points) at the distance given."""
        x = rounded(rng, n, d) if rng.random() < 0.7 else raw(rng, n, d)
        for k in range(1 if n < 6 else int(rng.integers(1, 3))):
            step = rng.standard_normal(d)
            x[2 * k + 1] = (x[2 * k] + distance * step / np.linalg.norm(step)).round(6)
        return x

    return points


def collinear(rng: np.random.Generator, n: int, d: int) -> Array:
    """Three to all points on one line, in short decimals."""
    x = rounded(rng, n, d)
    start, step = rng.integers(-10, 11, d) / 10, rng.integers(-3, 4, d) / 10
    step[0] = step[0] or 0.1
    m = int(rng.integers(3, n + 1))
    x[:m] = (start + np.outer(rng.permutation(13)[:m] - 6, step)).round(1)
    return x


def grid(rng: np.random.Generator, n: int, d: int) -> Array:
    width = 2 if d > 1 else 6
    return rng.integers(-width, width + 1, (n, d)).astype(float)


def cube(rng: np.random.Generator, n: int, d: int) -> Array:
    corners = np.array(np.meshgrid(*[(1.0, -1.0)] * d)).reshape(d, -1).T
    return corners[rng.permutation(len(corners))[:n]]


KINDS: dict[str, Callable[[np.random.Generator, int, int], Array]] = {
    "raw": raw,
    "rounded": rounded,
    "near 1e-3": near(1e-3),
    "near 1e-4": near(1e-4),
    "collinear": collinear,
    "grid": grid,
    "cube": cube,
}


def labels(rng: np.random.Generator, x: Array, architecture: str) -> Array:
    """+-1, normal numbers, or what a network with whole-number weights puts out (where nothing else can be fitted, that)."""
    style = rng.choice(["sign", "sign", "normal", "rounded", "network"])
    m, d = int(rng.integers(1, 4)), x.shape[1]
    w, b = rng.integers(-2, 3, (m, d)), rng.integers(-1, 2, m) * (architecture != "no-bias")
    a = rng.choice([-2.0, -1.0, 1.0, 2.0], m)
    teacher = (np.maximum(x @ w.T + b, 0) @ a).round(6)
    signs = rng.choice([-1.0, 1.0], len(x))
    normal = rng.standard_normal(len(x))
    y = {"sign": signs, "normal": normal, "rounded": normal.round(2), "network": teacher}[str(style)]
    return y if len(np.unique(x, axis=0)) == len(x) else teacher


def queries(rng: np.random.Generator, x: Array, kind: str) -> list[tuple[str, list[float]]]:
    """One point in the hull, one of the awkward kinds, one anywhere."""
    n, d = x.shape
    i, j = rng.choice(n, 2, replace=False)
    ends = np.zeros(n)
    ends[[i, j]] = 0.5
    loose, sixteenths = rng.dirichlet(np.full(n, 0.7)), rng.multinomial(16, rng.dirichlet(np.full(n, 0.7))) / 16
    awkward = {
        "edge": combined(x, ends),
        "near": (x[i] + 1e-3 * rng.standard_normal(d)).round(6).tolist(),
        "near hull": combined(x, np.full(n, 1 / 1024) + (1 - n / 1024) * np.eye(n)[i]),
        "ray": combined(x, np.eye(n)[i] * rng.choice([0.5, 2.0, 3.0])),
        "on": x[i].tolist(),
        "opposite": (-x[i]).tolist(),
        "rounded hull": (loose @ x).round(2).tolist(),
    }
    name = str(rng.choice(list(awkward)))
    anywhere = rng.choice([-1.0, 1.0], d) if kind == "cube" else (rng.standard_normal(d) * 0.5).round(3)
    hull = combined(x, sixteenths) if rng.random() < 0.7 else (loose @ x).tolist()
    return [("hull", hull), (name, awkward[name]), ("anywhere", anywhere.tolist())]


def combined(x: Array, shares: Array) -> list[float]:
    """shares @ x in exact decimals: of points in short decimals it is what it says, and stays in their span."""
    return [
        float(sum(Fraction(a) * rational(b) for a, b in zip(shares.tolist(), column, strict=True))) for column in x.T.tolist()
    ]


def instance(seed: int) -> Instance:
    """The data set of a seed: d <= 4, 3 <= n <= 10, every kind with every architecture in turn."""
    rng = np.random.default_rng([2026, seed])
    kinds = list(KINDS)
    kind, architecture = kinds[seed % len(kinds)], ARCHITECTURES[(seed // len(kinds)) % 3]
    n, d = int(rng.integers(3, 11)), int(rng.integers(1, 5))
    if kind == "cube":
        d = max(d, 2)
        n = min(n, 2**d)
    while True:
        x = KINDS[kind](rng, n, d)
        if not x.any():
            continue
        y = labels(rng, x, architecture)
        x, y = np.array(x, float) + 0.0, np.array(y, float) + 0.0
        if y.any() and fits(x, y, architecture):
            return Instance(seed, kind, architecture, x.tolist(), y.tolist(), queries(rng, x, kind))


def fits(x: Array, y: Array, architecture: str) -> bool:
    """Whether some network of the architecture interpolates."""
    try:
        Oracle(x, y, architecture, solve=False)
    except Infeasible:
        return False
    return True
