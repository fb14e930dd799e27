"""Owns parities on the cube {-1, 1}^d: `parity` (P_xor of wen2023, k = 2) and `complete_parity` (condition-1 of wen2023)."""

import numpy as np

from flatproof.synth.data import TRAIN, Array, Data, generator, positive

LARGEST_LIST = 20  # a cube of dimension 20 has about a million points


def _signs(rng: np.random.Generator, count: int, d: int) -> Array:
    return 1.0 - 2.0 * rng.integers(0, 2, size=(count, d), dtype=np.int8)


def cube(d: int) -> Array:
    """All 2**d sign vectors in lexicographic order, first coordinate slowest, +1 before -1: (2**d, d)."""
    bits = (np.arange(2**d)[:, None] >> np.arange(d - 1, -1, -1)) & 1
    return 1.0 - 2.0 * bits


def _label(x: Array, k: int) -> Array:
    return np.prod(x[:, :k], axis=1)


def _population(name: str, x: Array, k: int, settings: dict[str, int | float]) -> Data:
    d = x.shape[1]

    def draw(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        fresh = _signs(rng, count, d)
        return fresh, _label(fresh, k)

    def support() -> tuple[Array, Array]:
        return cube(d), _label(cube(d), k)

    if d > LARGEST_LIST:
        return Data(name, x, _label(x, k), settings, draw, labels="signs")
    return Data(name, x, _label(x, k), settings, draw, 2**d, support, "signs")


def parity(d: int = 30, n: int = 100, seed: int = 0, k: int = 2) -> Data:
    """n independent uniform points of {-1, 1}^d labelled by the product of their first k coordinates.

    k = 2 is P_xor (wen2023, Setting), whose paper uses d = 30 and n = 100. Points may repeat, as independent draws do.

    Args:
        d: dimension.
        n: size of the training set.
        seed: of the training set.
        k: number of relevant coordinates.

    Returns:
        The training set, x (n, d) and y (n,), with its population.

    Raises:
        ValueError: unless 1 <= k <= d and n >= 1.
    """
    d, n, k = positive("d", d), positive("n", n), positive("k", k)
    if k > d:
        raise ValueError(f"d must be at least k = {k}, the number of relevant coordinates, got {d}")
    x = _signs(generator(seed, TRAIN), n, d)
    return _population("parity", x, k, {"d": d, "n": n, "seed": int(seed), "k": k})


def complete_parity(d: int = 6, n: int | None = None, seed: int = 0) -> Data:
    """A training set that satisfies wen2023/condition-1: {x : x[3:d] in S, x[1], x[2] in {-1, 1}}, y = x[1] x[2].

    S holds n/4 distinct sign vectors of dimension d - 2, drawn uniformly among the sets of that size that affinely span R^(d-2).

    Args:
        d: dimension.
        n: size of the training set, a multiple of 4 between 4(d-1), the default and the least that can span, and 2^d.
        seed: of the training set.

    Returns:
        The training set, x (n, d) and y (n,), with its population.

    Raises:
        ValueError: for d < 3 or an n outside that range.
    """
    d = positive("d", d, least=3)
    n = 4 * (d - 1) if n is None else positive("n", n)
    size, free = n // 4, d - 2
    if n % 4 or not d - 1 <= size <= 2**free:
        raise ValueError(f"n must be a multiple of 4 between 4(d-1) = {4 * (d - 1)} and 2^d = {2**d}, got {n}")
    rng = generator(seed, TRAIN)
    while True:
        rest = _distinct_signs(rng, size, free)
        if np.linalg.matrix_rank(rest[1:] - rest[0]) == free:
            break
    heads = cube(2)
    x = np.hstack([np.repeat(heads, size, axis=0), np.tile(rest, (4, 1))])
    return _population("complete_parity", x, 2, {"d": d, "n": n, "seed": int(seed)})


def _distinct_signs(rng: np.random.Generator, size: int, d: int) -> Array:
    if d <= LARGEST_LIST:
        return cube(d)[rng.choice(2**d, size=size, replace=False)]
    while True:
        rows = _signs(rng, size, d)
        if len(np.unique(rows, axis=0)) == size:
            return rows
