"""Owns the ascent of worst-case sharpness as the authors of andriushchenko2023 run it, so that their numbers can be compared.

Written from descriptions of their code; where it departs from the steepest ascent of `ascent`:
- the iteration lives in delta itself, and its l2 step is c * g / ||g||_2 with g the gradient in delta. The steepest one of the ellipsoid
  ||delta / c||_2 <= rho is c^2 * g / ||c * g||_2; for c = 1 both are the same. The linf step, c * sign(g), is the steepest;
- the projection is to the nearest point of the ellipsoid in Euclidean distance, c^2 y / (c^2 + mu) with mu found by bisection, and not
  the shrinking of y / c;
- after a cut of the step size the model goes back to its best point, the stored displacement does not: the next step leaves along the
  gradient of the best point, from the displacement where the ascent was.
The start is delta = 0; where the gradient vanishes there, nothing moves and the increase is 0.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.sharpness.ascent import Norm, ascend, direction, project
from flatproof.verify.curvature.sharpness.landscape import Landscape, Logits

HALVINGS = 60


@dataclass(frozen=True)
class Ellipsoid:
    """||delta / c||_p <= rho on a batch S, as published.

    Attributes:
        landscape: L at displaced parameters.
        batch: S.
        scale: c, (P,); None for 1.
        rho: radius in units of c.
        norm: "l2" or "linf".
        logits: whether outputs are normalized first.
    """

    landscape: Landscape
    batch: Batch
    scale: Tensor | None
    rho: float
    norm: Norm
    logits: Logits = "plain"

    def look(self, z: Tensor) -> tuple[float, Tensor]:
        """L_S(w + delta) and its gradient in delta."""
        return self.landscape.value_and_gradient(z, self.batch, self.logits)

    def value(self, z: Tensor) -> float:
        """L_S(w + delta)."""
        return self.landscape.value(z, self.batch, self.logits)

    def step(self, gradient: Tensor) -> Tensor:
        """c * g / ||g||_2, or c * sign(g)."""
        along = direction(gradient, self.norm)
        return along if self.scale is None else self.scale * along

    def project(self, z: Tensor) -> Tensor:
        """The nearest point of the ellipsoid, or of the box."""
        if self.scale is None:
            return project(z, self.rho, self.norm)
        if self.norm == "linf":
            return torch.clamp(z, -self.rho * self.scale, self.rho * self.scale)
        return nearest(z, self.scale, self.rho)


def nearest(y: Tensor, scale: Tensor, rho: float) -> Tensor:
    """The point of {x : ||x / c||_2 <= rho, x_i = 0 where c_i = 0} nearest to y.

    Args:
        y: (P,).
        scale: c, (P,), at least 0.
        rho: radius.

    Returns:
        c^2 y / (c^2 + mu) with the mu >= 0 at which ||x / c||_2 = rho, or y itself inside.
    """
    square = scale.square()
    length = torch.linalg.vector_norm

    def ratio(mu: float) -> Tensor:  # x / c
        return torch.where(scale > 0, scale * y / (square + mu), 0)

    if float(length(ratio(0.0))) <= rho:
        return torch.where(scale > 0, y, 0)
    low, high = 0.0, float(length(scale * y)) / rho
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if float(length(ratio(middle))) > rho else (low, middle)
    return scale * ratio(high)


def published_ascent(ellipsoid: Ellipsoid, steps: int) -> tuple[float, float]:
    """L_S(w), and the largest L_S(w + delta) met; the second is not finite where an iterate's was not.

    Args:
        ellipsoid: what is climbed.
        steps: iterations, each a gradient.
    """
    start = torch.zeros_like(ellipsoid.landscape.weights)
    base, gradient = ellipsoid.look(start)
    if not math.isfinite(base):
        return base, base
    return base, ascend(ellipsoid, start, base, gradient, steps, returns=False)
