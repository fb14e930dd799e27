"""Owns imagenet: sharpness of pretrained ImageNet networks. `jobs` measures them, `show` makes tables and figure."""

from collections.abc import Sequence
from typing import Any

from flatproof.theory.claims import Claim
from flatproof.verify.experiments.imagenet.jobs import BLOCKS, FIGURE, ID, TABLE
from flatproof.verify.experiments.imagenet.jobs import jobs as all_jobs
from flatproof.verify.experiments.imagenet.show import artifacts
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

ARTIFACTS = (TABLE, BLOCKS, FIGURE)
DEFAULT_SEEDS = {"smoke": 1, "quick": 1, "paper": 4}  # sets of PROBES probes for the traces; all else uses one seed


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """All jobs for any of the artifacts, which share most; none where the data are not there."""
    return [(f"{job.subject.network} {job.name}", job) for job in all_jobs(scale, seeds)] if only else []


def claim_ids() -> list[str]:
    """No statement of a paper is judged here."""
    return []


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """None."""
    return []


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone."""
    return artifacts(only, scale, seeds, store)


__all__ = ["ARTIFACTS", "DEFAULT_SEEDS", "ID", "build", "claim_ids", "claims", "grid"]
