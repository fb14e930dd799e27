"""Owns c, the size in whose units a displacement is measured: 1, each parameter's own size, its filter's norm or its layer's.

    none         c_i = 1
    elementwise  c_i = |w_i|: adaptive sharpness (andriushchenko2023; ASAM, Kwon, Kim, Park and Choi, ICML 2021)
    filter       c_i = ||f||_2 of the filter f that w_i lies in (ASAM's filter-wise normalization)
    layer        c_i = ||W||_2 of the weight tensor W that w_i lies in (the same with one norm a layer)

A filter is a slice along the first axis of a weight of two or more axes: an output's weights in a linear layer or convolution, a token's
vector in an embedding. What lies in none (biases, gains of normalizations) has c_i = |w_i|, as with ASAM.

c moves with w under w -> S w where S is diagonal with positive entries; for "filter" these must be equal within each filter, for "layer"
within each weight tensor. If S leaves the network's function unchanged, L(w + c * z) as a function of z does not change then.
"""

from typing import Literal

import torch
from torch import Tensor

from flatproof.verify.curvature.sharpness.landscape import Landscape
from flatproof.verify.utils.checks import check_one_of

Scaling = Literal["none", "elementwise", "filter", "layer"]
SCALINGS = ("none", "elementwise", "filter", "layer")
SIZE = {"none": "1", "elementwise": "|w|", "filter": "||filter||", "layer": "||layer||"}
UNCHANGED = {
    "none": "none",
    "elementwise": "positive rescaling between ReLU layers",
    "filter": "positive rescaling of whole layers, and of a filter before a normalization by batch statistics",
    "layer": "positive rescaling of whole layers",
}


def scale_of(landscape: Landscape, scaling: Scaling) -> Tensor | None:
    """c, (P,), or None for 1; a parameter with c_i = 0 is not moved."""
    check_one_of("scaling", scaling, SCALINGS)
    if scaling == "none":
        return None
    if scaling == "elementwise":
        return landscape.weights.abs()
    return torch.cat([_sizes(p, scaling).reshape(-1) for p in landscape.problem.unflatten(landscape.weights)])


def _sizes(weight: Tensor, scaling: Scaling) -> Tensor:
    if weight.ndim < 2:
        return weight.abs()
    axes = tuple(range(1 if scaling == "filter" else 0, weight.ndim))
    return torch.linalg.vector_norm(weight, dim=axes, keepdim=True).expand_as(weight)
