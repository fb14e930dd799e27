"""Activation patterns: known counts, general and degenerate position, exactness, limits."""

import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.counts import cover_bound
from flatproof.theory.flatness.patterns import Patterns, TooManyPatterns, cells, count_cells, faces


def cube(d: int) -> NDArray[np.int64]:
    return np.array(list(itertools.product((1, -1), repeat=d)))


def with_ones(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.hstack([x, np.ones((len(x), 1), x.dtype)])


def exact_signs(points: NDArray[np.number], witnesses: NDArray[np.number]) -> list[list[int]]:
    dots = (
        np.array([[Fraction(v) for v in row] for row in witnesses.tolist()], object)
        @ np.array([[decimal(v) for v in row] for row in points.tolist()], object).T
    )
    return np.sign(dots).astype(int).tolist()


def assert_sound(points: NDArray[np.number], patterns: Patterns) -> None:
    signs = patterns.signs
    assert signs.dtype == np.int8
    assert exact_signs(points, patterns.witnesses) == signs.tolist()
    assert [tuple(row) for row in signs.tolist()] == sorted({tuple(row) for row in signs.tolist()})
    np.testing.assert_array_equal(signs[::-1], -signs)


@pytest.mark.parametrize(
    ("points", "count"),
    [(cube(3), 14), (cube(4), 104), (cube(5), 1882), (with_ones(cube(3)), 104), (with_ones(cube(4)), 1882)],
)
def test_counts_of_linear_threshold_functions(points, count):
    patterns = cells(points)
    assert len(patterns.signs) == count_cells(points) == count
    assert_sound(points, patterns)


@pytest.mark.parametrize("points", [cube(6), with_ones(cube(5))], ids=["cube", "bias"])
def test_largest_cube(points):
    patterns = cells(points, limit=94572)
    assert len(patterns.signs) == count_cells(points) == 94572
    np.testing.assert_array_equal(np.sign(patterns.witnesses @ points.T), patterns.signs)
    np.testing.assert_array_equal(patterns.signs[::-1], -patterns.signs)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (3, 5), (5, 2), (10, 3), (12, 4), (16, 5)])
@pytest.mark.parametrize("kind", ["integers", "floats"])
def test_general_position_meets_covers_formula(n, p, kind):
    rng = np.random.default_rng(n)
    points = rng.integers(-1000, 1000, (n, p)) if kind == "integers" else rng.standard_normal((n, p))
    patterns = cells(points)
    assert len(patterns.signs) == count_cells(points) == cover_bound(n, p)
    assert_sound(points, patterns)


def test_cover_bound():
    assert [cover_bound(n, 3) for n in (0, 1, 2, 3, 4)] == [1, 2, 4, 8, 14]
    assert cover_bound(4, 10) == 2**4


def test_hand_made_cases():
    np.testing.assert_array_equal(cells([[2.0]]).signs, [[-1], [1]])
    parallel = cells([[1, 2], [-2, -4], [0, 0], [3, 6]])
    np.testing.assert_array_equal(parallel.signs, [[-1, 1, 0, -1], [1, -1, 0, 1]])
    assert count_cells([[1, 2, 3], [2, 4, 6.5], [3, 6, 9.5]]) == 6  # three lines through a common flat


def test_zero_points_have_the_whole_space_as_their_cell():
    patterns = cells(np.zeros((3, 2)))
    np.testing.assert_array_equal(patterns.signs, [[0, 0, 0]])
    assert patterns.witnesses.shape == (1, 2)
    assert count_cells(np.zeros((3, 2))) == 1
    assert faces(np.zeros((3, 2))).signs.shape == (0, 3)


def test_points_that_differ_in_the_last_bit():
    points = np.array([[1.0, 1.0], [1.0, np.nextafter(1, 2)], [1.0, 1 + 2.0**-51]])
    patterns = cells(points)
    assert len(patterns.signs) == 6
    assert_sound(points, patterns)


