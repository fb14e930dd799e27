"""Owns the page while a sweep is running: each table and figure is written as soon as its rows have ended, the cheapest one's first."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatproof.verify.cli.progress import duration

if TYPE_CHECKING:
    from flatproof.verify.experiments import Experiment
    from flatproof.verify.jobs.job import Job
    from flatproof.verify.jobs.store import Store

SHARE = 0.04  # of the time, at most, that goes into writing before the sweep has ended
PAGE = "index.html"


@dataclass(frozen=True)
class Wanted:
    """An artifact that is asked for: whose, and the addresses of what it is made from."""

    experiment: "Experiment"
    id: str
    keys: frozenset[str]


class Growing:
    """Told of each job that is stored, it writes what has become whole, and what has nothing yet in a folder without committed results.

    Args:
        chosen: artifacts by experiment.
        scale: of the runs.
        counts: seeds by experiment.
        store: where outcomes are; read in the thread that calls.
        out: the folder of results.
        command: as it stands in provenance.
        columns: of LaTeX tables.
        force: write, too, what replaces results of more runs.
        say: receives a line for the first thing on the page.
    """

    def __init__(
        self,
        chosen: "Mapping[Experiment, Sequence[str]]",
        scale: str,
        counts: "Mapping[Experiment, int]",
        store: "Store",
        out: Path,
        command: str,
        columns: str,
        force: bool,
        say: Callable[[str], None],
    ) -> None:
        self.scale, self.counts, self.store, self.out = scale, counts, store, out
        self.command, self.columns, self.force, self.say = command, columns, force, say
        self.jobs: dict[str, Job[Any]] = {}
        self.wanted: list[Wanted] = []
        for experiment, ids in chosen.items():
            for id in ids:
                jobs = {job.key: job for _, job in experiment.grid([id], scale, counts[experiment])}
                self.jobs |= jobs
                self.wanted += [Wanted(experiment, id, frozenset(jobs))] if jobs else []
        self.missing = {job.key for job in store.missing(self.jobs.values())}
        self.whole: set[str] = set()  # ids that were written with all of their rows
        self.begun: set[str] = set()  # ids that were written with some
        self.start, self.rest, self.spoke = time.monotonic(), 0.0, False

    def first(self) -> frozenset[str]:
        """The addresses of the figure that takes least: its jobs come first, so that the page soon has one."""
        costs = {
            artifact.id: sum(self.jobs[key].cost for key in artifact.keys & self.missing)
            for artifact in self.wanted
            if "figure" in artifact.id and artifact.keys & self.missing
        }
        least = min(costs, key=lambda id: costs[id], default="")
        return next((artifact.keys for artifact in self.wanted if artifact.id == least), frozenset())

    def __call__(self, key: str) -> None:
        """Note that a job is stored, and write one artifact, if it is time for one."""
        self.missing.discard(key)
        now = time.monotonic()
        if now < self.rest or (due := self._due()) is None:
            return
        whole = not due.keys & self.missing
        (self.whole if whole else self.begun).add(due.id)
        self._write(due, whole)
        ended = time.monotonic()
        self.rest = ended + (ended - now) / SHARE if self.spoke else 0.0

    def _due(self) -> Wanted | None:
        """What is to be written next: what is whole, then what has some outcomes and nothing on the page yet."""
        ready = [artifact for artifact in self.wanted if artifact.id not in self.whole and not artifact.keys & self.missing]
        some = (
            a for a in self.wanted if a.id not in self.whole | self.begun and a.keys - self.missing and not self._lies_there(a)
        )
        return ready[0] if ready else next(some, None)

    def _lies_there(self, artifact: Wanted) -> bool:
        from flatproof.verify.report.descriptors import stem

        return stem(self.out, artifact.id, {"scale": self.scale}).with_suffix(".json").exists()

    def _write(self, artifact: Wanted, whole: bool) -> None:
        from flatproof.verify.experiments import abouts, build
        from flatproof.verify.jobs.store import DamagedRow
        from flatproof.verify.report.write import poorer, write

        experiment = artifact.experiment
        try:
            made = build(experiment, [artifact.id], self.scale, self.counts[experiment], self.store)
            kept = {} if self.force else poorer(made, self.out)
            written = [each for each in made if each.id not in kept]
            if written:
                write(written, self.out, self.command, abouts([experiment]), self.columns)
        except (DamagedRow, ValueError, OSError):  # said at the end, with everything else
            self.whole.discard(artifact.id)
            self.begun.add(artifact.id)
            return
        if len(written) < len(made) or not written:
            self.whole.discard(artifact.id)
            self.wanted.remove(artifact)
        elif not self.spoke:
            self.spoke = True
            part = "" if whole else ", of the first of its runs"
            self.say(
                f"{artifact.id}{part} is on the page after {duration(time.monotonic() - self.start)}: {self.out / PAGE} grows from now on"
            )
