"""Owns the table and the figure of diagonal networks, and what the ranges of initializations show in them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.andriushchenko2023 import diagonal
from flatproof.verify.experiments.andriushchenko2023.diagonal import DEFINITIONS, SMALL, Panel
from flatproof.verify.experiments.andriushchenko2023.published import ID
from flatproof.verify.experiments.andriushchenko2023.rules import ENDS, tau, words
from flatproof.verify.experiments.vocabulary import of_scale, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table
from flatproof.verify.report.style import COLORS, figure_style, label_ticks
from flatproof.verify.utils.statistics import kendall_null

TABLE, FIGURE = f"{ID}/diagonal", f"{ID}/figure-3"
RANGES = {"all": (0.0, np.inf), f"below {SMALL:g}": (0.0, SMALL), f"from {SMALL:g}": (SMALL, np.inf)}
DRAWN = ("trace, c = 1", "average l2, c = |w|", "worst l2, c = |w|", "worst linf, m = 1, c = |w|")

Pairs = Sequence[tuple[Panel, StoredValues]]


def panels_of(pairs: Pairs) -> dict[str, pd.DataFrame]:
    """Of each panel its finished networks: a column a definition, test_error, the scale of the initialization, and group, the draw."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for job, stored in pairs:
        values = stored.result
        finished = values["loss"] <= diagonal.LOSS
        columns = dict(zip(DEFINITIONS, values["sharpness"].T, strict=True))
        columns |= {"test_error": values["error"], "scale": values["scale"][finished], "angle": values["angle"][finished]}
        parts.setdefault(job.row, []).append(pd.DataFrame(columns).assign(group=job.seed))
    return {row: pd.concat(frames, ignore_index=True) for row, frames in parts.items()}


def setting(scale: str) -> str:
    """What was trained, in words."""
    size = diagonal.SIZES[scale]
    return (
        f"Scale {scale}: d = {size.d}, n = {size.n} Gaussian samples without noise; {size.draws} draws of data a panel, with "
        f"{size.networks} networks each; gradient descent to a training loss of {diagonal.LOSS:g} (at most {size.most:,} steps). Networks "
        f"differ in the scale of their initialization (log-uniform, {diagonal.SCALES[0]:g} to {diagonal.SCALES[1]:g}), in the angle "
        "between layers (u = s cos, v = s sin, uniform in [0, π/2]), in whether coordinates are alike, and in the step size "
        f"(log-uniform, {diagonal.STEPS[0]:g} to {diagonal.STEPS[1]:g} in units of 1/(2 λ_max(Σ) ‖b‖∞)). Power law: variance 1/i in "
        f"coordinate i; sparse: {diagonal.SHARE:.0%} of the coordinates are not 0."
    )


def table(pairs: Pairs, scale: str) -> Table:
    """tau of every definition with test loss in every panel, over all initializations and over the small and the large ones alone."""
    panels = panels_of(pairs)
    shown, raw = [], []
    for definition in DEFINITIONS if panels else ():
        for name, (low, high) in RANGES.items():
            row: dict[str, str] = {"definition": definition, "initializations": name}
            numbers: dict[str, object] = dict(row)
            for panel, networks in panels.items():
                part = networks[(networks.scale >= low) & (networks.scale < high)]
                interval = tau(part, definition, "test_error", grouped=True)
                row[panel] = words(interval)
                numbers |= {f"{end} {panel}": value for end, value in zip(ENDS, interval, strict=True)}
                numbers[f"networks {panel}"] = len(part)
            shown.append(row)
            raw.append(numbers)
    counts = "; ".join(f"{panel}: {len(networks)}" for panel, networks in panels.items())
    least = min((len(networks) for networks in panels.values()), default=0)
    notes = (
        "Kendall's τ-b between each definition, in closed form, and the exact test loss, inside draws of data, with its 95 % bootstrap "
        f"interval over networks. Networks that reached the training loss: {counts or 'none'}. For independent variables the half width is "
        f"{kendall_null(least):.2f} at {least} networks."
        if least > 2
        else "No panel has networks enough.",
        "What τ is can depend on the range of initializations, whose scale moves both sharpness and test loss: three ranges are shown.",
        f"ρ = {diagonal.RHO:g}. Worst l2: the lower of two bounds, for the samples' covariance is not diagonal; worst linf: one sample a "
        "batch.",
        setting(scale),
        *of_scale(scale),
    )
    return Table(
        id=TABLE,
        title="Diagonal linear networks: which definition tracks test loss?",
        shown=pd.DataFrame(shown or [{"definition": NOT_YET}]),
        raw=pd.DataFrame(raw),
        notes=notes,
        provenance=provenance_of([stored for _, stored in pairs], scale),
        brief=("definition", "initializations", *panels) if shown else ("definition",),
    )


def figure(pairs: Pairs, scale: str) -> Figure | None:
    """A point a network: four definitions against test loss in each panel, coloured by the initialization's scale; None without any."""
    panels = {panel: networks for panel, networks in panels_of(pairs).items() if len(networks)}
    if not panels:
        return None
    with figure_style():
        canvas = Canvas(figsize=(9.5, 8), layout="constrained")
        grid = canvas.subplots(len(DRAWN), len(panels), squeeze=False, sharey="col")
        for row, definition in zip(grid, DRAWN, strict=True):
            for axes, (panel, networks) in zip(row, panels.items(), strict=True):
                points = axes.scatter(
                    networks[definition],
                    networks.test_error,
                    c=np.log10(networks.scale),
                    vmin=np.log10(diagonal.SCALES[0]),
                    vmax=np.log10(diagonal.SCALES[1]),
                    s=5,
                    cmap="viridis",
                )
                axes.set(xscale="log", yscale="log")
                label_ticks(axes.xaxis)
                label_ticks(axes.yaxis)
                axes.tick_params(labelsize=6)
                interval = tau(networks, definition, "test_error", grouped=True)
                above = f"{panel}\n" if definition == DRAWN[0] else ""
                axes.set_title(f"{above}τ = {words(interval)}", fontsize=7, color=COLORS[0])
                axes.set_xlabel(definition, fontsize=7)
            row[0].set_ylabel("test loss", fontsize=8)
        canvas.colorbar(points, ax=grid, label="log10 of the scale of the initialization", shrink=0.6)
    notes = (
        "A point a network that reached the training loss. τ: Kendall's, inside draws of data, with its 95 % bootstrap interval.",
        setting(scale),
        *of_scale(scale),
    )
    title = "Diagonal linear networks: sharpness against test loss"
    return Figure(FIGURE, title, canvas, notes, provenance_of([stored for _, stored in pairs], scale))
