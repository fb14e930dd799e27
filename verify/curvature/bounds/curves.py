"""Owns linear bounds of elementwise functions on intervals.

For t between z + low and z + high and any slope s,  f(t) - f(z) - s (t - z)  lies in an interval that is computed from
- breakpoints, exactly, where f is piecewise linear;
- Taylor's formula, f''/2 (t - z)^2, where s = f'(z);
- the range of f' between, (f'(xi) - s) (t - z);
- the range of f itself;
the intersection is taken. Extremes of f and f' inside an interval are counted in where it comes within 1e-6 of their place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatproof.verify.curvature.bounds.values import FUNCTION, TINY, UNIT, Unknown

NEAR = 1e-6
Range = tuple[Tensor, Tensor]
Extremes = tuple[tuple[float, float], ...]
Turn = tuple[
    Tensor, Tensor, Tensor, Tensor
]  # f(t) - f(z) rounded down and up, t - z and its error; all 0 where t does not lie within


@dataclass(frozen=True)
class Curve:
    """An elementwise function.

    Attributes:
        f: itself.
        slope: f'.
        breaks: where a piecewise linear one breaks; None for a smooth one.
        bends: left, right -> the range of f'' (of the generalized one, where f' is only continuous); a pair for one that holds everywhere.
        slopes: where f' has local extremes, and their values rounded outwards.
        values: the same of f.
        above: the function is defined above this number.
        exact: whether torch computes it without rounding.
        offset: rounding is at most FUNCTION (|f| + offset |z|).
    """

    f: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    breaks: tuple[float, ...] | None = None
    bends: tuple[float, float] | Callable[[Tensor, Tensor], Range] = (0.0, 0.0)
    slopes: Extremes = ()
    values: Extremes = ()
    above: float = -math.inf
    exact: bool = False
    offset: float = 1.0

    def rounding(self, z: Tensor, value: Tensor) -> Tensor | None:
        """What the computed value may be off by."""
        return None if self.exact else FUNCTION * (value.abs() + self.offset * z.abs()) + TINY


@dataclass(frozen=True)
class Relaxed:
    """Slopes and errors for the upper bound and for the lower bound of f(t) - f(z)."""

    upper: Tensor
    high: Tensor
    lower: Tensor
    low: Tensor


class Stretch:
    """A function over the intervals from z + low to z + high; what its bounds have in common is computed once.

    Args:
        curve: the function.
        z: its present arguments.
        low: at most 0.
        high: at least 0.

    Raises:
        Unknown: it is not defined all over them.
    """

    def __init__(self, curve: Curve, z: Tensor, low: Tensor, high: Tensor) -> None:
        self.curve, self.z, self.low, self.high = curve, z, low, high
        slack = 2 * UNIT * z.abs() + TINY
        self.left, self.right = z + low - slack, z + high + slack  # smallest and largest argument, rounded outwards
        if curve.above > -math.inf and not bool((self.left > curve.above).all()):
            raise Unknown("a root, logarithm or quotient may meet 0 inside the ball")

    @cached_property
    def at(self) -> Tensor:
        """f(z)."""
        return self.curve.f(self.z)

    @cached_property
    def slope(self) -> Tensor:
        """f'(z)."""
        return self.curve.slope(self.z)

    @cached_property
    def ends(self) -> Range:
        """f at both ends."""
        return self.curve.f(self.left), self.curve.f(self.right)

    @cached_property
    def reach(self) -> Tensor:
        """The largest |t - z|."""
        return torch.maximum(self.high, -self.low)

    @cached_property
    def still(self) -> Tensor:
        """Where nothing moves."""
        return self.low == self.high

    @cached_property
    def broken(self) -> Tensor:
        """Where a piecewise linear function breaks between."""
        inside = [self._within(b) for b in self.curve.breaks or ()]
        return reduce(torch.logical_or, inside, torch.zeros_like(self.still))

    def _within(self, place: float) -> Tensor:
        return (self.left <= place) & (self.right >= place)

    def _turn(self, t: Tensor, value: Tensor, kept: Tensor | None = None) -> Turn:
        rise, run = value - self.at, t - self.z
        slack = 8 * UNIT * (rise.abs() if self.curve.exact else rise.abs() + value.abs() + self.at.abs())
        parts = rise - slack, rise + slack, run, 8 * UNIT * run.abs()
        if kept is None:
            return parts
        lower, upper, run, error = (torch.where(kept, v, 0.0) for v in parts)
        return lower, upper, run, error

    @cached_property
    def _turns(self) -> list[Turn]:
        """The arguments t at which a piecewise linear function may be farthest from a line."""
        breaks = [(torch.full_like(self.z, b), self._within(b)) for b in self.curve.breaks or ()]
        ends = [self._turn(t, value) for t, value in zip((self.left, self.right), self.ends, strict=True)]
        return ends + [self._turn(t, self.curve.f(t), inside) for t, inside in breaks]

    def apart(self, s: Tensor | None) -> Range:
        """The range of f(t) - f(z) - s (t - z) of a piecewise linear function; exactly 0 on one piece of slope s; s None for 0."""
        least = most = torch.zeros_like(self.z)
        for lower, upper, run, error in self._turns:
            if s is not None:
                size = s.abs()
                lower = torch.addcmul(torch.addcmul(lower, s, run, value=-1), size, error, value=-1)
                upper = torch.addcmul(torch.addcmul(upper, s, run, value=-1), size, error)
            least, most = torch.minimum(least, lower), torch.maximum(most, upper)
        straight = ~self.broken & (self.slope == (0 if s is None else s))
        return least.masked_fill(straight, 0.0), most.masked_fill(straight, 0.0)

    def errors(self, s: Tensor, *, is_slope: bool) -> Range:
        """The range of f(t) - f(z) - s (t - z); `is_slope`: s is f'(z)."""
        least, most = self.apart(s) if self.curve.breaks is not None else _smooth(self, s, is_slope=is_slope)
        return least.masked_fill(self.still, 0.0), most.masked_fill(self.still, 0.0)

    @cached_property
    def tangent(self) -> Relaxed:
        """Both bounds with the slope f'(z)."""
        least, most = self.errors(self.slope, is_slope=True)
        return Relaxed(self.slope, most, self.slope, least)

    @cached_property
    def image(self) -> Range:
        """The range of f(t) - f(z), 0 within."""
        return self.apart(None) if self.curve.breaks is not None else _smooth_image(self)

    @cached_property
    def chords(self) -> Relaxed:
        """The bounds with the smaller errors of the tangent and the chord; below a function that breaks once, a piece's own slope."""
        curve, left, right = self.curve, self.left, self.right
        chord = torch.where(right > left, (self.ends[1] - self.ends[0]) / (right - left).clamp(min=TINY), self.slope)
        if curve.breaks is not None:
            chord = torch.where(self.broken, chord, self.slope)
        best, slopes = self.tangent, [chord]
        if curve.breaks is not None:
            slopes += [curve.slope(torch.where(right > -left, right, left))] if len(curve.breaks) == 1 else []
        tilt = (self.high + self.low) / 2
        for s in slopes:
            least, most = self.errors(s, is_slope=False)
            # an upper bound is judged by its mean height over the interval, which slopes tilt about z
            over = most + s * tilt < best.high + best.upper * tilt
            under = least + s * tilt > best.low + best.lower * tilt
            best = Relaxed(
                torch.where(over, s, best.upper),
                torch.where(over, most, best.high),
                torch.where(under, s, best.lower),
                torch.where(under, least, best.low),
            )
        return best


def _range(at_l: Tensor, at_u: Tensor, extremes: Extremes, left: Tensor, right: Tensor, slack: float) -> Range:
    least, most = torch.minimum(at_l, at_u), torch.maximum(at_l, at_u)
    least, most = least - slack * (1 + least.abs()), most + slack * (1 + most.abs())
    for place, value in extremes:
        inside = (left <= place + NEAR) & (right >= place - NEAR)
        least = torch.where(inside, least.clamp(max=value), least)
        most = torch.where(inside, most.clamp(min=value), most)
    return least, most


def _smooth_image(on: Stretch) -> Range:
    curve, left, right = on.curve, on.left, on.right
    least, most = _range(*on.ends, curve.values, left, right, 0.0)
    size = (
        FUNCTION * (torch.maximum(least.abs(), most.abs()) + on.at.abs() + curve.offset * torch.maximum(left.abs(), right.abs()))
        + TINY
    )
    least, most = (least - on.at - size).clamp(max=0), (most - on.at + size).clamp(min=0)
    s, relaxed = on.slope, on.tangent
    linear_low = torch.minimum(s * on.low, s * on.high) + relaxed.low
    linear_high = torch.maximum(s * on.low, s * on.high) + relaxed.high
    slack = 4 * UNIT
    least = torch.maximum(least, linear_low - slack * linear_low.abs() - TINY)
    most = torch.minimum(most, linear_high + slack * linear_high.abs() + TINY)
    return least.clamp(max=0), most.clamp(min=0)


def _smooth(on: Stretch, s: Tensor, *, is_slope: bool) -> Range:
    curve, low, high, left, right, at, reach = on.curve, on.low, on.high, on.left, on.right, on.at, on.reach
    least_slope, most_slope = _range(curve.slope(left), curve.slope(right), curve.slopes, left, right, FUNCTION)
    most = torch.maximum((most_slope - s) * high, (least_slope - s) * low)
    least = torch.minimum((least_slope - s) * high, (most_slope - s) * low)
    if is_slope:
        bends = curve.bends(left, right) if callable(curve.bends) else curve.bends
        square = reach.square() / 2
        most, least = torch.minimum(most, bends[1] * square), torch.maximum(least, bends[0] * square)
    lowest, highest = _range(*on.ends, curve.values, left, right, 0.0)
    most = torch.minimum(most, highest - at - torch.minimum(s * low, s * high))
    least = torch.maximum(least, lowest - at - torch.maximum(s * low, s * high))
    slack = FUNCTION * (at.abs() + most.abs() + least.abs() + (1 + s.abs()) * reach + curve.offset * (on.z.abs() + reach)) + TINY
    return (least - slack).clamp(max=0), (most + slack).clamp(min=0)


# ---------------------------------------------------------------------------------------------------------------- the functions


def _step(x: Tensor) -> Tensor:
    return (x > 0).to(x.dtype)


def _phi(x: Tensor) -> Tensor:
    return torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)


