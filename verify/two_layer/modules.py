"""Owns the torch modules: the networks of wen2023, sharing parameters and names with `theory.Network`."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from flatproof.theory.networks import Architecture, Network, check_architecture

# Softplus is z itself beyond this, up to e^-40, below float64's rounding; e^z times a gradient must not overflow in float32.
LINEAR = 40.0


def parameter(value: np.ndarray | None, dtype: torch.dtype) -> nn.Parameter | None:
    """A copy of an array to be trained."""
    return None if value is None else nn.Parameter(torch.as_tensor(np.array(value), dtype=dtype))


class TwoLayer(nn.Module):
    """f(x) of one of the four two-layer architectures (formulas: `theory.networks`), (n, d) -> (n,).

    Parameters: w1 (m, d), b1 (m,) unless "no-bias", gamma (m,) for "sim-bn", w2 (m,). Sim-BN normalizes every input with the
    statistics of the whole training set `train_x` (n, d), recomputed from the current parameters at each call and
    differentiated through; neither mean subtraction nor shift. A neuron that is dead on the training set outputs 0.
    """

    w1: nn.Parameter
    b1: nn.Parameter | None
    gamma: nn.Parameter | None
    w2: nn.Parameter
    train_x: Tensor | None

    def __init__(self, network: Network, train_x: ArrayLike | None = None, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.architecture: Architecture = check_architecture(network.architecture)
        self.epsilon, self.activation = network.epsilon, network.activation
        if network.depth != 2:
            raise ValueError(f"network must have two layers, got {network.depth}; expected ThreeLayer")
        if self.architecture == "sim-bn" and train_x is None:
            raise ValueError("train_x must be given for 'sim-bn': its statistics are those of the training set")
        for name in ("w1", "b1", "gamma", "w2"):
            self.register_parameter(name, parameter(getattr(network, name), dtype))
        base = None if self.architecture != "sim-bn" else torch.as_tensor(np.array(train_x), dtype=dtype)
        self.register_buffer("train_x", base)

    def hidden(self, x: Tensor) -> Tensor:
        """relu(W1 x + b1), or softplus, (n, m)."""
        z = nn.functional.linear(x, self.w1, self.b1)
        return torch.relu(z) if self.activation == "relu" else nn.functional.softplus(z, threshold=LINEAR)

    def forward(self, x: Tensor) -> Tensor:
        """f(x), (n,)."""
        h = self.hidden(x)
        if self.train_x is not None and self.gamma is not None:
            square = self.hidden(self.train_x).square().mean(dim=0)
            alive = square > 0
            s = torch.where(alive, square, 1).sqrt()
            h = torch.where(alive, self.gamma * h / s, 0)
        f = h @ self.w2
        if self.architecture == "sim-ln":
            # the norm's gradient at 0 is undefined; there the floor epsilon is in force and 0 is its derivative
            square = h.square().sum(dim=1)
            above = square > self.epsilon**2
            f = f / torch.where(above, torch.where(above, square, 1).sqrt(), self.epsilon)
        return f

    def network(self) -> Network:
        """The same network in numpy, for theory's closed forms."""
        return Network(**_arrays(self), architecture=self.architecture, epsilon=self.epsilon, activation=self.activation)


class ThreeLayer(nn.Module):
    """W3 relu(W2 relu(W1 x + b1)), (n, d) -> (n,). Parameters: w1 (m, d), b1 (m,), middle (m, m), w2 (m,), the last layer."""

    w1: nn.Parameter
    b1: nn.Parameter
    middle: nn.Parameter
    w2: nn.Parameter

    def __init__(self, network: Network, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        if network.depth != 3:
            raise ValueError(f"network must have three layers, got {network.depth}; expected TwoLayer")
        for name in ("w1", "b1", "middle", "w2"):
            self.register_parameter(name, parameter(getattr(network, name), dtype))

    def forward(self, x: Tensor) -> Tensor:
        """f(x), (n,)."""
        h = torch.relu(nn.functional.linear(x, self.w1, self.b1))
        return torch.relu(nn.functional.linear(h, self.middle)) @ self.w2

    def network(self) -> Network:
        """The same network in numpy, for theory's closed forms."""
        return Network(**_arrays(self), architecture="bias")  # type: ignore[arg-type]


def _arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().cpu().numpy().copy() for name, p in module.named_parameters()}


def module(network: Network, train_x: ArrayLike | None = None, dtype: torch.dtype = torch.float64) -> TwoLayer | ThreeLayer:
    """The torch module of a network, its parameters copied."""
    return TwoLayer(network, train_x, dtype) if network.depth == 2 else ThreeLayer(network, dtype)
