"""Owns the carrying out of a grid of runs and jobs: local processes through joblib, progress, and one stored result at a time.

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

import joblib

from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.two_layer import fused
from flatproof.verify.two_layer.settings import Run
from flatproof.verify.two_layer.training import Result, train
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.threads import single_threaded

REFERENCE_STEP = 3e-4  # seconds that torch's dispatch alone takes


class SweepError(RuntimeError):
    """Some runs could not be carried out; those that could are stored."""


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: the run or job that just ended with its result, how many done of all, seconds left (an estimate)."""

    run: Run | Job
    result: Result | Outcome
    done: int
    total: int
    seconds_left: float


def cost(run: Run | Job) -> float:
    """Rough seconds of one run or job on one core, for scheduling and the time left; only ratios matter."""
    if isinstance(run, Job):
        return run.cost
    n, d = (int(run.data.settings.get(name) or default) for name, default in (("n", 100), ("d", 30)))
    size, step = run.width * (d + 1 + (run.width if run.depth == 3 else 0)), 0.8e-10
    seconds = 0.0
    for phase in run.phases:
        visits = phase.epochs * n
        if not fused.supports(phase):
            seconds += visits / phase.batch_size * REFERENCE_STEP
        if run.architecture == "sim-bn":
            seconds += visits / phase.batch_size * size * n * 0.6e-10
        else:
            seconds += visits * size * step
    return seconds


def sweep(
    runs: Iterable[Run | Job],
    store: Store,
    workers: int = 1,
    on_done: Callable[[Progress], None] | None = None,
) -> int:
    """Carry out the runs that the store lacks, storing each as it ends. Returns how many that were.

    All runs of one seed come before those of the next (jobs without a seed beside the first), so that what is stored at any moment
    says something of every row; among them the longest come first. Runs do not influence each other: the results are the same for
    any number of workers. Killed at any moment, a sweep loses at most the runs in flight. Errors: ValueError for workers < 1;
    SweepError, after all others are stored, when a run failed.
    """
    if workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, got {workers}")
    todo = sorted(store.missing(runs), key=lambda one: (getattr(one, "seed", 1), -cost(one)))
    processes = min(workers, len(todo) or 1)
    backend()
    seconds, spent, total = 0.0, 0.0, sum(map(cost, todo))
    failures = []
    for done, (run, result, where) in enumerate(_outcomes(todo, processes, store.path.resolve().parent / "files"), start=1):
        if isinstance(result, str):
            failures.append(result)
            continue
        if isinstance(run, Job):
            assert isinstance(result, Outcome)
            store.put_outcome(run, result, where)
        else:
            assert isinstance(result, Result)
            store.put(run, result, where)
        seconds, spent = seconds + result.seconds, spent + cost(run)
        left = seconds / spent * (total - spent) / processes
        if on_done:
            on_done(Progress(run, result, done, len(todo), left))
    if failures:
        raise SweepError(f"{len(failures)} of {len(todo)} runs failed; the first:\n{failures[0]}")
    return len(todo)


Attempt = tuple[Run | Job, Result | Outcome | str, dict[str, str]]


def _outcomes(todo: Sequence[Run | Job], workers: int, folder: Path) -> Iterator[Attempt]:
    if workers == 1:
        yield from (_attempt(run, folder) for run in todo)
        return
    with backend():
        parallel = joblib.Parallel(n_jobs=workers, batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered")
        yield from parallel(joblib.delayed(_attempt)(run, folder, os.getpid()) for run in todo)


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


def _attempt(run: Run | Job, folder: Path, parent: int | None = None) -> Attempt:
    """Train, or carry out a job, in a worker; an unexpected error travels back as text so that it cannot take other runs with it."""
    if parent is not None and os.getppid() == parent:
        _end_with(parent)
    try:
        with working_in(folder):
            return run, _carried_out(run) if isinstance(run, Job) else train(run), provenance()
    except Exception:  # reported by the sweep, with its traceback
        return run, f"{run}\n{traceback.format_exc()}", provenance()


def _carried_out(job: Job) -> Outcome:
    start = time.perf_counter()
    with single_threaded():
        values = job.carry_out()
    return Outcome(values, time.perf_counter() - start)


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
