"""Owns the figure of a study: each measured number against a setting, its mean with an interval, a line for each value of another."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flatproof.verify.experiments.study.summaries import columns, interval_of, limits_of
from flatproof.verify.report.style import COLORS, figure_style, label_ticks

ACROSS = 3  # panels side by side, at most
SPAN = 20  # ratio from which numbers are drawn on a logarithmic axis


def plot(
    rows: pd.DataFrame,
    x: str | None = None,
    lines: str | None = None,
    by: str = "seed",
    settings: Sequence[str] | None = None,
    values: Sequence[str] | None = None,
) -> Figure:
    """A panel a measured number: points, one a repetition, and their mean with its 95 % interval.

    Args:
        rows: as for `table`.
        x: the setting on the horizontal axis; None: the first that takes several values.
        lines: the setting told apart by colour; None: the next that does.
        by: the column that is averaged over.
        settings, values: as for `table`.

    Raises:
        ValueError: as for `table`.
    """
    settings, values = columns(rows, by, settings, values)
    varied = [name for name in settings if rows[name].astype(str).nunique() > 1]
    x = x if x is not None else next(iter(varied), by)
    lines = lines if lines is not None else next((name for name in varied if name != x), None)
    if absent := [name for name in (x, lines) if name is not None and name not in rows]:
        raise ValueError(f"rows have no column {absent[0]!r}; they have {', '.join(map(str, rows))}")
    across = min(len(values), ACROSS)
    down = ceil(len(values) / across)
    with figure_style():
        canvas = Figure(figsize=(1.2 + 3.1 * across, 0.5 + 2.6 * down), layout="constrained")
        grid = canvas.subplots(down, across, squeeze=False)
        for axes, name in zip(grid.flat, values, strict=False):
            _panel(axes, rows, x, name, lines)
        for axes in grid.flat[len(values) :]:
            axes.set_axis_off()
        handles, labels = grid.flat[0].get_legend_handles_labels()
        if lines is not None:
            canvas.legend(handles, labels, title=lines, loc="outside right upper", frameon=False, fontsize=8, title_fontsize=8)
    return canvas


def _panel(axes: Axes, rows: pd.DataFrame, x: str, name: str, lines: str | None) -> None:
    numeric = pd.api.types.is_numeric_dtype(rows[x]) and not pd.api.types.is_bool_dtype(rows[x])
    places = {str(value): i for i, value in enumerate(dict.fromkeys(rows[x].astype(str)))}
    groups = [(None, rows)] if lines is None else list(rows.groupby(rows[lines].astype(str), sort=False))
    for i, (label, group) in enumerate(groups):
        color = COLORS[i % len(COLORS)]
        at = group[x].astype(float) if numeric else group[x].astype(str).map(places).astype(float)
        y = pd.to_numeric(group[name], errors="coerce").astype(float)
        axes.plot(at, y, ".", color=color, alpha=0.35, markersize=4)
        positions = sorted(at.unique())
        intervals = [interval_of(y[at == position], limits=limits_of(rows, name)) for position in positions]
        means = np.array([interval.mean for interval in intervals])
        reach = np.array([[interval.mean - interval.low, interval.high - interval.mean] for interval in intervals]).T
        reach[~np.isfinite(reach)] = 0
        axes.errorbar(positions, means, reach, fmt="o-", color=color, markersize=4, linewidth=1.2, capsize=2, label=label)
    if numeric:
        _scale(axes, "x", rows[x].astype(float))
    else:
        axes.set_xticks(
            list(places.values()),
            list(places),
            rotation=30 if max(map(len, places)) > 8 else 0,
            ha="right" if max(map(len, places)) > 8 else "center",
        )
        axes.margins(x=0.15)
    _scale(axes, "y", pd.to_numeric(rows[name], errors="coerce").astype(float))
    axes.set_xlabel(x)
    axes.set_title(name, fontsize=9)
    axes.grid(alpha=0.2)


def _scale(axes: Axes, which: str, values: pd.Series) -> None:
    """A logarithmic axis for positive numbers of different sizes."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() >= SPAN:
        axes.set(**{f"{which}scale": "log"})
        label_ticks(axes.xaxis if which == "x" else axes.yaxis)
