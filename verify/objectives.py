"""Owns the training losses as functions of a network's outputs and labels."""

from torch import Tensor


def mse(f: Tensor, y: Tensor) -> Tensor:
    """Mean squared error (1/n) sum_i (f_i - y_i)^2 (wen2023, Setting); f, y (n,) -> scalar.

    Written out because forward-mode derivatives of the gradient of torch.nn.functional.mse_loss raise on torch 2.13.
    """
    return (f - y).square().mean()
