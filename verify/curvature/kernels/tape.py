"""Owns the tape: a computation run once while its operations are recorded, then replayed on tangents as often as one likes.

`Tape` is a dispatch mode, below autograd: it sees the operations of the forward and of the backward pass alike, whatever the model's
Python does. It keeps what the tangent rules need, drops what no output depends on, and frees each tangent after its last use.
What double backward treats as constant (detach, no_grad) is constant here; what it cannot follow raises `Unsupported`.
"""

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from flatproof.verify.curvature.kernels.tangents import CONSTANT, INNER, Call, Push, Unsupported, rule_of
from flatproof.verify.curvature.watching import Watching

aten = torch.ops.aten
_OVERWRITTEN = {aten.relu_, aten.add_, aten.sub_, aten.copy_, aten.neg_, aten.masked_fill_}  # rules that need no old value
_DETACHING = {Tensor.detach, torch.detach, Tensor.detach_, Tensor.data.__get__}  # type: ignore[attr-defined]


class _Kind:
    """What an operation is, whatever it is called with. Looked up for each call, it would take as long as the call.

    Attributes:
        inplace: whether it writes to its first argument.
        writes: whether it writes to another one.
        seeded: whether it draws random numbers.
        remembered: whether its rule needs what it overwrites.
        inner: places of outputs that no tangent belongs to.
    """

    def __init__(self, op: Any) -> None:
        packet = op.overloadpacket
        mutable = op._schema.is_mutable
        self.op = op  # lives as long as what is known of it
        self.inplace = mutable and packet.__name__.endswith("_")
        self.writes = mutable and not self.inplace
        self.seeded = torch.Tag.nondeterministic_seeded in op.tags
        self.remembered = self.inplace and packet not in _OVERWRITTEN and packet not in CONSTANT
        self.inner = INNER.get(packet, ())

    @cached_property
    def recorded(self) -> Any:
        """The operation that it is to a rule: of what writes in place, the one that does not."""
        return _functional(self.op) if self.inplace else self.op

    @cached_property
    def rule(self) -> Callable[[Call], Push | None]:
        """Its tangent rule."""
        return rule_of(self.recorded)


@dataclass(slots=True)
class _Step:
    """One recorded operation: slots read and written, and the tensors that its rule keeps with their versions; `Call.unknown`."""

    op: Any
    push: Push
    reads: tuple[int, ...]
    writes: tuple[int | None, ...]
    several: bool
    kept: tuple[tuple[Tensor, int], ...]
    unknown: tuple[Callable[[], set[int]], ...]


class _Watch(TorchFunctionMode):
    """Tells the tape when the user's code itself detaches: autograd's own bookkeeping and checkpointing do so without meaning it.

    Writes out what torch differentiates wrongly: weight norm (double backward), Huber's loss (forward mode), and global average pooling,
    the mean that it is: torch's own rewrites strides in place when channels come last.
    """

    def __init__(self, tape: "Tape") -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (
            func in (F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d)
            and len(args) == 2
            and args[1] in (1, (1, 1), [1, 1])
        ):
            return args[0].mean((-2, -1), keepdim=True)
        if func is F.huber_loss:
            return _huber(*args, **(kwargs or {}))
        if func is torch._weight_norm:
            v, g, dim = (*args, 0)[:3]
            return v * (g / torch.norm_except_dim(v, 2, dim))
        if func in _DETACHING and not _recomputing():
            before, self.tape.cut = self.tape.cut, True
            try:
                return func(*args, **(kwargs or {}))
            finally:
                self.tape.cut = before
        return func(*args, **(kwargs or {}))


