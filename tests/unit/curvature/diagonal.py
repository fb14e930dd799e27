"""Diagonal linear networks f(x) = <u * v, x> at interpolation, for tests: L = kappa ||X (u * v - beta)||^2 / n."""

import torch
from torch import Tensor, nn

from flatproof.verify.curvature import Problem


class Diagonal(nn.Module):
    """x -> <u * v, x>."""

    def __init__(self, u: Tensor, v: Tensor) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(u.clone()), nn.Parameter(v.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v)


def drawn(d: int, seed: int) -> tuple[Tensor, Tensor]:
    """u and v, (d,) each, standard normal."""
    generator = torch.Generator().manual_seed(seed)
    u, v = (torch.randn(d, generator=generator, dtype=torch.float64) for _ in range(2))
    return u, v


def at_interpolation(u: Tensor, v: Tensor, x: Tensor | None = None, kappa: float = 1.0) -> Problem:
    """The problem on data x, (n, d), with the network's own outputs as targets; without data Sigma = X'X/n = I."""
    d = len(u)
    x = torch.eye(d, dtype=u.dtype) * d**0.5 if x is None else x
    return Problem(Diagonal(u, v), lambda out, y: kappa * (out - y).square().mean(), (x, (x @ (u * v)).detach()))
