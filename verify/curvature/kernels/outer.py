"""Owns the products with J' C J: the Jacobian's tangent, a small matrix on the outputs, the Jacobian's transpose, all linearized once.

Outputs are one tensor or any nest of them; those that the loss reads count, one after another.
Both directions are recorded (`tape`); where a model cannot be recorded, the tangent is the derivative of the transposed product with
respect to what it is applied to (double backward), over a kept graph.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from flatproof.verify.curvature.batches import Batch, brief
from flatproof.verify.curvature.kernels.tangents import Unsupported
from flatproof.verify.curvature.kernels.tape import Tape
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.tree import filled, tensors_of

Middle = Callable[[Sequence[Tensor]], list[Tensor]]
Slopes = Callable[[Any], tuple[list[int], Middle]]


class Outer:
    """J' C J of one batch, (P, k) -> (P, k).

    Args:
        problem: what is differentiated.
        batch: of its data.
        middle: outputs -> the places of the tensors in them that the loss reads, and C on tangents of these.
        recorded: whether tangents are replayed from a tape, or come by a kept graph.

    Attributes:
        bytes: what it keeps.
        places: which of the outputs' tensors move.
        middle: C, on tangents of these.
    """

    def __init__(self, problem: Problem, batch: Batch, middle: Slopes, recorded: bool = True) -> None:
        self.problem = problem
        try:
            if not recorded:
                raise Unsupported("not wanted")
            self._record(batch, middle)
        except Unsupported:
            self._keep_graph(batch, middle)

    def read(self, outputs: Any) -> list[Tensor]:
        """The tensors among the outputs that move."""
        every = list(tensors_of(outputs))
        return [every[n] for n in self.places]

    def _record(self, batch: Batch, middle: Slopes) -> None:
        problem, ahead = self.problem, Tape()
        leaves = problem.leaves()
        sources = [ahead.watch(leaf) for leaf in leaves]
        with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
            with ahead, ahead.watcher():
                outputs = problem.outputs(leaves, buffers, batch)
            self.places, self.middle = middle(outputs)
            read = self.read(outputs)
            back = Tape()
            back.forward = False
            seeds = [torch.zeros_like(z, requires_grad=False) for z in read]
            marks = [back.watch(seed) for seed in seeds]
            with back, back.watcher():
                grads = torch.autograd.grad(read, leaves, seeds, allow_unused=True)
        forth = ahead.program(sources, read)
        transposed = back.program(marks, grads)
        self.bytes = forth.bytes + transposed.bytes
        self.forth: Callable[[Sequence[Tensor]], list[Tensor]] = lambda pieces: [
            torch.zeros_like(seed) if t is None else t for t, seed in zip(forth(pieces), seeds, strict=True)
        ]
        self.back: Callable[[Sequence[Tensor]], Sequence[Tensor | None]] = transposed

    def _keep_graph(self, batch: Batch, middle: Slopes) -> None:
        problem = self.problem
        with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH):
            leaves = problem.leaves()
            outputs = problem.outputs(leaves, buffers, batch)
            self.places, self.middle = middle(outputs)
            read = self.read(outputs)
            # not 0: logcumsumexp's way back takes logarithms of them
            seeds = [torch.ones_like(z, requires_grad=True) for z in read]
            pulled = torch.autograd.grad(read, leaves, seeds, create_graph=True, allow_unused=True)
        moving = [(n, g) for n, g in enumerate(pulled) if g is not None]
        heads = [g for _, g in moving]
        self.bytes = 0

        def forth(pieces: Sequence[Tensor]) -> list[Tensor]:
            with problem.prepared(batch) as buffers:  # where checkpointing computes anew
                problem.place(leaves, buffers)
                along = [pieces[n] for n, _ in moving]
                return list(
                    torch.autograd.grad(heads, seeds, along, retain_graph=True, allow_unused=True, materialize_grads=True)
                )

        def back(u: Sequence[Tensor]) -> Sequence[Tensor | None]:
            with problem.prepared(batch) as buffers:
                problem.place(leaves, buffers)
                return torch.autograd.grad(read, leaves, list(u), retain_graph=True, allow_unused=True)

        self.forth, self.back = forth, back

    def __call__(self, block: Tensor) -> Tensor:
        """The product with k vectors, (P, k) -> (P, k)."""
        columns = []
        with torch.no_grad():
            for vector in block.unbind(1):
                moved = self.forth(self.problem.unflatten(vector.contiguous()))
                columns.append(self.problem.flatten(self.back(self.middle(moved))))
        return torch.stack(columns, dim=1)

    def form(self, vector: Tensor) -> float:
        """v'J'CJv, v (P,)."""
        with torch.no_grad():
            moved = self.forth(self.problem.unflatten(vector))
            return float(sum((t * bent).sum(dtype=torch.float64) for t, bent in zip(moved, self.middle(moved), strict=True)))


def gauss_newton(problem: Problem, batch: Batch, recorded: bool = True) -> Outer:
    """J' C J with C the Hessian of the loss with respect to the outputs.

    Args:
        problem: what is differentiated.
        batch: of its data.
        recorded: whether tangents are replayed from a tape, or come by a kept graph.
    """

    def middle(outputs: Any) -> tuple[list[int], Middle]:
        with torch.enable_grad():
            places, z, slopes = _loss_slopes(problem, batch, outputs, create_graph=True)
        bent = [slope for slope in slopes if slope.requires_grad]
        if not bent and all(t.numel() == 1 for t in z):
            raise ValueError(
                "the loss is among the model's outputs: this matrix needs a loss of its outputs, as of outputs.logits"
            )

        def apply(tangents: Sequence[Tensor]) -> list[Tensor]:
            if not bent:
                return [torch.zeros_like(t) for t in tangents]
            along = [t for t, slope in zip(tangents, slopes, strict=True) if slope.requires_grad]
            return list(torch.autograd.grad(bent, z, along, retain_graph=True, allow_unused=True, materialize_grads=True))

        return places, apply

    return Outer(problem, batch, middle, recorded)


def fisher(problem: Problem, batch: Batch, recorded: bool = True) -> Outer:
    """J' C J with C block-diagonal: the outer product of each sample's own slope of the loss with respect to its outputs.

    Args:
        problem: what is differentiated.
        batch: of its data.
        recorded: whether tangents are replayed from a tape, or come by a kept graph.
    """

    def middle(outputs: Any) -> tuple[list[int], Middle]:
        with torch.enable_grad():
            places, _, slopes = _loss_slopes(problem, batch, outputs, create_graph=False)
        wrong = next((slope for slope in slopes if slope.ndim == 0 or len(slope) != batch.samples), None)
        if wrong is not None:
            raise ValueError(
                f"outputs must have one row a sample for the Fisher matrix, got {tuple(wrong.shape)} for {batch.samples}"
            )
        # the mean's slope is 1/n of each sample's own; the weights of the batches then give 1/n of the sum of g g'
        scale = float(batch.samples) if problem.mean else 1.0

        def apply(tangents: Sequence[Tensor]) -> list[Tensor]:
            along = torch.stack([(g * t).reshape(len(t), -1).sum(1) for g, t in zip(slopes, tangents, strict=True)]).sum(0)
            return [slope * (scale * along).reshape(-1, *[1] * (slope.ndim - 1)) for slope in slopes]

        return places, apply

    return Outer(problem, batch, middle, recorded)


def _loss_slopes(
    problem: Problem, batch: Batch, outputs: Any, create_graph: bool
) -> tuple[list[int], list[Tensor], list[Tensor]]:
    """Which of the outputs' tensors the loss reads, these as leaves, and its slopes in them."""
    every = list(tensors_of(outputs))
    moving = [n for n, t in enumerate(every) if t.requires_grad]
    if not moving:
        raise ValueError(f"the model's outputs ({brief(outputs)}) must depend on the chosen parameters, they have no grad")
    z = [t.detach().requires_grad_() if n in moving else t for n, t in enumerate(every)]
    value = problem.check_loss(problem.compare(filled(outputs, iter(z)), batch), batch)
    slopes = torch.autograd.grad(value, [z[n] for n in moving], create_graph=create_graph, allow_unused=True)
    read = [(n, slope) for n, slope in zip(moving, slopes, strict=True) if slope is not None]
    return [n for n, _ in read], [z[n] for n, _ in read], [slope for _, slope in read]
