"""Owns numbers as the cells of tables print them, and the columns of numbers behind them."""

import math
from collections.abc import Sequence

import numpy as np

from flatproof.verify.utils.statistics import Interval, mean_interval

DASH = "–"  # nothing was measured
ONE_SEED = " [one seed]"
Limits = tuple[float, float]
UNLIMITED: Limits = (-math.inf, math.inf)


def bracketed(interval: tuple[float, float, float], form: str = ".3f", alone: str = ONE_SEED) -> str:
    """A value with its interval, such as "0.912 [0.890, 0.934]".

    Args:
        interval: value, lower end, upper end; NaN for a value that there is none of.
        form: of each number, as in a format string.
        alone: what follows a value that has no lower end.

    Returns:
        A dash for no value; "x in [low, ∞)" where only the upper end is missing.
    """
    value, low, high = interval
    if math.isnan(value):
        return DASH
    if not math.isfinite(low):
        return f"{value:{form}}{alone}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]" if math.isfinite(high) else f"{value:{form}} in [{low:{form}}, ∞)"


def mean_and_diverged(values: Sequence[float], form: str = ".2f", limits: Limits = UNLIMITED) -> str:
    """The mean with Student's t interval of the finite values, and how many are not.

    Args:
        values: one a seed; NaN for a diverged training.
        form: of each number, as in a format string.
        limits: of what is possible, at which the interval is cut.
    """
    finite = [value for value in values if math.isfinite(value)]
    diverged = len(values) - len(finite)
    if not finite:
        return f"all {diverged} diverged" if diverged else DASH
    return bracketed(limited(mean_interval(finite), limits), form) + (f"; {diverged} diverged" if diverged else "")


def limited(interval: Interval, limits: Limits) -> Interval:
    """The interval cut at the limits of what is possible; one without ends stays."""
    if not math.isfinite(interval.low):
        return interval
    return Interval(interval.mean, max(interval.low, limits[0]), min(interval.high, limits[1]))


def spread(values: Sequence[float], form: str) -> str:
    """Median [smallest, largest].

    Args:
        values: numbers; a dash is printed for none.
        form: of each number, as in a format string.
    """
    if not len(values):
        return DASH
    low, middle, high = (f"{value:{form}}" for value in np.quantile(values, [0, 0.5, 1]))
    return f"{middle} [{low}, {high}]"


def quantiles(values: Sequence[float], form: str) -> str:
    """Smallest, lower quartile, median, upper quartile and largest.

    Args:
        values: numbers; fewer than five are printed as they are, a dash for none or with a NaN among them.
        form: of each number, as in a format string.
    """
    if not len(values) or np.isnan(values).any():
        return DASH
    shown = sorted(values) if len(values) < 5 else np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return " / ".join(f"{value:{form}}".rstrip(".") for value in shown)


def numbers(name: str, interval: Interval | None) -> dict[str, object]:
    """An interval as columns "name, mean", "name, low" and "name, high" of the raw table; none for None."""
    return {f"{name}, {part}": value for part, value in interval._asdict().items()} if interval else {}
