import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flatproof.verify.utils.statistics import bootstrap_interval, mean_interval, share_interval


def test_student_interval_against_scipy() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((3.75, low, high))


def test_one_value_has_no_interval() -> None:
    assert mean_interval([3.0]) == (3.0, -np.inf, np.inf)
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval([])


def test_unanimous_seeds_leave_the_counting_error() -> None:
    mean, low, high = share_interval([1.0] * 5, 10_000)
    assert mean == high == 1
    assert low == pytest.approx(0.025 ** (1 / 50_000))


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8))
def test_a_share_interval_contains_both_intervals(counts: list[int]) -> None:
    shares = [c / 100 for c in counts]
    mean, low, high = share_interval(shares, 100)
    _, student_low, student_high = mean_interval(shares)
    assert 0 <= low <= mean <= high <= 1
    assert low <= max(student_low, 0)
    assert high >= min(student_high, 1)


def test_bootstrap_of_a_mean_against_scipy() -> None:
    values = np.random.default_rng(1).standard_normal(40)
    ours = bootstrap_interval(values, lambda v: float(np.mean(v)))
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9_999, rng=0).confidence_interval
    assert ours.mean == np.mean(values)
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.02)
    assert ours == bootstrap_interval(values, lambda v: float(np.mean(v)))


def test_bootstrap_without_limits() -> None:
    assert bootstrap_interval(np.array([2.0]), lambda v: float(v[0])) == (2.0, -np.inf, np.inf)
    often_nan = bootstrap_interval(np.array([1.0, np.nan, 3.0]), lambda v: float(v.mean()))
    assert np.isnan(often_nan.mean)
    assert (often_nan.low, often_nan.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval(np.empty(0), lambda v: 0.0)
