"""Owns which trainings a GPU carries out first, and what each is stated to take: of three papers, what tells most in a second.

A stored outcome tells as much as any other, but a rule judges no fewer than LEAST_SEEDS seeds of a setting. So settings are ordered by
their seconds an outcome; the first LEAST_SEEDS seeds of all come before any further seed, and before what keskar2017's figures 4 to 6 and
its remedies add.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from flatproof.verify.deep import Training
from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.experiments.andriushchenko2023.grid import SIZES, model
from flatproof.verify.experiments.andriushchenko2023.published import KINDS
from flatproof.verify.experiments.kaur2023.grid import runs_of
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, needed, plan_of
from flatproof.verify.experiments.seconds import seconds_of, trained_by
from flatproof.verify.experiments.vocabulary.verdicts import LEAST_SEEDS
from flatproof.verify.jobs.budget import Costed, Lot
from flatproof.verify.jobs.job import Job

PAPERS = ("keskar2017", "kaur2023", "andriushchenko2023")
FIRST = {"table-1", "table-3", "eigenvalues", "distances"}  # of keskar2017: two trainings and what is measured of them


def lots(scale: str, device: str, seeds: int | None = None) -> list[Lot]:
    """Jobs whose data are on this machine, those that share a training in one lot, in the order in which they are begun.

    Args:
        scale: smoke, quick or paper.
        device: of scale paper, "cuda" or "cpu"; at the others it is the CPU.
        seeds: of each setting; None: each paper's own number.
    """
    made = [(turn, seed, [costed(job, name) for name, job in lot]) for turn, seed, lot in _lots(scale, device, seeds)]
    return [lot for *_, lot in sorted(made, key=lambda at: (at[0] + 2 * (at[1] > LEAST_SEEDS), _an_outcome(at[2]), at[1]))]


def costed(job: Job[Any], name: str) -> Costed:
    """A job with what it is stated to take, on the device that it names."""
    kind = f"{name.split()[0]} {type(job).__name__}"
    return Costed(job, f"{name}, seed {trained_by(job).seed}", seconds_of(job), kind)


def _an_outcome(lot: Lot) -> float:
    return sum(c.seconds for c in lot) / len(lot)


def _lots(scale: str, device: str, seeds: int | None) -> Iterator[tuple[int, int, Sequence[tuple[str, Job[Any]]]]]:
    """Each with its turn and its seed, of all three papers. What comes later of a network names its first trainings, too."""

    def count(paper: str) -> int:
        return seeds or EXPERIMENTS[paper].DEFAULT_SEEDS[scale]

    plan = plan_of(scale, device)
    for network in (n for n in NETWORKS if plan.runs(n) and plan.images(n).available()):
        for seed in range(1, count("keskar2017") + 1):
            jobs = [(ids, f"keskar2017 {network} {name}", job) for ids, name, job in needed(plan, network, seed)]
            yield 0, seed, [(name, job) for ids, name, job in jobs if ids & FIRST]
            if any(not ids & FIRST for ids, _, _ in jobs):
                yield 1, seed, [(name, job) for ids, name, job in jobs if not ids & FIRST or isinstance(job, Training)]
    for run in runs_of(scale, count("kaur2023"), device):
        if run.training.data.available():
            method = run.training.method
            name = f"kaur2023 {run.setup}, batch {run.training.batch_size}, lr {method.lr:g}"
            more = f", rho {method.rho:g}" * bool(method.rho) + f", p {run.p:g}" * bool(run.p)
            yield 0, run.training.seed, [(name + more, run)]
    if SIZES[scale].data.available():
        for seed in range(1, count("andriushchenko2023") + 1):
            for kind in KINDS:
                yield 0, seed, [(f"andriushchenko2023 {kind}", model(kind, seed, scale, device))]
