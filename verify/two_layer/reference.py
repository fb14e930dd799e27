"""Owns the readable engine, in plain torch: every optimizer, any batch size, any network. The fused kernels are checked against it.

A step maps a dictionary of parameters to the next one and has no memory; `loss(parameters) -> scalar` closes over the batch.
Gradient descent is `sgd` with the whole training set as the batch. Weight decay adds `weight_decay * theta` to the gradient,
as torch.optim.SGD does, taken at the unperturbed point.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import Network
from flatproof.verify.two_layer.gradient_norms import squared_gradient_norms
from flatproof.verify.two_layer.losses import objective
from flatproof.verify.two_layer.modules import ThreeLayer, TwoLayer
from flatproof.verify.two_layer.modules import module as module_of
from flatproof.verify.two_layer.settings import Perturbed, Phase

Parameters = dict[str, Tensor]
Objective = Callable[[Parameters], Tensor]
FIRST_LAYER = ("w1", "b1")


def gradient(loss: Objective, parameters: Parameters) -> Parameters:
    """grad loss(theta), by reverse mode."""
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    grads = torch.autograd.grad(loss(leaves), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, grads, strict=True))


def norm(parameters: Parameters) -> Tensor:
    """The Euclidean norm of all parameters together, a scalar."""
    return torch.sqrt(sum((p.square().sum() for p in parameters.values()), start=torch.zeros(())))


def sgd(loss: Objective, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> Parameters:
    """theta - lr (grad L(theta) + weight_decay theta)."""
    g = gradient(loss, parameters)
    return {name: p - lr * (g[name] + weight_decay * p) for name, p in parameters.items()}


def sam(
    loss: Objective,
    parameters: Parameters,
    lr: float,
    rho: float,
    weight_decay: float = 0.0,
    perturbed: Perturbed = "all",
) -> Parameters:
    """theta - lr (grad L(theta + rho g / ||g||) + weight_decay theta), g the gradient in the parameters perturbed, on the same batch.

    With a batch of one sample this is 1-SAM (wen2023); where g is exactly zero there is no perturbation.
    """
    names = [name for name in parameters if perturbed == "all" or (name in FIRST_LAYER) == (perturbed == "first layer")]
    g = {name: part for name, part in gradient(loss, parameters).items() if name in names}
    length = float(norm(g))
    scale = rho / length if length > 0 else 0.0
    ascended = gradient(loss, parameters | {name: parameters[name] + scale * g[name] for name in names})
    return {name: p - lr * (ascended[name] + weight_decay * p) for name, p in parameters.items()}


def label_noise_sgd(
    loss_at: Callable[[Tensor], Objective],
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


def advance(
    network: Network,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    order: NDArray[np.int64],
    noise: NDArray[np.floating] | None,
    phase: Phase,
    loss: Loss = MSE,
) -> tuple[Network, int | None]:
    """Train for the epochs that `order` lists.

    Args:
        network: starting point; its arrays' dtype is the precision of training.
        x: inputs, (n, d).
        y: labels, (n,).
        order: (epochs, n), each row the order in which an epoch visits the samples, cut into batches of phase.batch_size.
        noise: label noise, (epochs, n) in the order of the visits, or None.
        phase: the optimizer's settings; its epochs are those of `order`.
        loss: what the phase's optimizer minimizes, with the phase's penalty.

    Returns:
        The network after training, and the step at which the loss stopped being finite, or None.
    """
    dtype = torch.float32 if network.w1.dtype == np.float32 else torch.float64
    module = module_of(network, train_x=x, dtype=dtype)
    inputs, labels = torch.as_tensor(x, dtype=dtype), torch.as_tensor(y, dtype=dtype)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    step = 0
    for epoch, permutation in enumerate(torch.as_tensor(order)):
        for start in range(0, len(permutation), phase.batch_size):
            batch = permutation[start : start + phase.batch_size]
            loss_at, targets, jitter = _loss_at(module, inputs[batch], loss, phase), labels[batch], torch.zeros((), dtype=dtype)
            if noise is not None:
                jitter = torch.as_tensor(noise[epoch, start : start + phase.batch_size], dtype=dtype)
            if phase.rho:
                loss_here = loss_at(targets + jitter)
                parameters = sam(loss_here, parameters, phase.lr, phase.rho, phase.weight_decay, phase.perturbed)
            else:
                parameters = label_noise_sgd(loss_at, targets, jitter, parameters, phase.lr, phase.weight_decay)
            if phase.first_layer_norm is not None:
                parameters = projected(parameters, FIRST_LAYER, phase.first_layer_norm)
            if not all(bool(p.isfinite().all()) for p in parameters.values()):
                return module.network(), step
            step += 1
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(parameters[name])
    return module.network(), None


def _loss_at(module: TwoLayer | ThreeLayer, x: Tensor, loss: Loss, phase: Phase) -> Callable[[Tensor], Objective]:
    """Labels (b,) to the loss of the parameters on the batch x (b, d) with these labels."""
    value = objective(loss)

    def loss_at(y: Tensor) -> Objective:
        def at(parameters: Parameters) -> Tensor:
            fit = value(functional_call(module, parameters, (x,)), y)
            if not phase.trace_penalty:
                return fit
            return fit + phase.trace_penalty * loss.curvature_at_targets * squared_gradient_norms(module, parameters, x).mean()

        return at

    return loss_at
