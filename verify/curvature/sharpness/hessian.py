"""Owns how a measure gets its operator: an operator as it is, a problem's Hessian, or either scaled by the parameters' size."""

from flatproof.verify.curvature.estimates import Symmetric
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.scaled import Scaled
from flatproof.verify.curvature.shared import once
from flatproof.verify.curvature.sharpness.landscape import Landscape


def operator_of(source: object) -> Symmetric:
    """The operator itself, or the Hessian of the problem's loss; TypeError for anything else."""
    if isinstance(source, Symmetric):
        return source
    if isinstance(source, Problem):
        return HessianOperator.of(source)
    raise TypeError(f"expected an operator or a Problem, got {type(source).__name__}")


def adaptive(source: object) -> Scaled:
    """diag(|w|) H diag(|w|) of a problem or of an operator with one."""
    operator = operator_of(source)
    return once(operator, ("adaptive", operator), lambda: Scaled(operator, Landscape.of(source).weights.abs()))
