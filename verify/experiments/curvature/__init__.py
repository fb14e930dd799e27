"""Owns what is stated about `verify.curvature` itself: its definitions, and how often its intervals hold the exact value.

`definitions`: operators, estimates and measures. `coverage`: on two-layer networks; `well_fitted`: on networks fitted to losses down to
1e-30; `probing`: of the trace alone, at few products, on matrices. `functions`: products through every differentiable function of torch.
`above`: ascents below certified bounds.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.verify.experiments.curvature import above, coverage, definitions, functions, probing, well_fitted
from flatproof.verify.experiments.vocabulary import Experiment, Shelf
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact

DEFINITIONS, COVERAGE = "curvature/definitions", "curvature/coverage"
WELL_FITTED, FUNCTIONS, ABOVE = "curvature/well-fitted", "curvature/functions", "curvature/above"
TRACES = "curvature/traces"
CLIMBED_SHARE = 5  # of random starts, one in so many is an ascent
FITTED_SHARE = 20  # of random starts, one in so many on each well-fitted network's loss: there are 96 of them
PROBED_SHARE = 6  # of random starts below scale paper, one in so many on each matrix of known spectrum


class Curvature(Experiment):
    """Definitions, coverage of intervals, products through torch's functions; seeds are random starts of every estimator."""

    ID = "curvature"
    ABOUT: ClassVar = About(
        title="Curvature of any model",
        question="What do the estimates cost, and do their intervals hold the exact value?",
        figure="curvature/figure-1",
    )
    ARTIFACTS = (DEFINITIONS, COVERAGE, TRACES, WELL_FITTED, FUNCTIONS, ABOVE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 4, "quick": 200, "paper": 5000}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """The networks; definitions need no run."""
        rows: list[tuple[str, Job[Any]]] = [("functions of torch", functions.Functions())] if FUNCTIONS in only else []
        if COVERAGE in only:
            rows += [(f"coverage {job.architecture}", job) for job in coverage.jobs(seeds)]
        if TRACES in only:
            rows += [(f"traces, {job.kind}", job) for job in probing.jobs(_probed_starts(scale, seeds))]
        if WELL_FITTED in only:
            rows += [(f"well fitted, {job.head}", job) for job in well_fitted.jobs(_fitted_starts(seeds))]
        if ABOVE in only:
            rows += [(f"above, {job.kind}", job) for job in above.jobs(seeds // CLIMBED_SHARE)]
        return rows

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The definitions, and what else is stored."""
        shelf = Shelf(store)
        tables: list[Artifact] = [definitions.table(DEFINITIONS)] if DEFINITIONS in only else []
        if COVERAGE in only and (covers := shelf.pairs(coverage.jobs(seeds))):
            tables.append(coverage.table(COVERAGE, covers))
        if TRACES in only and (probed := shelf.pairs(probing.jobs(_probed_starts(scale, seeds)))):
            tables.append(probing.table(TRACES, probed))
        if WELL_FITTED in only and (fitted := shelf.pairs(well_fitted.jobs(_fitted_starts(seeds)))):
            tables.append(well_fitted.table(WELL_FITTED, fitted))
        if FUNCTIONS in only and (stored := shelf.get(functions.Functions())):
            tables.append(functions.table(FUNCTIONS, stored))
        if ABOVE in only and (climbed := shelf.pairs(above.jobs(seeds // CLIMBED_SHARE))):
            tables.append(above.table(ABOVE, climbed))
        return tables


def _probed_starts(scale: str, seeds: int) -> int:
    return seeds if scale == "paper" else max(2, seeds // PROBED_SHARE)


def _fitted_starts(seeds: int) -> int:
    return max(well_fitted.NETWORKS, seeds // FITTED_SHARE)


EXPERIMENT = Curvature()
