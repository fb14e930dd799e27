"""Owns the approximate kernel: central differences of gradients, for what cannot be differentiated twice.

    H v = (g(theta + e v) - g(theta - e v)) / (2 e) + R,     e ||v|| = cbrt(u) (1 + ||theta||),   u the unit roundoff

|R| is at most (e ||v||)^2 ||v|| M3 / 6 by Taylor, M3 bounding the third derivative between the two points, plus about
u ||g|| sqrt(P) / e by rounding: the step balances the two where M3 and ||g|| are of order one. Expect 4 to 5 digits in float32's 7 to
be lost and 9 to 10 digits of float64's 16 to remain. Across a kink (ReLU) the difference also holds the jump of the gradient,
divided by the step: it then is no Hessian product.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem


def step(problem: Problem, vector: Tensor) -> float:
    """e for this vector, by the rule above."""
    norm = float(torch.linalg.vector_norm(vector.double()))
    theta = sum(float(p.detach().double().square().sum()) for p in problem.tensors) ** 0.5
    return torch.finfo(problem.dtype).eps ** (1 / 3) * (1 + theta) / norm if norm > 0 else 1.0


def gradient(problem: Problem, batch: Batch, shift: Tensor) -> Tensor:
    """The gradient of the batch's loss with the parameters moved by `shift` (P,), (P,)."""
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
        pieces = problem.unflatten(shift)
        leaves = [(p.detach() + s).requires_grad_() for p, s in zip(problem.tensors, pieces, strict=True)]
        value = problem.check_loss(problem.batch_loss(leaves, buffers, batch), batch)
        return problem.flatten(first_derivative(value, leaves))


def first_derivative(value: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """d value / d leaves; by `backward` where reentrant checkpointing insists on it."""
    try:
        return torch.autograd.grad(value, leaves, allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant" not in str(error) and "Checkpointing is not compatible" not in str(error):
            raise
    value.backward()  # type: ignore[no-untyped-call]
    return [leaf.grad for leaf in leaves]


def prepare(problem: Problem, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss up to R, (P, k) -> (P, k)."""

    def product(block: Tensor) -> Tensor:
        columns = []
        for vector in block.unbind(1):
            e = step(problem, vector)
            ahead, behind = (gradient(problem, batch, vector * side) for side in (e, -e))
            columns.append((ahead - behind) / (2 * e))
        return torch.stack(columns, dim=1)

    return product
