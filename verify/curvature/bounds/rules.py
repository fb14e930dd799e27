"""Owns what each operation of torch does to values and their boxes, and its forms: linear, bilinear, elementwise, maximum, head.

A bilinear operation is linearized about a point (p, q) of its inputs' boxes, which is McCormick's relaxation in the form

    a b - a0 b0 = (a - a0) q + p (b - b0) - (p - a0)(q - b0) + (a - p)(b - q),   |(a - p)(b - q)| <= r_a r_b.

In an l2 ball a product of an activation and parameters moves each output by at most rho ||c * activation||_2, and jointly (`Joint`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatproof.verify.curvature.bounds import curves
from flatproof.verify.curvature.bounds.curves import Curve
from flatproof.verify.curvature.bounds.values import (
    FUNCTION,
    TINY,
    UNIT,
    Ball,
    Form,
    Joint,
    Mode,
    Op,
    Op2,
    Step,
    Top,
    Unknown,
    Value,
    gamma,
    plus,
    up,
    up_down,
)

aten = torch.ops.aten


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
_with = replace


def transposed(op: Op, like: Tensor, adjoint: Tensor) -> Tensor:
    """The transpose of a linear map at (k, *output) adjoints."""
    pull: Any = torch.func.vjp(op, like)[1]
    if len(adjoint) == 1:
        return pull(adjoint[0])[0][None]
    pulled: Tensor = torch.vmap(lambda a: pull(a)[0])(adjoint)
    return pulled


def _error(size: Tensor | None, low: Tensor | None = None, high: Tensor | None = None) -> tuple[Tensor | None, Tensor | None]:
    """[low - size, high + size], with 0 within."""
    least, most = plus(low, None if size is None else -size), plus(high, size)
    return None if least is None else least.clamp(max=0), None if most is None else most.clamp(min=0)


# ------------------------------------------------------------------------------------------------------------------------ linear


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
                    shared = _repeats(v.center.shape, center.shape)
                    size = given.ball.rho * (torch.zeros_like(center) + only(i)(v.scale).abs())
                    joint.append(Joint(v.root, up(size), shared))
                else:
                    deviation = [z if j != i else v.deviation for j, z in enumerate(zero)]
                    error = plus(error, absolute(*deviation))

        def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
            return tuple(transposed(only(i), v.center, adjoint) for i, _, v in kept)

        low, high = _error(None if error is None else torch.zeros_like(center) + error, shift, shift)
        return Form(tuple(name for _, name, _ in kept), pull, low, high, tuple(joint))

    return value, Step(make, linear=True, work=2.0 * center.numel())


def _repeats(small: torch.Size, large: torch.Size) -> tuple[int, ...]:
    """The axes of the larger shape along which the smaller one is broadcast."""
    lead = len(large) - len(small)
    return tuple(i for i in range(len(large)) if i < lead or (small[i - lead] == 1 and large[i] != 1))


def moved(rearranged: bool = False) -> Callable[[Given], Result]:
    """A rule for an operation that copies, moves, sums or averages entries of its first argument."""

    def rule(given: Given) -> Result:
        value = given.args[0]
        function = OPERATIONS[given.kwargs["target"]]
        rest = given.args[1:]
        settings = {k: v for k, v in given.kwargs.items() if k != "target"}

        def op(t: Tensor) -> Tensor:
            return function(t, *rest, **settings)

        shape = op(value.center).shape
        kept = value.by_sample and len(shape) > 0 and shape[0] == given.samples and _keeps_samples(given, value.center.ndim)
        copies = given.kwargs["target"] in COPIES
        terms = 0 if copies and shape.numel() <= value.center.numel() else max(shape.numel(), value.center.numel())
        out, step = linear(given, [(given.names[0], value)], op, op, kept, terms=terms)
        if rearranged and value.scale is not None:
            out = Value(out.center, out.middle, out.radius, False, op(value.scale), value.root)
        return out, step

    return rule


def _keeps_samples(given: Given, ndim: int) -> bool:
    """Whether axis 0 of the output is axis 0 of the input."""
    name, args = given.kwargs["target"], given.args

    def axes(value: Any) -> set[int]:
        if value is None or (isinstance(value, (list, tuple)) and not value):
            return set(range(ndim))
        return {int(a) % max(ndim, 1) for a in (value if isinstance(value, (list, tuple)) else [value])}

    if name in ("view", "reshape", "_unsafe_view", "clone", "alias", "detach", "_to_copy", "contiguous", "lift_fresh_copy"):
        return True  # row-major: the same first length, the same first axis
    if name == "expand":
        return len(args[1]) == ndim
    if name in ("sum.dim_IntList", "mean.dim", "squeeze.dim", "squeeze.dims", "select", "slice", "constant_pad_nd", "flip"):
        if name == "constant_pad_nd":
            return len(args[1]) < 2 * ndim
        return 0 not in axes(args[1] if len(args) > 1 else 0)
    if name == "unsqueeze":
        return int(args[1]) % (ndim + 1) != 0
    if name == "transpose":
        return 0 not in axes([args[1], args[2]])
    if name == "permute":
        return int(args[1][0]) % ndim == 0
    return name in ("avg_pool2d", "_adaptive_avg_pool2d", "avg_pool1d", "upsample_nearest2d")


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "view": torch.Tensor.reshape,
    "reshape": torch.Tensor.reshape,
    "_unsafe_view": torch.Tensor.reshape,
    "clone": lambda t, **_: t,
    "alias": lambda t: t,
    "detach": lambda t: t,
    "contiguous": lambda t, **_: t,
    "lift_fresh_copy": lambda t: t,
    "_to_copy": lambda t, **_: t,
    "t": torch.t,
    "transpose": torch.transpose,
    "permute": torch.permute,
    "unsqueeze": torch.unsqueeze,
    "squeeze": torch.squeeze,
    "squeeze.dim": torch.squeeze,
    "squeeze.dims": lambda t, dims: torch.squeeze(t, tuple(dims)),
    "expand": lambda t, sizes, **_: t.expand(sizes),
    "select": torch.select,
    "slice": lambda t, *rest: aten.slice.Tensor(t, *rest),
    "constant_pad_nd": lambda t, pad, value=0: F.pad(t, pad),
    "flip": torch.flip,
    "sum": lambda t, **_: t.sum(),
    "sum.dim_IntList": lambda t, dim=None, keepdim=False, **_: t.sum(dim, keepdim) if dim else t.sum(),
    "mean": lambda t, **_: t.mean(),
    "mean.dim": lambda t, dim=None, keepdim=False, **_: t.mean(dim, keepdim) if dim else t.mean(),
    "avg_pool2d": F.avg_pool2d,
    "_adaptive_avg_pool2d": F.adaptive_avg_pool2d,
}
REARRANGED = {
    "view", "reshape", "_unsafe_view", "clone", "alias", "detach", "contiguous", "lift_fresh_copy", "_to_copy", "t", "transpose",
    "permute", "unsqueeze", "squeeze", "squeeze.dim", "squeeze.dims",
}  # fmt: skip
COPIES = REARRANGED | {"expand", "select", "slice", "constant_pad_nd", "flip"}


def _checked_moves(given: Given) -> Result:
    name = given.kwargs["target"]
    if name == "_to_copy" and given.kwargs.get("dtype", torch.float64) is not torch.float64:
        raise Unknown(f"the model converts to {given.kwargs['dtype']}".replace("torch.", ""))
    if name == "constant_pad_nd" and len(given.args) > 2 and given.args[2] != 0:
        raise Unknown("padding by a number other than 0 is not known to it")
    return moved(name in REARRANGED)(given)


def add(given: Given) -> Result:
    """a + alpha b, of tensors or numbers."""
    a, b, alpha = (*given.args, given.kwargs.get("alpha", 1))[:3]
    if given.kwargs["target"].startswith("sub"):
        alpha = -alpha
    if given.kwargs["target"].startswith("rsub"):
        a, b, alpha = b, a, -alpha
        values = [(n, v) for n, v in zip(given.names[1::-1], (a, b), strict=True) if isinstance(v, Value)]
    else:
        values = [(n, v) for n, v in zip(given.names, (a, b), strict=False) if isinstance(v, Value)]
    if len(values) == 2:
        by_sample = _by_sample(given, a, b)
        terms = max(a.center.numel(), b.center.numel())
        return linear(
            given, values, lambda s, t: s + alpha * t, lambda s, t: s + abs(alpha) * t, by_sample, terms=terms, repeated=True
        )
    factor = 1 if isinstance(a, Value) else alpha
    shift = b * alpha if isinstance(a, Value) else a
    _, v = values[0]
    out, step = linear(given, values, lambda t: factor * t, lambda t: abs(factor) * t, v.by_sample)
    size = 4 * UNIT * (out.size + abs(shift)) + TINY
    center = out.center + shift
    return _with_rounding(Value(center, out.middle, plus(out.radius, size), v.by_sample), step, size)


def _with_rounding(value: Value, step: Step, size: Tensor) -> Result:
    def make(mode: Mode) -> Form:
        form = step.form(mode)
        low, high = _error(size, form.low, form.high)
        return Form(form.sources, form.pull, low, high, form.joint)

    return value, Step(make, linear=step.linear, work=step.work)


def _by_sample(given: Given, *values: Value) -> bool:
    """Whether axis 0 of a broadcast of values are the samples."""
    ndim = max(v.center.ndim for v in values)
    kept = [v for v in values if v.by_sample]
    if not kept or any(v.center.ndim != ndim or v.center.shape[0] != given.samples for v in kept):
        return False
    # without samples: nothing on axis 0
    return all(v.by_sample or v.center.ndim < ndim or v.center.shape[0] == 1 or v.fixed for v in values)


def cat(given: Given) -> Result:
    """torch.cat and torch.stack."""
    parts, dim = given.args[0], (given.args[1] if len(given.args) > 1 else 0)
    function: Any = torch.stack if given.kwargs["target"] == "stack" else torch.cat
    values = list(zip(given.names, parts, strict=False))
    ndim = parts[0].center.ndim + (given.kwargs["target"] == "stack")
    by_sample = all(v.by_sample for v in parts) and dim % ndim != 0
    return linear(given, values, lambda *t: function(list(t), dim), lambda *t: function(list(t), dim), by_sample)


def embedding(given: Given) -> Result:
    """Rows of a table."""
    table, index = given.args[:2]

    def op(t: Tensor) -> Tensor:
        return t[index]

    return linear(given, [(given.names[0], table)], op, op, index.ndim > 0 and index.shape[0] == given.samples)


def indexed(given: Given) -> Result:
    """t[i], by whole numbers."""
    value, places = given.args[:2]
    if any(isinstance(i, Value) for i in places):
        raise Unknown("indices that are no whole numbers are not known to it")

    def op(t: Tensor) -> Tensor:
        return aten.index.Tensor(t, places)

    first = places[0]
    by_sample = first is not None and not value.by_sample and first.ndim > 0 and len(first) == given.samples
    return linear(given, [(given.names[0], value)], op, op, by_sample, terms=value.center.numel())


def nll_loss(given: Given) -> Result:
    """The weighed mean, sum or list of minus the targets' log-probabilities (n, K)."""
    value, targets, weight, reduction, ignore = given.args
    if value.center.ndim != 2:
        raise Unknown("cross-entropy of one sample without a batch is not known to it")
    if isinstance(weight, Value):
        if not weight.fixed:
            raise Unknown("class weights that move are not known to it")
        weight = weight.center

    def op(t: Tensor) -> Tensor:
        return aten.nll_loss_forward(t, targets, weight, reduction, ignore)[0]

    return linear(given, [(given.names[0], value)], op, lambda t: -op(t), False, terms=len(targets))


