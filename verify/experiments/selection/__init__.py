"""Owns wen2023's open question, why the method matters: how 1-SAM and label-noise SGD move among networks of the smallest trace."""

from collections.abc import Sequence
from typing import ClassVar

from flatproof.verify.experiments.selection.jobs import Drift, drifts
from flatproof.verify.experiments.selection.rules import judge
from flatproof.verify.experiments.selection.show import (
    CLAIMS,
    DRIFTS,
    FIGURE,
    FUNCTIONALS,
    ID,
    ends,
    figure,
    told_apart,
    verdicts,
)
from flatproof.verify.experiments.vocabulary import Experiment, Shelf
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


class Selection(Experiment):
    """A question of the project's own; nothing of it is printed in a paper."""

    ID = ID
    ABOUT: ClassVar = About(
        title="Which of the flattest networks",
        question="Among networks of the same, smallest trace: which do 1-SAM and label noise go to, and what tells them apart?",
        figure=FIGURE,
    )
    ARTIFACTS = (CLAIMS, DRIFTS, FUNCTIONALS, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 10, "paper": 5}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Drift]]:
        """The same runs for every artifact."""
        return [(job.row, job) for job in drifts(scale, seeds)] if only else []

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`; a figure without a run is left out."""
        pairs = Shelf(store).pairs(drifts(scale, seeds))
        made: list[Artifact] = [verdicts(judge(pairs, scale), pairs, scale)] if CLAIMS in only else []
        made += [ends(pairs, scale)] if DRIFTS in only else []
        made += [told_apart(pairs, scale)] if FUNCTIONALS in only else []
        return made + ([figure(pairs, scale)] if FIGURE in only and pairs else [])


EXPERIMENT = Selection()
