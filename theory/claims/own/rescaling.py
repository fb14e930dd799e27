"""Owns own/rescaling-1: what rescaling the layers of a ReLU network does to keskar2017's metric."""

from collections.abc import Iterator

import numpy as np
import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.networks import Network, forward, loss


@own_claim(
    "rescaling-1",
    """Keskar's metric with A = I, phi = 100 (max over |z_p| <= epsilon (|theta_p| + 1) of L(theta + z) - L(theta)) / (1 + L(theta)), of a
    two-layer ReLU network and the mean squared error has no bound along W1 -> alpha W1, W2 -> W2/alpha, which leaves the network's function
    as it is, for every epsilon > 0, as soon as some neuron is active at some sample.""",
)
def rescaling_1() -> Iterator[Evidence]:
    """Keskar's metric under rescaling of the layers.

    The box allows epsilon in each output weight, whose neuron then has height alpha relu(z): the sample's residual r becomes
    r + epsilon alpha relu(z).
    """
    alpha, eps, h, a, r = sp.symbols("alpha epsilon h a r", positive=True)
    require(sp.simplify((a / alpha) * (alpha * h) - a * h) == 0, "rescaling changes the function")
    moved = (a / alpha + eps) * (alpha * h) - a * h
    require(sp.simplify(moved - eps * alpha * h) == 0, "the output does not move by epsilon alpha h")
    require(sp.limit((r + moved) ** 2, alpha, sp.oo) == sp.oo, "the sample's loss is bounded")
    yield Evidence(
        "proved",
        "symbolic, one output weight and one sample; the others add squares",
        "every width, dimension, sample set, network and epsilon > 0 with an active neuron",
        "epsilon <= epsilon (|a|/alpha + 1) is allowed, and L(theta + z) >= (r + epsilon alpha relu(z))²/n goes to infinity while L(theta) "
        "stays.",
    )
    rng = np.random.default_rng(0)
    w1, w2, x = rng.standard_normal((3, 2)), rng.standard_normal(3), rng.standard_normal((5, 2))
    y = forward(Network(w1=w1, w2=w2), x)
    reached = []
    for scale in (1.0, 10.0, 100.0):
        network, bumped = (Network(w1=scale * w1, w2=w2 / scale + shift) for shift in (0.0, 1e-3))
        require(np.allclose(forward(network, x), y, rtol=1e-12), "rescaling changes the outputs")
        reached.append(100 * (loss(bumped, x, y) - loss(network, x, y)) / (1 + loss(network, x, y)))
    require(np.allclose(np.divide(reached[1:], reached[:-1]), 100, rtol=1e-6), "the increase does not grow as alpha²")
    yield Evidence(
        "tested",
        "floating point: one point of the box, epsilon = 1e-3",
        "one random network of width 3, five samples; alpha = 1, 10, 100",
        "the loss increases as alpha² there",
    )
