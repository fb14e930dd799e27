"""Owns the plotting of training curves over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from verify.report import Figure
from verify.store import Stored

BLUE, RED, GRAY = "#0072B2", "#D55E00", "#666666"  # distinguishable without colour vision (Okabe and Ito)


@dataclass(frozen=True)
class Panel:
    """One quantity against epochs. bound: draw the trace's lower bound."""

    name: str
    label: str
    scale: str
    limits: tuple[float, float] | None = None
    bound: bool = False


def curves(
    id: str,
    title: str,
    stored: Sequence[Stored],
    panels: Sequence[Panel],
    phase_ends: Sequence[int],
    notes: tuple[str, ...],
    provenance: dict[str, str],
) -> Figure:
    """Median, quartiles and range over runs of the same settings but the seed, a panel a quantity, epochs on a logarithmic axis."""
    longest = max((s.result.curve["epoch"] for s in stored), key=len)
    epochs = np.array(longest)[1:]
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(10, 3.1), layout="constrained")
        canvas.suptitle(title, fontsize=10)
        for axes, panel in zip(canvas.subplots(1, len(panels)), panels, strict=True):
            values = np.full((len(stored), len(longest)), np.nan)  # a diverged run ends early
            for line, one in zip(values, stored, strict=True):
                curve = one.result.curve[panel.name]
                line[: len(curve)] = curve
            values = values[:, 1:]
            axes.fill_between(epochs, np.nanmin(values, 0), np.nanmax(values, 0), color=BLUE, alpha=0.2, linewidth=0)
            low, high = np.nanquantile(values, [0.25, 0.75], axis=0)
            axes.fill_between(epochs, low, high, color=BLUE, alpha=0.35, linewidth=0)
            axes.plot(epochs, np.nanmedian(values, 0), color=BLUE, label="median, quartiles, range over seeds")
            bound = float(np.median([s.result.lower_bound for s in stored]))
            if panel.bound and np.isfinite(bound):
                axes.axhline(bound, color=RED, linestyle="--", label=f"lower bound {bound:.4g}")
                axes.legend(frameon=False, fontsize=8)
            for end in phase_ends:
                axes.axvline(end, color=GRAY, linestyle=":", linewidth=0.8)
            axes.set(xscale="log", yscale=panel.scale, xlabel="epochs", ylabel=panel.label)
            if panel.limits:
                axes.set_ylim(*panel.limits)
            axes.grid(alpha=0.2)
    return Figure(id=id, title=title, canvas=canvas, notes=notes, provenance=provenance)
