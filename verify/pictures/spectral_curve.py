"""Owns the picture of a spectral density."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from flatproof.verify.curvature.density import Density
from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.pictures.saving import Frame
from flatproof.verify.report.style import BLUE, RANGE, RED, figure_style, label_ticks

LEAST = 0.01  # of an eigenvalue's own peak: what lies lower is not drawn


def draw_density(density: Density, largest: Estimate | None = None, axes: Axes | None = None) -> Axes:
    """The smoothed density of the eigenvalues with its intervals, on a logarithmic axis.

    Args:
        density: of `spectral_density`.
        largest: the largest eigenvalue with its interval, marked if given.
        axes: to draw on; None: of a figure of their own.
    """
    with figure_style():
        frame = Frame.of(axes)
        axes = frame.axes
        floor = LEAST / (density.size * density.width * np.sqrt(2 * np.pi))
        axes.fill_between(
            density.grid,
            np.maximum(density.low, floor),
            np.maximum(density.high, floor),
            color=BLUE,
            alpha=RANGE,
            linewidth=0,
            label=f"{density.confidence:.0%} interval at each point",
        )
        axes.plot(
            density.grid, np.where(density.density >= floor, density.density, np.nan), color=BLUE, linewidth=1.3, label="density"
        )
        if largest is not None:
            axes.axvline(largest.value, color=RED, linestyle="--", linewidth=1, label=f"largest eigenvalue, {largest.value:.4g}")
            if np.isfinite(largest.high):
                axes.axvspan(largest.low, largest.high, color=RED, alpha=RANGE, linewidth=0)
        axes.set(yscale="log", xlabel="eigenvalue", ylabel="density", ylim=(floor, 2 * float(density.high.max())))
        label_ticks(axes.yaxis)
        axes.grid(alpha=0.2)
        frame.legend("upper right", 3)
        data = f"{density.mass.samples:,} samples, {density.mass.mode} mode" if density.mass.samples else "a bare matrix"
        frame.caption(
            f"{density.size:,} eigenvalues smoothed by a Gaussian of width {density.width:.3g}; {density.mass.method}, "
            f"seed {density.mass.seed}",
            data,
        )
    return axes


def density_numbers(density: Density) -> pd.DataFrame:
    """A row a point of the grid."""
    return pd.DataFrame({"eigenvalue": density.grid, "density": density.density, "low": density.low, "high": density.high})
