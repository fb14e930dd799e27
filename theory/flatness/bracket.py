"""Owns what can be said of the flattest network where activation patterns are too many to list: a bracket [lower, upper] of its trace.

Upper.  The cone program of program.py over patterns found so far; its dual point prices all others: is some w with
    s lambda . relu(X w) > c_D ||relu(X w)||? That is no convex question. It is put to local search from many starts, cell to
    neighbouring cell, and what it finds enters the program, until no start finds anything. The network that comes out is checked
    by closed forms; that the search missed nothing is not claimed.

Lower.  `theory.flatness.lower_bounds.relaxed_bound`, proved without listing patterns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.cone_solver import Master, solve_master
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.linear_programs import REWEIGHTED, deepest, fewest, most_inside
from flatproof.theory.flatness.lower_bounds import relaxed_dual, sample_dual
from flatproof.theory.flatness.neurons import Array, Columns, NotRealized, Signs
from flatproof.theory.flatness.patterns import null_space
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.projection import factors, project
from flatproof.theory.flatness.realize import SIM_BN_SCALE, network_of
from flatproof.theory.flatness.setting import ROUNDING, Kinks, Setting
from flatproof.theory.networks import Architecture, Network, forward, trace_lower_bound, trace_of_hessian

STARTS = 256  # starting points of the search for violated patterns, for each sign and round
REFINED = 24  # of the most valuable of them, and of random others, followed from cell to cell; more after a round without a find
BATCH = 60  # violated patterns added at a time
STEPS = 12  # cells that one search walks through at most
PATIENCE = 3  # rounds without a find, each with new random starts, after which the search gives up
VIOLATED = 1e-8  # relative excess over its price at which a pattern counts as violated
KINK = 1e-9  # |u_i . v| up to this, relative to |u_i| |v|, is a kink
CLIMBS = 6  # least-squares steps before that
TRIED = 6  # neighbouring patterns, best first, that are tried for being a cell
IDLE = 2  # rounds after which a pattern that is not needed leaves the program
CLOSED = 1e-8  # relative gap at which the bracket counts as closed
SLACK = 20.0  # first price of slack, relative to the largest price of a sample


@dataclass(frozen=True)
class Round:
    """One round: the restricted program's value (infinite while it does not fit the labels), the largest ratio of value to price that
    the search then found (1 or less: no violated pattern), and the number of patterns in the program.
    """

    upper: float
    ratio: float
    patterns: int


@dataclass(frozen=True)
class Bracket:
    """lower_bound <= smallest trace of an interpolating network <= upper.

    Attributes:
        setting: the problem: the data, the class of networks, the notion at kinks.
        upper: trace of the Hessian at `network`, by the closed form.
        lower_bound: dual . y, proved (see the module).
        network: an interpolating network without a sample on a kink (of the notion).
        dual: the point (n,) behind the lower bound.
        history: one entry a round.
        exhausted: whether the search ended because it found nothing more, not because time or rounds were up.
    """

    setting: Setting
    upper: float
    lower_bound: float
    network: Network
    dual: Array = field(repr=False)
    history: tuple[Round, ...] = field(repr=False)
    exhausted: bool

    @property
    def architecture(self) -> Architecture:
        """The class of networks."""
        return self.setting.architecture

    @property
    def kinks(self) -> Kinks:
        """The notion at kinks."""
        return self.setting.kinks

    @property
    def x(self) -> Array:
        """Inputs, (n, d)."""
        return self.setting.x

    @property
    def y(self) -> Array:
        """Labels, (n,)."""
        return self.setting.y

    @property
    def gap(self) -> float:
        """(upper - lower_bound) / upper; 0 for the zero network."""
        return (self.upper - self.lower_bound) / self.upper if self.upper > 0 else 0.0


def bracket(
    x: ArrayLike,
    y: ArrayLike,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    seed: int = 0,
    rounds: int = 40,
    seconds: float | None = None,
    start: Sequence[Network] = (),
) -> Bracket:
    """A bracket of the flattest trace that needs no list of patterns.

    Args:
        x: inputs, (n, d). y: real labels, (n,). architecture, kinks: as in theory.flattest.
        seed: of the search's random starts.
        rounds: at most this many, more only while the labels are not fitted. The result is a function of the arguments,
        seconds: unless this is given: the search ends soon after that time.
        start: networks of the architecture on R^d whose neurons' patterns enter the first program: if one interpolates, `upper` is not
            above its trace.

    Errors: theory.Infeasible if no network of the class fits the labels; NotRealized if none was found or double precision cannot
    hold one; ValueError for NaN, shapes, unknown names.
    """
    setting = Setting.of(x, y, architecture, kinks)
    d = setting.x.shape[1]
    for network in start:
        if network.architecture != setting.architecture or network.w1.shape[1] != d:
            raise ValueError(f"start must hold {setting.architecture!r} networks on R^{d}, got {network.architecture!r}")
    check_feasible(setting)
    if not setting.y.any():
        return Bracket(setting, 0.0, 0.0, setting.zero_network(), np.zeros(len(setting.y)), (), True)
    end = np.inf if seconds is None else monotonic() + seconds
    bound, dual = relaxed_dual(setting)
    search = _Search(setting, seed, end)
    network, history, exhausted = search.run(rounds, start, bound)
    best = min([network, *search.as_they_are(start)], key=lambda candidate: trace_of_hessian(candidate, setting.x))
    upper = trace_of_hessian(best, setting.x)
    if bound > (1 - ROUNDING) * upper:
        dual, bound = dual * ((1 - ROUNDING) * upper / bound), (1 - ROUNDING) * upper
    return Bracket(setting, upper, bound, best, dual, history, exhausted)


class _Search:
    """The restricted program of one data set and the search for patterns that it lacks."""

    def __init__(self, setting: Setting, seed: int, end: float):
        self.setting, self.end = setting, end
        kind, points, y = setting.architecture, setting.x, setting.y
        self.u = setting.coordinates.u
        self.lengths = np.linalg.norm(self.u, axis=1)
        self.live = self.lengths > 0
        self.top = setting.top
        self.y = y / self.top
        self.size = trace_lower_bound(kind, points, self.y)  # unit of prices: with it the program's value is a few
        self.first = sample_dual(kind, points, self.y) / self.size
        self.random = np.random.default_rng(np.random.SeedSequence([seed, 2]))
        self.known: dict[bytes, int] = {}
        self.signs: Signs = np.zeros((0, len(y)), np.int8)
        self.witnesses: Array = np.zeros((0, self.u.shape[1]))
        self.factors: Array = np.zeros((0, self.u.shape[1], self.u.shape[1]))
        self.flats: dict[bytes, Array] = {}
        self.whole = bool((points == np.round(points)).all() and np.abs(points).max() < 2**10)

    def run(self, rounds: int, start: Sequence[Network], bound: float) -> tuple[Network, tuple[Round, ...], bool]:
        """The network of the best restricted program; what happened; whether the search ended by itself."""
        n = len(self.y)
        first = [index for network in start for index in self._patterns_of(network)]
        for k, (signs, inside) in enumerate(self._at(self.random.standard_normal((n, self.u.shape[1])))):
            index = self._add(signs, inside)
            first += [] if index is None else [(index, k % 2)]
        for i in np.flatnonzero(self.live & (self.y != 0)):  # patterns of one sample, where there are such
            alone = np.where(np.arange(n) == i, 1, -1).astype(np.int8)
            cap = self._inside(alone, self.u[i])
            index = None if cap is None else self._add(alone, cap)
            first += [] if index is None else [(index, int(self.y[i] < 0))]
        for side in (0, 1):
            violated = self._violated(self.first, side, np.zeros((0, self.u.shape[1])), 1)
            first += [(index, side) for index, _ in violated[: BATCH // 2]]
        active = dict.fromkeys(first, 0)
        box, failed, exhausted = SLACK * float(np.abs(self.first).max()), 0, False
        history: list[Round] = []
        best: tuple[float, NDArray[np.integer]] | None = None
        while best is None or len(history) < rounds:
            entries = np.array(list(active))
            solution = self._master(entries, box)
            fits = solution.slack <= 1e-9
            value = float(solution.dual @ self.y)
            if fits and (best is None or value < best[0]):
                best = value, np.unique(entries[:, 0])
            if best is not None and best[0] * self.size * self.top <= bound * (1 + CLOSED):
                history.append(Round(best[0] * self.size * self.top, 1.0, len(active)))
                exhausted = True
                break
            used = solution.lengths > 1e-7 * max(solution.lengths.max(), 1e-300)
            found = self._priced(entries, solution, used, failed)
            largest = max([ratio for ratio, _ in found], default=0.0)
            new = [entry for ratio, entry in found if ratio > 1 + VIOLATED and entry not in active]
            history.append(Round(value * self.size * self.top if fits else np.inf, largest, len(active)))
            if new:
                failed = 0
            else:
                if not fits:
                    box *= 1e3
                failed += 1
                if failed >= PATIENCE + 3 * (not fits):
                    exhausted = fits
                    break
            if monotonic() > self.end and best is not None:
                break
            active = self._pruned(active, used, solution.dual, entries)
            active |= dict.fromkeys(new[:BATCH], 0)
        if best is None:
            raise NotRealized(
                f"no interpolating network was found in {len(history)} rounds: give it more, or a network to start from"
            )
        network = self._network(best[1])
        return network, tuple(history), exhausted

    def as_they_are(self, networks: Sequence[Network]) -> Iterator[Network]:
        """Those of the networks that interpolate and have no sample on a kink, each neuron rescaled to be flattest."""
        points, labels = self.setting.points, self.setting.y
        for network in networks:
            z = points @ network.weights.T
            if self.setting.differentiable and (z[points.any(axis=1)] == 0).any():
                continue
            scaled = _balanced(network, points)
            if np.abs(forward(scaled, self.setting.x) - labels).max() <= 1e-9 * self.top:
                yield scaled

    # ------------------------------------------------------------------------------------------------- the restricted program

    def _prices(self, signs: Signs) -> Array:
        return prices(self.setting.architecture, self.setting.points, signs) / self.size

    def _master(self, entries: NDArray[np.integer], box: float) -> Master:
        signs = self.signs[entries[:, 0]]
        return solve_master(self.u, self.y, signs, 1.0 - 2 * entries[:, 1], self._prices(signs), box)

    def _network(self, chosen: NDArray[np.integer]) -> Network:
        """The flattest network over some patterns, at full accuracy."""
        program = Program(self.setting, self.signs[chosen])
        _, bound, binding, in_use, of_any_length = program.solve()
        choices = (self._onto_kinks(binding), binding, in_use, in_use + binding, of_any_length)
        return network_of(self.setting, choices, self._rays(), self.flats, bound)

    def _onto_kinks(self, columns: Columns) -> Columns:
        """The same neurons, exactly on the kinks that they are on but for rounding in directions that their samples hardly see."""
        v = columns.v.copy()
        for k, signs in enumerate(columns.signs):
            z = self.u @ v[k]
            near = np.abs(z) <= 1e-5 * self.lengths * np.linalg.norm(v[k])
            rows = np.flatnonzero(near | (signs > 0))
            for _ in range(2):
                change = np.where(near[rows], -(self.u[rows] @ v[k]), z[rows] - self.u[rows] @ v[k])
                v[k] += np.linalg.lstsq(self.u[rows], change, rcond=1e-9)[0]
        return replace(columns, v=v)

    def _rays(self) -> Columns:
        """All witnesses, with either sign, as columns of length 1."""
        length = np.linalg.norm((self.signs > 0) * (self.witnesses @ self.u.T), axis=1)
        seen = length > 0
        unit, signs = self.witnesses[seen] / length[seen, None], self.signs[seen]
        sides, price = np.repeat([1.0, -1.0], len(unit)), self._prices(signs) * self.size
        return Columns(np.vstack([signs] * 2), sides, np.vstack([unit] * 2), np.concatenate([price] * 2))

    def _pruned(
        self, active: dict[tuple[int, int], int], used: NDArray[np.bool_], dual: Array, entries: NDArray[np.integer]
    ) -> dict[tuple[int, int], int]:
        """Without patterns that were neither used nor nearly worth their price for a while."""
        index, side = entries.T
        targets = (1.0 - 2 * side)[:, None] * dual
        length = project(self.u, self.signs[index], targets, factor=self.factors[index])[2]
        ratio = np.where(used, np.inf, length / self._prices(self.signs[index]))
        kept = {}
        for rank, k in enumerate(np.argsort(-ratio, kind="stable")):
            entry = (int(index[k]), int(side[k]))
            age = active[entry] + 1 if ratio[k] < 0.999 else 0
            if age < IDLE or rank < len(dual):
                kept[entry] = age
        return kept

    # ------------------------------------------------------------------------------------------------------------- the search

    def _priced(
        self, entries: NDArray[np.integer], solution: Master, used: NDArray[np.bool_], failed: int
    ) -> list[tuple[float, tuple[int, int]]]:
        """Patterns with either sign and their ratios, largest first; the search tries harder after rounds without a find."""
        found: list[tuple[float, tuple[int, int]]] = []
        for side in (0, 1):
            some = self._violated(solution.dual, side, solution.v[used], 1 + 3 * failed)
            if failed or not some or some[0][1] <= 1 + VIOLATED:
                own = used & (entries[:, 1] == side)
                some += self._beside(entries[own, 0], (1.0 - 2 * side) * solution.dual)
            found += [(ratio, (index, side)) for index, ratio in some]
        return sorted(found, key=lambda pair: -pair[0])

    def _violated(self, dual: Array, side: int, neurons: Array, effort: int) -> list[tuple[int, float]]:
        """Known or new patterns and their ratios of value to price for sign `side`, largest first."""
        target = (1.0 - 2 * side) * dual
        price = self._prices(self.signs)
        length = project(self.u, self.signs, np.broadcast_to(target, self.signs.shape), enough=price, factor=self.factors)[2]
        ratio = length / price
        starts = self._climbed(self._starts(target, neurons), target, effort)
        found: dict[int, float] = {}
        visited: set[bytes] = set()
        for v in starts:
            if monotonic() > self.end:
                break
            found.update(list(self._walk(v, target, visited))[-1:])  # the other cells count as known from the next round on
        for index in np.argsort(-ratio)[: 4 * BATCH]:
            if ratio[index] > 1 + VIOLATED:
                found[int(index)] = max(float(ratio[index]), found.get(int(index), 0.0))
        return sorted(found.items(), key=lambda pair: -pair[1])

    def _beside(self, indices: NDArray[np.integer], target: Array) -> list[tuple[int, float]]:
        """Violated patterns that differ from given ones in one sample."""
        flips = np.flatnonzero(self.live)
        options = np.repeat(self.signs[indices], len(flips), axis=0)
        options[np.arange(len(options)), np.tile(flips, len(indices))] *= -1
        options = np.unique(options, axis=0)
        options = options[[signs.tobytes() not in self.known for signs in options]]
        ratios, neurons, _ = self._ratios(options, target, 1.0)
        found = []
        for k in np.argsort(-ratios, kind="stable")[: 4 * BATCH]:
            if ratios[k] > 1 + VIOLATED:
                signs = self._shrunk(options[k], neurons[k])
                inside = self._inside(signs, neurons[k])
                if inside is not None and (index := self._add(signs, inside)) is not None:
                    found.append((index, float(ratios[k])))
        return found

    def _ratios(self, signs: Signs, target: Array, enough: float = -1.0) -> tuple[Array, Array, Array]:
        """Value over price of each pattern, its best neuron and the multipliers of its constraints.

        Where a bound shows at once that the ratio is at most `enough`, the bound stands for it, and zeros for the others.
        """
        if not len(signs):
            return np.zeros(0), np.zeros((0, self.u.shape[1])), np.zeros((0, len(target)))
        price = np.maximum(self._prices(signs), 1e-300)
        v, mu, length = project(self.u, signs, np.broadcast_to(target, signs.shape), enough=enough * price)
        return length / price, v, mu

    def _starts(self, target: Array, neurons: Array) -> Array:
        """Neurons from which the search sets out, (B, r)."""
        u, random = self.u, self.random
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
        """The most valuable neurons of distinct patterns among w and what least squares on their patterns, repeated, makes of them."""
        u, found = self.u, []
        outer = (u[:, :, None] * u[:, None, :]).reshape(len(u), -1)
        for _ in range(CLIMBS):
            on = (w @ u.T > 0).astype(float)
            found.append(w)
            gram = (on @ outer).reshape(-1, u.shape[1], u.shape[1]) + 1e-9 * np.eye(u.shape[1])
            w = np.linalg.solve(gram, ((on * target) @ u)[..., None])[..., 0]
        every = np.vstack(found)
        h = np.maximum(every @ u.T, 0)
        signs = np.where(h > 0, 1, -1).astype(np.int8)
        ratio = h @ target / np.maximum(self._prices(signs) * np.linalg.norm(h, axis=1), 1e-300)
        order = np.argsort(-ratio, kind="stable")
        _, first = np.unique(signs[order], axis=0, return_index=True)
        first = np.sort(first)
        others = self.random.permutation(first[REFINED:])[: effort * REFINED]
        return every[order[np.concatenate([first[:REFINED], others])]]

    def _walk(self, v: Array, target: Array, visited: set[bytes]) -> Iterator[tuple[int, float]]:
        """From cell to cell across the kinks that the best neuron of the cell lies on, as long as its ratio grows, to cells not visited."""
        place = next(iter(self._at(v[None])), None)
        if place is None:
            return
        signs, witness = place
        ratio, best, mu = (part[0] for part in self._ratios(signs[None], target))
        for _ in range(STEPS):
            if signs.tobytes() in visited:
                return
            visited.add(signs.tobytes())
            index = self._add(signs, witness)
            if index is not None:
                yield index, float(ratio)
            if ratio <= 0:
                return
            z = self.u @ best
            kink = (np.abs(z) <= KINK * self.lengths * np.linalg.norm(best)) & self.live
            flips = np.flatnonzero(mu > 0)
            options = np.repeat(signs[None], len(flips), axis=0)
            options[np.arange(len(flips)), flips] *= -1
            if (kink & (signs > 0)).any():
                options = np.vstack([*[leave[None] for leave in self._left(best)], options])
            ratios, neurons, multipliers = self._ratios(options, target, float(ratio))
            for k in np.argsort(-ratios, kind="stable")[:TRIED]:
                if ratios[k] <= ratio * (1 + 1e-9):
                    return
                beside = self._shrunk(options[k], neurons[k])
                inside = self._inside(beside, neurons[k])
                if inside is not None:
                    signs, witness, ratio, best, mu = beside, inside, ratios[k], neurons[k], multipliers[k]
                    break
            else:
                return

    # -------------------------------------------------------------------------------------------------------------- the cells

    def _patterns_of(self, network: Network) -> Iterator[tuple[int, int]]:
        """Patterns and signs of a network's neurons; beside a kink, those with few samples more."""
        weights = network.w2 if network.gamma is None else network.w2 * network.gamma
        v = self.setting.coordinates.neurons(network.weights.astype(float))
        for w, row, weight in zip(network.weights.astype(float), v, weights, strict=True):
            z = self.setting.points @ w
            if not weight or not (z > 0).any():
                continue
            exact = np.where(z > 0, 1, -1).astype(np.int8)
            places = [(exact, row)] if (z[self.live] != 0).all() else []
            if not places:
                places = [(s, inside) for s in self._left(row) if (inside := self._inside(s, row)) is not None]
            for signs, witness in places:
                index = self._add(signs, witness)
                if index is not None:
                    yield index, int(weight < 0)

    def _at(self, v: Array) -> Iterator[tuple[Signs, Array]]:
        """Cells (signs and a neuron inside) that given neurons are in, or beside."""
        for row in v:
            z = self.u @ row
            kink = (np.abs(z) <= KINK * self.lengths * np.linalg.norm(row)) & self.live
            if not kink.any():
                yield np.where(z > 0, 1, -1).astype(np.int8), row
                continue
            for signs in self._left(row):
                inside = self._inside(signs, row)
                if inside is not None:
                    yield signs, inside
                    break

    def _left(self, v: Array) -> list[Signs]:
        """Signs beside v, with as few of the samples on its kink active as are found: none if a neuron nearby does so."""
        z = self.u @ v
        kink = (np.abs(z) <= KINK * self.lengths * np.linalg.norm(v)) & self.live
        signs = np.where((z > 0) & ~kink, 1, -1).astype(np.int8)
        if self._inside(signs, v) is not None:
            return [signs]
        rows = self.u[kink] / self.lengths[kink, None]
        few, weight = None, np.ones(len(rows))
        found = []
        for _ in range(REWEIGHTED):
            delta = fewest(rows, weight)[0]
            above = rows @ delta
            if few is None or (above > 0).sum() < few:
                few = int((above > 0).sum())
                beside = signs.copy()
                beside[kink] = np.where(above > 0, 1, -1)
                found.append(beside)
            weight = 1 / (np.maximum(above + 1, 0) + 0.1)
        return found[::-1]

    def _shrunk(self, signs: Signs, v: Array) -> Signs:
        """The signs, those of samples on the kink of v off where the notion and the data allow neurons to stay there."""
        if self.setting.differentiable or not self.whole:
            return signs
        kink = np.abs(self.u @ v) <= KINK * self.lengths * np.linalg.norm(v)
        return np.where(kink, -1, signs).astype(np.int8)

    def _inside(self, signs: Signs, v: Array) -> Array | None:
        """A neuron inside the cell of these signs, near v if v is in its closure, on kinks where it may stay; None if none is found."""
        z = signs * (self.u @ v)
        kink = (np.abs(z) <= KINK * self.lengths * np.linalg.norm(v)) & self.live
        rows = signs[:, None] * self.u / np.where(self.live, self.lengths, 1)[:, None]
        if (z[self.live & ~kink] <= 0).any():  # where few samples are active, v is not known well off them
            v = deepest(rows[self.live], np.zeros(int(self.live.sum())))
            return v if (rows[self.live] @ v).min() > 1e-6 else self._on_flat(signs)
        if not kink.any():
            return v
        delta = np.linalg.lstsq(rows[kink], np.ones(int(kink.sum())), rcond=1e-9)[0]
        if (rows[kink] @ delta).min() < 0.1:
            delta = deepest(rows[kink], np.zeros(int(kink.sum())))
        if (rows[kink] @ delta).min() <= 1e-6:
            return self._on_flat(signs)
        change = signs * (self.u @ delta)
        limits = np.where((change < 0) & self.live, z / np.where(change < 0, -change, 1), np.inf)
        return v + 0.5 * min(float(limits[~kink].min(initial=np.inf)), float(np.linalg.norm(v) / np.linalg.norm(delta))) * delta

    def _on_flat(self, signs: Signs) -> Array | None:
        """A neuron active on just these samples, as many of the others as can be off its kink: relu'(0) = 0 lets it stay on the rest.

        Only for points in whole numbers small enough that products vanish exactly.
        """
        if self.setting.differentiable or not self.whole:
            return None
        rows = (signs[:, None] * self.u / np.where(self.live, self.lengths, 1)[:, None])[self.live]
        solution = most_inside(rows)
        if solution is None or (solution[1][signs[self.live] > 0] < 0.5).any():
            return None
        kink = np.zeros(len(signs), bool)
        kink[self.live] = solution[1] < 0.5
        if kink.any():
            flat = null_space(self.setting.points[kink])
            if np.abs(flat).max(initial=0) >= 2**10:
                return None
            self.flats[signs.tobytes()] = flat
        return solution[0]

    def _add(self, signs: Signs, witness: Array) -> int | None:
        """The number of a pattern, known or new; None without a sample on its positive side."""
        key = signs.tobytes()
        if key not in self.known:
            if not (signs > 0).any():
                return None
            self.known[key] = len(self.signs)
            self.signs = np.vstack([self.signs, signs])
            self.witnesses = np.vstack([self.witnesses, witness / np.linalg.norm(witness)])
            self.factors = np.concatenate([self.factors, factors(self.u, signs[None])])
        return self.known[key]


