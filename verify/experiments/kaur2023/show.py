"""Owns kaur2023's tables and figures, made from stored runs alone."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator

from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.grid import ACCURACY, GRIDS, RHO
from flatproof.verify.experiments.kaur2023.jobs import DENSE, EXAMPLES, Final
from flatproof.verify.experiments.kaur2023.published import CLAIMS
from flatproof.verify.experiments.kaur2023.settling import SETTLING, settling_table
from flatproof.verify.experiments.vocabulary import DASH, LEAST_SEEDS, Effect, Verdict, bracketed, provenance_of, together
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.report.artifacts import Artifact, Figure, Table
from flatproof.verify.report.style import COLORS, GRAY, figure_style, label_ticks
from flatproof.verify.utils.statistics import mean_interval

VERDICTS, CELLS, EFFECTS = "kaur2023/table-1", "kaur2023/table-2", "kaur2023/table-3"
BY_RATE = ("kaur2023/figure-1", "kaur2023/figure-2")
SCATTER, DROPOUT = "kaur2023/figure-3", "kaur2023/figure-4"
ARTIFACTS = (VERDICTS, CELLS, EFFECTS, SETTLING, *BY_RATE, SCATTER, DROPOUT)


def frame(done: Sequence[tuple[Final, StoredValues]]) -> pd.DataFrame:
    """A row a stored run, with the columns of `rules` and what tables show; diverged runs have no lambda_max."""
    rows = []
    for run, stored in done:
        values = stored.result
        row: dict[str, Any] = {
            "setup": run.setup,
            "data": run.images.name,
            "network": run.network,
            "rho": run.training.method.rho,
            "batch": run.training.batch_size,
            "lr": run.lr,
            "p": run.p,
            "seed": run.training.seed,
            "status": values["status"],
            "reached": values["status"] == "finished" and values["train_accuracy"] >= ACCURACY,
            "epochs": values["epochs"],
            "train_accuracy": values["train_accuracy"],
        }
        row |= dict.fromkeys(("accuracy", "at", "between", "bound", "log_lambda"), np.nan)
        if values["status"] == "finished":
            at, between = values["at"], values["between"] if run.between else []
            judged = max(between, key=lambda estimate: estimate["value"]) if between else at
            row |= {"accuracy": values["test_accuracy"], "at": at["value"], "log_lambda": np.log10(max(judged["value"], 1e-30))}
            high = max(estimate["high"] or np.inf for estimate in between or [at])
            row |= {"between": judged["value"] if between else np.nan, "bound": high / judged["value"] - 1}
        rows.append(row)
    columns = [*rules.COLUMNS, "status", "reached", "epochs", "train_accuracy", "at", "between", "bound"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"reached": bool})


FEW = 4  # effects that are listed one by one
SIGNED = "+.3f"


def in_words(effects: Sequence[Effect]) -> str:
    """Effects with their intervals if they are few; else, quantity by quantity, how many lie below and above 0, and their range."""
    if len(effects) <= FEW:
        return "; ".join(f"{e.where}: {e.quantity} {bracketed(e.interval, SIGNED)}" for e in effects)
    texts = []
    for quantity in dict.fromkeys(e.quantity for e in effects):
        mine = [e for e in effects if e.quantity == quantity]
        means = [e.interval.mean for e in mine]
        below, above = sum(e.below for e in mine), sum(e.above for e in mine)
        texts.append(
            f"{quantity}: {min(means):+.3f} to {max(means):+.3f}; of {len(mine)} intervals {below} below 0, {above} above 0"
        )
    return "; ".join(texts)


def settings(scale: str, seeds: int) -> str:
    """What was run at a scale, in words."""
    g = GRIDS[scale]
    grids = "; ".join(
        f"{network}, " + ", ".join(f"batch {b} (lr {', '.join(f'{lr:g}' for lr in rates)})" for b, rates in batches.items())
        for network, batches in g.rates.items()
    )
    about = {
        "smoke": "Scale smoke: synthetic images and tiny networks, to exercise the code. Its numbers mean nothing. ",
        "quick": f"Scale quick: every width of VGG11 divided by {g.narrow}, the fully connected network with two layers of {g.width}, the "
        "data sets of 1000 training examples alone, few learning rates, SAM at one learning rate each at the smallest and the largest "
        "batch; without normalization the largest batch is half of the data. Verdicts are about these networks; scale paper has the true "
        "ones. ",
        "paper": "Scale paper: VGG11 at its full width, on a GPU where there is one. Of the whole data sets the largest batch is 10,000. ",
    }[scale]
    return (
        f"{about}{grids}; seeds 1 to {seeds}; plain SGD and SAM (rho {RHO:g}) until {ACCURACY:.0%} training accuracy (looked at every "
        f"{g.every} epochs, at most {max(g.epochs.values())} epochs). Fully connected: p = {', '.join(f'{p:g}' for p in g.dropouts)} at "
        + ", ".join(f"batch {b}, lr {lr:g}" for b, lr in g.dense)
        + "."
    )


CURVATURE = (
    f"λ_max: largest eigenvalue of the Hessian of the mean cross-entropy over the first {EXAMPLES} training images (fewer where there "
    "are fewer), dropout off; batch normalization through these images' own statistics. Networks with batch normalization are judged by "
    "the largest λ_max at points between the final iterate and the next full step, which is what limits a step that hops over a ridge: "
    "the paper computes it so at small learning rates, here it is so at all, that compared numbers are of one kind."
)


def artifacts(
    done: Sequence[tuple[Final, StoredValues]], scale: str, seeds: int, only: Sequence[str] = ARTIFACTS
) -> list[Artifact]:
    """The tables and figures `only`; figures of what there is."""
    outcomes = [stored for _, stored in done]
    provenance = provenance_of(outcomes, scale, unit="runs")
    editions = sorted({stored.result["edition"] for stored in outcomes})
    notes = (settings(scale, seeds), CURVATURE, "Images: " + ("; ".join(editions) or UNAVAILABLE) + ".")
    runs = frame(done)
    judged = rules.judge(runs)
    out: list[Artifact] = [
        _verdicts(judged, runs, scale, notes, provenance),
        _cells(runs, scale, notes, provenance),
        _effects(judged, notes, provenance),
        *([settling_table(judged, runs, scale, notes, provenance)] if SETTLING in only else []),
    ]
    convolutional, dense = runs[runs.reached & (runs.network != DENSE)], runs[runs.reached & (runs.network == DENSE)]
    if len(convolutional):
        out += [
            _by_rate(BY_RATE[0], convolutional, "lambda", LAMBDA, "λ_max against learning rate", notes, provenance),
            _by_rate(
                BY_RATE[1], convolutional, "accuracy", "test accuracy", "Test accuracy against learning rate", notes, provenance
            ),
            _scatter(convolutional, notes, provenance),
        ]
    if len(dense):
        out.append(_dropout(dense, notes, provenance))
    return [artifact for artifact in out if artifact.id in only]


def _verdicts(
    judged: dict[str, list[rules.Part]], runs: pd.DataFrame, scale: str, notes: tuple[str, ...], provenance: dict[str, str]
) -> Table:
    rows = []
    for claim, parts in judged.items():
        for part in parts:
            reduced = scale != "paper"
            verdict, overall = part.verdict.worded(reduced), together(part.verdict for part in parts).worded(reduced)
            unjudged = Verdict.NOT_JUDGED.value if scale == "smoke" else None if len(runs) else UNAVAILABLE
            rows.append(
                {
                    "claim": claim,
                    "published": CLAIMS[claim],
                    "rule": f"({part.id}) {rules.RULES[part.id]}",
                    "effects, mean over seeds [95 % interval]": in_words(part.effects) or DASH,
                    "part": unjudged or verdict,
                    "verdict": unjudged or overall,
                }
            )
    left, diverged = int((~runs.reached).sum()), int((runs.status == "diverged").sum())
    excluded = (
        f"{left} of {len(runs)} runs did not reach {ACCURACY:.0%} training accuracy ({diverged} diverged) and are left out. Rules: "
        "verify/experiments/kaur2023/rules.py, written before the runs. Intervals: Student's t over seeds at 95 %; where any one "
        "of k decides ('among all'), at 1 - 0.05/k instead, which is not shown; nothing is judged with fewer than "
        f"{LEAST_SEEDS} seeds."
    )
    shown = pd.DataFrame(rows)
    title = "Does λ_max explain generalization? kaur2023, published and measured"
    return Table(VERDICTS, title, shown, shown, (excluded, *notes), provenance, ("claim", "rule", "part", "verdict"))


def _effects(judged: dict[str, list[rules.Part]], notes: tuple[str, ...], provenance: dict[str, str]) -> Table:
    every = [(part, e) for parts in judged.values() for part in parts for e in part.effects]
    raw = pd.DataFrame(
        [{"part": p.id, "where": e.where, "quantity": e.quantity, **e.interval._asdict(), "seeds": e.seeds} for p, e in every],
        columns=["part", "where", "quantity", "mean", "low", "high", "seeds"],
    )
    shown = pd.DataFrame(
        [
            {
                "part": p.id,
                "where": e.where,
                "quantity": e.quantity,
                "mean over seeds [95 % interval]": bracketed(e.interval, SIGNED),
                "seeds": str(e.seeds),
            }
            for p, e in every
        ],
        columns=["part", "where", "quantity", "mean over seeds [95 % interval]", "seeds"],
    )
    brief = ("part", "where", "quantity", "mean over seeds [95 % interval]")
    return Table(EFFECTS, "kaur2023: every effect size that the verdicts rest on", shown, raw, notes, provenance, brief)


KEYS = ["data", "network", "p", "batch", "rho", "lr"]


def _cells(runs: pd.DataFrame, scale: str, notes: tuple[str, ...], provenance: dict[str, str]) -> Table:
    rows = []
    for key, cell in runs.groupby(KEYS, sort=False):
        done = cell[cell.reached]
        row = dict(zip(KEYS, key if isinstance(key, tuple) else (key,), strict=True))
        row |= {"runs": len(cell), "reached": len(done), "diverged": int((cell.status == "diverged").sum())}
        row |= {"epochs": float(done.epochs.median()) if len(done) else np.nan}
        for name, values in (
            ("log10_lambda", done.log_lambda),
            ("log10_lambda_at", np.log10(done["at"])),
            ("accuracy", done.accuracy),
        ):
            interval = mean_interval(values.tolist()) if len(done) else (np.nan,) * 3
            row |= {name: interval[0], f"{name}_low": interval[1], f"{name}_high": interval[2]}
        row["bound"] = float(done.bound.max()) if len(done) else np.nan
        row["between"] = bool(done.between.notna().any())
        rows.append(row)
    raw = pd.DataFrame(rows)
    shown = [_shown(row) for row in rows]
    missing = [images.name for images in GRIDS[scale].images if images.name not in set(runs.data)]
    columns = list(_shown(dict.fromkeys([*KEYS, *COUNTS, *VALUES], 0.0)))
    shown += [
        {name: UNAVAILABLE if name == "λ_max" else data if name == "data" else DASH for name in columns} for data in missing
    ]
    bounds = (
        "λ_max: geometric mean over seeds [95 % interval] of what is judged, * between iterates; bound: by how much the proved "
        "upper end (99.5 % over Lanczos' random start) exceeds the value at most. "
        "reached: runs with 99 % training accuracy, which alone count."
    )
    table = pd.DataFrame(shown, columns=columns)
    brief = ("data", "network", "batch", "method", "lr", "reached", "λ_max", "at the iterate", "test accuracy")
    return Table(CELLS, "kaur2023: every setting", table, raw, (bounds, *notes), provenance, brief)


COUNTS = ("runs", "reached", "diverged", "epochs")
VALUES = (
    *("log10_lambda", "log10_lambda_low", "log10_lambda_high", "log10_lambda_at", "bound", "between"),
    *("accuracy", "accuracy_low", "accuracy_high"),
)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    def ranged(name: str, form: str, power: bool) -> str:
        value, low, high = (10 ** row[n] if power else row[n] for n in (name, f"{name}_low", f"{name}_high"))
        return bracketed((value, low, high) if np.isfinite(high) else (value, -np.inf, np.inf), form, alone="")

    network = row["network"] if row["network"] != DENSE else f"{DENSE}, p = {row['p']:g}"
    return {
        "data": str(row["data"]),
        "network": str(network),
        "batch": f"{row['batch']:g}",
        "method": "SAM" if row["rho"] else "SGD",
        "lr": f"{row['lr']:g}",
        "reached": f"{row['reached']:g} of {row['runs']:g}" + (f", {row['diverged']:g} diverged" if row["diverged"] else ""),
        "epochs": f"{row['epochs']:g}" if np.isfinite(row["epochs"]) else DASH,
        "λ_max": ranged("log10_lambda", ".4g", True) + (" *" if row["between"] else ""),
        "at the iterate": f"{10 ** row['log10_lambda_at']:.4g}" if np.isfinite(row["log10_lambda_at"]) else DASH,
        "bound": f"+{row['bound']:.1%}" if np.isfinite(row["bound"]) else DASH,
        "test accuracy": ranged("accuracy", ".3f", False),
    }


# ----------------------------------------------------------------------------------------------------------------------- figures

RATE, LAMBDA = "learning rate", r"$\lambda_{\max}$"
BESIDE = 1.07  # by which points of SAM stand to the right of SGD's at the same learning rate
CALLED = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "fashion_mnist": "Fashion-MNIST", "mnist": "MNIST"}


def _named(text: str) -> str:
    """Data sets as people call them, for titles and legends: "CIFAR-10, 1,000 images" for cifar10_1k."""

    def called(match: re.Match[str]) -> str:
        return CALLED[match[1]] + (f", {match[2]},000 images" if match[2] else "")

    return re.sub(rf"\b({'|'.join(CALLED)})(?:_(\d+)k)?\b", called, text)


def _panels(runs: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], columns: int = 2) -> Canvas:
    """A panel a setup."""
    setups = list(dict.fromkeys(runs.setup))
    lines = -(-len(setups) // columns)
    with figure_style():
        canvas = Canvas(figsize=(10, 0.6 + 2.9 * lines), layout="constrained")
        for axes, setup in zip(np.atleast_1d(canvas.subplots(lines, columns, squeeze=False)).flat, setups, strict=False):
            axes.set_title(_named(setup), fontsize=9)
            draw(axes, runs[runs.setup == setup])
            for axis in (axes.xaxis, axes.yaxis):
                label_ticks(axis)
            if axes.get_xlabel() == RATE:
                axes.xaxis.set_major_locator(FixedLocator(sorted(runs[runs.setup == setup].lr.unique())))
            axes.grid(alpha=0.2)
        for axes in canvas.axes[len(setups) :]:
            axes.set_visible(False)
        shown = {name: handle for axes in canvas.axes for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        handles, names = list(shown.values()), list(shown)
        canvas.legend(handles, names, loc="outside lower center", ncols=min(7, len(names)), frameon=False, fontsize=8)
    return canvas


def _lines(runs: pd.DataFrame, colors: dict[int, str]) -> Iterator[tuple[str, str, bool, pd.DataFrame]]:
    """The runs of each batch size and method: label, colour, whether SAM, runs."""
    for batch, color in colors.items():
        for sam in (False, True):
            line = runs[(runs.batch == batch) & ((runs.rho > 0) == sam)]
            if len(line):
                yield f"batch {batch}{', SAM' if sam else ''}", color, sam, line


def _batches(runs: pd.DataFrame) -> dict[int, str]:
    """A colour a batch size."""
    return dict(zip(sorted(runs.batch.unique().tolist()), COLORS, strict=False))


def _by_rate(
    id: str, runs: pd.DataFrame, what: str, label: str, title: str, notes: tuple[str, ...], provenance: dict[str, str]
) -> Figure:
    colors = _batches(runs)

    def draw(axes: Axes, mine: pd.DataFrame) -> None:
        for name, color, sam, line in _lines(mine, colors):
            groups = (line.log_lambda if what == "lambda" else line.accuracy).groupby(line.lr)
            values = np.array([groups.mean(), groups.min(), groups.max()])
            middle, low, high = 10**values if what == "lambda" else values
            axes.errorbar(
                np.array(sorted(line.lr.unique())) * (BESIDE if sam else 1.0),
                middle,
                np.maximum([middle - low, high - middle], 0.0),
                color=color,
                fmt="s--" if sam else "o-",
                markersize=4,
                capsize=2,
                markerfacecolor="white" if sam else color,
                label=name,
            )
        axes.set(xscale="log", xlabel=RATE, ylabel=label)
        axes.margins(x=0.08)
        if what == "lambda":
            axes.set_yscale("log")
            rates = np.array(sorted(mine.lr.unique()))
            axes.plot(rates, 2 / rates, color=GRAY, linestyle=":", linewidth=0.9, label="2 / lr")

    caption = "Mean over seeds and their range. Filled: SGD, open: SAM, a little to the right of its learning rate." + (
        " Dotted: 2 / lr." if what == "lambda" else ""
    )
    return Figure(id, f"kaur2023: {title}", _panels(runs, draw), (caption, *notes), provenance)


def _scatter(runs: pd.DataFrame, notes: tuple[str, ...], provenance: dict[str, str]) -> Figure:
    colors, title = _batches(runs), "Test accuracy against λ_max"

    def draw(axes: Axes, mine: pd.DataFrame) -> None:
        for name, color, sam, line in _lines(mine, colors):
            marker, fill = ("s", "none") if sam else ("o", color)
            axes.scatter(10**line.log_lambda, line.accuracy, s=22, marker=marker, edgecolors=color, facecolors=fill, label=name)
        axes.set(xscale="log", xlabel=LAMBDA, ylabel="test accuracy")

    caption = "A point a run that reached 99 % training accuracy. Filled: SGD, open: SAM."
    return Figure(SCATTER, f"kaur2023: {title}", _panels(runs, draw), (caption, *notes), provenance)


def _dropout(runs: pd.DataFrame, notes: tuple[str, ...], provenance: dict[str, str]) -> Figure:
    title = "Dropout: test accuracy and λ_max"
    names = list(dict.fromkeys(runs.data))
    with figure_style():
        canvas = Canvas(figsize=(10, 3.2), layout="constrained")
        left, right = canvas.subplots(1, 2)
        for name, color in zip(names, COLORS, strict=False):
            mine = runs[runs.data == name]
            p = np.array(sorted(mine.p.unique()))
            for axes, column in ((left, mine.accuracy), (right, mine.log_lambda)):
                groups = column.groupby(mine.p)
                values = [groups.mean().to_numpy(), groups.min().to_numpy(), groups.max().to_numpy()]
                middle, low, high = [10**v for v in values] if axes is right else values
                reach = np.maximum([middle - low, high - middle], 0.0)
                axes.errorbar(p, middle, reach, color=color, fmt="o-", markersize=4, capsize=2, label=_named(name))
        left.set(xlabel="dropout p", ylabel="test accuracy")
        right.set(xlabel="dropout p", ylabel=LAMBDA, yscale="log")
        label_ticks(right.yaxis)
        left.legend(frameon=False, fontsize=8)
        for axes in (left, right):
            axes.grid(alpha=0.2)
    caption = f"{DENSE}, mean over runs and their range; λ_max with dropout off."
    return Figure(DROPOUT, f"kaur2023: {title}", canvas, (caption, *notes), provenance)
