"""Owns what a sweep carries out besides training: `Job`, a computation addressed by the content of its settings, like a run."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


class Job(ABC):
    """A computation whose settings and values are plain JSON. Jobs travel to worker processes: they must pickle."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Rough seconds on one core."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What determines the values, with the version of the code that computes them."""

    @abstractmethod
    def carry_out(self) -> dict[str, Any]:
        """The values."""

    @abstractmethod
    def says(self, values: dict[str, Any]) -> str:
        """The values in a few words, for the progress display."""

    @property
    def key(self) -> str:
        """Address of the job: SHA-256 of its settings."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What a job gave, and the seconds it took."""

    values: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class StoredOutcome:
    """A stored job: its settings, what came out, and where it was computed."""

    settings: dict[str, Any]
    outcome: Outcome
    provenance: dict[str, str]


def device_of(scale: str, device: str | None = None) -> str:
    """Where the jobs of a scale run: at paper on the given device, by default a GPU if this machine has one, else on the CPU."""
    if scale != "paper":
        return "cpu"
    if device is None:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return device