def test_whole_numbers_beyond_float64():
    points = np.array([[2**62 + 1, 1], [2**62 + 1, 2], [1, 2**62 + 1], [-(2**62) - 1, 3]])
    patterns = cells(points)
    assert len(patterns.signs) == cover_bound(4, 2)
    assert_sound(points, patterns)
    assert count_cells(np.array([[2**62 + 1, 1], [2**62 + 2, 1], [2**62, 1], [-(2**62), -1]])) == 6


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scales_of_columns(scale):
    points = np.random.default_rng(0).standard_normal((7, 3)) * [1, scale, 1 / scale]
    patterns = cells(points)
    assert len(patterns.signs) == cover_bound(7, 3)
    assert_sound(points, patterns)


def test_wedge_too_thin_for_the_range_of_float64_of_one_sign():
    points = np.array([[1e300, 0], [-1e300, 1e-300]])
    patterns = cells(points)
    assert len(patterns.signs) == 4
    assert_sound(points, patterns)


def test_a_cell_without_float64_vectors_has_no_witness_and_its_faces_are_exact():
    points = np.array([[2**62, 1], [2**62 + 1, 1]])  # w2 / w1 between them: no two numbers of 53 bits have such a quotient
    assert count_cells(points) == 4
    assert np.isnan(cells(points).witnesses).all(axis=1).sum() == 2
    patterns = faces(points)
    assert len(patterns.signs) == 8
    assert_sound(points, patterns)


def test_floats_are_read_as_they_print():
    """In binary, 3 * 0.1 is not 0.3 and the points are not parallel."""
    assert count_cells([[0.1, 0.2], [0.3, 0.6], [-1.0, -2.0]]) == 2
    assert count_cells([[1.0, 2.0], [1.0, np.nextafter(2, 3)]]) == 4


def test_faces_of_three_lines_in_the_plane():
    points = np.array([[1, 0], [0, 1], [0.5, 0.5]])
    patterns = faces(points)
    assert len(patterns.signs) == 6 + 6
    assert all(type(v) is int for v in patterns.witnesses.ravel())
    assert_sound(points, patterns)


@pytest.mark.parametrize("points", [cube(3), with_ones(cube(2)), np.random.default_rng(0).standard_normal((7, 4))])
def test_faces_contain_the_cells(points):
    patterns = faces(points)
    assert_sound(points, patterns)
    full = (patterns.signs != 0).all(axis=1)
    np.testing.assert_array_equal(patterns.signs[full], cells(points).signs)
    rank = np.array([np.linalg.matrix_rank(points[s == 0]) if (s == 0).any() else 0 for s in patterns.signs])
    euler = sum((-1) ** int(points.shape[1] - r) for r in rank)
    assert 1 + euler == (-1) ** points.shape[1]  # the faces and the origin tile the space


def test_limit():
    points = cube(4)
    assert len(cells(points, limit=104).signs) == 104
    with pytest.raises(TooManyPatterns, match="104 activation patterns, more than the limit of 103") as caught:
        cells(points, limit=103)
    assert (caught.value.count, caught.value.limit, caught.value.exact) == (104, 103, True)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    number = len(faces(points).signs)
    assert len(faces(points, limit=number).signs) == number
    for limit in (100, number - 1):
        with pytest.raises(TooManyPatterns) as caught:
            faces(points, limit=limit)
        assert caught.value.count >= number


def test_count_beyond_reach_is_bounded():
    points = np.random.default_rng(0).integers(-9, 10, (100, 20))
    with pytest.raises(TooManyPatterns, match="up to") as caught:
        cells(points, limit=1000)
    assert caught.value.count == cover_bound(100, 20)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([1.0, 2.0], "shape"),
        (np.zeros((0, 2)), "shape"),
        (np.zeros((2, 0)), "shape"),
        ([[1.0, np.nan]], "row 0"),
        ([[1.0, 2.0], [np.inf, 2.0]], "row 1"),
        ([["a"]], "real numbers"),
        ([[1j]], "real numbers"),
    ],
)
def test_invalid_points(points, message):
    for function in (cells, faces, count_cells):
        with pytest.raises(ValueError, match=message):
            function(points)


def test_narrow_types_stand_for_the_same_numbers():
    points = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 0]])
    for dtype in (bool, np.uint8, np.float16, np.float32, np.longdouble):
        np.testing.assert_array_equal(cells(points.astype(dtype)).signs, cells(points).signs)
