import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flatproof.verify.utils.statistics import (
    binomial_interval,
    jackknife_interval,
    kendall_interval,
    kendall_null,
    kendall_tau,
    mean_interval,
    share_interval,
)


def test_student_interval_against_scipy() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((3.75, low, high))


@given(st.integers(1, 5_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_binomial_interval_leaves_its_share_in_each_tail(total: int, share: float, confidence: float) -> None:
    count = round(share * total)
    mean, low, high = binomial_interval(count, total, confidence)
    assert mean == count / total
    assert stats.binom.sf(count - 1, total, low) == pytest.approx((1 - confidence) / 2, rel=1e-6) if count else low == 0
    assert stats.binom.cdf(count, total, high) == pytest.approx((1 - confidence) / 2, rel=1e-6) if count < total else high == 1


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


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12))
def test_the_jackknife_of_a_mean_is_students_t(values: list[float]) -> None:
    units = np.array(values)
    assert jackknife_interval(units, lambda v: float(np.mean(v))) == pytest.approx(mean_interval(values), rel=1e-9, abs=1e-9)


def test_the_jackknife_against_its_own_formula() -> None:
    """Of a ratio of means, pairs as units: the half width is Student's quantile times the jackknife's error, by its own formula."""
    units = np.random.default_rng(1).normal(5, 1, (9, 2))
    ratio = lambda rows: float(rows[:, 0].mean() / rows[:, 1].mean())  # noqa: E731
    without = np.array([ratio(np.delete(units, i, axis=0)) for i in range(9)])
    error = np.sqrt(8 / 9 * np.sum((without - without.mean()) ** 2))
    interval = jackknife_interval(units, ratio)
    assert interval.mean == ratio(units)
    assert (interval.high - interval.mean, interval.mean - interval.low) == pytest.approx([stats.t.ppf(0.975, 8) * error] * 2)


@pytest.mark.parametrize("seeds", [3, 10])
def test_jackknife_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    """Slopes fitted to all seeds' points at once, the seeds' own slopes normal: 95 % within the error of 1,000 trials."""
    stream, x, held = np.random.default_rng(7), np.arange(5.0), 0
    for _ in range(1_000):
        y = stream.normal(2, 1, (seeds, 1)) * x + stream.normal(0, 0.5, (seeds, 5))
        interval = jackknife_interval(y, lambda rows: float(np.polyfit(np.tile(x, len(rows)), rows.ravel(), 1)[0]))
        held += interval.low <= 2 <= interval.high
    assert abs(held - 950) <= 4 * np.sqrt(1_000 * 0.95 * 0.05)


def test_the_jackknife_without_limits() -> None:
    assert jackknife_interval(np.array([2.0]), lambda v: float(v[0])) == (2.0, -np.inf, np.inf)
    undefined = jackknife_interval(np.array([1.0, np.nan, 3.0]), lambda v: float(v.mean()))
    assert np.isnan(undefined.mean)
    assert (undefined.low, undefined.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="at least one"):
        jackknife_interval(np.empty(0), lambda v: 0.0)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_kendall_tau_against_scipy(pairs: list[tuple[int, int]]) -> None:
    x, y = zip(*pairs, strict=True)
    assert kendall_tau(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2)), min_size=2, max_size=25))
def test_kendall_tau_inside_groups_counts_pairs(rows: list[tuple[int, int, int]]) -> None:
    """By a loop over pairs."""
    agree = over_x = over_y = 0
    for i, (a, b, g) in enumerate(rows):
        for c, d, h in rows[:i]:
            if g == h:
                agree += np.sign(a - c) * np.sign(b - d)
                over_x, over_y = over_x + (a != c), over_y + (b != d)
    expected = agree / np.sqrt(over_x * over_y) if over_x and over_y else np.nan
    x, y, groups = zip(*rows, strict=True)
    assert kendall_tau(x, y, groups) == pytest.approx(expected, nan_ok=True)


def test_kendall_interval_against_a_loop_over_resamples() -> None:
    """Resamples as lists of units through scipy's tau-b: clones of one unit are ties, which it leaves out."""
    stream = np.random.default_rng(3)
    x = stream.standard_normal(40)
    y = 0.5 * x + stream.standard_normal(40)
    ours = kendall_interval(x, y)
    draws = np.random.default_rng(4).integers(0, 40, (2_000, 40))
    drawn = [stats.kendalltau(x[draw], y[draw]).statistic for draw in draws]
    assert ours.mean == pytest.approx(stats.kendalltau(x, y).statistic)
    assert (ours.low, ours.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)


def test_kendall_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of a bivariate normal tau is 2/pi arcsin of the correlation: 300 samples of 60, coverage of 95 % within its own error."""
    stream, truth = np.random.default_rng(5), 2 / np.pi * np.arcsin(0.6)
    held = 0
    for _ in range(300):
        x, z = stream.standard_normal((2, 60))
        interval = kendall_interval(x, 0.6 * x + 0.8 * z, resamples=500)
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 300 <= 0.98


def test_the_null_half_width_is_the_published_one() -> None:
    assert [round(kendall_null(n), 2) for n in (50, 100, 200)] == [0.19, 0.13, 0.09]


def test_kendall_without_enough_to_say() -> None:
    assert kendall_interval([1.0, 2.0], [1.0, 2.0]) == (1.0, -1.0, 1.0)
    assert np.isnan(kendall_tau([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert kendall_interval([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])[1:] == (-1.0, 1.0)
