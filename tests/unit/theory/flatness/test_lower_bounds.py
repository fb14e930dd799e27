"""Lower bounds that need no list of patterns: against the certified optimum, by hand, and at sizes where no list helps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flatproof import theory
from flatproof.theory.flatness.lower_bounds import block_bound, relaxed_bound
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.setting import KINKS
from flatproof.theory.networks import trace_lower_bound, with_ones
from tests.networks import random_points, seeds

Array = NDArray[np.floating]


SIZES = ((2, 8), (3, 11), (4, 12))


def flattest_or_none(x, y, architecture, kinks="differentiable"):
    try:
        return theory.flattest(x, y, architecture, kinks)
    except theory.Infeasible:
        return None


listable = st.sampled_from(("no-bias", "bias", "sim-bn"))


def exceeds(x: Array, architecture: str, dual: Array, count: int = 4000) -> float:
    """The largest of |lambda . relu(X w)| / (c_D ||relu(X w)||) over random w and those near single samples."""
    points = with_ones(architecture, x)
    w = np.random.default_rng(0).standard_normal((count, points.shape[1]))
    near = (points[:, None] + 0.1 * w[:20]).reshape(-1, points.shape[1])
    w = np.vstack([w, points, -points, near])
    h = np.maximum(w @ points.T, 0)
    price = prices(architecture, points, np.where(h > 0, 1, -1).astype(np.int8)) * np.linalg.norm(h, axis=1)
    return float((np.abs(h @ dual) / np.maximum(price, 1e-300)).max())


@given(listable, st.sampled_from(SIZES), seeds, st.booleans(), st.booleans())
def test_relaxed_bound(architecture, size, seed, signs, classes):
    x, y = random_points(*size, seed, signs)
    x, index = np.unique(x, axis=0, return_index=True)
    y = np.sign(y[index]) if classes else y[index]
    solution = flattest_or_none(x, y, architecture)
    if solution is None:
        return
    bound, dual = relaxed_bound(x, y, architecture)
    assert bound <= solution.trace * (1 + 1e-9)
    assert bound >= trace_lower_bound(architecture, x, y) * (1 - 1e-9)
    assert bound == pytest.approx(dual @ y)
    assert exceeds(x, architecture, dual, 500) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("architecture", "d", "n"), [("no-bias", 5, 40), ("bias", 4, 40), ("sim-bn", 4, 40), ("no-bias", 10, 60)]
)
def test_relaxed_bound_beyond_lists(architecture, d, n):
    x, y = random_points(d, n, 0)
    bound, dual = relaxed_bound(x, np.sign(y), architecture)
    assert bound > 1.2 * trace_lower_bound(architecture, x, np.sign(y))
    assert exceeds(x, architecture, dual) <= 1 + 1e-9


def test_relaxed_bound_is_about_points_not_their_order_or_size():
    x, y = random_points(3, 12, 0)
    order = np.random.default_rng(0).permutation(12)
    bound, dual = relaxed_bound(x, y)
    again, permuted = relaxed_bound(1e3 * x[order], 1e-2 * y[order])
    assert again == pytest.approx(10 * bound, rel=1e-6)
    np.testing.assert_allclose(permuted, 1e3 * dual[order], atol=1e-3 * np.abs(dual).max())
    with_zero = relaxed_bound(np.vstack([x, np.zeros(3)]), np.append(y, 0.0))
    assert with_zero[0] == pytest.approx(12 / 13 * bound, rel=1e-6)


def test_relaxed_bound_by_hand():
    # x_3 = x_1 + x_2 cannot be seen without x_1 or x_2; whoever sees it by 1 sees these by 1 altogether: 2 is paid for cancelling
    x, y = np.array([[1.0, 0], [0, 1], [1, 1], [-1, -1], [-1, 0], [0, -1]]), np.array([0.0, 0, 1, 0, 0, 0])
    bound, _ = relaxed_bound(x[:3], y[:3])
    assert bound == pytest.approx(4 / 3 * (np.sqrt(2) + 2), rel=1e-7)
    assert relaxed_bound(x, np.zeros(6)) == (0.0, pytest.approx(np.zeros(6)))


@settings(max_examples=15)
@given(st.sampled_from(("no-bias", "bias")), st.sampled_from(KINKS), st.sampled_from(((2, 8), (3, 9))), st.integers(2, 5), seeds)
def test_block_bound(architecture, kinks, size, length, seed):
    x, y = random_points(*size, seed)
    if kinks != "differentiable":
        x = np.round(2 * x)
        x, index = np.unique(x, axis=0, return_index=True)
        y = y[index]
    solution = flattest_or_none(x, y, architecture, kinks)
    if solution is None:
        return
    order = np.random.default_rng(seed).permutation(len(x))
    blocks = [order[k : k + length].tolist() for k in range(0, len(x), length)]
    bound = block_bound(x, y, blocks, architecture, kinks)
    assert trace_lower_bound(architecture, x, y) * (1 - 1e-9) <= bound <= solution.trace * (1 + 1e-9)


def test_blocks_of_one_sample_give_the_bound_of_each_sample():
    x, y = random_points(3, 7, 0)
    assert block_bound(x, y, [[i] for i in range(7)]) == pytest.approx(trace_lower_bound("no-bias", x, y))
    with pytest.raises(ValueError, match="disjoint"):
        block_bound(x, y, [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="add up"):
        block_bound(x, y, [[0, 1]], "sim-bn")
