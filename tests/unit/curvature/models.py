"""Small networks, their data and losses, and Hessians of them by torch.autograd.functional."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

EXACT = ("linearize", "retained-graph", "forward-over-reverse", "double-backward")
CLOSE = 1e-10


def explicit(model: nn.Module, total: Callable[[Callable[[Tensor], Any]], Tensor]) -> Tensor:
    """The Hessian of total(x -> model(x)) by torch.autograd.functional, (P, P)."""
    shapes = {n: p.shape for n, p in model.named_parameters()}
    sizes = [p.numel() for p in model.parameters()]

    def function(theta: Tensor) -> Tensor:
        parts = dict(zip(shapes, (t.reshape(s) for t, s in zip(theta.split(sizes), shapes.values(), strict=True)), strict=True))
        return total(lambda x: functional_call(model, parts, (x,)))

    return torch.autograd.functional.hessian(function, torch.cat([p.detach().reshape(-1) for p in model.parameters()]))


def error(computed: Tensor, wanted: Tensor) -> float:
    return float(((computed - wanted).abs().max() / wanted.abs().max()).detach())


def mlp(activation: type[nn.Module] = nn.GELU, out: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, out)).double()


def cnn(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 3),
    ).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn_like(module.bias).detach()
            module.running_var = torch.rand_like(module.bias).detach() + 0.5
    return model


def images(n: int = 7) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 1, 6, 6, dtype=torch.float64), torch.randint(3, (n,))


def points(n: int = 9) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 4, dtype=torch.float64), torch.randint(3, (n,))


def smoothed_logistic(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs[:, 0], 0.9 * (targets > 0).to(outputs) + 0.05)


def one_hot_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, F.one_hot(targets, 3).to(outputs))


LOSSES = {
    "mse": one_hot_mse,
    "cross-entropy": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "logistic": smoothed_logistic,
}


def sure(c: float, dtype: torch.dtype) -> tuple[nn.Module, tuple[Tensor, Tensor], Tensor]:
    """Rows -c e_1 and c e_1, 50 points on the right side, and the Hessian in closed form: p(1 - p) = e^-z / (1 + e^-z)^2."""
    x = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] += x[:, 0].sign()
    x = x.float().double()
    model = nn.Linear(5, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.outer(torch.tensor([-c, c]), torch.eye(5)[0]))
    z = 2 * float(model.weight.detach()[1, 0]) * x[:, 0].abs()
    A = (x * (torch.exp(-z) / (1 + torch.exp(-z)) ** 2)[:, None]).T @ x / 50
    H = torch.kron(torch.tensor([[1.0, -1], [-1, 1]], dtype=torch.float64), A)
    return model.to(dtype), (x.to(dtype), (x[:, 0] > 0).long()), H
