"""How figures look: ticks of logarithmic axes, and the style that ends with its block."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from flatproof.verify.report.style import COLORS, figure_style, label_ticks


def labels(low: float, high: float, scale: str = "log") -> list[str]:
    axes = Figure().subplots()
    axes.set(yscale=scale, ylim=(low, high))
    label_ticks(axes.yaxis)
    axes.figure.canvas.draw()
    return [tick.get_text() for tick, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True) if low <= at <= high]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 90, ["1", "2", "5", "10", "20", "50"]),
        (0.9e-5, 0.2, ["$10^{-5}$", "$10^{-4}$", "0.001", "0.01", "0.1"]),
        (1e3, 3e4, ["1000", "2000", "5000", "$10^{4}$", "$2 \\cdot 10^{4}$"]),
        (2, 9, ["2", "4", "6", "8"]),
    ],
)
def test_logarithmic_ticks_are_plain_numbers(low: float, high: float, expected: list[str]) -> None:
    assert labels(low, high) == expected


def test_linear_ticks_are_left_alone() -> None:
    axes = Figure().subplots()
    before = axes.yaxis.get_major_locator()
    label_ticks(axes.yaxis)
    assert axes.yaxis.get_major_locator() is before


def test_the_style_ends_with_its_block() -> None:
    before = matplotlib.rcParams["font.size"], matplotlib.rcParams["axes.spines.top"]
    with figure_style():
        assert matplotlib.rcParams["axes.spines.top"] is False
        assert not Figure().subplots().spines["top"].get_visible()
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["axes.spines.top"]) == before


def test_the_palette_has_no_colour_twice() -> None:
    assert len(set(COLORS)) == len(COLORS) == 6
