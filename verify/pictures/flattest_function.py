"""Owns the picture of the flattest function of points with one or two coordinates, and of what all networks nearly as flat predict.

The function is that of a flattest network: there may be others. Ranges are over all networks within a share of the flattest trace, with a
proof in rational numbers (`theory.flatness.predictions`); where one is without proof the picture says so. Where predictions are unbounded,
outside the hull of the points or without bias outside their cone, it is left blank and hatched.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from flatproof import theory
from flatproof.verify.pictures.saving import Frame, figure_of, plane_size, square
from flatproof.verify.report.style import BLUE, GRAY, RANGE, RED, figure_style
from flatproof.verify.utils.checks import check_number, check_positive, check_whole

Array = NDArray[np.floating]
FINE = {1: 401, 2: 121}  # positions on an axis that the function is drawn at
COARSE = {1: 61, 2: 15}  # and, unless told otherwise, the ranges
BEYOND = 2.0  # the largest label in size, up to which predictions have colours of their own


@dataclass(frozen=True)
class Sampled:
    """A flattest function at the positions of a picture.

    Attributes:
        solution: the flattest network.
        axes: positions on each coordinate for the function, (a,) each.
        values: the function, (a,) or (a, a).
        coarse: positions on each coordinate for the ranges; those of the points among them where there is one coordinate.
        ranges: at all combinations of these, the first coordinate slowest; None if not asked for.
    """

    solution: theory.Flattest
    axes: tuple[Array, ...]
    values: Array
    coarse: tuple[Array, ...]
    ranges: theory.Ranges | None

    @property
    def dimension(self) -> int:
        """1 or 2."""
        return len(self.axes)


def sample(solution: theory.Flattest, *, within: float | None = 0.01, points: int | None = None, margin: float = 0.15) -> Sampled:
    """The function around its points, and the ranges of predictions: a convex program and its proof at each position.

    Args:
        solution: of `theory.flattest`, on points with one or two coordinates.
        within: how near the flattest the networks are, relative; None: no ranges.
        points: positions on an axis for the ranges; default 61 on a line, 15 on each axis of a plane.
        margin: how far the picture reaches beyond the points, over their extent.

    Returns:
        What `draw_flattest` and `draw_range` take.

    Raises:
        ValueError: points with more coordinates, settings out of range.
    """
    x = solution.x
    d = x.shape[1]
    if d not in FINE:
        raise ValueError(f"a picture has one or two coordinates and the label, the points have {d} coordinates")
    check_positive("margin", margin)
    count = COARSE[d] if points is None else check_whole("points", points, 2)
    if within is not None:
        check_number("within", within, 0)
    ends = [_extent(x[:, k], margin) for k in range(d)]
    axes = tuple(np.linspace(*end, FINE[d]) for end in ends)
    values = theory.forward(solution.network, _mesh(axes), x).reshape([len(a) for a in axes])
    coarse = tuple(np.linspace(*end, count) for end in ends)
    if d == 1:
        coarse = (np.union1d(coarse[0], x[:, 0]),)
    ranges = None if within is None else solution.prediction_range(_mesh(coarse), within)
    return Sampled(solution, axes, values, coarse, ranges)


def draw_flattest(sampled: Sampled, axes: Axes | None = None) -> Axes:
    """The flattest function, its points and its kinks: a curve with the range of predictions, or a map.

    Args:
        sampled: of `sample`.
        axes: to draw on; None: of a figure of their own.
    """
    with figure_style():
        frame = Frame.of(axes, (5.6, 3.8) if sampled.dimension == 1 else _size(sampled))
        (_curve if sampled.dimension == 1 else _map)(sampled, frame)
    return frame.axes


def draw_range(sampled: Sampled, axes: Axes | None = None) -> Axes:
    """How far apart the predictions of nearly flattest networks are, on the plane of points with two coordinates.

    Args:
        sampled: of `sample`, with ranges.
        axes: to draw on; None: of a figure of their own.

    Raises:
        ValueError: points with one coordinate, or no ranges.
    """
    ranges = sampled.ranges
    if sampled.dimension != 2 or ranges is None:
        raise ValueError("the map of ranges is of points with two coordinates and of ranges that were computed")
    with figure_style():
        frame = Frame.of(axes, _size(sampled))
        axes = frame.axes
        shape = [len(a) for a in sampled.coarse]
        wide = (ranges.high - ranges.low).reshape(shape)
        known = np.isfinite(wide)
        if known.any():
            norm = Normalize(0, float(wide[known].max()) or 1.0)
            drawn = axes.pcolormesh(
                *sampled.coarse, np.ma.masked_where(~known, wide).T, shading="nearest", cmap="viridis", norm=norm
            )
            figure_of(axes).colorbar(drawn, ax=axes, label="largest minus smallest prediction")
        axes.fill_between(
            axes.get_xlim(), *axes.get_ylim(), facecolor="none", edgecolor="#cccccc", hatch="///", zorder=0, linewidth=0
        )
        unproved = _mesh(sampled.coarse)[known.ravel() & ~ranges.certified]
        axes.plot(*unproved.T, "x", color="white", markersize=3, markeredgewidth=0.7)
        _points(sampled.solution, axes)
        handles: list[Any] = (
            [Patch(facecolor="none", edgecolor="#cccccc", hatch="///", label="unbounded")] if not known.all() else []
        )
        if len(unproved):
            handles.append(Line2D([], [], marker="x", color=GRAY, linestyle="", markersize=4, label="without proof"))
        if handles:
            frame.legend("upper left", 2, handles)
        axes.set(xlim=_ends(sampled.axes[0]), ylim=_ends(sampled.axes[1]), xlabel="first coordinate", ylabel="second coordinate")
        frame.caption(_says_range(sampled), square(axes))
    return axes


def flattest_numbers(sampled: Sampled) -> pd.DataFrame:
    """A row a training point, with its label; a row a position of the function; a row a position of the ranges."""
    names = ["x"] if sampled.dimension == 1 else ["x1", "x2"]
    solution = sampled.solution
    data = pd.DataFrame(solution.x, columns=names).assign(label=solution.y, function=theory.forward(solution.network, solution.x))
    function = pd.DataFrame(_mesh(sampled.axes), columns=names).assign(function=sampled.values.ravel())
    parts = [data, function]
    if sampled.ranges is not None:
        at, ranges = _mesh(sampled.coarse), sampled.ranges
        value = theory.forward(solution.network, at, solution.x)
        certified = np.where(ranges.certified, "yes", "no")
        parts.append(
            pd.DataFrame(at, columns=names).assign(function=value, low=ranges.low, high=ranges.high, certified=certified)
        )
    return pd.concat(parts, ignore_index=True)


# --------------------------------------------------------------------------------------------------------------------- parts


def _extent(values: Array, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    reach = margin * (high - low) or 1.0
    return low - reach, high + reach


def _ends(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[-1])


def _mesh(axes: tuple[Array, ...]) -> Array:
    """All combinations, the first coordinate slowest, (k, d)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _curve(sampled: Sampled, frame: Frame) -> None:
    """One coordinate: the curve, its range, points, kinks below."""
    axes, solution, at = frame.axes, sampled.solution, sampled.coarse[0]
    axes.plot(sampled.axes[0], sampled.values, color=BLUE, linewidth=1.4, label="a flattest network")
    ends = [sampled.values, solution.y]
    notes = [_says(solution)]
    if (ranges := sampled.ranges) is not None:
        known = np.isfinite(ranges.low) & np.isfinite(ranges.high)
        axes.fill_between(
            at, ranges.low, ranges.high, where=known, color=BLUE, alpha=RANGE, linewidth=0, label="range of predictions"
        )
        ends += [ranges.low[known], ranges.high[known]]
        unproved = known & ~ranges.certified
        if unproved.any():
            axes.plot(at[unproved], ranges.high[unproved], "x", color=GRAY, markersize=3, label="without proof")
        notes.append(_says_range(sampled))
    low, high = _extent(np.concatenate(ends), 0.1)
    left, right = _ends(sampled.axes[0])
    kinks = np.array([at for at in _kinks(solution) if left <= at <= right])  # a neuron that is linear here has its own far away
    axes.plot(kinks, np.full(len(kinks), low), "|", color=GRAY, markersize=9, label="kinks", clip_on=False)
    axes.plot(solution.x[:, 0], solution.y, "o", color="black", markersize=4, label="points", zorder=3)
    if ranges is not None and not known.all():
        for begin, end in _runs(at, ~known):
            axes.axvspan(begin, end, facecolor="none", edgecolor="#cccccc", hatch="///", linewidth=0, zorder=0)
        axes.fill_between([], [], facecolor="none", edgecolor="#cccccc", hatch="///", linewidth=0, label="unbounded")
    axes.set(xlim=(left, right), ylim=(low, high), xlabel="x", ylabel="prediction")
    frame.legend("upper left", 3)
    frame.caption(*notes)


