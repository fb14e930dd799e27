"""Owns the intervals that tables print."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


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
    half = stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Interval(mean, float(mean - half), float(mean + half))


def share_interval(shares: Sequence[float], points: int | None, confidence: float = 0.95) -> Interval:
    """Mean over seeds of shares in [0, 1], each counted on `points` fresh samples (None: on the whole population).

    Student's t interval over seeds, clipped to [0, 1] and widened to contain the exact binomial (Clopper-Pearson) interval of the
    pooled counts: when all seeds agree, what is left is the error of counting on finitely many samples.
    """
    mean, low, high = mean_interval(shares, confidence)
    if points is None:
        return Interval(mean, max(0.0, low), min(1.0, high))
    count, total = round(mean * points * len(shares)), points * len(shares)
    exact = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    return Interval(mean, max(0.0, min(low, float(exact.low))), min(1.0, max(high, float(exact.high))))
