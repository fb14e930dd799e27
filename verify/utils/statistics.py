"""Owns the intervals that tables print. Quantiles are scipy.special's: scipy.stats takes half a second to load, and is where it is used."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special


class Interval(NamedTuple):
    """A mean with a two-sided interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval; without limits (±inf) for one value. ValueError for none."""
    if not len(values):
        raise ValueError("values must hold at least one number, got none")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, -np.inf, np.inf)
    half = student_quantile(confidence, len(values)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


@cache
def student_quantile(confidence: float, values: int) -> float:
    """The quantile of Student's t for the two-sided interval of the mean of so many values; it takes longer than the mean."""
    return float(special.stdtrit(values - 1, 0.5 + confidence / 2))


def binomial_interval(count: int, total: int, confidence: float = 0.95) -> Interval:
    """A share, count of total, with its exact (Clopper-Pearson) interval, two-sided."""
    from scipy import stats

    exact = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    return Interval(count / total, float(exact.low), float(exact.high))


def share_interval(shares: Sequence[float], points: int | None, confidence: float = 0.95) -> Interval:
    """Mean over seeds of shares in [0, 1], each counted on `points` fresh samples (None: on the whole population).

    Student's t interval over seeds, clipped to [0, 1] and widened to contain the exact binomial (Clopper-Pearson) interval of the
    pooled counts: when all seeds agree, what is left is the error of counting on finitely many samples.
    """
    mean, low, high = mean_interval(shares, confidence)
    if points is None:
        return Interval(mean, max(0.0, low), min(1.0, high))
    count, total = round(mean * points * len(shares)), points * len(shares)
    exact = binomial_interval(count, total, confidence)
    return Interval(mean, max(0.0, min(low, exact.low)), min(1.0, max(high, exact.high)))


def jackknife_interval(
    units: NDArray[np.floating],
    statistic: Callable[[NDArray[np.floating]], float],
    confidence: float = 0.95,
) -> Interval:
    """A statistic of independent units (k, ...) such as seeds, with Tukey's interval: Student's t of the jackknife's pseudo-values.

    Of a mean it is Student's t interval itself, so that it is as wide as few units make it; a bootstrap's percentiles are too
    narrow then. Without limits (±inf) for one unit, or where the statistic of all units but one is NaN.
    ValueError for no units. (Tukey 1958)
    """
    if not len(units):
        raise ValueError("units must hold at least one, got none")
    value, k = statistic(units), len(units)
    without = np.array([statistic(np.delete(units, i, axis=0)) for i in range(k)]) if k > 1 else np.array([np.nan])
    if not np.isfinite(without).all():
        return Interval(value, -np.inf, np.inf)
    _, low, high = mean_interval((k * value - (k - 1) * without).tolist(), confidence)
    half = (high - low) / 2
    return Interval(value, value - half, value + half)


def kendall_tau(x: Sequence[float], y: Sequence[float], groups: Sequence[int] | None = None) -> float:
    """Kendall's tau-b between two variables; with groups, over the pairs inside a group alone. NaN where one of them never differs.

    Args:
        x, y: values, (n,).
        groups: of each, (n,); None for one group.
    """
    same = _together(groups, len(x))
    a, b = _signs(x) * same, _signs(y) * same
    ties = float(np.abs(a).sum()) * float(np.abs(b).sum())
    return float((a * b).sum() / np.sqrt(ties)) if ties else np.nan


def kendall_interval(
    x: Sequence[float],
    y: Sequence[float],
    confidence: float = 0.95,
    groups: Sequence[int] | None = None,
    resamples: int = 2_000,
) -> Interval:
    """`kendall_tau` with its percentile bootstrap interval over units, which are drawn with replacement inside their groups.

    The same draws at each call. A pair of one unit with itself, which draws with replacement make, says nothing and is left out.
    Without limits (±1) for fewer than three units, or if more than a tenth of the resamples have no tau.

    Args:
        x, y: values, (n,).
        confidence: two-sided.
        groups: of each, (n,); None for one group.
        resamples: how many.
    """
    n, same = len(x), _together(groups, len(x))
    a, b = _signs(x) * same, _signs(y) * same
    value = kendall_tau(x, y, groups)
    if n < 3:
        return Interval(value, -1.0, 1.0)
    times = _times_drawn(groups, n, resamples)
    agreements, *untied = (_quadratic(times, signs) for signs in (a * b, np.abs(a), np.abs(b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = agreements / np.sqrt(untied[0] * untied[1])
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 0.9 * resamples:
        return Interval(value, -1.0, 1.0)
    low, high = np.quantile(drawn, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(value, float(low), float(high))


def kendall_null(n: int, confidence: float = 0.95) -> float:
    """Half width of the interval of tau for n independent pairs without ties, by its normal approximation."""
    return float(special.ndtri(0.5 + confidence / 2) * np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))))


def _signs(values: Sequence[float]) -> NDArray[np.floating]:
    column = np.asarray(values, dtype=float)
    return np.sign(column[:, None] - column[None, :])


def _together(groups: Sequence[int] | None, n: int) -> NDArray[np.floating]:
    column = np.zeros(n, int) if groups is None else np.asarray(groups)
    return (column[:, None] == column[None, :]).astype(float)


def _times_drawn(groups: Sequence[int] | None, n: int, resamples: int) -> NDArray[np.floating]:
    """How often each unit is drawn in each resample, (resamples, n)."""
    stream = np.random.default_rng(0)
    column = np.zeros(n, int) if groups is None else np.asarray(groups)
    times = np.zeros((resamples, n))
    for group in np.unique(column):
        members = np.flatnonzero(column == group)
        times[:, members] = stream.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return times


def _quadratic(times: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """t' M t of each resample."""
    products: NDArray[np.floating] = ((times @ matrix) * times).sum(axis=1)
    return products
