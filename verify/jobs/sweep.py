"""Owns the carrying out of a grid of jobs: their order, progress, and one stored result at a time.

Workers only compute (`verify.jobs.pool`); the calling process alone writes the store.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatproof.verify.jobs.backends import backend
from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.pool import Pool
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.worker import Attempt, Failure, attempt
from flatproof.verify.utils.errors import SweepError


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: the job that just ended with its outcome, how many done of all, seconds left (an estimate)."""

    job: Job[Any]
    outcome: Outcome
    done: int
    total: int
    seconds_left: float


def _ignore(_: str) -> None:
    pass


def sweep(
    jobs: Iterable[Job[Any]],
    store: Store,
    workers: int = 1,
    on_done: Callable[[Progress], None] | None = None,
    name: Callable[[Job[Any]], str] = str,
    note: Callable[[str], None] = _ignore,
) -> int:
    """Carry out the jobs that the store lacks, storing each as it ends.

    All jobs of one seed come before those of the next (those without a seed beside the first), so that what is stored at any moment
    says something of every row; among them the longest come first. Runs do not influence each other: the results are the same for
    any number of workers. Killed at any moment, a sweep loses at most the jobs in flight; a lost worker loses nothing.

    Args:
        jobs: what shall be stored.
        store: where.
        workers: processes; 1: this process carries out all itself.
        on_done: called with each job that was stored.
        name: of a job, in lines.
        note: receives a line for each worker that is lost.

    Returns:
        How many jobs were carried out.

    Raises:
        ValueError: for workers < 1.
        SweepError: after all others are stored, when jobs failed.
    """
    if workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {workers}")
    todo = sorted(store.missing(jobs), key=lambda job: (getattr(job, "seed", 1), -job.cost))
    backend()
    seconds, spent, total = 0.0, 0.0, sum(job.cost for job in todo)
    failures: list[tuple[Job[Any], Failure]] = []
    folder = store.path.resolve().parent / "files"
    for done, ended in enumerate(_attempts(todo, workers, folder, name, note), start=1):
        job = todo[ended.index]
        if isinstance(ended.outcome, Failure):
            failures.append((job, ended.outcome))
            continue
        store.put(job, ended.outcome, ended.provenance)
        seconds, spent = seconds + ended.outcome.seconds, spent + job.cost
        left = seconds / spent * (total - spent) / min(workers, len(todo))
        if on_done:
            on_done(Progress(job, ended.outcome, done, len(todo), left))
    if failures:
        lines = [f"{len(failures)} of {len(todo)} runs failed, the others are stored:"]
        lines += [f"  {name(job)}: {failure.reason}" for job, failure in failures]
        raise SweepError("\n".join(lines), tuple(failure.traceback for _, failure in failures if failure.traceback))
    return len(todo)


def _attempts(
    todo: Sequence[Job[Any]], workers: int, folder: Path, name: Callable[[Job[Any]], str], note: Callable[[str], None]
) -> Iterator[Attempt]:
    if workers == 1:
        return (attempt(index, job, folder) for index, job in enumerate(todo))
    return Pool(todo, workers, folder, name, note).attempts()
