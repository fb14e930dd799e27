"""Owns wen2023's open question, why the method matters: how 1-SAM and label-noise SGD move among networks of the smallest trace."""

from collections.abc import Sequence
from typing import ClassVar

from flatproof.verify.experiments.selection.jobs import Drift, drifts
from flatproof.verify.experiments.selection.layer_norm import (
    LAYER_NORM,
    LAYER_NORM_ENDS,
    LayerNormDrift,
    layer_norm_drifts,
    layer_norm_ends,
    layer_norm_table,
)
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
    ARTIFACTS = (CLAIMS, DRIFTS, FUNCTIONALS, LAYER_NORM, LAYER_NORM_ENDS, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 10, "paper": 5}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Drift | LayerNormDrift]]:
        """The same runs for every artifact on a bias, and for both on LayerNorm."""
        jobs: list[Drift | LayerNormDrift] = [*drifts(scale, seeds)] if {*only} - WITH_NORM else []
        jobs += layer_norm_drifts(scale, seeds) if {*only} & WITH_NORM else ()
        return [(job.row, job) for job in jobs]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`; a figure, and tables on LayerNorm, without a run are left out."""
        shelf = Shelf(store)
        pairs = shelf.pairs(drifts(scale, seeds)) if {*only} - WITH_NORM else []
        normed = shelf.pairs(layer_norm_drifts(scale, seeds)) if {*only} & WITH_NORM else []
        made: list[Artifact] = [verdicts(judge(pairs, scale), pairs, scale)] if CLAIMS in only else []
        made += [ends(pairs, scale)] if DRIFTS in only else []
        made += [told_apart(pairs, scale)] if FUNCTIONALS in only else []
        made += [layer_norm_table(normed, scale)] if LAYER_NORM in only and normed else []
        made += [layer_norm_ends(normed, scale)] if LAYER_NORM_ENDS in only and normed else []
        return made + ([figure(pairs, scale)] if FIGURE in only and pairs else [])


WITH_NORM = {LAYER_NORM, LAYER_NORM_ENDS}
EXPERIMENT = Selection()
