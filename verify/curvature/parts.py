"""Owns a small part of a problem's data as a problem of its own, and the eigenvector that a search on it finds for the search on all.

Samples are taken evenly: the i-th of m is sample floor(i n / m) of n, whatever batches they stand in. A product on the part costs m / n of
one on all data, and is counted so. What the part finds is a hint and no more: a random start that leans on it keeps its bound (`lanczos`).
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.processes import distributed
from flatproof.verify.curvature.tree import mapped, tensors_of

SHARE = 0.1  # of the samples
MOST = 2_000  # samples of a part, which is held in memory
LEAST = 3  # samples of a part, of at least 10: the top eigenvector of one or two is that of nothing else
FEW = 10  # samples of a part where that is no more than twice SHARE: fewer tell too little, and cost a product on all data


@dataclass
class Followed:
    """An eigenvector that is sought again and again while its matrix moves, as along a training.

    Attributes:
        vector: what the last search found, (P,); None before the first.
    """

    vector: Tensor | None = None

    def fitting(self, size: int, dtype: torch.dtype, device: torch.device) -> Tensor | None:
        """The vector where it fits an operator of that size, in its form; else None."""
        if self.vector is None or self.vector.shape != (size,):
            return None
        return self.vector.to(dtype=dtype, device=device)


def part_of(problem: Problem, share: float = SHARE) -> Problem | None:
    """The same problem on a part of its samples; None where samples cannot be told apart, are few, or are spread over processes.

    Args:
        problem: the whole.
        share: of the samples, at least `LEAST` and at most `MOST` of them; more where that is few (`FEW`).
    """
    wanted = math.ceil(share * problem.samples)
    few = FEW if 2 * share * problem.samples >= FEW else LEAST
    count = min(MOST, max(few, wanted))
    if distributed() or not problem.data.one_each or problem.samples < 10:
        return None
    chosen = [i * problem.samples // count for i in range(count)]
    with suppress(ValueError, TypeError, RuntimeError, IndexError):
        batches = list(_picked(problem, chosen))
        return Problem(
            problem.model,
            problem.loss_function,
            batches,
            list(problem.names),
            mode=problem.mode,
            reduction=problem.reduction,
            seed=problem.seed,
            weight_of=problem.data.weight_of,
            arithmetic=problem.arithmetic,
        )
    return None


def _picked(problem: Problem, chosen: list[int]) -> Iterator[tuple[Any, Any]]:
    """Inputs and targets of the chosen samples, batch by batch."""
    before = 0
    for batch in problem.batches():
        rows = [i - before for i in chosen if before <= i < before + batch.samples]
        before += batch.samples
        if rows:
            yield _rows(batch, rows)


def _rows(batch: Batch, rows: list[int]) -> tuple[Any, Any]:
    def rows_of(tensor: Tensor) -> Tensor:
        if tensor.ndim == 0 or len(tensor) != batch.samples:
            return tensor
        return tensor[torch.as_tensor(rows, device=tensor.device)]

    inputs = mapped(rows_of, batch.inputs)
    if batch.targets is batch.inputs:
        return inputs, inputs
    if not any(True for _ in tensors_of(batch.targets)):
        raise TypeError("targets hold no tensor whose rows could be taken")
    return inputs, mapped(rows_of, batch.targets)