def _gelu_slope(x: Tensor) -> Tensor:
    return torch.special.ndtr(x) + x * _phi(x)


def _silu_slope(x: Tensor) -> Tensor:
    p = torch.sigmoid(x)
    return p + x * p * (1 - p)


RELU = Curve(F.relu, _step, breaks=(0.0,), exact=True)
ABS = Curve(torch.abs, torch.sign, breaks=(0.0,), exact=True)
TANH = Curve(torch.tanh, lambda x: 1 - torch.tanh(x).square(), bends=(-0.76981, 0.76981), slopes=((0.0, 1.0),))
SIGMOID = Curve(torch.sigmoid, lambda x: torch.sigmoid(x) * torch.sigmoid(-x), bends=(-0.096226, 0.096226), slopes=((0.0, 0.25),))
GELU = Curve(
    F.gelu,
    _gelu_slope,
    bends=(-0.107982, 0.797885),
    slopes=((-math.sqrt(2), -0.128905), (math.sqrt(2), 1.128905)),
    values=((-0.751792, -0.169972),),
)
SILU = Curve(
    F.silu,
    _silu_slope,
    bends=(-0.037, 0.5),
    slopes=((-2.399357, -0.099840), (2.399357, 1.099840)),
    values=((-1.278465, -0.278465),),
)
SOFTPLUS = Curve(F.softplus, torch.sigmoid, bends=(0.0, 0.25))
EXP = Curve(torch.exp, torch.exp, bends=lambda left, right: (torch.exp(left) * 0, torch.exp(right) * (1 + FUNCTION)))
SQUARE = Curve(torch.square, lambda x: 2 * x, bends=(2.0, 2.0), values=((0.0, 0.0),))
SQRT = Curve(
    torch.sqrt, lambda x: 0.5 / x.sqrt(), bends=lambda left, right: (-0.25 * left.pow(-1.5) * (1 + FUNCTION), 0 * left), above=0.0
)
RECIPROCAL = Curve(
    torch.reciprocal,
    lambda x: -x.reciprocal().square(),
    bends=lambda left, right: (0 * left, 2 * left.pow(-3) * (1 + FUNCTION)),
    above=0.0,
)
RSQRT = Curve(
    torch.rsqrt,
    lambda x: -0.5 * x.pow(-1.5),
    bends=lambda left, right: (0 * left, 0.75 * left.pow(-2.5) * (1 + FUNCTION)),
    above=0.0,
)
LOG = Curve(torch.log, torch.reciprocal, bends=lambda left, right: (-left.pow(-2) * (1 + FUNCTION), 0 * left), above=0.0)


