"""Owns the table of a study: the mean of each measured number over seeds with Student's t interval, a row a setting."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from flatproof.verify.experiments.study.measurement import in_words
from flatproof.verify.experiments.vocabulary import DASH, bracketed
from flatproof.verify.experiments.vocabulary.cells import UNLIMITED, Limits, limited
from flatproof.verify.report.artifacts import NOT_YET
from flatproof.verify.utils.statistics import Interval, mean_interval


@dataclass(frozen=True)
class Summary:
    """A row a setting.

    Args:
        shown: text for people: settings, then "mean [low, high]" of each measured number.
        numbers: settings, then "name, mean", "name, low", "name, high" and "name, n" of each.
        note: how to read it.
    """

    shown: pd.DataFrame
    numbers: pd.DataFrame
    note: str

    def __str__(self) -> str:
        return f"{self.shown.to_string(index=False)}\n{self.note}"

    def _repr_html_(self) -> str:
        return f"{self.shown.to_html(index=False)}<p>{html.escape(self.note)}</p>"


def table(
    rows: pd.DataFrame,
    by: str = "seed",
    settings: Sequence[str] | None = None,
    values: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Summary:
    """Mean over `by` of each measured number, with its interval, for each setting.

    Args:
        rows: one a measurement, as `Study.run` gives them, or a data frame of your own; its attrs["limits"] are a study's.
        by: the column that is averaged over, whose values are independent repetitions.
        settings: columns of the settings; None: those of the study, or else all that hold no floating-point numbers.
        values: columns to average; None: all other numbers.
        confidence: of the two-sided intervals.

    Raises:
        ValueError: naming a column that is not there, or nothing to average.
    """
    settings, values = columns(rows, by, settings, values)
    shown, raw, gaps = [], [], 0
    places, wanted = rows.attrs.get("wanted", ((), None))
    groups = [*_groups(rows, settings), *_unmeasured(rows, settings, places)]
    counts = [len(group) for _, group in groups]
    unequal = len({*counts, wanted or counts[0]}) > 1
    for place, group in groups:
        row: dict[str, object] = {name: in_words(value) for name, value in place.items()}
        number: dict[str, object] = dict(place)
        for name in values:
            column = pd.to_numeric(group[name], errors="coerce")
            interval = interval_of(column, confidence, limits_of(rows, name))
            missing = len(column) - int(column.map(math.isfinite).sum())
            gaps += missing
            row[name] = (
                (cell(interval) + (f"; {missing} of {len(column)} missing" if missing else "")) if len(column) else NOT_YET
            )
            number |= {f"{name}, {end}": value for end, value in interval._asdict().items()} | {
                f"{name}, n": len(column) - missing
            }
        if unequal:
            row[f"{by}s"] = f"{len(group)} of {wanted}" if wanted and len(group) < wanted else f"{len(group)}"
        shown.append(row)
        raw.append(number)
    repetitions = f"{min(counts)}" if not unequal else f"{min(counts)} to {max(counts)}"
    note = f"Mean over {repetitions} values of {by} with Student's t interval at {confidence:.0%}."
    note += f" {by}s: how many are stored; the others failed or were not yet run." if wanted and min(counts) < wanted else ""
    note += " Missing: what diverged or is no finite number." if gaps else ""
    return Summary(pd.DataFrame(shown), pd.DataFrame(raw), note)


def _unmeasured(
    rows: pd.DataFrame, settings: list[str], places: Sequence[Mapping[str, object]]
) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The settings that a study wants and that no row has, each with no rows."""
    there = {tuple(map(_key, place)) for place in rows[settings].itertuples(index=False)}
    wanted = {tuple(_key(place.get(name)) for name in settings): {name: place.get(name) for name in settings} for place in places}
    return [(place, rows.iloc[:0]) for key, place in wanted.items() if key not in there]


def _key(value: object) -> object:
    """A setting's value, alike in the grid and in a data frame, where whole numbers can be floating ones and what is absent NaN."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return "" if math.isnan(value) else float(value)
    return "" if value is None else str(value)


def interval_of(column: pd.Series, confidence: float = 0.95, limits: Limits = UNLIMITED) -> Interval:
    """The mean of the finite values with its interval, cut at the limits; NaN where there are none."""
    finite = [float(value) for value in column if math.isfinite(value)]
    return limited(mean_interval(finite, confidence), limits) if finite else Interval(math.nan, -math.inf, math.inf)


def limits_of(rows: pd.DataFrame, name: str) -> Limits:
    """What values of a column are possible, as the study says."""
    return tuple(rows.attrs.get("limits", {}).get(name, UNLIMITED))


def cell(interval: Interval) -> str:
    """Mean and interval with three digits of the interval's width."""
    if math.isnan(interval.mean):
        return DASH
    width = interval.high - interval.low
    if not math.isfinite(width) or width == 0:
        return bracketed(interval, ".4g")
    digits = 2 - math.floor(math.log10(width))
    large = max(abs(interval.low), abs(interval.high))
    return bracketed(interval, f".{max(digits, 0)}f" if 1e-4 <= large < 1e6 else ".3g")


def columns(
    rows: pd.DataFrame, by: str, settings: Sequence[str] | None, values: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Which columns are settings and which are averaged. Errors: as for `table`."""
    if by not in rows:
        raise ValueError(f"rows have no column {by!r} to average over; they have {', '.join(map(str, rows)) or 'none'}")
    if settings is None:
        kept = rows.attrs.get("settings")
        settings = [str(c) for c in rows if c != by and not pd.api.types.is_float_dtype(rows[c])] if kept is None else kept
    if values is None:
        rest = rest_of(rows, by, settings)
        values = [c for c in rest if pd.api.types.is_numeric_dtype(rows[c])]
        for name in (c for c in rest if c not in values):
            kinds = {isinstance(value, str): value for value in rows[name].dropna()}
            if len(kinds) == 2:
                raise ValueError(
                    f"{name} is {kinds[False]!r} in some rows and {kinds[True]!r} in others; expected numbers or texts"
                )
    if absent := [c for c in (*settings, *values) if c not in rows]:
        raise ValueError(f"rows have no column {absent[0]!r}; they have {', '.join(map(str, rows))}")
    if not values:
        texts = [f"{c} is {_first(rows[c])!r}" for c in rest_of(rows, by, settings) if len(rows[c].dropna())]
        raise ValueError(f"rows hold no numbers to average beside the settings{': ' * bool(texts)}{', '.join(texts)}")
    return list(settings), list(values)


def rest_of(rows: pd.DataFrame, by: str, settings: Sequence[str]) -> list[str]:
    """The columns of what was measured."""
    return [str(c) for c in rows if c != by and c not in settings]


def _first(column: pd.Series) -> object:
    return column.dropna().iloc[0]


def _groups(rows: pd.DataFrame, settings: list[str]) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The rows of each setting, in the order in which settings first appear."""
    if not settings:
        return [({}, rows)]
    keys = rows[settings].astype(str).agg(" | ".join, axis=1)
    return [(dict(zip(settings, group.iloc[0][settings], strict=True)), group) for _, group in rows.groupby(keys, sort=False)]
