"""Owns the experiment keskar2017: small against large batches, the sharpness of what they find, and verdicts on its claims 1 to 8.

`published`: what is printed. `grid`: what is run at each scale. `jobs`: what is measured. `results`: from the store to numbers. `rules`:
how claims are judged. `tables` and `figures`: what is written. Networks whose data are not on this machine have rows that say so.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flatproof.theory.claims import Claim
from flatproof.verify.experiments.keskar2017.figures import FIGURES
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, needed, plan_of
from flatproof.verify.experiments.keskar2017.published import CLAIMS
from flatproof.verify.experiments.keskar2017.results import Results, results_of
from flatproof.verify.experiments.keskar2017.rules import RULES, judge
from flatproof.verify.experiments.keskar2017.tables import ID, TABLES
from flatproof.verify.experiments.vocabulary import JUDGED_SCALES, Experiment, entry, evidence_of, not_run
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact

SAME_JOBS = {"settling": "claims"}


class Keskar2017(Experiment):
    """Small and large batches: accuracy, sharpness, paths, warm starts, remedies."""

    ID = ID
    ABOUT: ClassVar = About(
        title="N. S. Keskar, D. Mudigere, J. Nocedal, M. Smelyanskiy, P. T. P. Tang: On large-batch training for deep learning (2017)",
        question="Do large batches end in sharp minima, and is that why they generalize worse?",
        figure="keskar2017/figure-3",
        link="https://arxiv.org/abs/1609.04836",
    )
    ARTIFACTS = tuple(f"{ID}/{name}" for name in (*TABLES, *FIGURES))
    DEFAULT_SEEDS: ClassVar = {"smoke": 2, "quick": 3, "paper": 5}
    PUBLISHED = CLAIMS
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """What the artifacts `only` need, of the networks whose data are there: trainings first, then what is measured of them."""
        plan, wanted = plan_of(scale), {SAME_JOBS.get(name, name) for name in (id.split("/")[1] for id in only)}
        jobs: list[tuple[str, Job[Any]]] = []
        for network in (n for n in NETWORKS if plan.runs(n) and plan.images(n).available()):
            for seed in range(1, seeds + 1):
                jobs += [(f"{network} {name}", job) for artifacts, name, job in needed(plan, network, seed) if artifacts & wanted]
        return jobs

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored jobs alone; a figure without a single curve is left out."""
        built: list[Artifact] = []
        results = results_of(scale, seeds, store)
        makers: dict[str, Callable[[Results], Artifact | None]] = {**TABLES, **FIGURES}
        for name, make in makers.items():
            if f"{ID}/{name}" in only:
                results.shelf.used.clear()  # an artifact's provenance is that of the jobs it asks for
                artifact = make(results)
                built += [artifact] if artifact is not None else []
        return built

    def claim(self, id: str, store: Store | None) -> Claim:
        """Judged from stored runs at the largest scale of which there are any."""
        name = id.split("/")[1]
        results = self._stored(store) if store is not None else None
        if results is None:
            return entry(id, CLAIMS[name], "open", [not_run(ID)])
        judgement = judge(results, name)
        evidence = [
            evidence_of(
                finding.verdict,
                f"training runs, judged by the rule: {RULES[name]}",
                f"{finding.network}, scale {results.plan.scale}",
                f"{finding.verdict.worded(results.reduced)}: {finding.numbers}",
                finding.numbers,
                results.reduced,
            )
            for finding in judgement.findings
        ]
        return entry(id, CLAIMS[name], judgement.verdict.status(results.reduced), evidence)

    def _stored(self, store: Store) -> Results | None:
        """The results of the largest scale of which the store holds any."""
        for scale in JUDGED_SCALES:
            results = results_of(scale, self.DEFAULT_SEEDS["paper"], store)
            if any(results.values(results.plan.lb(network, 1)) for network in NETWORKS if results.plan.runs(network)):
                return results
        return None


EXPERIMENT = Keskar2017()
