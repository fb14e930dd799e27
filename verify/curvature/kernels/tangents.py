"""Owns the tangent rules: how each ATen operation of a gradient passes on a first-order change of its inputs.

For out = op(a, b, ...) a rule is given the call once, at the point of linearization, keeps of it what every later product needs and
nothing else, and returns `push`: the tangents of the active inputs -> the tangents of the outputs. Three kinds cover nearly all:

    multilinear   d op(a, b) = op(da, b) + op(a, db)       products, convolutions, views, sums, fixed masks and indices
    elementwise   d op(a, b) = c_a da + c_b db             activations and their derivatives: the c are computed once
    by hand       normalizations, softmax, whatever is affine

Anything else is differentiated by torch's forward mode at each product. Pearlmutter (1994) is the source of the idea.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table

aten = torch.ops.aten
Push = Callable[..., Any]


class Unsupported(Exception):
    """The operation or the way it is used has no tangent rule; another kernel must do it."""


@dataclass(frozen=True)
class Call:
    """One executed operation.

    Attributes:
        op: the overload. args, kwargs: as it was called. out: what it returned, as a tuple.
        active: where the inputs that depend on the parameters stand: an index into args, or a pair (index, place in that list).
        shared: what a forward operation leaves for its own backward one: its input and the array that both keep.
        untold: filled by the rule: what finds the places of outputs that may move and whose tangents it does not give.
    """

    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: tuple[Any, ...]
    active: tuple[int | tuple[int, int], ...]
    shared: dict[Any, tuple[Tensor, Tensor]] = field(default_factory=dict)
    untold: list[Callable[[], set[int]]] = field(default_factory=list)

    def at(self, index: int) -> int | None:
        """Which tangent belongs to args[index]; None if that input is constant."""
        return self.active.index(index) if index in self.active else None


def push_of(call: Call) -> Push | None:
    """The call's rule applied: a push, or None where every output is locally constant. Errors: Unsupported."""
    packet = call.op.overloadpacket
    if packet in WRONG:
        raise Unsupported(f"torch's forward mode of {call.op} is wrong")
    if packet in CONSTANT:
        return None
    if packet in BY_HAND:
        return BY_HAND[packet](call)
    if packet in MULTILINEAR:
        return _multilinear(call, MULTILINEAR[packet])
    if packet in ELEMENTWISE:
        return _elementwise(call)
    return _forward_mode(call)


# ------------------------------------------------------------------------------------------------------------ generic rules