# ---------------------------------------------------------------------------------------------------------------------- bilinear


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
    """
    (name_a, a), (name_b, b) = named
    l2 = given.ball.norm == "l2"
    axes = shared(a, b) if l2 and b.scale is not None else None
    center = op(a.center, b.center)
    rounding = 3 * gamma(terms) * op(a.size, b.size) + TINY
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
            moves.append(_moved_by(op, a.size, b, given.ball, axes))
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
            out = []
            if pulled_a:
                out.append(transposed(lambda t: op(t, q), zero_a, adjoint))
            if pulled_b:
                out.append(transposed(lambda t: op(p, t), zero_b, adjoint))
            return tuple(out)

        low, high = _error(size, shift, shift)
        names = tuple(n for n, wanted in ((name_a, pulled_a), (name_b, pulled_b)) if wanted)
        return Form(names, pull, low, high, tuple(joint), pairs)

    return value, Step(make, linear=a.fixed or b.fixed, work=2 * work)


def _length(op: Op2, size: Tensor, scale: Tensor, ball: Ball) -> Tensor:
    """rho ||c * activation||_2, output by output."""
    return ball.rho * op(size.square(), scale.square()).sqrt()


def _moved_by(op: Op2, size: Tensor, b: Value, ball: Ball, axes: tuple[int, ...] | None) -> Tensor:
    """What a parameter's deviation moves outputs by, from activations of this size."""
    assert b.radius is not None
    box = op(size, b.radius)
    return box if axes is None or b.scale is None else torch.minimum(box, _length(op, size, b.scale, ball))


