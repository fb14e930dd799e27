"""Owns worst-case sharpness, S_max = mean_S max_{||delta / c||_p <= rho} L_S(w + delta) - L_S(w) (andriushchenko2023, S_max)."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from flatproof.verify.curvature.bounds import NO_BOUND, Above, mean_above
from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.processes import summed
from flatproof.verify.curvature.shared import once
from flatproof.verify.curvature.sharpness.ascent import Ball, Coordinates, Norm, Scaled
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape, Logits
from flatproof.verify.curvature.sharpness.published import Ellipsoid, published_ascent
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.sharpness.scaling import SIZE, UNCHANGED, Scaling, scale_of
from flatproof.verify.curvature.sharpness.starts import best_of_starts
from flatproof.verify.utils.checks import check_one_of, check_positive, check_whole

Variant = Literal["steepest", "published"]
SOURCE = "andriushchenko2023, S_max"
ASAM = "Kwon et al. 2021, ASAM"


def worst_case_sharpness(
    source: object,
    *,
    rho: float | None = None,
    norm: Norm = "l2",
    scaling: Scaling = "elementwise",
    logits: Logits = "plain",
    batch_size: int | None = None,
    steps: int = 20,
    starts: int | None = None,
    variant: Variant = "steepest",
    above: bool = True,
) -> Estimate:
    """The mean over batches S (m-sharpness for batch_size = m) of the largest loss increase that Auto-PGD finds in `steps` iterations.

    Args:
        source: a problem, or an operator with one.
        rho: radius in units of c; default 0.5 for l2 and 0.002 for linf, inside the paper's ranges for a ResNet-18 on CIFAR-10.
        norm: of the ball, "l2" or "linf".
        scaling: of c, see `scaling`: "elementwise" (c = |w|, adaptive), "none" (c = 1), "filter" or "layer" (ASAM).
        logits: whether outputs are normalized first, see `landscape.normalize`.
        batch_size: samples a batch; None for the data's own batches, the number of samples for one batch.
        steps: iterations, each a gradient.
        starts: ascents from different points, see `starts`; each takes `steps` gradients and one loss more. None: one, but eight on a
            batch where the gradient says nothing (an exact minimum).
        variant: "steepest", or "published": the ascent as the paper's authors run it, see `published`; it has one start.
        above: whether a bound from above is looked for, see `bounds`.

    Returns:
        A lower bound of the maximum: the interval is [value, bound], [value, infinity) where `rests_on` says why there is no bound.

    Raises:
        ValueError: settings out of range, a loss that is not finite.
    """
    check_one_of("norm", norm, get_args(Norm))
    check_one_of("variant", variant, get_args(Variant))
    radius = check_positive("rho", (0.5 if norm == "l2" else 0.002) if rho is None else rho)
    count = check_whole("steps", steps)
    landscape = Landscape.of(source)
    scale = scale_of(landscape, scaling)
    about = f"{count} steps, rho = {radius:g}, {norm}, scaling {scaling}, logits {logits}"
    if variant == "steepest":
        coordinates = Scaled(landscape.weights, scale)
        method = f"Auto-PGD, {about}"
        return mean_increase(landscape, coordinates, radius, norm, count, method, SOURCE, logits, batch_size, starts, above=above)
    if starts not in (None, 1):
        raise ValueError(f"the published ascent has one start; expected starts=1, got {starts}")
    cost, mean = Cost(landscape), _Mean()
    for batch in landscape.batches(batch_size):
        with torch.no_grad():
            base, best = published_ascent(Ellipsoid(landscape, batch, scale, radius, norm, logits), count)
        mean.add(best - base, batch.samples)
    value = mean.value
    bound = bound_of(landscape, value, scale, radius, norm, logits, batch_size) if above else NO_BOUND
    return _estimate(cost, value, bound, f"Auto-PGD as published, {about}", SOURCE, batch_size)


def mean_increase(
    landscape: Landscape,
    coordinates: Coordinates,
    rho: float,
    norm: Norm,
    steps: int,
    method: str,
    source: str,
    logits: Logits = "plain",
    batch_size: int | None = None,
    starts: int | None = 1,
    *,
    above: bool = False,
) -> Estimate:
    """The mean over batches, weighed by size, of the increase that the ascents find.

    Args:
        landscape: the loss at displaced parameters.
        coordinates: z of a displacement.
        rho: radius of the ball of z.
        norm: of the ball.
        steps: iterations of each ascent.
        method: what the estimate says of itself.
        source: the paper and equation.
        logits: whether outputs are normalized first.
        batch_size: samples a batch; None for the data's own batches.
        starts: ascents on each batch; None as for `best_of_starts`.
        above: whether a bound from above is looked for, in coordinates that are parameters in units of c.

    Returns:
        A lower bound: the interval is [value, bound], or [value, infinity).
    """
    if starts is not None:
        check_whole("starts", starts)
    cost, mean = Cost(landscape), _Mean()
    most = 1
    for batch in landscape.batches(batch_size):
        ball = Ball(landscape, batch, coordinates, rho, norm, logits)
        with torch.no_grad():
            base, best, taken = best_of_starts(ball, steps, starts, landscape.problem.seed)
        mean.add(best - base, batch.samples)
        most = max(most, taken)
    if most > 1:
        method += f", {'up to ' if starts is None else ''}{most} starts a batch"
    value, bound = mean.value, NO_BOUND
    if above and isinstance(coordinates, Scaled):
        bound = bound_of(landscape, value, coordinates.scale, rho, norm, logits, batch_size)
    return _estimate(cost, value, bound, method, source, batch_size)


def bound_of(
    landscape: Landscape, value: float, scale: Tensor | None, rho: float, norm: Norm, logits: Logits, batch_size: int | None
) -> Above:
    """What the mean over batches of the largest increase within the ball is at most, at least the value that an ascent found there."""
    if logits != "plain":
        return Above(math.inf, "normalized logits have no rule")
    problem = landscape.problem

    def found() -> Above:
        return mean_above(problem, landscape.batches(batch_size), scale, rho, norm)

    # a ball in the parameters' own units is that of several measures
    bound = found() if scale is not None else once(problem, ("above", rho, norm, batch_size), found)
    return bound.over(value, problem)


class _Mean:
    """Of the batches' increases, weighed by their samples."""

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def add(self, increase: float, samples: int) -> None:
        """Count a batch in."""
        self.total, self.weight = self.total + samples * increase, self.weight + samples

    @property
    def value(self) -> float:
        """The mean over the batches of all processes."""
        total, weight = summed(self.total, self.weight)
        return total / weight


