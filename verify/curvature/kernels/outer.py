"""Owns the products with J' C J: the Jacobian's tangent, a small matrix on the outputs, the Jacobian's transpose, all linearized once.

Both directions are recorded (`tape`); where a model cannot be recorded, the tangent is the derivative of the transposed product with
respect to what it is applied to (double backward), over a kept graph.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels.tangents import Unsupported
from flatproof.verify.curvature.kernels.tape import Tape
from flatproof.verify.curvature.problem import Problem

Middle = Callable[[Tensor], Tensor]


class Outer:
    """J' C J of one batch, (P, k) -> (P, k). `bytes` is what it keeps."""

    def __init__(self, problem: Problem, batch: Batch, middle: Callable[[Tensor], Middle], recorded: bool = True) -> None:
        self.problem = problem
        try:
            if not recorded:
                raise Unsupported("not wanted")
            self._record(batch, middle)
        except Unsupported:
            self._keep_graph(batch, middle)

    def _record(self, batch: Batch, middle: Callable[[Tensor], Middle]) -> None:
        problem, ahead = self.problem, Tape()
        leaves = problem.leaves()
        sources = [ahead.watch(leaf) for leaf in leaves]
        with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
            with ahead, ahead.watcher():
                outputs = _tensor(problem.outputs(leaves, buffers, batch))
            self.middle = middle(outputs)
            back = Tape()
            back.forward = False
            seed = torch.zeros_like(outputs, requires_grad=False)
            source = back.watch(seed)
            with back, back.watcher():
                grads = torch.autograd.grad(outputs, leaves, seed, allow_unused=True)
        forth = ahead.program(sources, [outputs])
        transposed = back.program([source], grads)
        self.bytes = forth.bytes + transposed.bytes
        self.forth: Callable[[Sequence[Tensor]], Tensor | None] = lambda pieces: forth(pieces)[0]
        self.back: Callable[[Tensor], Sequence[Tensor | None]] = lambda u: transposed([u])

    def _keep_graph(self, batch: Batch, middle: Callable[[Tensor], Middle]) -> None:
        problem = self.problem
        with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
            leaves = problem.leaves()
            outputs = _tensor(problem.outputs(leaves, buffers, batch))
            self.middle = middle(outputs)
            seed = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(outputs, leaves, seed, create_graph=True, allow_unused=True)
        moving = [(n, g) for n, g in enumerate(pulled) if g is not None]
        heads = [g for _, g in moving]
        self.bytes = 0

        def forth(pieces: Sequence[Tensor]) -> Tensor | None:
            with problem.prepared(batch) as buffers:  # where checkpointing computes anew
                problem.place(leaves, buffers)
                return torch.autograd.grad(heads, seed, [pieces[n] for n, _ in moving], retain_graph=True)[0]

        def back(u: Tensor) -> Sequence[Tensor | None]:
            with problem.prepared(batch) as buffers:
                problem.place(leaves, buffers)
                return torch.autograd.grad(outputs, leaves, u, retain_graph=True, allow_unused=True)

        self.forth, self.back = forth, back

    def __call__(self, block: Tensor) -> Tensor:
        """The product with k vectors, (P, k) -> (P, k)."""
        columns = []
        with torch.no_grad():
            for vector in block.unbind(1):
                moved = self.forth(self.problem.unflatten(vector.contiguous()))
                if moved is None:
                    columns.append(torch.zeros_like(vector))
                    continue
                columns.append(self.problem.flatten(self.back(self.middle(moved))))
        return torch.stack(columns, dim=1)


def gauss_newton(problem: Problem, batch: Batch, recorded: bool = True) -> Outer:
    """J' C J with C the Hessian of the loss with respect to the outputs.

    Args:
        problem: what is differentiated.
        batch: of its data.
        recorded: whether tangents are replayed from a tape, or come by a kept graph.
    """

    def middle(outputs: Tensor) -> Middle:
        with torch.enable_grad():
            z, slope = _loss_slope(problem, batch, outputs, create_graph=True)

        def apply(tangent: Tensor) -> Tensor:
            if not slope.requires_grad:
                return torch.zeros_like(tangent)
            bent: Any = torch.autograd.grad(slope, z, tangent, retain_graph=True, allow_unused=True)[0]
            return torch.zeros_like(tangent) if bent is None else bent

        return apply

    return Outer(problem, batch, middle, recorded)


def fisher(problem: Problem, batch: Batch, recorded: bool = True) -> Outer:
    """J' C J with C block-diagonal: the outer product of each sample's own slope of the loss with respect to its outputs.

    Args:
        problem: what is differentiated.
        batch: of its data.
        recorded: whether tangents are replayed from a tape, or come by a kept graph.
    """

    def middle(outputs: Tensor) -> Middle:
        with torch.enable_grad():
            slope = _loss_slope(problem, batch, outputs, create_graph=False)[1]
        if len(slope) != batch.samples:
            raise ValueError(
                f"outputs must have one row a sample for the Fisher matrix, got {tuple(slope.shape)} for {batch.samples}"
            )
        # the mean's slope is 1/n of each sample's own; the weights of the batches then give 1/n of the sum of g g'
        scale = float(batch.samples) if problem.mean else 1.0

        def apply(tangent: Tensor) -> Tensor:
            along = (slope * tangent).flatten(1).sum(1) if slope.ndim > 1 else slope * tangent
            return slope * (scale * along).reshape(-1, *[1] * (slope.ndim - 1))

        return apply

    return Outer(problem, batch, middle, recorded)


def _loss_slope(problem: Problem, batch: Batch, outputs: Tensor, create_graph: bool) -> tuple[Tensor, Tensor]:
    z = outputs.detach().requires_grad_()
    value = problem.check_loss(problem.compare(z, batch), batch)
    return z, torch.autograd.grad(value, z, create_graph=create_graph)[0]


def _tensor(outputs: Any) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise TypeError(f"the model's outputs must be one tensor for this matrix, got a {type(outputs).__name__}")
    if not outputs.requires_grad:
        raise ValueError("the model's outputs must depend on the chosen parameters, they have no grad")
    return outputs
