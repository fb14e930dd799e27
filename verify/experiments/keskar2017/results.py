"""Owns the way from the store to the numbers that tables, figures and verdicts are made of."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from flatproof.verify.deep.training import Training
from flatproof.verify.experiments.keskar2017.jobs import Path, Sharpness, Spectrum
from flatproof.verify.experiments.keskar2017.plan import DETAILED, Plan
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.realdata import UNAVAILABLE
from flatproof.verify.report.artifacts import merged
from flatproof.verify.utils.statistics import Interval, mean_interval

ALPHAS = tuple(np.linspace(-1, 2, 25).tolist())
SMOKE_ALPHAS = (-1.0, -0.25, 0.0, 0.25, 0.75, 1.0, 1.25, 2.0)
Column = list[
    float | None
]  # one entry for each seed: nan where a training diverged, None where nothing is stored or it never began
FLOOR = 1e-4  # of the metric in ratios, percent: what rounding of a float32 loss amounts to


class Results:
    """What a store holds of a plan. `used` holds the stored jobs, by key, that were looked up since it was last emptied."""

    def __init__(self, plan: Plan, seeds: int, store: Store) -> None:
        self.plan, self.seeds, self.store = plan, range(1, seeds + 1), store
        self.used: dict[str, StoredValues] = {}
        self._found: dict[str, StoredValues | None] = {}

    def provenance(self) -> dict[str, str]:
        """Of the jobs in `used`."""
        used = list(self.used.values())
        seeds = sorted({int(one.settings["seed"]) for one in used})
        about = {"scale": self.plan.scale, "seeds": ", ".join(map(str, seeds)), "jobs": str(len(used))}
        devices = sorted({str(one.result["device"]) for one in used if "device" in one.result})
        return about | ({"device": ", ".join(devices)} if devices else {}) | merged([one.provenance for one in used], "jobs")

    def values(self, job: Job[Any]) -> dict[str, Any] | None:
        """What a job gave; None if it is not stored."""
        if job.key not in self._found:
            self._found[job.key] = self.store.get(job)
        stored = self._found[job.key]
        if stored is not None:
            self.used[job.key] = stored
        return stored.result if stored else None

    def absent(self, network: str) -> str:
        """Why a network has no numbers."""
        if not self.plan.runs(network):
            return f"not run at scale {self.plan.scale}"
        return "not run" if self.plan.images(network).available() else UNAVAILABLE

    def finished(self, trainings: Sequence[Training]) -> list[tuple[Training, dict[str, Any]]]:
        """The trainings that came to their end, with what they gave."""
        return [(one, v) for one in trainings if (v := self.values(one)) and v["status"] == "finished"]

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
        """The metric; None, too, where training had ended before the epoch or never began."""
        return [self._phi(training, space, which, epoch) for training in trainings]

    def _phi(self, training: Training, space: str, which: int, epoch: int | None) -> float | None:
        jobs = [sharpness(self.plan, training, epoch, subspace) for subspace in (True, False)[: 1 + (space == "full")]]
        found = next((values for job in jobs if (values := self.values(job))), None)
        if found is None or found["status"] == "ended":
            return None
        return float(found[space][which]) if found["status"] == "measured" else math.nan

    def measured(self, jobs: Iterable[Job[Any]]) -> list[dict[str, Any]]:
        """What the stored ones of some jobs gave, without the diverged."""
        return [values for job in jobs if (values := self.values(job)) and values["status"] == "measured"]


def known(column: Column) -> list[float]:
    """The entries that are stored."""
    return [value for value in column if value is not None]


def differences(one: Column, other: Column) -> list[float]:
    """one - other, seed by seed, where both are stored."""
    return [a - b for a, b in zip(one, other, strict=True) if a is not None and b is not None]


def log_ratios(one: Column, other: Column) -> list[float]:
    """log10 of the ratio of two values of the metric, each at least FLOOR, seed by seed."""
    floored = [[None if v is None else math.log10(v if not v < FLOOR else FLOOR) for v in column] for column in (one, other)]
    return differences(*floored)


def positive_log_ratios(one: Column, other: Column) -> tuple[list[float], int]:
    """log10 of the ratio of two positive values, seed by seed; and in how many seeds one of the two is not positive (no ratio)."""
    both = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    kept = [(a, b) for a, b in both if not (a <= 0 or b <= 0)]  # nan, of a diverged training, stays
    return [math.log10(a / b) for a, b in kept], len(both) - len(kept)


Limits = tuple[float, float]
ANY, POSITIVE, PERCENT = (-math.inf, math.inf), (0.0, math.inf), (0.0, 100.0)


def interval(values: Sequence[float], limits: Limits = ANY) -> Interval | None:
    """Mean and Student's t interval of the finite values, cut at the limits of what is possible; None for none."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return None
    found = mean_interval(finite)
    return Interval(found.mean, max(found.low, limits[0]), min(found.high, limits[1])) if len(finite) > 1 else found


def show(values: Sequence[float], digits: int = 2, limits: Limits = ANY) -> str:
    """Mean [interval], and what diverged."""
    found = interval(values, limits)
    diverged = sum(not math.isfinite(v) for v in values)
    tail = f"; {diverged} diverged" if diverged else ""
    if found is None:
        return "–" if not diverged else f"all {diverged} diverged"
    if not math.isfinite(found.low):
        return f"{found.mean:.{digits}f} [one seed]{tail}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]{tail}"


def updates(training: Training, values: dict[str, Any]) -> int:
    """Steps of the optimizer in a training: conservative training makes several a batch."""
    return int(values["steps"]) * training.method.inner


def capped(training: Training, values: dict[str, Any]) -> bool:
    """Whether only the limit on epochs ended it."""
    return bool(values["stopped"] == f"{training.stop.epochs} epochs")


# --------------------------------------------------------------------------------------------------- measurements as jobs


def sharpness(plan: Plan, training: Training, epoch: int | None = None, subspace: bool = True) -> Sharpness:
    """The metric of a training's network; in the subspace too, at the end of SB and LB."""
    return Sharpness(training, epoch, plan.points, subspace and epoch is None)


def spectrum(plan: Plan, training: Training) -> Spectrum:
    """The largest eigenvalues at the end."""
    return Spectrum(training, None, plan.points, plan.eigenvalues)


def path(plan: Plan, network: str, seed: int) -> Path:
    """From SB to LB."""
    alphas = SMOKE_ALPHAS if plan.scale == "smoke" else ALPHAS
    return Path(plan.sb(network, seed), plan.lb(network, seed), alphas, plan.points)


def detailed(plan: Plan) -> list[str]:
    """The networks of figures 4 to 6 that are run."""
    return [network for network in DETAILED if plan.runs(network)]
