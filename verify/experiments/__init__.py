"""The registry of experiments, one module a paper or question, each offering what `Experiment` lists; a new one is named here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Protocol

from flatproof.theory.claims import Claim, statements
from flatproof.verify.experiments import atlas, certified, curvature, imagenet, kaur2023, keskar2017, minimizers, scaling, wen2023
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

SCALES = ("smoke", "quick", "paper")


class Experiment(Protocol):
    """What a paper's module offers.

    ID: the paper's id prefix. ARTIFACTS: ids of its tables and figures. DEFAULT_SEEDS: seeds by scale. grid: the runs and jobs that
    some artifacts need, each with the name that the progress display gives its row. build: the artifacts, from the store alone.
    """

    ID: str
    ARTIFACTS: tuple[str, ...]
    DEFAULT_SEEDS: dict[str, int]

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> Sequence[tuple[str, Job[Any]]]:
        """The runs and jobs that the artifacts `only` need, each with the name of its row."""

    def claims(self, ids: Sequence[str], store: Store | None) -> list[Claim]:
        """The paper's empirical claims among `ids` (all if empty), judged from stored runs."""

    def claim_ids(self) -> list[str]:
        """The ids of the paper's empirical claims."""

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored runs alone."""


EXPERIMENTS: dict[str, Experiment] = {
    module.ID: module for module in (wen2023, scaling, minimizers, keskar2017, kaur2023, imagenet, certified, atlas, curvature)
}


# Experiments on real data, which is fetched first and takes longer: they run when they are named.
ON_REAL_DATA = tuple(module.ID for module in (keskar2017, kaur2023, imagenet))


def select(ids: Sequence[str]) -> dict[str, list[str]]:
    """The artifacts that ids name, by experiment: a paper's id stands for all of its artifacts, no id for everything but what is
    measured on real data, and "figure-5" for 5a and 5b.

    Errors: ValueError naming the unknown id and the known ones.
    """
    wanted = list(ids) or [id for id in EXPERIMENTS if id not in ON_REAL_DATA]
    chosen: dict[str, list[str]] = {}
    for name in wanted:
        paper = name.split("/")[0]
        known = EXPERIMENTS[paper].ARTIFACTS if paper in EXPERIMENTS else ()
        found = (
            known
            if name == paper
            else tuple(a for a in known if a == name or (name[-1:].isdigit() and a[:-1] == name and a[-1].isalpha()))
        )
        if not found:
            everything = [name for id, e in EXPERIMENTS.items() for name in (id, *e.ARTIFACTS)]
            raise ValueError(f"unknown id {name!r}; expected one of: {', '.join(everything)}")
        chosen.setdefault(paper, []).extend(a for a in found if a not in chosen.get(paper, []))
    return chosen


def build(experiment: Experiment, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only` of an experiment, from the store alone, each with its scale and with what is stored of its rows.

    An artifact without rows of its own is of no scale, except that at 'smoke' everything is.
    """
    out = []
    for artifact in experiment.build(only, scale, seeds, store):
        jobs = {job.key: (name, job) for name, job in experiment.grid([artifact.id], scale, seeds)}
        rows = dict.fromkeys((name for name, _ in jobs.values()), 0)
        for name, job in jobs.values():
            rows[name] += job in store
        own = {"scale": scale} if rows or scale == "smoke" else {}
        out.append(replace(artifact, provenance=own | artifact.provenance, coverage=artifact.coverage or rows))
    return out


def examine(ids: Sequence[str], store: Store | None) -> Iterator[Claim]:
    """The ledger: statements of `theory.claims` and the papers' empirical claims, all if no ids; examined as they are asked for.

    Errors: ValueError naming an unknown id and those that resemble it.
    """
    known: dict[str, Callable[[], Claim]] = {id: statement.claim for id, statement in statements().items()}
    for experiment in EXPERIMENTS.values():
        for id in experiment.claim_ids():
            known[id] = lambda id=id, e=experiment: e.claims([id], store)[0]  # type: ignore[misc]
    for id in ids:
        if id not in known:
            near = get_close_matches(id, known, n=3, cutoff=0.3) or list(known)[:3]
            raise ValueError(f"unknown statement {id!r}; expected an id of the ledger, such as {', '.join(near)}")
    return (known[id]() for id in (ids or known))


def check_scale(scale: str) -> str:
    """The scale itself; ValueError naming the known ones otherwise."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    return scale
