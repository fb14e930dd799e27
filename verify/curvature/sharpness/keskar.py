"""Owns the (C_epsilon, A)-sharpness of keskar2017 (metric 2.1), in the full space and in random subspaces, by L-BFGS-B.

C_eps = {z in R^p : |z_i| <= eps (|(A+ w)_i| + 1)},   phi = 100 (max_{z in C_eps} L(w + A z) - L(w)) / (1 + L(w)),

A = I (p = P) or a random P x p matrix. The paper does not say how it is drawn: here its columns are independent, uniform on the unit
sphere, or its entries are standard normal; steps are then sqrt(P) times as long, and only so do values come near the magnitude that
the paper prints beside those of the full space. Neither does it say where the 10 iterations start: here at z = 0, the solution
itself, or at a random point of the box.
"""

import math
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from flatproof.verify.curvature.basis import segments
from flatproof.verify.curvature.bounds import NO_BOUND, Above, box_above
from flatproof.verify.curvature.estimates import Estimate, Floats, generator_of
from flatproof.verify.curvature.processes import Joint, led
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.utils.checks import check_one_of, check_positive, check_whole

TALL = 4  # rows over columns from which on the condition number of a random A is about 3 at most
SOURCE = "keskar2017/metric-2.1"


def keskar_sharpness(
    source: object,
    *,
    epsilon: float = 1e-3,
    dimension: int | None = None,
    iterations: int = 10,
    start: Literal["zero", "random"] = "zero",
    columns: Literal["sphere", "normal"] = "sphere",
    seed: int = 0,
    above: bool = True,
) -> Estimate:
    """phi(epsilon, A), a percentage, from the largest loss at any point that L-BFGS-B looked at within its iterations.

    Args:
        source: a problem, or an operator with one.
        epsilon: half the box's side, in units of |(A+ w)_i| + 1.
        dimension: p of a random A (the paper's is 100); None for A = I.
        iterations: of L-BFGS-B.
        start: of the ascent, "zero" or a "random" point of the box.
        columns: of A, "sphere" (unit vectors) or "normal" (standard normal entries).
        seed: of A and of a random start.
        above: whether a bound from above is looked for, in the full space; see `bounds`.

    Returns:
        A lower bound of the maximum: the interval is [value, bound], [value, infinity) where `rests_on` says why there is no bound.

    Raises:
        ValueError: settings out of range, a dimension above P, a loss of -1 or below or not finite.
    """
    check_positive("epsilon", epsilon)
    check_whole("iterations", iterations)
    check_one_of("start", start, ("zero", "random"))
    check_one_of("columns", columns, ("sphere", "normal"))
    generator = generator_of(seed)
    landscape = Landscape.of(source)
    weights = landscape.weights
    A = None
    if dimension is not None:
        if check_whole("dimension", dimension) > landscape.size:
            raise ValueError(f"dimension must be at most the number of parameters {landscape.size}, got {dimension}")
        A = torch.randn(landscape.size, dimension, generator=generator, dtype=weights.dtype, device="cpu").to(weights.device)
        if columns == "sphere":
            A /= torch.linalg.vector_norm(A, dim=0)
    cost = Cost(landscape)
    base = landscape.total(None)
    if base <= -1:
        raise ValueError(f"the metric divides by 1 + loss; expected a loss above -1, got {base}")
    center = weights if A is None else _coordinates(A, weights)
    reach = epsilon * (center.abs().double().cpu().numpy() + 1)
    best = base

    def negative(z: Floats) -> tuple[float, Floats]:
        nonlocal best
        inside = torch.as_tensor(np.clip(z, -reach, reach), dtype=weights.dtype, device=weights.device)
        value, gradient = landscape.total_and_gradient(inside if A is None else A @ inside)
        if not math.isfinite(value):
            raise ValueError("the loss is not finite inside the box; expected a smaller epsilon")
        best = max(best, value)
        pulled = gradient if A is None else A.T @ gradient
        return -value, -pulled.double().cpu().numpy()

    first = np.zeros(len(reach), dtype=np.float64)
    if start == "random":
        first = reach * (2 * torch.rand(len(reach), generator=generator, dtype=torch.float64, device="cpu").numpy() - 1)
    box = Bounds(-reach, reach)

    def search(asked: Joint) -> None:
        options: Any = {"maxiter": iterations, "ftol": 0.0, "gtol": 0.0}
        minimize(asked, first, jac=True, method="L-BFGS-B", bounds=box, options=options)

    led(negative, len(first), search)
    value = 100 * (best - base) / (1 + base)
    bound = Above(math.inf, "a random subspace has no rule") if A is not None else NO_BOUND
    if above and A is None:
        bound = box_above(landscape.problem, landscape.batches(), torch.as_tensor(reach, device="cpu")).over(
            best - base, landscape.problem
        )
    space = "full space" if A is None else f"random subspace of dimension {dimension}, columns {columns}"
    return cost.estimate(
        value,
        value,
        max(value, 100 * bound.value / (1 + base)),
        seed=None if A is None and start == "zero" else seed,
        method=f"L-BFGS-B, {iterations} iterations from {start}, eps = {epsilon:g}, {space}",
        source=SOURCE,
        rests_on=bound.rests_on,
    )


def _coordinates(A: Tensor, weights: Tensor) -> Tensor:
    """A+ w in float64, (p,). Tall random columns are nearly orthogonal: there the normal equations lose no more than a digit."""
    if len(A) < TALL * A.shape[1]:
        return torch.linalg.lstsq(A.double(), weights.double()[:, None]).solution[:, 0]
    gram = torch.zeros(A.shape[1], A.shape[1], dtype=torch.float64, device=A.device)
    along = gram[:, :1].clone()
    for stretch in segments(len(A)):
        rows = A[stretch].double()
        gram += rows.T @ rows
        along += rows.T @ weights[stretch, None].double()
    return torch.cholesky_solve(along, torch.linalg.cholesky(gram))[:, 0]


def keskar_subspace_sharpness(source: object, *, dimension: int = 100, **settings: object) -> Estimate:
    """phi(epsilon, A) in a random subspace.

    Args:
        source: a problem, or an operator with one.
        dimension: of the subspace, at most P.
        **settings: those of `keskar_sharpness`.

    Returns:
        As for `keskar_sharpness`.
    """
    return keskar_sharpness(source, dimension=min(dimension, Landscape.of(source).size), **settings)  # type: ignore[arg-type]


MEASURES = (
    Measure(
        "keskar",
        "100 (max_(|z_i| <= eps (|w_i| + 1)) L(w + z) - L(w)) / (1 + L(w))",
        SOURCE,
        keskar_sharpness,
        "loss",
        "permutations of the parameters",
    ),
    Measure(
        "keskar-subspace",
        "100 (max_(|z_i| <= eps (|(A+ w)_i| + 1)) L(w + A z) - L(w)) / (1 + L(w)), A random (P, p)",
        SOURCE,
        keskar_subspace_sharpness,
        "loss",
        "none",
        passes_on=(keskar_sharpness,),
    ),
)
