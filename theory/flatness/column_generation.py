"""Owns pattern generation: the cone program over thousands of patterns, solved over the few that matter.

Solve over some patterns (cone_solver.py), project the dual point on what every pattern can produce (projection.py), add the most
violated, no two near each other, until none is. Dividing the dual point by the largest ratio length / price that is left makes it
feasible for all patterns: a lower bound that does not rest on the solver's accuracy.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq
from threadpoolctl import threadpool_limits

from flatproof.theory.flatness.cone_solver import Master, solve_master
from flatproof.theory.flatness.interior_point import NULLS, InteriorPoint
from flatproof.theory.flatness.neurons import Array, Columns, NotRealized, OutOfTime, Signs
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.projection import factors, lengths, project
from flatproof.theory.flatness.setting import Setting

FIRST, BATCH = 60, 30  # patterns in the first program, and violated ones added at a time: or twice as many as there are points
NEAR, LOOKED_AT = 2, 20  # samples in which patterns added together differ more; among how many times as many they are looked for
ROUNDS = 200
NEWTON = 3
MANY, FLAT = 32, 3  # more points than that, in a space of at most so many dimensions: by interior_point.py, if it can be
LARGE = 200  # rows from which least squares are solved by QR, which is faster, instead of by singular values
TIGHT = 1e-6  # a pattern is binding when the dual point uses its price up to this relative amount
DOUBTFUL = 1e-4  # of a price, by which a dual point of interior_point.py exceeds it where more care is taken
USED = 1e-6  # a neuron of the interior-point solution is in use if it is this long, relative to the longest
FITS = 1e-6  # what a solution may miss of labels of size 1
SHORTEST = 1e-14  # shorter ones have no direction
OUTSIDE = 1e-4  # how far beyond a wall, as a sine, a neuron may lie: very short ones are noise and lie anywhere
BOX, DEARER = 3.0, 10.0  # first price of slack, in units where points and labels are at most 1, and by how much it rises


class Program:
    """The convex program of one data set over given patterns (M, n) in {-1, 1}, each with some point on its positive side.

    Their walls (walls.py) are the only constraints, if they are given.

    Attributes:
        complete: False once `solve` ended since its time was up, with violated patterns left.
    """

    def __init__(self, setting: Setting, signs: Signs, walls: NDArray[np.int64] | None = None):
        architecture, y = setting.architecture, setting.y
        self.u, self.signs, self.walls = setting.coordinates.u, signs, walls
        self.top = setting.top or 1.0
        self.y = y / self.top
        largest = 1.0 if architecture == "sim-bn" else float(np.abs(setting.points).max()) or 1.0
        points = setting.points / largest
        # in units of the per-sample bound (equation 3 of wen2023), so that the value is a few whatever the sizes of the points
        lengths = np.linalg.norm(points, axis=1) if architecture != "sim-bn" else np.ones(len(y))
        unit = 4 / len(y) * float(lengths @ np.abs(self.y)) or 1.0
        self.size = largest * unit
        self.prices = prices(architecture, points, signs) / unit
        self.factors = factors(self.u, signs)
        self.per_sample = 4 / len(y) * lengths * np.sign(self.y) / unit  # that bound's dual point
        self.start = self.per_sample * (1 + 0.01 * np.abs(self.y))
        self.complete = True

    def price_ratios(self, dual: Array, enough: float | None) -> Array:
        """How much of each pattern's price a dual point uses up.

        Args:
            dual: (n,).
            enough: ratios up to this may be overestimated, not above it; None for exact ones.

        Returns:
            Length of the projection of +-dual over the price, (2, M).
        """
        bound = None if enough is None else enough * self.prices
        return lengths(self.u, self.signs, dual, bound, self.factors, self.walls) / self.prices

    def project(self, chosen: NDArray[np.integer], targets: Array) -> tuple[Array, Array, Array]:
        """`project` of targets (K, n) on chosen patterns."""
        walls = None if self.walls is None else self.walls[chosen]
        return project(self.u, self.signs[chosen], targets, factor=self.factors[chosen], walls=walls)

    def solve(
        self, note: Callable[[str], None] = lambda _: None, inner: Array | None = None, end: float = np.inf
    ) -> tuple[Array, float, Columns, Columns, Columns, Array]:
        """The dual point (n,), the lower bound on the trace, neurons: binding, in use, of any length; in the data's units;
        and how long the last are where labels are at most 1.

        Args:
            note: is told of every round, in words.
            inner: a neuron inside each cell, (M, r), where cells and their walls are known.
            end: the time (of `monotonic`) after which rounds end with what they have, once that fits the labels.
        """
        with threadpool_limits(1):  # threads that wait for each other over small systems cost more than they save
            return self._solve(note, inner, end)

    def _solve(
        self, note: Callable[[str], None], inner: Array | None, end: float
    ) -> tuple[Array, float, Columns, Columns, Columns, Array]:
        if inner is not None and self.walls is not None and not by_generation(*self.u.shape):
            note(f"solving over {2 * len(self.signs):,} neurons")
            whole: tuple[NDArray[np.bool_], Master, tuple[float, Array]] | None = None
            for null in NULLS:
                interior = InteriorPoint(self, inner, null).solve()
                if interior is None:
                    break
                dual = interior.solution.dual
                excess = max(1.0, float(self.price_ratios(dual, enough=1 - TIGHT).max()))
                bound = float(dual @ self.y) / excess
                if whole is None or bound > whole[2][0]:
                    whole = interior.active, interior.solution, (bound, dual / excess)
                if excess < 1 + DOUBTFUL:
                    break
            if whole is not None:
                return self._solved(*whole)
        active, solution, best = self._by_rounds(note, end)
        return self._solved(active, solution, best)

    def _by_rounds(
        self, note: Callable[[str], None], end: float = np.inf
    ) -> tuple[NDArray[np.bool_], Master, tuple[float, Array]]:
        """Pattern generation: what is in the last program, its solution, and the best bound with its dual point."""
        dual, best, box = self.start, (-np.inf, self.start), BOX
        active = np.zeros((2, len(self.signs)), bool)
        solution: Master | None = None
        nearest: tuple[float, Master | None] = (np.inf, None)  # of all solutions over the same neurons
        for round in range(ROUNDS):
            ratio = self.price_ratios(dual, enough=None if round == 0 else 1 - TIGHT)
            excess = max(1.0, float(ratio.max()))
            bound = float(dual @ self.y) / excess
            if round > 0 and bound > best[0]:
                best = (bound, dual / excess)
            wanted = ~active & ((ratio > 1 + 1e-10) | (round == 0))
            new = self._spread(np.where(wanted, ratio, -np.inf), max(FIRST if round == 0 else BATCH, 2 * len(self.y)))
            if solution is not None and (not len(new) or excess < 1 + 1e-9):
                if solution.slack <= 1e-9 or (nearest[0] <= FITS and solution is not nearest[1]):
                    break  # the latter: a higher price of slack has brought nothing but rounding
                box *= DEARER
            elif solution is not None and solution.slack <= 1e-9 and monotonic() > end:
                self.complete = False
                break
            grown = active.copy()
            grown.flat[new] = True
            if len(new):
                nearest = (np.inf, None)
            found = f"; trace at least {best[0] * self.size * self.top:.6g}" if best[0] > 0 else ""
            note(f"solving over {int(grown.sum()):,} of {active.size:,} neurons, round {round + 1}{found}")
            try:
                solution, active = self._master(grown, box, end), grown
            except OutOfTime:
                if solution is None or solution.slack > 1e-9:
                    raise
                self.complete = False
                break
            dual, missing = solution.dual, self._missing(active, solution)
            if missing <= nearest[0]:
                nearest = missing, solution
        if solution is not None and nearest[0] <= FITS < self._missing(active, solution):
            solution = nearest[1]
        if solution is None or solution.slack > FITS:
            raise NotRealized("the cone program was not solved: points are too nearly dependent")
        return active, solution, best

    def _missing(self, active: NDArray[np.bool_], solution: Master) -> float:
        """What the neurons of a solution miss of the labels, at most: slack, and what the solver's accuracy makes of it."""
        side, pattern = np.nonzero(active)
        outputs = (1.0 - 2 * side)[:, None] * (self.signs[pattern] > 0) * (solution.v @ self.u.T)
        return float(np.abs(self.y - outputs.sum(axis=0)).max())

    def _spread(self, ratio: Array, count: int) -> NDArray[np.intp]:
        """Of the patterns with the largest ratios (2, M), flat, each that is not NEAR one with a larger ratio: at most `count`."""
        order = np.argsort(-ratio, axis=None)[: min(LOOKED_AT * count, int(np.sum(ratio > -np.inf)))]
        side, pattern = np.divmod(order, len(self.signs))
        signs = self.signs[pattern].astype(np.float32)
        left, chosen = np.ones(len(order), bool), []
        for k in range(len(order)):
            if left[k]:
                chosen.append(order[k])
                if len(chosen) == count:
                    break
                left &= (signs @ signs[k] < len(self.y) - 2 * NEAR) | (side != side[k])
        return np.array(chosen, np.intp)

    def _solved(
        self, active: NDArray[np.bool_], solution: Master, best: tuple[float, Array]
    ) -> tuple[Array, float, Columns, Columns, Columns, Array]:
        """What `solve` returns, of a solution over some patterns and the best bound so far with its dual point."""
        for dual in chain([self.per_sample], self._polished(active, solution)) if self.complete else ():
            excess = max(1.0, float(self.price_ratios(dual, enough=1 - TIGHT).max()))
            if float(dual @ self.y) / excess > best[0]:
                best = (float(dual @ self.y) / excess, dual / excess)
                if excess < 1 + 1e-11:
                    break
        bound, dual = best
        (in_use, _), (of_any_length, lengths) = (self._in_use(active, solution, least) for least in (USED, SHORTEST))
        return dual * self.size, bound * self.size * self.top, self._binding(dual), in_use, of_any_length, lengths

    def _master(self, active: NDArray[np.bool_], box: float, end: float) -> Master:
        side, pattern = np.nonzero(active)
        walls = None if self.walls is None else self.walls[pattern]
        return solve_master(self.u, self.y, self.signs[pattern], 1.0 - 2 * side, self.prices[pattern], box, walls, end)

    def _polished(self, active: NDArray[np.bool_], solution: Master) -> Iterator[Array]:
        """Dual points after Newton steps on the optimality conditions, the patterns in use and their tight constraints held fixed.

        With Pi_k the projection on {D_k U v : v . u_i = 0 for i tight}: (sum_k beta_k Pi_k) lambda = y and |Pi_k lambda| = c_k.
        The interior-point solution is within 1e-6 of a root, where Newton's method doubles the digits; steps of least norm serve
        where roots are not isolated. Which patterns are in use is a guess, so several thresholds are tried.
        """
        side, pattern = np.nonzero(active)
        for threshold in (1e-6, 1e-4, 1e-5, 1e-3):
            used = solution.lengths > threshold * solution.lengths.max()
            sides, chosen = 1.0 - 2 * side[used], pattern[used]
            signs, price, beta = self.signs[chosen], self.prices[chosen], solution.lengths[used] / self.prices[chosen]
            dual, n = solution.dual, len(self.y)
            _, mu, _ = self.project(chosen, sides[:, None] * dual)
            bases = np.array([_basis(self.u, on, tight) for on, tight in zip(signs > 0, mu > 1e-7, strict=True)])
            for _ in range(NEWTON):
                images = (bases @ (dual @ bases)[:, :, None])[:, :, 0]
                residual = np.concatenate([beta @ images - self.y, (images @ dual - price**2) / 2])
                weighted = np.tensordot(beta[:, None, None] * bases, bases, ((0, 2), (0, 2)))
                jacobian = np.block([[weighted, images.T], [images, np.zeros((len(beta), len(beta)))]])
                step = _least(jacobian, -residual)
                dual, beta = dual + step[:n], beta + step[n:]
            yield dual

    def _binding(self, dual: Array) -> Columns:
        """The patterns whose price the dual point uses up, each with its one neuron direction: the projection of the dual point."""
        side, pattern = np.nonzero(self.price_ratios(dual, enough=1 - TIGHT) >= 1 - TIGHT)
        sides, signs = 1.0 - 2 * side, self.signs[pattern]
        v, mu, _ = self.project(pattern, sides[:, None] * dual)
        kept = np.ones(len(pattern), bool)
        for k, (on, tight) in enumerate(zip(signs > 0, mu > 1e-7, strict=True)):  # v is good to 1e-10; its image is to rounding
            basis = _basis(self.u, on, tight)
            image = sides[k] * (basis @ (dual @ basis))
            active, length = on[:, None] * self.u, np.linalg.norm(image)
            kept[k] = length > 0  # where points nearly coincide, a ratio may be no more than a bound
            v[k] += np.linalg.lstsq(active, image - active @ v[k], rcond=1e-9)[0]
            v[k] = seen(self.u, signs[k], v[k] / (length or 1))
        return Columns(signs, sides, v, self.prices[pattern] * self.size).take(np.flatnonzero(kept))

    def _in_use(self, active: NDArray[np.bool_], solution: Master, least: float) -> tuple[Columns, Array]:
        """The neurons of the program's own solution: nearly the same, needed where the dual point is not unique to rounding.

        Long neurons that nearly cancel are corrected by ones as short as what the solver leaves of unused ones: a small `least`
        keeps these.
        """
        side, pattern = np.nonzero(active)
        z, sizes = solution.v @ self.u.T, np.linalg.norm(self.u, axis=1) * np.linalg.norm(solution.v, axis=1)[:, None]
        length = np.linalg.norm((self.signs[pattern] > 0) * z, axis=1)
        used = (length > least * length.max()) & (self.signs[pattern] * z >= -OUTSIDE * sizes).all(axis=1)
        pattern, signs, v = pattern[used], self.signs[pattern[used]], solution.v[used] / length[used, None]
        on = (signs > 0).astype(float)
        grams = np.einsum("ki,ia,ib->kab", on, self.u, self.u, optimize=True)
        for k in np.flatnonzero(np.linalg.eigvalsh(grams)[:, 0] < 1e-12):  # all others have directions that active points see
            v[k] = seen(self.u, signs[k], v[k])
        return Columns(signs, 1.0 - 2 * side[used], v, self.prices[pattern] * self.size), length[used]

    def rays(self, v: Array) -> Columns:
        """Given neurons v (M, r), one a pattern, as columns of length 1 and either sign."""
        length = np.linalg.norm((self.signs > 0) * (v @ self.u.T), axis=1)
        both = np.concatenate([np.ones(len(v)), -np.ones(len(v))])
        unit, price = v / length[:, None], self.prices * self.size
        return Columns(np.vstack([self.signs] * 2), both, np.vstack([unit] * 2), np.concatenate([price] * 2))


