"""Owns the kernel that pushes a tangent through a gradient with torch's forward mode: about three gradients a product, little memory.

torch 2.13 cannot push tangents through the gradient of torch.nn.functional.mse_loss ("ZeroTensors are immutable"): the loss of that
name is therefore computed here by its definition, which has the same value and derivatives. What a model detaches is constant to the
gradient but not to the tangent, which torch's forward mode carries through: for such models this kernel gives the derivative of the
computed gradient field, which need not be symmetric, and the others what differentiating twice by backward passes gives.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem


class _ByDefinition(TorchFunctionMode):
    """Within it torch.nn.functional.mse_loss is mean (or sum, or each) of squares, elementary operations only."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return _mse(*args, **kwargs) if func is F.mse_loss else func(*args, **kwargs)


def _mse(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    squares = (input - target).square()
    if weight is not None:
        squares = squares * weight
        return squares.sum() / weight.expand_as(squares).sum() if reduction == "mean" else squares.sum()
    return squares.mean() if reduction == "mean" else squares.sum() if reduction == "sum" else squares


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k)."""

    def product(block: Tensor) -> Tensor:
        with problem.prepared(batch) as buffers:
            state = torch.get_rng_state()
            points = tuple(problem.points())

            def gradient(*tensors: Tensor) -> tuple[Tensor, ...]:
                torch.set_rng_state(state)  # every vector meets the same dropout masks
                inner = {k: b.clone() for k, b in buffers.items()}
                return torch.func.grad(lambda ts: problem.batch_loss(ts, inner, batch))(tensors)

            columns = []
            with _ByDefinition(), sdpa_kernel(SDPBackend.MATH):
                for vector in block.unbind(1):
                    pieces = tuple(problem.unflatten(vector.contiguous()))
                    columns.append(problem.flatten(torch.func.jvp(gradient, points, pieces)[1]))
        return torch.stack(columns, dim=1).detach()

    return product
