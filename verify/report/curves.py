"""Owns the plotting of training curves over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from flatproof.verify.jobs.job import Stored
from flatproof.verify.report.artifacts import Figure

COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)  # distinguishable without colour vision (Okabe and Ito)
BLUE, RED, GRAY = *COLORS[:2], "#666666"
RANGE, QUARTILES = 0.2, 0.45  # how opaque the bands are


@dataclass(frozen=True)
class Panel:
    """One quantity against epochs. limits: of a share, which is drawn linearly; others on a logarithmic axis. bound: draw the
    trace's lower bound."""

    name: str
    label: str
    limits: tuple[float, float] | None = None
    bound: bool = False


def curves(
    id: str,
    title: str,
    stored: Sequence[Stored[Any]],
    panels: Sequence[Panel],
    phase_ends: Sequence[int],
    notes: tuple[str, ...],
    provenance: dict[str, str],
) -> Figure:
    """Median, quartiles and range over runs of the same settings but the seed, a panel a quantity, epochs on a logarithmic axis."""
    longest = max((s.result.curve["epoch"] for s in stored), key=len)
    epochs = np.array(longest)[1:]
    bound = float(np.median([s.result.lower_bound for s in stored]))
    bounded = np.isfinite(bound) and any(panel.bound for panel in panels)
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(10, 3.4), layout="constrained")
        canvas.suptitle(title, fontsize=10)
        for axes, panel in zip(canvas.subplots(1, len(panels)), panels, strict=True):
            values = np.full((len(stored), len(longest)), np.nan)  # a diverged run ends early
            for line, one in zip(values, stored, strict=True):
                curve = one.result.curve[panel.name]
                line[: len(curve)] = curve
            values = values[:, 1:]
            low, first, middle, third, high = np.nanquantile(values, [0, 0.25, 0.5, 0.75, 1], axis=0)
            axes.fill_between(epochs, low, high, color=BLUE, alpha=RANGE, linewidth=0)
            axes.fill_between(epochs, first, third, color=BLUE, alpha=QUARTILES - RANGE, linewidth=0)
            axes.plot(epochs, middle, color=BLUE)
            if panel.bound and bounded:
                axes.axhline(bound, color=RED, linestyle="--")
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
            handles.append(Line2D([], [], color=RED, linestyle="--", label=f"lower bound of the trace, {bound:.4g}"))
        if phase_ends:
            handles.append(Line2D([], [], color=GRAY, linestyle=":", label="next phase"))
        canvas.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return Figure(id=id, title=title, canvas=canvas, notes=notes, provenance=provenance)


def _scale(values: NDArray[np.floating]) -> str:
    """Logarithmic for positive values; on both sides of 0 where a trace off interpolation is negative."""
    return "log" if np.nanmin(values) > 0 else "symlog"


def label_ticks(axis: Axis) -> None:
    """Plain numbers on a logarithmic axis: powers of ten, with 2 and 5 times them on a short one, evenly spaced on a very short one."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "linear":
        return
    if axis.get_scale() == "log":
        decades = np.log10(high / low)
        fine = (1.0,) if decades > 3 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=fine) if decades > 1 else MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_number))
    axis.set_minor_formatter(NullFormatter())


def _number(value: float, _: int) -> str:
    """A tick's label: a power of ten where that is shorter."""
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.10g}"
    exponent = int(np.floor(np.log10(abs(value)) + 1e-9))
    leading = value / 10.0**exponent
    return f"$10^{{{exponent}}}$" if abs(leading - 1) < 1e-9 else f"${leading:.10g} \\cdot 10^{{{exponent}}}$"
