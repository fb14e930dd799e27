"""Owns what a rule is given, and what rules share: linear operations, rounding added to a step, which axis the samples are on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.bounds.values import TINY, Ball, Form, Joint, Mode, Op, Step, Value, gamma, plus, up


@dataclass(frozen=True)
class Given:
    """An operation's arguments.

    Attributes:
        node: its name.
        names: of its tensors, by place; "" where there is none.
        args: values, whole-number tensors and settings.
        kwargs: settings.
        ball: in which the parameters move.
        samples: n.
        tightened: (name of an input, its box, pull) -> a smaller box; pull takes adjoints (k, *box) to those of the input, None: as
            they are.
    """

    node: str
    names: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    ball: Ball
    samples: int
    tightened: Callable[[str, tuple[Tensor, Tensor], Op | None], tuple[Tensor, Tensor]]


Result = tuple[Value, Step]


def transposed(op: Op, like: Tensor, adjoint: Tensor) -> Tensor:
    """The transpose of a linear map at (k, *output) adjoints."""
    pull: Any = torch.func.vjp(op, like)[1]
    if len(adjoint) == 1:
        return pull(adjoint[0])[0][None]
    pulled: Tensor = torch.vmap(lambda a: pull(a)[0])(adjoint)
    return pulled


def interval(size: Tensor | None, low: Tensor | None = None, high: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
    """[low - size, high + size], with 0 within."""
    least, most = plus(low, None if size is None else -size), plus(high, size)
    return None if least is None else least.clamp(max=0), None if most is None else most.clamp(min=0)


def linear(
    given: Given,
    values: Sequence[tuple[str, Value]],
    op: Callable[..., Tensor],
    absolute: Callable[..., Tensor],
    by_sample: bool,
    *,
    terms: int = 0,
    repeated: bool = False,
) -> Result:
    """A linear operation.

    Args:
        values: its inputs.
        op: the operation.
        absolute: the same with the sizes of its coefficients.
        by_sample: of the output.
        terms: the longest sum within; 0 for none.
        repeated: a sum of two that are broadcast: inputs without samples are parameters used along the axes they lack.
    """
    tensors = [v for _, v in values]
    center = op(*[v.center for v in tensors])
    zero = [torch.zeros_like(v.center) for v in tensors]
    middle = radius = None
    if any(v.middle is not None for v in tensors):
        middle = op(*[z if v.middle is None else v.middle for v, z in zip(tensors, zero, strict=True)])
    if any(v.radius is not None for v in tensors):
        radius = absolute(*[z if v.radius is None else v.radius for v, z in zip(tensors, zero, strict=True)])
    rounding = None
    if terms:
        rounding = 3 * gamma(terms) * absolute(*[v.size for v in tensors]) + TINY
        radius = plus(radius, rounding)
    value = Value(center, middle, None if radius is None else up(radius), by_sample)
    moving = [(i, name, v) for i, (name, v) in enumerate(values) if not v.fixed]

    def only(i: int) -> Op:
        return lambda t: op(*[t if j == i else z for j, z in enumerate(zero)])

    def make(mode: Mode) -> Form:
        kept = [(i, name, v) for i, name, v in moving if mode != "samples" or v.by_sample]
        error, joint, shift = rounding, [], None
        for i, _, v in moving:
            if mode == "samples" and not v.by_sample:
                if repeated and given.ball.norm == "l2" and v.scale is not None and v.root is not None:
                    shared = repeats(v.center.shape, center.shape)
                    size = given.ball.rho * (torch.zeros_like(center) + only(i)(v.scale).abs())
                    joint.append(Joint(v.root, up(size), shared))
                else:
                    deviation = [z if j != i else v.deviation for j, z in enumerate(zero)]
                    error = plus(error, absolute(*deviation))

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            return tuple(transposed(only(i), v.center, adjoint) for i, _, v in kept)

        low, high = interval(None if error is None else torch.zeros_like(center) + error, shift, shift)
        return Form(tuple(name for _, name, _ in kept), pull, low, high, tuple(joint))

    return value, Step(make, linear=True, work=2.0 * center.numel())


def repeats(small: torch.Size, large: torch.Size) -> tuple[int, ...]:
    """The axes of the larger shape along which the smaller one is broadcast."""
    lead = len(large) - len(small)
    return tuple(i for i in range(len(large)) if i < lead or (small[i - lead] == 1 and large[i] != 1))


def with_rounding(value: Value, step: Step, size: Tensor) -> Result:
    """The value and its step, whose error is larger by this size."""

    def make(mode: Mode) -> Form:
        form = step.form(mode)
        low, high = interval(size, form.low, form.high)
        return Form(form.sources, form.pull, low, high, form.joint)

    return value, Step(make, linear=step.linear, work=step.work)


def rows_are_samples(given: Given, *values: Value) -> bool:
    """Whether axis 0 of a broadcast of values are the samples."""
    ndim = max(v.center.ndim for v in values)
    kept = [v for v in values if v.by_sample]
    if not kept or any(v.center.ndim != ndim or v.center.shape[0] != given.samples for v in kept):
        return False
    # without samples: nothing on axis 0
    return all(v.by_sample or v.center.ndim < ndim or v.center.shape[0] == 1 or v.fixed for v in values)


def alone(given: Given, place: int) -> Given:
    """The operation with this argument only."""
    return replace(given, names=(given.names[place],), args=(given.args[place],), kwargs={"target": ""})
