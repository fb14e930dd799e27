"""The batched projection against scipy's non-negative least squares and the optimality conditions."""

import numpy as np
import pytest
from scipy.optimize import nnls

from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.projection import factors, lengths, project
from flatproof.theory.flatness.walls import walls


def instance(seed: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (n, p)).astype(float)
    x = x[x.any(axis=1)]
    return x, cells(x).signs, rng.standard_normal(len(x))


@pytest.mark.parametrize(("seed", "n", "p"), [(0, 5, 2), (1, 8, 3), (2, 10, 4), (3, 3, 5), (4, 9, 3)])
def test_the_optimality_conditions_hold(seed: int, n: int, p: int) -> None:
    x, signs, q = instance(seed, n, p)
    v, mu, length = project(x, signs, np.tile(q, (len(signs), 1)))
    on = signs > 0
    u = on * (v @ x.T)
    assert (signs * (v @ x.T)).min() > -1e-6
    assert mu.min() >= 0
    np.testing.assert_allclose((on * (u - q)) @ x, (signs * mu) @ x, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), length, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_lengths_are_those_of_scipy(seed: int) -> None:
    x, signs, q = instance(seed, 8, 3)
    f = factors(x, signs)
    length = project(x, signs, np.tile(q, (len(signs), 1)), factor=f)[2]
    expected = [
        nnls(f[k] @ (s[:, None] * x).T, -f[k] @ (((s > 0) * q) @ x))[1] if (s > 0).any() else 0.0 for k, s in enumerate(signs)
    ]
    np.testing.assert_allclose(length, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("walled", [False, True])
def test_lengths_of_one_target_of_either_sign(seed: int, walled: bool) -> None:
    x, signs, q = instance(seed, 9, 3)
    f, bounding = factors(x, signs), walls(signs) if walled else None
    expected = np.array([project(x, signs, np.tile(side * q, (len(signs), 1)), factor=f)[2] for side in (1, -1)])
    np.testing.assert_allclose(lengths(x, signs, q, None, f, bounding), expected, atol=1e-7)
    enough = np.full(len(signs), np.median(expected))
    rough = lengths(x, signs, q, enough, f, bounding)
    bounded = rough > expected + 1e-7
    assert bounded.any()
    assert np.all(rough[bounded] <= enough[0])
    np.testing.assert_allclose(rough[~bounded], expected[~bounded], atol=1e-7)


def test_lengths_that_are_small_enough_are_bounded_from_above() -> None:
    x, signs, q = instance(1, 8, 3)
    targets = np.tile(q, (len(signs), 1))
    exact = project(x, signs, targets)[2]
    enough = np.full(len(signs), np.median(exact))
    bound = project(x, signs, targets, enough=enough)[2]
    assert (bound >= exact - 1e-12).all()
    np.testing.assert_allclose(bound[bound > enough], exact[bound > enough])
    assert (bound <= enough).any()
