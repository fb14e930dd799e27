"""Owns a batch's loss as a straight line of torch's elementary operations in float64, traced from the model and the loss as they run."""

import copy
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.weak import WeakIdKeyDictionary

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.bounds.values import Unknown
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.shared import once
from flatproof.verify.curvature.tree import filled, tensors_of

aten = torch.ops.aten
TAKEN_APART = (aten.native_batch_norm, aten._native_batch_norm_legit_no_training, aten.mse_loss)


@dataclass(frozen=True)
class Line:
    """The operations and what they start from.

    Attributes:
        graph: of operations; its placeholders are the leaves in order.
        parameters: how many of the leaves are the chosen parameters: the first ones.
        leaves: tensors, floating point ones in float64.
        of_batch: which leaves are the batch's own.
        samples: n of the batch.
        loss: what the operations give at the leaves.
    """

    graph: fx.GraphModule
    parameters: int
    leaves: list[Tensor]
    of_batch: frozenset[int]
    samples: int
    loss: float


KNOWN: WeakKeyDictionary[Problem, dict[Any, fx.GraphModule]] = WeakKeyDictionary()  # by the shapes of all leaves


def traced(problem: Problem, batch: Batch) -> Line:
    """The batch's loss; what was traced of the problem is kept for batches of the same shapes, and checked against the model each time.

    Raises:
        Unknown: what the model or the loss does depends on values that move, or cannot be traced.
    """
    criterion = problem.loss_function
    if isinstance(criterion, nn.Module) and not any(True for _ in criterion.parameters()):
        criterion = copy.deepcopy(criterion).double()  # class weights
    others = {n: p for n, p in problem.model.named_parameters() if n not in problem.names}
    own = list(tensors_of((batch.inputs, batch.targets)))
    with problem.prepared(batch) as buffers:
        held = {**{n: _wide(p) for n, p in others.items()}, **{n: _wide(b) for n, b in buffers.items()}}
        parts = [[_wide(p) for p in problem.tensors], list(held.values()), [_wide(t) for t in own]]
        first, second = len(parts[0]), len(parts[0]) + len(held)

        def loss(*tensors: Tensor) -> Tensor:
            with torch.no_grad():
                problem.place(tensors[:first], dict(zip(held, tensors[first:second], strict=True)))
                inputs, targets = filled((batch.inputs, batch.targets), iter(tensors[second:]))
                args, kwargs = problem.arguments(replace(batch, inputs=inputs, targets=targets))
                value: Tensor = criterion(problem.model(*args, **kwargs), targets)
                return value.reshape(())

        leaves = [t for part in parts for t in part]
        known = KNOWN.setdefault(problem, {})
        key = tuple((tuple(t.shape), t.dtype) for t in leaves)
        if key not in known:
            try:
                apart: Any = get_decompositions(TAKEN_APART)
                graph = make_fx(torch.func.functionalize(loss), decomposition_table=apart)(*leaves)
            except Exception as error:  # the model's, the loss's or the tracer's: anything
                raise Unknown(f"the model cannot be traced in float64 ({' '.join(str(error).split())[:120]})") from error
            graph.graph.eliminate_dead_code()
            known[key] = graph
    # the bounds of several measures are of one loss: looked at once
    seen: WeakIdKeyDictionary = once(problem, "loss of the operations, by batch", WeakIdKeyDictionary)
    now = [(id(t), t._version) for t in own]
    if own[0] not in seen or seen[own[0]][0] != now:
        _check(problem, batch, known[key], leaves, first)
        seen[own[0]] = now, float(known[key](*leaves))
    return Line(known[key], first, leaves, frozenset(range(second, len(leaves))), batch.samples, seen[own[0]][1])


def _check(problem: Problem, batch: Batch, graph: fx.GraphModule, leaves: list[Tensor], first: int) -> None:
    """Unknown where the operations are not the loss at parameters that are a little off: a branch may have been taken for good."""
    generator = torch.Generator().manual_seed(0)
    moved = [
        (t * (1 + 0.02 * torch.randn(t.shape, generator=generator, dtype=t.dtype, device="cpu"))).to(problem.dtype)
        for t in leaves[:first]
    ]
    mine = float(graph(*[t.double() for t in moved], *leaves[first:]))
    with problem.prepared(batch) as buffers:
        theirs = float(problem.batch_loss([t.to(problem.device) for t in moved], buffers, batch))
    close = 1e-3 if problem.dtype != torch.float64 else 1e-8
    if not abs(mine - theirs) <= close * (abs(theirs) + 1e-3):
        raise Unknown(f"the traced operations give a loss of {mine:.6g} where the model gives {theirs:.6g}")


def _wide(tensor: Any) -> Tensor:
    value: Tensor = tensor.detach().cpu()
    return value.double() if value.is_floating_point() else value
