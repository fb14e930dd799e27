"""Curvature of a loss: operators known by their products, and what is estimated from them with error bars."""

from verify.curvature.operators import FisherOperator, GaussNewtonOperator, HessianOperator, Operator
from verify.curvature.problem import Problem

__all__ = ["FisherOperator", "GaussNewtonOperator", "HessianOperator", "Operator", "Problem"]
