"""Owns the way from the store to outcomes: what is there, which jobs gave it, how much of a grid it covers, where it was computed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from flatproof.verify.jobs.job import Job, Stored
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import merged

T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound=Job[Any])
Pair = tuple[AnyJob, Stored[Any]]


class Shelf:
    """What a store holds at one moment. Outcomes that are not there are not looked up; `used` has those that were, by address."""

    def __init__(self, store: Store) -> None:
        self.store, self.keys = store, store.keys()
        self.used: dict[str, Stored[Any]] = {}

    def get(self, job: Job[T], arrays: bool = True, curves: bool = True) -> Stored[T] | None:
        """What is stored of a job, None if nothing is; arrays, curves: as for `Store.get`."""
        key = job.key
        if key not in self.keys:
            return None
        stored = self.store.get(job, arrays, curves)
        if stored is not None:
            self.used[key] = stored
        return stored

    def reading(self, job: Job[T], name: str, read: Callable[[T], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """A few numbers of a job's arrays, None if it is not stored; see `Store.reading`."""
        return self.store.reading(job, name, read) if job.key in self.keys else None

    def pairs(self, jobs: Iterable[AnyJob], arrays: bool = True) -> "list[Pair[AnyJob]]":
        """Those of the jobs that are stored, each with its outcome, in their order."""
        return [(job, stored) for job in jobs if (stored := self.get(job, arrays)) is not None]

    def outcomes(self, jobs: Iterable[Job[T]], arrays: bool = True) -> list[Stored[T]]:
        """The outcomes alone."""
        return [stored for job in jobs if (stored := self.get(job, arrays)) is not None]


def fullest(groups: Iterable[Sequence[T]]) -> Sequence[T]:
    """The longest of some lists, the first of equals: of the devices or scales that might have been used, what most is stored of."""
    return max(groups, key=len)


def coverage(rows: Iterable[tuple[str, Job[Any]]], keys: frozenset[str]) -> dict[str, int]:
    """How many jobs of each row are stored, each job once.

    Args:
        rows: the name of its row and the job.
        keys: the addresses that are stored.
    """
    jobs = {job.key: name for name, job in rows}
    counts = dict.fromkeys(jobs.values(), 0)
    for key, name in jobs.items():
        counts[name] += key in keys
    return counts


def provenance_of(
    stored: Sequence[Stored[Any]],
    scale: str | None = None,
    unit: str = "jobs",
    seeds: bool = False,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Where some outcomes come from: their number, then each field of their provenance, with counts where it is not the same in all.

    Args:
        stored: the outcomes.
        scale: of the grid, None for what has none.
        unit: what they are called, "jobs" or "runs".
        seeds: name the seeds.
        more: fields of one's own, after the number.
    """
    out = {"scale": scale} if scale else {}
    if seeds:
        out["seeds"] = ", ".join(map(str, sorted({int(outcome.settings["seed"]) for outcome in stored})))
    return out | {unit: str(len(stored))} | dict(more or {}) | merged([outcome.provenance for outcome in stored], unit)
