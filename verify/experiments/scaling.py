"""Owns the scaling behind wen2023/theorem-3.1: test error of 1-SAM's networks against n, for d = 10, 20, .., 60, each architecture.

The theorem bounds the test error E (f - y)^2 of every flattest network without bias by d/n up to logarithms, once n is of order
d log d. Two exponents are fitted, with intervals from the jackknife over seeds:

    alpha   test error ~ (n/d)^(-alpha)    least squares in logarithms, all d together, n >= 2 d
    beta    n ~ d^beta                     n is where the test error falls to TARGET, by linear interpolation in logarithms

The theorem asks for alpha >= 1, and for beta <= 1 up to logarithms: d log d grows like d^1.32 between d = 10 and 60. The rule was
written after a pilot on seeds 101 and 102.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from flatproof.theory.networks import ARCHITECTURES, Architecture
from flatproof.verify.experiments.vocabulary import (
    DASH,
    Experiment,
    Shelf,
    Verdict,
    bracketed,
    numbers,
    of_scale,
    provenance_of,
)
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import NOT_YET, Artifact, Figure, Table, divergences
from flatproof.verify.report.style import GRAY, figure_style
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run, StoredRun
from flatproof.verify.utils.statistics import Interval, jackknife_interval

ID = "scaling"
TABLE, FIGURE = f"{ID}/table-1", f"{ID}/figure-1"

TARGET = 0.1  # of the test error, for beta
FIT_FROM = 2.0  # n/d
MOST = float(np.log(np.log(60) * 60 / (np.log(10) * 10)) / np.log(6))  # exponent of d log d between d = 10 and 60, 1.32
INTERPOLATES = 0.01
RULE = (
    f"alpha: test error ~ (n/d)^(-alpha), fitted over n/d >= {FIT_FROM:g} and all d together. beta: the n at which the test error falls "
    f"to {TARGET:g} grows as d^beta. 95 % intervals: Student's t of the jackknife over seeds. Theorem 3.1 asks without bias for "
    f"alpha >= 1 and beta <= 1 up to logarithms: n of order d log d has beta = {MOST:.2f} between d = 10 and 60. It says nothing of the "
    f"other architectures. Rule, for no-bias: agrees if alpha's interval lies above 1 and beta's below {MOST:.2f}, otherwise inconclusive: "
    "the theorem bounds flattest networks, for n beyond a constant times d log d, so that runs which end above the flattest trace, or "
    "have too few points, do not contradict it. For beta a seed counts at the dimensions whose error at the smallest n is above "
    f"{TARGET:g}. Left out of the fits are runs that diverged or do not interpolate "
    f"(training loss above {INTERPOLATES:g}); 'fitted' counts the others. Where the error falls abruptly alpha is a mean slope, not a law. "
    "Nothing is judged at scale smoke."
)


@dataclass(frozen=True)
class Size:
    """Dimensions, n/d, width and steps of 1-SAM (Sim-BN's cost more, and as much more as n and d are large).

    stable: up to this d networks without normalization train at their learning rate; beyond, wide ones may diverge: it falls as 1/d.
    """

    dimensions: tuple[int, ...]
    ratios: tuple[float, ...]
    width: int
    steps: int
    sim_bn_dimensions: tuple[int, ...]
    sim_bn_steps: int
    stable: int = 60

    def rate(self, architecture: Architecture, d: int) -> float:
        """The learning rate at d inputs."""
        normalized = architecture in ("sim-bn", "sim-ln")
        return LEARNING_RATES[architecture] * (1 if normalized else min(1, self.stable / d))


SIZES = {
    "smoke": Size((4, 6), (2.0, 3.0), 16, 2_000, (4, 6), 500),
    "quick": Size((10, 20, 30, 40, 60), (1.5, 2.0, 3.0, 4.0, 6.0), 100, 300_000, (10, 20, 30), 60_000),
    "paper": Size(
        (10, 20, 30, 40, 50, 60), (1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0), 500, 2_000_000, (10, 20, 30), 400_000, stable=20
    ),
}
LEARNING_RATES: dict[Architecture, float] = {"no-bias": 0.01, "bias": 0.01, "sim-bn": 0.005, "sim-ln": 0.1}
LABELS = dict(zip(ARCHITECTURES, ("no bias", "bias", "Sim-BN", "Sim-LN"), strict=True))


def phases(lr: float, n: int, steps: int) -> tuple[Phase, ...]:
    """1-SAM with rho = 0.1, then 0.05, then gradient descent, which ends the noise of single samples."""
    epochs = max(4, steps // n)
    return (
        Phase(lr, epochs - epochs // 4, rho=0.1),
        Phase(lr, epochs // 4, rho=0.05),
        Phase(lr, min(500, epochs), batch_size=n),
    )


def runs(architecture: Architecture, scale: str, seeds: int) -> dict[tuple[int, float, int], Run]:
    """What is trained of an architecture.

    Args:
        architecture: which.
        scale: one of SIZES.
        seeds: how many, 1 to that.

    Returns:
        Runs by d, n/d and seed.
    """
    size = SIZES[scale]
    normalized = architecture == "sim-bn"
    steps = size.sim_bn_steps if normalized else size.steps
    return {
        (d, ratio, seed): Run(
            architecture,
            phases(size.rate(architecture, d), round(ratio * d), steps),
            DataSpec("parity", seed, {"d": d, "n": round(ratio * d)}),
            width=size.width,
            seed=seed,
        )
        for d in (size.sim_bn_dimensions if normalized else size.dimensions)
        for ratio in size.ratios
        for seed in range(1, seeds + 1)
    }


@dataclass(frozen=True)
class Errors:
    """Of one architecture: loss and trace_ratio, (seeds, dimensions, ratios), test errors and ratios of trace and lower bound, NaN for
    runs that do not count; how many runs are planned, stored, and count."""

    dimensions: NDArray[np.floating]
    ratios: NDArray[np.floating]
    loss: NDArray[np.floating]
    trace_ratio: NDArray[np.floating]
    planned: int
    done: int
    counted: int

    @property
    def units(self) -> NDArray[np.floating]:
        """The losses of the seeds of which any run counts, which the jackknife leaves out one by one."""
        return self.loss[np.isfinite(self.loss).any(axis=(1, 2))]


def measure(architecture: Architecture, scale: str, seeds: int, shelf: Shelf) -> tuple[Errors, list[StoredRun]]:
    """The errors of an architecture.

    Args:
        architecture: which.
        scale: one of SIZES.
        seeds: how many are planned.
        shelf: where the runs are.

    Returns:
        The errors, and the stored runs that they come from.
    """
    planned = runs(architecture, scale, seeds)
    stored = {at: outcome for at, run in planned.items() if (outcome := shelf.get(run, arrays=False, curves=False))}
    dimensions, ratios = sorted({d for d, _, _ in planned}), sorted({r for _, r, _ in planned})
    loss, trace_ratio = np.full((2, seeds, len(dimensions), len(ratios)), np.nan)
    counted = 0
    for (d, ratio, seed), run in stored.items():
        result, at = run.result, (seed - 1, dimensions.index(d), ratios.index(ratio))
        if result.status != "finished" or result.final("train_loss") > INTERPOLATES:
            continue
        counted += 1
        loss[at], trace_ratio[at] = result.final("test_loss"), result.final("trace") / result.lower_bound
    sizes = np.array(dimensions, float), np.array(ratios)
    return Errors(*sizes, loss, trace_ratio, len(planned), len(stored), counted), list(stored.values())


def alpha(loss: NDArray[np.floating], ratios: NDArray[np.floating]) -> float:
    """The exponent of test errors in n/d over n/d >= FIT_FROM.

    Args:
        loss: test errors, (..., ratios); NaN for those that do not count.
        ratios: n/d, growing.

    Returns:
        alpha; NaN if fewer than two ratios have an error.
    """
    fitted = ratios >= FIT_FROM
    y = np.log(loss[..., fitted])
    x = np.broadcast_to(np.log(ratios[fitted]), y.shape)
    return -_slope(x[np.isfinite(y)], y[np.isfinite(y)])


def needed(loss: NDArray[np.floating], n: NDArray[np.floating]) -> float:
    """The n at which test errors first fall to TARGET, interpolated in logarithms.

    Args:
        loss: test errors, (ratios,); NaN for those that do not count.
        n: training samples, (ratios,), growing.

    Returns:
        That n; NaN where no error is as low, or where the first already is.
    """
    known = np.isfinite(loss)
    error, number = loss[known], n[known]
    below = np.flatnonzero(error <= TARGET)
    if not len(below) or below[0] == 0:
        return float("nan")
    i = below[0]
    share = np.log(error[i - 1] / TARGET) / np.log(error[i - 1] / error[i])
    return float(number[i - 1] * (number[i] / number[i - 1]) ** share)


def beta(loss: NDArray[np.floating], dimensions: NDArray[np.floating], ratios: NDArray[np.floating]) -> float:
    """The exponent in d of `needed`.

    Args:
        loss: test errors, (seeds, dimensions, ratios); NaN for those that do not count.
        dimensions: d, (dimensions,).
        ratios: n/d, (ratios,).

    Returns:
        beta; NaN if fewer than two dimensions have an n.
    """
    n = np.array([[needed(row, d * ratios) for row, d in zip(of_seed, dimensions, strict=True)] for of_seed in loss])
    x = np.broadcast_to(np.log(dimensions), n.shape)
    return _slope(x[np.isfinite(n)], np.log(n[np.isfinite(n)]))


def _slope(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Of the least-squares line, NaN if all x are the same."""
    if len(x) == 0 or np.ptp(x) == 0:
        return float("nan")
    return float(np.polyfit(x, y, 1)[0])


def verdict(architecture: Architecture, a: Interval, b: Interval, scale: str) -> str:
    """On theorem-3.1, by RULE.

    Args:
        architecture: which; the theorem speaks of no-bias alone.
        a: alpha with its interval.
        b: beta with its interval.
        scale: of the runs.
    """
    if architecture != "no-bias":
        return DASH
    if scale == "smoke":
        return Verdict.NOT_JUDGED.value
    return (Verdict.AGREES if a.low > 1 and b.high < MOST else Verdict.INCONCLUSIVE).value


def _interval(errors: Errors, statistic: Callable[[NDArray[np.floating]], float]) -> Interval:
    return jackknife_interval(errors.units, statistic) if len(errors.units) else Interval(np.nan, -np.inf, np.inf)


def _table(measured: dict[Architecture, Errors], scale: str, stored: dict[Architecture, list[StoredRun]]) -> Table:
    shown, raw, size = [], [], SIZES[scale]
    for architecture, errors in measured.items():
        text, values = _line(architecture, errors, scale, stored[architecture])
        shown.append(text)
        raw.append(values)
    notes = (
        RULE,
        "Test error: mean squared error on the population (d <= 13) or 10,000 fresh points; in the table its median over d and seeds. "
        "Parity data, 1-SAM with rho = 0.1, then 0.05, then gradient descent; "
        f"width {size.width}, {size.steps:,} steps of 1-SAM ({size.sim_bn_steps:,} with Sim-BN); learning rates "
        + ", ".join(f"{a} {LEARNING_RATES[a]:g}" for a in measured)
        + (
            f", without normalization times {size.stable}/d beyond d = {size.stable}"
            if max(size.dimensions) > size.stable
            else ""
        )
        + ". "
        "Trace: median ratio to the lower bound that no interpolating network goes below (for Sim-BN not known to be attained).",
        *of_scale(scale),
    )
    brief = ("architecture", "runs", "fitted", "alpha", "beta", "theorem-3.1", "trace / lower bound")
    title = "Test error of flat networks against n and d"
    return Table(TABLE, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, _provenance(stored, scale), brief)


def _line(
    architecture: Architecture, errors: Errors, scale: str, stored: Sequence[StoredRun]
) -> tuple[dict[str, str], dict[str, object]]:
    """An architecture's line: text by column, and the numbers behind it."""
    dimensions, ratios, loss = errors.dimensions, errors.ratios, errors.loss
    a, b = _interval(errors, lambda loss: alpha(loss, ratios)), _interval(errors, lambda loss: beta(loss, dimensions, ratios))
    conclusion = verdict(architecture, a, b, scale) if errors.done else NOT_YET
    medians = {ratio: np.nanmedian(loss[..., i]) for i, ratio in enumerate(ratios) if np.isfinite(loss[..., i]).any()}
    text = {
        "architecture": architecture,
        "d": ", ".join(f"{d:.0f}" for d in dimensions),
        "runs": f"{errors.done} of {errors.planned}" if errors.done else NOT_YET,
        "fitted": str(errors.counted),
        "alpha": bracketed(a, ".2f", alone=""),
        "beta": bracketed(b, ".2f", alone=""),
        "theorem-3.1": conclusion,
        **{f"test error, n = {ratio:g} d": f"{medians[ratio]:.1e}" if ratio in medians else DASH for ratio in ratios},
        "trace / lower bound": f"{float(np.nanmedian(errors.trace_ratio)):.2f}" if errors.counted else DASH,
        "remarks": divergences(stored) or DASH,
    }
    counts = {"planned": errors.planned, "runs": errors.done, "counted": errors.counted}
    return text, {"architecture": architecture, **counts, "verdict": conclusion, **numbers("alpha", a), **numbers("beta", b)}


def _provenance(stored: dict[Architecture, list[StoredRun]], scale: str) -> dict[str, str]:
    return provenance_of([run for group in stored.values() for run in group], scale, unit="runs", seeds=True)


def _figure(measured: dict[Architecture, Errors], scale: str, stored: dict[Architecture, list[StoredRun]]) -> Figure:
    with figure_style():
        canvas = Canvas(figsize=(11, 3.1), layout="constrained")
        panels = canvas.subplots(1, len(ARCHITECTURES), sharey=True)
        every = sorted({float(d) for errors in measured.values() for d in errors.dimensions})
        dark = matplotlib.colormaps["viridis"](np.linspace(0, 0.78, len(every)))  # what lies beyond is too pale on white
        colours = dict(zip(every, dark, strict=True))
        for axes, architecture in zip(panels, ARCHITECTURES, strict=True):
            axes.set(title=LABELS[architecture], xscale="log", yscale="log", xlabel="n / d (samples a dimension)")
            axes.grid(alpha=0.2)
            errors = measured[architecture]
            for i, d in enumerate(errors.dimensions):
                known = np.isfinite(errors.loss[:, i]).any(axis=0)
                if not known.any():
                    continue
                ratios, loss = errors.ratios[known], errors.loss[:, i][:, known]
                colour = colours[float(d)]
                axes.fill_between(ratios, np.nanmin(loss, 0), np.nanmax(loss, 0), color=colour, alpha=0.15, linewidth=0)
                axes.plot(ratios, np.nanmedian(loss, 0), color=colour, marker=".", label=f"d = {d:.0f}")
            axes.plot(errors.ratios, 1 / errors.ratios, color=GRAY, linestyle=":", label="d / n")
            there = [float(d) for i, d in enumerate(errors.dimensions) if np.isfinite(errors.loss[:, i]).any()]
            if missing := [f"{d:.0f}" for d in every if d not in there]:
                axes.text(0.04, 0.04, f"not run: d = {', '.join(missing)}", transform=axes.transAxes, fontsize=8, color=GRAY)
            axes.set_xticks(errors.ratios, [f"{ratio:g}" for ratio in errors.ratios], minor=False)
            axes.minorticks_off()
        panels[0].set_ylabel("test error E (f − y)²")
        lines = {line.get_label(): line for axes in panels for line in axes.get_lines()}
        canvas.legend(handles=list(lines.values()), loc="outside right center", frameon=False, fontsize=8)
    notes = (
        "Line: median over seeds; band: smallest to largest. Dotted: d/n, the rate of theorem-3.1 without its constant and logarithms.",
        *of_scale(scale),
    )
    title = "Test error of the networks that 1-SAM finds, against n/d"
    return Figure(FIGURE, title, canvas, notes, _provenance(stored, scale))


class Scaling(Experiment):
    """The theorem itself is in the ledger; its scaling is judged in the table."""

    ID = ID
    ABOUT: ClassVar = About(
        title="Test error against n and d",
        question="How many samples does it take until the networks that 1-SAM finds generalize?",
        figure="scaling/figure-1",
    )
    ARTIFACTS = (TABLE, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 2, "quick": 3, "paper": 20}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Run]]:
        """The same runs for either artifact."""
        architectures = ARCHITECTURES if {*self.ARTIFACTS} & set(only) else ()
        return [(f"{LABELS[a]}, d = {d}", run) for a in architectures for (d, _, _), run in runs(a, scale, seeds).items()]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The table of exponents and the figure, from stored runs alone."""
        shelf = Shelf(store)
        measured, stored = {}, {}
        for architecture in ARCHITECTURES:
            measured[architecture], stored[architecture] = measure(architecture, scale, seeds, shelf)
        return [
            *([_table(measured, scale, stored)] if TABLE in only else []),
            *([_figure(measured, scale, stored)] if FIGURE in only and any(e.counted for e in measured.values()) else []),
        ]


EXPERIMENT = Scaling()
