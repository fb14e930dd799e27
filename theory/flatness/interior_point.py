"""Owns the convex program over all patterns of a list by a primal-dual interior-point method, for many samples.

    minimize    sum_k c_k t_k   over neurons z_k, one for every pattern and sign
    subject to  sum_k side_k A_k z_k = y,   B_k z_k >= 0,   |z_k| <= t_k

A_k maps a neuron to its activations, B_k to what it is at the walls of its cell, z_k in coordinates in which the first is an isometry.
The dual point lambda and multipliers mu >= 0 have w_k = side_k A_k' lambda + B_k' mu_k with |w_k| <= c_k. Steps are Newton's on
(t, z) o (c, -w) = tau e and (B z) mu = tau in the scaling of Nesterov and Todd, predicted and corrected (Mehrotra 1992). Given lambda's
change a neuron's is a least-squares problem of its own, solved by orthogonal factors: walls that are met and walls that are not
differ by any number of digits there. What is left is a system in as many unknowns as there are samples.

The first point is central, and interpolates: a neuron at the analytic centre of each cell, with both signs, long enough that what
the labels need is small against it. In the plane sums over many samples would cancel; differences.py has sparse equations instead.

Of many patterns few are near their price in the end. The program is solved over some of them to a coarse gap, then over those near
their price at its dual point, until none that is left out is dearer; the last of these programs is solved to the end.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from flatproof.theory.compiled import literal_kernel
from flatproof.theory.flatness.cone_solver import Master
from flatproof.theory.flatness.differences import Equations
from flatproof.theory.flatness.neurons import Array, Signs
from flatproof.theory.flatness.projection import WEIGHT

ITERATIONS = 100
CENTRED = 60  # Newton steps towards the analytic centres of cells, at most
LONG = 3.0  # first neurons, in multiples of what the labels need at least
CENTRAL = 0.99  # of its price that the first dual point uses of a pattern at most
INSIDE = 0.99  # of the way to the boundary that a step goes
CLOSED = 1e-9  # relative gap at which the method ends
ENOUGH = 1e-4  # and from which its answer is of use
SHORT = 1e-3  # steps below which it is stuck
UNEVEN = 1e-3  # the least of the products that are tau at a central point, relative to their mean
PATIENCE = 5  # points without one that is nearer by half, after which it is too
NULLS = 1e2, 1e5  # times the weight along null spaces of G: the second where the first lets a bound fail
TINY = 1e-200  # in place of a bound of 0
FIRST = 30  # patterns a sample in the first of several programs; twice as many are solved at once
COARSE = 1e-2  # relative gap of all programs but the last
ROUNDS = 20  # programs at most
NEAR = 0.9  # share of its price that a pattern uses that is kept
DEAR, WRONG = 0.05, 1e-6  # how much more than its price one that is left out may use before the last program, and in the end
REFINED = 30  # steps of conjugate gradients that make up for rounding in the factors
RIDGES = (1e-15, 1e-13, 1e-11)  # added to a matrix with ones on its diagonal until it has factors


class Bounded(Protocol):
    """A program over patterns whose walls are known (column_generation.py)."""

    u: Array
    y: Array
    signs: Signs
    walls: NDArray[np.int64] | None
    factors: Array
    prices: Array

    def price_ratios(self, dual: Array, enough: float | None) -> Array:
        """How much of each pattern's price a dual point uses up, (2, M)."""
        ...


@dataclass(frozen=True)
class Interior:
    """A solution: which patterns are in use, (2, M), and what solve_master says of a program over these."""

    active: NDArray[np.bool_]
    solution: Master


@dataclass
class Point:
    """Where the iteration is, for K = 2 M neurons, those with sign + in front: lambda (q,), t (K,), z and w (K, r), B z and mu (K, m)."""

    dual: Array
    t: Array
    z: Array
    w: Array
    room: Array
    mu: Array

    def moved(self, change: "Point", primal: float, dual: float) -> "Point":
        """The point some way along a change, neurons and dual point each as far as told."""
        sizes = (dual, primal, primal, dual, primal, dual)
        return Point(*(a + size * b for a, b, size in zip(self, change, sizes, strict=True)))

    def __iter__(self) -> Iterator[Array]:
        return iter((self.dual, self.t, self.z, self.w, self.room, self.mu))