def leaky_relu(slope: float) -> Curve:
    """x above 0, slope * x below."""
    return Curve(
        lambda x: F.leaky_relu(x, slope),
        lambda x: torch.where(x > 0, torch.ones_like(x), torch.full_like(x, slope)),
        breaks=(0.0,),
        offset=abs(slope),
    )


def clamp(low: float, high: float) -> Curve:
    """x between two numbers, which it does not pass."""
    breaks = tuple(b for b in (low, high) if math.isfinite(b))
    return Curve(lambda x: x.clamp(low, high), lambda x: ((x > low) & (x < high)).to(x.dtype), breaks=breaks, exact=True)


def elu(alpha: float, scale: float, input_scale: float) -> Curve:
    """scale * (x above 0, alpha (exp(x) - 1) below)."""
    if input_scale != 1 or scale <= 0 or alpha <= 0:
        raise Unknown("an ELU with a negative or rescaled argument is not known to it")
    top = scale * max(alpha, 1.0)
    return Curve(
        lambda x: scale * F.elu(x, alpha),
        lambda x: scale * torch.where(x > 0, torch.ones_like(x), alpha * torch.exp(x.clamp(max=0))),
        bends=(0.0, scale * alpha) if alpha == 1 else (-1e300, 1e300),
        slopes=() if alpha == 1 else ((0.0, top), (0.0, scale * min(alpha, 1.0))),
        offset=top,
    )


def hardtanh(low: Any = -1.0, high: Any = 1.0) -> Curve:
    """clamp between -1 and 1, or as given."""
    return clamp(float(low), float(high))
