"""Owns the experiment kaur2023: lambda_max and generalization of VGG-11 and a dropout network.

`published`: what is claimed. `grid`: what is run at each scale. `jobs`: what is measured, `networks`: of what. `rules`: how claims are
judged. `show`: tables and figures; `settling`: what would settle the rules.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.theory.claims import Claim
from flatproof.verify.experiments.devices import devices_of
from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.grid import runs_of
from flatproof.verify.experiments.kaur2023.jobs import Final
from flatproof.verify.experiments.kaur2023.published import CLAIMS
from flatproof.verify.experiments.kaur2023.show import ARTIFACTS, artifacts, frame, in_words
from flatproof.verify.experiments.vocabulary import (
    JUDGED_SCALES,
    Experiment,
    Shelf,
    entry,
    evidence_of,
    fullest,
    not_run,
    together,
)
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


def stored_runs(scale: str, seeds: int, store: Store) -> Sequence[tuple[Final, StoredValues]]:
    """The runs of a scale that are stored; at 'paper' of the device that most are stored of."""
    shelf = Shelf(store)
    return fullest([shelf.pairs(runs_of(scale, seeds, device)) for device in devices_of(scale)])


class Kaur2023(Experiment):
    """lambda_max against generalization: learning rates, batch sizes, SAM, dropout, batch normalization."""

    ID = "kaur2023"
    ABOUT: ClassVar = About(
        title="S. Kaur, J. Cohen, Z. C. Lipton: On the maximum Hessian eigenvalue and generalization (2023)",
        question="Does lambda_max, the largest eigenvalue of the Hessian, explain generalization?",
        figure="kaur2023/figure-3",
        link="https://arxiv.org/abs/2206.10654",
    )
    ARTIFACTS = ARTIFACTS
    DEFAULT_SEEDS: ClassVar = {"smoke": 3, "quick": 3, "paper": 5}
    PUBLISHED = CLAIMS
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """All runs whose data are there, for any of the artifacts: they show the same runs."""
        there = [run for run in runs_of(scale, seeds) if run.training.data.available()] if only else []
        return [(f"{run.setup}{f', p = {run.p:g}' if run.p else ''}", run) for run in there]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored runs alone."""
        return artifacts(stored_runs(scale, seeds, store), scale, seeds, only)

    def claims(self, ids: Sequence[str], store: Store | None) -> list[Claim]:
        """Judged from stored runs at the largest scale of which there are any, which are looked up once for all."""
        wanted = [id for id in self.claim_ids() if not ids or id in ids]
        for scale in JUDGED_SCALES:
            if done := stored_runs(scale, self.DEFAULT_SEEDS["paper"], store) if store is not None else ():
                parts = rules.judge(frame(done))
                return [_judged(id, parts[id.split("/")[1]], len(done), scale) for id in wanted]
        return [entry(id, CLAIMS[id.split("/")[1]], "open", [not_run(self.ID)]) for id in wanted]


def _judged(id: str, parts: Sequence[rules.Part], runs: int, scale: str) -> Claim:
    reduced, verdict = scale != "paper", together(part.verdict for part in parts)
    words = {part.id: f"{part.id} {part.verdict.worded(reduced)}: {in_words(part.effects)}" for part in parts}
    evidence = evidence_of(
        verdict,
        "training runs, judged by the rules in verify/experiments/kaur2023/rules.py",
        f"{runs} runs, scale {scale}",
        f"{verdict.worded(reduced)}; " + "; ".join(words.values()),
        " ".join(f"Instead, {words[part.id]}." for part in parts if part.verdict.against),
        reduced,
    )
    return entry(id, CLAIMS[id.split("/")[1]], evidence.supports, [evidence])


EXPERIMENT = Kaur2023()