def mul(given: Given) -> Result:
    """a b, elementwise; a number and a tensor; a a is a square."""
    a, b = given.args[:2]
    if given.kwargs["target"].startswith("div"):
        if isinstance(b, Value) and not b.fixed:
            raise Unknown("a quotient by what depends on the parameters is not known to it")
        quotient = Value(1 / b.center, by_sample=b.by_sample) if isinstance(b, Value) else 1 / b
        value, step = mul(_with(given, args=(a, quotient), kwargs={"target": "mul"}))
        size = 4 * UNIT * value.size + TINY
        return _with_rounding(Value(value.center, value.middle, plus(value.radius, size), value.by_sample), step, size)
    if not (isinstance(a, Value) and isinstance(b, Value)):
        (value, number), name = ((a, b), given.names[0]) if isinstance(a, Value) else ((b, a), given.names[1])
        scaled, step = linear(given, [(name, value)], lambda t: number * t, lambda t: abs(number) * t, value.by_sample)
        size = 4 * UNIT * scaled.size + TINY
        return _with_rounding(Value(scaled.center, scaled.middle, plus(scaled.radius, size), scaled.by_sample), step, size)
    names = given.names[:2]
    if names[0] and names[0] == names[1]:
        return elementwise(curves.SQUARE)(_alone(given, 0))
    if a.scale is not None and b.scale is None:
        a, b, names = b, a, (names[1], names[0])

    def shared(first: Value, second: Value) -> tuple[int, ...]:
        return _repeats(second.center.shape, (first.center * second.center).shape)

    count = max(a.center.numel(), b.center.numel())
    return product(
        given,
        ((names[0], a), (names[1], b)),
        torch.mul,
        _by_sample(given, a, b),
        terms=count,
        work=count,
        shared=shared,
        elementwise=True,
    )


