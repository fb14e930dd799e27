"""Owns what is stated about `verify.curvature` itself: its definitions, and how often its intervals hold the exact value.

`definitions`: operators, estimates and measures. `coverage`: on two-layer networks; `well_fitted`: on networks fitted to losses down to
1e-30. `functions`: products through every differentiable function of torch.
"""

from collections.abc import Sequence
from typing import Any

from flatproof.theory.claims import Claim
from flatproof.verify.experiments.curvature import coverage, definitions, functions, well_fitted
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

ID = "curvature"
DEFINITIONS, COVERAGE, WELL_FITTED = f"{ID}/definitions", f"{ID}/coverage", f"{ID}/well-fitted"
FUNCTIONS = f"{ID}/functions"
ARTIFACTS = (DEFINITIONS, COVERAGE, WELL_FITTED, FUNCTIONS)
DEFAULT_SEEDS = {"smoke": 4, "quick": 500, "paper": 5000}  # random starts of every estimator on every network
FITTED_SHARE = 20  # of those, one in so many on each well-fitted network's loss: there are 96 of them


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """The networks; definitions need no run."""
    pairs: list[tuple[str, Job[Any]]] = [("functions of torch", functions.Functions())] if FUNCTIONS in only else []
    if COVERAGE in only:
        pairs += [(f"coverage {job.architecture}", job) for job in coverage.jobs(seeds)]
    if WELL_FITTED in only:
        pairs += [(f"well fitted, {job.head}", job) for job in well_fitted.jobs(_fitted_starts(seeds))]
    return pairs


def _fitted_starts(seeds: int) -> int:
    return max(well_fitted.NETWORKS, seeds // FITTED_SHARE)


def claim_ids() -> list[str]:
    """No statement of a paper is judged here."""
    return []


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """None."""
    return []


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The definitions, and the coverage from stored jobs alone."""
    made: list[Artifact] = [definitions.table(DEFINITIONS)] if DEFINITIONS in only else []
    if COVERAGE in only and (ready := [(job, stored) for job in coverage.jobs(seeds) if (stored := store.get(job)) is not None]):
        made.append(coverage.table(COVERAGE, ready))
    if WELL_FITTED in only:
        fitted = [(job, at) for job in well_fitted.jobs(_fitted_starts(seeds)) if (at := store.get(job)) is not None]
        made += [well_fitted.table(WELL_FITTED, fitted)] if fitted else []
    if FUNCTIONS in only and (stored := store.get(functions.Functions())) is not None:
        made.append(functions.table(FUNCTIONS, stored))
    return made
