"""Owns the tables and figures, made from stored jobs alone. Replace: columns, notes, panels.

A table has `shown`, text for people, and `raw`, the numbers behind it; its id is "paper/table-N". What was not run says so in its cells.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments._template.grid import SIZES, Trained
from flatproof.verify.experiments._template.published import CLAIMS, ID, SETTING
from flatproof.verify.experiments._template.rules import RULES, Judgement
from flatproof.verify.experiments.vocabulary import DASH, Effect, bracketed, mean_and_diverged, numbers, of_scale, provenance_of
from flatproof.verify.jobs.job import StoredValues
from flatproof.verify.report.artifacts import Figure, Table
from flatproof.verify.report.style import COLORS, figure_style

VERDICTS, FIGURE = f"{ID}/table-1", f"{ID}/figure-1"

Pairs = Sequence[tuple[Trained, StoredValues]]


def provenance(pairs: Pairs, scale: str) -> dict[str, str]:
    """Which code and machines gave the numbers, and of how many jobs."""
    return provenance_of([stored for _, stored in pairs], scale, seeds=True)


def words(effect: Effect) -> str:
    """An effect with its interval, or how many of its seeds diverged."""
    if not np.isfinite(effect.values).all():
        return f"{effect.where}: {effect.quantity} {mean_and_diverged(effect.values, '+.3f')}"
    return f"{effect.where}: {effect.quantity} {bracketed(effect.interval, '+.3f')}"


def verdicts(judged: Sequence[Judgement], pairs: Pairs, scale: str) -> Table:
    """A line a statement: what is printed, the rule, the effects, the verdict."""
    shown, raw = [], []
    for judgement in judged:
        shown.append(
            {
                "claim": judgement.claim,
                "printed": CLAIMS[judgement.claim],
                "rule": RULES[judgement.claim],
                "effects, mean over seeds [95 % interval]": "; ".join(map(words, judgement.effects)) or DASH,
                "verdict": judgement.verdict.worded(reduced=scale != "paper"),
            }
        )
        for effect in judgement.effects:
            values = {"claim": judgement.claim, "where": effect.where, "seeds": effect.seeds}
            raw.append(values | numbers(effect.quantity, effect.interval))
    size = SIZES[scale]
    ours = f"Ours: d = {size.d}, n = {size.n}, width {size.width}, {size.epochs:,} epochs, learning rates {size.rates}."
    return Table(
        id=VERDICTS,
        title="Does a larger learning rate find flatter networks that generalize? Printed and measured",
        shown=pd.DataFrame(shown),
        raw=pd.DataFrame(raw),
        notes=(SETTING, ours, *of_scale(scale)),
        provenance=provenance(pairs, scale),
        brief=("claim", "effects, mean over seeds [95 % interval]", "verdict"),  # the columns that a terminal shows
    )


def figure(pairs: Pairs, scale: str) -> Figure:
    """A point a run: its trace and its test accuracy."""
    with figure_style():
        canvas = Canvas(figsize=(6, 3.4), layout="constrained")
        axes = canvas.subplots()
        for row, color in zip(dict.fromkeys(job.row for job, _ in pairs), COLORS, strict=False):
            ends = [s.result for job, s in pairs if job.row == row and s.result["status"] == "finished"]
            axes.scatter([end["trace"] for end in ends], [end["test_accuracy"] for end in ends], s=22, color=color, label=row)
        axes.set(xscale="log", xlabel="trace of the Hessian", ylabel="test accuracy")
        axes.grid(alpha=0.2)
        axes.legend(frameon=False, fontsize=8)
    notes = ("A point a run; diverged runs are left out.", *of_scale(scale))
    return Figure(FIGURE, "Flatness and generalization by learning rate", canvas, notes, provenance(pairs, scale))
