"""Owns the table and the figure of fine-tuned language models, made from stored fine-tunings alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.andriushchenko2023.language import SIZES, Finetuned, available
from flatproof.verify.experiments.andriushchenko2023.language_rules import TARGETS, judge, targets_of
from flatproof.verify.experiments.andriushchenko2023.published import ID, SHOWN
from flatproof.verify.experiments.andriushchenko2023.rules import ENDS, Judgement, tau, words
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.realdata.samples import UNAVAILABLE
from flatproof.verify.report.artifacts import NOT_YET, Figure, Table
from flatproof.verify.report.style import COLORS, figure_style, label_ticks
from flatproof.verify.utils.statistics import kendall_null

TABLE, FIGURE = f"{ID}/language", f"{ID}/figure-4"

Pairs = Sequence[tuple[Finetuned, StoredValues]]


def frame(pairs: Pairs) -> pd.DataFrame:
    """A row a fine-tuning that finished: seed, errors, error of each template, a column of sharpness a cell."""
    rows = []
    for job, stored in pairs:
        values = stored.result
        if values["status"] == "finished":
            row = {"seed": job.seed} | {
                name: values[name] for name in ("train_error", "entailed_error", *TARGETS) if name in values
            }
            row |= {f"template {name}": error for name, error in values["template_errors"].items()}
            rows.append(row | {str(cell): value for cell, value in zip(job.cells, values["sharpness"], strict=True)})
    return pd.DataFrame(rows)


def judged_language(pairs: Pairs, scale: str) -> Judgement:
    """claim-4."""
    return judge(frame(pairs), [str(cell) for cell in SIZES[scale].cells])


def setting(scale: str) -> str:
    """What was fine-tuned and measured, in words."""
    size = SIZES[scale]
    pairs = "templates of other seeds" if size.pairs == "templates" else size.pairs.upper()
    return (
        f"Scale {scale}: the encoder {size.encoder} fine-tuned on {size.train or 'all'} pairs of {pairs} for {size.epochs} epochs, batch "
        f"{size.batch_size}, AdamW, largest step {size.lr:g} after a linear warm-up, linearly down to 0; seeds differ in the start of new "
        f"layers, in dropout and in the order of the pairs. Test error on {size.test or 'all'} test pairs. Templates: {size.templates} "
        "pairs of each of ten forms in which the hypothesis has no word of its own, five of them not entailed. Sharpness on "
        f"{size.measured} training pairs, m = {size.batch}. The paper: bert-base-uncased on MNLI, 50 seeds, error on HANS."
    )


def table(pairs: Pairs, scale: str) -> Table:
    """tau over seeds of every cell with both errors."""
    seeds = frame(pairs)
    shown, raw = [], []
    for cell in SIZES[scale].cells if len(seeds) else ():
        row: dict[str, str] = {"definition": cell.law.replace("-", ", "), "scaling": cell.scaling, "radius": f"{cell.rho:g}"}
        numbers: dict[str, object] = dict(row)
        for target, name in targets_of(seeds).items():
            interval = tau(seeds, str(cell), target)
            row[name] = words(interval)
            numbers |= {f"{end} {target}": value for end, value in zip(ENDS, interval, strict=True)}
        shown.append(row)
        raw.append(numbers)
    n = len(seeds)
    absent = [] if available(scale) else [f"The encoder or the pairs of scale {scale}: {UNAVAILABLE}."]
    notes = (
        "Kendall's τ-b over seeds, with its 95 % bootstrap interval. For independent variables the half width is "
        f"{kendall_null(n):.2f} at {n} seeds; {len(pairs) - n} diverged."
        if n > 2
        else "No fine-tunings enough.",
        *([_errors(seeds)] if n else []),
        f"Published for 50 seeds, adaptive worst-case linf with error on HANS: {SHOWN['BERT, HANS lexical']:+.2f}. The paper's radii for "
        "BERT are not known to us: these are its radii for ViTs.",
        *absent,
        setting(scale),
        *of_scale(scale),
    )
    return Table(
        id=TABLE,
        title="BERT fine-tuned on pairs of sentences: does sharpness track error, seed by seed?",
        shown=pd.DataFrame(shown or [{"definition": NOT_YET if available(scale) else UNAVAILABLE}]),
        raw=pd.DataFrame(raw),
        notes=notes,
        provenance=provenance_of([stored for _, stored in pairs], scale),
        brief=("definition", "scaling", "radius", *targets_of(seeds).values()) if shown else ("definition",),
    )


def _errors(seeds: pd.DataFrame) -> str:
    names = {"test_error": "test", "template_error": "templates that are not entailed", "entailed_error": "entailed templates"}
    ranges = [f"{name} {seeds[c].mean():.3f} ({seeds[c].min():.3f} to {seeds[c].max():.3f})" for c, name in names.items()]
    return f"Errors, mean and range over seeds: {'; '.join(ranges)}."


def figure(pairs: Pairs, scale: str) -> Figure | None:
    """A point a seed: every cell against both errors; None without any."""
    seeds = frame(pairs)
    if not len(seeds):
        return None
    cells, targets = [str(cell) for cell in SIZES[scale].cells], targets_of(seeds)
    with figure_style():
        canvas = Canvas(figsize=(max(5.0, 2.4 * len(cells)), 5), layout="constrained")
        grid = canvas.subplots(len(targets), len(cells), squeeze=False, sharey="row", sharex="col")
        for row, (target, name) in zip(grid, targets.items(), strict=True):
            row[0].set_ylabel(name, fontsize=8)
            for axes, cell in zip(row, cells, strict=True):
                axes.scatter(seeds[cell], seeds[target], s=14, color=COLORS[0])
                if np.all(seeds[cell] > 0):
                    axes.set_xscale("log")
                    label_ticks(axes.xaxis)
                axes.set_title(f"τ = {words(tau(seeds, cell, target)) if len(seeds) > 2 else DASH}", fontsize=8, color=COLORS[0])
                axes.tick_params(labelsize=7)
        for axes, below in zip(grid[-1], SIZES[scale].cells, strict=True):
            axes.set_xlabel(f"{below.law.replace('-', ', ')}, ρ = {below.rho:g}\n{below.scaling}", fontsize=8)
    notes = ("A point a seed. τ: Kendall's, with its 95 % bootstrap interval over seeds.", setting(scale), *of_scale(scale))
    title = "BERT fine-tuned on pairs of sentences: sharpness against errors"
    return Figure(FIGURE, title, canvas, notes, provenance_of([stored for _, stored in pairs], scale))
