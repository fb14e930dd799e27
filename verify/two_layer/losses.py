"""Owns the training losses as functions of a network's outputs and labels, in torch; in numpy they are `theory.losses`."""

from collections.abc import Callable

from torch import Tensor, nn

from flatproof.theory.losses import Loss
from flatproof.verify.two_layer.modules import LINEAR


def mse(f: Tensor, y: Tensor) -> Tensor:
    """Mean squared error (1/n) sum_i (f_i - y_i)^2 (wen2023, Setting); f, y (n,) -> scalar.

    Written out because forward-mode derivatives of the gradient of torch.nn.functional.mse_loss raise on torch 2.13.
    """
    return (f - y).square().mean()


def logistic(f: Tensor, y: Tensor, smoothing: float) -> Tensor:
    """(1/n) sum_i log(1 + e^f_i) - q_i f_i, q = 1/2 + (1/2 - smoothing) y, y = -1 or 1 (wen2023/definition-A.2); f, y (n,) -> scalar.

    `theory.losses` subtracts the smallest value, a constant.
    """
    return (nn.functional.softplus(f, threshold=LINEAR) - (0.5 + (0.5 - smoothing) * y) * f).mean()


def objective(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss as a function of outputs and labels."""
    return mse if loss.name == "mse" else lambda f, y: logistic(f, y, loss.smoothing)
