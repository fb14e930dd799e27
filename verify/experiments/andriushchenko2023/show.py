"""Owns andriushchenko2023's tables and figures on images, made from stored models alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, Size
from flatproof.verify.experiments.andriushchenko2023.jobs import Cell, Studied
from flatproof.verify.experiments.andriushchenko2023.language_rules import RULE as LANGUAGE_RULE
from flatproof.verify.experiments.andriushchenko2023.published import CLAIMS, ID, KINDS, SCALINGS, SHOWN, TUNED, Kind, Scaling
from flatproof.verify.experiments.andriushchenko2023.rules import ENDS, FITTED, RULES, TARGETS, Judgement, tau, words
from flatproof.verify.experiments.andriushchenko2023.tuned_rules import RULES as TUNED_RULES
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table
from flatproof.verify.report.style import COLORS, GRAY, figure_style, label_ticks
from flatproof.verify.utils.statistics import kendall_null

MODELS, VERDICTS = f"{ID}/models", f"{ID}/claims"
CORRELATIONS: dict[Kind, str] = {kind: f"{ID}/correlations-{kind.lower()}" for kind in KINDS}
PANELS: dict[tuple[Kind, Scaling], str] = {
    (kind, scaling): f"{ID}/figure-{i}{letter}"
    for i, kind in enumerate(KINDS, 1)
    for letter, scaling in zip("abc", SCALINGS, strict=True)
}
ON_IMAGES = (VERDICTS, *CORRELATIONS.values(), MODELS, *PANELS.values())

Pairs = Sequence[tuple[Studied, StoredValues]]
ALIKE = ("rho", "mixup", "augmentation")
SHAPES = "o^s"  # of points


@dataclass(frozen=True)
class Sort:
    """Models that are shown together.

    Args:
        name: of several, as "ResNets".
        how: how they were trained, for titles.
        setting: what was trained and measured, in words.
        alike: columns of hyper-parameters that are equal inside a group.
        equal: these in words.
    """

    name: str
    how: str
    setting: str
    alike: tuple[str, ...] = ALIKE
    equal: str = "SAM radius, mixup and augmentation"


def frame(pairs: Pairs, alike: tuple[str, ...] = ALIKE) -> pd.DataFrame:
    """A row a model: what it was trained with, how it ended, its errors, a column of sharpness a cell; groups by the columns `alike`."""
    rows = []
    for job, stored in pairs:
        method, values = job.training.method, stored.result
        row: dict[str, object] = {"kind": job.kind, "seed": job.seed, "lr": method.lr, "rho": method.rho, "mixup": method.mixup}
        row |= {"augmentation": "+".join(job.training.augment) or "none", "status": values["status"]}
        if job.kind == TUNED:
            row |= {"weight_decay": method.weight_decay, "smoothing": method.smoothing, "epochs": job.training.stop.epochs}
        if values["status"] == "finished":
            names = ("train_loss", "test_loss", "train_error", "test_error", "ood_error")
            row |= {name: values.get(name, np.nan) for name in names}
            row |= {"gap": values["test_error"] - values["train_error"]}
            row |= {str(cell): value for cell, value in zip(job.cells, values["sharpness"], strict=True)}
        rows.append(row)
    models = pd.DataFrame(rows)
    if rows:
        models["group"] = models.groupby(list(alike)).ngroup()
    return models


def finished(models: pd.DataFrame) -> pd.DataFrame:
    """The rows of models that ended with a finite loss."""
    return models[models.status == "finished"] if len(models) else models


def setting(scale: str, seeds: int) -> str:
    """What was trained and measured at a scale, in words."""
    size: Size = SIZES[scale]
    data = size.data
    side = f" at {data.settings['side']} × {data.settings['side']}" if "side" in data.settings else ""
    augmentations = " or ".join("+".join(augment) or "none" for augment in size.augmentations)
    rates = " and ".join(f"{low:g} to {high:g}" for low, high in size.rates.values())
    return (
        f"Scale {scale}: {data.train or 'all'} training images of {data.name}{side}; seeds 1 to {seeds}, each a pre-activation ResNet "
        f"and a SimpleViT of its own hyper-parameters: learning rate log-uniform ({rates}), SAM radius 0, 0.05 or 0.1, mixup 0 or 0.5, "
        f"augmentation {augmentations}; SGD, momentum 0.9, batch {size.batch_size}, {size.epochs['ResNet']} epochs, step size up over 0.4 "
        f"of the steps and down to 0. Sharpness on {size.images} training images, m = {size.batch}."
    )


def scratch(kind: Kind, scale: str, seeds: int) -> Sort:
    """The models of a network that were trained from scratch."""
    return Sort(f"{kind}s", "trained from scratch", setting(scale, seeds))


def of_kind(kind: Kind, pairs: Pairs) -> Pairs:
    """The models of a network."""
    return [(job, stored) for job, stored in pairs if job.kind == kind]


def correlations(id: str, sort: Sort, own: Pairs, scale: str, absent: str = NOT_YET) -> Table:
    """Kendall's tau of every definition and radius with every target, three ways.

    Args:
        id: of the table.
        sort: what models they are.
        own: the models.
        scale: of the grid.
        absent: what stands where there is no model.
    """
    models = finished(frame(own, sort.alike))
    fitted = models[models.train_error <= FITTED] if len(models) else models
    shown, raw = [], []
    for cell in own[0][0].cells if own else ():
        row, numbers = _of(cell.law, cell.scaling, cell.rho), _of(cell.law, cell.scaling, cell.rho)
        for view, part, grouped in (("", models, False), (" in groups", models, True), (" if fitted", fitted, False)):
            for column, target in (TARGETS | ({"lr": "learning rate"} if grouped else {})).items():
                interval = tau(part, str(cell), column, grouped)
                row[f"{target}{view}"] = words(interval)
                numbers |= {f"{end} {column}{view}": value for end, value in zip(ENDS, interval, strict=True)}
        shown.append(row)
        raw.append(numbers)
    groups = models.group.nunique() if len(models) else 0
    n, few = len(models), len(fitted)
    notes = (
        "Kendall's τ-b between sharpness and each target with its 95 % bootstrap interval over models: over all models; over pairs inside "
        f"groups of equal {sort.equal} alone (there also with the learning rate); over the models whose training error is at most "
        f"{FITTED:.0%}. {n} {sort.name} in {groups} groups, {len(own) - n} diverged; {few} of {n} have a training error of at most "
        f"{FITTED:.0%}, {_changed(fitted)} of the {_changed(models)} on mixed or augmented images among them.",
        f"For independent variables the half width of τ's 95 % interval is {_null(n)} at {n} models, {_null(few)} at {few}. Intervals here "
        "are not adjusted for their number; verdicts are.",
        sort.setting,
        *of_scale(scale),
    )
    return Table(
        id=id,
        title=f"Does sharpness track generalization? {sort.name} {sort.how}",
        shown=pd.DataFrame(shown or [{"definition": absent}]),
        raw=pd.DataFrame(raw),
        notes=notes,
        provenance=provenance_of([stored for _, stored in own], scale),
        brief=("definition", "scaling", "radius", "test error", "error on corrupted images", "test error in groups")
        if shown
        else ("definition",),
    )


def _changed(models: pd.DataFrame) -> int:
    """How many were trained on mixed or augmented images."""
    return int(((models.mixup > 0) | (models.augmentation != "none")).sum()) if len(models) else 0


def _of(law: str, scaling: str, rho: float) -> dict[str, object]:
    return {"definition": law.replace("-", ", "), "scaling": scaling, "radius": f"{rho:g}"}


def _null(n: int) -> str:
    return f"{kendall_null(n):.2f}" if n > 2 else DASH


def table_of_models(pairs: Pairs, settings: Sequence[str], scale: str) -> Table:
    """A row a model: hyper-parameters and errors; sharpness in the numbers behind it.

    Args:
        pairs: all models.
        settings: what was trained and measured, in words.
        scale: of the grid.
    """
    models = frame(pairs)
    columns = ("kind", "seed", "lr", "rho", "mixup", "augmentation", "status", "train_error", "test_error", "ood_error")
    shown = models.reindex(columns=columns).astype(object) if len(models) else pd.DataFrame([{"kind": NOT_YET}])
    if len(models):
        shown = shown.map(lambda value: DASH if value != value else f"{value:.3g}" if isinstance(value, float) else str(value))
    return Table(
        id=MODELS,
        title="Every model: hyper-parameters and errors",
        shown=shown.rename(columns={"kind": "network", "lr": "learning rate", "rho": "SAM radius"}),
        raw=models,
        notes=(*settings, _source(pairs), *of_scale(scale)),
        provenance=provenance_of([stored for _, stored in pairs], scale),
        brief=("network", "seed", "learning rate", "SAM radius", "train_error", "test_error", "ood_error")
        if len(models)
        else ("network",),
    )


def _source(pairs: Pairs) -> str:
    sources = sorted({s.result["ood_source"] for _, s in pairs if "ood_source" in s.result})
    return f"Corrupted images: {'; '.join(sources)}." if sources else "No corrupted images were measured."


def verdicts(
    judged: Sequence[Judgement], pairs: Sequence[tuple[Job[Any], Any]], scale: str, seeds: int, fitted: Sequence[str] = ()
) -> Table:
    """A line a part of a claim: what is printed, the rule, what was found, the verdict.

    Args:
        judged: the verdicts.
        pairs: everything that they rest on.
        scale, seeds: of the grid.
        fitted: notes on the models that the paper would have kept.
    """
    reduced = scale != "paper"
    rows = [
        {
            "claim": judgement.part,
            "printed": CLAIMS[judgement.part[:7]],
            "rule": (RULES | TUNED_RULES | {"claim-4": LANGUAGE_RULE})[judgement.part],
            "found": judgement.finding,
            "verdict": "not judged" if scale == "smoke" else judgement.verdict.worded(reduced),
        }
        for judgement in judged
    ]
    published = "; ".join(f"{name} {value:+.2f}" for name, value in SHOWN.items())
    notes = (
        "Rules were written before any run of the grid (verify/experiments/andriushchenko2023/rules.py, language_rules.py, "
        "tuned_rules.py); a pilot on other draws of data was looked at before that of claim-5. Fine-tuned models have parts of their own: "
        "the verdicts on claim-1 and claim-3 rest on the networks from scratch alone.",
        *fitted,
        f"Published τ that could be verified, adaptive worst-case linf, with test error, of BERT with error on HANS lexical: {published}.",
        setting(scale, seeds),
        *of_scale(scale),
    )
    return Table(
        id=VERDICTS,
        title="What the paper claims of sharpness and generalization, judged on models trained here",
        shown=pd.DataFrame(rows),
        raw=pd.DataFrame(rows),
        notes=notes,
        provenance=provenance_of([stored for _, stored in pairs], scale),
        brief=("claim", "found", "verdict"),
    )


def panels(kind: Kind, scaling: Scaling, pairs: Pairs, scale: str, seeds: int) -> Figure | None:
    """Scatter plots of a network from scratch: sharpness at the largest radius against each target, shaped by SAM.

    Args:
        kind: of the network.
        scaling: c, with or without normalized logits.
        pairs: all models.
        scale, seeds: of the grid.

    Returns:
        None without a finished model.
    """
    own = of_kind(kind, pairs)
    largest = {cell.law: cell for cell in own[0][0].cells if cell.scaling == scaling} if own else {}
    labels = {cell: f"{cell.law.replace('-', ', ')}, ρ = {cell.rho:g}" for cell in largest.values()}
    note = f"A point a {kind}: sharpness at the largest radius that was measured, {scaling}, against each target."
    title = f"Sharpness against generalization: {kind}s, {scaling}"
    return scatter_plots(PANELS[kind, scaling], title, scratch(kind, scale, seeds), own, labels, "rho", note, scale)


def scatter_plots(
    id: str, title: str, sort: Sort, own: Pairs, labels: Mapping[Cell, str], shape: str, note: str, scale: str
) -> Figure | None:
    """A column of panels a cell, a row a target; a point a model, coloured by learning rate.

    Args:
        id, title: of the figure.
        sort: what models they are.
        own: the models.
        labels: the cells, and what stands below their columns.
        shape: the column of hyper-parameters that decides a point's shape: "rho", or another whose values are names.
        note: what the figure shows.
        scale: of the grid.

    Returns:
        None without a finished model.
    """
    models = finished(frame(own, sort.alike))
    if not len(models):
        return None
    values = sorted(set(models[shape].tolist()))
    groups = {(str(v) if shape != "rho" else f"SAM {v:g}" if v else "SGD"): models[models[shape] == v] for v in values}
    targets = {column: name for column, name in TARGETS.items() if models[column].notna().any()}
    with figure_style():
        canvas = Canvas(figsize=(9.5, 2.1 * len(targets) + 0.9), layout="constrained")
        grid = canvas.subplots(len(targets), len(labels), squeeze=False, sharey="row")
        for row, (column, name) in zip(grid, targets.items(), strict=True):
            row[0].set_ylabel(name, fontsize=8)
            for axes, cell in zip(row, labels, strict=True):
                points = _scatter(axes, models, groups, str(cell), column)
        for axes, label in zip(grid[-1], labels.values(), strict=True):
            axes.set_xlabel(label, fontsize=8)
        canvas.colorbar(points, ax=grid, label="log10 learning rate", shrink=0.7)
        # grey: colour is the learning rate's
        handles = [
            Line2D([], [], marker=m, linestyle="", color=GRAY, markersize=4, label=n)
            for m, n in zip(SHAPES, groups, strict=False)
        ]
        canvas.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    notes = (f"{note} τ: Kendall's, with its 95 % bootstrap interval over models.", sort.setting, *of_scale(scale))
    return Figure(id, title, canvas, notes, provenance_of([stored for _, stored in own], scale))


def _scatter(axes: Axes, models: pd.DataFrame, groups: Mapping[str, pd.DataFrame], cell: str, column: str) -> PathCollection:
    """One panel: its points, a shape a group, with their correlation above."""
    rates = np.log10(models.lr)
    for marker, group in zip(SHAPES, groups.values(), strict=False):
        points = axes.scatter(
            group[cell],
            group[column],
            c=rates[group.index],
            vmin=rates.min(),
            vmax=rates.max(),
            s=14,
            marker=marker,
            cmap="viridis",
        )
    if (models[cell] > 0).all():
        axes.set_xscale("log")
        label_ticks(axes.xaxis, narrow=True)
    axes.set_title(f"τ = {words(tau(models, cell, column))}", fontsize=8, color=COLORS[0])
    axes.tick_params(labelsize=7)
    return points
