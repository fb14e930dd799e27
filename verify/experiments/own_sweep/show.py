"""Owns what `flatproof correlate` reports: a table of Kendall's tau, a table of the checkpoints, and scatter plots."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator

from flatproof.verify.experiments.own_sweep.jobs import SHOWN
from flatproof.verify.experiments.own_sweep.plan import Plan
from flatproof.verify.experiments.vocabulary import DASH, bracketed, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.report.artifacts import Artifact, Figure, Table
from flatproof.verify.report.style import COLORS, figure_style, label_ticks
from flatproof.verify.utils.statistics import Interval, kendall_interval, kendall_null

ACROSS, DOWN = 4, 3  # panels of a figure
MARKERS = "o^sDvP"
NAMED = 12  # groups up to which a legend names them


@dataclass(frozen=True)
class Tau:
    """Kendall's tau of one measure and one column of errors.

    Args:
        against: the column.
        sharpness: the measure with its settings.
        n: checkpoints that have both.
        overall: over all pairs of them.
        inside: over pairs inside groups; None without groups.
    """

    against: str
    sharpness: str
    n: int
    overall: Interval
    inside: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and the file of numbers; what there is none of is None."""
        out: dict[str, Any] = {"against": self.against, "sharpness": self.sharpness, "n": self.n}
        out["null_half_width"] = kendall_null(self.n) if self.n > 2 else None
        for suffix, interval in (("", self.overall), ("_in_groups", self.inside)):
            for name, value in zip(("tau", "low", "high"), interval or (math.nan,) * 3, strict=True):
                out[f"{name}{suffix}"] = value if math.isfinite(value) else None
        return out


class Outcomes:
    """What is stored of a plan, as columns over its checkpoints.

    Attributes:
        names: of the checkpoints.
        errors: columns of the file of errors.
        groups: of each, or None.
        sharpness: values by label; NaN where there is none.
        left_out: the plan's lines, and one for each measure that gave nothing.
    """

    def __init__(self, plan: Plan, stored: Mapping[str, StoredValues]) -> None:
        self.plan, self.stored = plan, list(stored.values())
        self.left_out = list(plan.left_out)
        rows = [row for _, _, row in plan.models]
        self.names = [checkpoint.name for checkpoint, _, _ in plan.models]
        self.errors = {name: [column[row] for row in rows] for name, column in plan.errors.columns.items()}
        groups = plan.errors.groups
        self.groups = None if groups is None else [groups[row] for row in rows]
        self.estimates: dict[str, list[dict[str, Any]]] = {cell.label: [] for cell in plan.cells}
        for checkpoint, digest, _ in plan.models:
            for cell, job in zip(plan.cells, plan.jobs(checkpoint, digest), strict=True):
                values = stored[job.key].result if job.key in stored else {"reason": "it could not be carried out"}
                self.estimates[cell.label].append(values)
                if "reason" in values:
                    self.left_out.append(f"{checkpoint.name}: {cell.label}: {values['reason']}")
        self.sharpness = {
            label: [math.nan if values.get("value") is None else float(values["value"]) for values in column]
            for label, column in self.estimates.items()
        }

    def taus(self) -> list[Tau]:
        """Of every measure with every column, column by column."""
        return [self._tau(against, label) for against in self.errors for label in self.sharpness]

    def _tau(self, against: str, label: str) -> Tau:
        x, y = np.array(self.sharpness[label]), np.array(self.errors[against])
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        inside = None
        if self.groups is not None:
            codes = np.unique(self.groups, return_inverse=True)[1][both]
            inside = kendall_interval(x.tolist(), y.tolist(), groups=codes.tolist())
        return Tau(against, label, len(x), kendall_interval(x.tolist(), y.tolist()), inside)


