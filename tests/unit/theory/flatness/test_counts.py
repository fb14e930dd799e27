"""The quick lower bound of the number of cells: never above it, and by it what is too much is refused."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.theory.flatness.arrangement import arrangement_of
from flatproof.theory.flatness.counts import PRIME, cells_at_least, cover_bound
from flatproof.theory.flatness.patterns import TooManyPatterns, cells, count_cells

ENTRIES = st.one_of(st.integers(-1, 1), st.integers(-3, 3), st.sampled_from([PRIME, -PRIME, 2 * PRIME, 2**40, 1]))


@given(st.integers(1, 8), st.integers(1, 5), st.data())
def test_never_more_than_there_are(n, p, data):
    rows = data.draw(st.lists(st.lists(ENTRIES, min_size=p, max_size=p), min_size=n, max_size=n))
    points = np.array(rows)
    if points.any():
        assert cells_at_least(arrangement_of(points).lines, 10**9) <= count_cells(points)


@pytest.mark.parametrize(("n", "p"), [(9, 3), (9, 4), (9, 5), (9, 6)])
def test_all_in_general_position_and_of_the_cube(n, p):
    points = np.random.default_rng(n).standard_normal((n, p))
    assert cells_at_least(arrangement_of(points).lines, 10**9) == count_cells(points) == cover_bound(n, p)
    cube = np.array(np.meshgrid(*[[1, -1]] * 4)).reshape(4, -1).T
    assert cells_at_least(arrangement_of(cube).lines, 10**9) == 104


@pytest.mark.parametrize(("n", "p"), [(500, 3), (60, 5), (100, 11), (30, 30), (2000, 3)])
def test_refusals_are_quick(n, p):
    points = np.random.default_rng(n).integers(-(10**9), 10**9, (n, p)) / 1e8
    began = time.process_time()
    with pytest.raises(TooManyPatterns) as caught:
        cells(points, 200_000)
    assert time.process_time() - began < 3  # a fraction of it; 20 s when patterns were looked for first
    assert caught.value.count == cover_bound(n, p)


def test_what_is_below_the_limit_is_not_refused():
    points = np.random.default_rng(0).standard_normal((40, 3))
    count = cover_bound(40, 3)
    assert len(cells(points, count).signs) == count
    with pytest.raises(TooManyPatterns, match=f"{count} activation patterns, more than the limit of {count - 1}"):
        cells(points, count - 1)
