"""Owns average-case sharpness, S_avg = E_delta L(w + delta) - L(w) over random displacements (andriushchenko2023, S_avg)."""

from typing import Literal

import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Estimate, generator_of
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape, Logits
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.sharpness.scaling import UNCHANGED, Scaling, scale_of
from flatproof.verify.utils.checks import check_one_of, check_positive, check_share, check_whole
from flatproof.verify.utils.statistics import mean_interval

Norm = Literal["l2", "linf"]
SOURCE = "andriushchenko2023, S_avg"
ASAM = "Kwon et al. 2021, ASAM's c, as S_avg of andriushchenko2023"


def average_case_sharpness(
    source: object,
    *,
    rho: float = 0.1,
    norm: Norm = "l2",
    scaling: Scaling = "elementwise",
    logits: Logits = "plain",
    draws: int = 100,
    antithetic: bool = True,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """E L(w + delta) - L(w) with delta_i ~ N(0, rho^2 c_i^2) ("l2") or uniform on [-rho c_i, rho c_i] ("linf"), and a t interval.

    The expectation over batches S is the whole data's loss, so each draw is measured on all of it; not divided by the dimension. The size
    of the batches matters in mode "train" alone, where batch normalization takes their own statistics.

    Args:
        source: a problem, or an operator with one.
        rho: size of the displacements, in units of c.
        norm: their law, "l2" or "linf" as above.
        scaling: of c, see `scaling`: "elementwise" (c = |w|, adaptive), "none" (c = 1), "filter" or "layer" (ASAM).
        logits: whether outputs are normalized first, see `landscape.normalize`.
        draws: loss evaluations on the whole data.
        antithetic: draw in pairs +delta, -delta, whose mean has no first-order noise; the interval is over the independent pairs.
        batch_size: samples a batch S; None for the data's own batches.
        confidence: of the interval.
        seed: of the draws.

    Returns:
        The mean increase of the loss, with Student's t interval.

    Raises:
        ValueError: settings out of range, a loss that is not finite.
    """
    check_positive("rho", rho)
    check_one_of("norm", norm, ("l2", "linf"))
    check_share("confidence", confidence)
    count = check_whole("draws", draws, 4 if antithetic else 2)
    generator = generator_of(seed)
    landscape = Landscape.of(source)
    scale = scale_of(landscape, scaling)
    cost = Cost(landscape)
    base = landscape.total(None, logits, batch_size)
    increases = []
    for _ in range(count // 2 if antithetic else count):
        delta = _draw(landscape.weights, norm, generator) * rho
        if scale is not None:
            delta *= scale
        increase = landscape.total(delta, logits, batch_size) - base
        if antithetic:
            increase = (increase + landscape.total(-delta, logits, batch_size) - base) / 2
        increases.append(increase)
    mean, low, high = mean_interval(increases, confidence)
    law = "Gaussian" if norm == "l2" else "uniform"
    return cost.estimate(
        mean,
        low,
        high,
        confidence,
        seed=seed,
        method=f"{count} {law} draws{' in pairs' if antithetic else ''}, rho = {rho:g}, scaling {scaling}, logits {logits}"
        + (f", batches of {batch_size}" if batch_size else ""),
        source=SOURCE,
        rests_on="Student's t over independent draws",
    )


def _draw(like: Tensor, norm: Norm, generator: torch.Generator) -> Tensor:
    if norm == "l2":
        return torch.randn(len(like), generator=generator, dtype=like.dtype).to(like.device)
    return (2 * torch.rand(len(like), generator=generator, dtype=like.dtype) - 1).to(like.device)


def _named(name: str, norm: Norm, scaling: Scaling) -> Measure:
    size = {"none": "", "elementwise": " |w_i|", "filter": " ||filter of i||", "layer": " ||layer of i||"}[scaling]
    square = {"none": "", "elementwise": " w_i^2"}.get(scaling, f"{size}^2")
    law = f"N(0, rho^2{square})" if norm == "l2" else f"U[-rho{size}, rho{size}]"
    unchanged = UNCHANGED[scaling] + ("" if scaling == "none" else "; with logits normalized, their scale")
    formula, source = f"E L(w + delta) - L(w), delta_i ~ {law}", SOURCE if scaling in ("none", "elementwise") else ASAM
    return Measure(name, formula, source, average_case_sharpness, "loss", unchanged, (("norm", norm), ("scaling", scaling)))


MEASURES = (
    _named("average-l2", "l2", "none"),
    _named("average-linf", "linf", "none"),
    _named("adaptive-average-l2", "l2", "elementwise"),
    _named("adaptive-average-linf", "linf", "elementwise"),
    _named("filter-average-l2", "l2", "filter"),
    _named("layer-average-l2", "l2", "layer"),
)
