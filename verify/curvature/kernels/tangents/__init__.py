"""Owns the tangent rules: how each ATen operation of a gradient passes on a first-order change of its inputs.

For out = op(a, b, ...) a rule is given the call once, at the point of linearization, keeps of it what every later product needs and
nothing else, and returns `push`: the tangents of the active inputs -> the tangents of the outputs. Three kinds cover nearly all:

    multilinear   d op(a, b) = op(da, b) + op(a, db)       products, convolutions, views, sums, fixed masks and indices
    elementwise   d op(a, b) = c_a da + c_b db             activations and their derivatives: the c are computed once
    by hand       normalizations, softmax, whatever is affine

Anything else is differentiated by torch's forward mode at each product. Pearlmutter (1994) is the source of the idea.
"""

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, Unsupported
from flatproof.verify.curvature.kernels.tangents.rules import BY_HAND, CONSTANT, ELEMENTWISE, INNER, MULTILINEAR, WRONG, rule_of

__all__ = ["BY_HAND", "CONSTANT", "ELEMENTWISE", "INNER", "MULTILINEAR", "WRONG", "Call", "Push", "Unsupported", "rule_of"]
