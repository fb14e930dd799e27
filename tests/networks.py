"""Random networks and data for tests; hypothesis strategies over their settings."""

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.func import functional_call

from flatproof.theory import ARCHITECTURES, MSE, Loss, Network
from flatproof.verify.two_layer import modules
from flatproof.verify.two_layer.losses import objective

architectures = st.sampled_from(ARCHITECTURES)
VARIANTS = (  # architecture, activation, depth: beyond the two-layer ReLU networks
    ("no-bias", "softplus", 2),
    ("bias", "softplus", 2),
    ("bias", "relu", 3),
)
LOGISTIC = Loss("logistic", smoothing=0.2)
seeds = st.integers(0, 2**32 - 2)  # so that seed + 1 is one too


def random_network(
    architecture: str,
    d: int,
    m: int,
    seed: int,
    scale: float = 1.0,
    epsilon: float = 0.3,
    activation: str = "relu",
    depth: int = 2,
) -> Network:
    """Gaussian parameters; gamma away from 0."""
    rng = np.random.default_rng(seed)
    return Network(
        w1=scale * rng.standard_normal((m, d)),
        w2=rng.standard_normal(m),
        b1=None if architecture == "no-bias" else scale * rng.standard_normal(m),
        gamma=rng.uniform(0.5, 1.5, m) if architecture == "sim-bn" else None,
        architecture=architecture,
        epsilon=epsilon,
        activation=activation,
        middle=rng.standard_normal((m, m)) if depth == 3 else None,
    )


def random_points(d: int, n: int, seed: int, signs: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaussian points, or sign vectors, with Gaussian labels."""
    rng = np.random.default_rng([seed, 1])
    x = 1.0 - 2.0 * rng.integers(0, 2, (n, d)) if signs else rng.standard_normal((n, d))
    return x, rng.standard_normal(n)


def autograd_trace(network: Network, x: np.ndarray, y: np.ndarray, loss: Loss = MSE) -> float:
    """Trace of the whole Hessian by double backward, float64."""
    module = modules.module(network, train_x=x)
    names = [name for name, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]
    sizes = [p.numel() for p in module.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    inputs, labels, value = torch.as_tensor(x), torch.as_tensor(y), objective(loss)

    def at(theta: torch.Tensor) -> torch.Tensor:
        parts = [part.reshape(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)]
        return value(functional_call(module, dict(zip(names, parts, strict=True)), (inputs,)), labels)

    return float(torch.autograd.functional.hessian(at, flat).trace())
