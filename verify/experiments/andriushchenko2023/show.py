"""Owns andriushchenko2023's tables and figures on images, made from stored models alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, Size
from flatproof.verify.experiments.andriushchenko2023.jobs import Studied
from flatproof.verify.experiments.andriushchenko2023.language_rules import RULE as LANGUAGE_RULE
from flatproof.verify.experiments.andriushchenko2023.published import CLAIMS, ID, KINDS, SCALINGS, SHOWN, Kind, Scaling
from flatproof.verify.experiments.andriushchenko2023.rules import ENDS, FITTED, RULES, TARGETS, Judgement, tau, words
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table
from flatproof.verify.report.style import COLORS, figure_style, label_ticks
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


def frame(pairs: Pairs) -> pd.DataFrame:
    """A row a model: what it was trained with, how it ended, its errors, a column of sharpness a cell."""
    rows = []
    for job, stored in pairs:
        method, values = job.training.method, stored.result
        row: dict[str, object] = {"kind": job.kind, "seed": job.seed, "lr": method.lr, "rho": method.rho, "mixup": method.mixup}
        row |= {"augmentation": "+".join(job.training.augment) or "none", "status": values["status"]}
        if values["status"] == "finished":
            names = ("train_loss", "test_loss", "train_error", "test_error", "ood_error")
            row |= {name: values.get(name, np.nan) for name in names}
            row |= {"gap": values["test_error"] - values["train_error"]}
            row |= {str(cell): value for cell, value in zip(job.cells, values["sharpness"], strict=True)}
        rows.append(row)
    models = pd.DataFrame(rows)
    if rows:
        models["group"] = models.groupby(["rho", "mixup", "augmentation"]).ngroup()
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


def correlations(kind: Kind, pairs: Pairs, scale: str, seeds: int) -> Table:
    """Kendall's tau of every definition and radius with every target, three ways.

    Args:
        kind: of the network.
        pairs: all models.
        scale, seeds: of the grid.
    """
    own = [(job, stored) for job, stored in pairs if job.kind == kind]
    models = finished(frame(own))
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
        "groups of equal SAM radius, mixup and augmentation alone (there also with the learning rate); over the models whose training "
        f"error is at most {FITTED:.0%}. {n} {kind}s in {groups} groups, {len(own) - n} diverged; {few} of {n} have a training error of at "
        f"most {FITTED:.0%}, {_changed(fitted)} of the {_changed(models)} on mixed or augmented images among them.",
        f"For independent variables the half width of τ's 95 % interval is {_null(n)} at {n} models, {_null(few)} at {few}. Intervals here "
        "are not adjusted for their number; verdicts are.",
        setting(scale, seeds),
        *of_scale(scale),
    )
    return Table(
        id=CORRELATIONS[kind],
        title=f"Does sharpness track generalization? {kind}s trained from scratch",
        shown=pd.DataFrame(shown or [{"definition": NOT_YET}]),
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


def table_of_models(pairs: Pairs, scale: str, seeds: int) -> Table:
    """A row a model: hyper-parameters and errors; sharpness in the numbers behind it."""
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
        notes=(setting(scale, seeds), _source(pairs), *of_scale(scale)),
        provenance=provenance_of([stored for _, stored in pairs], scale),
        brief=("network", "seed", "learning rate", "SAM radius", "train_error", "test_error", "ood_error")
        if len(models)
        else ("network",),
    )


def _source(pairs: Pairs) -> str:
    sources = sorted({s.result["ood_source"] for _, s in pairs if "ood_source" in s.result})
    return f"Corrupted images: {'; '.join(sources)}." if sources else "No corrupted images were measured."


def verdicts(judged: Sequence[Judgement], pairs: Sequence[tuple[Job[Any], Any]], scale: str, seeds: int) -> Table:
    """A line a part of a claim: what is printed, the rule, what was found, the verdict."""
    reduced = scale != "paper"
    rows = [
        {
            "claim": judgement.part,
            "printed": CLAIMS[judgement.part[:7]],
            "rule": (RULES | {"claim-4": LANGUAGE_RULE})[judgement.part],
            "found": judgement.finding,
            "verdict": "not judged" if scale == "smoke" else judgement.verdict.worded(reduced),
        }
        for judgement in judged
    ]
    published = "; ".join(f"{name} {value:+.2f}" for name, value in SHOWN.items())
    notes = (
        "Rules were written before any run of the grid (verify/experiments/andriushchenko2023/rules.py, language_rules.py); a pilot on "
        "other draws of data was looked at before that of claim-5.",
        f"Published τ with test error that could be verified, adaptive worst-case linf: {published}.",
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
    """Scatter plots: sharpness at the largest radius against each target, a point a model, coloured by learning rate, shaped by SAM.

    Args:
        kind: of the network.
        scaling: c, with or without normalized logits.
        pairs: all models.
        scale, seeds: of the grid.

    Returns:
        None without a finished model.
    """
    own = [(job, stored) for job, stored in pairs if job.kind == kind]
    models = finished(frame(own))
    if not len(models):
        return None
    largest = {cell.law: cell for cell in own[0][0].cells if cell.scaling == scaling}
    targets = {column: name for column, name in TARGETS.items() if models[column].notna().any()}
    with figure_style():
        canvas = Canvas(figsize=(9.5, 2.1 * len(targets) + 0.9), layout="constrained")
        grid = canvas.subplots(len(targets), len(largest), squeeze=False, sharey="row")
        for row, (column, name) in zip(grid, targets.items(), strict=True):
            row[0].set_ylabel(name, fontsize=8)
            for axes, cell in zip(row, largest.values(), strict=True):
                points = _scatter(axes, models, str(cell), column)
        for axes, cell in zip(grid[-1], largest.values(), strict=True):
            axes.set_xlabel(f"{cell.law.replace('-', ', ')}, ρ = {cell.rho:g}", fontsize=8)
        canvas.colorbar(points, ax=grid, label="log10 learning rate", shrink=0.7)
        handles, labels = grid[0][0].get_legend_handles_labels()
        canvas.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    notes = (
        f"A point a {kind}: sharpness at the largest radius that was measured, {scaling}, against each target. τ: Kendall's, with its 95 % "
        "bootstrap interval over models.",
        setting(scale, seeds),
        *of_scale(scale),
    )
    provenance = provenance_of([stored for _, stored in own], scale)
    return Figure(PANELS[kind, scaling], f"Sharpness against generalization: {kind}s, {scaling}", canvas, notes, provenance)


def _scatter(axes: Axes, models: pd.DataFrame, cell: str, column: str) -> PathCollection:
    """One panel: its points, with their correlation above."""
    rates = np.log10(models.lr)
    for marker, rho in zip("o^s", sorted(set(models.rho.tolist())), strict=False):
        group = models[models.rho == rho]
        points = axes.scatter(
            group[cell],
            group[column],
            c=rates[group.index],
            vmin=rates.min(),
            vmax=rates.max(),
            s=14,
            marker=marker,
            cmap="viridis",
            label=f"SAM {rho:g}" if rho else "SGD",
        )
    if (models[cell] > 0).all():
        axes.set_xscale("log")
        label_ticks(axes.xaxis)
    axes.set_title(f"τ = {words(tau(models, cell, column))}", fontsize=8, color=COLORS[0])
    axes.tick_params(labelsize=7)
    return points
