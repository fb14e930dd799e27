"""Owns means and maxima of a diagonal network's loss over displacements by brute force, from the loss as it is defined and no closed form.

The loss is a square of something linear in each single parameter. So a mean over independent displacements is exact with three nodes
a parameter, and a maximum over a box, being that of a function convex along each axis, is at one of its 4^d vertices.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
# three nodes and weights that are exact for polynomials of degree 5 under N(0, 1) and U[-1, 1]
NODES = {
    "l2": (np.sqrt(3) * np.array([-1.0, 0.0, 1.0]), np.array([1, 4, 1]) / 6),
    "linf": (np.sqrt(3 / 5) * np.array([-1.0, 0.0, 1.0]), np.array([5, 8, 5]) / 18),
}


class Instance:
    """A network that interpolates, with the loss kappa/n ||X(u * v) - y||^2 of displaced parameters."""

    def __init__(self, u: Array, v: Array, x: Array, kappa: float) -> None:
        self.u, self.v, self.x, self.kappa = u, v, x, kappa
        self.y = x @ (u * v)

    def losses(self, points: Array, c: Array, samples: slice = slice(None)) -> Array:
        """L(w + c * z) for each row z of `points`, (m, 2d) -> (m,)."""
        d = len(self.u)
        w = np.concatenate([self.u, self.v]) + c * points
        outputs = (w[:, :d] * w[:, d:]) @ self.x[samples].T
        return self.kappa * np.mean((outputs - self.y[samples]) ** 2, axis=1)

    def mean(self, rho: float, c: Array, norm: str) -> float:
        """E L(w + rho c * z), z_i independent N(0, 1) or U[-1, 1]."""
        nodes, weights = NODES[norm]
        size = 2 * len(self.u)
        grid = np.array(list(product(nodes, repeat=size)))
        return float(self.losses(rho * grid, c) @ np.prod(np.array(list(product(weights, repeat=size))), axis=1))

    def over_box(self, rho: float, c: Array, samples: slice = slice(None)) -> float:
        """max of L(w + c * z) over |z_i| <= rho."""
        corners = np.array(list(product((-rho, rho), repeat=2 * len(self.u))))
        return float(self.losses(corners, c, samples).max())

    def over_ball(self, rho: float, c: Array, rng: np.random.Generator, starts: int = 64, steps: int = 60) -> float:
        """A lower bound of max of L(w + c * z) over ||z||_2 <= rho: from random points z -> rho grad/||grad||, then quasi-Newton steps."""
        z = rng.standard_normal((starts, 2 * len(self.u)))
        z *= rho / np.linalg.norm(z, axis=1, keepdims=True)
        for _ in range(steps):
            gradients = self._gradients(z, c)
            lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
            z = np.where(lengths > 0, rho * gradients / np.where(lengths > 0, lengths, 1), z)
        values = self.losses(z, c)
        best, start = float(values.max()), z[values.argmax()]
        scale = best or 1.0

        def negative(g: Array) -> float:
            return -float(self.losses(rho * g[None] / np.linalg.norm(g), c)[0]) / scale

        return max(best, -scale * float(minimize(negative, start / rho, method="L-BFGS-B").fun))

    def _gradients(self, points: Array, c: Array) -> Array:
        d = len(self.u)
        w = np.concatenate([self.u, self.v]) + c * points
        slope = 2 * self.kappa * ((w[:, :d] * w[:, d:]) @ self.x.T - self.y) @ self.x / len(self.x)
        return c * np.concatenate([slope * w[:, d:], slope * w[:, :d]], axis=1)


def instances(count: int, seed: int, most: int = 3, uncorrelated: bool = False) -> Iterator[tuple[Instance, float]]:
    """Random interpolating networks, d from 1 to `most`, n from 1 to 5, every third with a zero in u or v, each with a radius rho.

    Args:
        count: how many.
        seed: of numpy's generator.
        most: the largest d.
        uncorrelated: whether Sigma = I, n >= d.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        d = int(rng.integers(1, most + 1))
        u, v = rng.standard_normal((2, d))
        if number % 3 == 0:
            (u, v)[number % 2][rng.integers(d)] = 0
        n = int(rng.integers(d, 6)) if uncorrelated else int(rng.integers(1, 6))
        x = rng.standard_normal((n, d))
        if uncorrelated:
            x = np.linalg.qr(x)[0] * np.sqrt(n)
        yield Instance(u, v, x, float(rng.uniform(0.5, 2))), float(rng.uniform(0.02, 1))
