"""Curvature of a loss: operators known by their products, and what is estimated from them with error bars.

problem = Problem(model, loss, data)          what is differentiated
H = HessianOperator.of(problem)               a matrix, known by its products
lambda_max(H), trace(H), ...                  an `Estimate`: value, interval, confidence, cost
measures()["sam"](problem)                    the definitions of sharpness in the papers, one call
"""

from verify.curvature.density import spectral_density
from verify.curvature.estimates import Estimate
from verify.curvature.lanczos import Eigenpairs, eigenvalues, lambda_max
from verify.curvature.operators import FisherOperator, GaussNewtonOperator, HessianOperator, Operator
from verify.curvature.problem import Problem
from verify.curvature.sharpness.registry import Measure, measures
from verify.curvature.spectrum import gram, whole_spectrum
from verify.curvature.trace import hutchinson, hutchpp, trace, xtrace

__all__ = [
    "Eigenpairs",
    "Estimate",
    "FisherOperator",
    "GaussNewtonOperator",
    "HessianOperator",
    "Measure",
    "Operator",
    "Problem",
    "eigenvalues",
    "gram",
    "hutchinson",
    "hutchpp",
    "lambda_max",
    "measures",
    "spectral_density",
    "trace",
    "whole_spectrum",
    "xtrace",
]
