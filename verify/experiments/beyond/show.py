"""Owns beyond's tables and figures, made from stored jobs alone; the certificates lie beside the tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.beyond.jobs import (
    DIFFERENTIABLE,
    NORMAL,
    SEVEN,
    WITHIN,
    WRONG,
    Constant,
    Eigenvalue,
    Fit,
    training_set,
)
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.report.artifacts import Figure, Table
from flatproof.verify.report.style import COLORS, GRAY, RANGE, figure_style, label_ticks

ID = "beyond"
FITS, CONSTANTS, EIGENVALUES = (f"{ID}/table-{k}" for k in (1, 2, 3))
FITS_DRAWN, CONSTANTS_DRAWN, EIGENVALUES_DRAWN = (f"{ID}/figure-{k}" for k in (1, 2, 3))
CHECKED = (
    "Lower bound: no network that fits goes below, proved by a dual point in rational numbers over every activation pattern; network: one "
    "that fits, in rational numbers. Both stand in the certificate, which `python theory/check_certificate.py FILE` checks with the "
    "standard library alone."
)
NEARLY = (
    f"Predictions: of every network whose value is within {WITHIN:g} of the least, relative: proved bounds, and in "
    "brackets the most extreme "
    "that networks in rational numbers reach."
)
Pairs = Sequence[tuple[Any, StoredValues]]


def _provenance(pairs: Pairs, scale: str) -> dict[str, str]:
    return provenance_of([stored for _, stored in pairs], scale)


def _raw(pairs: Pairs, names: Sequence[str]) -> pd.DataFrame:
    """A line a job: its settings, its numbers, its file."""
    rows = []
    for job, stored in pairs:
        values = {name: value for name, value in stored.result.items() if name != "certificate"}
        rows.append({name: getattr(job, name) for name in names} | values | {"file": job.file})
    return pd.DataFrame(rows)


def _files(pairs: Pairs) -> dict[str, bytes]:
    return {job.file: stored.result["certificate"].encode() for job, stored in pairs}


def _range(values: dict[str, Any]) -> str:
    """Both ends as proved, and as reached."""
    if "answer" not in values:
        return DASH
    if values["low"] is None:
        return "unbounded"
    return f"{values['low']:.4f} to {values['high']:.4f} [{values['least']:.4f} to {values['most']:.4f}]"


def fits_table(pairs: Sequence[tuple[Fit, StoredValues]], scale: str) -> Table:
    """A line a data set and tolerance."""
    shown = pd.DataFrame(
        [
            {
                "data": job.data,
                "tolerance": f"rms {job.rms:g}" if job.rms else f"each {job.each:g}",
                "proved lower bound": f"{v['lower']:.6f}",
                "network": f"{v['upper']:.6f}",
                "relative gap": f"{v['gap']:.0e}",
                "slope": f"{-v['dual_sum']:.4f}" if not job.rms else DASH,
                "predictions at the point asked at": _range(v),
                "all right?": v.get("answer", DASH),
                "certificate": job.file,
            }
            for job, stored in pairs
            for v in [stored.result]
        ]
    )
    notes = (
        "The least trace of the Hessian over networks without bias (no sample on a kink) that fit within a tolerance: "
        "|f - y| <= each at every "
        "sample, or a root mean square of f - y of at most rms. " + CHECKED,
        "Slope: minus the sum of the sizes of the dual point's entries; the least trace, as a function of `each`, lies above the line of "
        "that slope through the proved lower bound (own/flattest-5).",
        f"{SEVEN}: parity but for the vertex (1, 1, 1), which is asked at. {WRONG}: parity with one label turned, whose "
        "opposite vertex, left "
        f"out, is asked at. {NORMAL}: labels are normal numbers. {NEARLY} All right: whether all these have the sign of parity.",
        *of_scale(scale),
    )
    title = "Fits within a tolerance: the least trace, and what is predicted"
    brief = ("data", "tolerance", "proved lower bound", "relative gap", "predictions at the point asked at", "all right?")
    raw = _raw(pairs, ("data", "each", "rms"))
    return Table(FITS, title, shown, raw, notes, _provenance(pairs, scale), brief, _files(pairs))


def fits_drawn(pairs: Sequence[tuple[Fit, StoredValues]], scale: str) -> Figure:
    """The least trace over that at interpolation, and predictions, against the tolerance."""
    with figure_style():
        canvas = Canvas(figsize=(10, 3.4), layout="constrained")
        traces, seven, wrong = canvas.subplots(1, 3)
        for color, data in zip(COLORS, dict.fromkeys(job.data for job, _ in pairs), strict=False):
            whole = [s.result["upper"] for job, s in pairs if job.data == data and not job.rms and not job.each]
            for each in (True, False):
                line = _line(pairs, data, each)
                at, values = [t for t, _ in line], [v["lower"] / (whole or [1.0])[0] for _, v in line]
                style, kind = ("-", "each") if each else ("--", "rms")
                traces.plot(at, values, style, color=color, marker="o", markersize=3, label=f"{data}, {kind}")
        traces.plot([0, 1], [1, 0], color=GRAY, linewidth=0.8, linestyle=":", label="1 - tolerance")
        traces.set(xlabel="tolerance", ylabel="least trace over that at interpolation", ylim=(0, None), xlim=(0, 1.02))
        traces.legend(frameon=False, fontsize=6)
        for axes, data in ((seven, SEVEN), (wrong, WRONG)):
            for color, each in zip(COLORS, (True, False), strict=False):
                line = [(t, v) for t, v in _line(pairs, data, each) if v.get("low") is not None]
                at = [t for t, _ in line]
                low, high = ([v[end] for _, v in line] for end in ("low", "high"))
                axes.fill_between(at, low, high, color=color, alpha=RANGE, linewidth=0)
                axes.plot(at, low, color=color, marker="o", markersize=3, label="each" if each else "rms")
                axes.plot(at, high, color=color, marker="o", markersize=3)
            label = training_set(data)[3][0]
            axes.axhline(0, color=GRAY, linewidth=0.8)
            axes.set(
                xlabel="tolerance", title=f"{data}\nlabel of parity there: {label:+g}", ylabel="prediction at a point left out"
            )
            axes.legend(frameon=False)
    notes = (
        f"Left: what the flattest trace falls by. Middle and right: the proved range of f, over all networks within "
        f"{WITHIN:g} of the least "
        "trace, at a vertex that is not in the training set.",
        *of_scale(scale),
    )
    title = "How fast the flattest trace falls with the tolerance, and what near-interpolating flattest networks predict"
    return Figure(FITS_DRAWN, title, canvas, notes, _provenance(pairs, scale))


def _line(pairs: Sequence[tuple[Fit, StoredValues]], data: str, each: bool) -> list[tuple[float, dict[str, Any]]]:
    """Tolerances of one kind with their values, 0 included."""
    chosen = [
        (job, s.result) for job, s in pairs if job.data == data and (not job.rms if each else bool(job.rms) or not job.each)
    ]
    return sorted(((job.each or job.rms, values) for job, values in chosen), key=lambda pair: pair[0])


def constants_table(pairs: Sequence[tuple[Constant, StoredValues]], scale: str) -> Table:
    """A line a size and price."""
    shown = pd.DataFrame(
        [
            {
                "price of weights": f"{job.price:g}",
                "constant s": f"{job.size:g}",
                "proved lower bound": f"{v['lower']:.6f}",
                "network": f"{v['upper']:.6f}",
                "relative gap": f"{v['gap']:.0e}",
                "over 4 sqrt(d + s^2)": f"{v['upper'] / (4 * np.sqrt(3 + job.size**2)):.6f}",
                "predictions at (1, 1, 1)": _range(v),
                "all right?": v["answer"],
                "certificate": job.file,
            }
            for job, stored in pairs
            for v in [stored.result]
        ]
    )
    notes = (
        "Parity on seven vertices of the cube, d = 3, networks without bias on (x, s): s = 0 has no bias, s = 1 is the "
        "usual one; no sample on "
        "a kink. Value: trace of the Hessian + price * (sum of the squares of all parameters). " + CHECKED,
        f"{NEARLY} All right: whether all these are positive at (1, 1, 1), as parity is.",
        "Price 0: the set of flattest networks is the same for every s > 0, their trace 4 sqrt(d + s^2), as flat as memorizing ones, "
        "and predictions at the vertex left out are unbounded (own/flattest-6). A price on weights makes the transition gradual: a "
        "neuron that memorizes a vertex has a bias weight of (d - 1)/s.",
        *of_scale(scale),
    )
    title = "From no bias to bias: a constant of size s"
    brief = (
        "price of weights",
        "constant s",
        "proved lower bound",
        "over 4 sqrt(d + s^2)",
        "predictions at (1, 1, 1)",
        "all right?",
    )
    raw = _raw(pairs, ("size", "price"))
    return Table(CONSTANTS, title, shown, raw, notes, _provenance(pairs, scale), brief, _files(pairs))


EDGE = 4.0  # predictions are drawn up to here


def constants_drawn(pairs: Sequence[tuple[Constant, StoredValues]], scale: str) -> Figure:
    """Predictions at the vertex left out, and the least trace, against the size of the constant."""
    prices = sorted({job.price for job, _ in pairs})
    sizes = sorted({job.size for job, _ in pairs})
    places = {size: place for place, size in enumerate(sizes)}
    with figure_style():
        canvas = Canvas(figsize=(10, 3.2), layout="constrained")
        panels = canvas.subplots(1, len(prices) + 1)
        for axes, price in zip(panels, prices, strict=False):
            chosen = sorted(((job.size, s.result) for job, s in pairs if job.price == price), key=lambda pair: pair[0])
            for size, v in chosen:
                low, high = (-EDGE, EDGE) if v["low"] is None else (max(v["low"], -EDGE), min(v["high"], EDGE))
                color = COLORS[0] if v["answer"] == "all" else COLORS[1]
                axes.plot([places[size]] * 2, [low, high], color=color, linewidth=5, solid_capstyle="butt", alpha=0.8)
                axes.plot([places[size]] * 2, [low - 0.03, high + 0.03], color=color, linewidth=1.5)
                for end, marker in ((low, "v"), (high, "^")):
                    if abs(end) >= EDGE:
                        axes.plot(places[size], end, marker=marker, color=color, markersize=6, clip_on=False)
            _sizes(axes, sizes)
            axes.axhline(0, color=GRAY, linewidth=0.8)
            axes.axhline(1, color=GRAY, linewidth=0.8, linestyle=":")
            axes.set(ylim=(-EDGE, EDGE))
            axes.set_title("trace alone" if not price else f"trace + {price:g} |weights|²", fontsize=9)
        panels[0].set_ylabel("f(1, 1, 1), all nearly flattest networks")
        free = sorted(((job.size, s.result) for job, s in pairs if not job.price), key=lambda pair: pair[0])
        panels[-1].plot(
            [places[s] for s, _ in free], [v["upper"] for _, v in free], "o", color=COLORS[0], label="flattest (certified)"
        )
        panels[-1].plot(
            [places[s] for s, _ in free if s],
            [4 * np.sqrt(3 + s**2) for s, _ in free if s],
            color=COLORS[1],
            label="memorizing, $4\\sqrt{d + s^2}$",
        )
        _sizes(panels[-1], sizes)
        panels[-1].set(yscale="log", ylabel="trace")
        panels[-1].set_title("trace alone: its least value", fontsize=9)
        label_ticks(panels[-1].yaxis)
        panels[-1].legend(frameon=False, fontsize=7)
    notes = (
        f"Every bar is the proved range of f(1, 1, 1) over all networks within {WITHIN:g} of the least value, parity "
        "being learnt from the seven "
        "other vertices; blue where all are right, orange where some network at hand is not. Arrows: beyond the panel, or unbounded.",
        "s = 0 is scenario I, no bias: every flattest network generalizes. s = 1 is scenario II, a bias: memorizing networks are as flat.",
        *of_scale(scale),
    )
    title = "From no bias to bias: generalization on parity against the size s of the constant"
    return Figure(CONSTANTS_DRAWN, title, canvas, notes, _provenance(pairs, scale))


def _sizes(axes: Axes, sizes: Sequence[float]) -> None:
    """Sizes of the constant as evenly spaced categories."""
    axes.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes], rotation=45)
    axes.set_xlabel("constant s")


def eigenvalues_table(pairs: Sequence[tuple[Eigenvalue, StoredValues]], scale: str) -> Table:
    """A line a problem and objective."""
    shown = []
    for job, stored in pairs:
        v, (_, lowest) = stored.result, _of_flattest(pairs, job)
        name = "trace" if not job.lambda_max else "λ_max" if not job.trace else f"{job.trace * v['n']:g}/n trace + λ_max"
        shown.append(
            {
                "data": job.data,
                "architecture": job.architecture,
                "kinks": job.kinks,
                "objective": name,
                "proved lower bound": f"{v['lower']:.7f}",
                "network": f"{v['upper']:.7f}",
                "relative gap": f"{v['gap']:.0e}",
                "its trace": f"{v['network_trace']:.5f}",
                "its λ_max": f"{v['network_eigenvalue']:.5f}" if job.lambda_max else DASH,
                "λ_max of the trace-flattest": f">= {lowest:.5f}" if not job.lambda_max else DASH,
                "certificate": job.file,
            }
        )
    notes = (
        "Parity of the first two coordinates, networks that interpolate. "
        + CHECKED
        + " A lower bound on λ_max comes from a positive "
        "semidefinite P of trace 1: λ_max is at least <P, (2/n) J J'>, and that is a sum over neurons (own/flattest-4).",
        "λ_max of the trace-flattest: every network of trace at most that of the certificate in the same row has at "
        "least that λ_max, from the "
        "bounds w trace + λ_max >= b of the other rows: b - w trace.",
        "differentiable: no sample on a kink (infima, not attained); relu'(0)=0: samples on kinks count as inactive.",
        *of_scale(scale),
    )
    title = "The flattest in λ_max, and whether they are the flattest in trace"
    brief = ("data", "architecture", "kinks", "objective", "proved lower bound", "relative gap", "λ_max of the trace-flattest")
    raw = _raw(pairs, ("data", "architecture", "kinks", "trace", "lambda_max"))
    return Table(EIGENVALUES, title, pd.DataFrame(shown), raw, notes, _provenance(pairs, scale), brief, _files(pairs))


def _of_flattest(pairs: Sequence[tuple[Eigenvalue, StoredValues]], job: Eigenvalue) -> tuple[float, float]:
    """The least trace, at most, and what λ_max is at least of every network that is no less flat."""
    alike = [(other, s.result) for other, s in pairs if (other.data, other.architecture, other.kinks) == problem_of(job)]
    trace = min((v["upper"] for other, v in alike if not other.lambda_max), default=np.nan)
    bounds = [v["lower"] - other.trace * trace for other, v in alike if other.lambda_max]
    return trace, float(np.max(bounds, initial=-np.inf)) * (1 - 1e-12)


EDGE_OF_TRACE = 1.14  # over the least: the trade-off is drawn up to here


def problem_of(job: Eigenvalue) -> tuple[str, str, str]:
    """What is the same of all weights."""
    return job.data, job.architecture, job.kinks


def eigenvalues_drawn(pairs: Sequence[tuple[Eigenvalue, StoredValues]], scale: str) -> Figure:
    """The trade-off between the trace and the largest eigenvalue, proved from below and reached by networks."""
    problems = [
        problem
        for problem in dict.fromkeys(problem_of(job) for job, _ in pairs)
        if problem[1] == "no-bias" and any(problem_of(job) == problem and job.trace and job.lambda_max for job, _ in pairs)
    ]
    with figure_style():
        canvas = Canvas(figsize=(10, 3.2), layout="constrained")
        panels = canvas.subplots(1, 2)
        for axes, kinks in zip(panels, (DIFFERENTIABLE, "relu'(0)=0"), strict=True):
            for color, problem in zip(COLORS, [p for p in problems if p[2] == kinks], strict=False):
                alike = [(job, s.result) for job, s in pairs if problem_of(job) == problem]
                least = next((v["lower"] for job, v in alike if not job.lambda_max), np.nan)
                ideal = next((v["lower"] for job, v in alike if not job.trace), np.nan)
                at = np.linspace(1, EDGE_OF_TRACE, 400)
                bound = np.max([(v["lower"] - job.trace * at * least) / ideal for job, v in alike if job.lambda_max], axis=0)
                axes.plot(at, bound, color=color, label=problem[0])
                points = [(v["network_trace"] / least, v["network_eigenvalue"] / ideal) for job, v in alike if job.lambda_max]
                axes.plot(*np.array(points).T, "o", color=color, markersize=4)
            axes.set(
                title=kinks, xlabel="trace over the least trace", xlim=(0.997, EDGE_OF_TRACE), ylabel="λ_max over the least λ_max"
            )
            axes.legend(frameon=False)
    notes = (
        "Networks without bias on parity data. Lines: proved, no network lies below; points: networks in rational "
        "numbers. A line that starts at "
        "(1, 1) would mean that a network can be the flattest in both.",
        *of_scale(scale),
    )
    title = "Flattest in trace and flattest in λ_max: the trade-off"
    return Figure(EIGENVALUES_DRAWN, title, canvas, notes, _provenance(pairs, scale))
