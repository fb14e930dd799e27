"""Owns the pictures of the loss on lines and planes through the space of parameters."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Normalize

from flatproof.verify.curvature.slices import Line, Plane
from flatproof.verify.pictures.saving import Frame, figure_of, plane_size, square
from flatproof.verify.report.style import COLORS, RED, figure_style, label_ticks

LEVELS = 14  # contours
DECADES = 1.0  # of losses, beyond which an axis is logarithmic
UNKNOWN = "the loss is not finite in {} of {} positions, left blank"


def draw_line(line: Line, axes: Axes | None = None) -> Axes:
    """The loss on lines, one curve each; a dot where the model or a checkpoint lies.

    Args:
        line: of `verify.curvature.slices`.
        axes: to draw on; None: of a figure of their own.
    """
    with figure_style():
        frame = Frame.of(axes)
        axes = frame.axes
        for k, (name, losses) in enumerate(zip(line.names, line.losses, strict=True)):
            axes.plot(line.at, losses, color=COLORS[k % len(COLORS)], linewidth=1.3, label=name)
        at_marks = [float(line.losses[0, int(np.argmin(np.abs(line.at - mark)))]) for mark in line.marks]
        axes.plot(line.marks, at_marks, "o", color="black", markersize=4, zorder=3)
        if len(line.marks) > 1:
            axes.set_xticks(line.marks if len(line.marks) <= 12 else line.marks[:: -(-len(line.marks) // 12)])
        axes.set(xlabel=line.label, ylabel="loss")
        _scale(axes, line.losses)
        axes.grid(alpha=0.2)
        if len(line.names) > 1:
            frame.legend("right upper")
        frame.caption(line.method, _blank(line.losses))
    return axes


def draw_plane(plane: Plane, axes: Axes | None = None) -> Axes:
    """The loss on a plane as contours; a star where the model or the last checkpoint lies, dots and a line for the others.

    Args:
        plane: of `verify.curvature.slices`.
        axes: to draw on; None: of a figure of their own.
    """
    with figure_style():
        frame = Frame.of(axes, plane_size(*(float(np.ptp(ends)) for ends in (plane.first, plane.second))))
        axes = frame.axes
        losses = np.ma.masked_invalid(plane.losses.T)
        levels = contour_levels(plane.losses)
        if len(levels) > 1:
            norm = BoundaryNorm(levels, 256)
            drawn = axes.contourf(plane.first, plane.second, losses, levels, norm=norm, cmap="viridis")
            axes.contour(plane.first, plane.second, losses, levels, colors="white", linewidths=0.4, alpha=0.7)
            ticks = levels[:: max(1, len(levels) // 7)]
            bar = figure_of(axes).colorbar(drawn, ax=axes, label="loss", ticks=ticks)
            bar.ax.set_yticks(ticks, labels=different(ticks))
            bar.ax.minorticks_off()
        else:  # a constant
            value = float(losses.mean()) if losses.count() else 0.0
            axes.pcolormesh(plane.first, plane.second, losses, cmap="viridis", norm=Normalize(value - 1, value + 1))
            figure_of(axes).colorbar(ScalarMappable(Normalize(value - 1, value + 1), "viridis"), ax=axes, label="loss")
        axes.set_facecolor("#dddddd")
        if len(plane.marks) > 1:
            axes.plot(*plane.marks.T, "-o", color=RED, markersize=3.5, linewidth=1, markeredgecolor="white", markeredgewidth=0.4)
        axes.plot(*plane.marks[-1], "*", color=RED, markersize=11, markeredgecolor="white", markeredgewidth=0.6)
        axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1], xlim=plane.first[[0, -1]], ylim=plane.second[[0, -1]])
        frame.caption(plane.method, _off(plane), _blank(plane.losses), square(axes))
    return axes


def line_numbers(line: Line) -> pd.DataFrame:
    """A row a position: the loss on each line, and which checkpoint lies there."""
    marks = {int(np.argmin(np.abs(line.at - mark))): i for i, mark in enumerate(line.marks)}
    table = pd.DataFrame({"position": line.at, **dict(zip(line.names, line.losses, strict=True))})
    if len(line.marks) > 1:
        table["checkpoint"] = [str(marks.get(i, "")) for i in range(len(line.at))]
    return table


def plane_numbers(plane: Plane) -> pd.DataFrame:
    """A row a position on the plane, then a row a checkpoint at its projection, without a loss."""
    first, second = np.meshgrid(plane.first, plane.second, indexing="ij")
    table = pd.DataFrame({"first": first.ravel(), "second": second.ravel(), "loss": plane.losses.ravel(), "checkpoint": ""})
    if len(plane.marks) == 1:
        return table.drop(columns="checkpoint")
    names = [str(i) for i in range(len(plane.marks))]
    own = pd.DataFrame({"first": plane.marks[:, 0], "second": plane.marks[:, 1], "loss": np.nan, "checkpoint": names})
    return pd.concat([table, own], ignore_index=True)


def contour_levels(losses: np.ndarray) -> np.ndarray:
    """Contours where as many positions lie between two as between any others, thinned to different ones."""
    finite = losses[np.isfinite(losses)]
    if not len(finite) or not finite.max() > finite.min():
        return finite[:1]
    spread = np.quantile(finite, np.linspace(0, 1, LEVELS))
    spread[0], spread[-1] = finite.min(), finite.max()
    apart = np.concatenate([[True], np.diff(spread) > 1e-9 * (spread[-1] - spread[0])])
    return spread[apart]


def different(values: np.ndarray) -> list[str]:
    """Numbers with as few digits as tell them apart, three at least."""
    for digits in range(3, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


def _scale(axes: Axes, losses: np.ndarray) -> None:
    finite = losses[np.isfinite(losses)]
    if len(finite) and finite.min() > 0 and np.log10(finite.max() / finite.min()) > DECADES:
        axes.set_yscale("log")
        label_ticks(axes.yaxis)


def _blank(losses: np.ndarray) -> str:
    count = int((~np.isfinite(losses)).sum())
    return UNKNOWN.format(count, losses.size) if count else ""


def _off(plane: Plane) -> str:
    off = float(plane.off.max())
    return f"checkpoints lie off the plane by up to {off:.0%} of their way to its centre" if off > 1e-6 else ""
