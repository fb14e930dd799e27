"""Owns `verify.two_layer.training.measure` for many networks at once: float64, on the device, a few networks at a time."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatproof.verify.two_layer.fused.gpu.stack import Points, Stack

TOGETHER = 2**26  # activations in memory at a time, 512 MB each array of them


def measure(stack: Stack, train: Points, test: Points) -> dict[str, NDArray[np.float64]]:
    """Training loss, test accuracy (sign agreement for real labels), test loss and trace of the Hessian of each network, (S,) each, in
    this order; points in float64."""
    neurons = stack.a.shape[1]
    together = max(1, TOGETHER // (neurons * max(train.x.shape[1], test.x.shape[1])))
    parts = [
        _measured(stack.select(rows), train.select(rows), test.select(rows))
        for rows in torch.split(torch.arange(len(stack), device=stack.a.device), together)
    ]
    return {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}


def _measured(stack: Stack, train: Points, test: Points) -> dict[str, Tensor]:
    f, trace = _outputs_and_trace(stack, train)
    g = _outputs(_hidden(stack, test), stack)
    return {
        "train_loss": (f - train.y).square().mean(dim=1),
        "test_accuracy": (g * test.y > 0).double().mean(dim=1),
        "test_loss": (g - test.y).square().mean(dim=1),
        "trace": trace,
    }


def _hidden(stack: Stack, points: Points) -> Tensor:
    """relu of the pre-activations, (S, n, M)."""
    return torch.matmul(points.x, stack.w.double()).relu_()


def _floor(stack: Stack) -> Tensor:
    """Sim-LN's epsilon, (S, 1)."""
    return torch.as_tensor(stack.epsilon, device=stack.a.device)[:, None]


def _outputs(h: Tensor, stack: Stack) -> Tensor:
    """f, (S, n)."""
    f = torch.einsum("snm,sm->sn", h, stack.a.double())
    return f / torch.maximum(h.norm(dim=2), _floor(stack)) if stack.architecture == "sim-ln" else f


def _outputs_and_trace(stack: Stack, points: Points) -> tuple[Tensor, Tensor]:
    """f (S, n), and the trace (S,) as `theory.trace_of_hessian` has it: squared gradient norms and the residual term."""
    h, a = _hidden(stack, points), stack.a.double()
    on, length = (h > 0).double(), points.x.square().sum(dim=2)
    f = _outputs(h, stack)
    if stack.architecture != "sim-ln":
        norms = length * torch.einsum("snm,sm->sn", on, a.square()) + h.square().sum(dim=2)
        return f, 2 * norms.mean(dim=1)
    norm, floor = h.norm(dim=2), _floor(stack)
    scale, above = torch.maximum(norm, floor), norm > floor
    unit = h / scale[..., None]
    signal = on * (a[:, None, :] - torch.where(above, f, 0)[..., None] * unit) / scale[..., None]
    laplacian = torch.where(above, -length * (on.sum(dim=2) - 1) * f / scale.square(), 0)
    norms = length * signal.square().sum(dim=2) + unit.square().sum(dim=2)
    return f, 2 * (norms + (f - points.y) * laplacian).mean(dim=1)