@contextmanager
def _autograd_again() -> Iterator[None]:
    """Rules run inside a dispatch mode, below autograd, where nothing is differentiated; within this block it is."""
    include, exclude = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
    for key in ("AutogradFunctionality", "AutogradCPU", "AutogradCUDA", "AutogradOther", "ADInplaceOrView"):
        exclude = exclude.remove(getattr(torch._C.DispatchKey, key))
    # what a rule saves is its own: no hooks of a checkpointed region that the operation may stand in
    with torch._C._ForceDispatchKeyGuard(include, exclude), torch.autograd.graph.saved_tensors_hooks(_itself, _itself):
        yield


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _with(args: Sequence[Any], index: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return tuple(args[:index]), tuple(args[index + 1 :])


def _multilinear(call: Call, places: tuple[int, ...]) -> Push | None:
    """Linear in each of `places` separately; in other places a change has no first-order effect (masks, shapes)."""
    op, kwargs = call.op, call.kwargs
    terms = [(n, i) for n, i in enumerate(call.active) if i in places]
    if any(i not in places and not (i == 1 and op.overloadpacket in SELECTING) for i in call.active):
        raise Unsupported(f"{op} with an active input at another place than {places}")
    if not terms:
        return None
    if len(terms) == 1:
        where, index = terms[0]
        before, after = _with(call.args, index)
        if len(call.active) == 1 and not kwargs:
            if not before and not after:
                return op
            if not before:
                return lambda t: op(t, *after)
            return lambda t: op(*before, t, *after)
        return lambda *ts: op(*before, ts[where], *after, **kwargs)
    sides = [(n, *_with(call.args, i)) for n, i in terms]

    def push(*ts: Tensor) -> Tensor:
        return reduce(operator.add, (op(*before, ts[n], *after, **kwargs) for n, before, after in sides))

    return push


def _elementwise(call: Call) -> Push | None:
    """The coefficients are the partial derivatives, by autograd of the operation alone."""
    if call.op.overloadpacket is aten.div and call.active == (0,):
        return None if call.kwargs.get("rounding_mode") else _multilinear(call, (0,))
    out = call.out[0]
    leaves: list[Tensor] = []
    args = list(call.args)
    for index in call.active:
        if not isinstance(index, int):
            raise Unsupported(f"{call.op} of a list")
        leaf = args[index].detach().expand(out.shape).clone(memory_format=torch.preserve_format).requires_grad_()
        args[index] = leaf
        leaves.append(leaf)
    with _autograd_again(), torch.enable_grad():
        # some backward operations have no derivative in torch, but a definition in terms of others that do
        again = (decomposition_table[call.op] if call.op in _BY_DEFINITION else call.op)(*args, **call.kwargs)
        partials = torch.autograd.grad(again, leaves, torch.ones_like(again), allow_unused=True)
    kept = [(n, c) for n, c in enumerate(partials) if c is not None]
    if not kept:
        return None
    if len(call.active) == 1:
        only = kept[0][1]
        return lambda t: t * only
    if len(kept) == 1:
        place, coefficient = kept[0]
        return lambda *ts: ts[place] * coefficient
    if len(kept) == 2:
        (i, a), (j, b) = kept
        return lambda *ts: torch.addcmul(ts[i] * a, ts[j], b)
    return lambda *ts: reduce(operator.add, (ts[n] * c for n, c in kept))


def _forward_mode(call: Call) -> Push | None:
    """torch's own forward-mode derivative of this one operation, recomputed at each product."""
    op, kwargs, active = call.op, call.kwargs, call.active
    floats = [isinstance(o, Tensor) and o.is_floating_point() for o in call.out]
    if not any(floats):
        return None
    if any(not isinstance(index, int) for index in active) or op._schema.is_mutable:
        raise Unsupported(f"{op} has no tangent rule")
    if torch.Tag.nondeterministic_seeded in op.tags:
        raise Unsupported(f"{op} draws random numbers")
    # few backward operations have a forward-mode derivative of their own; most have a definition in terms of others
    compute = decomposition_table.get(op, op) if op.overloadpacket.__name__.endswith("_backward") else op
    args, places = call.args, [i for i in active if isinstance(i, int)]
    args = tuple(a.contiguous() if isinstance(a, Tensor) else a for a in args)  # what torch's formulas expect
    primals = tuple(args[i] for i in places)

    def function(*values: Tensor) -> Any:
        filled = list(args)
        for i, value in zip(places, values, strict=True):
            filled[i] = value
        out = compute(*filled, **kwargs)
        return tuple(o for o in out if o.is_floating_point()) if isinstance(out, (tuple, list)) else out

    call.untold.append(partial(_untold, op, function, primals, floats))

    def push(*ts: Tensor) -> Any:
        moved = torch.func.jvp(function, primals, tuple(t.contiguous() for t in ts))[1]
        if not isinstance(moved, tuple):
            return moved
        each = iter(moved)
        return tuple(next(each) if f else None for f in floats)

    return push


def _untold(op: Any, function: Callable[..., Any], primals: tuple[Tensor, ...], floats: Sequence[bool]) -> set[int]:
    """Which outputs torch's forward mode gives no tangent, though they may move: what an operation keeps for its own backward pass."""
    fw = torch.autograd.forward_ad
    with fw.dual_level():
        try:
            outs = function(*[fw.make_dual(p.detach(), torch.ones_like(p)) for p in primals])  # type: ignore[no-untyped-call]
        except (RuntimeError, NotImplementedError) as error:
            raise Unsupported(f"{op} has no tangent rule: {error}") from error
        outs = tuple(outs) if isinstance(outs, (tuple, list)) else (outs,)
        moved = [fw.unpack_dual(o).tangent is not None for o in outs]  # type: ignore[no-untyped-call]
    places = [n for n, f in enumerate(floats) if f]
    return {place for place, moves in zip(places, moved, strict=True) if not moves}


def _factored(call: Call) -> Push:
    """solve, det and slogdet by their definition from an LU factorization, whose own tangent torch has."""
    packet = call.op.overloadpacket
    places = [i for i in call.active if isinstance(i, int)]
    given = tuple(call.args[i].contiguous() for i in places)
    rest = list(call.args)
    left = call.kwargs.get("left", True)

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        args = list(rest)
        for i, value in zip(places, values, strict=True):
            args[i] = value
        A = args[0].mT if turned else args[0]
        lu, pivots = torch.linalg.lu_factor(A)
        if packet is aten._linalg_solve_ex:
            vector = args[1].ndim == 1 or (args[1].ndim == A.ndim - 1 and args[1].shape == A.shape[:-1])
            B = args[1].unsqueeze(-1) if vector else args[1]
            X = torch.linalg.lu_solve(lu, pivots, B, left=left, adjoint=turned)
            return (X.squeeze(-1) if vector else X), lu
        diagonal = lu.diagonal(dim1=-2, dim2=-1)
        if packet is aten._linalg_det:
            swaps = (pivots != torch.arange(1, A.shape[-1] + 1, device=A.device, dtype=pivots.dtype)).sum(-1)
            return diagonal.prod(-1) * (1 - 2 * (swaps % 2)), lu
        return diagonal.abs().log().sum(-1), lu

    where = (1, 2) if packet is aten._linalg_slogdet else (0, 1)
    count = len(call.out)
    kept = call.out[where[1]]
    # which of the two was factored depends on the memory layout
    turned = not torch.equal(torch.linalg.lu_factor(call.args[0])[0], kept)
    if turned and not torch.equal(torch.linalg.lu_factor(call.args[0].mT)[0], kept):
        raise Unsupported(f"{call.op} keeps another factorization")

    def push(*ts: Tensor) -> Any:
        moved = torch.func.jvp(function, given, tuple(t.contiguous() for t in ts))[1]
        out: list[Tensor | None] = [None] * count
        for place, value in zip(where, moved, strict=True):
            out[place] = value
        return tuple(out)

    return push


# ------------------------------------------------------------------------------------------------------------ affine operations


def _sum_of(call: Call) -> Push:
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


def _addmm(call: Call) -> Push:
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


def _product(call: Call) -> Push:
    """A B of matrices."""
    left, right = call.at(0), call.at(1)
    a, b = call.args
    if left is None:
        return lambda t: torch.mm(a, t)
    if right is None:
        return lambda t: torch.mm(t, b)
    return lambda t, u: torch.addmm(torch.mm(t, b), a, u)


def _batched_product(call: Call) -> Push:
    left, right = call.at(0), call.at(1)
    a, b = call.args
    if left is None:
        return lambda t: torch.bmm(a, t)
    if right is None:
        return lambda t: torch.bmm(t, b)
    return lambda t, u: torch.baddbmm(torch.bmm(t, b), a, u)


def _joined(call: Call) -> Push:
    """cat and stack: constant pieces move by zero."""
    pieces, dim = call.args[0], call.args[1] if len(call.args) > 1 else 0
    which = {place[1]: n for n, place in enumerate(call.active) if isinstance(place, tuple)}
    zeros = [None if n in which else p.new_zeros(()).expand(p.shape) for n, p in enumerate(pieces)]
    join = torch.cat if call.op.overloadpacket is aten.cat else torch.stack

    def push(*ts: Tensor) -> Tensor:
        return join([ts[which[n]] if z is None else z for n, z in enumerate(zeros)], dim)

    return push


def _chosen(call: Call) -> Push:
    """where(condition, a, b)."""
    condition, first, second = call.args[0], call.at(1), call.at(2)
    if first is not None and second is not None:
        return lambda *ts: torch.where(condition, ts[first], ts[second])
    return (
        (lambda *ts: torch.where(condition, ts[first], 0))
        if first is not None
        else (lambda *ts: torch.where(condition, 0, ts[-1]))
    )


def _filled(call: Call) -> Push | None:
    """masked_fill with a constant value."""
    mask = call.args[1]
    return (lambda t: t.masked_fill(mask, 0)) if call.active == (0,) else _forward_mode(call)


def _copied(call: Call) -> Push | None:
    """copy_(target, source): the target's own tangent is overwritten."""
    source, shape = call.at(1), call.args[0].shape
    return None if source is None else (lambda *ts: ts[source].expand(shape).clone())


def _same(call: Call) -> Push:
    return lambda t: t


def _reshaped(call: Call) -> Push:
    """A view, of a tangent that may lie otherwise in memory."""
    shape = tuple(call.out[0].shape)
    return lambda t: t.reshape(shape)


def _relu(call: Call) -> Push:
    """Where the output is positive; relu'(0) = 0 as torch has it."""
    out = call.out[0]
    return lambda t: aten.threshold_backward(t, out, 0)


# ------------------------------------------------------------------------------------------------------------ convolution


def _convolution(call: Call) -> Push:
    _, weight, _, *geometry = call.args
    x, w, bias = call.at(0), call.at(1), call.at(2)
    inputs: Any = call.args[0] if w is not None else None
    kernel: Any = weight if x is not None else None

    def push(*ts: Tensor) -> Tensor:
        shift = ts[bias] if bias is not None else None
        if w is None:
            if x is None:
                assert shift is not None
                return (
                    shift[:, None, None].expand(shape)
                    if len(shape) == 4
                    else shift.reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape)
                )
            return torch.convolution(ts[x], kernel, shift, *geometry)
        moved = torch.convolution(inputs, ts[w], shift, *geometry)
        return moved if x is None else moved.add_(torch.convolution(ts[x], kernel, None, *geometry))

    shape = call.out[0].shape
    return push


