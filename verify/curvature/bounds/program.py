"""Owns the two passes of a bound: boxes forwards, operation by operation, and adjoints backwards through their linear forms.

Backwards, adjoint * deviation of the output <= sum over parameters of adjoint * delta + what the errors of all operations come to, which
is the bound of a loss (Zhang et al. 2018, CROWN; Xu et al. 2020, perturbed weights). The samples of a batch share delta, and so do the
sums over parameters. Boxes are made smaller by the same pass from each entry of an operation's input, where that is not too much work;
there what the samples share counts as an error of each operation, so that no gradient of a single entry is ever made.
"""

import math
import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from flatproof.verify.curvature.bounds.head_rules import HeadForm
from flatproof.verify.curvature.bounds.operation import Given
from flatproof.verify.curvature.bounds.rules import RULES
from flatproof.verify.curvature.bounds.tracing import Line
from flatproof.verify.curvature.bounds.values import UNIT, Ball, Form, Joint, Mode, Op, Step, Unknown, Value, gamma

CHUNK = 4e6  # entries of adjoints held at once
Box = tuple[Tensor, Tensor]


@dataclass
class Gathered:
    """What adjoints met on their way back.

    Attributes:
        total: of the errors, (k,) or (k, n).
        joint: the same of the errors in an l2 ball, by parameter: they add as lengths within one, as squares across parameters.
        parameters: adjoints (k, *shape) of parameters, by their place.
    """

    total: Tensor
    joint: dict[int, Tensor] = field(default_factory=dict)
    parameters: dict[int, Tensor] = field(default_factory=dict)

    def errors(self, terms: int) -> Tensor:
        """All of them, rounded upwards."""
        together = sum((length.square() for length in self.joint.values()), torch.zeros_like(self.total))
        return (self.total + together.sqrt()) * (1 + 2 * gamma(terms)) + 1e-290


