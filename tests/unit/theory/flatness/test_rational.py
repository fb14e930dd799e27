"""Exact arithmetic against its definitions."""

from fractions import Fraction

import numpy as np
import pytest

from flatproof.theory.flatness.rational import BITS, as_whole, common, dot, nearest, number, root, short, solve

ZERO = Fraction(0)


def test_numbers_keep_their_value() -> None:
    values = [Fraction(1, 3), Fraction(-5, 2), Fraction(4)]
    (whole,), denominator = common(values)
    assert [Fraction(value, denominator) for value in whole] == values
    assert as_whole(values) == [2, -15, 24]
    assert [number(Fraction(7)), number(Fraction(1, 3)), number(2**60)] == [7, "1/3", str(2**60)]
    assert abs(short(0.1) - Fraction(0.1)) <= Fraction(0.1) / 2 ** (BITS - 1)
    assert short(0.1).numerator < 2**BITS


@pytest.mark.parametrize("square", [ZERO, Fraction(2), Fraction(1, 10**40), Fraction(10**40 + 1)])
def test_roots_are_just_above(square: Fraction) -> None:
    value = root(square)
    assert value**2 >= square
    assert value**2 <= square * (1 + Fraction(1, 2**40))


def test_systems_are_solved_at_their_pivots_or_refused() -> None:
    assert solve([[2, 1], [4, 3]], [Fraction(1), Fraction(1)], [ZERO, ZERO]) == [Fraction(1), Fraction(-1)]
    assert solve([[1, 1]], [Fraction(3)], [ZERO, Fraction(5)]) == [Fraction(-2), Fraction(5)]
    assert solve([[1, 1], [2, 2]], [Fraction(1), Fraction(3)], [ZERO, ZERO]) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_nearest_point_of_a_cone_meets_the_optimality_conditions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cone, identity = rng.integers(-3, 4, (4, 3)).tolist(), np.eye(3, dtype=int).tolist()
    target = [Fraction(int(c)) for c in rng.integers(-3, 4, 3)]
    solution = nearest(identity, target, cone)
    assert solution is not None
    v, mu = solution
    assert all(dot(row, v) >= 0 for row in cone)
    assert all(value >= 0 and (not value or not dot(cone[i], v)) for i, value in mu.items())
    for k in range(3):
        assert v[k] - target[k] == sum((value * cone[i][k] for i, value in mu.items()), ZERO)
