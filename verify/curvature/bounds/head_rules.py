"""Owns the rule of log_softmax, the head of cross-entropy."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flatproof.verify.curvature.bounds.operation import (
    Given,
    Result,
    interval,
)
from flatproof.verify.curvature.bounds.values import (
    FUNCTION,
    TINY,
    UNIT,
    Form,
    Mode,
    Step,
    Top,
    Unknown,
    Value,
    gamma,
    up,
    up_down,
)


def log_softmax(given: Given) -> Result:
    """log p_k = m_k - l, with m_k = z_k - z_r, r the likeliest class now, and l = log(1 + sum_{j != r} exp(m_j)), convex.

    Above the tangent l lies by at most sum p_j (exp(m_j) - 1 - m_j), m the deviations, by at most the square of their range over 8
    (Hoeffding), and "steep" bounds it by chords of the exponentials.
    """
    name, value = given.names[0], given.args[0]
    z = value.center
    if z.ndim != 2 or given.args[1] % 2 != 1:
        raise Unknown("log_softmax along another axis than the second of two is not known to it")
    likeliest = z.argmax(1, keepdim=True)
    is_top = torch.zeros_like(z, dtype=torch.bool).scatter_(1, likeliest, True)

    def margins(t: Tensor) -> Tensor:
        return t - t.gather(1, likeliest)

    def to_input(adjoint: Tensor) -> Tensor:  # of adjoints (k, n, K) of margins
        return adjoint.scatter_add(2, likeliest.expand(len(adjoint), -1, -1), -adjoint.sum(2, keepdim=True))

    m = margins(z).masked_fill(is_top, 0.0)
    others = m.exp().masked_fill(is_top, 0.0)
    total = others.sum(1, keepdim=True)
    above = total.log1p()
    center = m - above
    off_above = (FUNCTION + gamma(z.shape[1])) * (above + (others * m.abs()).sum(1, keepdim=True)) + TINY
    rounding = (4 * UNIT * (z.abs() + z.abs().amax(1, keepdim=True))).masked_fill(is_top, 0.0) + off_above
    if value.fixed:
        return Value(center, None, rounding, value.by_sample), Step(
            lambda _: Form((), lambda _: (), *interval(rounding)), linear=True
        )
    below, over = value.box
    box = up_down(below - over.gather(1, likeliest), over - below.gather(1, likeliest))
    low, high = given.tightened(name, (box[0].masked_fill(is_top, 0.0), box[1].masked_fill(is_top, 0.0)), to_input)
    low, high = low.masked_fill(is_top, 0.0), high.masked_fill(is_top, 0.0)
    p = others / (1 + total)
    bend = torch.maximum(torch.expm1(high) - high, torch.expm1(low) - low).clamp(min=0) + FUNCTION * torch.maximum(high, -low)
    by_parts = (p * bend).sum(1, keepdim=True).nan_to_num(nan=math.inf)
    by_range = (high.amax(1, keepdim=True) - low.amin(1, keepdim=True)).square() / 8
    slack = (2 * gamma(z.shape[1]) + FUNCTION) * (p * (1 + m.abs()) * torch.maximum(high, -low)).sum(1, keepdim=True)
    smaller = up(torch.minimum(by_parts, by_range) * (1 + 2 * gamma(z.shape[1])) + slack)
    least_l = _log_one_and((m + low).masked_fill(is_top, -math.inf)) - above
    most_l = _log_one_and((m + high).masked_fill(is_top, -math.inf)) - above
    reach = ((m + high).exp() * (m + high).abs()).masked_fill(is_top, 0.0).nan_to_num(nan=0.0).amax(1, keepdim=True)
    reach = torch.minimum(reach, (m + high).abs().amax(1, keepdim=True))
    size = 2 * off_above + (FUNCTION + gamma(z.shape[1])) * (most_l.abs() + least_l.abs() + reach)
    least_l, most_l = (least_l - size).clamp(max=0), (most_l + size).clamp(min=0)
    out = Value(center, None, None, value.by_sample).within(
        (low - most_l - rounding).clamp(max=0), (high - least_l + rounding).clamp(min=0)
    )
    least = (m + low).exp().masked_fill(is_top, 0.0)
    upper_p = 1 / (1 + (1 + least.sum(1, keepdim=True) - least) * torch.exp(-(m + high)))
    upper_p = (upper_p * (1 + 4 * gamma(z.shape[1]) + 4 * UNIT * (m.abs() + high))).clamp(max=1.0).masked_fill(is_top, 0.0)

    def make(mode: Mode) -> Form:
        slope, error = p, smaller
        if mode == "steep":
            wide = high - low
            e_low = (m + low).exp()
            chord = torch.where(wide > 0, e_low * torch.expm1(wide) / wide.clamp(min=TINY), others).masked_fill(is_top, 0.0)
            start = (e_low - chord * low).masked_fill(is_top, 0.0)  # of the chord, at deviation 0
            height = 1 + start.sum(1, keepdim=True)
            # log S <= log T + (S - T) / T for every T; here T is the chords' height at half of the way up
            touch = height + (chord * high).sum(1, keepdim=True) / 2
            slope = chord / touch
            error = touch.log() + (height - touch) / touch - above
            error = error.clamp(min=0) + (FUNCTION + gamma(z.shape[1])) * (
                4 + touch.log().abs() + above + (slope * (wide + m.abs())).sum(1, keepdim=True)
            )
            finite = torch.isfinite(error)  # exponentials of large boxes overflow
            slope, error = torch.where(finite, slope, p), torch.where(finite, error, smaller)

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            lift = -adjoint.sum(2, keepdim=True)  # of l: its upper bound is wanted where this is positive
            chosen = slope if mode != "steep" else torch.where(lift > 0, slope, p)
            return (to_input(adjoint.masked_fill(is_top, 0.0) + lift * chosen),)

        # the error of l enters every class alike: it is charged to the sum of adjoints, by a hook of the form
        return HeadForm((name,), pull, -rounding, rounding, error=error, slack=slack)

    top = Top(
        lambda adjoint: (-adjoint.sum(1, keepdim=True)).clamp(min=0) * upper_p,
        to_input,
        lambda adjoint: to_input((adjoint.masked_fill(is_top, 0.0) - adjoint.sum(1, keepdim=True) * p)[None])[0],
        lambda adjoint: (adjoint.abs() * rounding).sum() + (adjoint.sum(1, keepdim=True).abs() * slack).sum(),
        name,
        tuple(z.shape),
    )
    return out, Step(make, top=top, steep=True)


def _log_one_and(m: Tensor) -> Tensor:
    """log(1 + sum exp(m)) along axis 1, without overflow."""
    top = m.amax(1, keepdim=True).clamp(min=0)
    whole = torch.exp(-top) + (m - top).exp().sum(1, keepdim=True)
    return torch.where(top > 0, top + whole.log(), m.clamp(max=0).exp().sum(1, keepdim=True).log1p())


@dataclass(frozen=True)
class HeadForm(Form):
    """A form whose error beyond [low, high] is one number a sample: in [0, error] times minus the sum of its adjoints.

    Attributes:
        error: (n, 1).
        slack: of its lower end, (n, 1).
    """

    error: Tensor | None = None
    slack: Tensor | None = None
