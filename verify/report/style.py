"""Owns how figures look: the palette, the style of axes, and the labels of logarithmic ticks."""

from contextlib import AbstractContextManager

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # told apart without colour vision (Okabe and Ito)
BLUE, RED, GRAY = *COLORS[:2], "#666666"
RANGE, QUARTILES = 0.2, 0.45  # how opaque the bands of a figure are


def figure_style() -> AbstractContextManager[None]:
    """Within the block figures are drawn in the project's style: small type, its colours, axes open above and on the right."""
    colors = cycler(color=COLORS)
    return matplotlib.rc_context(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": colors}
    )


def label_ticks(axis: Axis, narrow: bool = False) -> None:
    """Plain numbers on a logarithmic axis: powers of ten, with 2 and 5 times them on a short one, evenly spaced on a very short one.

    Args:
        axis: of a figure.
        narrow: whether its panel is so narrow that few labels fit side by side.
    """
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "linear":
        return
    if axis.get_scale() == "log":
        decades = np.log10(high / low)
        fine = (1.0,) if decades > (1.5 if narrow else 3) else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=fine) if decades > 1 else MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_tick_label))
    axis.set_minor_formatter(NullFormatter())


def _tick_label(value: float, _: int) -> str:
    """A power of ten where that is shorter."""
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.10g}"
    exponent = int(np.floor(np.log10(abs(value)) + 1e-9))
    leading = value / 10.0**exponent
    return f"$10^{{{exponent}}}$" if abs(leading - 1) < 1e-9 else f"${leading:.10g} \\cdot 10^{{{exponent}}}$"
