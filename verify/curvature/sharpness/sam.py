"""Owns SAM's sharpness, mean_S max_{||e||_2 <= rho} L_S(w + e) - L_S(w), at SAM's own first-order point or by ascent (m-sharpness)."""

from typing import Literal

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.sharpness.ascent import Scaled
from flatproof.verify.curvature.sharpness.landscape import Landscape
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.sharpness.worst_case import mean_increase
from flatproof.verify.utils.checks import check_one_of, check_positive, check_whole

SOURCE = "kaur2023, SAM (Foret et al., ICLR 2021, equations 1 and 2)"


def sam_sharpness(
    source: object,
    *,
    rho: float = 0.05,
    point: Literal["first-order", "ascent"] = "first-order",
    steps: int = 20,
    batch_size: int | None = None,
    starts: int | None = None,
    above: bool = True,
) -> Estimate:
    """The mean over batches S of size m of the loss increase within rho. 1-SAM's sharpness (wen2023) is batch_size = 1.

    Args:
        source: a problem, or an operator with one.
        rho: radius.
        point: "first-order", e = rho grad L_S / ||grad L_S||, where SAM evaluates its gradient; or "ascent", the largest increase met by
            Auto-PGD in `steps` iterations, the first of which is that point.
        steps: iterations of the ascent.
        batch_size: m; None for the data's own batches.
        starts: ascents from different points, as for `worst_case_sharpness`; the first-order point has one.
        above: whether a bound from above is looked for, see `bounds`.

    Returns:
        A lower bound of the maximum: the interval is [value, bound], [value, infinity) where `rests_on` says why there is no bound.

    Raises:
        ValueError: settings out of range, a loss that is not finite.
    """
    check_one_of("point", point, ("first-order", "ascent"))
    count = 1 if point == "first-order" else check_whole("steps", steps)
    method = f"{'first-order point' if count == 1 else f'Auto-PGD, {count} steps'}, rho = {check_positive('rho', rho):g}"
    if count == 1 and starts not in (None, 1):
        raise ValueError(f"the first-order point has one start; expected point='ascent' or starts=1, got starts={starts}")
    landscape = Landscape.of(source)
    coordinates = Scaled(landscape.weights, None)
    return mean_increase(
        landscape, coordinates, rho, "l2", count, method, SOURCE, batch_size=batch_size, starts=starts, above=above
    )


MEASURES = (
    Measure(
        "sam",
        "mean_S max_(||e||_2 <= rho) L_S(w + e) - L_S(w), at SAM's first-order point",
        SOURCE,
        sam_sharpness,
        "loss",
        "rotations of the parameters",
    ),
    Measure(
        "m-sharpness",
        "mean_S max_(||e||_2 <= rho) L_S(w + e) - L_S(w), by ascent",
        SOURCE,
        sam_sharpness,
        "loss",
        "rotations of the parameters",
        (("point", "ascent"),),
    ),
)
