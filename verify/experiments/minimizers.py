"""Owns wen2023's open question: what minimizes sharpness here? Methods against the flattest trace, for each architecture.

Every method starts from the same networks on the same data, and ends with gradient descent alone, so that all are compared where they
interpolate. The flattest trace, by architecture, on parity data:

    no-bias   the infimum over networks of one neuron a quarter (`theory.generalizing_infimum`), certified where it is pinned
    bias      4 sqrt(d + 1), certified: equation-3's bound, attained
    sim-bn    4 sum_k sqrt(q_k), q_k the quarters' shares of the data: one neuron a quarter, in the limit of large first-layer weights.
              Not known to be the least; certified from below by 4 (p + q) of `theory.trace_lower_bound`
    sim-ln    2, certified: lemma-A.12's bound, attained

The rules were written after a pilot on seeds 101 and 102 at the size of scale quick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from flatproof import synth, theory
from flatproof.theory.networks import ARCHITECTURES, Architecture, Network, hidden
from flatproof.verify.experiments.certified import Pin
from flatproof.verify.experiments.scaling import LABELS, LEARNING_RATES
from flatproof.verify.experiments.vocabulary import DASH, Experiment, Shelf, of_scale, provenance_of, spread
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import NOT_YET, Artifact, Figure, Table, divergences, seeds_of
from flatproof.verify.report.style import GRAY, figure_style
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run, StoredRun

ID = "minimizers"
TABLE, FIGURE = f"{ID}/table-1", f"{ID}/figure-1"

FITS = 1e-3  # training loss
NEAR = 0.05  # of the flattest trace
FEW = 1e-3  # of the outputs' mass: less is no neuron
MEMORIZES, ALIGNED = 0.5, 0.9
MARKERS = {"memorizing": "X", "generalizing": "o", "between": "s"}
RULE = (
    f"Reaches: the share of seeds whose network fits (training loss at most {FITS:g}) with a trace at most {1 + NEAR:g} times the flattest "
    "known. Kinds: a network is memorizing if neurons that see a single training input carry at least half of its outputs' "
    f"mass (sum over neurons and samples of |contribution|), generalizing if W1's alignment is at least {ALIGNED:g}, else between. "
    "Alignment: the share of a neuron's squared first-layer weights that is in the first two coordinates, averaged with the masses. "
    f"Single-input neurons are counted if they carry at least {FEW:.1%} of the mass."
)


@dataclass(frozen=True)
class Size:
    """Of the data and networks, epochs of each method but the explicit penalty, and its steps."""

    d: int
    n: int
    width: int
    epochs: int
    penalized: int


SIZES = {
    "smoke": Size(6, 16, 16, 40, 4),
    "quick": Size(20, 60, 200, 20_000, 2_000),
    "paper": Size(30, 100, 500, 100_000, 20_000),
}


@dataclass(frozen=True)
class Method:
    """A way to train: its phases for a learning rate, epochs, steps of the explicit penalty and n."""

    name: str
    colour: str
    phases: Callable[[float, int, int, int], tuple[Phase, ...]]


def _in_two(lr: float, epochs: int, first: dict[str, float], then: dict[str, float], batch_size: int) -> tuple[Phase, ...]:
    """Three quarters of the epochs strongly, the rest gently."""
    gently = max(1, epochs // 4)
    parts = ((epochs - gently, first), (gently, then))
    return tuple(Phase(lr, many, batch_size=batch_size, **strength) for many, strength in parts)


# colours distinguishable without colour vision (Okabe and Ito)
METHODS = (
    Method("gradient descent", "#000000", lambda lr, e, t, n: (Phase(lr, e, batch_size=n),)),
    Method("SGD", "#999999", lambda lr, e, t, n: (Phase(lr, e),)),
    Method("label-noise SGD", "#E69F00", lambda lr, e, t, n: _in_two(lr, e, {"label_noise": 0.5}, {"label_noise": 0.1}, 1)),
    Method("1-SAM", "#0072B2", lambda lr, e, t, n: _in_two(lr, e, {"rho": 0.2}, {"rho": 0.05}, 1)),
    Method("10-SAM", "#56B4E9", lambda lr, e, t, n: _in_two(lr, e, {"rho": 0.2}, {"rho": 0.05}, 10)),
    Method("full-batch SAM", "#009E73", lambda lr, e, t, n: _in_two(lr, e, {"rho": 0.5}, {"rho": 0.1}, n)),
    Method(
        "trace penalty",
        "#D55E00",
        lambda lr, e, t, n: (
            Phase(3 * lr, max(1, t // 5), batch_size=n, trace_penalty=0.02),
            Phase(10 * lr, max(1, 3 * t // 5), batch_size=n, trace_penalty=0.01),
            Phase(10 * lr, max(1, t // 5), batch_size=n, trace_penalty=0.002),
        ),
    ),
)


def run(architecture: Architecture, method: Method, scale: str, seed: int) -> Run:
    """One run; Sim-BN, whose steps cost more, has a quarter of the epochs."""
    size, lr = SIZES[scale], LEARNING_RATES[architecture]
    share = 4 if architecture == "sim-bn" else 1
    steps = method.phases(lr, size.epochs // share, size.penalized // share, size.n)
    return Run(
        architecture,
        (*steps, Phase(lr, max(1, size.epochs // 10), batch_size=size.n)),
        DataSpec("parity", seed, {"d": size.d, "n": size.n}),
        width=size.width,
        seed=seed,
    )


def pin(scale: str, seed: int) -> Pin:
    """The flattest trace without bias on the same data."""
    return Pin(SIZES[scale].d, SIZES[scale].n, seed)


def flattest(architecture: Architecture, data: synth.Data, infimum: float) -> tuple[float, float]:
    """The flattest trace as far as it is known.

    Args:
        architecture: of the networks.
        data: what they fit.
        infimum: of the generalizing networks without bias, as `Pin` finds it; other architectures do not need it.

    Returns:
        A certified lower bound, and the trace that networks attain or tend to.
    """
    bound = theory.trace_lower_bound(architecture, data.x, data.y)
    if architecture == "no-bias":
        return bound, infimum
    if architecture != "sim-bn":
        return bound, bound
    quarters = np.unique(data.x[:, :2], axis=0, return_counts=True)[1] / len(data.y)
    return bound, float(4 * np.sqrt(quarters).sum())


@dataclass(frozen=True)
class Kind:
    """What a network is made of. neurons: that carry something. single: those of them that see one training input alone. memorized:
    their share of the outputs' mass. alignment: of W1 with the first two coordinates, averaged with the masses."""

    neurons: int
    single: int
    memorized: float
    alignment: float

    @property
    def name(self) -> str:
        """memorizing, generalizing or between, by RULE."""
        if self.memorized >= MEMORIZES:
            return "memorizing"
        return "generalizing" if self.alignment >= ALIGNED else "between"