class InteriorPoint:
    """The iteration over the patterns of one program.

    Args:
        program: with walls.
        inner: a neuron inside each cell, (M, r).
        null: one of NULLS.
    """

    def __init__(self, program: Bounded, inner: Array, null: float = NULLS[0]) -> None:
        assert program.walls is not None
        self.program = program
        u, signs, walls = program.u, program.signs, program.walls
        self.many, self.r = len(signs), u.shape[1]
        self.factors, self.prices = _heavier(program.factors, null), np.tile(program.prices, 2)
        self.equations = Equations.of(u, signs)
        self.y = self.equations.right(program.y)
        self.outputs = np.ascontiguousarray(self.factors @ self.equations.activations(u, signs))  # A', (M, r, q)
        self.held = np.tile(walls >= 0, (2, 1))
        place = np.maximum(walls, 0)
        rows = np.where(walls >= 0, np.take_along_axis(signs, place, axis=1), 0)[:, :, None] * u[place]
        rows = rows @ self.factors.transpose(0, 2, 1)
        length = np.linalg.norm(rows, axis=2, keepdims=True)
        self.bounds = np.ascontiguousarray(rows / np.where(length > 0, length, 1))  # B, (M, m, r)
        self.inner = np.linalg.solve(self.factors.transpose(0, 2, 1), inner[:, :, None])[:, :, 0]
        self.count = len(self.prices) + int(self.held.sum())

    def solve(self) -> Interior | None:
        """The solution; None where the method does not come near it."""
        few = self.r == 2 or self.many <= 2 * FIRST * len(self.y)  # in the plane few cells bind, and there are few
        with np.errstate(over="ignore", invalid="ignore"):  # a point that is not finite ends the iteration
            try:
                return (None if few else self._by_rounds()) or self._solve(CLOSED, ENOUGH)
            except LinAlgError:  # of cells so thin that their walls look parallel
                return None

    def _by_rounds(self) -> Interior | None:
        """The solution over patterns that are near their price, when no other is dearer; None where a program has none."""
        kept, gap = np.zeros(self.many, bool), COARSE
        kept[np.linspace(0, self.many - 1, FIRST * len(self.y)).astype(int)] = True
        for _ in range(ROUNDS):
            interior = self._take(kept)._solve(gap, max(ENOUGH, 10 * gap)) if kept.any() else None
            if interior is None:
                return None
            used = self.program.price_ratios(interior.solution.dual, NEAR).max(axis=0)
            if gap == CLOSED and (used.max() <= 1 + WRONG or not (used[~kept] > NEAR).any()):  # or nothing would change
                return Interior(np.stack([kept, kept]), interior.solution)
            kept = used > NEAR if gap == COARSE else kept | (used > NEAR)
            gap = COARSE if gap == COARSE and used.max() > 1 + DEAR else CLOSED
        return None

    def _solve(self, closed: float, enough: float) -> Interior | None:
        """The solution to the relative gap `closed`; None where it does not come as near as `enough`."""
        point = self._start()
        best, least, mark, waited = point, np.inf, np.inf, 0
        for _ in range(ITERATIONS):
            longest = max(1.0, float(np.linalg.norm(point.z, axis=1).max()))
            gap, missing = self._gap(point), float(np.abs(self.y - self._output(point.z)).max()) / longest
            error = max(gap / max(float(self.y @ point.dual), TINY), missing)
            mark, waited = (error, 0) if error < mark / 2 else (mark, waited + 1)
            if error < least:
                best, least = point, error
            if not np.isfinite(error) or error <= closed or waited > PATIENCE:
                break
            newton = Newton.at(self, point)
            if newton is None:
                break
            change = newton.step(0.0, None)
            primal, dual = (min(1.0, size) for size in self._reach(point, change))
            aim = gap / self.count * min(1.0, max(self._gap(point.moved(change, primal, dual)) / gap, 1e-6)) ** 3
            change = newton.step(aim, change)
            primal, dual = (min(1.0, INSIDE * size) for size in self._reach(point, change))
            while not self._central(moved := point.moved(change, primal, dual)) and max(primal, dual) > SHORT:
                primal, dual = 0.7 * primal, 0.7 * dual
            if max(primal, dual) <= SHORT:
                break
            point = moved
        if least > enough:
            return None
        v = np.einsum("mab,sma->smb", self.factors, best.z.reshape(2, self.many, self.r)).reshape(-1, self.r)
        multipliers = self.equations.dual(best.dual)
        return Interior(np.ones((2, self.many), bool), Master(multipliers, v, np.linalg.norm(best.z, axis=1), 0.0))

    def _take(self, kept: NDArray[np.bool_]) -> "InteriorPoint":
        """The iteration over some of the patterns, (M,)."""
        some = copy(self)
        some.many, both = int(kept.sum()), np.tile(kept, 2)
        some.factors, some.outputs, some.bounds = self.factors[kept], self.outputs[kept], self.bounds[kept]
        some.inner = self.inner[kept]
        some.prices, some.held = self.prices[both], self.held[both]
        some.count = len(some.prices) + int(some.held.sum())
        return some

    def _start(self) -> Point:
        """The first point: a network that interpolates, well inside every cell, and the dual point 0."""
        unit, room = self._centres()
        held, price = self.held[: self.many], self.prices[: self.many]
        walls = held.sum(axis=1)
        depth = np.where(held, room, np.inf).min(axis=1)
        weight = (depth / price) ** 2
        matrix = 2 * np.tensordot(weight[:, None, None] * self.outputs, self.outputs, ((0, 1), (0, 1)))
        needed = np.zeros_like(unit)
        for _ in range(3):
            missing = self.y - 2 * np.tensordot(needed, self.outputs, ((0, 1), (0, 1)))
            needed = needed + weight[:, None] * (self.outputs @ np.linalg.lstsq(matrix, missing, rcond=1e-13)[0])
        length, longest = np.sqrt(walls * (walls + 1.0)) / price, (walls + 1.0) / price
        away = np.minimum(depth * length, longest - length)  # from walls and from the cone's surface, for tau = 1
        tau = LONG * float((np.linalg.norm(needed, axis=1) / away).max())
        middle = tau * length[:, None] * unit
        z = np.concatenate([middle + needed, middle - needed])
        mu = np.where(self.held, np.tile(1 / (room * length[:, None]), (2, 1)), 0.0)
        mu /= np.maximum(1, np.linalg.norm(self._held_back(mu), axis=1) / (CENTRAL * self.prices))[
            :, None
        ]  # where it is not central
        t = tau * np.tile(longest, 2)
        return Point(np.zeros(len(self.y)), t, z, self._held_back(mu), self._at_walls(z), mu)

    def _centres(self) -> tuple[Array, Array]:
        """The unit z in each cell with the largest product of distances from its walls, (M, r), and these distances, (M, m)."""
        held, rows = self.held[: self.many], self.bounds
        z = self.inner / np.linalg.norm(self.inner, axis=1, keepdims=True)
        left = np.arange(self.many)
        for _ in range(CENTRED):
            near, on = rows[left], held[left]
            room = np.where(on, (near @ z[left, :, None])[:, :, 0], 1.0)
            count = on.sum(axis=1)
            gradient = count[:, None] * z[left] - np.einsum("kmr,km->kr", near, on / room)
            scaled = near * (on / room)[:, :, None]
            hessian = scaled.transpose(0, 2, 1) @ scaled + count[:, None, None] * np.eye(self.r)
            step = -np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
            size = np.sqrt(np.maximum(-np.sum(step * gradient, axis=1), 0))
            z[left] += step / (1 + size)[:, None]
            left = left[size > 0.1]
            if not len(left):
                break
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        return z, np.where(held, (rows @ z[:, :, None])[:, :, 0], 1.0)

    def _output(self, z: Array) -> Array:
        """sum_k side_k A_k z_k."""
        return np.tensordot(z[: self.many] - z[self.many :], self.outputs, ((0, 1), (0, 1)))

    def _at_walls(self, z: Array) -> Array:
        """B_k z_k, 1 where there is no wall."""
        both = z.reshape(2, self.many, self.r).transpose(1, 2, 0)
        return np.where(self.held, (self.bounds @ both).transpose(2, 0, 1).reshape(2 * self.many, -1), 1.0)

    def _seen(self, dual: Array) -> Array:
        """side_k A_k' lambda."""
        seen = self.outputs @ dual
        return np.concatenate([seen, -seen])

    def _held_back(self, mu: Array) -> Array:
        """B_k' mu_k."""
        both = mu.reshape(2, self.many, -1).transpose(1, 2, 0)
        return (self.bounds.transpose(0, 2, 1) @ both).transpose(2, 0, 1).reshape(2 * self.many, self.r)

    def _gap(self, point: Point) -> float:
        """The sum of all products that are tau at a central point."""
        return float(point.t @ self.prices - np.sum(point.z * point.w) + np.sum(np.where(self.held, point.room * point.mu, 0.0)))

    def _central(self, point: Point) -> bool:
        """Whether no product is much smaller than the mean."""
        least = UNEVEN * self._gap(point) / self.count
        length, used = np.linalg.norm(point.z, axis=1), np.linalg.norm(point.w, axis=1)
        primal, dual = (point.t - length) * (point.t + length), (self.prices - used) * (self.prices + used)
        products = np.where(self.held, point.room * point.mu, np.inf)
        return bool(np.min(primal * dual) > least**2 and np.min(products, initial=np.inf) > least)

    def _reach(self, point: Point, change: Point) -> tuple[float, float]:
        """How far neurons and dual point can go along a change."""
        still = np.zeros(len(self.prices))
        room = _to_zero(point.room, change.room)
        mu = _to_zero(np.where(self.held, point.mu, 1.0), change.mu)
        return min(_to_cone(point.t, point.z, change.t, change.z), room), min(_to_cone(self.prices, point.w, still, change.w), mu)


