"""What makes a figure legible: tick labels apart, at least two on an axis, legends on the canvas, no title within that repeats the page's.

Figures are drawn anew from the numbers that are published beside them, or from made ones.
"""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas

from flatproof.theory.networks import ARCHITECTURES
from flatproof.verify.bench.hvp import report
from flatproof.verify.bench.hvp.timings import Row
from flatproof.verify.experiments import minimizers, scaling
from flatproof.verify.experiments.imagenet import show as imagenet
from flatproof.verify.experiments.kaur2023 import show as kaur
from flatproof.verify.report.curves import Panel, draw_curves
from flatproof.verify.report.style import figure_style

RESULTS = Path(__file__).parents[3] / "paper_results"


def published(name: str) -> pd.DataFrame:
    return pd.read_csv(RESULTS / f"{name}.csv", comment="#")


def curvature_1() -> Canvas:
    workloads = json.loads((RESULTS / "curvature/table_1/rows.json").read_text(encoding="utf-8"))
    return report._figure([Row(**row) for workload in workloads.values() for row in workload["rows"]], {}).canvas


def minimizers_1() -> Canvas:
    frame = published("minimizers/table_1")
    groups = []
    for architecture in ARCHITECTURES:
        for method in minimizers.methods.METHODS:
            rows = frame[(frame.architecture == architecture) & (frame.method == method.name)].to_dict("records")
            ends = [
                SimpleNamespace(
                    ratio=row["trace / flattest"],
                    loss=row["training loss"],
                    accuracy=row["test accuracy"],
                    kind=SimpleNamespace(name=row["kind"]),
                )
                for row in rows
            ]
            groups.append(SimpleNamespace(architecture=architecture, method=method, stored=(), ends=ends))
    return minimizers.show.figure(groups, "quick").canvas


def imagenet_1() -> Canvas:
    measured = []
    for network, rows in published("imagenet/table_2").groupby("network", sort=False):
        traces = {r.block: TraceOf((r.trace, r.trace_low, r.trace_high)) for r in rows.itertuples()}
        top = {
            r.block: {"value": r.lambda_max, "low": r.lambda_low, "high": r.lambda_high if np.isfinite(r.lambda_high) else None}
            for r in rows.itertuples()
            if np.isfinite(r.lambda_max)
        }
        subject = SimpleNamespace(network=str(network), data="")
        measured.append(SimpleNamespace(subject=subject, blocks=[*traces], traces=lambda traces=traces: traces, by_block=top))
    with figure_style():
        canvas = Canvas(figsize=(10, 4.6), layout="constrained")
        imagenet._draw(canvas, measured)
    return canvas


class TraceOf(tuple[float, float, float]):
    @property
    def mean(self) -> float:
        return self[0]


def kaur_runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    grid = [(data, network, batch, lr, rho, seed) for data in ("cifar10_1k", "fashion_mnist_1k") for network in ("VGG11", "MLP")
            for batch in (100, 500) for lr in (0.02, 0.1) for rho in (0.0, 0.05) for seed in (1, 2, 3)]  # fmt: skip
    frame = pd.DataFrame(grid, columns=["data", "network", "batch", "lr", "rho", "seed"])
    noise = rng.normal(size=len(frame))
    return frame.assign(setup=frame.network + ", " + frame.data, p=0.0, log_lambda=1 + 0.1 * noise, accuracy=0.3 + 0.02 * noise)


def kaur_1() -> Canvas:
    return kaur._by_rate("kaur2023/figure-1", kaur_runs(), "lambda", "λ_max", "λ_max against learning rate", (), {}).canvas


def errors_of(dimensions: list[float]) -> SimpleNamespace:
    ratios = np.array([1.5, 2, 3, 4, 6])
    loss = np.exp(-ratios)[None, None] * np.ones((2, len(dimensions), 1)) * np.array([1, 2])[:, None, None]
    return SimpleNamespace(dimensions=np.array(dimensions), ratios=ratios, loss=loss)


def scaling_1() -> Canvas:
    measured = {a: errors_of([10.0, 60.0] if a == "sim-bn" else [10.0, 20.0, 60.0]) for a in ARCHITECTURES}
    return scaling._figure(measured, "quick", {a: [] for a in ARCHITECTURES}).canvas


