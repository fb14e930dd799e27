"""Curvature of a loss: operators known by their products, and what is estimated from them with error bars.

problem = Problem(model, loss, data)          what is differentiated
H = HessianOperator.of(problem)               a matrix, known by its products
lambda_max(H), trace(H), ...                  an `Estimate`: value, interval, confidence, cost
measures()["sam"](problem)                    the definitions of sharpness in the papers, one call
"""

from flatproof.verify.curvature.density import spectral_density
from flatproof.verify.curvature.estimates import Estimate
from flatproof.verify.curvature.lanczos import Eigenpairs, eigenvalues, lambda_max
from flatproof.verify.curvature.operators import FisherOperator, GaussNewtonOperator, HessianOperator, Operator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.sharpness.registry import Measure, measures
from flatproof.verify.curvature.traces import hutchinson, hutchpp, trace, xtrace
from flatproof.verify.curvature.two_layer.spectrum import gram, whole_spectrum

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