def labels(cells: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Of measures with the settings that were asked for: "sam, rho 0.1"."""
    return [
        ", ".join([name, *(f"{k} {v if isinstance(v, (str, int, float)) else json.dumps(v)}" for k, v in settings.items())])
        for name, settings in cells
    ]


def artifacts(outcomes: Outcomes, folder: str, about: Mapping[str, str]) -> tuple[list[Tau], list[Artifact]]:
    """The table of tau, the table of the checkpoints, and a figure or more a column of errors.

    Args:
        outcomes: what is stored.
        folder: of the checkpoints, as its name goes into ids.
        about: lines of provenance: the model, data and files.
    """
    id = re.sub(r"[^\w.-]+", "_", folder).strip(".") or "checkpoints"
    taus = outcomes.taus()
    provenance = provenance_of(outcomes.stored, unit="jobs", more=about)
    made: list[Artifact] = [
        _table(f"{id}/table-1", outcomes, taus, provenance),
        _checkpoints(f"{id}/table-2", outcomes, provenance),
    ]
    number = 0
    for against in outcomes.errors:
        own = [tau for tau in taus if tau.against == against]
        for start in range(0, len(own), ACROSS * DOWN):
            number += 1
            made.append(_figure(f"{id}/figure-{number}", outcomes, own[start : start + ACROSS * DOWN], provenance))
    return taus, made


def words(interval: Interval | None) -> str:
    """A tau with its interval; a dash where one of two columns never differs."""
    return DASH if interval is None else bracketed(interval, "+.2f")


def _null(n: int, confidence: float = 0.95) -> str:
    return f"±{kendall_null(n, confidence):.2f}" if n > 2 else DASH


def _notes(outcomes: Outcomes, count: int) -> tuple[str, ...]:
    n = len(outcomes.names)
    grouped = (
        ""
        if outcomes.groups is None
        else f"; in groups: over pairs inside the {len(set(outcomes.groups))} groups of the file alone"
    )
    cautious = 1 - 0.05 / count
    lines = [
        f"Kendall's τ-b between sharpness and each column of the file, over n checkpoints, with its 95 % bootstrap interval over "
        f"checkpoints{grouped}. A positive τ: what is sharper has the larger number. If independent: the half width of the interval in "
        f"which τ of two unrelated columns lies with probability 95 %; of {count} correlations at once {_null(n, cautious)} at n = {n}.",
        "A worst case is a lower bound of a maximum; the intervals of the values themselves are in the table of the checkpoints.",
    ]
    if texts := outcomes.plan.errors.texts:
        lines.append(f"Not correlated, since no cell is a number: {', '.join(texts)}.")
    if outcomes.left_out:
        lines.append(f"Left out: {'; '.join(outcomes.left_out)}.")
    return tuple(lines)


def _table(id: str, outcomes: Outcomes, taus: Sequence[Tau], provenance: dict[str, str]) -> Table:
    shown = [
        {
            "against": t.against,
            "sharpness": t.sharpness,
            "n": str(t.n),
            "τ [95 %]": words(t.overall),
            "if independent": _null(t.n),
        }
        | ({} if t.inside is None else {"τ in groups [95 %]": words(t.inside)})
        for t in taus
    ]
    frame = pd.DataFrame(shown)
    return Table(
        id=id,
        title=f"Does sharpness track errors? {len(outcomes.names)} checkpoints",
        shown=frame,
        raw=pd.DataFrame([tau.as_dict() for tau in taus]),
        notes=_notes(outcomes, len(taus)),
        provenance=provenance,
        brief=tuple(frame.columns),
    )


def _checkpoints(id: str, outcomes: Outcomes, provenance: dict[str, str]) -> Table:
    """A row a checkpoint: its errors and its sharpness; with the ends of intervals in the file of numbers."""
    shown, raw = [], []
    for i, (checkpoint, digest, _) in enumerate(outcomes.plan.models):
        row: dict[str, Any] = {"checkpoint": checkpoint.name, "SHA-256": digest}
        if outcomes.groups is not None:
            row["group"] = outcomes.groups[i]
        row |= {name: column[i] for name, column in outcomes.errors.items()}
        estimates = {label: column[i] for label, column in outcomes.estimates.items()}
        row["loss"] = next((values["loss"] for values in estimates.values() if "loss" in values), math.nan)
        ends = {
            f"{label}, {end}": values.get(end, math.nan)
            for label, values in estimates.items()
            for end in ("value", "low", "high")
        }
        raw.append(row | ends)
        row["SHA-256"] = digest[:SHOWN]
        shown.append(
            {name: _number(value) for name, value in row.items()}
            | {label: _interval(values) for label, values in estimates.items()}
        )
    frame = pd.DataFrame(shown)
    return Table(
        id=id,
        title="The checkpoints: errors and sharpness",
        shown=frame,
        raw=pd.DataFrame(raw),
        notes=("Sharpness with its interval: of the estimator, at the confidence that the measure states.",),
        provenance=provenance,
        brief=("checkpoint", *outcomes.errors, *outcomes.sharpness),
    )


def _number(value: Any) -> str:
    if isinstance(value, float):
        return DASH if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _interval(values: Mapping[str, Any]) -> str:
    value, low, high = (values.get(name) for name in ("value", "low", "high"))
    if value is None:
        return DASH
    if low == high == value:
        return f"{value:.4g}"
    return f"{value:.4g} [{'-∞' if low is None else f'{low:.4g}'}, {'∞' if high is None else f'{high:.4g}'}]"


def _figure(id: str, outcomes: Outcomes, taus: Sequence[Tau], provenance: dict[str, str]) -> Figure:
    """A panel a measure: a point a checkpoint, coloured and shaped by group."""
    against = taus[0].against
    across = min(len(taus), ACROSS)
    down = -(-len(taus) // across)
    with figure_style():
        canvas = Canvas(figsize=(2.6 * across + 0.6, 2.5 * down + 0.4), layout="constrained")
        grid = canvas.subplots(down, across, squeeze=False, sharey=True)
        for axes, tau in zip(grid.flat, taus, strict=False):
            _scatter(axes, outcomes, tau)
        for axes in grid.flat[len(taus) :]:
            axes.axis("off")
        for row in grid:
            row[0].set_ylabel(against)
        named = sorted(set(outcomes.groups or []))
        if 0 < len(named) <= NAMED:
            handles, texts = grid[0][0].get_legend_handles_labels()
            canvas.legend(handles, texts, loc="outside lower center", ncols=min(len(named), 6), frameon=False, fontsize=8)
    n = max(tau.n for tau in taus)
    note = (
        f"A point a checkpoint{'' if outcomes.groups is None else ', coloured by group'}. Above each panel: Kendall's τ with its 95 % "
        f"bootstrap interval; of two unrelated columns it lies within {_null(n)} at n = {n}."
    )
    return Figure(id, f"Sharpness against {against}", canvas, (note,), provenance)


def _scatter(axes: Axes, outcomes: Outcomes, tau: Tau) -> None:
    x, y = np.array(outcomes.sharpness[tau.sharpness]), np.array(outcomes.errors[tau.against])
    both = np.isfinite(x) & np.isfinite(y)
    groups = np.array(outcomes.groups or [""] * len(x))
    for i, group in enumerate(sorted(set(groups.tolist()))):
        own = groups == group  # an empty one too: the legend names every group
        axes.scatter(
            x[own & both],
            y[own & both],
            s=18,
            color=COLORS[i % len(COLORS)],
            marker=MARKERS[i // len(COLORS) % len(MARKERS)],
            alpha=0.8,
            linewidth=0,
            label=group or None,
        )
    values = x[both]
    if len(values) and values.min() > 0 and values.max() > 5 * values.min():
        axes.set_xscale("log")
        label_ticks(axes.xaxis)
        if values.max() > 50 * values.min():  # in a narrow panel there is room for powers of ten alone
            axes.xaxis.set_major_locator(LogLocator())
    axes.set_xlabel(tau.sharpness, fontsize=8)
    axes.set_title(f"τ = {words(tau.overall)}", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.2)