def kind(network: Network, x: NDArray[np.floating]) -> Kind:
    """What a two-layer network is made of.

    Args:
        network: of any architecture.
        x: its training inputs, (n, d); repeated ones count once.
    """
    network = network.astype("float64")
    inputs = np.unique(x, axis=0)
    h = hidden(network, inputs)
    weight = np.abs(network.w2)
    if network.gamma is not None:
        s = theory.normalizer(network, x)
        weight = weight * np.abs(network.gamma) * np.divide(1, s, out=np.zeros_like(s), where=s > 0)
    if network.architecture == "sim-ln":
        h = h / np.maximum(np.linalg.norm(h, axis=1), network.epsilon)[:, None]
    mass = (weight * h).sum(axis=0)
    total = mass.sum()
    if not total:
        return Kind(0, 0, 0.0, 0.0)
    alone, carries = (h > 0).sum(axis=0) == 1, mass >= FEW * total
    squares = network.w1**2
    length = squares.sum(axis=1)
    aligned = np.divide(squares[:, :2].sum(axis=1), length, out=np.zeros_like(length), where=length > 0)
    return Kind(
        neurons=int(carries.sum()),
        single=int((alone & carries).sum()),
        memorized=float(mass[alone].sum() / total),
        alignment=float((aligned * mass).sum() / total),
    )


