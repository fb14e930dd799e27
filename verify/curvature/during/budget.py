"""Owns the budget of measurements: which of those that are due are taken, so that their time stays below a share of the training's."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flatproof.verify.utils.checks import check_positive

REMEMBERED = 3  # measurements whose longest is what the next one is expected to take


class Budget:
    """Seconds of measuring against seconds of training, which are all others since it was made.

    What is done once, before the first measurement, is counted apart, and neither. The first measurement is always taken, what it costs is
    not known before. Each later one is taken only if the time spent with it, at the cost of the longest of the last three, stays within the
    share; the first one, which may hold what else is done once, is forgotten as soon as there is a second.

    Args:
        share: of the training's seconds, above 0; None: no limit.
        clock: gives seconds.

    Attributes:
        share: infinite where there is no limit.
        spent: seconds of measuring.
        prepared: seconds of what is done once.
        taken: measurements taken.
        skipped: measurements skipped.
    """

    def __init__(self, share: float | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.share = math.inf if share is None else check_positive("budget", share)
        self.spent, self.prepared, self.taken, self.skipped = 0.0, 0.0, 0, 0
        self._clock, self._start, self._costs = clock, clock(), list[float]()

    @property
    def training(self) -> float:
        """Seconds since the start that were not spent on measuring, nor on what is done once before."""
        return self._clock() - self._start - self.spent - self.prepared

    @property
    def used(self) -> float:
        """The share that measuring has taken so far."""
        return self.spent / self.training if self.training > 0 else math.inf if self.spent else 0.0

    def allows(self) -> bool:
        """Whether the next measurement fits."""
        return not self._costs or self.share == math.inf or self.spent + max(self._costs) <= self.share * self.training

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """What is done inside is done once, for all measurements."""
        begin = self._clock()
        try:
            yield
        finally:
            self.prepared += self._clock() - begin

    @contextmanager
    def spending(self) -> Iterator[None]:
        """What is done inside is a measurement."""
        begin = self._clock()
        try:
            yield
        finally:
            cost = self._clock() - begin
            self.spent, self.taken = self.spent + cost, self.taken + 1
            self._costs = [*self._costs[self.taken == 2 :], cost][-REMEMBERED:]
