"""Owns the readable reference steps: gradient descent, SGD, label-noise SGD, SAM, and a projection.
The fused kernels are checked against these.

A step maps a dictionary of parameters to the next one and has no memory; `loss(parameters) -> scalar` closes over the batch.
Gradient descent is `sgd` with the whole training set as the batch. Weight decay adds `weight_decay * theta` to the gradient,
as torch.optim.SGD does, taken at the unperturbed point.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
Loss = Callable[[Parameters], Tensor]


def gradient(loss: Loss, parameters: Parameters) -> Parameters:
    """grad loss(theta), by reverse mode."""
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    grads = torch.autograd.grad(loss(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, grads, strict=True))


def norm(parameters: Parameters) -> Tensor:
    """The Euclidean norm of all parameters together, a scalar."""
    return torch.sqrt(sum((p.square().sum() for p in parameters.values()), start=torch.zeros(())))


def sgd(loss: Loss, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> Parameters:
    """theta - lr (grad L(theta) + weight_decay theta)."""
    g = gradient(loss, parameters)
    return {name: p - lr * (g[name] + weight_decay * p) for name, p in parameters.items()}


def sam(loss: Loss, parameters: Parameters, lr: float, rho: float, weight_decay: float = 0.0) -> Parameters:
    """theta - lr (grad L(theta + rho grad L / ||grad L||) + weight_decay theta), both gradients on the same batch.

    With a batch of one sample this is 1-SAM (wen2023); where the gradient is exactly zero there is no perturbation.
    """
    g = gradient(loss, parameters)
    length = float(norm(g))
    scale = rho / length if length > 0 else 0.0
    ascended = gradient(loss, {name: p + scale * g[name] for name, p in parameters.items()})
    return {name: p - lr * (ascended[name] + weight_decay * p) for name, p in parameters.items()}


def label_noise_sgd(
    loss_at: Callable[[Tensor], Loss],
    labels: Tensor,
    noise: Tensor,
    parameters: Parameters,
    lr: float,
    weight_decay: float = 0.0,
) -> Parameters:
    """An SGD step on labels + noise, with fresh noise (b,) for the batch's labels (b,): Damian et al. 2021, Li et al. 2022."""
    return sgd(loss_at(labels + noise), parameters, lr, weight_decay)


def projected(parameters: Parameters, names: Sequence[str], length: float) -> Parameters:
    """The parameters with those named (as far as there are such) scaled together to the Euclidean norm `length`."""
    together = {name: parameters[name] for name in names if name in parameters}
    factor = length / norm(together)
    return parameters | {name: factor * p for name, p in together.items()}
