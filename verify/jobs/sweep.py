"""Owns the carrying out of a grid of jobs: their order, progress, and one stored result at a time.

Workers only compute (`verify.jobs.pool`, on a cluster `verify.jobs.cluster`); the calling process alone writes the store.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flatproof.verify.jobs.backends import backend
from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.pool import Pool
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.worker import Attempt, Failure, attempt
from flatproof.verify.utils.errors import SweepError

LOCAL = "local"
TELLING = 0.02  # share of all costs before which seconds say little: the first jobs import and compile


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: the job that just ended with its outcome, how many done of all, seconds left (an estimate; NaN: too early)."""

    job: Job[Any]
    outcome: Outcome
    done: int
    total: int
    seconds_left: float


def _ignore(_: object) -> None:
    pass


def sweep(
    jobs: Iterable[Job[Any]],
    store: Store,
    workers: int = 1,
    on_done: Callable[[Progress], None] | None = None,
    name: Callable[[Job[Any]], str] = str,
    note: Callable[[str], None] = _ignore,
    engine: str = LOCAL,
    first: Collection[str] = (),
    begun: Callable[[Job[Any]], None] = _ignore,
) -> int:
    """Carry out the jobs that the store lacks, storing each as it ends.

    All jobs of one seed come before those of the next (those without a seed beside the first), so that what is stored at any moment
    says something of every row; among them the longest come first. Runs do not influence each other: the results are the same for
    any number of workers. Killed at any moment, a sweep loses at most the jobs in flight; a lost worker loses nothing.

    Args:
        jobs: what shall be stored.
        store: where.
        workers: processes; 1: this process carries out all itself. Of a cluster's it is the cluster that says how many.
        on_done: called with each job that was stored.
        name: of a job, in lines.
        note: receives a line for each worker that is lost.
        engine: "local", or a cluster (`verify.jobs.cluster`).
        first: addresses of jobs that come before all others.
        begun: called with each job that local processes begin.

    Returns:
        How many jobs were carried out.

    Raises:
        ValueError: for workers < 1.
        UserError: for a cluster that cannot be used.
        SweepError: after all others are stored, when jobs failed; or for a scheduler that was lost.
    """
    if workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {workers}")
    todo = sorted(store.missing(jobs), key=lambda job: (job.key not in first, getattr(job, "seed", 1), -job.cost))
    if not todo:
        return 0
    if engine == LOCAL:
        backend()
    seconds, spent, total = 0.0, 0.0, sum(job.cost for job in todo)
    failures: list[tuple[Job[Any], Failure]] = []
    folder, done = store.path.resolve().parent / "files", 0
    with _started(engine, workers, lambda index: begun(todo[index])) as crew:
        for group in crew.attempts(todo, folder, name, note):
            store.put_all([(todo[a.index], a.outcome, a.provenance) for a in group if isinstance(a.outcome, Outcome)])
            for ended in group:
                job, done = todo[ended.index], done + 1
                if isinstance(ended.outcome, Failure):
                    failures.append((job, ended.outcome))
                    continue
                seconds, spent = seconds + ended.outcome.seconds, spent + job.cost
                rest = total - spent if done < len(todo) else 0.0  # which rounding may leave at 1e-16
                left = seconds / spent * rest / min(crew.workers, len(todo)) if spent >= TELLING * total else math.nan
                if on_done:
                    on_done(Progress(job, ended.outcome, done, len(todo), left))
    if failures:
        others = "" if len(failures) == len(todo) else ", the others are stored"
        lines = [f"{len(failures)} of {len(todo)} runs failed{others}:"]
        lines += [f"  {name(job)}: {failure.reason}" for job, failure in failures]
        raise SweepError("\n".join(lines), tuple(failure.traceback for _, failure in failures if failure.traceback))
    return len(todo)


class Crew(Protocol):
    """Who carries out a sweep's jobs."""

    @property
    def workers(self) -> int:
        """How many carry out jobs at once."""

    def attempts(
        self, jobs: Sequence[Job[Any]], folder: Path, name: Callable[[Job[Any]], str], note: Callable[[str], None]
    ) -> Iterator[Sequence[Attempt]]:
        """One attempt for each job, those that have ended together."""


@contextmanager
def _started(engine: str, workers: int, begun: Callable[[int], None]) -> Iterator[Crew]:
    """The crew of an engine."""
    if engine == LOCAL:
        yield Local(workers, begun)
        return
    from flatproof.verify.jobs.cluster import cluster  # imports dask, which is slow

    with cluster(engine) as crew:
        yield crew


@dataclass(frozen=True)
class Local:
    """This process, or processes that it starts; `begun` is called with the place of each job that is begun."""

    workers: int
    begun: Callable[[int], None] = _ignore

    def attempts(
        self, jobs: Sequence[Job[Any]], folder: Path, name: Callable[[Job[Any]], str], note: Callable[[str], None]
    ) -> Iterator[Sequence[Attempt]]:
        """Each attempt as it ends."""
        if self.workers > 1:
            yield from ([ended] for ended in Pool(jobs, self.workers, folder, name, note, self.begun).attempts())
            return
        for index, job in enumerate(jobs):
            self.begun(index)
            yield [attempt(index, job, folder)]
