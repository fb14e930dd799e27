"""The registry of experiments, one module a paper, each offering what `Experiment` lists. A new paper is a module named here."""

from collections.abc import Sequence
from typing import Protocol

from verify.experiments import wen2023
from verify.report import Artifact
from verify.runs import Run
from verify.store import Store

SCALES = ("smoke", "quick", "paper")


class Experiment(Protocol):
    """What a paper's module offers.

    ID: the paper's id prefix. ARTIFACTS: ids of its tables and figures. DEFAULT_SEEDS: seeds by scale. grid: the runs that some
    artifacts need, each with the name that the progress display gives its row. build: the artifacts, from the store alone.
    """

    ID: str
    ARTIFACTS: tuple[str, ...]
    DEFAULT_SEEDS: dict[str, int]

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Run]]:
        """The runs that the artifacts `only` need, each with the name of its row."""

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored runs alone."""


EXPERIMENTS: dict[str, Experiment] = {module.ID: module for module in (wen2023,)}


def select(ids: Sequence[str]) -> dict[str, list[str]]:
    """The artifacts that ids name, by experiment: a paper's id stands for all of its artifacts, no id for everything.

    Errors: ValueError naming the unknown id and the known ones.
    """
    wanted = list(ids) or list(EXPERIMENTS)
    chosen: dict[str, list[str]] = {}
    for name in wanted:
        paper = name.split("/")[0]
        known = EXPERIMENTS[paper].ARTIFACTS if paper in EXPERIMENTS else ()
        found = known if name == paper else tuple(a for a in known if a == name)
        if not found:
            everything = [*EXPERIMENTS, *(a for e in EXPERIMENTS.values() for a in e.ARTIFACTS)]
            raise ValueError(f"unknown id {name!r}; expected one of: {', '.join(everything)}")
        chosen.setdefault(paper, []).extend(a for a in found if a not in chosen.get(paper, []))
    return chosen


def check_scale(scale: str) -> str:
    """The scale itself; ValueError naming the known ones otherwise."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    return scale
