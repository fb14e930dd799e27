"""Owns worst-case sharpness, S_max = mean_S max_{||delta / c||_p <= rho} L_S(w + delta) - L_S(w) (andriushchenko2023, S_max)."""

import math
from typing import Literal

import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.sharpness.ascent import Norm, ascend
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape, Logits
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.utils.checks import check_one_of, check_positive, check_whole

Scaling = Literal["none", "elementwise"]
SOURCE = "andriushchenko2023, S_max"


def scale_of(landscape: Landscape, scaling: Scaling) -> Tensor | None:
    """c: None for 1, |w| elementwise; a parameter that is 0 is then not moved."""
    check_one_of("scaling", scaling, ("none", "elementwise"))
    return None if scaling == "none" else landscape.weights.abs()


def worst_case_sharpness(
    source: object,
    *,
    rho: float | None = None,
    norm: Norm = "l2",
    scaling: Scaling = "elementwise",
    logits: Logits = "plain",
    batch_size: int | None = None,
    steps: int = 20,
) -> Estimate:
    """The mean over batches S (m-sharpness for batch_size = m) of the largest loss increase that Auto-PGD finds in `steps` iterations.

    Args:
        source: a problem, or an operator with one.
        rho: radius in units of c; default 0.5 for l2 and 0.002 for linf, inside the paper's ranges for a ResNet-18 on CIFAR-10.
        norm: of the ball, "l2" or "linf".
        scaling: "elementwise" (c = |w|, adaptive) or "none" (c = 1).
        logits: whether outputs are normalized first, see `landscape.normalize`.
        batch_size: samples a batch; None for the data's own batches, the number of samples for one batch.
        steps: iterations, each a gradient.

    Returns:
        A lower bound of the maximum: the interval is [value, infinity).

    Raises:
        ValueError: settings out of range, a loss that is not finite.
    """
    check_one_of("norm", norm, ("l2", "linf"))
    radius = check_positive("rho", (0.5 if norm == "l2" else 0.002) if rho is None else rho)
    landscape = Landscape.of(source)
    return mean_increase(
        landscape,
        batch_size,
        scale_of(landscape, scaling),
        radius,
        norm,
        check_whole("steps", steps),
        logits,
        f"Auto-PGD, {steps} steps, rho = {radius:g}, {norm}, scaling {scaling}, logits {logits}",
        SOURCE,
    )


def mean_increase(
    landscape: Landscape,
    batch_size: int | None,
    scale: Tensor | None,
    rho: float,
    norm: Norm,
    steps: int,
    logits: Logits,
    method: str,
    source: str,
) -> Estimate:
    """The mean over batches, weighed by size, of the increase that `ascend` finds.

    Args:
        landscape: the loss at displaced parameters.
        batch_size: samples a batch; None for the data's own batches.
        scale: c, (P,); None for 1.
        rho: radius in units of c.
        norm: of the ball.
        steps: iterations.
        logits: whether outputs are normalized first.
        method: what the estimate says of itself.
        source: the paper and equation.

    Returns:
        A lower bound: the interval is [value, infinity).
    """
    cost = Cost(landscape)
    total = weight = 0.0
    for batch in landscape.batches(batch_size):
        with torch.no_grad():
            base, best = ascend(landscape, batch, scale, rho=rho, norm=norm, steps=steps, logits=logits)
        total, weight = total + batch.samples * (best - base), weight + batch.samples
    value = total / weight
    return cost.estimate(
        value,
        value,
        math.inf,
        method=method + (f", batches of {batch_size}" if batch_size else ""),
        source=source,
        rests_on="lower bound of a maximum, which the ascent may miss",
    )


def _named(name: str, norm: Norm, scaling: Scaling) -> Measure:
    scale = "delta / |w|" if scaling == "elementwise" else "delta"
    return Measure(
        name,
        f"mean_S max_(||{scale}||_{'2' if norm == 'l2' else 'inf'} <= rho) L_S(w + delta) - L_S(w)",
        SOURCE,
        worst_case_sharpness,
        "loss",
        "positive rescaling between ReLU layers; with logits normalized, their scale" if scaling == "elementwise" else "none",
        (("norm", norm), ("scaling", scaling)),
    )


MEASURES = (
    _named("worst-l2", "l2", "none"),
    _named("worst-linf", "linf", "none"),
    _named("adaptive-worst-l2", "l2", "elementwise"),
    _named("adaptive-worst-linf", "linf", "elementwise"),
)
