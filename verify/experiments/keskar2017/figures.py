"""Owns figures 2 to 7: mean over seeds as a line, smallest to largest as a band."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from flatproof.verify.deep import Training
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, detailed, path
from flatproof.verify.experiments.keskar2017.results import FLOOR, Results, known
from flatproof.verify.experiments.keskar2017.tables import ID, about
from flatproof.verify.report.artifacts import Figure
from flatproof.verify.report.style import BLUE, GRAY, RED, figure_style, label_ticks

SIZES = (("SB", BLUE), ("LB", RED))
BATCH = "batch size"
BAND = "Line: mean over seeds; band: smallest to largest."
Points = list[tuple[float, list[float]]]  # an abscissa with the values of the seeds that have it


def _figure(
    r: Results, name: str, title: str, draw: Callable[[Canvas], None], width: float, height: float, *notes: str
) -> Figure:
    with figure_style():
        canvas = Canvas(figsize=(width, height), layout="constrained")
        draw(canvas)
        for axes in canvas.axes:
            if axes.get_xlabel() != BATCH:  # which has its own
                label_ticks(axes.xaxis)
            label_ticks(axes.yaxis)
    return Figure(
        f"{ID}/{name}", f"keskar2017, {name.replace('-', ' ')}: {title}", canvas, (*notes, about(r.plan)), r.provenance()
    )


def _line(axes: Axes, points: Points, colour: str, label: str | None = None, style: str = "-") -> None:
    """Mean and range over seeds."""
    kept = [(x, finite) for x, values in points if (finite := [v for v in values if np.isfinite(v)])]
    if not kept:
        return
    x = [place for place, _ in kept]
    axes.plot(x, [float(np.mean(v)) for _, v in kept], style, color=colour, label=label, markersize=3)
    axes.fill_between(x, [min(v) for _, v in kept], [max(v) for _, v in kept], color=colour, alpha=0.2, linewidth=0)


def _curves(curves: Sequence[dict[str, Any]], abscissa: str, name: str, factor: float = 1.0) -> Points:
    """Curves of several seeds, which may end at different places, by abscissa."""
    at: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in zip(curve[abscissa], curve[name], strict=True):
            at.setdefault(x, []).append(factor * y)
    return sorted(at.items())


def _grid(canvas: Canvas, rows: int, networks: Sequence[str]) -> list[list[Axes]]:
    axes = canvas.subplots(rows, max(1, len(networks)), squeeze=False)
    for panel, network in zip(axes[0], networks, strict=False):
        panel.set_title(network, fontsize=9)
    return [list(row) for row in axes]


def figure_2(r: Results) -> Figure | None:
    """Training and test accuracy by epoch."""
    shown = {}
    for network in NETWORKS:
        curves = {
            size: [v["curve"] for v in map(r.values, r.trainings(of, network)) if v]
            for (size, _), of in zip(SIZES, (r.plan.sb, r.plan.lb), strict=True)
        }
        if any(curves.values()):
            shown[network] = curves
    if not shown:
        return None

    def draw(canvas: Canvas) -> None:
        (row,) = _grid(canvas, 1, list(shown))
        for axes, curves in zip(row, shown.values(), strict=True):
            for size, colour in SIZES:
                _line(axes, _curves(curves[size], "epoch", "train_accuracy", 100), colour, f"{size}, training", "--")
                _line(axes, _curves(curves[size], "epoch", "test_accuracy", 100), colour, f"{size}, test")
            axes.set(xlabel="epochs", ylabel="accuracy, %")
            axes.legend(frameon=False, fontsize=7)

    return _figure(r, "figure-2", "accuracy by epoch", draw, 3.6 * len(shown), 3.0, BAND)


def path_figure(r: Results, name: str, along: str) -> Figure | None:
    """Figures 3 and 7: loss and accuracy on a path from SB (0) to LB (1)."""
    shown = {network: values for network in NETWORKS if (values := r.measured(path(r.plan, network, seed) for seed in r.seeds))}
    if not shown:
        return None

    def draw(canvas: Canvas) -> None:
        above, below = _grid(canvas, 2, list(shown))
        for top, bottom, values in zip(above, below, shown.values(), strict=True):
            curves = [{"alpha": v["alpha"], **v[along]} for v in values]
            for split, style in (("train", "-"), ("test", "--")):
                _line(top, _curves(curves, "alpha", f"{split}_loss"), BLUE, split, style)
                _line(bottom, _curves(curves, "alpha", f"{split}_accuracy", 100), RED, split, style)
            top.set(yscale="log", ylabel="cross-entropy")
            bottom.set(xlabel="alpha (0: SB, 1: LB)", ylabel="accuracy, %")
            for axes in (top, bottom):
                axes.legend(frameon=False, fontsize=7)
                axes.axvline(0, color=GRAY, linewidth=0.6, linestyle=":")
                axes.axvline(1, color=GRAY, linewidth=0.6, linestyle=":")

    formula = "alpha x_LB + (1 - alpha) x_SB" if along == "linear" else "sin(alpha pi/2) x_LB + cos(alpha pi/2) x_SB"
    note = (
        f"{BAND} Running statistics of batch normalization are estimated afresh at every point: an endpoint's fit no other weights. The "
        "paper does not say what it does."
    )
    return _figure(r, name, f"along {formula}", draw, 3.6 * len(shown), 4.6, note)


def _accuracy_and_sharpness(r: Results, groups: Mapping[int, Sequence[Training]]) -> tuple[Points, Points]:
    """Test accuracy and the metric of groups of trainings, by what the groups are named by; without groups that were not run."""
    accuracy = [(float(x), known(r.final(group, "test_accuracy"))) for x, group in groups.items()]
    sharp = [(float(x), known(r.phi(group))) for x, group in groups.items()]
    return [(x, v) for x, v in accuracy if v], [(x, v) for x, v in sharp if v]


def figure_4(r: Results) -> Figure | None:
    """Test accuracy and sharpness against batch size."""
    shown = {}
    for network in detailed(r.plan):
        groups = {b: [r.plan.training(network, b, seed) for seed in r.seeds] for b in r.plan.batch_sizes(network)}
        if (both := _accuracy_and_sharpness(r, groups))[0]:
            shown[network] = both
    if not shown:
        return None

    def draw(canvas: Canvas) -> None:
        above, below = _grid(canvas, 2, list(shown))
        for top, bottom, (accuracy, sharp) in zip(above, below, shown.values(), strict=True):
            _line(top, accuracy, BLUE, style="o-")
            _line(bottom, sharp, RED, style="o-")
            top.set(xscale="log", ylabel="test accuracy, %", xlabel=BATCH)
            bottom.set(xscale="log", yscale="log", xlabel=BATCH, ylabel="sharpness, epsilon 1e-3, %")
            sizes = [size for size, _ in accuracy]
            for axes in (top, bottom):
                axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
                axes.minorticks_off()

    return _figure(r, "figure-4", "test accuracy and sharpness by batch size", draw, 3.6 * len(shown), 4.6, BAND)


def figure_5(r: Results) -> Figure | None:
    """LB warm-started from epochs of SB."""
    shown = {}
    for network in detailed(r.plan):
        groups = {e: [r.plan.warm_start(network, seed, e) for seed in r.seeds] for e in r.plan.warm}
        if (both := _accuracy_and_sharpness(r, groups))[0]:
            shown[network] = both
    if not shown:
        return None

    def draw(canvas: Canvas) -> None:
        above, below = _grid(canvas, 2, list(shown))
        for top, bottom, (network, (accuracy, sharp)) in zip(above, below, shown.items(), strict=True):
            _line(top, accuracy, BLUE, "after the warm start", "o-")
            _line(bottom, sharp, RED, "after the warm start", "o-")
            for of, label, style in ((r.plan.sb, "SB", "--"), (r.plan.lb, "LB", ":")):
                level = known(r.final(r.trainings(of, network), "test_accuracy"))
                flat = known(r.phi(r.trainings(of, network)))
                for axes, values in ((top, level), (bottom, flat)):
                    if values:
                        axes.axhline(float(np.mean(values)), color=GRAY, linestyle=style, linewidth=0.8, label=label)
            top.set(xscale="log", ylabel="test accuracy, %")
            bottom.set(xscale="log", yscale="log", xlabel="epochs of SB before LB", ylabel="sharpness, epsilon 1e-3, %")
            top.legend(frameon=False, fontsize=7)

    note = f"{BAND} LB runs at most {r.plan.warm_epochs} epochs after the warm start."
    return _figure(r, "figure-5", "LB warm-started from SB", draw, 3.6 * len(shown), 4.6, note)


def figure_6(r: Results) -> Figure | None:
    """Sharpness against loss along training."""
    shown: dict[str, dict[str, list[list[tuple[float, float]]]]] = {}
    for network in detailed(r.plan):
        tracks: dict[str, list[list[tuple[float, float]]]] = {}
        for (size, _), of in zip(SIZES, (r.plan.sb, r.plan.lb), strict=True):
            for training in r.trainings(of, network):
                curve = (r.values(training) or {}).get("curve", {"epoch": [], "train_loss": []})
                loss = dict(zip(curve["epoch"], curve["train_loss"], strict=True))
                metric = [(loss.get(float(e)), r.phi([training], epoch=e)[0]) for e in training.keep]
                metric += [(curve["train_loss"][-1], r.phi([training])[0])] if curve["train_loss"] else []
                both = [(x, y) for x, y in metric if x is not None and y is not None and np.isfinite(y)]
                if both:
                    tracks.setdefault(size, []).append(both)
        if tracks:
            shown[network] = tracks
    if not shown:
        return None

    def draw(canvas: Canvas) -> None:
        (row,) = _grid(canvas, 1, list(shown))
        for axes, tracks in zip(row, shown.values(), strict=True):
            for size, colour in SIZES:
                for i, track in enumerate(tracks.get(size, [])):
                    loss, metric = [x for x, _ in track], [max(y, FLOOR) for _, y in track]
                    label = size if i == 0 else None
                    axes.plot(loss, metric, "o-", color=colour, markersize=3, linewidth=0.8, label=label)
            axes.set(xscale="log", yscale="log", xlabel="training loss", ylabel="sharpness, epsilon 1e-3, %")
            axes.invert_xaxis()
            axes.legend(frameon=False, fontsize=7)

    epochs = ", ".join(map(str, r.plan.kept))
    note = f"One line a seed; points: after epochs {epochs}, as far as training went, and at its end. Training goes from left to right."
    return _figure(r, "figure-6", "sharpness against loss along training", draw, 3.6 * len(shown), 3.0, note)


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "figure-2": figure_2,
    "figure-3": lambda r: path_figure(r, "figure-3", "linear"),
    "figure-4": figure_4,
    "figure-5": figure_5,
    "figure-6": figure_6,
    "figure-7": lambda r: path_figure(r, "figure-7", "curved"),
}