def _convolution_backward(call: Call) -> Push:
    """Bilinear in (signal, weight) for the input, in (signal, input) for the weight: two calls give all the terms."""
    signal, inputs, weight, bias, *geometry, mask = call.args
    g, x, w = call.at(0), call.at(1), call.at(2)
    second = [bool(mask[0]) and w is not None, bool(mask[1]) and x is not None, False]
    kept_x = inputs if g is not None or second[0] else None
    kept_w, kept_g = weight, signal if any(second) else None
    zero_x = weight.new_zeros(()).expand(inputs.shape) if kept_x is None else kept_x

    def push(*ts: Tensor) -> tuple[Tensor | None, ...]:
        first = aten.convolution_backward(ts[g], zero_x, kept_w, bias, *geometry, mask) if g is not None else (None, None, None)
        if kept_g is None:
            return first
        dx = ts[x] if x is not None else zero_x
        dw = ts[w] if w is not None else kept_w
        other = aten.convolution_backward(kept_g, dx, dw, None, *geometry, second)
        return tuple(a if b is None else b if a is None else a.add_(b) for a, b in zip(first, other, strict=True))

    return push


def _max_pool(call: Call) -> Push:
    """The tangent at the maxima; their places are kept as they are laid out in memory."""
    indices = call.out[1]
    n, c, h, w = indices.shape if indices.ndim == 4 else (1, *indices.shape)
    batched = indices.ndim == 4
    if batched and not indices.is_contiguous() and indices.is_contiguous(memory_format=torch.channels_last):
        flat = indices.permute(0, 2, 3, 1).reshape(n, h * w, c)
        return lambda t: (t.permute(0, 2, 3, 1).flatten(1, 2).gather(1, flat).unflatten(1, (h, w)).permute(0, 3, 1, 2), None)
    flat = indices.flatten(-2)
    return lambda t: (t.flatten(-2).gather(-1, flat).unflatten(-1, (h, w)), None)


