"""Owns the table and the figure of who reaches the flattest networks, from stored runs alone."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from flatproof.theory.networks import ARCHITECTURES
from flatproof.verify.experiments.minimizers.ends import FITS, NEAR, Group
from flatproof.verify.experiments.minimizers.kinds import ALIGNED, FEW
from flatproof.verify.experiments.minimizers.methods import METHODS, SEARCH_SEEDS, SIZES, tuned_at
from flatproof.verify.experiments.scaling import LABELS, LEARNING_RATES
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of, spread
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table, divergences, seeds_of
from flatproof.verify.report.style import GRAY, figure_style

ID = "minimizers"
TABLE, FIGURE = f"{ID}/table-1", f"{ID}/figure-1"

MARKERS = {"memorizing": "X", "generalizing": "o", "between": "s"}
RULE = (
    f"Reaches: the share of seeds whose network fits (training loss at most {FITS:g}) with a trace at most {1 + NEAR:g} times the flattest "
    "known. Kinds: a network is memorizing if neurons that see a single training input carry at least half of its outputs' "
    f"mass (sum over neurons and samples of |contribution|), generalizing if W1's alignment is at least {ALIGNED:g}, else between. "
    "Alignment: the share of a neuron's squared first-layer weights that is in the first two coordinates, averaged with the masses. "
    f"Single-input neurons are counted if they carry at least {FEW:.1%} of the mass."
)


def _provenance(groups: Sequence[Group], scale: str) -> dict[str, str]:
    return provenance_of([run for group in groups for run in group.stored], scale, unit="runs", seeds=True)


def table(groups: Sequence[Group], scale: str, seeds: int) -> Table:
    """A line an architecture and method."""
    size, where = SIZES[scale], tuned_at(scale)
    shown, raw = [], []
    for group in groups:
        ends = group.ends
        kinds = pd.Series([end.kind.name for end in ends], dtype=str).value_counts()
        shown.append(
            {
                "architecture": group.architecture,
                "method": group.method.name,
                "setting": str(group.setting),
                "certified bound": spread(group.bound, ".2f"),
                "flattest known": spread(group.known, ".2f"),
                "trace": spread([end.trace for end in ends], ".2f"),
                "trace / flattest": spread([end.ratio for end in ends], ".3f"),
                "reaches": f"{sum(end.reaches for end in ends)} of {len(group.stored)}" if group.stored else NOT_YET,
                "seeds": seeds_of(group.stored, seeds),
                "test accuracy": spread([end.accuracy for end in ends], ".3f"),
                "kind": ", ".join(f"{count} {name}" for name, count in kinds.items()) or DASH,
                "single-input neurons": spread([end.kind.single for end in ends], ".0f"),
                "of neurons": spread([end.kind.neurons for end in ends], ".0f"),
                "alignment": spread([end.kind.alignment for end in ends], ".2f"),
                "training loss": f"{max(end.loss for end in ends):.0e}" if ends else DASH,
                "remarks": divergences(group.stored) or DASH,
            }
        )
        raw += [
            {
                "architecture": group.architecture,
                "method": group.method.name,
                "setting": str(group.setting),
                "seed": end.seed,
                "trace": end.trace,
                "trace / flattest": end.ratio,
                "training loss": end.loss,
                "test accuracy": end.accuracy,
                "kind": end.kind.name,
                "neurons": end.kind.neurons,
                "single-input neurons": end.kind.single,
                "memorized": end.kind.memorized,
                "alignment": end.kind.alignment,
            }
            for end in ends
        ]
    notes = (
        RULE,
        "Median [smallest, largest] over seeds; training loss: the largest. Certified bound: no interpolating network goes below. Flattest "
        "known: networks attain it or tend to it; equal to the bound with a bias and for Sim-LN, the infimum over four-neuron networks "
        "without bias (see certified/table-2), 4 sum_k sqrt(q_k) for Sim-BN with q_k the quarters' shares.",
        f"Parity data with d = {size.d}, n = {size.n}, width {size.width}; {size.epochs:,} epochs (Sim-BN a quarter), then "
        f"{max(1, size.epochs // 10):,} of gradient descent. Learning rates "
        + ", ".join(f"{a} {lr:g}" for a, lr in LEARNING_RATES.items())
        + ". Label noise 0.5, then 0.1; rho of 1-SAM and 10-SAM 0.2, then 0.05; of full-batch SAM 0.5, then 0.1; trace penalty 0.02, 0.01, "
        f"0.002 in {size.penalized:,} steps of full-batch gradient descent at 3, 10, 10 times the learning rate; times the setting, or "
        f"halved five times. Setting: the best of {len(METHODS[0].tried(where))} a method and architecture at {where} on seeds from "
        f"{SEARCH_SEEDS + 1} on (tuning/table-1).",
        *of_scale(scale),
    )
    brief = ("architecture", "method", "trace / flattest", "reaches", "seeds", "test accuracy", "kind")
    title = "What minimizes sharpness? The trace that each method reaches, against the flattest"
    return Table(TABLE, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, _provenance(groups, scale), brief)


def figure(groups: Sequence[Group], scale: str) -> Figure:
    """A panel an architecture, a point a run."""
    with figure_style():
        canvas = Canvas(figsize=(11, 3.9), layout="constrained")
        panels = canvas.subplots(1, len(ARCHITECTURES), sharey=True)
        for axes, architecture in zip(panels, ARCHITECTURES, strict=True):
            _panel(axes, [group for group in groups if group.architecture == architecture])
            axes.set(title=LABELS[architecture], xlabel="trace above the flattest known")
        panels[0].set_ylabel("test accuracy")
        methods = [Patch(color=m.colour, label=m.name) for m in METHODS]
        shapes = [Line2D([], [], color=GRAY, marker=marker, linestyle="", label=name) for name, marker in MARKERS.items()]
        shapes += [Line2D([], [], color=GRAY, marker="s", markerfacecolor="white", linestyle="", label="does not fit")]
        common = {"frameon": False, "fontsize": 8, "alignment": "left", "title_fontsize": 8}
        canvas.legend(handles=methods, title="Colour: method", loc="outside lower left", ncols=4, **common)
        canvas.legend(handles=shapes, title="Shape: kind of network", loc="outside lower right", ncols=2, **common)
    notes = (
        "A point a run: how much larger its network's trace is than the flattest known (dashed), on an axis that is linear up to 1 % and "
        "logarithmic beyond, and how well it generalizes. Kinds of networks: see minimizers/table-1; hollow: it does not fit (training "
        f"loss above {FITS:g}), and may be flatter than any that does.",
        *of_scale(scale),
    )
    title = "Who reaches the flattest networks, and which"
    return Figure(FIGURE, title, canvas, notes, _provenance(groups, scale))


def _panel(axes: Axes, groups: Sequence[Group]) -> None:
    """The runs of one architecture."""
    axes.axvline(0, color=GRAY, linestyle="--", linewidth=0.8)
    for group in groups:
        for name, marker in MARKERS.items():
            ends = [end for end in group.ends if end.kind.name == name]
            at = [e.ratio - 1 for e in ends], [e.accuracy for e in ends]
            inside = [group.method.colour if e.loss <= FITS else "white" for e in ends]
            axes.scatter(
                *at, s=26, marker=marker, edgecolors=group.method.colour, facecolors=inside, alpha=0.75, clip_on=False, zorder=3
            )
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.6)
    axes.set_ylim(0.45, 1.03)
    low, high = axes.get_xlim()
    ticks = [tick for tick in (-0.1, 0, 0.01, 0.1, 1, 10, 100) if low <= tick <= high]
    axes.set_xticks(ticks, ["0" if tick == 0 else f"{tick:+.0%}".replace("%", " %") for tick in ticks], fontsize=8)
    axes.minorticks_off()
    axes.grid(alpha=0.2)