class Newton:
    """Newton's equations at one point, their factors known, for any right-hand sides."""

    def __init__(self, method: InteriorPoint, point: Point) -> None:
        self.method, self.point = method, point
        t, z, w, c = point.t, point.z, point.w, method.prices
        length, used = np.linalg.norm(z, axis=1), np.linalg.norm(w, axis=1)
        primal, dual = np.sqrt((t - length) * (t + length)), np.sqrt((c - used) * (c + used))
        middle = np.sqrt((1 + (t * c - np.sum(z * w, axis=1)) / (primal * dual)) / 2)
        self.head = (t / primal + c / dual) / (2 * middle)  # the scaling point of (t, z) and (c, -w)
        self.tail = (z / primal[:, None] + w / dual[:, None]) / (2 * middle)[:, None]
        self.size, self.product = np.sqrt(primal / dual), primal * dual
        self.along = np.sqrt(1 + 2 * np.sum(self.tail**2, axis=1))
        self.firm = np.sqrt(np.where(method.held, point.mu / point.room, 0.0))
        bent = self.tail / np.linalg.norm(self.tail, axis=1, keepdims=True) * np.sqrt(1 - 1 / self.along)[:, None]
        self.bent = np.nan_to_num(bent)
        self.basis, self.inverse = _orthogonal(method.bounds, self.firm, self.bent, self.size)

    @classmethod
    def at(cls, method: InteriorPoint, point: Point) -> "Newton | None":
        """The equations; None where rounding leaves them no factors."""
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = cls(method, point)
            return newton if np.isfinite(newton.inverse).all() and newton._factorize() else None

    def _factorize(self) -> bool:
        method, many = self.method, self.method.many
        both = np.concatenate([self.inverse[:many], self.inverse[many:]], axis=2).transpose(0, 2, 1)
        self.rows = (both @ method.outputs).reshape(-1, len(method.y))  # (M 2 r, q): R^-T A', signs + and - in turn
        matrix = self.rows.T @ self.rows
        self.scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        matrix = self.scale[:, None] * matrix * self.scale
        for ridge in RIDGES:
            try:
                self.factor = cho_factor(matrix + ridge * np.eye(len(matrix)), check_finite=False)
            except LinAlgError:
                continue
            return True
        return False

    def step(self, aim: float, before: Point | None) -> Point:
        """The change towards the central point with tau = aim, corrected for the product of the change predicted before."""
        method, point, held = self.method, self.point, self.method.held
        head, tail, product = -point.t, -point.z, 0.0 * point.mu
        if before is not None:
            one = self._scaled(before.t, before.z, -1)
            two = self._scaled(np.zeros_like(before.t), -before.w, 1)
            middle = self._scaled(method.prices, -point.w, 1)
            first = aim - one[0] * two[0] - np.sum(one[1] * two[1], axis=1)
            rest = -one[0][:, None] * two[1] - two[0][:, None] * one[1]
            quotient = (middle[0] * first - np.sum(middle[1] * rest, axis=1)) / self.product
            more = self._scaled(quotient, (rest - quotient[:, None] * middle[1]) / middle[0][:, None], 1)
            head, tail, product = head + more[0], tail + more[1], before.room * before.mu
        push = np.where(held, (aim - product) / point.room - point.mu, 0.0)
        return self._solved(head, tail, push)

    def _solved(self, head: Array, tail: Array, push: Array) -> Point:
        """The change with Delta (t, z) = W^2 Delta (0, w) + (head, tail) and Delta mu = push - mu / room Delta room."""
        method, point, walls = self.method, self.point, self.firm.shape[1]
        lost = np.where(method.held, method._at_walls(point.z) - point.room, 0.0)
        drift = method._seen(point.dual) + method._held_back(point.mu) - point.w
        firm = np.where(self.firm > 0, self.firm, 1.0)
        given = np.concatenate([push / firm - self.firm * lost, self._root(tail)], axis=1)
        known = np.einsum("kji,kj->ki", self.basis, given) + np.einsum("kab,ka->kb", self.inverse, drift)
        dual = self._dual(method.y - method._output(point.z) - self._sum(known))
        known += self._share(dual)
        rest = given - np.einsum("kji,ki->kj", self.basis, known)
        z = np.einsum("kab,kb->ka", self.inverse, known)
        t = head - 2 * self.size * self.head / self.along * np.sum(self.tail * rest[:, walls:], axis=1)
        room = np.where(method.held, method._at_walls(z) + lost, 0.0)
        return Point(dual, t, z, -self._root(rest[:, walls:]), room, self.firm * rest[:, :walls])

    def _dual(self, right: Array) -> Array:
        """The change of lambda: conjugate gradients that start from the factors' answer."""
        right = self.scale * right
        out, rest = np.zeros_like(right), right
        direction, before = np.zeros_like(right), np.inf
        for _ in range(REFINED):
            if np.abs(rest).max() <= 1e-15 * np.abs(right).max():
                break
            towards = cho_solve(self.factor, rest, check_finite=False)
            now = float(rest @ towards)
            direction = towards + now / before * direction
            image = self.scale * ((self.rows @ (self.scale * direction)) @ self.rows)
            bend = float(direction @ image)
            if not (now > 0 and bend > 0):  # nothing but rounding is left
                break
            step, before = now / bend, now
            out, rest = out + step * direction, rest - step * image
        return self.scale * out

    def _share(self, dual: Array) -> Array:
        """side_k R_k^-T A_k' lambda."""
        seen = (self.rows @ dual).reshape(self.method.many, 2, -1)
        return np.concatenate([seen[:, 0], -seen[:, 1]])

    def _sum(self, shares: Array) -> Array:
        """sum_k side_k A_k R_k^-1 share_k."""
        many = self.method.many
        return np.concatenate([shares[:many], -shares[many:]], axis=1).ravel() @ self.rows

    def _root(self, tail: Array) -> Array:
        """The square root of the inverse of W^2's block of z, times a vector of each neuron."""
        return (tail - self.bent * np.sum(self.bent * tail, axis=1, keepdims=True)) / self.size[:, None]

    def _scaled(self, head: Array, tail: Array, power: int) -> tuple[Array, Array]:
        """W (head, tail), or its inverse for the power -1."""
        axis, size = power * self.tail, self.size**power
        dot = np.sum(axis * tail, axis=1)
        return size * (self.head * head + dot), size[:, None] * (
            head[:, None] * axis + tail + axis * (dot / (1 + self.head))[:, None]
        )


