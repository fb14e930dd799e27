"""Random networks and data for tests; hypothesis strategies over their settings."""

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.func import functional_call

from theory import ARCHITECTURES, Network
from verify.networks import TwoLayer
from verify.objectives import mse

architectures = st.sampled_from(ARCHITECTURES)
seeds = st.integers(0, 2**32 - 2)  # so that seed + 1 is one too


def random_network(architecture: str, d: int, m: int, seed: int, scale: float = 1.0, epsilon: float = 0.3) -> Network:
    """Gaussian parameters; gamma away from 0."""
    rng = np.random.default_rng(seed)
    return Network(
        w1=scale * rng.standard_normal((m, d)),
        w2=rng.standard_normal(m),
        b1=None if architecture == "no-bias" else scale * rng.standard_normal(m),
        gamma=rng.uniform(0.5, 1.5, m) if architecture == "sim-bn" else None,
        architecture=architecture,
        epsilon=epsilon,
    )


def random_points(d: int, n: int, seed: int, signs: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaussian points, or sign vectors, with Gaussian labels."""
    rng = np.random.default_rng([seed, 1])
    x = 1.0 - 2.0 * rng.integers(0, 2, (n, d)) if signs else rng.standard_normal((n, d))
    return x, rng.standard_normal(n)


def autograd_trace(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    """Trace of the whole Hessian by double backward, float64."""
    module = TwoLayer(network, train_x=x)
    names = [name for name, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]
    sizes = [p.numel() for p in module.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    inputs, labels = torch.as_tensor(x), torch.as_tensor(y)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        parts = [part.reshape(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)]
        return mse(functional_call(module, dict(zip(names, parts, strict=True)), (inputs,)), labels)

    return float(torch.autograd.functional.hessian(loss, flat).trace())
