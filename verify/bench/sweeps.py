"""Owns the comparison behind `flatproof bench sweep`: what a run costs beside its own work, by engine, and what the store takes.

The runs do nothing, so the seconds are those of handing a run to a worker, bringing its outcome back and storing it.
"""

import importlib
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.table import Table as Grid

from flatproof.verify.jobs.job import Computation, Outcome
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import LOCAL, sweep

RUNS, WORKERS, BATCH = 1000, 2, 50
VALUES = 20  # numbers in an outcome, about as many as a training's


@dataclass(frozen=True)
class EmptyRun(Computation):
    """A run whose outcome is VALUES numbers and no work."""

    JOB: ClassVar[str] = "empty"
    VERSION: ClassVar[int] = 1
    seed: int

    @property
    def cost(self) -> float:
        """All alike."""
        return 1.0

    def carry_out(self) -> dict[str, float]:
        """The outcome."""
        return {f"value {i}": self.seed / (i + 1) for i in range(VALUES)}

    def summary(self, result: dict[str, float]) -> str:
        """Nothing to say."""
        return ""


@dataclass(frozen=True)
class Rate:
    """How many empty runs a second; rate: median, smallest and largest over the repeats of one run.

    Attributes:
        what: a sweep by an engine, or writes alone.
        workers: processes that compute; 0 for writes alone.
        runs: in each repeat.
        rate: median, a second.
        low: smallest.
        high: largest.
        repeats: of the timing.
    """

    what: str
    workers: int
    runs: int
    rate: float
    low: float
    high: float
    repeats: int


def sweep_rates(repeats: int = 3, runs: int = RUNS, workers: int = WORKERS) -> list[Rate]:
    """Sweeps by this process, by local processes and, where the extra `cluster` is, by a Dask scheduler on loopback; and writes alone.

    Args:
        repeats: timed sweeps of each, in turn.
        runs: in each sweep, at least 2.
        workers: processes of each.

    Returns:
        A row for each.
    """
    jobs = [EmptyRun(seed) for seed in range(1, runs + 1)]
    with dask_scheduler(workers) as scheduler:
        ways: dict[tuple[str, int], Callable[[Store], float]] = {
            ("sweep, this process", 0): lambda store: swept(jobs, store, 1),
            ("sweep, local processes", workers): lambda store: swept(jobs, store, workers),
            ("store, one a write", 0): lambda store: written(jobs, store, 1),
            (f"store, {BATCH} a write", 0): lambda store: written(jobs, store, BATCH),
        }
        if scheduler:
            ways["sweep, Dask on loopback", workers] = lambda store: swept(jobs, store, workers, scheduler)
        rates: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
        for _ in range(repeats):
            for way, measure in ways.items():
                with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "runs.sqlite")) as store:
                    rates[way].append(measure(store))
    return [Rate(*way, runs, statistics.median(rate), min(rate), max(rate), repeats) for way, rate in rates.items()]


def swept(jobs: Sequence[EmptyRun], store: Store, workers: int, engine: str = LOCAL) -> float:
    """Runs a second from the first that is stored to the last: the workers' start is left out."""
    ended: list[float] = []
    sweep(jobs, store, workers, on_done=lambda _: ended.append(time.perf_counter()), engine=engine)
    return (len(ended) - 1) / (ended[-1] - ended[0])


def written(jobs: Sequence[EmptyRun], store: Store, batch: int) -> float:
    """Outcomes a second, `batch` of them in a transaction."""
    outcomes = [(job, Outcome(job.carry_out()), provenance()) for job in jobs]
    began = time.perf_counter()
    for i in range(0, len(outcomes), batch):
        store.put_all(outcomes[i : i + batch])
    return len(jobs) / (time.perf_counter() - began)


@contextmanager
def dask_scheduler(workers: int) -> Iterator[str | None]:
    """The engine's name of a scheduler with workers on this machine; None where Dask is not installed."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        yield None
        return
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
    ) as started:
        yield started.scheduler_address


def grid(rows: Sequence[Rate]) -> Grid:
    """The rows for a terminal."""
    out = Grid(title="Runs that do nothing: how many a second", title_justify="left")
    for column in ("", "workers", "runs", "a second", "range", "ms a run"):
        out.add_column(column, justify="right" if column else "left")
    for row in rows:
        spread = f"{row.low:,.0f}–{row.high:,.0f}"
        out.add_row(row.what, str(row.workers or "–"), f"{row.runs:,}", f"{row.rate:,.0f}", spread, f"{1000 / row.rate:.2f}")
    return out
