"""Owns the approximate kernel: central differences of gradients, for what cannot be differentiated twice.

    H v = (g(theta + e v) - g(theta - e v)) / (2 e) + R,     e ||v|| = cbrt(u) (1 + ||theta||),   u the unit roundoff

|R| is at most (e ||v||)^2 ||v|| M3 / 6 by Taylor, M3 bounding the third derivative between the two points, plus about
u ||g|| sqrt(P) / e by rounding: the step balances the two where M3 and ||g|| are of order one. Expect 4 to 5 digits in float32's 7 to
be lost and 9 to 10 digits of float64's 16 to remain. Across a kink (ReLU) the difference also holds the jump of the gradient,
divided by the step: it then is no Hessian product. The first product takes longer steps where two do not agree. Gradients are computed in
float64 where the model can be evaluated there (`precision`).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.basis import inner_products, norm
from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.precision import wide
from flatproof.verify.curvature.problem import Problem, first_derivative, insists
from flatproof.verify.utils.memory import trim

AGREE = 1e-4  # relative, of two steps


def step(problem: Problem, vector: Tensor) -> float:
    """e for this vector, by the rule above."""
    norm = float(torch.linalg.vector_norm(vector.double()))
    theta = sum(float(p.detach().double().square().sum()) for p in problem.tensors) ** 0.5
    return torch.finfo(problem.dtype).eps ** (1 / 3) * (1 + theta) / norm if norm > 0 else 1.0


def gradient(problem: Problem, batch: Batch, shift: Tensor, factor: float = 1.0) -> Tensor:
    """The gradient of the batch's loss with the parameters moved by `factor` times `shift` (P,), (P,)."""
    return _alternating(problem, batch, shift, (factor,))[0]


@dataclass(frozen=True)
class Change:
    """What changes between theta - e v and theta + e v.

    Attributes:
        gradient: g(theta + e v) - g(theta - e v), (P,).
        length: of g(theta - e v).
        value: L(theta + e v) - L(theta - e v).
        slopes: g'v behind and ahead.
    """

    gradient: Tensor
    length: float
    value: float
    slopes: tuple[float, float]


def change(problem: Problem, batch: Batch, shift: Tensor, e: float) -> Change:
    """The change of the loss and of its gradient along `shift`, (P,); no two gradients are held at a time."""
    total, (behind, ahead) = _alternating(problem, batch, shift, (-e, e))
    return Change(total, behind.length, ahead.value - behind.value, (behind.slope, behind.slope + ahead.slope))


@dataclass(frozen=True)
class _Sum:
    """After one gradient was added: the loss there, the length of the sum and its product with the shift."""

    value: float
    length: float
    slope: float


def _alternating(problem: Problem, batch: Batch, shift: Tensor, factors: Sequence[float]) -> tuple[Tensor, list[_Sum]]:
    """The gradient at the last of one or two factors, less that at the first, and what was seen on the way."""
    total = torch.zeros(problem.size, dtype=problem.dtype, device=problem.device)
    for add in (_add, _add_whole):
        seen = []
        try:
            for factor in factors:
                trim(problem.size)
                value = add(problem, batch, problem.beside(shift, factor), total.neg_())
                slope = inner_products(total.reshape(1, -1), shift.reshape(-1, 1))
                seen.append(_Sum(value, norm(total), float(slope)))
            return total, seen
        except RuntimeError as error:
            if add is _add_whole or not insists(error):
                raise
            total.zero_()
    raise AssertionError


def _add(problem: Problem, batch: Batch, points: Sequence[Tensor], total: Tensor) -> float:
    """Add the gradient at these parameters to `total`, each parameter's as soon as it is known; the loss there."""
    places = problem.unflatten(total)
    for point, place in zip(points, places, strict=True):
        point.requires_grad_().grad = place  # a backward pass adds to it
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
        value = problem.check_loss(problem.batch_loss(points, buffers, batch), batch)
        torch.autograd.backward(value, inputs=points)
    for point, place in zip(points, places, strict=True):
        if point.grad is not None and point.grad is not place:  # or makes the sum anew
            place.copy_(point.grad)
    return float(value.detach())


def _add_whole(problem: Problem, batch: Batch, points: Sequence[Tensor], total: Tensor) -> float:
    """The same of a whole gradient."""
    leaves = [p.requires_grad_() for p in points]
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
        compute = partial(problem.batch_loss, leaves, buffers, batch)
        value, grads = first_derivative(lambda: problem.check_loss(compute(), batch), leaves)
    total.add_(problem.flatten(grads))
    return float(value.detach())


def prepare(problem: Problem, batch: Batch, stretch: float = 1.0) -> Callable[[Tensor], Tensor]:
    """The product with the Hessian of the batch's loss up to R, (P, k) -> (P, k).

    Args:
        problem: what is differentiated.
        batch: of its data.
        stretch: the step over that of the rule: another one shows R.
    """
    exact, same = wide(problem, batch)
    longer: list[float] = []

    def difference(vector: Tensor, factor: float) -> Tensor:
        e = step(exact, vector) * stretch * factor
        return change(exact, same, vector, e).gradient.div_(2 * e)

    def product(block: Tensor) -> Tensor:
        columns = []
        for vector in block.to(exact.dtype).unbind(1):
            if not longer and bool(vector.any()):
                longer.append(_settled(partial(difference, vector)))
            columns.append(difference(vector, longer[0] if longer else 1.0))
        return torch.stack(columns, dim=1).to(problem.dtype)

    return product


def _settled(difference: Callable[[float], Tensor]) -> float:
    """The first step, in units of the rule's, that the next longer one agrees with: models that round to float32 inside need long ones."""
    factors, apart = (1.0, 10.0, 100.0, 1000.0), []
    before = difference(factors[0])
    for factor, longer in itertools.pairwise(factors):
        after = difference(longer)
        apart.append(float((after - before).norm()) / max(float(before.norm()), torch.finfo(before.dtype).tiny))
        if apart[-1] <= AGREE:
            return factor
        before = after
    return factors[min(range(len(apart)), key=apart.__getitem__)]
