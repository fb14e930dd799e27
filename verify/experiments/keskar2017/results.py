"""Owns the way from the store to the numbers that tables, figures and verdicts are made of."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flatproof.verify.deep import Training
from flatproof.verify.experiments.devices import devices_of
from flatproof.verify.experiments.keskar2017.grid import NETWORKS, Plan, plan_of, sharpness
from flatproof.verify.experiments.vocabulary import Shelf, Verdict, provenance_of
from flatproof.verify.experiments.vocabulary.cells import UNLIMITED, Limits, limited
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.utils.statistics import Interval, mean_interval

# One entry for each seed: nan where a training diverged, None where nothing is stored or it never began.
Column = list[float | None]
FLOOR = 1e-4  # of the metric in ratios, percent: what rounding of a float32 loss amounts to
POSITIVE, PERCENT = (0.0, math.inf), (0.0, 100.0)


class Results:
    """What is stored of a plan."""

    def __init__(self, plan: Plan, seeds: int, shelf: Shelf) -> None:
        self.plan, self.seeds, self.shelf = plan, range(1, seeds + 1), shelf

    @property
    def reduced(self) -> bool:
        """Whether networks or data are smaller than the paper's."""
        return self.plan.scale != "paper"

    def provenance(self) -> dict[str, str]:
        """Of the jobs that the shelf was asked for."""
        used = list(self.shelf.used.values())
        devices = ", ".join(sorted({str(stored.result["device"]) for stored in used if "device" in stored.result}))
        return provenance_of(used, self.plan.scale, seeds=True, more={"device": devices} if devices else None)

    def values(self, job: Job[Any]) -> dict[str, Any] | None:
        """What a job gave; None if it is not stored."""
        stored = self.shelf.get(job)
        return stored.result if stored else None

    def absent(self, network: str) -> str:
        """Why a network has no numbers."""
        if not self.plan.runs(network):
            return f"not run at scale {self.plan.scale}"
        return Verdict.NOT_RUN.value if self.plan.images(network).available() else UNAVAILABLE

    def finished(self, trainings: Sequence[Training]) -> list[tuple[Training, dict[str, Any]]]:
        """The trainings that came to their end, with what they gave."""
        return [(training, v) for training in trainings if (v := self.values(training)) and v["status"] == "finished"]

    # ----------------------------------------------------------------------------------- columns: one entry for each seed

    def trainings(self, of: Callable[[str, int], Training], network: str) -> list[Training]:
        """of(network, seed) for every seed, such as SB's."""
        return [of(network, seed) for seed in self.seeds]

    def final(self, trainings: Sequence[Training], name: str) -> Column:
        """The last measurements of a curve; accuracies in percent."""
        return [values if values is None else values[-1] for values in self._curves(trainings, name)]

    def best(self, trainings: Sequence[Training], name: str) -> Column:
        """The largest measurements of an accuracy, in percent."""
        return [values if values is None else max(values) for values in self._curves(trainings, name)]

    def _curves(self, trainings: Sequence[Training], name: str) -> list[list[float] | None]:
        factor = 100 if name.endswith("accuracy") else 1
        return [
            None
            if v is None or v["status"] == "ended"
            else [math.nan]
            if v["status"] == "diverged"
            else [factor * x for x in v["curve"][name]]
            for v in map(self.values, trainings)
        ]

    def phi(self, trainings: Sequence[Training], space: str = "full", which: int = 0, epoch: int | None = None) -> Column:
        """The metric, one entry a training.

        Args:
            trainings: of one kind.
            space: "full" or "subspace".
            which: index of the epsilon.
            epoch: after which, None for the end.

        Returns:
            Percent; None, too, where training had ended before the epoch or never began.
        """
        return [self._phi(training, space, which, epoch) for training in trainings]

    def _phi(self, training: Training, space: str, which: int, epoch: int | None) -> float | None:
        jobs = [sharpness(self.plan, training, epoch, subspace) for subspace in (True, False)[: 1 + (space == "full")]]
        metric = next((values for job in jobs if (values := self.values(job))), None)
        if metric is None or metric["status"] == "ended":
            return None
        return float(metric[space][which]) if metric["status"] == "measured" else math.nan

    def measured(self, jobs: Iterable[Job[Any]]) -> list[dict[str, Any]]:
        """What those of the jobs that are stored gave, without the diverged."""
        return [values for job in jobs if (values := self.values(job)) and values["status"] == "measured"]


def known(column: Column) -> list[float]:
    """The entries that are stored."""
    return [value for value in column if value is not None]


def differences(first: Column, second: Column) -> list[float]:
    """first - second, seed by seed, where both are stored."""
    return [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]


def log_ratios(first: Column, second: Column) -> list[float]:
    """log10 of the ratio of two values of the metric, each at least FLOOR, seed by seed."""
    floored = [[None if v is None else math.log10(v if not v < FLOOR else FLOOR) for v in column] for column in (first, second)]
    return differences(*floored)


def positive_log_ratios(first: Column, second: Column) -> tuple[list[float], int]:
    """log10 of the ratio of two positive values, seed by seed; and in how many seeds one of the two is not positive (no ratio)."""
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    kept = [(a, b) for a, b in both if not (a <= 0 or b <= 0)]  # nan, of a diverged training, stays
    return [math.log10(a / b) for a, b in kept], len(both) - len(kept)


def interval(values: Sequence[float], limits: Limits = UNLIMITED) -> Interval | None:
    """Mean and Student's t interval of the finite values, cut at the limits of what is possible; None for none."""
    finite = [v for v in values if math.isfinite(v)]
    return limited(mean_interval(finite), limits) if finite else None


def updates(training: Training, values: dict[str, Any]) -> int:
    """Steps of the optimizer in a training: conservative training makes several a batch."""
    return int(values["steps"]) * training.method.inner


def capped(training: Training, values: dict[str, Any]) -> bool:
    """Whether only the limit on epochs ended it."""
    return bool(values["stopped"] == f"{training.stop.epochs} epochs")


def results_of(scale: str, seeds: int, store: Store) -> Results:
    """What the store holds of a scale; at 'paper' of the device that it has most of."""
    shelf = Shelf(store)
    plans = [plan_of(scale, device) for device in devices_of(scale)]

    def held(plan: Plan) -> int:
        return sum(plan.lb(n, s).key in shelf.keys for n in NETWORKS if plan.runs(n) for s in range(1, seeds + 1))

    return Results(max(plans, key=held), seeds, shelf)
