"""Owns where ascents start: at a minimum the gradient vanishes and tells no direction, and one ascent ends in some local maximum.

Starting points, in this order; the best of the first k is a lower bound that grows with k:

    1      z = 0, left along the gradient, or along a random direction where there is none
    2, 3   + and - the direction in which all parameters grow in proportion to themselves
    4 - 7  + and - the two directions of largest curvature: Ritz vectors of LANCZOS products with the Hessian in z, by central differences
           of the gradient within the ball
    8 ...  random directions

All but the first lie on the boundary. On a diagonal linear network with isotropic data at interpolation 2 is the maximum for linf, and one
of 4 to 7 leads to it for l2 (tests). Elsewhere what they reach remains a lower bound. Near a minimum, where the gradient still tells a
direction, there is one start unless more are asked for: on diagonal networks fitted to a loss of 1e-5 (d = 60, n = 40) it reached 0.55 to 1
of what eight did.
"""

import math

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.sharpness.ascent import Ball, ascend, direction

AT_CRITICAL = 8  # starts where the gradient tells nothing
CRITICAL = 1e-4  # share of the increase that the gradient explains at a point counted as critical
LANCZOS, REACH = 12, 0.1  # products, and the differences' half-width in units of the radius
CURVED = 2


def best_of_starts(ball: Ball, steps: int, starts: int | None, seed: int) -> tuple[float, float, int]:
    """L_S(w), and the largest L_S(w + delta(z)) met from several starts.

    Each start costs `steps` gradients and one loss; from the fourth on 2 LANCZOS gradients are added once.

    Args:
        ball: what is climbed.
        steps: iterations of each ascent.
        starts: how many; None: one, or AT_CRITICAL where the first ascent shows that the gradient says nothing: rho times its dual norm
            is at most CRITICAL times the increase it finds.
        seed: of random directions.

    Returns:
        Both losses and the starts taken; the second loss is not finite where an iterate's was not.
    """
    zero = ball.zero()
    base, gradient = ball.look(zero)
    leave = gradient if bool(gradient.any()) else ball.drawn(seed)  # a critical point tells no direction: any will do
    best = ascend(ball, zero, base, leave, steps)
    if starts is None:
        dual = float(torch.linalg.vector_norm(gradient, 2 if ball.norm == "l2" else 1))
        starts = AT_CRITICAL if steps > 1 and ball.rho * dual <= CRITICAL * (best - base) else 1
    taken = 1
    curved: list[Tensor] = []
    while taken < starts and math.isfinite(best):
        if taken == 3:
            curved = curvature_directions(ball, seed)
        z = ball.rho * direction(_start(ball, taken, curved, seed), ball.norm)
        taken += 1
        if bool(z.any()):
            value, gradient = ball.look(z)
            reached = ascend(ball, z, value, gradient, steps) if math.isfinite(value) else value
            best = max(best, reached) if math.isfinite(reached) else reached
    return base, best, taken


def _start(ball: Ball, index: int, curved: list[Tensor], seed: int) -> Tensor:
    """The direction, (Q,), of the start with this index, 1 for the second."""
    sign = 1 if index % 2 else -1
    if index <= 2:
        return sign * ball.coordinates.growth()
    if index <= 2 + 2 * CURVED:
        place = (index - 3) // 2
        return sign * curved[place] if place < len(curved) else ball.drawn(seed + index)
    return ball.drawn(seed + index)


def curvature_directions(ball: Ball, seed: int) -> list[Tensor]:
    """The top Ritz vectors, (Q,) each, at most CURVED, of H v ~ (g(h v) - g(-h v)) / 2h in the coordinates z; fewer if the space closes.

    Args:
        ball: whose function g is the gradient of; h is REACH times the radius of its inscribed l2 ball, or of the box's typical point.
        seed: of the first vector.
    """
    z = ball.drawn(seed + 1)
    reach = REACH * ball.rho * (1 if ball.norm == "l2" else math.sqrt(len(z)))
    v = direction(z, "l2")
    basis: list[Tensor] = []
    T = np.zeros((LANCZOS, LANCZOS))
    for j in range(min(LANCZOS, len(z))):
        basis.append(v)
        product = (ball.look(reach * v)[1] - ball.look(-reach * v)[1]) / (2 * reach)
        T[j, j] = float(v @ product)
        for _ in range(2):  # once more: what the first pass leaves of the basis is rounding
            for u in basis:
                product = product - (u @ product) * u
        length = float(torch.linalg.vector_norm(product))
        if j + 1 == len(T) or not math.isfinite(length) or length <= 1e-10 * np.abs(T).max():
            break
        T[j, j + 1] = T[j + 1, j] = length
        v = product / length
    k = len(basis)
    if not np.isfinite(T).all():
        return []
    vectors = np.linalg.eigh(T[:k, :k])[1][:, ::-1]  # largest first
    return [sum((float(s) * u for s, u in zip(column, basis, strict=True)), torch.zeros_like(z)) for column in vectors.T[:CURVED]]