def _runs(at: Array, chosen: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """From where to where the chosen positions reach, halfway to the others."""
    halfway = np.concatenate([[at[0]], (at[:-1] + at[1:]) / 2, [at[-1]]])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    return [(float(halfway[a]), float(halfway[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _map(sampled: Sampled, frame: Frame) -> None:
    """Two coordinates: the function as a map with contours, kinks as lines, points by label."""
    axes, values, solution = frame.axes, sampled.values, sampled.solution
    reach = BEYOND * float(np.abs(solution.y).max()) or 1.0
    norm = TwoSlopeNorm(0.0, -reach, reach)
    further = bool((np.abs(values) > reach).any())
    drawn = axes.pcolormesh(*sampled.axes, values.T, shading="nearest", cmap="RdBu_r", norm=norm, alpha=0.8, rasterized=True)
    figure_of(axes).colorbar(drawn, ax=axes, label="prediction of a flattest network", extend="both" if further else "neither")
    handles: list[Any] = []
    if values.min() < 0 < values.max():
        axes.contour(*sampled.axes, values.T, levels=[0.0], colors="black", linewidths=1.2)
        handles.append(Line2D([], [], color="black", linewidth=1.2, label="prediction 0"))
    xlim, ylim = _ends(sampled.axes[0]), _ends(sampled.axes[1])
    if lines := _kink_lines(solution):
        for w, b in lines:
            _straight(axes, w, b)
        handles.append(Line2D([], [], color=GRAY, linewidth=0.7, linestyle="--", label="kinks"))
    _points(solution, axes)
    if handles:
        frame.legend("upper left", 2, handles)
    axes.set(xlim=xlim, ylim=ylim, xlabel="first coordinate", ylabel="second coordinate")
    frame.caption(_says(solution), square(axes))


def _size(sampled: Sampled) -> tuple[float, float]:
    return plane_size(*(float(np.ptp(a)) for a in sampled.axes))


def _straight(axes: Axes, w: Array, b: float) -> None:
    """The line w . x + b = 0."""
    foot = -b * w / float(w @ w)
    axes.axline(tuple(foot), tuple(foot + np.array([-w[1], w[0]])), color=GRAY, linewidth=0.7, linestyle="--")


def _points(solution: theory.Flattest, axes: Axes) -> None:
    """The training points, red above 0 and blue below, as the map has them."""
    colours = np.where(solution.y > 0, RED, np.where(solution.y < 0, BLUE, "white"))
    axes.scatter(solution.x[:, 0], solution.x[:, 1], c=colours.tolist(), s=26, edgecolors="white", linewidths=0.8, zorder=3)


def _active(solution: theory.Flattest) -> NDArray[np.bool_]:
    """The neurons that add something."""
    network = solution.network
    return (network.w2 != 0) & (np.abs(network.w1).max(axis=1) > 0)


def _kinks(solution: theory.Flattest) -> Array:
    """Where neurons of one input switch."""
    return np.array([-b / w[0] for w, b in _kink_lines(solution)])


def _kink_lines(solution: theory.Flattest) -> list[tuple[Array, float]]:
    network, active = solution.network, _active(solution)
    b = np.zeros(network.width) if network.b1 is None else network.b1
    return [(w, float(offset)) for w, offset in zip(network.w1[active], b[active], strict=True)]


def _says(solution: theory.Flattest) -> str:
    attained = "attained" if solution.attained else "approached, not attained"
    return (
        f"architecture {solution.architecture}, trace {solution.trace:.6g}, no interpolating network below {solution.lower_bound:.6g} "
        f"({attained}); {int(_active(solution).sum())} neurons"
    )


def _says_range(sampled: Sampled) -> str:
    ranges = sampled.ranges
    assert ranges is not None
    known = np.isfinite(ranges.low) & np.isfinite(ranges.high)
    proved = int((known & ranges.certified).sum())
    return (
        f"range over all networks within {100 * ranges.within:g} % of the flattest trace: {proved} of {int(known.sum())} bounded ones "
        "proved in rational numbers"
    )
