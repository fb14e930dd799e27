"""Owns the choice of a product kernel. All compute the same product, batch by batch; they differ in what they keep and in speed.

closed-form          families of models with formulas, no autograd (`closed_form`): two layers with the mean squared error
linearize            one recorded gradient, replayed on tangents (`linearize`)
retained-graph       one differentiated graph, kept (`retained_graph`)
forward-over-reverse torch's forward mode through a gradient (`forward_over_reverse`)
double-backward      the plain reference, nothing kept (`double_backward`)
finite-difference    central differences of gradients: approximate, for what cannot be differentiated twice
auto                 the first of closed-form, linearize, retained-graph, forward-over-reverse that applies and is verified; where
                     none has a product, finite-difference, its error in every interval
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels import (
    closed_form,
    double_backward,
    finite_difference,
    forward_over_reverse,
    linearize,
    retained_graph,
)
from flatproof.verify.curvature.kernels.tangents import Unsupported
from flatproof.verify.curvature.problem import Problem

KernelName = Literal[
    "auto", "closed-form", "linearize", "retained-graph", "forward-over-reverse", "double-backward", "finite-difference"
]
Product = Callable[[Tensor], Tensor]
Prepare = Callable[[Problem, Batch], Product]

PREPARE: dict[str, Prepare] = {
    "closed-form": closed_form.prepare,
    "linearize": linearize.prepare,
    "retained-graph": retained_graph.prepare,
    "forward-over-reverse": forward_over_reverse.prepare,
    "double-backward": double_backward.prepare,
    "finite-difference": finite_difference.prepare,
}
AUTO = ("closed-form", "linearize", "retained-graph", "forward-over-reverse", "finite-difference")

__all__ = ["AUTO", "PREPARE", "KernelName", "Prepare", "Product", "Unsupported"]
