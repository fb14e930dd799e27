"""Owns the tables and the figure of drifts along the set of flattest networks, made from stored runs alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.selection.functionals import NAMES
from flatproof.verify.experiments.selection.jobs import HALF, METHODS, RATES, SIZES, Drift
from flatproof.verify.experiments.selection.rules import (
    EPOCHS,
    FITS,
    NEAR,
    STATEMENTS,
    Judgement,
    Pairs,
    cells,
    flattest,
    grown,
    rate,
    separations,
)
from flatproof.verify.experiments.vocabulary import DASH, bracketed, mean_and_diverged, numbers, of_scale, provenance_of, spread
from flatproof.verify.experiments.vocabulary.cells import UNLIMITED, Limits, limited
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table
from flatproof.verify.report.style import COLORS, GRAY, figure_style, label_ticks
from flatproof.verify.utils.statistics import mean_interval

Runs = list[tuple[Drift, dict[str, Any]]]
ID = "selection"
CLAIMS, DRIFTS, FUNCTIONALS, FIGURE = f"{ID}/table-1", f"{ID}/table-2", f"{ID}/table-3", f"{ID}/figure-1"
WHAT = (
    f"A run counts if it ends as flat as networks get: training loss at most {FITS:g}, trace at most {1 + NEAR:g} times the bound "
    "4 sqrt(d + 1), which every mixture of the memorizing and the generalizing network attains."
)


def setting(scale: str) -> str:
    """Data and networks in words."""
    size = SIZES[scale]
    return (
        f"Parity data with a bias, d = {size.d}, n = {size.n}, width {size.width}; {size.epochs:,} epochs of single samples, then "
        f"{size.epochs // 10:,} of gradient descent. Starts: the mixture in which the memorizing network gives that share of the outputs, "
        "and spare neurons of size 0.003; or a random network."
    )


def lines(judged: Sequence[Judgement], statements: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A line a statement, as shown; and its effects in numbers."""
    shown, raw = [], []
    for judgement in judged:
        words = [f"{e.where}: {mean_and_diverged(e.values, '+.3g')}" for e in judgement.effects]
        shown.append(
            {
                "id": judgement.name,
                "statement": statements[judgement.name],
                "measured": judgement.measured or "; ".join(words) or DASH,
                "verdict": judgement.verdict.value,
            }
        )
        raw += [
            {"id": judgement.name, "where": e.where, "seeds": e.seeds} | numbers(e.quantity, e.interval)
            for e in judgement.effects
        ]
    return pd.DataFrame(shown), pd.DataFrame(raw)


def verdicts(judged: Sequence[Judgement], pairs: Pairs, scale: str) -> Table:
    """A line a statement."""
    shown, raw = lines(judged, STATEMENTS)
    return Table(
        id=CLAIMS,
        title="Why does the method matter? What happens among networks of the smallest trace",
        shown=shown,
        raw=raw,
        notes=(
            f"Rates are of the memorized share's logarithm in {EPOCHS:,} epochs. Means over seeds [95 % interval]. Statements of the "
            "project's own; the rules stand in verify/experiments/selection/rules.py and were written after a pilot on "
            "seeds 101 and 102, before the runs.",
            WHAT,
            setting(scale),
            *of_scale(scale),
        ),
        provenance=provenance_of([stored for _, stored in pairs], scale, seeds=True),
        brief=("id", "statement", "measured", "verdict"),
    )


def ends(pairs: Pairs, scale: str) -> Table:
    """A line a method and start: where it ends."""
    groups: dict[tuple[str, str], Runs] = {}
    for job, stored in pairs:
        groups.setdefault((job.setting, job.start), []).append((job, stored.result))
    shown, raw = [], []
    for (method, start), runs in groups.items():
        ended = [values for _, values in runs if values["status"] == "finished"]
        counted = [values["end"] for values in ended if flattest(values)]
        row = {
            "method": method,
            "start": start,
            "seeds": f"{len(runs)}",
            "diverged": f"{len(runs) - len(ended)}",
            "ends flattest": f"{len(counted)}",
            "memorized share at the end": interval_of([end["memorized"] for end in counted], limits=(0, 1)),
            "test accuracy": interval_of([end["accuracy"] for end in counted], limits=(0, 1)),
            f"rate in {EPOCHS:,} epochs": interval_of([r for job, v in runs if np.isfinite(r := rate(job, v))], "+.3g"),
        }
        shown.append(row)
        for job, values in runs:
            line = {
                "method": job.setting,
                "start": job.start,
                "seed": job.seed,
                "status": values["status"],
                "rate": rate(job, values),
            }
            raw.append(line | values.get("end", {}))
    frame = pd.DataFrame(shown) if shown else pd.DataFrame([{"method": NOT_YET}])
    return Table(
        id=DRIFTS,
        title="Where a method goes from each flattest network",
        shown=frame,
        raw=pd.DataFrame(raw),
        notes=(f"Means over the runs that count [95 % interval]. {WHAT}", setting(scale), *of_scale(scale)),
        provenance=provenance_of([stored for _, stored in pairs], scale, seeds=True),
        brief=tuple(map(str, frame)),
    )


def interval_of(values: Sequence[float], form: str = ".3f", limits: Limits = UNLIMITED) -> str:
    """Their mean with its interval, in words."""
    return bracketed(limited(mean_interval(values), limits), form) if values else DASH