def by_generation(n: int, r: int) -> bool:
    """Whether cells of n points of rank r are solved over by pattern generation, and not all at once."""
    return n <= MANY or r > FLAT


def seen(u: Array, signs: Signs, v: Array) -> Array:
    """v with no more of the directions that its active points do not see than keeps the others inactive: solvers leave any amount."""
    _, s, vt = np.linalg.svd((signs > 0)[:, None] * u)
    rest = vt[: int(np.sum(s > 1e-9))]
    rest = rest.T @ (rest @ v)
    off = u[signs <= 0]
    needed, given = off @ rest, off @ (rest - v)
    share = np.max(needed[given > 0] / given[given > 0], initial=0.0)
    return rest + min(1.0, 2 * share) * (v - rest)


def _basis(u: Array, on: NDArray[np.bool_], tight: NDArray[np.bool_]) -> Array:
    """An orthonormal basis of {D U v : v . u_i = 0 for i tight}, zero columns behind it, (n, r)."""
    free = np.eye(u.shape[1])
    if tight.any():
        _, s, vt = np.linalg.svd(u[tight])
        free = vt[int(np.sum(s > 1e-9 * s[0])) :].T
    basis, s, _ = np.linalg.svd((on[:, None] * u) @ free, full_matrices=False)
    out = np.zeros(u.shape)
    out[:, : int(np.sum(s > 1e-9))] = basis[:, s > 1e-9]
    return out


def _least(matrix: Array, right: Array) -> Array:
    """The least-squares solution of least norm."""
    if len(matrix) < LARGE:
        return np.linalg.lstsq(matrix, right, rcond=1e-7)[0]
    return lstsq(matrix, right, cond=1e-7, lapack_driver="gelsy", check_finite=False)[0]