def _alone(given: Given, place: int) -> Given:
    return _with(given, names=(given.names[place],), args=(given.args[place],), kwargs={"target": ""})


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
    )


def addmm(given: Given) -> Result:
    """bias + a b."""
    if given.kwargs.get("beta", 1) != 1 or given.kwargs.get("alpha", 1) != 1:
        raise Unknown("addmm with factors is not known to it")
    bias, a, b = given.args[:3]
    inner = _with(given, names=given.names[1:3], args=(a, b), kwargs={"target": "mm"})
    return _biased(given, matmul(inner), bias, given.names[0])


def _biased(given: Given, result: Result, bias: Value, name: str) -> Result:
    """The result of a product with a bias added."""
    value, step = result
    outer = _with(given, names=("", name), args=(value, bias), kwargs={"target": "add"})
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


# ------------------------------------------------------------------------------------------------------------------- elementwise


def elementwise(curve: Curve) -> Callable[[Given], Result]:
    """A rule for an elementwise function."""

    def rule(given: Given) -> Result:
        name, value = given.names[0], given.args[0]
        low, high = given.tightened(name, value.box, None)
        z = value.center
        center = curve.f(z)
        rounding = curve.rounding(z, center)
        if value.fixed:
            curves.ends(curve, z, low, high)
            return Value(center, None, rounding, value.by_sample), Step(
                lambda _: Form((), lambda _: (), *_error(rounding)), linear=True
            )
        least, most = curves.image(curve, z, low, high)
        if rounding is not None:
            least, most = least - rounding, most + rounding
        out = Value(center, None, None, value.by_sample).within(least, most)

        def make(mode: Mode) -> Form:
            relaxed = (curves.tangent if mode == "tangent" else curves.chords)(curve, z, low, high)

            def pull(adjoint: Tensor) -> tuple[Tensor, ...]:
                if mode == "tangent":
                    return (adjoint * relaxed.upper,)
                return (torch.where(adjoint > 0, relaxed.upper, relaxed.lower) * adjoint,)

            steepest = torch.maximum(relaxed.upper.abs(), relaxed.lower.abs())
            size = plus(rounding, 4 * UNIT * steepest * torch.maximum(high, -low) + TINY)
            lows, highs = _error(size, relaxed.low, relaxed.high)
            return Form((name,), pull, lows, highs)

        return out, Step(make, top=_top_of(curve, name, z, low, high, rounding))

    return rule


