"""Activation patterns against brute force over all sign vectors, and their invariances."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from flatproof.theory.flatness.counts import cover_bound
from flatproof.theory.flatness.patterns import cells, count_cells, faces


def realizable(points, sign):
    """Whether some w has sign(points @ w) = sign, by a linear program with margin 1."""
    zero = sign == 0
    result = linprog(
        np.zeros(points.shape[1]),
        A_ub=-(sign[:, None] * points)[~zero] if (~zero).any() else None,
        b_ub=-np.ones((~zero).sum()) if (~zero).any() else None,
        A_eq=points[zero] if zero.any() else None,
        b_eq=np.zeros(zero.sum()) if zero.any() else None,
        bounds=(None, None),
        method="highs",
    )
    return result.status == 0


def brute_force(points, values):
    """Every realizable sign vector with these values; 0 only, and always, for zero points where 0 is not among them."""
    choices = [values if row.any() else (0,) for row in points]
    return [s for s in itertools.product(*choices) if realizable(points, np.array(s))]


@st.composite
def small_integers(draw, n):
    """Points with duplicates, parallels, zeros and low rank."""
    p = draw(st.integers(1, 4))
    rank = draw(st.integers(1, p))
    size = draw(st.integers(1, n))
    low = draw(arrays(np.int64, (size, rank), elements=st.integers(-2, 2)))
    if rank < p:
        low = low @ draw(arrays(np.int64, (rank, p), elements=st.integers(-1, 1)))
    return low


@given(small_integers(7))
def test_cells_are_those_of_brute_force(points):
    patterns = cells(points)
    assert [tuple(row) for row in patterns.signs.tolist()] == brute_force(points, (-1, 1))
    np.testing.assert_array_equal(np.sign(points @ patterns.witnesses.T).T, patterns.signs)
    assert count_cells(points) == len(patterns.signs) <= cover_bound(len(points), points.shape[1])


@given(small_integers(5))
def test_faces_are_those_of_brute_force(points):
    patterns = faces(points)
    expected = [s for s in brute_force(points, (-1, 0, 1)) if any(s)]
    assert [tuple(row) for row in patterns.signs.tolist()] == expected
    np.testing.assert_array_equal(np.sign(patterns.witnesses @ points.T.astype(object)), patterns.signs)


@given(arrays(np.float64, (6, 3), elements=st.integers(-1000, 1000)), arrays(np.int64, 6, elements=st.integers(-5, 40)))
def test_positive_scales_of_points_do_not_matter(points, exponents):
    """Scaled so that they print without rounding: what is printed is what is read."""
    scaled = np.ldexp(points, exponents[:, None])
    np.testing.assert_array_equal(cells(scaled).signs, cells(points).signs)


@given(small_integers(7), st.randoms(use_true_random=False))
def test_order_and_orientation_of_points_do_not_matter(points, random):
    order = list(range(len(points)))
    random.shuffle(order)
    flip = np.array([random.choice((-1, 1)) for _ in order])
    signs = cells(points[order] * flip[:, None]).signs * flip
    assert {tuple(row) for row in signs.tolist()} == {tuple(row) for row in cells(points).signs[:, order].tolist()}


@given(small_integers(8))
def test_faces_tile_the_space(points):
    rank = np.linalg.matrix_rank(points)
    kernel = [np.linalg.matrix_rank(points[s == 0]) if (s == 0).any() else 0 for s in faces(points).signs]
    assert 1 + sum((-1) ** int(rank - k) for k in kernel) == (-1) ** int(rank)
