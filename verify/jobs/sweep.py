"""Owns the carrying out of a grid of jobs: local processes through joblib, progress, and one stored result at a time.

joblib's backend can be replaced by configuration, for example by dask or ray on a cluster: set FLATPROOF_BACKEND to a name that
`joblib.parallel_config` accepts (registering it, if needed, in FLATPROOF_BACKEND_MODULE). Workers only compute; the calling
process alone writes the store.
"""

import importlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib

from flatproof.verify.jobs.job import Job, Outcome, plain
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.threads import single_threaded


class SweepError(RuntimeError):
    """Some runs could not be carried out; those that could are stored."""


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: the job that just ended with its outcome, how many done of all, seconds left (an estimate)."""

    job: Job[Any]
    outcome: Outcome
    done: int
    total: int
    seconds_left: float


def sweep(
    jobs: Iterable[Job[Any]],
    store: Store,
    workers: int = 1,
    on_done: Callable[[Progress], None] | None = None,
) -> int:
    """Carry out the jobs that the store lacks, storing each as it ends. Returns how many that were.

    All jobs of one seed come before those of the next (those without a seed beside the first), so that what is stored at any moment
    says something of every row; among them the longest come first. Runs do not influence each other: the results are the same for
    any number of workers. Killed at any moment, a sweep loses at most the jobs in flight. Errors: ValueError for workers < 1;
    SweepError, after all others are stored, when a job failed.
    """
    if workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {workers}")
    todo = sorted(store.missing(jobs), key=lambda job: (getattr(job, "seed", 1), -job.cost))
    processes = min(workers, len(todo) or 1)
    backend()
    seconds, spent, total = 0.0, 0.0, sum(job.cost for job in todo)
    failures = []
    for done, (job, outcome, where) in enumerate(_outcomes(todo, processes, store.path.resolve().parent / "files"), start=1):
        if isinstance(outcome, str):
            failures.append(outcome)
            continue
        store.put(job, outcome, where)
        seconds, spent = seconds + outcome.seconds, spent + job.cost
        left = seconds / spent * (total - spent) / processes
        if on_done:
            on_done(Progress(job, outcome, done, len(todo), left))
    if failures:
        raise SweepError(f"{len(failures)} of {len(todo)} jobs failed; the first:\n{failures[0]}")
    return len(todo)


Attempt = tuple[Job[Any], Outcome | str, dict[str, str]]


def _outcomes(todo: Sequence[Job[Any]], workers: int, folder: Path) -> Iterator[Attempt]:
    if workers == 1:
        yield from (_attempt(job, folder) for job in todo)
        return
    with backend():
        parallel = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered")
        yield from parallel(joblib.delayed(_attempt)(job, folder, os.getpid()) for job in todo)


def backend() -> joblib.parallel_config:
    """The configured joblib backend, a context manager. Errors: UserError when it cannot run a sweep."""
    name, module = os.environ.get("FLATPROOF_BACKEND", "loky"), os.environ.get("FLATPROOF_BACKEND_MODULE")
    try:
        if module:
            importlib.import_module(module)
        with joblib.parallel_config(backend=name):
            joblib.Parallel(n_jobs=2, return_as="generator_unordered")
    except (ValueError, ImportError) as error:
        said = f"FLATPROOF_BACKEND={name!r}" + (f" with FLATPROOF_BACKEND_MODULE={module!r}" if module else "")
        raise UserError(f"{said} cannot run a sweep: {error}; expected a joblib backend, such as loky") from None
    return joblib.parallel_config(backend=name)


def _attempt(job: Job[Any], folder: Path, parent: int | None = None) -> Attempt:
    """Carry out a job, in a worker; an unexpected error travels back as text so that it cannot take other jobs with it."""
    if parent is not None and os.getppid() == parent:
        _end_with(parent)
    try:
        with working_in(folder):
            return job, carried_out(job), provenance()
    except Exception:  # reported by the sweep, with its traceback
        return job, f"{job}\n{traceback.format_exc()}", provenance()


def carried_out(job: Job[Any]) -> Outcome:
    """What a job gives, as it is stored. Errors: ValueError for values that are no plain JSON."""
    start = time.perf_counter()
    with single_threaded():
        given = job.carry_out()
    outcome = given if isinstance(given, Outcome) else Outcome(given)
    return Outcome(plain(outcome.values), time.perf_counter() - start, outcome.arrays)


_watched: set[int] = set()


def _end_with(parent: int) -> None:
    """End this worker process when its parent is gone, so that a killed sweep does not keep computing what nobody stores."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
