"""Owns the rules of batch and layer normalization, forward and backward.

With x^ = (x - mean) / s over the axes that are normalized, y = w x^ + b, and the backward pass of a signal g is

    gx = (1 / s) P (w g),   gw = sum g x^,   gb = sum g,   P g = g - mean g - x^ mean(g x^)

for batch norm with w constant along those axes. A change t of x changes, in training mode and in layer norm,

    d x^ = (1 / s) (t - mean t - x^ mean(t x^)),   d (1 / s) = -(1 / s) mean(t x^) / s.

In evaluation mode mean and s are constants: d x^ = t / s and P is the identity.
"""

from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.kernels.tangents.call import Call, Push


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


def batch_norm(call: Call) -> Push:
    """y = w x^ + b with x^ = (x - mean) / s; in training mode mean and s move with x."""
    x, weight, _, mean, variance, training, _, eps = call.args[:8]
    at_x, at_w, at_b = call.at(0), call.at(1), call.at(2)
    axes = [d for d in range(x.ndim) if d != 1]
    if training:
        saved_mean, inverse = call.out[1], call.out[2]
    else:
        saved_mean, inverse = mean, (variance + eps).rsqrt()
    scale = _per_channel(inverse if weight is None else inverse * weight, x)
    normal = (x - _per_channel(saved_mean, x)).mul_(_per_channel(inverse, x))
    call.shared[id(x)] = (x, normal)
    if at_w is None and not (training and at_x is not None):
        normal = None

    def push(*ts: Tensor) -> tuple[Tensor, None, None]:
        moved = None
        if at_x is not None:
            t = ts[at_x]
            if training:
                assert normal is not None
                along = (t * normal).mean(axes, keepdim=True)
                moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, along, value=-1).mul_(scale)
            else:
                moved = t * scale
        if at_w is not None:
            change = _per_channel(ts[at_w], x_like)
            moved = normal * change if moved is None else torch.addcmul(moved, normal, change)
        if at_b is not None:
            change = _per_channel(ts[at_b], x_like)
            moved = change.expand(shape) if moved is None else moved + change
        assert moved is not None
        return moved, None, None

    shape = x.shape
    x_like = torch.empty((), dtype=x.dtype).expand(shape)
    return push


def batch_norm_backward(call: Call) -> Push:
    """gx = (w / s) P g, gw = sum g x^, gb = sum g; P removes mean and x^ component in training mode and is the identity otherwise."""
    g, x, weight, mean, variance, saved_mean, saved_inverse, training, eps, mask = call.args
    at_g, at_x, at_w = call.at(0), call.at(1), call.at(2)
    axes = [d for d in range(x.ndim) if d != 1]
    center, inverse = (saved_mean, saved_inverse) if training else (mean, (variance + eps).rsqrt())
    inv = _per_channel(inverse, x)
    scale = inv if weight is None else inv * _per_channel(weight, x)
    known = call.shared.pop(id(x), None)  # the forward rule has made x^ already: one array serves both
    normal = known[1] if known else (x - _per_channel(center, x)).mul_(inv)
    moves_x = at_x is not None
    along_g: Any = (g * normal).mean(axes, keepdim=True) if training else None
    projected: Any = None
    if training and moves_x:
        projected = g - g.mean(axes, keepdim=True) - normal * along_g
    stub = torch.empty((), dtype=x.dtype).expand(x.shape)
    # a push keeps what it closes over alive: the signal only where x or w moves, of x no more than its shape (`stub`)
    kept_g: Any = g if at_x is not None or (at_w is not None and mask[0]) else None

    def onto(t: Tensor) -> Tensor:
        return torch.addcmul(t - t.mean(axes, keepdim=True), normal, (t * normal).mean(axes, keepdim=True), value=-1)

    def push(*ts: Tensor) -> tuple[Tensor | None, ...]:
        # each moving input adds its share to gx, gw and gb
        gx = gw = gb = None
        if at_g is not None:  # linear: the backward pass of the signal's tangent
            t = ts[at_g]
            gb = t.sum(axes) if mask[2] else None
            gw = (t * normal).sum(axes) if mask[1] else None
            if mask[0]:
                gx = (onto(t) if training else t) * scale
        if at_x is not None:
            t = ts[at_x]
            if training:
                slope = (t * normal).mean(axes, keepdim=True) * inv  # -s d(1/s)
                moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, slope / inv, value=-1).mul_(inv)  # d x^
                cross = (kept_g * moved).mean(axes, keepdim=True)  # mean(g dx^)
                if mask[0]:
                    # d[(w/s) P g] = -(w/s) (slope P g + dx^ mean(g x^) + x^ mean(g dx^)): s moves, and P by its two factors x^
                    step = (projected * slope + moved * along_g + normal * cross) * -scale
                    gx = step if gx is None else gx + step
                if mask[1]:
                    extra = cross.flatten() * (stub.numel() // stub.shape[1])  # sum g dx^, from its mean
                    gw = extra if gw is None else gw + extra
            elif mask[1]:  # constants mean and s: dx^ = t / s, and gx does not see x
                extra = (kept_g * t).sum(axes) * inverse
                gw = extra if gw is None else gw + extra
        if at_w is not None and mask[0]:  # (dw/s) P g; gw and gb do not see w
            base = onto(kept_g) if training and projected is None else projected if training else kept_g
            change = base * (_per_channel(ts[at_w], stub) * inv)
            gx = change if gx is None else gx + change
        return gx, gw, gb

    return push


def layer_norm(call: Call) -> Push:
    """y = w x^ + b: mean and s are each sample's own and move with x."""
    x, normalized, weight, _, _ = call.args
    _, mean, inverse = call.out
    at_x, at_w, at_b = call.at(0), call.at(2), call.at(3)
    axes = list(range(x.ndim - len(normalized), x.ndim))
    normal, shape = (x - mean).mul_(inverse), x.shape
    call.shared[id(x)] = (x, normal)
    scale = inverse if weight is None else None

    def push(*ts: Tensor) -> tuple[Tensor, None, None]:
        moved = None
        if at_x is not None:
            t = ts[at_x]
            moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, (t * normal).mean(axes, keepdim=True), value=-1)
            moved = moved.mul_(scale) if scale is not None else moved.mul_(inverse).mul_(weight)
        if at_w is not None:
            moved = normal * ts[at_w] if moved is None else torch.addcmul(moved, normal, ts[at_w])
        if at_b is not None:
            moved = ts[at_b].expand(shape) if moved is None else moved + ts[at_b]
        assert moved is not None
        return moved, None, None

    return push


