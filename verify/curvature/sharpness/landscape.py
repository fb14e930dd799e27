"""Owns the loss and its gradient at displaced parameters, L_S(w + delta), which every definition by a maximum or a mean needs."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.estimates import Estimate, data_of
from flatproof.verify.curvature.examination import examine
from flatproof.verify.curvature.problem import Problem, first_derivative
from flatproof.verify.curvature.processes import reduced, summed
from flatproof.verify.curvature.shared import once
from flatproof.verify.utils.checks import check_one_of, check_whole

Logits = Literal["plain", "normalized", "standardized"]
LEAST = 1e-10  # norm of logits below which they are not made longer


class Landscape:
    """The loss of a problem as a function of the displacement delta (P,) of its parameters.

    Where processes share the data, each has its own batches, and a mean over the data is that of all: every process gets the same numbers.

    Modes are the problem's: in "train", batch normalization uses each batch's own statistics, and dropout's masks depend on the seed
    and the batch's place alone, so that all displacements see the same ones. Nothing is written to the model. The problem is examined
    once (`verification.examine`).

    Attributes:
        problem: whose loss it is.
        weights: its parameters in a row, (P,), read once.
        losses: passes over the whole data that this process has spent on losses so far: of its own batches their share.
        gradients: the same of gradients.

    Raises:
        TypeError: what is given is no problem.
        ValueError: parameters that are not finite.
    """

    def __init__(self, problem: Problem) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(
                f"this measure needs a loss at displaced parameters; expected a Problem, got {type(problem).__name__}"
            )
        self.problem = problem
        self.weights = problem.weights
        if not bool(torch.isfinite(self.weights).all()):
            raise ValueError("the model's parameters hold NaN or infinity; expected finite numbers")
        self.losses = self.gradients = 0.0
        examine(problem)

    @classmethod
    def of(cls, source: object) -> "Landscape":
        """The landscape of a problem, or of an operator's problem."""
        problem: Any = getattr(source, "problem", source)
        return cls(problem)

    @property
    def size(self) -> int:
        """The number P of parameters."""
        return self.problem.size

    def count(self, size: int | None = None) -> int:
        """How many `batches` there are."""
        return self.problem.data.count if size is None else -(-self.problem.data.local // check_whole("batch_size", size))

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """The problem's own batches, or batches of `size` samples in the same order (the last one may be smaller)."""
        if size is None:
            yield from self.problem.batches()
            return
        check_whole("batch_size", size)
        index = count = 0
        held: list[tuple[Tensor, Tensor]] = []
        for batch in self.problem.batches():
            at = 0
            while at < batch.samples:
                take = min(size - count, batch.samples - at)
                held.append((_rows(batch.inputs, at, take), _rows(batch.targets, at, take)))
                count, at = count + take, at + take
                if count == size:
                    yield self._joined(held, index)
                    held, count, index = [], 0, index + 1
        if held:
            yield self._joined(held, index)

    def _joined(self, parts: list[tuple[Tensor, Tensor]], index: int) -> Batch:
        targets = torch.cat([y for _, y in parts])
        count = len(targets)
        inputs = torch.cat([x for x, _ in parts])
        return Batch(inputs, targets, count, self.problem.data.weigh(inputs, targets, count), index)

    def outputs(self, delta: Tensor | None, batch: Batch) -> Any:
        """f(x; w + delta) for a batch; differentiable in delta by forward mode."""
        with self.problem.prepared(batch) as buffers:
            return self._outputs(delta, buffers, batch)

    def _outputs(self, delta: Tensor | None, buffers: dict[str, Tensor], batch: Batch) -> Any:
        pieces = self.problem.unflatten(self.weights if delta is None else self.weights + delta)
        safe = [self.problem.safe(n, p) for n, p in zip(self.problem.names, pieces, strict=True)]
        return self.problem.outputs(safe, buffers, batch)

    def compare(self, outputs: Any, batch: Batch, logits: Logits = "plain") -> Tensor:
        """The batch's loss of outputs, normalized first if so wanted; a scalar."""
        return self.problem.compare(outputs if logits == "plain" else normalize(outputs, logits), batch)

    def value(self, delta: Tensor | None, batch: Batch, logits: Logits = "plain") -> float:
        """L_S(w + delta) of a batch S, delta (P,) or None for 0."""
        self.losses += batch.samples / self.problem.samples
        moved = None if delta is None else delta.detach()
        # nothing requires grad but what the model itself differentiates
        with torch.enable_grad(), self.problem.prepared(batch) as buffers:
            return float(self.compare(self._outputs(moved, buffers, batch), batch, logits).detach())

    def value_and_gradient(self, delta: Tensor | None, batch: Batch, logits: Logits = "plain") -> tuple[float, Tensor]:
        """L_S(w + delta) and its gradient in delta, (P,)."""
        self.gradients += batch.samples / self.problem.samples
        moved = (torch.zeros_like(self.weights) if delta is None else delta.detach().clone()).requires_grad_()
        with torch.enable_grad(), self.problem.prepared(batch) as buffers:
            loss, (gradient,) = first_derivative(
                lambda: self.compare(self._outputs(moved, buffers, batch), batch, logits), [moved]
            )
        return float(loss.detach()), torch.zeros_like(moved) if gradient is None else gradient

    def total(self, delta: Tensor | None, logits: Logits = "plain", batch_size: int | None = None) -> float:
        """The loss over the whole data, L(w + delta), in its own batches or in batches of `batch_size` samples."""

        def loss() -> float:
            return summed(sum(batch.weight * self.value(delta, batch, logits) for batch in self.batches(batch_size)))[0]

        return loss() if delta is not None else once(self.problem, ("loss", logits, batch_size), loss)

    def total_and_gradient(self, delta: Tensor | None) -> tuple[float, Tensor]:
        """The loss over the whole data and its gradient, (P,)."""
        loss, gradient = 0.0, torch.zeros_like(self.weights)
        for batch in self.batches():
            value, part = self.value_and_gradient(delta, batch)
            loss += batch.weight * value
            gradient.add_(part, alpha=batch.weight)
        return summed(loss)[0], reduced(gradient)


@dataclass
class Cost:
    """Losses, gradients and seconds that a measure has spent on a landscape since it was made."""

    landscape: Landscape

    def __post_init__(self) -> None:
        self.start, self.before = time.perf_counter(), (self.landscape.losses, self.landscape.gradients)

    def estimate(self, value: float, low: float, high: float, confidence: float | None = None, **rest: Any) -> Estimate:
        """The estimate with its cost and the data it was measured on; ValueError where the loss was not finite."""
        if not math.isfinite(value):
            raise ValueError("the loss is not finite at a displaced point; expected a smaller radius or finite data")
        place, (losses, gradients) = self.landscape, self.before
        losses, gradients = summed(self.landscape.losses - losses, self.landscape.gradients - gradients)
        return Estimate(
            value,
            low,
            high,
            confidence,
            products=0,
            seconds=time.perf_counter() - self.start,
            **data_of(place.problem),
            losses=round(losses, 6),
            gradients=round(gradients, 6),
            **({"seed": None} | rest),
        )


def normalize(outputs: Any, logits: Logits) -> Tensor:
    """Logits (n, K) minus their mean over the classes, over max(norm of these, 1e-10), sample by sample.

    "standardized" is sqrt(K) times that: over the standard deviation of a sample's logits. Neither changes when all logits are multiplied
    by a positive number (andriushchenko2023, logit normalization). A sample whose logits are all equal becomes 0, with slope 1.

    Raises:
        ValueError: outputs of another shape.
    """
    check_one_of("logits", logits, ("normalized", "standardized"))
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or outputs.shape[1] < 2:
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise ValueError(f"logit normalization needs outputs of shape (n, K) with K >= 2, got {shape}")
    centred = outputs - outputs.mean(dim=1, keepdim=True)
    square = centred.square().sum(dim=1, keepdim=True)
    # a slope of 1 where the quotient has none: the root of 0 would make the gradient NaN
    normalized = centred / torch.where(square > 0, square.clamp_min(LEAST**2), 1).sqrt()
    return normalized * math.sqrt(outputs.shape[1]) if logits == "standardized" else normalized


def _rows(values: Any, at: int, take: int) -> Tensor:
    if not isinstance(values, Tensor):
        raise ValueError(f"batches can be cut to batch_size only if they hold two tensors, got {type(values).__name__}")
    return values[at : at + take]
