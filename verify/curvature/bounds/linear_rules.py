"""Owns the rules of linear operations: copies, moves, sums, means, additions, rows of tables, a loss of log-probabilities."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flatproof.verify.curvature.bounds.operation import Given, Result, linear, rows_are_samples, with_rounding
from flatproof.verify.curvature.bounds.values import TINY, UNIT, Unknown, Value, plus

aten = torch.ops.aten


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


def checked_moves(given: Given) -> Result:
    """Operations that copy, move, sum or average entries; Unknown where they do more."""
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
        by_sample = rows_are_samples(given, a, b)
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
    return with_rounding(Value(center, out.middle, plus(out.radius, size), v.by_sample), step, size)


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


def negative(given: Given) -> Result:
    """-a."""
    value = given.args[0]
    return linear(given, [(given.names[0], value)], torch.neg, lambda t: t, value.by_sample)
