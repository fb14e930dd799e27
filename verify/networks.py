"""Owns the torch modules: the two-layer family of wen2023, sharing parameters and names with `theory.Network`."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from theory.architectures import Architecture, Network, check_architecture


class TwoLayer(nn.Module):
    """f(x) of one of the four two-layer architectures (formulas: `theory.architectures`), (n, d) -> (n,).

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
        self.epsilon = network.epsilon
        if self.architecture == "sim-bn" and train_x is None:
            raise ValueError("train_x must be given for 'sim-bn': its statistics are those of the training set")

        def parameter(value: np.ndarray | None) -> nn.Parameter | None:
            return None if value is None else nn.Parameter(torch.as_tensor(np.array(value), dtype=dtype))

        self.register_parameter("w1", parameter(network.w1))
        self.register_parameter("b1", parameter(network.b1))
        self.register_parameter("gamma", parameter(network.gamma))
        self.register_parameter("w2", parameter(network.w2))
        base = None if self.architecture != "sim-bn" else torch.as_tensor(np.array(train_x), dtype=dtype)
        self.register_buffer("train_x", base)

    def hidden(self, x: Tensor) -> Tensor:
        """relu(W1 x + b1), (n, m)."""
        return torch.relu(nn.functional.linear(x, self.w1, self.b1))

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
        values = {name: p.detach().cpu().numpy().copy() for name, p in self.named_parameters()}
        return Network(
            w1=values["w1"],
            w2=values["w2"],
            b1=values.get("b1"),
            gamma=values.get("gamma"),
            architecture=self.architecture,
            epsilon=self.epsilon,
        )
