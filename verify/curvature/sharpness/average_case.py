"""Owns average-case sharpness, S_avg = E_delta L(w + delta) - L(w) over random displacements (andriushchenko2023, S_avg).

L = sum_b w_b L_b over parts of the data, and so S_avg = sum_b w_b E_delta (L_b(w + delta) - L_b(w)): each part, consecutive batches, may
have a displacement of its own. A pass over the data then has as many independent displacements as parts. Its mean is S_avg all the same;
its variance falls up to as many times, as most of what a displacement changes it changes for all samples alike (on the MLP of `bench hvp`
in ten batches, 6 to 12 times). Passes are independent and have one law: Student's t holds over them as over single displacements, and
better, as a pass is a mean. There are at most GROUPS parts, so that drawing costs little beside the losses.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.batches import GROUPS, part_of_batch
from flatproof.verify.curvature.estimates import Estimate, generator_of
from flatproof.verify.curvature.processes import places, summed
from flatproof.verify.curvature.sharpness.landscape import Cost, Landscape, Logits
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.sharpness.scaling import UNCHANGED, Scaling, scale_of
from flatproof.verify.utils.checks import check_one_of, check_positive, check_share, check_whole
from flatproof.verify.utils.statistics import mean_interval

Norm = Literal["l2", "linf"]
SOURCE = "andriushchenko2023, S_avg"
DRAWS = 100
DISPLACEMENTS, PASSES = 150, 30  # where parts of the data have their own: all parts' and losses on the whole data, at least
ASAM = "Kwon et al. 2021, ASAM's c, as S_avg of andriushchenko2023"


def average_case_sharpness(
    source: object,
    *,
    rho: float = 0.1,
    norm: Norm = "l2",
    scaling: Scaling = "elementwise",
    logits: Logits = "plain",
    draws: int | None = None,
    antithetic: bool = True,
    batch_size: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """E L(w + delta) - L(w) with delta_i ~ N(0, rho^2 c_i^2) ("l2") or uniform on [-rho c_i, rho c_i] ("linf"), and a t interval.

    The expectation over batches S is the whole data's loss; not divided by the dimension. The size of the batches matters in mode "train",
    where batch normalization takes their own statistics, and without `draws` for the interval's width.

    Args:
        source: a problem, or an operator with one.
        rho: size of the displacements, in units of c.
        norm: their law, "l2" or "linf" as above.
        scaling: of c, see `scaling`: "elementwise" (c = |w|, adaptive), "none" (c = 1), "filter" or "layer" (ASAM).
        logits: whether outputs are normalized first, see `landscape.normalize`.
        draws: displacements, each of the loss on the whole data. None: DRAWS of one batch; of several, parts of the data have their own,
            DISPLACEMENTS of all together, and at least PASSES each; the losses are as many as a part has.
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
    generator = generator_of(seed)
    if draws is not None:
        check_whole("draws", draws, 4 if antithetic else 2)
    landscape = Landscape.of(source)
    scale = scale_of(landscape, scaling)

    def displacement(stream: torch.Generator) -> Tensor:
        delta = _draw(landscape.weights, norm, stream) * rho
        return delta if scale is None else delta.mul_(scale)

    cost = Cost(landscape)
    base = landscape.total(None, logits, batch_size)
    signs = (1, -1) if antithetic else (1,)
    first, batches = places(landscape.count(batch_size))
    own = draws is None and batches > 1
    groups = min(GROUPS, batches) if own else 1
    share = len(signs) * -(-DISPLACEMENTS // (len(signs) * groups))
    count = max(PASSES, share) if own else draws or DRAWS
    increases = []
    for look in range(count // len(signs)):
        losses, group = [0.0] * len(signs), -1
        for place, batch in enumerate(landscape.batches(batch_size), first):
            part = part_of_batch(place, batches) if own else 0
            if part != group:
                group, delta = part, displacement(_stream(seed, look, part) if own else generator)
            for i, sign in enumerate(signs):
                losses[i] += batch.weight * landscape.value(sign * delta, batch, logits)
        increases.append(sum(loss - base for loss in summed(*losses)) / len(signs))
    mean, low, high = mean_interval(increases, confidence)
    law = "Gaussian" if norm == "l2" else "uniform"
    how = f"{count} {law} draws{' in pairs' if antithetic else ''}{', each part its own' if own else ''}"
    return cost.estimate(
        mean,
        low,
        high,
        confidence,
        seed=seed,
        method=f"{how}, rho = {rho:g}, scaling {scaling}, logits {logits}" + (f", batches of {batch_size}" if batch_size else ""),
        source=SOURCE,
        rests_on=f"Student's t over independent {'passes' if own else 'draws'}",
    )


def _stream(seed: int, look: int, group: int) -> torch.Generator:
    """Of a group's displacement in a pass: the same in whichever process its batches are."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, look, group)).generate_state(1, np.uint64)[0]))


def _draw(like: Tensor, norm: Norm, generator: torch.Generator) -> Tensor:
    if norm == "l2":
        return torch.randn(len(like), generator=generator, dtype=like.dtype, device="cpu").to(like.device)
    return (2 * torch.rand(len(like), generator=generator, dtype=like.dtype, device="cpu") - 1).to(like.device)


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