def _heavier(factors: Array, times: float) -> Array:
    """F (M, r, r) of projection.py with more weight along null spaces: neurons of thin cells are long there, and pay for it."""
    size = np.linalg.norm(factors, axis=2, keepdims=True)
    null = size > (1 - 1e-6) * WEIGHT * size.min(axis=1, keepdims=True)
    return np.where(null, times * factors, factors)


def _to_zero(value: Array, change: Array) -> float:
    """The largest a with value + a change >= 0 for positive values."""
    fastest = float(np.max(-change / value, initial=0.0))
    return 1 / fastest if fastest > 0 else np.inf


def _to_cone(head: Array, tail: Array, dhead: Array, dtail: Array) -> float:
    """The largest a with |tail + a dtail| <= head + a dhead for all."""
    length = np.linalg.norm(tail, axis=1)
    square, slope = dhead**2 - np.sum(dtail**2, axis=1), head * dhead - np.sum(tail * dtail, axis=1)
    slack = (head - length) * (head + length)
    root = np.sqrt(np.maximum(slope**2 - square * slack, 0)) - slope
    return float(np.min(slack / np.where(root > 0, root, np.inf), initial=np.inf, where=root > 0))


@literal_kernel
def _factored(bounds, firm, bent, size, basis, inverse):  # type: ignore[no-untyped-def]
    patterns, walls, r = bounds.shape
    rows = walls + r
    triangle = np.zeros((r, r))
    for k in range(len(firm)):
        q = basis[k]
        for i in range(walls):
            for a in range(r):
                q[i, a] = firm[k, i] * bounds[k % patterns, i, a]
        for a in range(r):
            for b in range(r):
                q[walls + a, b] = ((1.0 if a == b else 0.0) - bent[k, a] * bent[k, b]) / size[k]
        for a in range(r):
            for b in range(a):
                triangle[b, a] = 0.0
            for _ in range(2):
                for b in range(a):
                    s = 0.0
                    for i in range(rows):
                        s += q[i, b] * q[i, a]
                    triangle[b, a] += s
                    for i in range(rows):
                        q[i, a] -= s * q[i, b]
            s = 0.0
            for i in range(rows):
                s += q[i, a] ** 2
            s = np.sqrt(s)
            triangle[a, a] = s
            for i in range(rows):
                q[i, a] /= s
        for b in range(r):
            for a in range(r - 1, -1, -1):
                s = 1.0 if a == b else 0.0
                for c in range(a + 1, r):
                    s -= triangle[a, c] * inverse[k, c, b]
                inverse[k, a, b] = s / triangle[a, a] if a <= b else 0.0


def _orthogonal(bounds: Array, firm: Array, bent: Array, size: Array) -> tuple[Array, Array]:
    """Orthonormal columns Q and R^-1 of [firm_k B_k; (1 - bent_k bent_k') / size_k] = Q R, by Gram-Schmidt done twice.

    Args:
        bounds: B, (M, m, r).
        firm: (K, m), K = 2 M.
        bent: (K, r).
        size: (K,).

    Returns:
        Q, (K, m + r, r), and R^-1, (K, r, r).
    """
    count, walls, r = len(firm), bounds.shape[1], bounds.shape[2]
    basis, inverse = np.zeros((count, walls + r, r)), np.zeros((count, r, r))
    _factored(bounds, firm, bent, size, basis, inverse)
    return basis, inverse
