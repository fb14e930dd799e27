"""Owns the largest eigenvalue of the Hessian: sharpness in kaur2023, and its parametrization-invariant form, of |w| H |w|."""

from typing import Any

from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.lanczos import eigenvalues
from flatproof.verify.curvature.sharpness.hessian import adaptive, operator_of
from flatproof.verify.curvature.sharpness.registry import Measure


def hessian_lambda_max(source: object, *, tolerance: float = 0.01, seed: int = 0, **rest: Any) -> Estimate:
    """lambda_max(H) (kaur2023, Setting: on 1000 training examples, dropout off).

    Args:
        source: a problem or a symmetric operator.
        tolerance: relative, of the interval.
        seed: of the random start.
        **rest: settings of `eigenvalues`.

    Returns:
        The largest eigenvalue with its interval.
    """
    return eigenvalues(operator_of(source), tolerance=tolerance, seed=seed, **rest)[0]


def adaptive_lambda_max(source: object, *, tolerance: float = 0.01, seed: int = 0, **rest: Any) -> Estimate:
    """lambda_max(|w| H |w|), the limit of 2 S_max / rho^2 for c = |w|, p = 2 at a minimum, as rho -> 0 (andriushchenko2023, S_max).

    Args:
        source: a problem, or an operator with one.
        tolerance: relative, of the interval.
        seed: of the random start.
        **rest: settings of `eigenvalues`.

    Returns:
        The largest eigenvalue with its interval.
    """
    return eigenvalues(adaptive(source), tolerance=tolerance, seed=seed, **rest)[0]


MEASURES = (
    Measure(
        "lambda-max",
        "max_v v'Hv / v'v",
        "kaur2023, Setting",
        hessian_lambda_max,
        "products",
        "rotations of the parameters",
        passes_on=(eigenvalues,),
    ),
    Measure(
        "adaptive-lambda-max",
        "max_v v'|w|H|w|v / v'v",
        "andriushchenko2023, S_max with c = |w|, p = 2, rho -> 0",
        adaptive_lambda_max,
        "products",
        "positive rescaling between ReLU layers",
        passes_on=(eigenvalues,),
    ),
)
