"""Owns the maximization of a loss increase over a ball of displacements: Auto-PGD, an ascent with momentum and its own step sizes.

max over ||z||_p <= rho of L(w + c * z) - L(w), p = 2 or infinity, c elementwise. The iteration lives in the coordinates z, so that
whatever leaves L(w + c * z) unchanged as a function of z leaves every iterate unchanged. Every value found is a lower bound of the
maximum; nothing bounds it from above.

Source: Croce and Hein, ICML 2020, algorithm 1, as andriushchenko2023 uses it.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.sharpness.landscape import Landscape, Logits

Norm = Literal["l2", "linf"]
MOMENTUM, SHARE = 0.75, 0.75


def direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The steepest direction of length 1 in the norm: g / ||g||_2, or the signs of g."""
    if norm == "linf":
        return gradient.sign()
    length = torch.linalg.vector_norm(gradient)
    return gradient / length if float(length) > 0 else gradient


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


def ascend(
    landscape: Landscape,
    batch: Batch,
    scale: Tensor | None,
    *,
    rho: float,
    norm: Norm,
    steps: int,
    logits: Logits = "plain",
) -> tuple[float, float]:
    """L_S(w), and the largest L_S(w + c * z) met from z = 0. Costs `steps` gradients and one loss.

    Args:
        landscape: L at displaced parameters.
        batch: S.
        scale: c, (P,); None for 1.
        rho: radius of the ball that z is in.
        norm: of the ball.
        steps: iterations; 1 gives the first-order point.
        logits: whether outputs are normalized first.

    Returns:
        Both losses; the second is not finite where an iterate's was not.
    """

    def look(z: Tensor) -> tuple[float, Tensor]:
        value, gradient = landscape.value_and_gradient(z if scale is None else scale * z, batch, logits)
        return value, gradient if scale is None else scale * gradient

    z = torch.zeros_like(landscape.weights)
    base, gradient = look(z)
    if not bool(gradient.any()):  # a critical point tells no direction: any will do
        draw = torch.randn(len(z), generator=torch.Generator().manual_seed(landscape.problem.seed), dtype=z.dtype)
        gradient = draw.to(z.device)
    best, best_z, best_gradient = base, z, gradient
    # the first step goes to the boundary: from z = 0 that is the first-order maximizer, SAM's point
    step, before, rises, last = 2 * rho, z, 0, 0
    step_then, best_then, value_then = step, best, base
    looks = checkpoints(steps)
    for iteration in range(1, steps + 1):
        aim = project(z + step * direction(gradient, norm), rho, norm)
        moved = aim if iteration == 1 else project(z + MOMENTUM * (aim - z) + (1 - MOMENTUM) * (z - before), rho, norm)
        before, z = z, moved
        if iteration == steps:
            value = landscape.value(z if scale is None else scale * z, batch, logits)
        else:
            value, gradient = look(z)
        if not math.isfinite(value):
            return base, value
        rises += value > value_then
        value_then = value
        if value > best:
            best, best_z, best_gradient = value, z, gradient
        if iteration in looks:
            stuck = step == step_then and best == best_then
            step_then, best_then = step, best
            if rises < SHARE * (iteration - last) or stuck:
                step, z, before, gradient, value_then = step / 2, best_z, best_z, best_gradient, best
            rises, last = 0, iteration
    return base, best
