"""Owns the convex program over all patterns of a list by an interior-point method on its dual, for many samples.

    maximize y . lambda   subject to   g_k = (|Pi_k lambda|^2 - c_k^2) / 2 <= 0   for every pattern and sign k,

Pi_k the projection on the activations that k can produce (projection.py). |Pi_k lambda|^2 / 2 is convex with gradient u_k = Pi_k lambda
and, where the walls that hold Pi_k lambda back do not change, with the Hessian P_k, the projector on the activations along these walls.
Newton's method on y = sum_k beta_k u_k and -beta_k g_k = mu, mu -> 0, keeps lambda strictly feasible. Only the few k near their price
enter the linear system; of the others it is enough to know that no step takes one beyond its price, and |Pi_k lambda| changes by no
more than lambda does. The beta_k u_k are a network's activations.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from flatproof.theory.flatness.cone_solver import Master
from flatproof.theory.flatness.neurons import Array, Signs

Index = NDArray[np.intp]
ITERATIONS = 150
NEAR, FAR = 0.9, 0.7  # of a price: from where on a pattern enters the linear system, and below which it leaves it
RIDGE, REFINED = 1e-14, 3  # added to a matrix with ones on its diagonal; steps of refinement that make up for it
CLOSED = 1e-12  # relative gap at which the method ends
ENOUGH = 1e-7  # and from which its answer is of use


class Bounded(Protocol):
    """A program over patterns whose walls are known (column_generation.py)."""

    u: Array
    y: Array
    signs: Signs
    walls: NDArray[np.int64] | None
    factors: Array
    prices: Array
    start: Array

    def project(self, chosen: Any, targets: Array, enough: Array | None = None) -> tuple[Array, Array, Array]:
        """Neurons, multipliers and lengths of the projections of targets (K, n) on chosen patterns."""


@dataclass(frozen=True)
class Interior:
    """A solution: which patterns are in use, (2, M), and what solve_master says of a program over these."""

    active: NDArray[np.bool_]
    solution: Master


class DualMethod:
    """The iteration. Entry k = side * M + m stands for pattern m with the sign of `side`."""

    def __init__(self, program: Bounded) -> None:
        self.program, self.y = program, program.y
        self.many = len(program.signs)
        self.prices = np.tile(program.prices, 2)
        self.known = np.full(2 * self.many, np.inf)  # upper bounds on lengths at `at`
        self.at: Array = np.zeros(len(self.y))

    def solve(self) -> Interior | None:
        """The solution; None where the method does not come near it."""
        dual = self.program.start
        self._price(dual)
        dual = dual * 0.5 / max(float((self.known / self.prices).max()), 1e-300)
        self._price(dual, everything=True)
        ratio = self.known / self.prices
        chosen = np.sort(np.argsort(-ratio, kind="stable")[: max(int((ratio > 0.35).sum()), 4 * len(self.y))])
        place = self._place(chosen, dual)
        mu = float(self.y @ dual) / len(chosen)
        beta, stuck = mu / place.slack, 0
        for _ in range(ITERATIONS):
            gap, value = float(beta @ place.slack), float(self.y @ dual)
            missing = float(np.abs(self.y - beta @ place.u).max())
            if gap <= CLOSED * value and missing <= 1e-10:
                break
            step = self._step(place, beta, mu)
            if step is None:
                break
            change, more = step
            size = min(1.0, 0.995 / max(float((-more / beta).max()), 1e-300))
            size = self._within(dual, change, size, chosen, (0.1 if gap > 0.01 * value else 1e-3) * place.slack)
            stuck = stuck + 1 if gap <= 1e-6 * value and (size < 0.1 or gap < 1e-10 * value) else 0
            if size == 0 or stuck == 3:
                break
            self._price(dual + size * change)
            near = self.known >= NEAR * self.prices
            near[chosen] = False
            new = np.flatnonzero(near)
            if (self.known[new] < self.prices[new] * (1 - 1e-14)).all():
                dual, beta = dual + size * change, beta + size * more
                place = self._place(chosen, dual)
            else:  # a pattern that was not looked at is in the way: the step is looked for anew
                size = 1.0
            if len(new):
                chosen, place = np.concatenate([chosen, new]), place.joined(self._place(new, dual))
                beta = np.concatenate([beta, mu / place.slack[-len(new) :]])
            kept = (place.length > FAR * self.prices[chosen]) | (beta > 1e-3 * beta.max())
            if not kept.all() and kept.sum() > len(self.y):
                chosen, beta, place = chosen[kept], beta[kept], place.take(kept)
            mu = float(beta @ place.slack) / len(chosen) * (0.1 if size > 0.9 else 0.3 if size > 0.5 else 0.6)
        if gap > ENOUGH * value or missing > ENOUGH * max(1.0, value):
            return None
        active = np.zeros(2 * self.many, bool)
        active[chosen] = True
        order = np.argsort(chosen)
        lengths = beta * place.length
        return Interior(active.reshape(2, -1), Master(dual, (beta[:, None] * place.v)[order], lengths[order], 0.0))

    def _step(self, place: "Place", beta: Array, mu: float) -> tuple[Array, Array] | None:
        """Newton's step in lambda and beta."""
        weighted = np.sqrt(beta)[:, None, None] * place.bases
        tangent = weighted.transpose(1, 0, 2).reshape(len(self.y), -1)
        normal = place.u * np.sqrt(beta / place.slack)[:, None]
        matrix = tangent @ tangent.T + normal.T @ normal
        scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-20 * np.max(np.diag(matrix))))
        matrix = scale[:, None] * matrix * scale
        right = scale * (self.y - (mu / place.slack) @ place.u)
        try:
            factor = cho_factor(matrix + RIDGE * np.eye(len(matrix)), check_finite=False)
        except LinAlgError:
            return None
        change = cho_solve(factor, right, check_finite=False)
        for _ in range(REFINED):
            change = change + cho_solve(factor, right - matrix @ change, check_finite=False)
        change = scale * change
        if not np.isfinite(change).all():
            return None
        return change, (mu + beta * (place.u @ change)) / place.slack - beta

    def _within(self, dual: Array, change: Array, size: float, chosen: Index, least: Array) -> float:
        """How far the step may go, at most `size`, with the slacks of the patterns in the system above the least; 0 for nowhere."""
        for _ in range(60):
            slack = (self.prices[chosen] ** 2 - self._projected(chosen, dual + size * change)[2] ** 2) / 2
            if (slack > least).all():
                return size
            size *= 0.7
        return 0.0

    def _projected(self, chosen: Index, dual: Array) -> tuple[Array, Array, Array]:
        """Neurons, multipliers and lengths of projections."""
        side, pattern = np.divmod(chosen, self.many)
        return self.program.project(pattern, (1.0 - 2 * side)[:, None] * dual)

    def _price(self, dual: Array, everything: bool = False) -> None:
        """Bring the bounds on lengths to another dual point: exact where they may reach NEAR times the price."""
        self.known = self.known + np.linalg.norm(dual - self.at)
        self.at = dual
        doubtful = np.flatnonzero((self.known >= NEAR * self.prices) | everything)
        self.known[doubtful] = self._projected(doubtful, dual)[2]

    def _place(self, chosen: Index, dual: Array) -> "Place":
        """What is known of the patterns in the system at a dual point."""
        program, u = self.program, self.program.u
        side, pattern = np.divmod(chosen, self.many)
        signed = (1.0 - 2 * side)[:, None]
        v, mu, length = self._projected(chosen, dual)
        on = program.signs[pattern] > 0
        factor = program.factors[pattern]
        whitened = on[:, :, None] * (u @ factor.transpose(0, 2, 1))
        assert program.walls is not None
        walls = program.walls[pattern]
        held = (np.take_along_axis(mu, np.maximum(walls, 0), axis=1) > 0) & (walls >= 0)
        order = np.argsort(~held, axis=1, kind="stable")[:, : u.shape[1]]
        rows = np.where(
            np.take_along_axis(held, order, axis=1)[:, :, None], u[np.maximum(np.take_along_axis(walls, order, axis=1), 0)], 0.0
        )
        rows = rows @ factor.transpose(0, 2, 1)
        rows /= np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-300)
        _, s, vt = np.linalg.svd(rows, full_matrices=False)
        kept = vt * (s > 1e-9)[:, :, None]
        bases = whitened - (whitened @ kept.transpose(0, 2, 1)) @ kept
        return Place(signed * on * (v @ u.T), length, (self.prices[chosen] ** 2 - length**2) / 2, bases, v)


@dataclass(frozen=True)
class Place:
    """Of K patterns with signs at a dual point: activations u (K, n), their lengths and slacks -g (K,), bases of P (K, n, r), neurons."""

    u: Array
    length: Array
    slack: Array
    bases: Array
    v: Array

    def joined(self, other: "Place") -> "Place":
        """Both, the other behind."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("u", "length", "slack", "bases", "v"))
        return Place(*(np.concatenate(pair) for pair in pairs))

    def take(self, kept: NDArray[np.bool_]) -> "Place":
        """Some of them."""
        return Place(self.u[kept], self.length[kept], self.slack[kept], self.bases[kept], self.v[kept])
