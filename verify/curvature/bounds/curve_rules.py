"""Owns the rules of elementwise functions and of the maximum over windows."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatproof.verify.curvature.bounds import curves
from flatproof.verify.curvature.bounds.curves import Curve
from flatproof.verify.curvature.bounds.operation import (
    Given,
    Result,
    alone,
    interval,
    transposed,
)
from flatproof.verify.curvature.bounds.values import (
    FUNCTION,
    TINY,
    UNIT,
    Form,
    Mode,
    Op,
    Step,
    Top,
    Unknown,
    Value,
    plus,
    up,
)


def elementwise(curve: Curve) -> Callable[[Given], Result]:
    """A rule for an elementwise function."""

    def rule(given: Given) -> Result:
        name, value = given.names[0], given.args[0]
        low, high = given.tightened(name, value.box, None)
        on = curves.Stretch(curve, value.center, low, high)
        center = on.at
        rounding = curve.rounding(on.z, center)
        if value.fixed:
            return Value(center, None, rounding, value.by_sample), Step(
                lambda _: Form((), lambda _: (), *interval(rounding)), linear=True
            )
        least, most = on.image
        if rounding is not None:
            least, most = least - rounding, most + rounding
        out = Value(center, None, None, value.by_sample).within(least, most)

        def make(mode: Mode) -> Form:
            relaxed = on.tangent if mode == "tangent" else on.chords

            def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
                if mode == "tangent":
                    return (adjoint * relaxed.upper,)
                return (torch.where(adjoint > 0, relaxed.upper, relaxed.lower) * adjoint,)

            steepest = torch.maximum(relaxed.upper.abs(), relaxed.lower.abs())
            size = plus(rounding, 4 * UNIT * steepest * on.reach + TINY)
            lows, highs = interval(size, relaxed.low, relaxed.high)
            return Form((name,), pull, lows, highs)

        return out, Step(make, top=_top_of(on, name, rounding))

    return rule


def _top_of(on: curves.Stretch, name: str, rounding: Tensor | None) -> Top | None:
    curve = on.curve
    if curve.breaks is not None:
        return None
    bends = curve.bends(on.left, on.right) if callable(curve.bends) else curve.bends
    slope = on.slope
    size = FUNCTION * (1 + slope.abs()) * on.reach + TINY
    size = size if rounding is None else size + rounding
    return Top(
        lambda adjoint: torch.maximum(adjoint * bends[0], adjoint * bends[1]).clamp(min=0),
        lambda adjoint: adjoint,
        lambda adjoint: adjoint * slope,
        lambda adjoint: (adjoint.abs() * size).sum(),
        name,
        tuple(on.z.shape),
    )


def largest(given: Given) -> Result:
    """max_pool2d: its argument at the present maximum, plus what another one of the window may be above it."""
    value = given.args[0]
    settings: dict[str, Any] = dict(zip(("stride", "padding", "dilation", "ceil_mode"), (None, 0, 1, False), strict=True))
    kernel = given.args[1]
    settings |= dict(zip(settings, given.args[2:], strict=False))
    settings["stride"] = settings["stride"] or None

    def pooled(t: Tensor) -> tuple[Tensor, Tensor]:
        return F.max_pool2d(t, kernel, return_indices=True, **settings)

    x = value.center
    center, index = pooled(x)
    flat = index.flatten(-2)

    def taken(t: Tensor) -> Tensor:
        return t.flatten(-2).gather(-1, flat).reshape(center.shape)

    if value.fixed:
        return Value(center, by_sample=value.by_sample), Step(lambda _: Form((), lambda _: ()), linear=True)
    low, high = given.tightened(given.names[0], value.box, None)
    slack = 2 * UNIT * x.abs() + TINY
    least = pooled(x + low - slack)[0] - center
    most = pooled(x + high + slack)[0] - center
    size = 2 * UNIT * (least.abs() + most.abs())
    out = Value(center, None, None, value.by_sample).within((least - size).clamp(max=0), (most + size).clamp(min=0))
    others = _highest_other(x + high + slack, flat, center.shape, kernel, settings)
    gap = up((others - taken(x + low - slack)).clamp(min=0))

    def make(_: Mode) -> Form:
        return Form((given.names[0],), lambda adjoint: (transposed(taken, x, adjoint),), None, gap)

    return out, Step(make)


def _highest_other(high: Tensor, flat: Tensor, shape: torch.Size, kernel: Any, settings: dict[str, Any]) -> Tensor:
    """The largest upper end in each window but at the place `flat` that has the maximum now; -inf where a window has one place."""
    n, channels = high.shape[:2]
    sides = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel] * 2
    sides = sides * 2 if len(sides) == 1 else sides
    count = sides[0] * sides[1]
    places = torch.arange(high.shape[-2] * high.shape[-1], dtype=high.dtype, device="cpu").reshape(1, 1, *high.shape[-2:]) + 1
    best = torch.full((n, channels, flat.shape[-1]), -math.inf, dtype=high.dtype, device="cpu")
    for offset in range(count):  # one place of every window at a time, by a convolution that copies it
        copy = torch.zeros(1, 1, *sides, dtype=high.dtype, device="cpu")
        copy.view(-1)[offset] = 1
        move = _copier(copy, settings, shape)
        place = move(places)
        there = move(high.reshape(n * channels, 1, *high.shape[-2:])).reshape(n, channels, -1)
        outside = (place == 0).reshape(1, 1, -1)
        present = place.reshape(1, 1, -1).long() - 1 == flat
        best = torch.maximum(best, there.masked_fill(outside | present, -math.inf))
    return best.reshape(shape)


def _copier(copy: Tensor, settings: dict[str, Any], shape: torch.Size) -> Op:
    def pair(v: Any) -> list[int]:
        v = list(v) if isinstance(v, (list, tuple)) else [v, v]
        return v * 2 if len(v) == 1 else v

    stride = pair(settings["stride"] or list(copy.shape[-2:]))
    padding, dilation = pair(settings["padding"]), pair(settings["dilation"])

    def move(t: Tensor) -> Tensor:
        rows, columns = t.shape[-2:]
        need = [
            (shape[-2] - 1) * stride[0] + dilation[0] * (copy.shape[-2] - 1) + 1,
            (shape[-1] - 1) * stride[1] + dilation[1] * (copy.shape[-1] - 1) + 1,
        ]
        after = [max(need[0] - rows - padding[0], 0), max(need[1] - columns - padding[1], 0)]
        wide = F.pad(t, (padding[1], after[1], padding[0], after[0]))[..., : max(need[0], 1), : max(need[1], 1)]
        return F.conv2d(wide, copy, None, stride, 0, dilation)

    return move


def softplus(given: Given) -> Result:
    """With beta = 1, below the threshold beyond which torch takes it for x."""
    beta = given.args[1] if len(given.args) > 1 else 1
    threshold = given.args[2] if len(given.args) > 2 else 20
    value = given.args[0]
    if beta != 1 or float((value.center + value.box[1]).max()) > threshold:
        raise Unknown("softplus with another beta, or above its threshold, is not known to it")
    return elementwise(curves.SOFTPLUS)(alone(given, 0))


def gelu(given: Given) -> Result:
    """The exact one."""
    if given.kwargs.get("approximate", "none") != "none":
        raise Unknown("gelu approximated by tanh is not known to it")
    return elementwise(curves.GELU)(alone(given, 0))


def power(given: Given) -> Result:
    """Squares."""
    if given.args[1] != 2:
        raise Unknown(f"a power of {given.args[1]} is not known to it")
    return elementwise(curves.SQUARE)(alone(given, 0))


def curve_rule(make: Callable[..., Curve]) -> Callable[[Given], Result]:
    """A rule for a function that settings make."""
    return lambda given: elementwise(make(*given.args[1:]))(alone(given, 0))
