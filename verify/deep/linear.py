"""Owns the speed of linear layers on the CPU: within `onednn_linear`, F.linear and its two gradients are computed by oneDNN.

torch gives float32 products of matrices to its BLAS. Where that is MKL on a processor of another maker, it leaves half of the vector
width unused; oneDNN, which torch carries for convolutions, does not: 2.2 times as fast on an AMD EPYC (784 -> 512, 64 to 1000 images,
forward and both gradients). Same products, float32 throughout, another order of summation. Small layers are left alone: taking them
over costs more than it gains.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

WORTHWHILE = 8_000_000  # products of two numbers in a layer's forward pass; measured on one core

_routine: Callable[..., Tensor] | None = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]
)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W' + b by oneDNN, which must be `available`.

    Args:
        x: (n, d), any strides.
        weight: (m, d), any strides.
        bias: (m,), or None.
    """
    assert _routine is not None
    return _routine(x, weight, bias, "none", [], "")


def available() -> bool:
    """Whether this torch has oneDNN."""
    return _routine is not None


class _Linear(torch.autograd.Function):
    """x (n, d), W (m, d), b (m,) -> x W' + b; with g the gradient in it: g W, g' x, and the sum of g's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        return (
            product(g, weight.t(), None) if needed[0] else None,
            product(g.t(), x.t(), None) if needed[1] else None,
            g.sum(0) if needed[2] else None,
        )


class _Mode(TorchFunctionMode):
    """Takes over F.linear for matrices of float32 on the CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and not kwargs and len(args) == 3:
            x, weight, bias = args
            plain = x.ndim == 2 and x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
            if plain and len(x) * weight.numel() >= WORTHWHILE:
                return _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


@contextmanager
def onednn_linear(model: nn.Module, batch_size: int) -> Iterator[None]:
    """Within the block F.linear on such batches has first derivatives only; nothing changes without oneDNN or layers worth it."""
    widest = max((m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear)), default=0)
    if not available() or batch_size * widest < WORTHWHILE:
        yield
        return
    with _Mode():
        yield
