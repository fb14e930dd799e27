"""Owns the table of rules: what each operation of torch does to values and their boxes, and its forms."""

import math
from collections.abc import Callable

from flatproof.verify.curvature.bounds import curves
from flatproof.verify.curvature.bounds.curve_rules import curve_rule, elementwise, gelu, largest, power, softplus
from flatproof.verify.curvature.bounds.head_rules import log_softmax
from flatproof.verify.curvature.bounds.linear_rules import (
    OPERATIONS,
    add,
    cat,
    checked_moves,
    embedding,
    indexed,
    negative,
    nll_loss,
)
from flatproof.verify.curvature.bounds.operation import Given, Result
from flatproof.verify.curvature.bounds.product_rules import addmm, convolution, matmul, mul

RULES: dict[str, Callable[[Given], Result]] = {
    **dict.fromkeys(OPERATIONS, checked_moves),
    **dict.fromkeys(("add", "add.Scalar", "sub", "sub.Scalar", "rsub", "rsub.Scalar"), add),
    **dict.fromkeys(("mul", "mul.Scalar", "div", "div.Scalar"), mul),
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), matmul),
    **dict.fromkeys(("cat", "stack"), cat),
    "neg": negative,
    "addmm": addmm,
    "convolution": convolution,
    "embedding": embedding,
    "index": indexed,
    "nll_loss_forward": nll_loss,
    "_log_softmax": log_softmax,
    "max_pool2d_with_indices": largest,
    "softplus": softplus,
    "gelu": gelu,
    "pow.Tensor_Scalar": power,
    "leaky_relu": curve_rule(lambda slope=0.01: curves.leaky_relu(float(slope))),
    "hardtanh": curve_rule(curves.hardtanh),
    "clamp": curve_rule(
        lambda low=None, high=None: curves.clamp(-math.inf if low is None else low, math.inf if high is None else high)
    ),
    "clamp_min": curve_rule(lambda low: curves.clamp(low, math.inf)),
    "clamp_max": curve_rule(lambda high: curves.clamp(-math.inf, high)),
    "elu": curve_rule(lambda alpha=1.0, scale=1.0, input_scale=1.0: curves.elu(float(alpha), float(scale), float(input_scale))),
    **{
        name: elementwise(curve)
        for name, curve in {
            "relu": curves.RELU,
            "abs": curves.ABS,
            "tanh": curves.TANH,
            "sigmoid": curves.SIGMOID,
            "silu": curves.SILU,
            "exp": curves.EXP,
            "square": curves.SQUARE,
            "sqrt": curves.SQRT,
            "rsqrt": curves.RSQRT,
            "reciprocal": curves.RECIPROCAL,
            "log": curves.LOG,
        }.items()
    },
}
