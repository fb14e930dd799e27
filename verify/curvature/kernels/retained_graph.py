"""Owns the kernel that keeps the differentiated graph of a gradient at a fixed point: each product is one backward pass over it.

Works for whatever autograd can differentiate twice. It keeps every activation and every signal alive, and the intermediate results of both.
"""

from collections.abc import Callable

from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels.double_backward import differentiated
from flatproof.verify.curvature.problem import Problem


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss, (P, k) -> (P, k)."""
    return differentiated(problem, batch)
