"""The batched projection against scipy's non-negative least squares and the optimality conditions."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import sympy
from scipy.optimize import nnls

from flatproof.theory.flatness import projection
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


def exact_length(x: np.ndarray, signs: np.ndarray, q: np.ndarray) -> float:
    """In rational arithmetic: the longest projection of D q on the faces of K_D over which D X is one to one, of those inside K_D."""
    rows = [[sympy.Rational(*Fraction(float(c)).as_integer_ratio()) for c in row] for row in x]
    whole, (n, p) = sympy.Matrix(rows), x.shape
    active = sympy.Matrix([row for row, s in zip(rows, signs, strict=True) if s > 0])
    wanted = sympy.Matrix(
        [sympy.Rational(*Fraction(float(c)).as_integer_ratio()) for c, s in zip(q, signs, strict=True) if s > 0]
    )
    longest = sympy.Integer(0)
    for tight in (face for k in range(p) for face in combinations(range(n), k)):
        flat = sympy.Matrix.hstack(*whole.extract(list(tight), list(range(p))).nullspace()) if tight else sympy.eye(p)
        images = active * flat
        if images.rank() == flat.cols:
            share = (images.T * images).LUsolve(images.T * wanted)
            if all(s * z >= 0 for s, z in zip(signs, whole * flat * share, strict=True)):
                longest = max(longest, (images.T * wanted).dot(share))
    return float(sympy.sqrt(longest))


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("seed", range(3))
def test_lengths_where_points_nearly_coincide(seed: int, distance: float) -> None:
    """A bound is no shorter than the length; it is the length, as far as the distance lets rounding tell."""
    rng = np.random.default_rng(seed)
    x = np.array([[1.0, 2], [3, -1], [1, 2], [-1, -2]])
    x[2:] += distance * rng.standard_normal((2, 2))
    signs, q = np.where(cells(x).signs > 0, 1, -1).astype(np.int8), rng.standard_normal(4)
    signs = signs[(signs > 0).any(axis=1)]
    found = lengths(x, signs, q, None, factors(x, signs), None)
    expected = np.array([[exact_length(x, s, side * q) for s in signs] for side in (1, -1)])
    assert (found - expected).min() > -1e-14 / distance - 1e-9
    assert (found - expected).max() < 1e-12 / distance + 1e-9


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


def test_active_sets_do_not_go_round_in_a_circle() -> None:
    """Two pairs of nearly opposite columns: what leaves is what reaches 0 first, though rounding leaves 1e-17 of it."""
    columns = np.array(
        [
            [-0.3647601, 0.0132869, -0.166967, 0.3646086, 0.042698],
            [-0.5914085, 0.9798831, 0.7999271, 0.6336338, -0.9788244],
            [-0.7191565, -0.1991297, -0.5764015, 0.682326, 0.2001989],
        ]
    )
    target, rng = np.array([1.4104163, -6.3492438, 3.9464705]), np.random.default_rng(0)
    least = nnls(columns / np.linalg.norm(columns, axis=0), -target)[1]
    for _ in range(500):
        turned = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        b = np.ascontiguousarray(turned @ columns)
        b /= np.linalg.norm(b, axis=0)
        residual = projection.nnls(b, turned @ target, np.zeros(5), *projection._workspace(5, 3)[:4])
        assert np.linalg.norm(residual) == pytest.approx(least, rel=1e-9)
