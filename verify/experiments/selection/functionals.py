"""Owns what may tell flattest networks with a bias from one another: numbers of a network on its training set, in closed form.

The smallest trace is the same of all of them; everything here may differ.
"""

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.networks import Network, forward, hidden, squared_gradient_norms, with_ones

Floats = NDArray[np.floating]
RADIUS = 0.2  # of 1-SAM's worst case
NAMES = {
    "top": "λ_max · n / trace",
    "log_det": "-Σ log(1 - η λ / 2) / (η trace / 2)",
    "path_norm": "path norm Σ |a_j| ‖w_j‖",
    "activations": "mean ‖h(x_i)‖_1",
    "rank": "effective rank of the features",
    "neurons": "neurons",
    "flips": "1-SAM's loss / without flips",
}


def functionals_of(network: Network, x: Floats, lr: float, neurons: int) -> dict[str, float]:
    """The functionals of an interpolating network with a bias.

    top: n λ_max / trace of the Hessian H = (2/n) J J', from 1 where all n directions are equally curved to n. log_det: label-noise SGD's
    regularizer at a finite step (Damian, Ma and Lee 2021) over its limit for small ones, infinite where ηλ >= 2. rank: participation
    ratio of the squared singular values of the activations. flips: the mean over samples of (f - y)² at a distance RADIUS along the
    sample's own gradient, over what it would be if no activation flipped.

    Args:
        network: two layers, "bias".
        x: training inputs, (n, d).
        lr: η.
        neurons: that carry something.
    """
    network = network.astype("float64")
    from flatproof.verify.curvature.two_layer.spectrum import gram  # imports torch, which is slow

    h, inputs = hidden(network, x), with_ones("bias", x)
    eigenvalues = np.maximum(np.linalg.eigvalsh(gram(network, x)) * (2 / len(x)), 0)
    trace, steps = float(eigenvalues.sum()), lr * eigenvalues / 2
    squares = np.linalg.svd(h, compute_uv=False) ** 2
    return {
        "top": float(eigenvalues[-1] * len(x) / trace),
        "log_det": float(-np.log1p(-steps).sum() / steps.sum()) if steps.max() < 1 else float("inf"),
        "path_norm": float(np.abs(network.w2) @ np.linalg.norm(network.weights, axis=1)),
        "activations": float(h.sum(axis=1).mean()),
        "rank": float(squares.sum() ** 2 / (squares**2).sum()),
        "neurons": float(neurons),
        "flips": float(displaced(network, x, inputs, h).mean() / unflipped(network, x, inputs).mean()),
    }


def displaced(network: Network, x: Floats, inputs: Floats, h: Floats) -> Floats:
    """(f(x_i) - y_i)² at θ + RADIUS ∇f(x_i) / ‖∇f(x_i)‖, and at - RADIUS, their mean, for y_i = f(x_i), (n,)."""
    a, on = network.w2, h > 0
    norms, length = np.sqrt(squared_gradient_norms(network, x)), (inputs**2).sum(axis=1)
    z, f = inputs @ network.weights.T, forward(network, x)
    losses = []
    for step in (RADIUS / norms, -RADIUS / norms):
        moved = z + step[:, None] * on * a * length[:, None]
        losses.append(((np.maximum(moved, 0) * (a + step[:, None] * h)).sum(axis=1) - f) ** 2)
    return np.asarray(np.mean(losses, axis=0))


def unflipped(network: Network, x: Floats, inputs: Floats) -> Floats:
    """The same if no activation of the sample flipped (own/flattest-1), (n,)."""
    squared, length = squared_gradient_norms(network, x), (inputs**2).sum(axis=1)
    along, across = RADIUS * np.sqrt(squared), RADIUS**2 * length * forward(network, x) / squared
    return np.asarray(along**2 + across**2)
