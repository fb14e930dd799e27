"""Owns the plotting of training curves over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from flatproof.verify.jobs.job import Stored
from flatproof.verify.report.artifacts import Figure
from flatproof.verify.report.style import BLUE, GRAY, QUARTILES, RANGE, RED, figure_style, label_ticks


@dataclass(frozen=True)
class Panel:
    """One quantity against epochs.

    Args:
        name: of the quantity among a result's curves.
        label: of the vertical axis.
        limits: of a share, which is drawn linearly; other quantities are drawn on a logarithmic axis.
        bound: draw the trace's lower bound.
    """

    name: str
    label: str
    limits: tuple[float, float] | None = None
    bound: bool = False


def draw_curves(
    id: str,
    title: str,
    stored: Sequence[Stored[Any]],
    panels: Sequence[Panel],
    phase_ends: Sequence[int],
    notes: tuple[str, ...],
    provenance: dict[str, str],
    interpolates: float = np.inf,
) -> Figure:
    """Median, quartiles and range over runs of the same settings but the seed, a panel a quantity, epochs on a logarithmic axis.

    Args:
        id, title, notes, provenance: of the figure.
        stored: the runs, at least one.
        panels: left to right.
        phase_ends: epochs at which a vertical line marks the next phase.
        interpolates: the largest training loss at which the trace's bound holds; where the median's is larger, the panel is shaded.
    """
    longest = max((run.result.curve["epoch"] for run in stored), key=len)
    epochs = np.array(longest)[1:]
    bound = float(np.median([run.result.lower_bound for run in stored]))
    bounded = np.isfinite(bound) and any(panel.bound for panel in panels)
    off = np.nanmedian(_curves(stored, "train_loss", len(longest)), axis=0) > interpolates
    with figure_style():
        canvas = Canvas(figsize=(10, 3.4), layout="constrained")
        for axes, panel in zip(canvas.subplots(1, len(panels)), panels, strict=True):
            values = _curves(stored, panel.name, len(longest))
            low, first, middle, third, high = np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1], axis=0)
            axes.fill_between(epochs, low, high, color=BLUE, alpha=RANGE, linewidth=0)
            axes.fill_between(epochs, first, third, color=BLUE, alpha=QUARTILES - RANGE, linewidth=0)
            axes.plot(epochs, middle, color=BLUE)
            if panel.bound and bounded:
                axes.axhline(bound, color=RED, linestyle="--")
                whole = axes.get_xaxis_transform()
                axes.fill_between(epochs, 0, 1, where=off, step="mid", transform=whole, color=GRAY, alpha=0.12, linewidth=0)
            for end in phase_ends:
                axes.axvline(end, color=GRAY, linestyle=":", linewidth=1)
            axes.set(xscale="log", xlabel="epochs", ylabel=panel.label)
            if panel.limits:
                axes.set_ylim(*panel.limits)
            else:
                axes.set_yscale(_scale(values))
            for axis in (axes.xaxis, axes.yaxis):
                label_ticks(axis)
            axes.grid(alpha=0.2)
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLUE, label="median over seeds"),
            Patch(color=BLUE, alpha=QUARTILES, linewidth=0, label="quartiles"),
            Patch(color=BLUE, alpha=RANGE, linewidth=0, label="smallest to largest"),
        ]
        if bounded:
            handles.append(
                Line2D([], [], color=RED, linestyle="--", label=f"lower bound of the trace at interpolation, {bound:.4g}")
            )
        if bounded and off.any():
            handles.append(Patch(color=GRAY, alpha=0.2, linewidth=0, label="off interpolation: the bound does not hold"))
        if phase_ends:
            handles.append(Line2D([], [], color=GRAY, linestyle=":", label="next phase"))
        canvas.legend(
            handles=handles, loc="outside lower center", ncols=len(handles) if len(handles) < 5 else 3, frameon=False, fontsize=8
        )
    return Figure(id=id, title=title, canvas=canvas, notes=notes, provenance=provenance)


def _curves(stored: Sequence[Stored[Any]], name: str, length: int) -> NDArray[np.float64]:
    """One quantity of every run but at epoch 0; NaN behind the end of a run that diverged."""
    values = np.full((len(stored), length), np.nan)
    for row, run in zip(values, stored, strict=True):
        curve = run.result.curve[name]
        row[: len(curve)] = curve
    return values[:, 1:]


def _scale(values: NDArray[np.floating]) -> str:
    """Logarithmic for positive values; on both sides of 0 where a trace off interpolation is negative."""
    return "log" if np.nanmin(values) > 0 else "symlog"
