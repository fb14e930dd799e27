"""Owns the restricted program of a search: the cone program over patterns met so far, round by round, and the network that comes out.

Each round solves the program, prices all other patterns at its dual point by local search (pricing.py), adds the most violated and
drops what is no longer needed, until no start finds anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.cone_solver import Master, solve_master
from flatproof.theory.flatness.known_patterns import KnownPatterns
from flatproof.theory.flatness.lower_bounds import sample_dual
from flatproof.theory.flatness.neurons import Array, Columns, NotRealized, OutOfTime
from flatproof.theory.flatness.pricing import BATCH, VIOLATED, Entry, Pricing
from flatproof.theory.flatness.realize import network_of
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import Network, trace_lower_bound

PATIENCE = 3  # rounds without a find, each with new random starts, after which the search gives up
IDLE = 2  # rounds after which a pattern that is not needed leaves the program
CLOSED = 1e-8  # relative gap at which the bracket counts as closed
USED = 1e-7  # length, relative to the longest, from which a neuron is in use
INWARD = 1e-2, 1e-4  # of a neuron's size
FIRST = 0.3  # share of the time, where it is limited, for the first patterns
PROGRAM = 2.5e5  # numbers in a program, patterns times points times dimensions, that are solved over in a second
SLACK = 200.0  # first price of slack, relative to the largest price of a sample


@dataclass(frozen=True)
class Round:
    """One round of the search.

    Attributes:
        upper: the restricted program's value, infinite while it does not fit the labels.
        ratio: the largest ratio of value to price that the search then found; 1 or less: no violated pattern.
        patterns: how many are in the program, with signs.
    """

    upper: float
    ratio: float
    patterns: int


class Search:
    """The restricted program of one data set and the search for patterns that it lacks.

    Attributes:
        dual: of the best program that fits the labels, in the data's units, (n,).
        seen: neurons (K, r) of the last program that was solved, off their kinks by each of INWARD.
        history: an entry a round.
        exhausted: whether the search ended by itself.
        fitted: the patterns of the best program that fits the labels; None while there is none.

    Args:
        setting: the problem; its labels are not all 0.
        seed: of the random starts.
        end: the time (of `monotonic`) after which the search ends, whether the labels are fitted or not.
    """

    def __init__(self, setting: Setting, seed: int, end: float):
        self.setting, self.end = setting, end
        self.history: list[Round] = []
        self.exhausted = False
        self.fitted: NDArray[np.integer] | None = None
        self.dual: Array = np.zeros(len(setting.y))
        self.seen: Array = np.zeros((0, setting.coordinates.u.shape[1]))
        self.y = setting.y / setting.top
        self.size = trace_lower_bound(
            setting.architecture, setting.x, self.y
        )  # unit of prices: with it the program's value is a few
        self.first = sample_dual(setting.architecture, setting.x, self.y) / self.size
        self.random = np.random.default_rng(np.random.SeedSequence([seed, 2]))
        self.patterns = KnownPatterns(setting, self.size)
        self.pricing = Pricing(self.patterns, self.random, end)

    def run(self, rounds: int, start: Sequence[Network], bound: float) -> None:
        """Rounds until nothing is found, the bound is met, or time or rounds are up.

        Args:
            rounds: at most this many, more only while the labels are not fitted.
            start: networks whose neurons' patterns enter the first program.
            bound: on every network's trace, from below.
        """
        unit = self.size, self.setting.top  # of the program's value, multiplied one after the other
        active = dict.fromkeys(islice(self._first_entries(start), self._most()), 0)
        box, failed, least = SLACK * float(np.abs(self.first).max()), 0, np.inf
        while (self.fitted is None or len(self.history) < rounds) and monotonic() <= self.end:
            entries = np.array(list(active))
            try:
                solution = self._master(entries, box)
            except OutOfTime:
                break
            self.seen = self._inward(solution.v, entries[:, 0])
            fits = solution.slack <= 1e-9
            value = float(solution.dual @ self.y)
            if fits and value < least:
                least, self.fitted, self.dual = value, np.unique(entries[:, 0]), solution.dual * self.size
            if least * unit[0] * unit[1] <= bound * (1 + CLOSED):
                self.history.append(Round(least * unit[0] * unit[1], 1.0, len(active)))
                self.exhausted = True
                break
            used = solution.lengths > USED * max(solution.lengths.max(), 1e-300)
            candidates = self.pricing.priced(entries, solution, used, failed)
            largest = max([ratio for ratio, _ in candidates], default=0.0)
            new = [entry for ratio, entry in candidates if ratio > 1 + VIOLATED and entry not in active]
            self.history.append(Round(value * unit[0] * unit[1] if fits else np.inf, largest, len(active)))
            if new:
                failed = 0
            else:
                if not fits:
                    box *= 1e3
                failed += 1
                if failed >= PATIENCE + 3 * (not fits):
                    self.exhausted = fits
                    break
            if monotonic() > self.end:
                break
            active = self._pruned(active, used, solution.dual, entries)
            active |= dict.fromkeys(new[:BATCH], 0)

    def _most(self) -> int | None:
        """How many patterns a program may have to be solved in the time that is left; None without an end."""
        n, r = self.setting.coordinates.u.shape
        return None if self.end == np.inf else max(n, int(PROGRAM * (self.end - monotonic()) / (n * r)))

    def network(self, end: float = np.inf) -> Network:
        """The network of the best restricted program that fits the labels, at full accuracy.

        Args:
            end: the time (of `monotonic`) when it has to be there, about.

        Raises:
            NotRealized: if there is no such program, or double precision holds no network.
            OutOfTime: if the time was up before.
        """
        if self.fitted is None:
            raise NotRealized(
                f"no interpolating network was found in {len(self.history)} rounds: give it more, or a network to start from"
            )
        program = Program(self.setting, self.patterns.signs[self.fitted])
        self.dual, bound, binding, in_use, of_any_length, _ = program.solve(end=end)
        choices = (self._onto_kinks(binding), binding, in_use, in_use + binding, of_any_length)
        return network_of(self.setting, choices, self.patterns.rays(), self.patterns.flats, bound, end=end)

    def _first_entries(self, start: Sequence[Network]) -> Iterator[Entry]:
        """The first program's patterns: of given networks, of random neurons, of one sample alone, and violated at the samples' bound."""
        patterns, n = self.patterns, len(self.y)
        until = monotonic() + FIRST * (self.end - monotonic())
        for entry in chain.from_iterable(map(patterns.of_network, start)):
            if monotonic() > until:
                return
            yield entry
        for k, (signs, inside) in enumerate(patterns.at(self.random.standard_normal(patterns.u.shape))):
            if monotonic() > until:
                return
            index = patterns.add(signs, inside)
            if index is not None:
                yield index, k % 2
        for i in np.flatnonzero(patterns.live & (self.y != 0)):
            if monotonic() > until:
                return
            alone = np.where(np.arange(n) == i, 1, -1).astype(np.int8)
            cap = patterns.inside(alone, patterns.u[i])
            index = None if cap is None else patterns.add(alone, cap)
            if index is not None:
                yield index, int(self.y[i] < 0)
        pricing = Pricing(patterns, self.random, until)
        for side in (0, 1):
            violated = pricing.violated(self.first, side, np.zeros((0, patterns.u.shape[1])), 1)
            for index, _ in violated[: BATCH // 2]:
                yield index, side

    def _master(self, entries: NDArray[np.integer], box: float) -> Master:
        signs = self.patterns.signs[entries[:, 0]]
        return solve_master(
            self.patterns.u, self.y, signs, 1.0 - 2 * entries[:, 1], self.patterns.prices(signs), box, end=self.end
        )

    def _inward(self, v: Array, pattern: NDArray[np.integer]) -> Array:
        """Neurons that are in use, of size 1, moved into their cells."""
        size = np.linalg.norm(v, axis=1)
        used = size > USED * size.max()
        return np.vstack([v[used] / size[used, None] + inward * self.patterns.witnesses[pattern[used]] for inward in INWARD])

    def _pruned(
        self, active: dict[Entry, int], used: NDArray[np.bool_], dual: Array, entries: NDArray[np.integer]
    ) -> dict[Entry, int]:
        """Without patterns that were neither used nor nearly worth their price for a while."""
        index, side = entries.T
        length = self.patterns.lengths_of_projections(index, (1.0 - 2 * side)[:, None] * dual)
        ratio = np.where(used, np.inf, length / self.patterns.prices(self.patterns.signs[index]))
        kept = {}
        for rank, k in enumerate(np.argsort(-ratio, kind="stable")):
            entry = (int(index[k]), int(side[k]))
            age = active[entry] + 1 if ratio[k] < 0.999 else 0
            if age < IDLE or rank < len(dual):
                kept[entry] = age
        return kept

    def _onto_kinks(self, columns: Columns) -> Columns:
        """The same neurons, exactly on the kinks that they are on but for rounding in directions that their samples hardly see."""
        u, lengths = self.patterns.u, self.patterns.lengths
        v = columns.v.copy()
        for k, signs in enumerate(columns.signs):
            z = u @ v[k]
            near = np.abs(z) <= 1e-5 * lengths * np.linalg.norm(v[k])
            rows = np.flatnonzero(near | (signs > 0))
            for _ in range(2):
                change = np.where(near[rows], -(u[rows] @ v[k]), z[rows] - u[rows] @ v[k])
                v[k] += np.linalg.lstsq(u[rows], change, rcond=1e-9)[0]
        return replace(columns, v=v)
