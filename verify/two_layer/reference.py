"""Owns the readable engine: every optimizer of `verify.two_layer.optimizers`, any batch size, any network, in plain torch.

Same call as `verify.two_layer.fused.advance`, which is checked against it.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import Network
from flatproof.verify.two_layer import optimizers
from flatproof.verify.two_layer.gradient_norms import squared_gradient_norms
from flatproof.verify.two_layer.losses import objective
from flatproof.verify.two_layer.modules import ThreeLayer, TwoLayer
from flatproof.verify.two_layer.modules import module as module_of
from flatproof.verify.two_layer.settings import Phase


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
        x: (n, d). y: (n,).
        order: (epochs, n), each row the order in which an epoch visits the samples, cut into batches of phase.batch_size.
        noise: label noise alike, or None.
        loss: what the phase's optimizer minimizes, with the phase's penalty.
    Returns: the network after training, and the step at which the loss stopped being finite, or None.
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
                parameters = optimizers.sam(loss_at(targets + jitter), parameters, phase.lr, phase.rho, phase.weight_decay)
            else:
                parameters = optimizers.label_noise_sgd(loss_at, targets, jitter, parameters, phase.lr, phase.weight_decay)
            if phase.first_layer_norm is not None:
                parameters = optimizers.projected(parameters, ("w1", "b1"), phase.first_layer_norm)
            if not all(bool(p.isfinite().all()) for p in parameters.values()):
                return module.network(), step
            step += 1
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(parameters[name])
    return module.network(), None


def _loss_at(module: TwoLayer | ThreeLayer, x: Tensor, loss: Loss, phase: Phase) -> Callable[[Tensor], optimizers.Loss]:
    """Labels (b,) to the loss of the parameters on the batch x (b, d) with these labels."""
    value = objective(loss)

    def loss_at(y: Tensor) -> optimizers.Loss:
        def at(parameters: optimizers.Parameters) -> Tensor:
            fit = value(functional_call(module, parameters, (x,)), y)
            if not phase.trace_penalty:
                return fit
            return fit + phase.trace_penalty * loss.curvature_at_targets * squared_gradient_norms(module, parameters, x).mean()

        return at

    return loss_at