def _huber(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    apart = (input - target).abs()
    each = torch.where(apart <= delta, apart.square() / 2, delta * (apart - delta / 2))
    if weight is not None:
        each = each * weight
        return each.sum() / weight.expand_as(each).sum() if reduction == "mean" else each.sum() if reduction == "sum" else each
    return each.mean() if reduction == "mean" else each.sum() if reduction == "sum" else each


def _recomputing() -> bool:
    """Whether torch's checkpointing is what calls, to keep what it recomputed."""
    frame = sys._getframe(2)
    return str(frame.f_globals.get("__name__")).startswith("torch.utils.checkpoint")


class Tape(Watching):
    """Records what is done with the watched tensors.

    Attributes:
        forward: whether the model and the loss are being run; else their backward pass is.
        cut: whether the user's code detaches.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.forward, self.cut = True, False
        self._slots: dict[int, tuple[weakref.ref[Tensor], int]] = {}  # by what a tensor is, not by what it holds
        self._kinds: dict[int, _Kind] = {}
        self._shares: dict[int, StorageWeakRef] = {}
        self._steps: list[_Step] = []
        self._shared: dict[Any, tuple[Tensor, Tensor]] = {}
        self._count = 0

    def watch(self, tensor: Tensor) -> int:
        """Declare a tensor active; its slot."""
        slot = self._count
        self._slots[id(tensor)] = weakref.ref(tensor), slot
        self._count += 1
        return slot

    def _watched(self, tensor: Tensor) -> int | None:
        known = self._slots.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else None

    def watcher(self) -> _Watch:
        """The mode to enter beside the tape while the model's own Python runs."""
        return _Watch(self)

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        kind = self._kinds.get(id(op))
        if kind is None:
            kind = self._kinds[id(op)] = _Kind(op)
        active: list[int | tuple[int, int]] = []
        reads: list[int] = []
        for index, value in enumerate(args):
            if isinstance(value, (list, tuple)):
                for place, piece in enumerate(value):
                    if (slot := self._slot(piece)) is not None:
                        active.append((index, place))
                        reads.append(slot)
            elif (slot := self._slot(value)) is not None:
                active.append(index)
                reads.append(slot)
        hidden = any(self._slot(value) is not None for value in kwargs.values())
        inplace = kind.inplace
        depends = bool(active) or hidden
        ignored = self.cut or (self.forward and not torch.is_grad_enabled())
        old = None
        if depends and kind.remembered:
            old = args[0].clone()
        out = op(*args, **kwargs)
        several = isinstance(out, (tuple, list))
        outs = tuple(out) if several else (out,)
        if kind.seeded and isinstance(out, Tensor) and not out.is_contiguous():
            raise Unsupported(f"{op} would draw other random numbers in this memory layout than in the usual one")
        if not inplace:
            self._note_views(args, outs)
        if not depends:
            return out
        if ignored:
            if inplace:
                raise Unsupported(f"{op} under no_grad or on a detached tensor")
            return out
        if hidden or kind.writes:
            raise Unsupported(f"{op} with an active keyword argument or output")
        if inplace:
            if self._has_views(args[0]):
                raise Unsupported(f"{op} writes to a tensor that has views")
            args = args if old is None else (old, *args[1:])
        call = Call(kind.recorded, args, kwargs, outs, tuple(active), self._shared)
        push = kind.rule(call)
        if push is None:
            if inplace:
                self._slots.pop(id(out), None)
            return out
        moving = [isinstance(v, Tensor) and v.is_floating_point() and n not in kind.inner for n, v in enumerate(outs)]
        writes = tuple(self.watch(v) if moves else None for v, moves in zip(outs, moving, strict=True))
        # autograd counts a write once this function has returned
        kept = tuple((t, t._version + (inplace and t is out)) for t in _tensors(push))
        self._steps.append(_Step(op, push, tuple(reads), writes, several, kept, tuple(call.unknown)))
        return out

    def _slot(self, value: Any) -> int | None:
        if not isinstance(value, Tensor):
            return None
        slot = self._watched(value)
        if self.forward and value.requires_grad:
            if isinstance(value.grad_fn, BackwardCFunction):
                raise Unsupported(f"a custom autograd.Function ({type(value.grad_fn).__name__}) has derivatives of its own")
            if slot is None and torch.is_grad_enabled():
                raise Unsupported("a tensor that requires grad came from outside the parameters")
        return slot

    def _note_views(self, args: tuple[Any, ...], outs: tuple[Any, ...]) -> None:
        """Remember storages that several tensors share: a write through one of them would change the others unseen."""
        given = {a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)}
        for value in outs:
            if isinstance(value, Tensor) and value.untyped_storage()._cdata in given:
                reference = StorageWeakRef(value.untyped_storage())  # type: ignore[no-untyped-call]
                self._shares[reference.cdata] = reference

    def _has_views(self, value: Tensor) -> bool:
        reference = self._shares.get(value.untyped_storage()._cdata)
        return reference is not None and not reference.expired()  # type: ignore[no-untyped-call]

    def program(self, sources: Sequence[int], targets: Sequence[Tensor | None]) -> "Program":
        """What carries tangents of the sources to those of the targets; the tape is spent.

        Args:
            sources: slots of watched tensors.
            targets: what was computed of them; None for what does not move.

        Raises:
            Unsupported: a kept tensor was overwritten later.
        """
        ends = [None if t is None else self._watched(t) for t in targets]
        needed = {slot for slot in ends if slot is not None}
        steps: list[_Step] = []
        while self._steps:
            step = self._steps.pop()
            if needed.isdisjoint(step.writes):
                continue
            for unknown in step.unknown:
                if not needed.isdisjoint(step.writes[place] for place in unknown()):
                    raise Unsupported(f"what {step.op} keeps for its backward pass is used, and its tangent is not known")
            needed.update(step.reads)
            for tensor, version in step.kept:
                if tensor._version != version:
                    raise Unsupported(f"an input of {step.op} was overwritten in place")
            steps.append(step)
        self._shared.clear()
        return Program(tuple(sources), tuple(ends), steps[::-1], self._count)


