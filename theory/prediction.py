"""Owns what flattest networks do away from the training points: the range of their predictions, and Question 1 of wen2023.

By complementary slackness every flattest network is made of binding neurons (theory/flattest.py), and on the training points each
binding pattern and sign has one direction only, because norms are strictly convex along activations. So flattest networks are the
points of a polyhedron: weights alpha >= 0 with sum_k alpha_k side_k D_k U v_k = y, and for patterns whose active points do not
span, v_k + z with D_k U z = 0 and still inactive elsewhere. The prediction at a new point is extremized over it by one linear
program an end. Limits of flattest networks count as flattest (a minimum over differentiable parameters need not be attained).

A new point x outside the cone of the training points (of x' = (x, 1): outside their convex hull) has no range: some w is positive
on x and nowhere positive on the training points, so a neuron along w changes f(x) at no cost. For Sim-BN, whose dead neurons are
silent, two barely active neurons that cancel on the training set do the same at a vanishing cost (see the ledger, theorem-3.2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag
from scipy.optimize import linprog, nnls

from theory.architectures import Architecture, check_points, with_ones
from theory.columns import Array, Columns, Coordinates
from theory.primal import EXACTLY

OUTSIDE = 1e-8  # a point is outside the cone of the training points if it is this far from it, relative to its length
NEAR = 1e-6  # activations this small, relative to a neuron's largest, are on the kink
ZERO = 1e-5  # predictions closer than this to 0, relative to the largest label, are neither sign


@dataclass(frozen=True)
class Extreme:
    """One end of the range at one point in the cone of the training points: the value, and neurons and weights that attain it."""

    value: float
    neurons: Columns
    alpha: Array


class Predictions:
    """The flattest networks of one data set as a polyhedron."""

    def __init__(self, architecture: Architecture, coordinates: Coordinates, y: Array, binding: Columns):
        self.architecture, self.coordinates, self.binding = architecture, coordinates, binding
        self.top = float(np.abs(y).max()) or 1.0
        self.y = y / self.top
        points = coordinates.points
        self.columns = np.maximum(np.abs(points).max(axis=0), np.finfo(float).tiny)
        lengths = np.linalg.norm(points / self.columns, axis=1)
        self.cone = (points / self.columns)[lengths > 0].T / lengths[lengths > 0]
        self.outputs = binding.outputs(coordinates.u)
        self.free = [_null_space((signs > 0)[:, None] * coordinates.u) for signs in binding.signs]
        live = coordinates.u.any(axis=1)
        self.off = [coordinates.u[(signs <= 0) & live] for signs in binding.signs]
        self.off = [off / np.linalg.norm(off, axis=1, keepdims=True) for off in self.off]
        self.v = [_inactive(v, off, free) for v, off, free in zip(binding.v, self.off, self.free, strict=True)]

    def range(self, x_new: ArrayLike) -> tuple[Array, Array]:
        """Smallest and largest prediction at each new point, (k,) each, infinite where train-inactive neurons are free.

        Args: x_new, (k, d). Errors: ValueError for NaN or a wrong number of columns.
        """
        points = check_points(x_new, d=self.coordinates.points.shape[1] - (self.architecture != "no-bias"))[0]
        low, high = np.full(len(points), -np.inf), np.full(len(points), np.inf)
        for i, x in enumerate(points):
            if self.outside(x) is None:
                low[i], high[i] = self.extreme(x, -1).value, self.extreme(x, 1).value
        return low, high

    def outside(self, x: Array) -> Array | None:
        """w (p,) with w . x' = 1 and w . x'_i <= 0 on the training points, up to rounding; None if x is in their cone."""
        point = with_ones(self.architecture, x[None])[0] / self.columns
        length = np.linalg.norm(point)
        if length == 0:
            return None
        rest = point / length - self.cone @ nnls(self.cone, point / length)[0]  # Moreau: rest is polar to the cone
        if np.linalg.norm(rest) <= OUTSIDE:
            return None
        return rest / self.columns / (rest @ point)

    def extreme(self, x: Array, end: Literal[-1, 1]) -> Extreme:
        """The largest (end = 1) or smallest (end = -1) prediction at one point x, (d,), in the cone of the training points."""
        x = (with_ones(self.architecture, x[None]) @ self.coordinates.basis)[0]
        size = float(np.linalg.norm(x)) or 1.0  # the linear programs' tolerances are absolute
        pieces = [piece for k in range(len(self.free)) for piece in self._pieces(k, x / size)]
        value, solution = _maximize(pieces, [end * piece.value for piece in pieces], self.outputs, self.y)
        value *= size
        used = [(piece, z) for piece, z in zip(pieces, solution, strict=True) if z[0] > 1e-11]
        neurons = self.binding.take(np.array([piece.neuron for piece, _ in used], int))
        v = np.array([piece.span @ z / z[0] for piece, z in used]).reshape(neurons.v.shape)
        alpha = np.array([z[0] for _, z in used])
        return Extreme(end * value * self.top, replace(neurons, v=v), self.top * alpha)

    def _pieces(self, k: int, x: Array) -> Iterator["_Piece"]:
        """Binding neuron k, split by its sign at the point x (r,): neurons alpha v_k + N z inactive on the rest of the samples."""
        side, span = self.binding.sides[k], np.hstack([self.v[k][:, None], self.free[k]])
        at = _rounded(x @ span)
        if span.shape[1] == 1:
            yield _Piece(k, span, side * np.maximum(at, 0), np.zeros((0, 1)))
            return
        off = _rounded(self.off[k] @ span)
        off[:, 0] = np.minimum(off[:, 0], 0)  # on the wrong side of a kink by rounding v would be ruled out
        yield _Piece(k, span, side * at, np.vstack([off, -at]))
        yield _Piece(k, span, np.zeros_like(at), np.vstack([off, at]))


@dataclass(frozen=True)
class _Piece:
    """Neurons span @ (alpha, z), alpha >= 0, rows @ (alpha, z) <= 0, which add value @ (alpha, z) to a prediction."""

    neuron: int
    span: Array
    value: Array
    rows: Array


def _maximize(pieces: Sequence[_Piece], values: Sequence[Array], outputs: Array, y: Array) -> tuple[float, list[Array]]:
    """max of the sum of values over pieces that interpolate y, and the (alpha, z) of each piece."""
    if not pieces:  # all labels are 0 and so is every network, on the cone of the training points
        return 0.0, []
    sizes = [len(value) for value in values]
    starts = np.cumsum([0, *sizes])[:-1]
    equal = np.zeros((len(y), sum(sizes)))
    equal[:, starts] = _rounded(outputs[:, [piece.neuron for piece in pieces]])
    upper = block_diag(*[piece.rows for piece in pieces])
    bounds = [(0 if first else None, None) for size in sizes for first in [True] + [False] * (size - 1)]
    cost = -np.concatenate(values)
    for tolerance in (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5):
        if tolerance == 0:
            found = linprog(
                cost, A_ub=upper, b_ub=np.zeros(len(upper)), A_eq=equal, b_eq=y, bounds=bounds, method="highs", options=EXACTLY
            )
        else:
            right = np.concatenate([np.zeros(len(upper)), y + tolerance, tolerance - y])
            found = linprog(
                cost, A_ub=np.vstack([upper, equal, -equal]), b_ub=right, bounds=bounds, method="highs", options=EXACTLY
            )
        if found.x is not None and found.fun is not None:
            return -float(found.fun), [found.x[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    raise ArithmeticError(f"the linear program of a prediction was not solved: {found.message}")


def _rounded(products: Array) -> Array:
    """Products of unit vectors with what rounding left of 0 removed: linear programs would divide by it."""
    return np.where(np.abs(products) < 1e-11, 0.0, products)


def _inactive(v: Array, off: Array, free: Array) -> Array:
    """v moved along free directions, as little as does it, until it is inactive where it should be: solvers leave it slightly not.

    It also goes onto the kinks of inactive points that it is on up to the solver's accuracy. Args: off, rows of length 1; free
    (r, k), orthonormal. Least distance programming (Lawson & Hanson 1974, chapter 23).
    """
    z = off @ v
    moved = np.linalg.norm(off @ free, axis=1) > NEAR  # rounding is no way to the kinks that free directions run along
    tight = off[moved & (np.abs(z) < NEAR * np.abs(z).max(initial=0.0))]
    if len(tight):
        v = v - free @ np.linalg.lstsq(tight @ free, tight @ v, rcond=NEAR)[0]
    rows, excess = _rounded(off @ free), _rounded(off @ v)
    if not (excess[moved] > 0).any():
        return v
    program = np.vstack([-rows[moved].T, excess[moved]])  # the shortest w with rows @ w <= -excess
    goal = np.append(np.zeros(free.shape[1]), 1.0)
    rest = program @ nnls(program, goal)[0] - goal
    return v - free @ rest[:-1] / rest[-1] if rest[-1] < -NEAR else v


def _null_space(rows: Array) -> Array:
    """An orthonormal basis of {v : rows v = 0}, (r, k)."""
    _, s, vt = np.linalg.svd(rows)
    return vt[int(np.sum(s > 1e-9)) :].T
