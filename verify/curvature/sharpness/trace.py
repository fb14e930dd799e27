"""Owns the trace of the Hessian, tr H: sharpness in wen2023 (sharpness), and its parametrization-invariant form tr(|w| H |w|)."""

from typing import Any

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.sharpness.hessian import adaptive, operator_of
from flatproof.verify.curvature.sharpness.registry import Measure
from flatproof.verify.curvature.traces import Method, auto_trace, hutchinson, hutchpp, krylov_trace, trace, xtrace


def hessian_trace(
    source: object, *, method: Method = "auto", products: int | None = None, seed: int = 0, **rest: Any
) -> Estimate:
    """tr H (wen2023, Sharpness).

    Args:
        source: a problem or a symmetric operator.
        method: the estimator, "auto", "hutchinson", "hutch++", "xtrace" or "krylov"; "auto" and it share their basis with lambda_max.
        products: Hessian-vector products spent; None for the estimator's own default.
        seed: of the probes.
        **rest: settings of that estimator.

    Returns:
        The trace with its interval.
    """
    return trace(operator_of(source), method, seed=seed, **_given(products), **rest)


def adaptive_trace(
    source: object, *, method: Method = "auto", products: int | None = None, seed: int = 0, **rest: Any
) -> Estimate:
    """sum_i w_i^2 H_ii, the limit of 2 S_avg / rho^2 for c = |w| (andriushchenko2023, S_avg) where L is smooth, as rho -> 0.

    Args:
        source: a problem, or an operator with one.
        method: the estimator, "auto", "hutchinson", "hutch++", "xtrace" or "krylov"; "auto" and it share their basis with lambda_max.
        products: Hessian-vector products spent; None for the estimator's own default.
        seed: of the probes.
        **rest: settings of that estimator.

    Returns:
        The trace of |w| H |w| with its interval.
    """
    return trace(adaptive(source), method, seed=seed, **_given(products), **rest)


def _given(products: int | None) -> dict[str, int]:
    return {} if products is None else {"products": products}


MEASURES = (
    Measure(
        "trace",
        "tr H",
        "wen2023, Sharpness",
        hessian_trace,
        "products",
        "rotations of the parameters",
        passes_on=(auto_trace, hutchinson, hutchpp, xtrace, krylov_trace),
    ),
    Measure(
        "adaptive-trace",
        "sum_i w_i^2 H_ii",
        "andriushchenko2023, S_avg with c = |w|, rho -> 0",
        adaptive_trace,
        "products",
        "positive rescaling between ReLU layers",
        passes_on=(auto_trace, hutchinson, hutchpp, xtrace, krylov_trace),
    ),
)