class Program:
    """The recorded derivative at a fixed point: tangents in, tangents out. `bytes` is what it keeps alive."""

    def __init__(self, sources: tuple[int, ...], targets: tuple[int | None, ...], steps: Sequence[_Step], slots: int) -> None:
        self.sources, self.targets, self._slots = sources, targets, slots
        storages = {s._cdata: s.nbytes() for step in steps for t, _ in step.kept for s in (t.untyped_storage(),)}
        self.bytes: int = sum(storages.values())
        last = {slot: n for n, step in enumerate(steps) for slot in (*step.reads, *(w for w in step.writes if w is not None))}
        self._places: dict[int | None, list[int]] = {}
        for place, target in enumerate(targets):
            self._places.setdefault(target, []).append(place)
        self._steps: list[tuple[Push, tuple[int, ...], Any, bool, tuple[int, ...]]] = [
            (step.push, step.reads, step.writes if step.several else step.writes[0], step.several, dead)
            for n, step in enumerate(steps)
            for dead in (tuple({s for s in (*step.reads, *(w for w in step.writes if w is not None)) if last[s] == n}),)
        ]

    def __len__(self) -> int:
        return len(self._steps)

    def __call__(self, tangents: Iterable[Tensor]) -> list[Tensor | None]:
        """One tangent for each source; None where a target does not move."""
        moved: list[Tensor | None] = [None] * len(self.targets)
        self.pour(tangents, moved.__setitem__)
        return moved

    def pour(self, tangents: Iterable[Tensor], into: Callable[[int, Any], None]) -> None:
        """The same, each target's tangent handed on as soon as it is known: few are held at a time.

        Args:
            tangents: one for each source.
            into: called with the place of each target that moves, and its tangent.
        """
        values: list[Any] = [None] * self._slots
        for slot, tangent in zip(self.sources, tangents, strict=True):
            values[slot] = tangent
        del tangents, tangent
        for push, reads, writes, several, dead in self._steps:
            moved = push(*[values[r] for r in reads])
            if several:
                for slot, value in zip(writes, moved, strict=True):
                    if slot is not None:
                        values[slot] = value
            else:
                values[writes] = moved
            del moved
            for slot in dead:
                for place in self._places.get(slot, ()) if values[slot] is not None else ():
                    into(place, values[slot])
                values[slot] = None
        for slot in {slot for slot in self.targets if slot is not None and values[slot] is not None}:  # a source itself
            for place in self._places[slot]:
                into(place, values[slot])


def _functional(op: Any) -> Any:
    """The operation of which `op` is the in-place form."""
    if op.overloadpacket is aten.copy_:
        return op
    packet = getattr(aten, op.overloadpacket.__name__[:-1], None)
    names = (f"Tensor_{op._overloadname}", op._overloadname)  # pow.Scalar is the number's power, not the tensor's
    functional = next((getattr(packet, name) for name in names if hasattr(packet, name)), None)
    if functional is None:
        raise Unsupported(f"{op} has no functional form")
    return functional


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors that a push keeps in its closure."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for piece in value:
            yield from _tensors(piece)
    elif isinstance(value, FunctionType):
        for cell in value.__closure__ or ():
            yield from _tensors(cell.cell_contents)
