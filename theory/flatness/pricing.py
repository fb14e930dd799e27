"""Owns the search for patterns that are worth more than their price at a dual point: starts, and walks from cell to cell.

For one sign s of the output the question is whether some w has s lambda . relu(X w) > c_D ||relu(X w)||. It is not convex, so it is put
to local search: random and informed starting neurons, a few least-squares steps on the pattern of each, and from the best of these a
walk across the walls of cells along which the ratio of value to price grows.
"""

from collections.abc import Iterator
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.flatness.cone_solver import Master
from flatproof.theory.flatness.known_patterns import KnownPatterns
from flatproof.theory.flatness.neurons import Array

STARTS = 256  # starting points, for each sign and round
REFINED = 24  # of the most valuable of them, and of random others, followed from cell to cell; more after a round without a find
BATCH = 60  # violated patterns added at a time
STEPS = 12  # cells that one search walks through at most
VIOLATED = 1e-8  # relative excess over its price at which a pattern counts as violated
CLIMBS = 6  # least-squares steps before that
TRIED = 6  # neighbouring patterns, best first, that are tried for being a cell

Entry = tuple[int, int]  # the number of a pattern, and 0 or 1 for the output's sign + or -


def climbing(n: int, r: int) -> float:
    """Multiply-adds that one round's climbs take at the least, of n points of rank r."""
    return CLIMBS * (STARTS + 4 * n) * float(n * r**2)


