"""Owns the rules that cover nearly all operations: multilinear, elementwise, and torch's own forward mode for the rest."""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table

from flatproof.verify.curvature.kernels.tangents.call import Call, Push, Unsupported, aten


def packets(names: str) -> tuple[Any, ...]:
    """The operations of these names, separated by blanks, that this torch has."""
    return tuple(getattr(aten, name) for name in names.split() if hasattr(aten, name))


# multilinear operations whose input at place 1 only says which pieces are active, or gives a shape
SELECTING = set(
    packets("""
        threshold_backward leaky_relu_backward hardtanh_backward avg_pool2d_backward _adaptive_avg_pool2d_backward
        max_pool2d_with_indices_backward nll_loss_backward nll_loss2d_backward
    """)
)

# no derivative of their own in torch, but a definition in terms of operations that have one
_BY_DEFINITION = {aten.silu_backward.default, aten.mish_backward.default, aten.hardswish_backward.default}


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


def multilinear(call: Call, places: tuple[int, ...]) -> Push | None:
    """A sum over the active inputs: the operation with that input replaced by its tangent.

    Args:
        call: the operation.
        places: indices into its arguments; it is linear in each. In other places a change has no first-order effect (masks, shapes).

    Returns:
        The push; None if no input at `places` is active.

    Raises:
        Unsupported: an active input at another place.
    """
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


def elementwise(call: Call) -> Push | None:
    """sum_a c_a da: the coefficients are the partial derivatives, by autograd of the operation alone."""
    if call.op.overloadpacket is aten.div and call.active == (0,):
        return None if call.kwargs.get("rounding_mode") else multilinear(call, (0,))
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
        # of the sum: torch compares the shape of a given cotangent by symbols, and loads sympy for that
        partials = torch.autograd.grad(again.sum(), leaves, allow_unused=True)
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


def forward_mode(call: Call) -> Push | None:
    """torch's own forward-mode derivative of this one operation, recomputed at each product.

    Raises:
        Unsupported: the operation writes, draws random numbers or takes lists.
    """
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

    call.unknown.append(partial(_without_tangent, op, function, primals, floats))

    def push(*ts: Tensor) -> Any:
        moved = torch.func.jvp(function, primals, tuple(t.contiguous() for t in ts))[1]
        if not isinstance(moved, tuple):
            return moved
        each = iter(moved)
        return tuple(next(each) if f else None for f in floats)

    return push


def _without_tangent(op: Any, function: Callable[..., Any], primals: tuple[Tensor, ...], floats: Sequence[bool]) -> set[int]:
    """Which outputs torch's forward mode gives no tangent, though they may move: what an operation keeps for its own backward pass."""
    fw = torch.autograd.forward_ad
    with fw.dual_level():
        try:
            outs = function(*[fw.make_dual(p.detach(), torch.ones_like(p)) for p in primals])  # type: ignore[no-untyped-call]
        except (RuntimeError, NotImplementedError) as error:
            raise Unsupported(f"{op} has no tangent rule") from error
        outs = tuple(outs) if isinstance(outs, (tuple, list)) else (outs,)
        moved = [fw.unpack_dual(o).tangent is not None for o in outs]  # type: ignore[no-untyped-call]
    places = [n for n, f in enumerate(floats) if f]
    return {place for place, moves in zip(places, moved, strict=True) if not moves}