def collapsing() -> Canvas:
    """A run that interpolates for a while and then falls below its bound."""
    epochs = [0, 1, 10, 100, 1000, 2000]
    curve = {"epoch": epochs, "train_loss": [2, 1, 0.1, 1e-3, 1e-4, 1.0], "trace": [90, 80, 60, 30, 12, 0.5]}
    run = SimpleNamespace(result=SimpleNamespace(curve=curve, lower_bound=10.0))
    panels = (Panel("train_loss", "training loss"), Panel("trace", "trace", bound=True))
    return draw_curves("paper/figure-1", "A title", [run], panels, [1000], (), {}, interpolates=0.05).canvas


FIGURES = (curvature_1, minimizers_1, imagenet_1, kaur_1, scaling_1, collapsing)


def tick_labels(axes: Axes) -> Iterator[list[str]]:
    """The labels within view of either axis, after a check that none lies upon another."""
    renderer = axes.figure.canvas.get_renderer()
    for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
        shown = [
            tick.label1
            for tick in axis.get_major_ticks()
            if tick.label1.get_visible() and tick.label1.get_text() and low <= tick.get_loc() <= high
        ]
        upright = [label for label in shown if label.get_rotation() == 0]
        for one, other in combinations(upright, 2):
            assert not one.get_window_extent(renderer).overlaps(other.get_window_extent(renderer)), (one, other)
        yield [label.get_text() for label in shown]


@pytest.mark.parametrize("draw", FIGURES)
def test_a_figure_is_legible(draw: object) -> None:
    canvas: Canvas = draw()
    FigureCanvasAgg(canvas).draw()
    assert canvas.get_suptitle() == ""
    for axes in canvas.axes:
        assert all(len(labels) >= 2 for labels in tick_labels(axes) if labels), axes.get_title()
        assert all(not labels or len({*labels}) == len(labels) for labels in tick_labels(axes))
    for legend in (*canvas.legends, *filter(None, (axes.get_legend() for axes in canvas.axes))):
        box = legend.get_window_extent()
        assert canvas.bbox.x0 <= box.x0
        assert box.x1 <= canvas.bbox.x1
        assert canvas.bbox.y0 <= box.y0


def legend_texts(canvas: Canvas) -> list[str]:
    return [text.get_text() for legend in canvas.legends for text in legend.get_texts()]


def test_a_trace_below_its_bound_is_said_to_be_off_interpolation() -> None:
    canvas = collapsing()
    assert "off interpolation: the bound does not hold" in legend_texts(canvas)
    assert any("lower bound of the trace at interpolation" in text for text in legend_texts(canvas))


def test_colour_is_a_method_and_shape_a_kind_of_network() -> None:
    assert [legend.get_title().get_text() for legend in minimizers_1().legends] == ["Colour: method", "Shape: kind of network"]


def test_a_network_without_a_measurement_is_named_and_not_in_its_panels_legend() -> None:
    upper, lower = imagenet_1().axes
    assert [[text.get_text() for text in axes.get_legend().get_texts()] for axes in (upper, lower)] == [
        ["Lite 0"],
        ["Lite 0", "Lite 1", "Lite 2"],
    ]
    assert upper.get_title(loc="right") == "Not measured block by block: Lite 1, Lite 2"


def test_a_dimension_has_one_colour_and_what_was_not_run_is_named() -> None:
    canvas = scaling_1()
    colours: dict[str, set[str]] = {}
    for axes in canvas.axes:
        for line in axes.get_lines():
            colours.setdefault(str(line.get_label()), set()).add(to_hex(line.get_color()))
    assert all(len(own) == 1 for own in colours.values())
    assert max(np.mean(to_rgb(colour)) for own in colours.values() for colour in own) < 0.62  # nothing pale on white
    said = [text.get_text() for axes in canvas.axes for text in axes.texts]
    assert said == ["not run: d = 20"]


def test_data_sets_have_their_names_and_points_of_sam_stand_beside_sgds() -> None:
    canvas = kaur_1()
    assert [axes.get_title() for axes in canvas.axes][:2] == ["VGG11, CIFAR-10, 1,000 images", "MLP, CIFAR-10, 1,000 images"]
    places = {
        float(x)
        for line in canvas.axes[0].get_lines()
        for x in np.atleast_1d(line.get_xdata())
        if line.get_marker() in ("o", "s")
    }
    assert len(places) == 4  # two learning rates, each twice
