"""Owns how benchmarks time: one core, implementations in turn, the median with the range over repeats."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from flatproof.verify.utils.threads import single_threaded

T = TypeVar("T")


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this process to one core where the system allows it, and its pools to one thread."""
    threads, pinned = torch.get_num_threads(), None
    if hasattr(os, "sched_setaffinity"):
        pinned = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(pinned)})
    torch.set_num_threads(1)
    try:
        with single_threaded():
            yield
    finally:
        torch.set_num_threads(threads)
        if pinned:
            os.sched_setaffinity(0, pinned)


@dataclass
class Timed(Generic[T]):
    """What one implementation took, in seconds a repeat, and what its last repeat returned."""

    seconds: list[float] = field(default_factory=list)
    value: T | None = None

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The least of the seconds."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The most of the seconds."""
        return max(self.seconds)


def in_turn(implementations: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, Timed[T]]:
    """Time implementations in turn, so that a drift of the machine's speed meets all of them.

    Args:
        implementations: by name, each made ready: what a call does is timed whole.
        repeats: timed calls of each, at least 1.

    Returns:
        The times by name.
    """
    timed: dict[str, Timed[T]] = {name: Timed() for name in implementations}
    for _ in range(repeats):
        for name, run in implementations.items():
            began = time.perf_counter()
            value = run()
            timed[name].seconds.append(time.perf_counter() - began)
            timed[name].value = value
    return timed
