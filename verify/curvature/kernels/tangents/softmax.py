"""Owns the rules of softmax, log-softmax and log-sigmoid."""

from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, aten


def softmax(call: Call) -> Push:
    """p * (t - sum p t): the Jacobian is symmetric, so softmax's own backward pass is the rule."""
    p, dim = call.out[0], call.args[1]
    return lambda t: aten._softmax_backward_data(t, p, dim, p.dtype)


def softmax_backward(call: Call) -> Push:
    """r = p (g - s), s = sum p g."""
    g, p, dim, dtype = call.args
    at_g, at_p = call.at(0), call.at(1)
    centered: Any = None if at_p is None else g - (g * p).sum(dim, keepdim=True)
    kept: Any = None if at_p is None else g

    def push(*ts: Tensor) -> Tensor:
        out = None if at_g is None else aten._softmax_backward_data(ts[at_g], p, dim, dtype)
        if at_p is not None:
            t = ts[at_p]
            step = torch.addcmul(t * centered, p, (t * kept).sum(dim, keepdim=True), value=-1)
            out = step if out is None else out.add_(step)
        assert out is not None
        return out

    return push


def log_sigmoid_backward(call: Call) -> Push:
    """r = g sigmoid(-x); the third argument is a function of x kept on some devices."""
    g, x = call.args[:2]
    at_g, at_x = call.at(0), call.at(1)
    slope = torch.sigmoid(-x)
    bend: Any = None if at_x is None else -g * slope * torch.sigmoid(x)
    if at_g is None:
        return lambda *ts: ts[at_x] * bend  # type: ignore[index]
    if at_x is None:
        return lambda *ts: ts[at_g] * slope
    return lambda *ts: torch.addcmul(ts[at_g] * slope, ts[at_x], bend)


def log_softmax(call: Call) -> Push:
    """t - sum p t."""
    p, dim = call.out[0].exp(), call.args[1]
    return lambda t: t - (p * t).sum(dim, keepdim=True)


def log_softmax_backward(call: Call) -> Push:
    """r = g - p s, s = sum g, p = exp(output)."""
    g, output, dim, _ = call.args
    at_g, at_o = call.at(0), call.at(1)
    p = output.exp()
    total: Any = p * g.sum(dim, keepdim=True)

    def push(*ts: Tensor) -> Tensor:
        out = None if at_g is None else ts[at_g] - p * ts[at_g].sum(dim, keepdim=True)
        if at_o is not None:
            step = total * ts[at_o]
            out = -step if out is None else out - step
        assert out is not None
        return out

    return push
