"""Every sharpness definition, one module each, with one call: measure(problem_or_operator, **settings) -> Estimate."""

from flatproof.verify.curvature.sharpness.landscape import Landscape
from flatproof.verify.curvature.sharpness.registry import Measure, measures, select

__all__ = ["Landscape", "Measure", "measures", "select"]