class Pricing:
    """The search among the patterns of one data set. It adds what it meets to the known ones.

    Args:
        patterns: the patterns met so far.
        random: of the starts.
        end: the time (of `monotonic`) after which no walk begins or goes on.
    """

    def __init__(self, patterns: KnownPatterns, random: np.random.Generator, end: float):
        self.patterns, self.random, self.end = patterns, random, end

    def priced(
        self, entries: NDArray[np.integer], solution: Master, used: NDArray[np.bool_], failed: int
    ) -> list[tuple[float, Entry]]:
        """Patterns worth a look at the dual point of a restricted program, with their ratios of value to price, largest first.

        Args:
            entries: the program's patterns and signs, (K, 2).
            solution: of the program.
            used: which of its neurons are, (K,).
            failed: rounds without a find so far: the search then tries harder.

        Returns:
            Pairs of a ratio and an entry; a ratio above 1 is a violated pattern.
        """
        candidates: list[tuple[float, Entry]] = []
        for side in (0, 1):
            ranked = self.violated(solution.dual, side, solution.v[used], 1 + 3 * failed)
            if failed or not ranked or ranked[0][1] <= 1 + VIOLATED:
                own = used & (entries[:, 1] == side)
                ranked += self._flipped(entries[own, 0], (1.0 - 2 * side) * solution.dual)
            candidates += [(ratio, (index, side)) for index, ratio in ranked]
        return sorted(candidates, key=lambda pair: -pair[0])

    def violated(self, dual: Array, side: int, neurons: Array, effort: int) -> list[tuple[int, float]]:
        """Known or new patterns and their ratios for one sign, largest first.

        Args:
            dual: (n,).
            side: 0 or 1 for the output's sign + or -.
            neurons: from which starts are taken, too, (K, r).
            effort: in multiples of REFINED further starts that are followed.
        """
        patterns, target = self.patterns, (1.0 - 2 * side) * dual
        price = patterns.prices(patterns.signs)
        ratio = patterns.lengths_of_projections(slice(None), np.broadcast_to(target, patterns.signs.shape), price) / price
        starts = self._climbed(self._starts(target, neurons), target, effort)
        best: dict[int, float] = {}
        visited: set[bytes] = set()
        for v in starts:
            if monotonic() > self.end:
                break
            best.update(list(self._walk(v, target, visited))[-1:])  # the other cells count as known from the next round on
        for index in np.argsort(-ratio)[: 4 * BATCH]:
            if ratio[index] > 1 + VIOLATED:
                best[int(index)] = max(float(ratio[index]), best.get(int(index), 0.0))
        return sorted(best.items(), key=lambda pair: -pair[1])

    def _flipped(self, indices: NDArray[np.integer], target: Array) -> list[tuple[int, float]]:
        """Violated patterns that differ from given ones in one sample."""
        patterns = self.patterns
        flips = np.flatnonzero(patterns.live)
        options = np.repeat(patterns.signs[indices], len(flips), axis=0)
        options[np.arange(len(options)), np.tile(flips, len(indices))] *= -1
        options = np.unique(options, axis=0)
        options = options[[signs.tobytes() not in patterns.index for signs in options]]
        ratios, neurons, _ = patterns.ratios(options, target, 1.0)
        violated = []
        for k in np.argsort(-ratios, kind="stable")[: 4 * BATCH]:
            if ratios[k] > 1 + VIOLATED and monotonic() <= self.end:
                signs = patterns.shrunk(options[k], neurons[k])
                inside = patterns.inside(signs, neurons[k])
                if inside is not None and (index := patterns.add(signs, inside)) is not None:
                    violated.append((index, float(ratios[k])))
        return violated

    def _starts(self, target: Array, neurons: Array) -> Array:
        """Neurons from which the search sets out, (B, r): random ones, the samples, sums of two that want more, and near given ones.

        The eigenvectors of sum_i target_i u_i u_i' are where the value is largest if kinks are ignored.
        """
        u, random = self.patterns.u, self.random
        vectors = np.linalg.eigh(u.T @ (target[:, None] * u))[1].T
        wanted = np.flatnonzero(target > 0)
        pairs = random.choice(wanted, (STARTS // 4, 2)) if len(wanted) else np.zeros((0, 2), int)
        spread: Array = np.zeros((0, u.shape[1]))
        if len(neurons):
            spread = neurons[random.integers(0, len(neurons), STARTS // 4)]
            spread = spread / np.linalg.norm(spread, axis=1, keepdims=True)
            spread = spread + 0.3 / np.sqrt(u.shape[1]) * random.standard_normal(spread.shape)
        return np.vstack(
            [random.standard_normal((STARTS, u.shape[1])), vectors, -vectors, u, -u, u[pairs].sum(axis=1), spread, neurons]
        )

    def _climbed(self, w: Array, target: Array, effort: int) -> Array:
        """The most valuable neurons of distinct patterns among w (B, r) and what least squares on their patterns, repeated, makes of them.

        On a fixed pattern D, without its cell's walls, the best direction is the least-squares fit of the target by D U v.
        """
        u, rounds = self.patterns.u, []
        outer = (u[:, :, None] * u[:, None, :]).reshape(len(u), -1)
        for _ in range(CLIMBS):
            on = (w @ u.T > 0).astype(float)
            rounds.append(w)
            gram = (on @ outer).reshape(-1, u.shape[1], u.shape[1]) + 1e-9 * np.eye(u.shape[1])
            w = np.linalg.solve(gram, ((on * target) @ u)[..., None])[..., 0]
        every = np.vstack(rounds)
        h = np.maximum(every @ u.T, 0)
        signs = np.where(h > 0, 1, -1).astype(np.int8)
        ratio = h @ target / np.maximum(self.patterns.prices(signs) * np.linalg.norm(h, axis=1), 1e-300)
        order = np.argsort(-ratio, kind="stable")
        _, first = np.unique(signs[order], axis=0, return_index=True)
        first = np.sort(first)
        others = self.random.permutation(first[REFINED:])[: effort * REFINED]
        return every[order[np.concatenate([first[:REFINED], others])]]

    def _walk(self, v: Array, target: Array, visited: set[bytes]) -> Iterator[tuple[int, float]]:
        """From cell to cell across the kinks that the best neuron of the cell lies on, as long as its ratio grows, to cells not visited.

        A multiplier mu_i > 0 of the cell's best neuron says that its value grows when sample i's wall gives way, so a flip of i alone is
        a neighbour worth pricing; a wall without multiplier holds nothing back. Active samples on the kink add to the price and nothing
        to the value: the patterns beside the neuron that see few of them are priced as well. A priced sign vector need not be a cell;
        only one with a neuron inside is stepped to. Ratios grow by a fixed factor each step, so no walk returns to a cell.

        Yields:
            The number of each cell entered, and its ratio.
        """
        patterns = self.patterns
        place = next(iter(patterns.at(v[None])), None)
        if place is None:
            return
        signs, witness = place
        ratio, best, mu = (part[0] for part in patterns.ratios(signs[None], target))
        for _ in range(STEPS):
            if signs.tobytes() in visited or monotonic() > self.end:
                return
            visited.add(signs.tobytes())
            index = patterns.add(signs, witness)
            if index is not None:
                yield index, float(ratio)
            if ratio <= 0:
                return
            flips = np.flatnonzero(mu > 0)
            options = np.repeat(signs[None], len(flips), axis=0)
            options[np.arange(len(flips)), flips] *= -1
            if (patterns.kink(best) & patterns.live & (signs > 0)).any():
                options = np.vstack([*[beside[None] for beside in patterns.beside(best)], options])
            ratios, neurons, multipliers = patterns.ratios(options, target, float(ratio))
            for k in np.argsort(-ratios, kind="stable")[:TRIED]:
                if ratios[k] <= ratio * (1 + 1e-9) or monotonic() > self.end:
                    return
                shrunk = patterns.shrunk(options[k], neurons[k])
                inside = patterns.inside(shrunk, neurons[k])
                if inside is not None:
                    signs, witness, ratio, best, mu = shrunk, inside, ratios[k], neurons[k], multipliers[k]
                    break
            else:
                return
