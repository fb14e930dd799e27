"""Owns the atlas: which training subsets of the cube force generalization. `jobs` decides them, `show` makes tables and figures."""

from collections.abc import Sequence
from typing import ClassVar

from flatproof.verify.experiments.atlas.jobs import ARTIFACTS, DIFFERENTIABLE, LARGE, Decisions, parts, samples
from flatproof.verify.experiments.atlas.show import artifacts
from flatproof.verify.experiments.vocabulary import Experiment
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


class Atlas(Experiment):
    """Question 1 of wen2023 on every subset of the cube; nothing is random but the sample of the check, which is always the same."""

    ID = "atlas"
    ABOUT: ClassVar = About(
        title="The atlas of training subsets",
        question="From which training subsets of the cube do all flattest networks generalize?",
        figure="atlas/figure-1",
    )
    ARTIFACTS = ARTIFACTS
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 1, "paper": 1}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Decisions]]:
        """The jobs that the artifacts `only` need, each with the name of its row."""
        return [
            (f"{p.target} d = {p.d} {p.architecture}{'' if p.kinks == DIFFERENTIABLE else ' ' + p.kinks}", job)
            for p in parts(only, scale)
            for job in p.jobs()
        ] + [
            (f"parity d = {LARGE}, sample of n = {s.n}{'' if s.kinks == DIFFERENTIABLE else ' ' + s.kinks}", job)
            for s in samples(only, scale)
            for job in s.jobs()
        ]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored jobs alone."""
        return artifacts(only, scale, store)


EXPERIMENT = Atlas()
