"""Owns where a loss has no second derivative at the parameters: which operation, in which layer.

A root or a length of zero has none, and torch's own derivative of it, 0 by convention, NaN or a huge number, says nothing. Whether zeros
stay zero when the parameters move (padding, masks, the diagonal of a table of distances) tells what is harmless from what is not: the
operations are looked at twice, at the parameters and at moved ones. NaN that an operation makes of finite numbers in a branch that `where`
does not take leaves the loss finite and makes the gradient NaN.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.watching import Watching

aten = torch.ops.aten
# no derivative, or no second one, where the result is 0
ROOTS = {aten.linalg_vector_norm, aten.norm, aten._cdist_forward, aten._euclidean_dist, aten._pdist_forward, aten.sqrt, aten.std}
LENGTHS = (aten.linalg_vector_norm, aten.norm, aten._cdist_forward, aten._pdist_forward)  # whose order p is the second argument


@dataclass(frozen=True)
class Seen:
    """One operation.

    Attributes:
        what: its name.
        where: the layer that it stands in, or "the loss".
        zeros: where its result is 0.
    """

    what: str
    where: str
    zeros: Tensor


class _Look(Watching):
    """Notes roots and lengths of what depends on the parameters, and the first operation that makes NaN or infinity of finite numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[str] = []
        self.seen: list[Seen] = []
        self.broken = ""

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = op(*args, **(kwargs or {}))
        given = [a for a in args if isinstance(a, Tensor)]
        if not isinstance(out, Tensor) or not out.is_floating_point() or not any(a.requires_grad for a in given):
            return out
        name, where = op.overloadpacket.__name__.strip("_"), self.layers[-1] if self.layers else "the loss"
        if _is_root(op, args):
            self.seen.append(Seen(name, where, out.detach() == 0))
        if not self.broken and not _finite(out) and all(_finite(a) for a in given):
            self.broken = f"{name} in {where}"
        return out


def _is_root(op: Any, args: Sequence[Any]) -> bool:
    packet = op.overloadpacket
    if packet is aten.pow and len(args) > 1 and isinstance(args[1], (int, float)):
        return 0 < args[1] < 2 and args[1] != 1
    if packet in LENGTHS:
        order = args[2] if packet is aten._cdist_forward and len(args) > 2 else args[1] if len(args) > 1 else 2
        return order is None or (isinstance(order, (int, float)) and 1 < order < float("inf"))
    return packet in ROOTS


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.detach()).all())


@contextmanager
def looking(model: nn.Module) -> Any:
    """Within the block what is computed of the parameters is noted; layers are named as in `model`."""
    look, handles = _Look(), []
    for name, module in model.named_modules():
        title = f"{type(module).__name__} {name!r}" if name else type(module).__name__
        handles.append(module.register_forward_pre_hook(lambda m, args, title=title: look.layers.append(title)))
        handles.append(module.register_forward_hook(lambda m, args, out: look.layers.pop() and None, always_call=True))
    try:
        with look:
            yield look
    finally:
        for handle in handles:
            handle.remove()


def complaint(problem: Problem, batch: Batch, moved: Callable[[], Sequence[Tensor]]) -> str:
    """Why there is no second derivative at the parameters, in a line; "" where nothing is seen.

    Args:
        problem: model and loss.
        batch: of its data.
        moved: gives other parameters, in the chosen ones' shapes.
    """
    with torch.enable_grad(), problem.prepared(batch) as buffers:
        leaves = problem.leaves()
        with looking(problem.model) as here:
            value = problem.batch_loss(leaves, buffers, batch)
        grads = torch.autograd.grad(value, leaves, allow_unused=True) if bool(torch.isfinite(value)) else ()
    if not all(g is None or _finite(g.to_dense() if g.is_sparse else g) for g in grads):
        source = here.broken or next((f"{s.what} of 0 in {s.where}" for s in here.seen if bool(s.zeros.any())), "")
        name = next(n for n, g in zip(problem.names, grads, strict=True) if g is not None and not _finite(g))
        reason = (
            f"{source}; what `where` does not take counts too, its derivative is 0 times NaN: clamp it"
            if source
            else "no cause seen"
        )
        return f"the gradient in {name} holds NaN or infinity while the loss is finite: {reason}"
    zeros = [n for n, s in enumerate(here.seen) if bool(s.zeros.any())]
    if not zeros:
        return ""
    with torch.enable_grad(), problem.prepared(batch) as buffers, looking(problem.model) as there:
        problem.batch_loss([m.detach().requires_grad_() for m in moved()], buffers, batch)
    if [s.zeros.shape for s in there.seen] != [s.zeros.shape for s in here.seen]:
        return ""
    for n in zeros:
        mine, theirs = here.seen[n], there.seen[n]
        if bool((mine.zeros & ~theirs.zeros).any()):
            return (
                f"the loss has no second derivative at these parameters: {mine.what} is 0 in {mine.where} and not beside them "
                "(a head initialized with zeros?); train a step first, or add a small number under the root"
            )
    return ""
