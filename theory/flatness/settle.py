"""Owns where a neuron may lie that has given activations: on the kinks that it is meant to be on, otherwise as far inside as it can be."""

import numpy as np

from flatproof.theory.flatness.linear_programs import deepest
from flatproof.theory.flatness.neurons import Array, Columns, Signs

MANY = 100  # samples from which a linear program over all neurons in use takes too long
ON_KINK = 1e-6  # distance from a kink, relative to the largest, that may be the solver's error
THIN = 1e-2  # of a cell's depth, which is more than a neuron's distance from a wall that it is on


def settle(u: Array, signs: Signs, v: Array, frame: Array, inner: Array | None = None) -> tuple[Array, Array]:
    """A neuron with the same activations on D, as far inside its cell as they allow, and a direction into the cell's interior.

    Args:
        u: points, (n, r).
        signs: of the cell or face, (n,).
        v: the neuron, (r,), with S_i u_i . v >= 0 up to rounding.
        frame: an orthonormal basis of the flat that the face lies on, (r, k), the identity for a cell: points that vanish on it stay on
            the kink.
        inner: a neuron well inside the cell, if that will do for the direction; otherwise the deepest is looked for.

    Returns:
        Two neurons (r,); the direction is 0 if the neuron is inside already.
    """
    rows, z = u @ frame, frame.T @ v
    live = np.linalg.norm(rows, axis=1) > 1e-9 * np.linalg.norm(u, axis=1)
    unit = (signs[:, None] * rows)[live] / np.linalg.norm(rows[live], axis=1)[:, None]
    if (unit @ z).min() > 1e-3 * np.abs(unit @ z).max():
        return frame @ z, np.zeros_like(v)
    direction = frame @ deepest(unit, np.zeros(len(unit))) if inner is None else inner / np.linalg.norm(inner)
    depth = unit @ (frame.T @ direction)
    tight = unit[np.abs(unit @ z) < np.minimum(ON_KINK, THIN * depth) * np.abs(unit @ z).max()]
    z = z - np.linalg.lstsq(tight, tight @ z, rcond=1e-6)[0]  # onto the kinks that it is on up to the solver's accuracy
    _, s, vt = np.linalg.svd((signs > 0)[:, None] * rows, full_matrices=True)
    free = vt[int(np.sum(s > 1e-9)) :].T
    off = unit[signs[live] <= 0]
    if free.shape[1] and len(off):
        z = z + free @ deepest(off @ free, off @ z)
    return frame @ z, direction


def by_signs(neurons: Columns) -> dict[bytes, Array]:
    """The neuron of each pattern, by its signs."""
    return {signs.tobytes(): v for signs, v in zip(neurons.signs, neurons.v, strict=True)}


def insides(u: Array, rays: Columns) -> dict[bytes, Array]:
    """Neurons inside cells by their signs, where there are so MANY samples that a linear program for each takes too long."""
    return by_signs(rays) if len(u) > MANY else {}


def deep_enough(u: Array, signs: Signs, v: Array, inner: Array | None = None) -> bool:
    """Whether some neuron with the activations of v on D is inside its cell; `inner` as in `settle`."""
    live = np.linalg.norm(u, axis=1) > 0
    z = signs * (settle(u, signs, v, np.eye(u.shape[1]), inner)[0] @ u.T)
    return bool((z[live] / np.linalg.norm(u[live], axis=1)).min() > 1e-7 * np.abs(z).max())