def told_apart(pairs: Pairs, scale: str) -> Table:
    """A line a functional: how it changes along 1-SAM's drift, and whether it tells the methods' ends from random starts apart."""
    separated = {row.functional: row for row in separations(pairs)}
    shown, raw = [], []
    for name, words in {"accuracy": "test accuracy", **NAMES}.items():
        line: dict[str, Any] = {"functional": words}
        if name != "accuracy":
            effects = [effect for effect in grown(pairs, name) if effect.judged]
            up, down = sum(e.above for e in effects), sum(e.below for e in effects)
            line["along 1-SAM's drift"] = f"grows in {up}, falls in {down} of {len(effects)} cells" if effects else DASH
        row = separated.get(name)
        line |= {
            "1-SAM, random starts": spread(row.sam if row else (), ".4g"),
            "label noise, random starts": spread(row.noise if row else (), ".4g"),
            "1-SAM larger": f"{row.share:.2f}" if row else DASH,
            "p": f"{row.p:.2g}" if row else DASH,
            "the methods' ends": row.words if row else DASH,
        }
        shown.append(line)
        if row:
            raw += [{"functional": name, "method": "1-SAM", "value": value} for value in row.sam]
            raw += [{"functional": name, "method": "label noise", "value": value} for value in row.noise]
    return Table(
        id=FUNCTIONALS,
        title="Which second functional? Numbers of flattest networks, along a drift and at the ends of two methods",
        shown=pd.DataFrame(shown).fillna(DASH),
        raw=pd.DataFrame(raw),
        notes=(
            "Along the drift: 1-SAM from half memorizing, end against start, counted where the 95 % interval over seeds excludes 0. "
            f"Ends from random starts: {' and '.join(f'{m}, {s:g}, lr {lr:g}' for m, s, lr in METHODS)}; median [smallest, largest] over "
            "runs that count, the share of pairs in which 1-SAM's is larger, p by Mann-Whitney and Holm. η: the "
            "method's step; the methods' steps differ, so that row compares no ends.",
            WHAT,
            setting(scale),
            *of_scale(scale),
        ),
        provenance=provenance_of([stored for _, stored in pairs], scale, seeds=True),
        brief=("functional", "along 1-SAM's drift", "1-SAM larger", "p", "the methods' ends"),
    )


def figure(pairs: Pairs, scale: str) -> Figure:
    """The memorized share over epochs by radius, rates against radius by step, and λ_max on the way."""
    sam = cells(pairs, "1-SAM")
    with figure_style():
        canvas = Canvas(figsize=(10.5, 3.4), layout="constrained")
        shares, speeds, tops = canvas.subplots(1, 3)
        radii = sorted({rho for rho, _ in sam})
        middle = RATES[2]
        for color, rho in zip(COLORS, radii, strict=False):
            _curves(shares, tops, sam.get((rho, middle), []), color, f"ρ = {rho:g}")
        for color, lr in zip(COLORS, sorted({lr for _, lr in sam}), strict=False):
            points = [(rho, -rate(job, values)) for (rho, at), runs in sam.items() if at == lr for job, values in runs]
            points = [(rho, speed) for rho, speed in points if speed > 0]
            if points:
                speeds.scatter(*zip(*points, strict=True), s=10, color=color, label=f"lr {lr:g}")
        shares.axhline(HALF, color=GRAY, linewidth=0.6, linestyle=":")
        shares.set(
            xlabel="thousand epochs",
            ylabel="memorizing part of the outputs",
            title=f"1-SAM from half and half, lr {middle:g}",
            ylim=(0, 0.6),
        )
        speeds.set(xscale="log", yscale="log", xlabel="ρ", ylabel=f"rate in {EPOCHS:,} epochs", title="How fast it shrinks")
        tops.set(xlabel="memorizing part of the outputs", ylabel="n λ_max / trace", title="λ_max on the way")
        for axes in (shares, speeds, tops):
            axes.title.set_fontsize(9)
            axes.grid(alpha=0.2)
            if axes.get_legend_handles_labels()[0]:
                free = {"loc": "upper right", "ncols": 2} if axes is shares else {"loc": "upper left"}
                axes.legend(frameon=False, fontsize=7, **free)
        label_ticks(speeds.xaxis, narrow=True)
        label_ticks(speeds.yaxis)
        tops.invert_xaxis()
    notes = (
        "Left and right: a line a seed; what is shown is judged in selection/table-1. Networks along the way carry the noise of single "
        f"samples; that the trace is the smallest is checked at a run's end. {WHAT}",
        setting(scale),
        *of_scale(scale),
    )
    return Figure(
        FIGURE, "How 1-SAM moves among flattest networks", canvas, notes, provenance_of([s for _, s in pairs], scale, seeds=True)
    )


def _curves(shares: Axes, tops: Axes, runs: Runs, color: str, label: str) -> None:
    for number, (job, values) in enumerate(run for run in runs if flattest(run[1])):
        looks = [values["start"], *values["looks"]]
        at = np.arange(len(looks)) * job.epochs / (len(looks) - 1) / 1000
        memorized = [look["memorized"] for look in looks]
        shares.plot(at, memorized, color=color, linewidth=0.8, alpha=0.6, label=label if number == 0 else None)
        tops.plot(
            memorized,
            [look["top"] for look in looks],
            color=color,
            linewidth=0.8,
            alpha=0.6,
            label=label if number == 0 else None,
        )
