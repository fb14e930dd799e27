"""Every definition of sharpness, one module each, with one call: measure(problem_or_operator, **settings) -> Estimate.

Each is a function under its own name, and a `Measure` in `measures()` under the name that the command has for it.
"""

from flatproof.verify.curvature.sharpness.average_case import average_case_sharpness
from flatproof.verify.curvature.sharpness.fisher_rao import fisher_rao_norm
from flatproof.verify.curvature.sharpness.geodesic import geodesic_sharpness
from flatproof.verify.curvature.sharpness.keskar import keskar_sharpness, keskar_subspace_sharpness
from flatproof.verify.curvature.sharpness.lambda_max import adaptive_lambda_max, hessian_lambda_max
from flatproof.verify.curvature.sharpness.landscape import Landscape
from flatproof.verify.curvature.sharpness.registry import Measure, measures, select
from flatproof.verify.curvature.sharpness.relative import relative_flatness
from flatproof.verify.curvature.sharpness.sam import sam_sharpness
from flatproof.verify.curvature.sharpness.trace import adaptive_trace, hessian_trace
from flatproof.verify.curvature.sharpness.worst_case import worst_case_sharpness

__all__ = [
    "Landscape",
    "Measure",
    "adaptive_lambda_max",
    "adaptive_trace",
    "average_case_sharpness",
    "fisher_rao_norm",
    "geodesic_sharpness",
    "hessian_lambda_max",
    "hessian_trace",
    "keskar_sharpness",
    "keskar_subspace_sharpness",
    "measures",
    "relative_flatness",
    "sam_sharpness",
    "select",
    "worst_case_sharpness",
]