class Program:
    """A line of operations whose parameters move in a ball.

    Args:
        line: the operations.
        ball: of the displacements.
        scales: c of each parameter, in its shape.
        radii: of the parameters' boxes.
        effort: floating point operations that smaller boxes may take.
        most: floating point operations of all products, of one pass.

    Attributes:
        values: by name.
        steps: by name, of what moves.
        loss: the last value's name.

    Raises:
        Unknown: an operation that has no rule.
    """

    def __init__(
        self, line: Line, ball: Ball, scales: list[Tensor], radii: list[Tensor], effort: float, most: float = math.inf
    ) -> None:
        self.line, self.ball, self.left, self.most = line, ball, effort, most
        self.values: dict[str, Any] = {}
        self.steps: dict[str, Step] = {}
        self.inputs: dict[str, list[str]] = {}
        self.places: dict[str, int] = {}
        self.alias: dict[str, str] = {}
        self.order: list[str] = []
        self.loss = ""
        leaves = iter(enumerate(line.leaves))
        for node in line.graph.graph.nodes:
            if node.op == "placeholder":
                place, tensor = next(leaves)
                self._leaf(node.name, place, tensor, scales, radii)
            elif node.op == "get_attr":
                self.values[node.name] = _exact(getattr(line.graph, node.target))
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                result = node.args[0]
                self.loss = self._named((result[0] if isinstance(result, (list, tuple)) else result).name)
        self.terms = max((v.center.numel() for v in self.values.values() if isinstance(v, Value)), default=1) * (
            1 + len(self.steps)
        )

    def _named(self, name: str) -> str:
        return self.alias.get(name, name)

    def _leaf(self, name: str, place: int, tensor: Tensor, scales: list[Tensor], radii: list[Tensor]) -> None:
        if place < self.line.parameters:
            self.places[name] = place
            self.values[name] = Value(tensor, None, radii[place], False, scales[place], place)
            self.order.append(name)
            return
        value = _exact(tensor)
        if isinstance(value, Value) and place in self.line.of_batch and tensor.ndim and len(tensor) == self.line.samples:
            value = Value(tensor, by_sample=True)
        self.values[name] = value

    def _call(self, node: fx.Node) -> None:
        target: Any = node.target
        if getattr(target, "__name__", "") == "getitem":
            source: Any = node.args[0]
            name, place = self._named(source.name), node.args[1]
            if place != 0 or not isinstance(self.values[name], Value):
                raise Unknown("operations with several outputs are not known to it")
            self.alias[node.name] = name
            return
        args = fx.node.map_arg(node.args, lambda n: self.values[self._named(n.name)])
        kwargs = fx.node.map_arg(node.kwargs, lambda n: self.values[self._named(n.name)])
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise Unknown("the model draws random numbers")
        if any(isinstance(v, Value) and not v.center.numel() for v in flat):
            raise Unknown("it knows nothing of empty tensors")
        if not any(isinstance(v, Value) for v in flat):
            self.values[node.name] = _exact(target(*args, **kwargs))
            return
        packet, overload = target.overloadpacket.__name__, target._overloadname
        rule = f"{packet}.{overload}" if f"{packet}.{overload}" in RULES else packet
        if rule not in RULES or (rule == packet and overload not in ("default", "Tensor", "int")):
            raise Unknown(f"it knows no rule for the operation {packet}")
        listed = node.args[0] if node.args and isinstance(node.args[0], (list, tuple)) else node.args
        names = tuple(self._named(a.name) if isinstance(a, fx.Node) else "" for a in listed)
        self.inputs[node.name] = [n for n in names if n]
        me = weakref.proxy(
            self
        )  # a rule's closures keep what it is given: freed with the program, not by the collector of cycles
        given = Given(
            node.name, names, tuple(args), {**kwargs, "target": rule}, self.ball, self.line.samples, lambda *a: me._tightened(*a)
        )
        self.values[node.name], self.steps[node.name] = RULES[rule](given)
        self.order.append(node.name)
        self.most -= self.steps[node.name].work
        if self.most < 0:
            raise Unknown("the network or its batches are too large for it")

    # ------------------------------------------------------------------------------------------------------------------ backwards

    def backwards(
        self, start: dict[str, Tensor], mode: Mode, stop: frozenset[str] = frozenset(), limit: float = math.inf
    ) -> Gathered:
        """Adjoints (k, *value) of values, through all operations before them.

        Args:
            start: by name.
            mode: of the forms; "samples" keeps the samples apart.
            stop: operations before which the pass ends; the errors of their values' rounding are counted elsewhere.
            limit: the pass of one adjoint is given up as soon as its errors alone are more; there are more of them then.
        """
        apart = mode == "samples"
        first = next(iter(start.values()))
        count = first.shape[: 2 if apart else 1]
        out = Gathered(torch.zeros(count, dtype=first.dtype, device="cpu"))
        adjoints = dict(start)
        for name in reversed(self.order):
            if name not in adjoints:
                continue
            adjoint = adjoints.pop(name)
            if name in stop:
                continue
            if name in self.places:
                out.parameters[self.places[name]] = adjoint
                continue
            form = self.steps[name].form(mode)
            _count(out, adjoint, form, apart)
            if limit < math.inf and float(out.errors(0)[0]) > limit:
                break
            for source, pulled in zip(form.sources, form.pull(adjoint), strict=True):
                if source in adjoints:
                    deviation = self.values[source].deviation
                    if deviation is not None:
                        out.total = out.total + _summed(4 * UNIT * (adjoints[source].abs() + pulled.abs()) * deviation, apart)
                    adjoints[source] = adjoints[source] + pulled
                else:
                    adjoints[source] = pulled
        return out

    def _tightened(self, name: str, box: Box, pull: Op | None) -> Box:
        value: Value = self.values[name]
        if not value.by_sample or value.fixed:
            return box
        before = self._before(name)
        curved = sum(not self.steps[n].linear and self.steps[n].work == 0 for n in before)
        # in a box of weights neurons err apart: up to the second layer the box is as good
        if curved < (1 if self.ball.norm == "l2" else 2) and not (pull is not None and curved):
            return box
        features = box[0][0].numel()
        once = sum(self.steps[n].work for n in before)
        if 2 * features * once > self.left:
            return box
        self.left -= 2 * features * once
        n = self.line.samples
        widest = max([box[0].numel(), *(self.values[b].center.numel() for b in before)])
        size = max(1, int(CHUNK / 2 / widest))
        lows, highs = [], []
        for at in range(0, features, size):
            index = torch.arange(at, min(at + size, features), device="cpu")
            adjoint = torch.zeros(2, len(index), n, features, dtype=torch.float64, device="cpu")
            adjoint[0, torch.arange(len(index), device="cpu"), :, index] = 1
            adjoint[1, torch.arange(len(index), device="cpu"), :, index] = -1
            shaped = adjoint.reshape(2 * len(index), *box[0].shape)
            errors = self.backwards({name: shaped if pull is None else pull(shaped)}, "samples").errors(self.terms_before)
            highs.append(errors[: len(index)])
            lows.append(-errors[len(index) :])
        low, high = (torch.cat(parts).T.reshape(box[0].shape) for parts in (lows, highs))
        return torch.fmax(box[0], low), torch.fmin(box[1], high)

    @property
    def terms_before(self) -> int:
        """The longest sum so far."""
        return sum(v.center.numel() for v in self.values.values() if isinstance(v, Value))

    def _before(self, name: str) -> list[str]:
        """The operations that a value depends on."""
        found, open_names = set[str](), [name]
        while open_names:
            at = open_names.pop()
            if at in found or at not in self.steps:
                continue
            found.add(at)
            open_names += self.inputs[at]
        return [n for n in self.order if n in found]


def _exact(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return Value(value.double())
    return value


def _summed(value: Tensor, apart: bool) -> Tensor:
    lead = 2 if apart else 1
    return value if value.ndim == lead else value.flatten(lead).sum(lead) if value.ndim > lead else value


def _count(out: Gathered, adjoint: Tensor, form: Form, apart: bool) -> None:
    """Add what an operation's errors come to, for these adjoints."""
    if form.high is not None:
        out.total = out.total + _summed(adjoint.clamp(min=0) * form.high, apart)
    if form.low is not None:
        out.total = out.total + _summed(adjoint.clamp(max=0) * form.low, apart)
    if form.pairs is not None:
        out.total = out.total + (adjoint.abs() * form.pairs).flatten(1).amax(1)
    if isinstance(form, HeadForm) and form.error is not None and form.slack is not None:
        lift = -adjoint.sum(-1, keepdim=True)
        out.total = out.total + _summed(lift.clamp(min=0) * form.error + lift.abs() * form.slack, apart)
    for joint in form.joint:
        length = _joint(adjoint, joint, apart)
        out.joint[joint.root] = out.joint[joint.root] + length if joint.root in out.joint else length


def _joint(adjoint: Tensor, joint: Joint, apart: bool) -> Tensor:
    sizes = adjoint.abs() * joint.size
    axes = [1 + a for a in joint.shared if not (apart and a == 0)]
    within = sizes.sum(axes) if axes else sizes
    lead = 2 if apart else 1
    return within.abs() if within.ndim == lead else torch.linalg.vector_norm(within.flatten(lead), dim=lead)
