"""Owns what a sweep carries out: `Job`, a computation addressed by the content of its settings, and what comes out of it."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def address(settings: Any) -> str:
    """SHA-256 of settings, plain JSON values."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class Addressed(ABC):
    """Settings with an address. Equal settings have equal addresses, in every process and on every machine."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What determines the outcome as plain JSON values, with the version of the code that computes it."""

    @property
    def key(self) -> str:
        """The address: SHA-256 of the settings."""
        return address(self.settings())


@dataclass(frozen=True)
class Outcome:
    """What a job gave: plain JSON values, named arrays where there are any, and the seconds it took."""

    values: dict[str, Any]
    seconds: float = 0.0
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Job(Addressed, Generic[T]):
    """A computation. Jobs travel to worker processes: they must pickle. Where a job has a `seed`, seeds are carried out in turn."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Rough seconds on one core; only ratios matter."""

    @abstractmethod
    def carry_out(self) -> Outcome | dict[str, Any]:
        """The outcome, or its values where there are no arrays."""

    @abstractmethod
    def result(self, outcome: Outcome) -> T:
        """The outcome as one works with it."""

    @abstractmethod
    def summary(self, result: T) -> str:
        """The result in a few words, for the progress display."""

    def figures(self, result: T) -> dict[str, float]:
        """What the progress display averages over the jobs of a row; empty where a job came to nothing."""
        return {}

    def remark(self, result: T) -> str | None:
        """How a job came to nothing, in a word such as "diverged"; None for all others."""
        return None


OFF_ADDRESS = MappingProxyType({"address": False})  # metadata of a field that is no setting of its own
LATER = MappingProxyType(
    {"later": True}
)  # of one that came after outcomes were stored: at its default it is left out of the address


def addressed_fields(settings: Any) -> list[str]:
    """The names of a dataclass's fields that are part of its address: not those OFF_ADDRESS, nor those LATER that are at their default."""
    addressed = [f for f in fields(settings) if f.metadata.get("address", True)]
    return [f.name for f in addressed if not f.metadata.get("later") or getattr(settings, f.name) != f.default]


class Computation(Job[dict[str, Any]]):
    """A job whose result is its values; a dataclass, whose settings are its fields.

    JOB: names it in its settings. VERSION: raised when a change in the code alters values.
    """

    JOB: ClassVar[str]
    VERSION: ClassVar[int]

    def settings(self) -> dict[str, Any]:
        """JOB, VERSION and the fields as plain JSON: of a job its address, of a dataclass its fields; without those OFF_ADDRESS."""
        addressed = [f.name for f in fields(self) if f.metadata.get("address", True)]  # type: ignore[arg-type]
        return {"job": self.JOB, "version": self.VERSION} | {name: setting(getattr(self, name), name) for name in addressed}

    def result(self, outcome: Outcome) -> dict[str, Any]:
        """The values."""
        return outcome.values


def setting(value: Any, at: str) -> Any:
    """A field as it stands in settings; `at` names it in the message of an error. Errors: ValueError for what JSON has no form of."""
    if isinstance(value, Addressed):
        return value.key
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: setting(getattr(value, f.name), f"{at}.{f.name}") for f in fields(value)}
    if isinstance(value, (list, tuple)):
        return [setting(item, f"{at}[{i}]") for i, item in enumerate(value)]
    return plain(value, at)


@dataclass(frozen=True)
class Stored(Generic[T]):
    """A stored job: its settings, its result, where it was computed, and the seconds that took."""

    settings: dict[str, Any]
    result: T
    provenance: dict[str, str]
    seconds: float = 0.0


StoredValues = Stored[dict[str, Any]]


def plain(value: Any, at: str = "values") -> Any:
    """The value as JSON gives it back: numpy scalars as numbers, arrays and tuples as lists.

    Args:
        value: what a job gave.
        at: its name in the message of an error.

    Raises:
        ValueError: for what JSON has no form of, naming the place.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic) and not isinstance(value, (np.void, np.complexfloating)):
        return plain(value.item(), at)
    if isinstance(value, (str, int, float)):  # subclasses
        return next(kind(value) for kind in (str, int, float) if isinstance(value, kind))
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), at)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{at} has the key {key!r}; expected plain JSON, whose keys are strings")
        return {str(key): plain(item, f"{at}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{at}[{i}]") for i, item in enumerate(value)]
    raise ValueError(f"{at} is of the type {type(value).__name__}; expected plain JSON")
