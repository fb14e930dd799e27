"""The room's linear programs against answers by hand and what they promise."""

import numpy as np
import pytest

from flatproof.theory.flatness.linear_programs import deepest, fewest, least_combination, most_inside, vertex


def test_a_vertex_is_the_cheapest_basic_solution():
    outputs, prices = np.array([[1.0, 0, 1], [0, 1, 1]]), np.array([1.0, 1, 1.5])
    np.testing.assert_allclose(vertex(outputs, prices, np.array([1.0, 1])), [0, 0, 1])
    np.testing.assert_allclose(vertex(outputs, 2 * prices - [0, 0, 0.5], np.array([2.0, 1])), [1, 0, 1])
    assert vertex(outputs, prices, np.array([-1.0, 1])) is None
    assert vertex(outputs, prices, np.array([-1e-9, 1]), tolerance=1e-8) is not None
    assert vertex(np.zeros((2, 0)), np.zeros(0), np.ones(2)) is None


def test_the_deepest_point_of_a_cone_is_as_far_from_each_wall_as_the_nearest():
    offset = np.array([0.0, -5, 2])
    assert (deepest(np.eye(3), offset) + offset).min() >= 1 - 1e-9  # deeper than 1 is deep enough
    opposite, offset = np.array([[1.0, 0], [-1, 0]]), np.array([0, 0.5])
    np.testing.assert_allclose(opposite @ deepest(opposite, offset) + offset, 0.25)


def test_few_rows_see_the_direction_and_one_must_where_they_surround_the_origin():
    rows = np.random.default_rng(0).standard_normal((6, 3)) + np.array([4.0, 0, 0])
    delta, multipliers = fewest(rows, np.ones(6))
    assert (rows @ delta <= -1 + 1e-9).all()
    assert multipliers == pytest.approx(0)
    around = np.array([[1.0, 0], [-1, 1], [-1, -1], [-2, 0.1]])
    delta, multipliers = fewest(around, np.ones(4))
    assert (around @ delta > -1 + 1e-9).sum() == 1
    np.testing.assert_allclose(multipliers @ around, 0, atol=1e-9)


def test_rows_that_can_leave_their_walls_do_so_together():
    rows = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 1, 1]])
    inside = most_inside(rows)
    assert inside is not None
    v, off_wall = inside
    np.testing.assert_allclose(off_wall, [0, 0, 1, 1], atol=1e-9)
    np.testing.assert_allclose(np.minimum(rows @ v, 1), off_wall, atol=1e-9)


def test_combinations_are_nonnegative_of_least_sum_or_infinite():
    rows = np.array([[1.0, 0], [0, 1], [1, 1]])
    np.testing.assert_allclose(least_combination(rows, np.array([3.0, 2])), [1, 0, 2])
    assert np.isinf(least_combination(rows, np.array([-1.0, 0]))).all()
    assert not least_combination(rows, np.zeros(2)).any()
