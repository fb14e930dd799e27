"""Owns what the sweep puts to the test.

A candidate maps (x, y, architecture, q, within) to (low, high, certified); a decider maps (x, y, architecture, points, labels, within) to
"all", "not all", "none" or "undecided", about all networks of trace at most (1 + within) times the least. Whatever it raises is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flatproof import theory

Rows = tuple[tuple[float, ...], ...]
Candidate = Callable[[list[list[float]], list[float], str, list[float], float], tuple[float, float, bool]]


@lru_cache(maxsize=2)
def solution(x: Rows, y: tuple[float, ...], architecture: str) -> theory.Flattest:
    """The solver's answer for one data set, kept for its queries."""
    return theory.flattest(np.array(x), np.array(y), architecture)


def as_printed(
    x: list[list[float]], y: list[float], architecture: str, q: list[float], within: float
) -> tuple[float, float, bool]:
    """`prediction_range` and what it says of its proof."""
    ranges = solution(tuple(map(tuple, x)), tuple(y), architecture).prediction_range([q], within)
    return float(ranges.low[0]), float(ranges.high[0]), bool(ranges.certified[0])


@dataclass(frozen=True)
class Population:
    """A training set and labelled points, as theory.decide takes them."""

    x: np.ndarray
    y: np.ndarray
    points: np.ndarray
    labels: np.ndarray

    def enumerate(self) -> tuple[np.ndarray, np.ndarray]:
        return self.points, self.labels


def decide_as_printed(
    x: list[list[float]], y: list[float], architecture: str, points: list[list[float]], labels: list[float], within: float
) -> str:
    """`theory.decide`."""
    population = Population(*(np.array(a) for a in (x, y, points, labels)))
    return theory.decide(
        population, architecture, solution=solution(tuple(map(tuple, x)), tuple(y), architecture), within=within
    ).answer
