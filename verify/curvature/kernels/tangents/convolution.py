"""Owns the rules of convolutions and of maximum pooling."""

from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, aten


def convolution(call: Call) -> Push:
    """Bilinear in input and weight, linear in the bias."""
    _, weight, _, *geometry = call.args
    x, w, bias = call.at(0), call.at(1), call.at(2)
    inputs: Any = call.args[0] if w is not None else None
    kernel: Any = weight if x is not None else None

    def push(*ts: Tensor) -> Tensor:
        shift = ts[bias] if bias is not None else None
        if w is None:
            if x is None:
                assert shift is not None
                return (
                    shift[:, None, None].expand(shape)
                    if len(shape) == 4
                    else shift.reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape)
                )
            return torch.convolution(ts[x], kernel, shift, *geometry)
        moved = torch.convolution(inputs, ts[w], shift, *geometry)
        return moved if x is None else moved.add_(torch.convolution(ts[x], kernel, None, *geometry))

    shape = call.out[0].shape
    return push


def convolution_backward(call: Call) -> Push:
    """Bilinear in (signal, weight) for the input, in (signal, input) for the weight: two calls give all the terms."""
    signal, inputs, weight, bias, *geometry, mask = call.args
    g, x, w = call.at(0), call.at(1), call.at(2)
    second = [bool(mask[0]) and w is not None, bool(mask[1]) and x is not None, False]
    kept_x = inputs if g is not None or second[0] else None
    kept_w, kept_g = weight, signal if any(second) else None
    zero_x = weight.new_zeros(()).expand(inputs.shape) if kept_x is None else kept_x

    def push(*ts: Tensor) -> tuple[Tensor | None, ...]:
        # all that is linear in the signal's tangent, then, with the signal as it is, what input and weight change
        first = aten.convolution_backward(ts[g], zero_x, kept_w, bias, *geometry, mask) if g is not None else (None, None, None)
        if kept_g is None:
            return first
        dx = ts[x] if x is not None else zero_x
        dw = ts[w] if w is not None else kept_w
        other = aten.convolution_backward(kept_g, dx, dw, None, *geometry, second)
        return tuple(a if b is None else b if a is None else a.add_(b) for a, b in zip(first, other, strict=True))

    return push


def max_pool(call: Call) -> Push:
    """The tangent at the maxima; their places are kept as they are laid out in memory."""
    indices = call.out[1]
    n, c, h, w = indices.shape if indices.ndim == 4 else (1, *indices.shape)
    batched = indices.ndim == 4
    if batched and not indices.is_contiguous() and indices.is_contiguous(memory_format=torch.channels_last):
        flat = indices.permute(0, 2, 3, 1).reshape(n, h * w, c)
        return lambda t: (t.permute(0, 2, 3, 1).flatten(1, 2).gather(1, flat).unflatten(1, (h, w)).permute(0, 3, 1, 2), None)
    flat = indices.flatten(-2)
    return lambda t: (t.flatten(-2).gather(-1, flat).unflatten(-1, (h, w)), None)
