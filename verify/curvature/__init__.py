"""Curvature of a loss: operators known by their products, and what is estimated from them with error bars.

problem = Problem(model, loss, data)          what is differentiated
H = HessianOperator.of(problem)               a matrix, known by its products
lambda_max(H), trace(H), ...                  an `Estimate`: value, interval, confidence, cost
measures()["sam"](problem)                    the definitions of sharpness in the papers, one call; `sharpness` has them by name
"""

from flatproof.verify.curvature import kernels, sharpness, two_layer
from flatproof.verify.curvature.density import Density, spectral_density, spectral_sum
from flatproof.verify.curvature.estimates import Estimate, Symmetric
from flatproof.verify.curvature.kernels import KernelName
from flatproof.verify.curvature.lanczos import Eigenpairs, eigenvalues, lambda_max
from flatproof.verify.curvature.operators import FisherOperator, GaussNewtonOperator, HessianOperator, Operator
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.rounding import rounding_of
from flatproof.verify.curvature.scaled import Scaled
from flatproof.verify.curvature.sharpness import Landscape, Measure, measures, select
from flatproof.verify.curvature.traces import auto_trace, hutchinson, hutchpp, krylov_trace, trace, xtrace
from flatproof.verify.curvature.two_layer.product import TwoLayerHessians
from flatproof.verify.curvature.two_layer.spectrum import Spectrum, gram, whole_spectrum

__all__ = [
    "Density",
    "Eigenpairs",
    "Estimate",
    "FisherOperator",
    "GaussNewtonOperator",
    "HessianOperator",
    "KernelName",
    "Landscape",
    "Measure",
    "Operator",
    "Problem",
    "Scaled",
    "Spectrum",
    "Symmetric",
    "TwoLayerHessians",
    "auto_trace",
    "eigenvalues",
    "gram",
    "hutchinson",
    "hutchpp",
    "kernels",
    "krylov_trace",
    "lambda_max",
    "measures",
    "rounding_of",
    "select",
    "sharpness",
    "spectral_density",
    "spectral_sum",
    "trace",
    "two_layer",
    "whole_spectrum",
    "xtrace",
]


def __dir__() -> list[str]:
    return __all__
