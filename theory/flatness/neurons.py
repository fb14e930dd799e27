"""Owns the coordinates in which convex programs are solved, and neurons as columns of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.networks import Architecture, with_ones

Array = NDArray[np.floating]
Signs = NDArray[np.int8]


class NotRealized(ArithmeticError):
    """Double precision does not suffice for the program or the network: points are too nearly dependent."""


class OutOfTime(ArithmeticError):
    """A program was not solved in the time that it was given."""


@dataclass(frozen=True)
class Coordinates:
    """Points U = X' @ basis with orthonormal columns, (n, r): neurons are v in R^r, their weights are w = basis @ v."""

    points: Array
    basis: Array
    u: Array

    @classmethod
    def of(cls, architecture: Architecture, x: Array) -> "Coordinates":
        """Centred (where a bias absorbs it) and scaled columns, then an orthonormal basis of the row space.

        Args:
            architecture: of the networks, which says whether the constant 1 is appended.
            x: inputs, (n, d).

        Returns:
            The coordinates.
        """
        points = with_ones(architecture, x)
        change = np.eye(points.shape[1])
        if architecture != "no-bias":
            change[-1, :-1] = -x.mean(axis=0)
        moved = points @ change
        if architecture != "no-bias":
            moved[:, :-1] = x - x.mean(axis=0)
            same = np.append((x == x[:1]).all(axis=0), False)  # the mean of equal numbers may differ from them by rounding
            moved[:, same] = 0
        size = np.abs(moved).max(axis=0)
        size[size == 0] = 1
        u, s, vt = np.linalg.svd(moved / size, full_matrices=False)
        u[~moved.any(axis=1)] = 0  # rounding must not give the origin a direction: it would become a constraint
        rank = max(1, int(np.sum(s > 1e-12 * s[0])))
        return cls(points, (change / size) @ (vt[:rank].T / np.where(s > 0, s, 1)[:rank]), np.ascontiguousarray(u[:, :rank]))

    def neurons(self, weights: Array) -> Array:
        """v of given weights w: (M, p) -> (M, r)."""
        size = np.abs(weights).max(axis=1, keepdims=True)
        return ((weights / np.where(size > 0, size, 1)) @ self.points.T) @ self.u


@dataclass(frozen=True)
class Columns:
    """Neurons that a flattest network may use: signs (K, n), output sign +-1 (K,), v (K, r) with ||D U v|| = 1, price c_D (K,)."""

    signs: Signs
    sides: Array
    v: Array
    prices: Array

    def outputs(self, u: Array) -> Array:
        """side_k D_k U v_k as columns, (n, K)."""
        return (self.sides[:, None] * (self.signs > 0) * (self.v @ u.T)).T

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> "Columns":
        """Some of them."""
        return Columns(self.signs[index], self.sides[index], self.v[index], self.prices[index])

    def __add__(self, other: "Columns") -> "Columns":
        return Columns.joined([self, other])

    @classmethod
    def joined(cls, parts: "Sequence[Columns]") -> "Columns":
        """All of them, in turn."""
        return cls(
            np.vstack([part.signs for part in parts]),
            np.concatenate([part.sides for part in parts]),
            np.vstack([part.v for part in parts]),
            np.concatenate([part.prices for part in parts]),
        )
