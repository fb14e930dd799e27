"""Owns the atlas: which training subsets of the cube force generalization. `jobs` decides them, `show` makes tables and figures."""

from collections.abc import Sequence

from flatproof.theory.claims import Claim
from flatproof.verify.experiments.atlas.jobs import ARTIFACTS, DIFFERENTIABLE, ID, Decisions, parts
from flatproof.verify.experiments.atlas.show import artifacts
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

DEFAULT_SEEDS = {"smoke": 1, "quick": 1, "paper": 1}  # nothing is random but the sample of the check, which is always the same


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Decisions]]:
    """The jobs that the artifacts `only` need, each with the name of its row."""
    return [
        (f"{p.target} d = {p.d} {p.architecture}{'' if p.kinks == DIFFERENTIABLE else ' ' + p.kinks}", job)
        for p in parts(only, scale)
        for job in p.jobs()
    ]


def claim_ids() -> list[str]:
    """The atlas judges no printed statement."""
    return []


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """None."""
    return []


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored jobs alone."""
    return artifacts(only, scale, store)


__all__ = ["ARTIFACTS", "DEFAULT_SEEDS", "ID", "build", "claim_ids", "claims", "grid"]
