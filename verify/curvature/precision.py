"""Owns a problem in float64: the same model, whose tensors are converted wherever it and the loss read them."""

import copy
import math

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.tree import cast

STRETCH = 1 << 18  # rows that are drawn at a time
WIDE = 1 << 28  # parameters of a model up to which it is evaluated in float64


def wide(problem: Problem, batch: Batch) -> tuple[Problem, Batch]:
    """Problem and batch in float64 where model and loss can be evaluated there and are not too large; as they are otherwise."""
    count = sum(p.numel() for p in problem.model.parameters())
    if problem.dtype == torch.float64 or problem.device.type == "mps" or count > WIDE or problem.narrow:
        return problem, batch
    double = widened(problem)
    inputs, targets = cast(batch.inputs, torch.float64), cast(batch.targets, torch.float64)
    targets = inputs if batch.targets is batch.inputs else targets
    moved = Batch(inputs, targets, batch.samples, batch.weight, batch.index)
    try:
        value, before = double.batch_value(moved), problem.batch_value(batch)
    except Exception:  # the model's own code in another precision
        return problem, batch
    fits = abs(value - before) <= 0.05 * max(abs(value), abs(before)) or not math.isfinite(before)
    return (double, moved) if fits and math.isfinite(value) else (problem, batch)


def drawn(problem: Problem, columns: int, generator: torch.Generator, kept: slice = slice(None)) -> Tensor:
    """Normal numbers drawn in float64, the same whatever the parameters' precision and device, a stretch of rows at a time.

    Args:
        problem: of P parameters.
        columns: that are drawn.
        generator: on the CPU.
        kept: which of them are wanted.

    Returns:
        (P, those kept), as the parameters are.
    """
    size, begin = problem.size, 0
    out = torch.empty(size, columns, dtype=problem.dtype, device=problem.device)[:, kept].contiguous()
    # fresh memory for each stretch would take longer than the numbers
    held = torch.empty(min(size, 2 * STRETCH), columns, dtype=torch.float64, device="cpu")
    while begin < size:
        end = size if size - begin < 2 * STRETCH else begin + STRETCH  # a last stretch of some rows would be drawn in another way
        out[begin:end] = held[: end - begin].normal_(generator=generator)[:, kept]
        begin = end
    return out


def widened(problem: Problem) -> Problem:
    """The problem with float64 as its arithmetic; its data are the caller's to convert."""
    made = copy.copy(problem)
    made.arithmetic = made.dtype = torch.float64
    loss = problem.loss_function
    made.loss_function = copy.deepcopy(loss).double() if isinstance(loss, nn.Module) else loss
    made._rooms = []
    return made