def _estimate(cost: Cost, value: float, bound: Above, method: str, source: str, batch_size: int | None) -> Estimate:
    method += f", batches of {batch_size}" if batch_size else ""
    return cost.estimate(value, value, bound.value, method=method, source=source, rests_on=bound.rests_on)


def _named(name: str, norm: Norm, scaling: Scaling) -> Measure:
    scale = "delta" if scaling == "none" else f"delta / {SIZE[scaling]}"
    unchanged = UNCHANGED[scaling] + ("" if scaling == "none" else "; with logits normalized, their scale")
    return Measure(
        name,
        f"mean_S max_(||{scale}||_{'2' if norm == 'l2' else 'inf'} <= rho) L_S(w + delta) - L_S(w)",
        SOURCE if scaling in ("none", "elementwise") else ASAM,
        worst_case_sharpness,
        "loss",
        unchanged,
        (("norm", norm), ("scaling", scaling)),
    )


MEASURES = (
    _named("worst-l2", "l2", "none"),
    _named("worst-linf", "linf", "none"),
    _named("adaptive-worst-l2", "l2", "elementwise"),
    _named("adaptive-worst-linf", "linf", "elementwise"),
    _named("filter-worst-l2", "l2", "filter"),
    _named("layer-worst-l2", "l2", "layer"),
)
