"""Owns the maximization of a loss increase over a ball of displacements: Auto-PGD, an ascent with momentum and its own step sizes.

max over ||z||_p <= rho of L(w + delta(z)) - L(w), p = 2 or infinity; delta(z) = c * z elementwise but for measures with coordinates of
their own. The iteration lives in the coordinates z, so that whatever leaves L(w + delta(z)) unchanged as a function of z leaves every
iterate unchanged. Every value found is a lower bound of the maximum; `bounds` has one from above.

Source: Croce and Hein, ICML 2020, algorithm 1, as andriushchenko2023 uses it.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from flatproof.verify.curvature.basis import norm as length_of
from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.sharpness.landscape import Landscape, Logits

Norm = Literal["l2", "linf"]
MOMENTUM, SHARE = 0.75, 0.75


class Coordinates(Protocol):
    """Coordinates z, (Q,), of displacements delta(z), (P,), with delta(0) = 0."""

    @property
    def size(self) -> int:
        """Q."""

    def displaced(self, z: Tensor) -> Tensor:
        """delta(z), (P,)."""

    def pulled(self, z: Tensor, gradient: Tensor) -> Tensor:
        """The gradient in z, (Q,), from the one in delta, (P,)."""

    def moving(self, z: Tensor) -> Tensor:
        """z without what moves nothing."""

    def growth(self) -> Tensor:
        """The z, (Q,), along which the parameters grow in proportion to themselves."""


@dataclass(frozen=True)
class Scaled:
    """delta(z) = c * z.

    Attributes:
        weights: w, (P,).
        scale: c, (P,); None for 1.
    """

    weights: Tensor
    scale: Tensor | None

    @property
    def size(self) -> int:
        """P."""
        return len(self.weights)

    def displaced(self, z: Tensor) -> Tensor:
        """c * z."""
        return z if self.scale is None else self.scale * z

    def pulled(self, z: Tensor, gradient: Tensor) -> Tensor:
        """c * gradient."""
        return gradient if self.scale is None else self.scale * gradient

    def moving(self, z: Tensor) -> Tensor:
        """z itself."""
        return z

    def growth(self) -> Tensor:
        """w / c, 0 where c is."""
        return self.weights if self.scale is None else torch.where(self.scale > 0, self.weights / self.scale, 0)


class Hill(Protocol):
    """What is climbed: a function on a ball, with the step and the projection that the ascent takes there."""

    @property
    def rho(self) -> float:
        """The ball's radius."""

    def look(self, z: Tensor) -> tuple[float, Tensor]:
        """The loss at z and its gradient in z."""

    def value(self, z: Tensor) -> float:
        """The loss at z."""

    def step(self, gradient: Tensor) -> Tensor:
        """The direction of a step, of length 1 in the ball's norm."""

    def project(self, z: Tensor) -> Tensor:
        """A point of the ball near z."""


@dataclass(frozen=True)
class Ball:
    """||z||_p <= rho in coordinates z, on a batch S: steepest steps, nearest points.

    Attributes:
        landscape: L at displaced parameters.
        batch: S.
        coordinates: z of a displacement.
        rho: radius.
        norm: "l2" or "linf".
        logits: whether outputs are normalized first.
    """

    landscape: Landscape
    batch: Batch
    coordinates: Coordinates
    rho: float
    norm: Norm
    logits: Logits = "plain"

    def look(self, z: Tensor) -> tuple[float, Tensor]:
        """L_S(w + delta(z)) and its gradient in z."""
        value, gradient = self.landscape.value_and_gradient(self.coordinates.displaced(z), self.batch, self.logits)
        return value, self.coordinates.pulled(z, gradient)

    def value(self, z: Tensor) -> float:
        """L_S(w + delta(z))."""
        return self.landscape.value(self.coordinates.displaced(z), self.batch, self.logits)

    def step(self, gradient: Tensor) -> Tensor:
        """`direction`."""
        return direction(gradient, self.norm)

    def project(self, z: Tensor) -> Tensor:
        """`project`."""
        return project(z, self.rho, self.norm)

    def zero(self) -> Tensor:
        """z = 0, (Q,)."""
        weights = self.landscape.weights
        return torch.zeros(self.coordinates.size, dtype=weights.dtype, device=weights.device)

    def drawn(self, seed: int) -> Tensor:
        """A standard normal z, (Q,), the same on every device, without what moves nothing."""
        weights = self.landscape.weights
        draw = torch.randn(
            self.coordinates.size, generator=torch.Generator().manual_seed(seed), dtype=weights.dtype, device="cpu"
        )
        return self.coordinates.moving(draw.to(weights.device))


def direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The steepest direction of length 1 in the norm: g / ||g||_2, or the signs of g."""
    if norm == "linf":
        return gradient.sign()
    length = length_of(gradient)  # squares of a gradient of 1e20 are not finite in float32, nor above 0 of one of 1e-25
    return gradient / length if length > 0 else gradient


def project(z: Tensor, rho: float, norm: Norm) -> Tensor:
    """The nearest point of the ball of radius rho."""
    if norm == "linf":
        return z.clamp(-rho, rho)
    length = float(torch.linalg.vector_norm(z))
    return z * (rho / length) if length > rho else z


def checkpoints(steps: int) -> list[int]:
    """The iterations at which the step size is reconsidered: shares 0.22, 0.41, 0.57, ... of all steps (Croce and Hein, section 3.2)."""
    shares, gap = [0.0, 0.22], 0.22
    while shares[-1] < 1:
        gap = max(gap - 0.03, 0.06)
        shares.append(shares[-1] + gap)
    return sorted({math.ceil(round(s * steps, 9)) for s in shares if 0 < s <= 1})


def ascend(hill: Hill, z: Tensor, value: float, gradient: Tensor, steps: int, *, returns: bool = True) -> float:
    """The largest loss met from z on. Costs `steps - 1` gradients and one loss.

    Args:
        hill: what is climbed.
        z: where the ascent starts, (Q,).
        value: the loss there.
        gradient: the direction to leave in, (Q,): the gradient there, or another where that one vanishes.
        steps: iterations; 1 gives the first-order point.
        returns: whether the ascent goes back to its best point after a cut of the step size; else its gradient alone does.

    Returns:
        The loss; not finite where an iterate's was not.
    """
    best, best_z, best_gradient = value, z, gradient
    # the first step goes to the boundary: from z = 0 that is the first-order maximizer, SAM's point
    step, before, rises, last = 2 * hill.rho, z, 0, 0
    step_then, best_then, value_then = step, best, value
    looks = checkpoints(steps)
    for iteration in range(1, steps + 1):
        aim = hill.project(z + step * hill.step(gradient))
        moved = aim if iteration == 1 else hill.project(z + MOMENTUM * (aim - z) + (1 - MOMENTUM) * (z - before))
        before, z = z, moved
        if iteration == steps:
            value = hill.value(z)
        else:
            value, gradient = hill.look(z)
        if not math.isfinite(value):
            return value
        rises += value > value_then
        value_then = value
        if value > best:
            best, best_z, best_gradient = value, z, gradient
        if iteration in looks:
            stuck = step == step_then and best == best_then
            step_then, best_then = step, best
            if rises < SHARE * (iteration - last) or stuck:
                step, gradient, value_then = step / 2, best_gradient, best
                if returns:
                    z, before = best_z, best_z
            rises, last = 0, iteration
    return best