def layer_norm_backward(call: Call) -> Push:
    """gx = (1 / s) P (w g), gw = sum g x^, gb = sum g; w varies along the axes that P is over."""
    g, x, normalized, mean, inverse, weight, _, mask = call.args
    at_g, at_x, at_w = call.at(0), call.at(1), call.at(5)
    axes, rows = list(range(x.ndim - len(normalized), x.ndim)), list(range(x.ndim - len(normalized)))
    known = call.shared.pop(id(x), None)
    normal = known[1] if known else (x - mean).mul_(inverse)
    scaled = g if weight is None else g * weight
    along = (scaled * normal).mean(axes, keepdim=True)
    projected = scaled - scaled.mean(axes, keepdim=True) - normal * along if at_x is not None and mask[0] else None

    def over(t: Tensor) -> Tensor:
        return t.sum(rows) if rows else t  # sum over no axes would be over all

    def onto(t: Tensor) -> Tensor:
        return torch.addcmul(t - t.mean(axes, keepdim=True), normal, (t * normal).mean(axes, keepdim=True), value=-1)

    def push(*ts: Tensor) -> tuple[Tensor | None, ...]:
        gx = gw = gb = None
        inner = None
        if at_g is not None:
            t = ts[at_g]
            gb = over(t) if mask[2] else None
            gw = over(t * normal) if mask[1] else None
            inner = t if weight is None else t * weight
        if at_w is not None:  # the signal that P meets is w g: it moves with either
            inner = g * ts[at_w] if inner is None else torch.addcmul(inner, g, ts[at_w])
        if inner is not None and mask[0]:
            gx = onto(inner).mul_(inverse)
        if at_x is not None:
            t = ts[at_x]
            slope = (t * normal).mean(axes, keepdim=True)
            moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, slope, value=-1).mul_(inverse)
            if mask[0]:
                assert projected is not None
                # as for batch norm, with w g in place of g
                cross = (scaled * moved).mean(axes, keepdim=True)
                step = torch.addcmul(torch.addcmul(projected * (slope * inverse), moved, along), normal, cross).mul_(inverse)
                gx = -step if gx is None else gx - step
            if mask[1]:
                extra = over(g * moved)
                gw = extra if gw is None else gw + extra
        return gx, gw, gb

    return push
