"""Owns the reference kernel: H v as the gradient of (gradient . v), graph and all rebuilt for every call, nothing kept between calls.

About four to six forward passes a product; a block builds the graph once for all its vectors.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k)."""
    return lambda block: differentiated(problem, batch)(block)


def differentiated(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The same with the graph of the gradient built now and held for as long as the function returned."""
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
        leaves = problem.leaves()
        value = problem.check_loss(problem.batch_loss(leaves, buffers, batch), batch)
        grads = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True)
    moving = [(n, g) for n, g in enumerate(grads) if g is not None and g.requires_grad]
    heads = [g for _, g in moving]

    def product(block: Tensor) -> Tensor:
        if not heads:
            return torch.zeros_like(block)
        columns = []
        with problem.prepared(batch) as buffers:  # where checkpointing computes anew
            problem.place(leaves, buffers)
            for vector in block.unbind(1):
                pieces = problem.unflatten(vector.contiguous())
                along = [pieces[n] for n, _ in moving]
                products = torch.autograd.grad(heads, leaves, along, retain_graph=True, allow_unused=True)
                columns.append(problem.flatten(products))
        return torch.stack(columns, dim=1)

    return product
