"""Owns the table of what would settle kaur2023's rules: the seeds that each needs, and what they are stated to cost at scale paper."""

import math
from dataclasses import replace

import pandas as pd

from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.grid import ACCURACY, runs_of
from flatproof.verify.experiments.kaur2023.jobs import DENSE, EXAMPLES, Final
from flatproof.verify.experiments.seconds import seconds_of
from flatproof.verify.experiments.vocabulary import Verdict
from flatproof.verify.experiments.vocabulary.power import seeds_needed, settling
from flatproof.verify.report.artifacts import Table

SETTLING = "kaur2023/table-4"


def settling_table(
    judged: dict[str, list[rules.Part]], runs: pd.DataFrame, scale: str, notes: tuple[str, ...], provenance: dict[str, str]
) -> Table:
    """The seeds that each rule needs, and their stated cost.

    Args:
        judged: the parts of each claim.
        runs: a row a run, as `show.frame` makes them.
        scale: of the runs.
        notes, provenance: of all tables.
    """
    reached = runs.epochs[runs.reached]
    epochs = int(reached.max()) if len(reached) else None

    def hours(claim: str, largest: float = math.inf) -> float:
        """Of a claim's runs of one seed at scale paper, on data sets of at most so many images."""
        dense, sam = claim == "claim-4", claim in ("claim-3", "claim-6")
        mine = [
            run for run in runs_of("paper", 1, "cuda") if (run.network == DENSE) == dense and (sam or not run.training.method.rho)
        ]
        return sum(seconds_of(_shortened(run, epochs)) for run in mine if run.images.size <= largest) / 3600

    rows = [
        (
            {"part": part.id, "rule": rules.RULES[part.id]},
            part.verdict if scale != "smoke" else Verdict.NOT_JUDGED,
            min((e.seeds for e in part.effects), default=0),
            seeds_needed(part.decide, part.of) if scale != "smoke" else None,
            hours(claim) if scale != "smoke" else None,
        )
        for claim, parts in judged.items()
        for part in parts
    ]
    shown, raw, more = settling(rows, scale)
    lasting = (
        f"Trainings are stated to last at most {epochs} epochs, the most that one here took to reach {ACCURACY:.0%}. "
        if epochs
        else ""
    )
    few = (
        ""
        if scale == "smoke"
        else f"The data sets of {EXAMPLES} images alone: {hours('claim-3', EXAMPLES):.2g} GPU hours a seed for all of claims 1, 2, 3, 5 "
        "and 6."
    )
    title = "kaur2023: what would settle each rule, and its cost"
    brief = tuple(column for column in shown.columns if column != "rule")
    return Table(SETTLING, title, shown, raw, (*filter(None, [lasting + few]), *more, *notes), provenance, brief)


def _shortened(run: Final, epochs: int | None) -> Final:
    stop = run.training.stop
    return replace(run, training=replace(run.training, stop=replace(stop, epochs=min(stop.epochs, epochs or stop.epochs))))