def _balanced(network: Network, points: Array) -> Network:
    """The same function on the points with each neuron split between the layers so that it is flattest; its dead neurons are left out."""
    h = np.maximum(points @ network.weights.T, 0)
    length = np.linalg.norm(h, axis=0)
    alive = (length > 0) & (network.w2 != 0) & ((network.gamma if network.gamma is not None else network.w2) != 0)
    if not alive.any():
        return network
    h, length, w1, w2 = h[:, alive], length[alive], network.w1[alive], network.w2[alive]
    b1 = None if network.b1 is None else network.b1[alive]
    if network.gamma is not None and b1 is not None:
        root = np.sqrt(np.abs(w2 * network.gamma[alive]))
        scale = SIM_BN_SCALE * np.abs(points).max() * np.sqrt(len(points)) / length
        sign = np.sign(w2 * network.gamma[alive])
        return replace(network, w1=w1 * scale[:, None], b1=b1 * scale, w2=sign * root, gamma=root)
    # a^2 t = ||D X w||^2, the product a w given
    root = np.sqrt(np.sqrt((h > 0).T @ np.sum(points**2, axis=1)) * np.abs(w2) / length)
    return replace(network, w1=w1 * root[:, None], b1=None if b1 is None else b1 * root, w2=w2 / root)
