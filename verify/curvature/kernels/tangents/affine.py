"""Owns the rules of sums, products, joins, choices and views, and relu's."""

import operator
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, aten
from flatproof.verify.curvature.kernels.tangents.generic import forward_mode


def sum_of(call: Call) -> Push:
    """add and sub: alpha scales the second term; a constant term drops out."""
    alpha = call.kwargs.get("alpha", 1) * (-1 if call.op.overloadpacket in (aten.sub, aten.sub_, aten.rsub) else 1)
    out = call.out[0]
    shape, first, second = out.shape, call.at(0), call.at(1)
    if call.op.overloadpacket is aten.rsub:  # alpha times the first is taken from the second
        first, second = second, first
    if first is not None and second is not None:
        return lambda *ts: torch.add(ts[first], ts[second], alpha=alpha)
    place = call.args[call.active[0]]  # type: ignore[index]
    scale = 1 if first is not None else alpha
    if place.shape != shape:
        return lambda t: (t if scale == 1 else t * scale).expand(shape)
    return (lambda t: t) if scale == 1 else (lambda t: t * scale)


def addmm(call: Call) -> Push:
    """beta bias + alpha A B: one fused multiply-add where both factors move."""
    beta, alpha = call.kwargs.get("beta", 1), call.kwargs.get("alpha", 1)
    bias, left, right = call.at(0), call.at(1), call.at(2)
    a: Any = call.args[1] if right is not None else None
    b: Any = call.args[2] if left is not None else None
    product: Any = {aten.addmm: torch.mm, aten.baddbmm: torch.bmm, aten.addmv: torch.mv}[call.op.overloadpacket]
    shape = call.out[0].shape
    if alpha == 1 and beta == 1 and call.op.overloadpacket is aten.addmm:

        def fused(*ts: Tensor) -> Tensor:
            total = ts[bias] if bias is not None else None
            if right is not None:
                total = torch.mm(a, ts[right]) if total is None else torch.addmm(total, a, ts[right])
            if left is not None:
                total = torch.mm(ts[left], b) if total is None else torch.addmm(total, ts[left], b)
            assert total is not None
            return total if total.shape == shape else total.expand(shape)

        return fused

    def push(*ts: Tensor) -> Tensor:
        terms = [] if bias is None else [beta * ts[bias]]
        if left is not None:
            terms.append(alpha * product(ts[left], b))
        if right is not None:
            terms.append(alpha * product(a, ts[right]))
        return reduce(operator.add, terms).expand(shape)

    return push


def matrix_product(call: Call) -> Push:
    """A B of matrices."""
    left, right = call.at(0), call.at(1)
    a, b = call.args
    if left is None:
        return lambda t: torch.mm(a, t)
    if right is None:
        return lambda t: torch.mm(t, b)
    return lambda t, u: torch.addmm(torch.mm(t, b), a, u)


def batched_product(call: Call) -> Push:
    """A B of stacks of matrices."""
    left, right = call.at(0), call.at(1)
    a, b = call.args
    if left is None:
        return lambda t: torch.bmm(a, t)
    if right is None:
        return lambda t: torch.bmm(t, b)
    return lambda t, u: torch.baddbmm(torch.bmm(t, b), a, u)


def joined(call: Call) -> Push:
    """cat and stack: constant pieces move by zero."""
    pieces, dim = call.args[0], call.args[1] if len(call.args) > 1 else 0
    which = {place[1]: n for n, place in enumerate(call.active) if isinstance(place, tuple)}
    zeros = [None if n in which else p.new_zeros(()).expand(p.shape) for n, p in enumerate(pieces)]
    join = torch.cat if call.op.overloadpacket is aten.cat else torch.stack

    def push(*ts: Tensor) -> Tensor:
        return join([ts[which[n]] if z is None else z for n, z in enumerate(zeros)], dim)

    return push


def where(call: Call) -> Push:
    """where(condition, a, b)."""
    condition, first, second = call.args[0], call.at(1), call.at(2)
    if first is not None and second is not None:
        return lambda *ts: torch.where(condition, ts[first], ts[second])
    return (
        (lambda *ts: torch.where(condition, ts[first], 0))
        if first is not None
        else (lambda *ts: torch.where(condition, 0, ts[-1]))
    )


def masked_fill(call: Call) -> Push | None:
    """masked_fill with a constant value."""
    mask = call.args[1]
    return (lambda t: t.masked_fill(mask, 0)) if call.active == (0,) else forward_mode(call)


def copy(call: Call) -> Push | None:
    """copy_(target, source): the target's own tangent is overwritten."""
    source, shape = call.at(1), call.args[0].shape
    return None if source is None else (lambda *ts: ts[source].expand(shape).clone())


def same(call: Call) -> Push:
    """The tangent itself."""
    return lambda t: t


def reshaped(call: Call) -> Push:
    """A view, of a tangent that may lie otherwise in memory."""
    shape = tuple(call.out[0].shape)
    return lambda t: t.reshape(shape)


def relu(call: Call) -> Push:
    """The tangent where the output is positive; relu'(0) = 0 as torch has it."""
    out = call.out[0]
    return lambda t: aten.threshold_backward(t, out, 0)
