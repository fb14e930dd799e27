"""Every sharpness definition, one module each, with one call: measure(problem_or_operator, **settings) -> Estimate."""

from verify.curvature.sharpness.landscape import Landscape
from verify.curvature.sharpness.registry import Measure, measures, select

__all__ = ["Landscape", "Measure", "measures", "select"]
