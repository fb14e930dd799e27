"""Owns what several measures of one problem compute once: quantities by key, kept while `sharing` lasts.

What is shared is a function of its key and of the parameters alone: an estimate is the same number whether its parts were computed for it
or for another. Two estimates from one random start each hold with their own probability, the one that they state; their errors depend on
each other, so that the probability of both is at least one minus the sum of what each leaves. Products, gradients and losses are counted
where they are spent, on the first that asks.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Watched(Protocol):
    """What quantities are of: a problem."""

    shared: "Shared | None"

    def versions(self) -> list[int]:
        """Changes whenever a parameter or buffer is written in place."""


class Shared:
    """Quantities at a problem's present parameters; forgotten when a parameter or buffer is written.

    Args:
        problem: whose they are.
    """

    def __init__(self, problem: Watched) -> None:
        self.problem, self._versions = problem, problem.versions()
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The quantity with this key, made where it is not there yet."""
        if (versions := self.problem.versions()) != self._versions:
            self._made.clear()
            self._versions = versions
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value


@contextmanager
def sharing(problem: Watched) -> Iterator[None]:
    """Within the block measures of the problem, and of operators of it, share what they have in common; memory is freed at its end."""
    before = problem.shared
    problem.shared = before or Shared(problem)
    try:
        yield
    finally:
        problem.shared = before


def once(source: object, key: Hashable, make: Callable[[], T]) -> T:
    """The quantity of a problem, or of an operator's: kept under the key within `sharing`, else made anew."""
    shared: Shared | None = getattr(getattr(source, "problem", source), "shared", None)
    return make() if shared is None else shared.once(key, make)


def shares(source: object) -> bool:
    """Whether `sharing` lasts for a problem, or for an operator's."""
    return getattr(getattr(source, "problem", source), "shared", None) is not None
