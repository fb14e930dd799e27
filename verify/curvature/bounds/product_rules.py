"""Owns the rules of bilinear operations.

A bilinear operation is linearized about a point (p, q) of its inputs' boxes, which is McCormick's relaxation in the form

    a b - a0 b0 = (a - a0) q + p (b - b0) - (p - a0)(q - b0) + (a - p)(b - q),   |(a - p)(b - q)| <= r_a r_b.

In an l2 ball a product of an activation and parameters moves each output by at most rho ||c * activation||_2, and jointly (`Joint`).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatproof.verify.curvature.bounds import curves
from flatproof.verify.curvature.bounds.curve_rules import elementwise
from flatproof.verify.curvature.bounds.linear_rules import add
from flatproof.verify.curvature.bounds.operation import (
    Given,
    Result,
    alone,
    interval,
    linear,
    repeats,
    rows_are_samples,
    transposed,
    with_rounding,
)
from flatproof.verify.curvature.bounds.values import (
    TINY,
    UNIT,
    Ball,
    Form,
    Joint,
    Mode,
    Op2,
    Step,
    Unknown,
    Value,
    gamma,
    plus,
    up,
)


def product(
    given: Given,
    named: tuple[tuple[str, Value], tuple[str, Value]],
    op: Op2,
    by_sample: bool,
    *,
    terms: int,
    work: float,
    shared: Callable[[Value, Value], tuple[int, ...] | None],
    elementwise: bool = False,
    above: Op2 | None = None,
) -> Result:
    """A bilinear operation.

    Args:
        named: its two inputs.
        op: the operation, of nonnegative coefficients.
        by_sample: of the output.
        terms: the longest sum within it or its transposes.
        work: operations of it.
        shared: axes of the output along which the second input, a parameter, is used again; None where that is not known.
        elementwise: whether it multiplies entry by entry.
        above: a little above the operation of nonnegative inputs, for the size of rounding, where that is cheaper; None: itself.
    """
    (name_a, a), (name_b, b) = named
    l2 = given.ball.norm == "l2"
    axes = shared(a, b) if l2 and b.scale is not None else None
    center = op(a.center, b.center)
    rounding = 3 * gamma(terms) * (above or op)(a.size, b.size) + TINY
    middle = None if a.middle is None and b.middle is None else op(a.point, b.point) - center
    moves: list[Tensor] = []
    both = a.scale is not None and b.scale is not None and a.root != b.root and a.center.shape == b.center.shape
    if l2 and elementwise and both:
        assert a.scale is not None
        assert b.scale is not None
        slope = given.ball.rho * ((a.center * b.scale).square() + (b.center * a.scale).square()).sqrt()
        moves.append(slope + given.ball.rho**2 / 2 * a.scale * b.scale)
    else:
        if b.radius is not None:
            # in an l2 ball never more than the box's sum of sizes
            is_length = axes is not None and b.scale is not None
            moves.append(_length(op, a.size, b.scale, given.ball) if is_length else op(a.size, b.radius))  # type: ignore[arg-type]
        if a.radius is not None:
            moves.append(op(a.radius, b.point.abs()))
    radius = rounding
    for move in moves:
        radius = radius + move
    value = Value(center, middle, up(radius), by_sample)
    zero_a, zero_b = torch.zeros_like(a.center), torch.zeros_like(b.center)

    def make(mode: Mode) -> Form:
        tangent = mode == "tangent"
        p, q = (a.center, b.center) if tangent else (a.point, b.point)
        reach_a, reach_b = (a.deviation, b.deviation) if tangent else (a.radius, b.radius)
        size, joint, pairs, shift = rounding, list[Joint](), None, None
        pulled_a, pulled_b = not a.fixed, not b.fixed
        if mode == "samples" and a.by_sample != b.by_sample:
            pulled_a, pulled_b = pulled_a and a.by_sample, pulled_b and b.by_sample
            kept, other = (a, b) if a.by_sample else (b, a)
            if other.middle is not None:
                shift = op(a.center, b.middle) if kept is a and b.middle is not None else op(a.middle, b.center)  # type: ignore[arg-type]
            if kept is a and axes is not None and b.root is not None and b.scale is not None:
                joint.append(Joint(b.root, up(_length(op, a.size, b.scale, given.ball)), axes))
            elif other.radius is not None:
                size = size + (op(a.size, other.radius) if kept is a else op(other.radius, b.size))
        elif reach_a is not None and reach_b is not None:
            if l2 and elementwise and both and a.scale is not None and b.scale is not None:
                pairs = up(given.ball.rho**2 / 2 * a.scale * b.scale)
            elif axes is not None and b.scale is not None and b.root is not None:
                joint.append(Joint(b.root, up(_length(op, reach_a, b.scale, given.ball)), axes))
            else:
                size = size + op(reach_a, reach_b)
            if not tangent and a.middle is not None and b.middle is not None:
                shift = -op(a.middle, b.middle)
        if mode != "tangent":
            size = size + 2 * rounding

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            if op is torch.mm and len(adjoint) == 1:  # without the product itself, which a transpose by autograd computes first
                one, pulled = adjoint[0], []
                pulled += [(one @ q.T)[None]] if pulled_a else []
                pulled += [(one.T @ p).T[None]] if pulled_b else []
                return tuple(pulled)
            out = []
            if pulled_a:
                out.append(transposed(lambda t: op(t, q), zero_a, adjoint))
            if pulled_b:
                out.append(transposed(lambda t: op(p, t), zero_b, adjoint))
            return tuple(out)

        low, high = interval(size, shift, shift)
        names = tuple(n for n, wanted in ((name_a, pulled_a), (name_b, pulled_b)) if wanted)
        return Form(names, pull, low, high, tuple(joint), pairs)

    return value, Step(make, linear=a.fixed or b.fixed, work=2 * work)


def _length(op: Op2, size: Tensor, scale: Tensor, ball: Ball) -> Tensor:
    """rho ||c * activation||_2, output by output."""
    if op is torch.mm and bool((scale == scale[:1]).all()):  # one c for all that enters an output
        return ball.rho * torch.linalg.vector_norm(size, dim=1, keepdim=True) * scale[:1]
    return ball.rho * op(size.square(), scale.square()).sqrt()


def _narrow(a: Tensor, b: Tensor) -> Tensor:
    """A little above a @ b, entries nonnegative, by a product in float32, at half the cost."""
    if not _full_float32():
        return a @ b
    terms = a.shape[1]
    product = (a.float() @ b.float()).double() * (1 + 4 * (terms + 16) * 2.0**-24)
    return product + terms * 1e-37 * (1 + a.max() + b.max())  # what underflowed


def _full_float32() -> bool:
    """Whether products in float32 are rounded as such; torch can be told to take tf32 or bfloat16 for them."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # told in torch's newer way
        return False


