"""Owns the equations of interpolation, sum_k side_k D_k U v_k = y, in the form in which they are solved: one for every ray of samples.

In the plane, of three neighbouring samples a u_1 + b u_2 + c u_3 = 0 for some numbers, and so a h_1 + b h_2 + c h_3 = 0 for what a neuron
gives them unless its kink passes between them: second differences. They say the same, but a neuron enters few of them, and the large
sums that nearly cancel for neighbours of different labels do not arise. Two samples far apart keep their equations as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.flatness.neurons import Array, Signs

Index = NDArray[np.intp]
APART = 1e-9  # sine of the angle between neighbours from which differences are taken


@dataclass(frozen=True)
class Equations:
    """q equations, each sum_j weights_j h[index_j] over three samples, or one (`alone`), whose other weights are 0.

    Attributes:
        index: (q, 3).
        weights: (q, 3).
        alone: (q,).
        samples: n.
    """

    index: Index
    weights: Array
    alone: NDArray[np.bool_]
    samples: int

    @classmethod
    def of(cls, u: Array, signs: Signs) -> "Equations":
        """The equations of samples u (n, r), of which all patterns (M, n) are known: those on one ray have the same signs in each."""
        rays = np.unique(signs.T, axis=0, return_index=True)[1]
        rays = np.sort(rays[u[rays].any(axis=1)])
        if u.shape[1] == 2 and len(rays) > 3:
            unit = u[rays] / np.linalg.norm(u[rays], axis=1, keepdims=True)
            order = np.argsort(np.arctan2(unit[:, 1], unit[:, 0]), kind="stable")
            rays, unit = rays[order], unit[order]
            apart = _sine(unit, np.roll(unit, -1, axis=0))
            if np.abs(apart).min() > APART:
                index = np.stack([np.roll(rays, 1), rays, np.roll(rays, -1)], axis=1)
                before, middle, after = (u[column] for column in index.T)
                weights = np.stack([_sine(middle, after), _sine(after, before), _sine(before, middle)], axis=1)
                weights /= np.abs(weights).max(axis=1, keepdims=True)
                alone = np.zeros(len(rays), bool)
                alone[[0, int(np.abs(_sine(unit[:1], unit)).argmax())]] = True
                index[alone] = index[alone, 1:2]
                weights[alone] = 1.0, 0.0, 0.0
                return cls(index, weights, alone, len(u))
        return cls(np.stack([rays] * 3, axis=1), np.tile([1.0, 0.0, 0.0], (len(rays), 1)), np.ones(len(rays), bool), len(u))

    def right(self, y: Array) -> Array:
        """The right-hand sides for labels (n,): (q,)."""
        return np.sum(self.weights * y[self.index], axis=1)

    def activations(self, u: Array, signs: Signs) -> Array:
        """The matrices that take neurons of patterns (M, n) to what they add to the equations, (M, r, q).

        Sums over two of three samples are minus the term of the third, without cancellation.
        """
        on = signs > 0
        out = np.zeros((len(signs), u.shape[1], len(self.index)))
        rows = np.flatnonzero(self.alone)
        out[:, :, rows] = np.where(on[:, None, self.index[rows, 0]], u[self.index[rows, 0]].T, 0.0)
        rows = np.flatnonzero(~self.alone)
        seen = on[:, self.index[rows]]
        flipped = seen.sum(axis=2, keepdims=True) > 1
        terms = self.weights[rows, :, None] * u[self.index[rows]]
        out[:, :, rows] = np.einsum("mqj,qjr->mrq", (seen != flipped) * np.where(flipped, -1.0, 1.0), terms)
        return out

    def dual(self, multipliers: Array) -> Array:
        """The dual point (n,) of the labels' equations from that of these, (q,)."""
        out = np.zeros(self.samples)
        np.add.at(out, self.index, self.weights * multipliers[:, None])
        return out


def _sine(a: Array, b: Array) -> Array:
    """The area that vectors of the plane span, with its sign."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