# ------------------------------------------------------------------------------------------------------------ normalizations


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (like.ndim - 2))


def _batch_norm(call: Call) -> Push:
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


def _batch_norm_backward(call: Call) -> Push:
    """gx = (w / s) P g, gw = sum g x^, gb = sum g; P removes mean and x^ component in training mode and is the identity otherwise."""
    g, x, weight, mean, variance, saved_mean, saved_inverse, training, eps, mask = call.args
    at_g, at_x, at_w = call.at(0), call.at(1), call.at(2)
    axes = [d for d in range(x.ndim) if d != 1]
    center, inverse = (saved_mean, saved_inverse) if training else (mean, (variance + eps).rsqrt())
    inv = _per_channel(inverse, x)
    scale = inv if weight is None else inv * _per_channel(weight, x)
    known = call.shared.pop(id(x), None)
    normal = known[1] if known else (x - _per_channel(center, x)).mul_(inv)
    moves_x = at_x is not None
    along_g: Any = (g * normal).mean(axes, keepdim=True) if training else None
    projected: Any = None
    if training and moves_x:
        projected = g - g.mean(axes, keepdim=True) - normal * along_g
    stub = torch.empty((), dtype=x.dtype).expand(x.shape)
    kept_g: Any = g if at_x is not None or (at_w is not None and mask[0]) else None

    def onto(t: Tensor) -> Tensor:
        return torch.addcmul(t - t.mean(axes, keepdim=True), normal, (t * normal).mean(axes, keepdim=True), value=-1)

    def push(*ts: Tensor) -> tuple[Tensor | None, ...]:
        gx = gw = gb = None
        if at_g is not None:
            t = ts[at_g]
            gb = t.sum(axes) if mask[2] else None
            gw = (t * normal).sum(axes) if mask[1] else None
            if mask[0]:
                gx = (onto(t) if training else t) * scale
        if at_x is not None:
            t = ts[at_x]
            if training:
                slope = (t * normal).mean(axes, keepdim=True) * inv  # -d(1/s) s
                moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, slope / inv, value=-1).mul_(inv)  # d x^
                cross = (kept_g * moved).mean(axes, keepdim=True)
                if mask[0]:
                    step = (projected * slope + moved * along_g + normal * cross) * -scale
                    gx = step if gx is None else gx + step
                if mask[1]:
                    extra = cross.flatten() * (stub.numel() // stub.shape[1])
                    gw = extra if gw is None else gw + extra
            elif mask[1]:
                extra = (kept_g * t).sum(axes) * inverse
                gw = extra if gw is None else gw + extra
        if at_w is not None and mask[0]:
            base = onto(kept_g) if training and projected is None else projected if training else kept_g
            change = base * (_per_channel(ts[at_w], stub) * inv)
            gx = change if gx is None else gx + change
        return gx, gw, gb

    return push


def _layer_norm(call: Call) -> Push:
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


def _layer_norm_backward(call: Call) -> Push:
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
        if at_w is not None:
            inner = g * ts[at_w] if inner is None else torch.addcmul(inner, g, ts[at_w])
        if inner is not None and mask[0]:
            gx = onto(inner).mul_(inverse)
        if at_x is not None:
            t = ts[at_x]
            slope = (t * normal).mean(axes, keepdim=True)
            moved = torch.addcmul(t - t.mean(axes, keepdim=True), normal, slope, value=-1).mul_(inverse)
            if mask[0]:
                assert projected is not None
                cross = (scaled * moved).mean(axes, keepdim=True)
                step = torch.addcmul(torch.addcmul(projected * (slope * inverse), moved, along), normal, cross).mul_(inverse)
                gx = -step if gx is None else gx - step
            if mask[1]:
                extra = over(g * moved)
                gw = extra if gw is None else gw + extra
        return gx, gw, gb

    return push


# ------------------------------------------------------------------------------------------------------------ softmax


def _softmax(call: Call) -> Push:
    p, dim = call.out[0], call.args[1]
    return lambda t: aten._softmax_backward_data(t, p, dim, p.dtype)


def _softmax_backward(call: Call) -> Push:
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


def _log_sigmoid_backward(call: Call) -> Push:
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


def _log_softmax(call: Call) -> Push:
    p, dim = call.out[0].exp(), call.args[1]
    return lambda t: t - (p * t).sum(dim, keepdim=True)


def _log_softmax_backward(call: Call) -> Push:
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


# ------------------------------------------------------------------------------------------------------------ tables

# outputs do not depend on values, or are locally constant
CONSTANT = {
    aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like, aten.rand_like, aten.randn_like, aten.new_zeros, aten.new_ones,
    aten.new_empty, aten.new_full, aten.new_empty_strided, aten.bernoulli, aten.sign, aten.floor, aten.ceil, aten.round, aten.heaviside,
    aten.bernoulli_, aten.zero_, aten.fill_, aten.uniform_, aten.normal_,
}  # fmt: skip

# tangents that torch's forward mode gives and that are not those of the values (`flatproof reproduce curvature/functions`)
WRONG = {aten.triangular_solve, aten.soft_margin_loss, aten.soft_margin_loss_backward}


def _packets(names: str) -> tuple[Any, ...]:
    return tuple(getattr(aten, name) for name in names.split() if hasattr(aten, name))


MULTILINEAR: dict[Any, tuple[int, ...]] = dict.fromkeys(
    _packets("""
        t expand permute transpose unsqueeze squeeze select slice split split_with_sizes unbind neg sum mean cumsum _to_copy flip roll
        tril triu diagonal unfold unfold_backward select_backward slice_backward diagonal_backward constant_pad_nd repeat index gather
        index_select embedding embedding_dense_backward avg_pool2d avg_pool2d_backward _adaptive_avg_pool2d
        _adaptive_avg_pool2d_backward max_pool2d_with_indices_backward nll_loss_forward nll_loss_backward nll_loss2d_forward
        nll_loss2d_backward threshold_backward native_dropout_backward leaky_relu_backward hardtanh_backward upsample_nearest2d
        upsample_nearest2d_backward upsample_bilinear2d upsample_bilinear2d_backward im2col col2im
    """),
    (0,),
) | dict.fromkeys(_packets("mul dot mv"), (0, 1))

# of these the input at place 1 only says which pieces are active, or gives a shape
SELECTING = set(
    _packets("""
        threshold_backward leaky_relu_backward hardtanh_backward avg_pool2d_backward _adaptive_avg_pool2d_backward
        max_pool2d_with_indices_backward nll_loss_backward nll_loss2d_backward
    """)
)

ELEMENTWISE = set(
    _packets("""
        exp log log1p expm1 log2 log10 sqrt rsqrt pow tanh sigmoid gelu silu softplus elu mish hardswish hardsigmoid sin cos tan atan
        erf erfc reciprocal square abs celu selu clamp clamp_min clamp_max maximum minimum div leaky_relu hardtanh threshold
        log_sigmoid logit sinh cosh xlogy tanh_backward sigmoid_backward gelu_backward silu_backward softplus_backward elu_backward
        mish_backward hardswish_backward mse_loss_backward smooth_l1_loss_backward huber_loss_backward binary_cross_entropy_backward
    """)
)

# outputs that only the operation's own backward reads, whose rule accounts for how they move
INNER: dict[Any, tuple[int, ...]] = {
    aten.native_batch_norm: (1, 2),
    aten.native_layer_norm: (1, 2),
    aten.log_sigmoid_forward: (1,),
    aten.nll_loss_forward: (1,),
    aten.nll_loss2d_forward: (1,),
}

# no derivative of their own in torch, but a definition in terms of operations that have one
_BY_DEFINITION = {aten.silu_backward.default, aten.mish_backward.default, aten.hardswish_backward.default}

BY_HAND: dict[Any, Callable[[Call], Push | None]] = {
    aten.add: _sum_of,
    aten.sub: _sum_of,
    aten.rsub: _sum_of,
    aten.addmm: _addmm,
    aten.baddbmm: _addmm,
    aten.addmv: _addmm,
    aten.mm: _product,
    aten.bmm: _batched_product,
    aten.cat: _joined,
    aten.stack: _joined,
    aten.relu: _relu,
    aten.view: _reshaped,
    aten._unsafe_view: _reshaped,
    aten.reshape: _reshaped,
    aten.where: _chosen,
    aten.masked_fill: _filled,
    aten.copy_: _copied,
    aten.detach: _same,
    aten.alias: _same,
    aten.clone: _same,
    aten.contiguous: _same,
    aten.lift_fresh: _same,
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.max_pool2d_with_indices: _max_pool,
    aten.native_batch_norm: _batch_norm,
    aten.native_batch_norm_backward: _batch_norm_backward,
    aten.native_layer_norm: _layer_norm,
    aten.native_layer_norm_backward: _layer_norm_backward,
    aten._linalg_det: _factored,
    aten._linalg_slogdet: _factored,
    aten._linalg_solve_ex: _factored,
    aten.log_sigmoid_backward: _log_sigmoid_backward,
    aten._softmax: _softmax,
    aten._safe_softmax: _softmax,
    aten._softmax_backward_data: _softmax_backward,
    aten._log_softmax: _log_softmax,
    aten._log_softmax_backward_data: _log_softmax_backward,
}