def mul(given: Given) -> Result:
    """a b, elementwise; a number and a tensor; a a is a square."""
    a, b = given.args[:2]
    if given.kwargs["target"].startswith("div"):
        if isinstance(b, Value) and not b.fixed:
            raise Unknown("a quotient by what depends on the parameters is not known to it")
        quotient = Value(1 / b.center, by_sample=b.by_sample) if isinstance(b, Value) else 1 / b
        value, step = mul(replace(given, args=(a, quotient), kwargs={"target": "mul"}))
        size = 4 * UNIT * value.size + TINY
        return with_rounding(Value(value.center, value.middle, plus(value.radius, size), value.by_sample), step, size)
    if not (isinstance(a, Value) and isinstance(b, Value)):
        (value, number), name = ((a, b), given.names[0]) if isinstance(a, Value) else ((b, a), given.names[1])
        scaled, step = linear(given, [(name, value)], lambda t: number * t, lambda t: abs(number) * t, value.by_sample)
        size = 4 * UNIT * scaled.size + TINY
        return with_rounding(Value(scaled.center, scaled.middle, plus(scaled.radius, size), scaled.by_sample), step, size)
    names = given.names[:2]
    if names[0] and names[0] == names[1]:
        return elementwise(curves.SQUARE)(alone(given, 0))
    if a.scale is not None and b.scale is None:
        a, b, names = b, a, (names[1], names[0])

    def shared(first: Value, second: Value) -> tuple[int, ...]:
        return repeats(second.center.shape, (first.center * second.center).shape)

    count = max(a.center.numel(), b.center.numel())
    return product(
        given,
        ((names[0], a), (names[1], b)),
        torch.mul,
        rows_are_samples(given, a, b),
        terms=count,
        work=count,
        shared=shared,
        elementwise=True,
    )