@dataclass(frozen=True)
class End:
    """Where one run ended."""

    seed: int
    trace: float
    ratio: float
    loss: float
    accuracy: float
    kind: Kind

    @property
    def reaches(self) -> bool:
        """Whether it is as flat as networks get, by RULE."""
        return self.loss <= FITS and self.ratio <= 1 + NEAR


@dataclass(frozen=True)
class Group:
    """The runs of one architecture and method."""

    architecture: Architecture
    method: Method
    stored: tuple[StoredRun, ...]
    ends: tuple[End, ...]
    bound: tuple[float, ...]
    known: tuple[float, ...]


def groups(scale: str, seeds: int, shelf: Shelf) -> list[Group]:
    """What is stored of each architecture and method; without bias a seed counts where its flattest trace is stored, too.

    Args:
        scale: one of SIZES.
        seeds: how many are planned.
        shelf: where the runs and the flattest traces are.
    """
    data = {seed: run("bias", METHODS[0], scale, seed).data.build() for seed in range(1, seeds + 1)}
    infimum = {seed: pinned.result["infimum"] for seed in data if (pinned := shelf.get(pin(scale, seed)))}
    made = []
    for architecture in ARCHITECTURES:
        known = infimum if architecture == "no-bias" else data
        limits = {seed: flattest(architecture, data[seed], infimum.get(seed, np.nan)) for seed in known}
        for method in METHODS:
            stored = {seed: ended for seed in limits if (ended := shelf.get(run(architecture, method, scale, seed)))}
            ends = tuple(
                End(
                    seed,
                    ended.result.final("trace"),
                    ended.result.final("trace") / limits[seed][1],
                    ended.result.final("train_loss"),
                    ended.result.final("test_accuracy"),
                    kind(ended.result.network, data[seed].x),
                )
                for seed, ended in stored.items()
                if ended.result.network is not None
            )
            bounds, traces = zip(*(limits[seed] for seed in stored), strict=True) if stored else ((), ())
            made.append(Group(architecture, method, tuple(stored.values()), ends, bounds, traces))
    return made


def _provenance(groups: Sequence[Group], scale: str) -> dict[str, str]:
    return provenance_of([run for group in groups for run in group.stored], scale, unit="runs", seeds=True)


def _table(groups: Sequence[Group], scale: str, seeds: int) -> Table:
    size = SIZES[scale]
    shown, raw = [], []
    for group in groups:
        ends = group.ends
        kinds = pd.Series([end.kind.name for end in ends], dtype=str).value_counts()
        shown.append(
            {
                "architecture": group.architecture,
                "method": group.method.name,
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
        f"0.002 in {size.penalized:,} steps of full-batch gradient descent at 3, 10, 10 times the learning rate. One setting a method, not "
        "tuned: a method that does not reach the flattest trace may do so with another, or later.",
        *of_scale(scale),
    )
    brief = ("architecture", "method", "trace / flattest", "reaches", "seeds", "test accuracy", "kind")
    title = "What minimizes sharpness? The trace that each method reaches, against the flattest"
    return Table(TABLE, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, _provenance(groups, scale), brief)


def _figure(groups: Sequence[Group], scale: str) -> Figure:
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


class Minimizers(Experiment):
    """A question, not a statement: nothing of it is judged in the ledger."""

    ID = ID
    ABOUT: ClassVar = About(
        title="What minimizes sharpness",
        question="Which training methods reach the flattest networks, and which of them do they reach?",
        figure="minimizers/figure-1",
    )
    ARTIFACTS = (TABLE, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 3, "paper": 20}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """The same runs for either artifact."""
        rows: list[tuple[str, Job[Any]]] = []
        for seed in range(1, seeds + 1) if {*self.ARTIFACTS} & set(only) else ():
            rows += [(f"{LABELS[a]}, {method.name}", run(a, method, scale, seed)) for a in ARCHITECTURES for method in METHODS]
            rows.append(("flattest trace, no bias", pin(scale, seed)))
        return rows

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The table and the figure, from the store alone."""
        made = groups(scale, seeds, Shelf(store))
        return [
            *([_table(made, scale, seeds)] if TABLE in only else []),
            *([_figure(made, scale)] if FIGURE in only and any(group.ends for group in made) else []),
        ]


EXPERIMENT = Minimizers()