def _top_of(curve: Curve, name: str, z: Tensor, low: Tensor, high: Tensor, rounding: Tensor | None) -> Top | None:
    if curve.breaks is not None:
        return None
    bends = curve.bends(*curves.ends(curve, z, low, high)) if callable(curve.bends) else curve.bends
    slope = curve.slope(z)
    size = FUNCTION * (1 + slope.abs()) * torch.maximum(high, -low) + TINY
    size = size if rounding is None else size + rounding
    return Top(
        lambda adjoint: torch.maximum(adjoint * bends[0], adjoint * bends[1]).clamp(min=0),
        lambda adjoint: adjoint,
        lambda adjoint: adjoint * slope,
        lambda adjoint: (adjoint.abs() * size).sum(),
        name,
        tuple(z.shape),
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
    places = torch.arange(high.shape[-2] * high.shape[-1], dtype=high.dtype).reshape(1, 1, *high.shape[-2:]) + 1
    best = torch.full((n, channels, flat.shape[-1]), -math.inf, dtype=high.dtype)
    for offset in range(count):  # one place of every window at a time, by a convolution that copies it
        copy = torch.zeros(1, 1, *sides, dtype=high.dtype)
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


# -------------------------------------------------------------------------------------------------------------------------- head


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
            lambda _: Form((), lambda _: (), *_error(rounding)), linear=True
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
    return out, Step(make, top=top)


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


# ------------------------------------------------------------------------------------------------------------------------- table


def softplus(given: Given) -> Result:
    """With beta = 1, below the threshold beyond which torch takes it for x."""
    beta = given.args[1] if len(given.args) > 1 else 1
    threshold = given.args[2] if len(given.args) > 2 else 20
    value = given.args[0]
    if beta != 1 or float((value.center + value.box[1]).max()) > threshold:
        raise Unknown("softplus with another beta, or above its threshold, is not known to it")
    return elementwise(curves.SOFTPLUS)(_alone(given, 0))


def gelu(given: Given) -> Result:
    """The exact one."""
    if given.kwargs.get("approximate", "none") != "none":
        raise Unknown("gelu approximated by tanh is not known to it")
    return elementwise(curves.GELU)(_alone(given, 0))


def power(given: Given) -> Result:
    """Squares."""
    if given.args[1] != 2:
        raise Unknown(f"a power of {given.args[1]} is not known to it")
    return elementwise(curves.SQUARE)(_alone(given, 0))


def _curve(make: Callable[..., Curve]) -> Callable[[Given], Result]:
    return lambda given: elementwise(make(*given.args[1:]))(_alone(given, 0))


def negative(given: Given) -> Result:
    """-a."""
    value = given.args[0]
    return linear(given, [(given.names[0], value)], torch.neg, lambda t: t, value.by_sample)


RULES: dict[str, Callable[[Given], Result]] = {
    **dict.fromkeys(OPERATIONS, _checked_moves),
    **dict.fromkeys(("add", "add.Scalar", "sub", "sub.Scalar", "rsub", "rsub.Scalar"), add),
    **dict.fromkeys(("mul", "mul.Scalar", "div", "div.Scalar"), mul),
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), matmul),
    **dict.fromkeys(("cat", "stack"), cat),
    "neg": negative,
    "addmm": addmm,
    "convolution": convolution,
    "embedding": embedding,
    "index": indexed,
    "nll_loss_forward": nll_loss,
    "_log_softmax": log_softmax,
    "max_pool2d_with_indices": largest,
    "softplus": softplus,
    "gelu": gelu,
    "pow.Tensor_Scalar": power,
    "leaky_relu": _curve(lambda slope=0.01: curves.leaky_relu(float(slope))),
    "hardtanh": _curve(curves.hardtanh),
    "clamp": _curve(
        lambda low=None, high=None: curves.clamp(-math.inf if low is None else low, math.inf if high is None else high)
    ),
    "clamp_min": _curve(lambda low: curves.clamp(low, math.inf)),
    "clamp_max": _curve(lambda high: curves.clamp(-math.inf, high)),
    "elu": _curve(lambda alpha=1.0, scale=1.0, input_scale=1.0: curves.elu(float(alpha), float(scale), float(input_scale))),
    **{
        name: elementwise(curve)
        for name, curve in {
            "relu": curves.RELU,
            "abs": curves.ABS,
            "tanh": curves.TANH,
            "sigmoid": curves.SIGMOID,
            "silu": curves.SILU,
            "exp": curves.EXP,
            "square": curves.SQUARE,
            "sqrt": curves.SQRT,
            "rsqrt": curves.RSQRT,
            "reciprocal": curves.RECIPROCAL,
            "log": curves.LOG,
        }.items()
    },
}