def matmul(given: Given) -> Result:
    """mm, bmm, mv, dot."""
    a, b = given.args[:2]
    function: Any = {"mm": torch.mm, "bmm": torch.bmm, "mv": torch.mv, "dot": torch.dot}[given.kwargs["target"]]
    by_sample = (a.by_sample and not b.by_sample) if function is not torch.bmm else (a.by_sample and (b.by_sample or b.fixed))
    sizes = (*a.center.shape, *b.center.shape)

    def shared(first: Value, second: Value) -> tuple[int, ...] | None:
        return (0,) if function in (torch.mm, torch.mv) else None

    work = math.prod(a.center.shape) * (b.center.shape[-1] if b.center.ndim > 1 else 1)
    return product(
        given,
        ((given.names[0], a), (given.names[1], b)),
        function,
        by_sample and function is not torch.dot,
        terms=max(sizes),
        work=float(work),
        shared=shared,
        above=_narrow if function is torch.mm else None,
    )


def addmm(given: Given) -> Result:
    """bias + a b."""
    if given.kwargs.get("beta", 1) != 1 or given.kwargs.get("alpha", 1) != 1:
        raise Unknown("addmm with factors is not known to it")
    bias, a, b = given.args[:3]
    inner = replace(given, names=given.names[1:3], args=(a, b), kwargs={"target": "mm"})
    return _biased(given, matmul(inner), bias, given.names[0])


def _biased(given: Given, result: Result, bias: Value, name: str) -> Result:
    """The result of a product with a bias added."""
    value, step = result
    outer = replace(given, names=("", name), args=(value, bias), kwargs={"target": "add"})
    total, last = add(outer)

    def make(mode: Mode) -> Form:
        first, second = step.form(mode), last.form(mode)
        place = second.sources.index("") if "" in second.sources else None

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            pulled = second.pull(adjoint)
            # the sum passes the adjoint on unchanged to what has its shape
            return (*first.pull(adjoint), *(t for i, t in enumerate(pulled) if i != place))

        sources = (*first.sources, *(s for i, s in enumerate(second.sources) if i != place))
        low, high = plus(first.low, second.low), plus(first.high, second.high)
        return Form(sources, pull, low, high, (*first.joint, *second.joint), first.pairs)

    return total, Step(make, linear=step.linear, work=step.work)


def convolution(given: Given) -> Result:
    """Convolutions of 1 to 3 axes, not transposed."""
    x, w, bias, stride, padding, dilation, turned, _, groups = given.args
    if turned:
        raise Unknown("a transposed convolution is not known to it")
    ndim = w.center.ndim - 2
    function: Any = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[ndim]

    def op(s: Tensor, t: Tensor) -> Tensor:
        return function(s, t, None, stride, padding, dilation, groups)

    places = (0, *range(2, 2 + ndim))
    out = op(x.center, w.center)
    inside = w.center[0].numel()
    terms = max(inside, w.center.shape[0] * math.prod(w.center.shape[2:]), out.numel() // out.shape[1])
    result = product(
        given,
        ((given.names[0], x), (given.names[1], w)),
        op,
        x.by_sample and not w.by_sample,
        terms=terms,
        work=float(out.numel() * inside),
        shared=lambda *_: places,
    )
    if bias is None:
        return result
    shape = (1, -1, *(1 for _ in range(ndim)))
    wide = Value(
        bias.center.reshape(shape),
        None if bias.middle is None else bias.middle.reshape(shape),
        None if bias.radius is None else bias.radius.reshape(shape),
        False,
        None if bias.scale is None else bias.scale.reshape(shape),
        bias.root,
    )
    value, step = _biased(given, result, wide, given.names[2])
    name = given.names[2]

    def make(mode: Mode) -> Form:
        form = step.form(mode)

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            return tuple(
                t.reshape(len(t), *bias.center.shape) if s == name else t
                for s, t in zip(form.sources, form.pull(adjoint), strict=True)
            )

        return Form(form.sources, pull, form.low, form.high, form.joint, form.pairs)

    return value, Step(make, linear=step.linear, work=step.work)
