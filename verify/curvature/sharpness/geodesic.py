"""Owns geodesic sharpness, worst-case sharpness on the quotient by the symmetries of products G H' (attention, diagonal networks).

    S(rho) = mean_S max_(xi horizontal, ||xi||_w <= rho) L_S(gamma_xi(1)) - L_S(w),

gamma_xi the geodesic from w with velocity xi (da Silva, Dangel and Oore, ICML 2025, equation 4). The metric on a pair (G, H) is

    invariant   tr (G'G)^-1 xi_G'xi_G + (H'H)^-1 xi_H'xi_H    (equation 9)
    mixed       tr (H'H) xi_G'xi_G + (G'G) xi_H'xi_H          (equation 10)

and on all other parameters that of adaptive sharpness, ||xi / |w|||_2 with straight geodesics (its appendix C.1). On matrices geodesics
are taken to second order, gamma(1) = w + xi - Gamma(xi, xi) / 2 (equations 5, 11 and 12); on pairs u * v elementwise (a diagonal network)
exactly: both factors times e^b, or times sqrt(1 + 2b) with the product u v (1 + 2b) continued through 0 (section 5.1).

All is computed in coordinates that depend on G H' alone (`quotient`), so that every iterate of the ascent is unchanged by A but for
rounding.

Unlike adaptive sharpness it is not changed by A; it is changed by what neither does away with: the scale of the logits, rotations of
other parameters. On a diagonal network with isotropic data at interpolation (loss kappa ||beta' - beta||^2) it is, for the invariant
metric, kappa max_i beta_i^2 (e^(sqrt 2 rho) - 1)^2, and for the mixed one 2 kappa rho^2, whatever the network (tests).
"""

from collections.abc import Sequence
from typing import get_args

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.sharpness.landscape import Landscape, Logits
from flatproof.verify.curvature.sharpness.quotient import Block, Factors, Geodesics, Matrices, Metric
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.sharpness.symmetries import Pairs, attention_pairs, check_unchanged, elementwise_pairs
from flatproof.verify.curvature.sharpness.worst_case import mean_increase
from flatproof.verify.utils.checks import check_one_of, check_positive, check_whole

SOURCE = "da Silva et al. 2025, equation 4"


def geodesic_sharpness(
    source: object,
    *,
    rho: float = 0.5,
    metric: Metric = "invariant",
    pairs: Sequence[Sequence[str]] | None = None,
    logits: Logits = "plain",
    batch_size: int | None = None,
    steps: int = 20,
    starts: int | None = None,
) -> Estimate:
    """The mean over batches S of the largest loss increase that Auto-PGD finds along horizontal geodesics of length rho.

    Args:
        source: a problem, or an operator with one.
        rho: length of the initial velocity in the metric.
        metric: "invariant" or "mixed".
        pairs: pairs of names of parameters of one shape that the model uses through their elementwise product alone, as a diagonal network
            uses u and v; attention layers are found without.
        logits: whether outputs are normalized first, see `landscape.normalize`.
        batch_size: samples a batch; None for the data's own batches.
        steps: iterations of an ascent, each a gradient.
        starts: ascents from different points, as for `worst_case_sharpness`.

    Returns:
        A lower bound of the maximum: the interval is [value, infinity).

    Raises:
        ValueError: settings out of range; a model without such products (the measure would be adaptive-worst-l2), one whose layers are
            changed by the symmetry, or a product of lower rank than its factors; a loss that is not finite.
    """
    check_one_of("metric", metric, get_args(Metric))
    landscape = Landscape.of(source)
    problem = landscape.problem
    layers = attention_pairs(problem)
    factors = elementwise_pairs(problem, pairs or ())
    if not layers and not factors:
        raise ValueError(
            "geodesic sharpness is defined here for attention layers and for `pairs` of parameters used through their product; the model "
            "has none among the chosen parameters, and the measure would be adaptive-worst-l2"
        )
    products = [
        Pairs(" * ".join(pair), u[:, None, None], v[:, None, None]) for pair, (u, v) in zip(pairs or (), factors, strict=True)
    ]
    check_unchanged(landscape, [*layers, *products])
    blocks: list[Block] = [Matrices(landscape.weights, layer, metric) for layer in layers]
    blocks += [Factors(landscape.weights, u, v, metric) for u, v in factors]
    radius = check_positive("rho", rho)
    method = f"Auto-PGD along geodesics, {check_whole('steps', steps)} steps, rho = {radius:g}, {metric} metric, logits {logits}"
    coordinates = Geodesics(landscape.weights, blocks)
    return mean_increase(landscape, coordinates, radius, "l2", steps, method, SOURCE, logits, batch_size, starts)


def _named(name: str, metric: Metric, length: str) -> Measure:
    return Measure(
        name,
        f"mean_S max_(xi horizontal, {length} <= rho^2) L_S(exp_w(xi)) - L_S(w)",
        SOURCE,
        geodesic_sharpness,
        "loss",
        "G -> G A^-1, H -> H A' in heads of attention and in named pairs; else positive rescaling between ReLU layers",
        (("metric", metric),),
    )


MEASURES = (
    _named("geodesic", "invariant", "tr (G'G)^-1 xi_G'xi_G + tr (H'H)^-1 xi_H'xi_H"),
    _named("geodesic-mixed", "mixed", "tr (H'H) xi_G'xi_G + tr (G'G) xi_H'xi_H"),
)
