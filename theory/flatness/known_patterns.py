"""Owns the activation patterns that a search has met: which sign vectors are cells, what is beside a neuron on kinks, values and prices.

Cells are not listed here but found one at a time: a neuron off all kinks is inside one, a neuron on kinks is beside several, and whether
a sign vector is a cell at all is settled by a neuron inside it, or by none being found.
"""

from collections.abc import Iterator

import numpy as np

from flatproof.theory.flatness.linear_programs import REWEIGHTED, deepest, fewest, most_inside
from flatproof.theory.flatness.neurons import Array, Columns, Signs
from flatproof.theory.flatness.patterns import null_space
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.projection import factors, project
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import Network

KINK = 1e-9  # |u_i . v| up to this, relative to |u_i| |v|, is a kink
DEEP = 1e-6  # distance from its walls, of a neuron of size up to 10, from which a sign vector counts as a cell
SMALL = 2**10  # whole numbers below this have products that double precision holds exactly


class KnownPatterns:
    """The patterns met so far, numbered in the order in which they were, each with a neuron inside its cell.

    Attributes:
        u: the samples in the program's coordinates, (n, r).
        lengths: their norms, (n,); live: those that are not 0.
        signs, witnesses, factors: of the M patterns, (M, n), (M, r), (M, r, r).
        flats: of patterns that are no cells but faces of the notion "relu'(0)=0": their flats, as `positive_sets` has them.

    Args:
        setting: the problem.
        size: the unit that prices are divided by.
    """

    def __init__(self, setting: Setting, size: float):
        self.setting, self.size, self.u = setting, size, setting.coordinates.u
        n, r = self.u.shape
        self.lengths = np.linalg.norm(self.u, axis=1)
        self.live = self.lengths > 0
        self.index: dict[bytes, int] = {}
        self.signs: Signs = np.zeros((0, n), np.int8)
        self.witnesses: Array = np.zeros((0, r))
        self.factors: Array = np.zeros((0, r, r))
        self.flats: dict[bytes, Array] = {}
        whole = bool((setting.x == np.round(setting.x)).all() and np.abs(setting.x).max() < SMALL)
        self.may_stay = whole and not setting.differentiable  # on kinks, exactly

    def add(self, signs: Signs, witness: Array) -> int | None:
        """The number of a pattern, known or new; None without a sample on its positive side."""
        key = signs.tobytes()
        if key not in self.index:
            if not (signs > 0).any():
                return None
            self.index[key] = len(self.signs)
            self.signs = np.vstack([self.signs, signs])
            self.witnesses = np.vstack([self.witnesses, witness / np.linalg.norm(witness)])
            self.factors = np.concatenate([self.factors, factors(self.u, signs[None])])
        return self.index[key]

    # -------------------------------------------------------------------------------------------------- values and prices

    def prices(self, signs: Signs) -> Array:
        """c_D of patterns (M, n) in the search's unit, (M,)."""
        return prices(self.setting.architecture, self.setting.points, signs) / self.size

    def lengths_of_projections(self, index: Array | slice, targets: Array, enough: Array | None = None) -> Array:
        """What known patterns are worth at targets: the lengths of the projections, as `project` has them.

        Args:
            index: of M patterns.
            targets: (M, n).
            enough: (M,), optional: a bound up to this stands for the length.

        Returns:
            (M,).
        """
        return project(self.u, self.signs[index], targets, enough=enough, factor=self.factors[index])[2]

    def ratios(self, signs: Signs, target: Array, enough: float = -1.0) -> tuple[Array, Array, Array]:
        """Value over price of any patterns.

        Args:
            signs: (M, n).
            target: the dual point with the sign of the output, (n,).
            enough: where a bound shows at once that the ratio is at most this, the bound stands for it, and zeros for the others.

        Returns:
            Ratios (M,), the best neuron of each (M, r) and the multipliers of its constraints (M, n).
        """
        if not len(signs):
            return np.zeros(0), np.zeros((0, self.u.shape[1])), np.zeros((0, len(target)))
        price = np.maximum(self.prices(signs), 1e-300)
        v, mu, length = project(self.u, signs, np.broadcast_to(target, signs.shape), enough=enough * price)
        return length / price, v, mu

    def rays(self) -> Columns:
        """All witnesses, with either sign, as columns of length 1 at the data's prices."""
        length = np.linalg.norm((self.signs > 0) * (self.witnesses @ self.u.T), axis=1)
        seen = length > 0
        unit, signs = self.witnesses[seen] / length[seen, None], self.signs[seen]
        sides, price = np.repeat([1.0, -1.0], len(unit)), self.prices(signs) * self.size
        return Columns(np.vstack([signs] * 2), sides, np.vstack([unit] * 2), np.concatenate([price] * 2))

    # ------------------------------------------------------------------------------------------------------------ the cells

    def kink(self, v: Array) -> Array:
        """Which samples are on the kink of a neuron, up to rounding, (n,); samples at the origin are among them."""
        return np.abs(self.u @ v) <= KINK * self.lengths * np.linalg.norm(v)

    def at(self, neurons: Array) -> Iterator[tuple[Signs, Array]]:
        """Cells (signs and a neuron inside) that given neurons (K, r) are in, or beside."""
        for v in neurons:
            if not (self.kink(v) & self.live).any():
                yield np.where(self.u @ v > 0, 1, -1).astype(np.int8), v
                continue
            for signs in self.beside(v):
                inside = self.inside(signs, v)
                if inside is not None:
                    yield signs, inside
                    break

    def of_network(self, network: Network) -> Iterator[tuple[int, int]]:
        """Patterns and signs (1 where the output is negative) of a network's neurons; beside a kink, those with few samples more."""
        weights = network.w2 if network.gamma is None else network.w2 * network.gamma
        neurons = self.setting.coordinates.neurons(network.weights.astype(float))
        for w, v, weight in zip(network.weights.astype(float), neurons, weights, strict=True):
            z = self.setting.points @ w
            if not weight or not (z > 0).any():
                continue
            exact = np.where(z > 0, 1, -1).astype(np.int8)
            places = [(exact, v)] if (z[self.live] != 0).all() else []
            if not places:
                places = [(signs, inside) for signs in self.beside(v) if (inside := self.inside(signs, v)) is not None]
            for signs, witness in places:
                index = self.add(signs, witness)
                if index is not None:
                    yield index, int(weight < 0)

    def beside(self, v: Array) -> list[Signs]:
        """Signs beside v (r,), with as few of the samples on its kink active as are found, best first: none if a neuron nearby does so.

        A small move delta leaves the signs of samples off the kink alone and gives those on it the sign of u_i . delta; prices grow with
        what is active, so the fewest positive products are wanted. That count is minimized through the sum of (u_i . delta + 1)+, each
        time weighted by the inverse of what the last one left (Candes, Wakin & Boyd 2008): rows that must be positive stop counting.
        """
        kink = self.kink(v) & self.live
        signs = np.where((self.u @ v > 0) & ~kink, 1, -1).astype(np.int8)
        if self.inside(signs, v) is not None:
            return [signs]
        rows = self.u[kink] / self.lengths[kink, None]
        few, weight = None, np.ones(len(rows))
        options = []
        for _ in range(REWEIGHTED):
            delta = fewest(rows, weight)[0]
            above = rows @ delta
            if few is None or (above > 0).sum() < few:
                few = int((above > 0).sum())
                option = signs.copy()
                option[kink] = np.where(above > 0, 1, -1)
                options.append(option)
            weight = 1 / (np.maximum(above + 1, 0) + 0.1)
        return options[::-1]

    def shrunk(self, signs: Signs, v: Array) -> Signs:
        """The signs, those of samples on the kink of v off where the notion and the data allow neurons to stay there."""
        return np.where(self.kink(v), -1, signs).astype(np.int8) if self.may_stay else signs

    def inside(self, signs: Signs, v: Array) -> Array | None:
        """A neuron inside the cell of these signs, if there is one.

        Args:
            signs: of the samples, (n,).
            v: a neuron (r,) that the new one is near, if v is in the closure of the cell.

        Returns:
            The neuron (r,), on kinks where it may stay; None if none is found.
        """
        z = signs * (self.u @ v)
        kink = self.kink(v) & self.live
        rows = signs[:, None] * self.u / np.where(self.live, self.lengths, 1)[:, None]
        if (z[self.live & ~kink] <= 0).any():  # where few samples are active, v is not known well off them
            v = deepest(rows[self.live], np.zeros(int(self.live.sum())))
            return v if (rows[self.live] @ v).min() > DEEP else self._on_flat(signs, rows)
        if not kink.any():
            return v
        # v is in the closure: only samples on the kink constrain the direction. One at equal distance from these walls is cheap to
        # find and mostly there; where it is not, a linear program says whether any direction leads inside.
        delta = np.linalg.lstsq(rows[kink], np.ones(int(kink.sum())), rcond=1e-9)[0]
        if (rows[kink] @ delta).min() < 0.1:
            delta = deepest(rows[kink], np.zeros(int(kink.sum())))
        if (rows[kink] @ delta).min() <= DEEP:
            return self._on_flat(signs, rows)
        # v + t delta is off the kink for every t > 0 and on the right side of sample i as long as z_i + t change_i > 0. Half the way to
        # the first wall, and no further than half the length of v, keeps it inside and near v.
        change = signs * (self.u @ delta)
        limits = np.where((change < 0) & self.live, z / np.where(change < 0, -change, 1), np.inf)
        return v + 0.5 * min(float(limits[~kink].min(initial=np.inf)), float(np.linalg.norm(v) / np.linalg.norm(delta))) * delta

    def _on_flat(self, signs: Signs, rows: Array) -> Array | None:
        """A neuron active on just these samples, as many of the others as can be off its kink: relu'(0) = 0 lets it stay on the rest.

        The samples v . u_i >= 0 that can be positive at all are so together, at the sum of the neurons that show it, and any positive
        product can be scaled to 1: the linear program counts them. Only for points in whole numbers small enough that products vanish
        exactly on the flat.
        """
        if not self.may_stay:
            return None
        solution = most_inside(rows[self.live])
        if solution is None:
            return None
        v, off_wall = solution
        if (off_wall[signs[self.live] > 0] < 0.5).any():
            return None
        kink = np.zeros(len(signs), bool)
        kink[self.live] = off_wall < 0.5
        if kink.any():
            flat = null_space(self.setting.points[kink])
            if np.abs(flat).max(initial=0) >= SMALL:
                return None
            self.flats[signs.tobytes()] = flat
        return v
