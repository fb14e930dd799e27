"""Owns the table of products through every differentiable function of torch, each against central differences of plain gradients.

torch's own list of operators with sample inputs (`op_db`), and layers. A function f stands in the loss

    L(theta) = mean of w (o + o^2 / 2),   o = f(theta + sin(theta) / 100),   w fixed random numbers

so that linear functions have curvature too. "auto" must agree with the differences or refuse; "linearize" alone is shown beside it.
"""

import itertools
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

CLOSE = 1e-4  # of the length of the product
SIZE = 400  # entries of a function's inputs
SAMPLES = 2  # sample inputs of a function
STEPS = (1e-5, 1e-6, 1e-4, 1e-7, 1e-3)


@dataclass(frozen=True)
class Functions(Computation):
    """Every function: how "auto" and "linearize" compare with differences."""

    JOB = "functions"
    VERSION = 2

    @property
    def cost(self) -> float:
        """About two minutes."""
        return 120.0

    def settings(self) -> dict[str, Any]:
        """Nothing but torch's version."""
        import torch

        return super().settings() | {"torch": torch.__version__}

    def carry_out(self) -> dict[str, Any]:
        """One row a function: name, samples, what "auto" and "linearize" gave, the largest error, the kernel."""
        from flatproof.verify.utils.threads import single_threaded

        with single_threaded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {"rows": list(rows())}

    def summary(self, values: dict[str, Any]) -> str:
        """How many agree, are refused, differ."""
        counts = pd.Series([row["auto"] for row in values["rows"]]).value_counts()
        return ", ".join(f"{count} {what}" for what, count in counts.items())


def operators() -> Any:
    """torch's own list. It imports a package of torch's developers for their unit tests' base class alone: one is given in its place."""
    if "expecttest" not in sys.modules:
        sys.modules["expecttest"] = types.ModuleType("expecttest")
        sys.modules["expecttest"].TestCase = unittest.TestCase  # type: ignore[attr-defined]
    from torch.testing._internal.common_methods_invocations import op_db

    return op_db


def functions() -> Iterator[tuple[str, Callable[..., Any], list[Any]]]:
    """Name, function of tensors, and the tensors that it is to be differentiated at; one entry a sample."""
    import torch
    from torch import Tensor
    from torch.utils import _pytree

    for op in operators():
        if not op.supports_autograd or torch.float64 not in op.supported_dtypes("cpu"):
            continue
        name = f"{op.name}{'.' + op.variant_test_name if op.variant_test_name else ''}"
        taken = 0
        for sample in _samples(op):
            leaves, shape = _pytree.tree_flatten((sample.input, tuple(sample.args), sample.kwargs))
            places = [n for n, v in enumerate(leaves) if isinstance(v, Tensor) and v.requires_grad and v.is_floating_point()]
            leaves = [v.detach() if isinstance(v, Tensor) else v for v in leaves]
            if not places or not 0 < sum(leaves[n].numel() for n in places) <= SIZE:
                continue

            def function(*tensors: Tensor, op: Any = op, leaves: Any = leaves, shape: Any = shape, places: Any = places) -> Any:
                filled = list(leaves)
                for n, tensor in zip(places, tensors, strict=True):
                    filled[n] = tensor
                first, args, kwargs = _pytree.tree_unflatten(filled, shape)
                return op(first, *args, **kwargs)

            yield name, function, [leaves[n].clone() for n in places]
            taken += 1
            if taken == SAMPLES:
                break


def _samples(op: Any) -> Iterator[Any]:
    """What torch's list feeds an operator with, one by one, up to one that needs what is not installed."""
    import torch

    with suppress(Exception):
        yield from op.sample_inputs("cpu", torch.float64, requires_grad=True)


def layers() -> Iterator[tuple[str, Callable[..., Any], list[Any]]]:
    """The same for layers, whose parameters and input are differentiated."""
    import torch
    from torch import Tensor, nn
    from torch.nn.utils import parametrizations
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Sequential):
        def forward(self, x: Tensor) -> Any:
            return self[1](checkpoint(self[0], x.tanh(), use_reentrant=False))

    def linear() -> nn.Linear:
        return nn.Linear(3, 3)

    made: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
        "nn.LSTM": (lambda: nn.LSTM(3, 2, batch_first=True), (2, 3, 3)),
        "nn.GRU": (lambda: nn.GRU(3, 2, batch_first=True), (2, 3, 3)),
        "nn.RNN": (lambda: nn.RNN(3, 2, batch_first=True), (2, 3, 3)),
        "nn.LSTMCell": (lambda: nn.LSTMCell(3, 2), (2, 3)),
        "nn.GRUCell": (lambda: nn.GRUCell(3, 2), (2, 3)),
        "nn.TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True), (2, 3, 4)),
        "nn.TransformerDecoderLayer": (lambda: Twice(nn.TransformerDecoderLayer(4, 2, 5, 0.0, batch_first=True)), (1, 2, 4)),
        "nn.BatchNorm1d": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (5, 3)),
        "nn.BatchNorm2d": (lambda: nn.BatchNorm2d(3, track_running_stats=False), (2, 3, 2, 2)),
        "nn.GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
        "nn.RMSNorm": (lambda: nn.RMSNorm(4), (3, 4)),
        "nn.Bilinear": (lambda: Twice(nn.Bilinear(3, 3, 2)), (4, 3)),
        "nn.utils.parametrizations.weight_norm": (lambda: parametrizations.weight_norm(linear()), (4, 3)),
        "nn.utils.weight_norm": (lambda: nn.utils.weight_norm(linear()), (4, 3)),
        "nn.utils.parametrizations.spectral_norm": (lambda: parametrizations.spectral_norm(linear()).eval(), (4, 3)),
        "nn.utils.parametrizations.orthogonal": (lambda: parametrizations.orthogonal(linear()), (4, 3)),
        "checkpoint, not reentrant": (lambda: Checkpointed(nn.Sequential(linear(), nn.Tanh(), linear()), linear()), (4, 3)),
    }

    class Twice(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Any:
            return self.inner(x, x.sin())

    for name, (make, shape) in made.items():
        torch.default_generator.manual_seed(0)
        module = make().double()
        names = list(dict(module.named_parameters()))

        def function(*tensors: Tensor, module: nn.Module = module, names: Any = names) -> Any:
            # what reads the module's own parameters again in the backward pass must find these: nothing is put back
            for key, value in zip(names, tensors[1:], strict=True):
                owner = module.get_submodule(key.rpartition(".")[0])
                owner._parameters[key.rpartition(".")[2]] = value  # type: ignore[assignment]
            if isinstance(module, nn.RNNBase):
                module._init_flat_weights()
            return module(tensors[0])

        yield name, function, [torch.randn(*shape).double(), *[p.detach().clone() for p in module.parameters()]]


def rows() -> Iterator[dict[str, Any]]:
    """One row a function, the worst of its samples."""
    samples: dict[str, list[dict[str, Any]]] = {}
    for name, function, at in itertools.chain(functions(), layers()):
        row = compared(function, at)
        if row is not None:
            samples.setdefault(name, []).append(row)
    order = ("differs", "refused", "not known", "agrees")
    for name, each in samples.items():
        worst = min(each, key=lambda row: order.index(row["auto"]))
        alone = min((row["linearize"] for row in each), key=order.index)
        error = max(row["error"] for row in each)
        yield {"function": name, "samples": len(each)} | worst | {"linearize": alone, "error": error}


def compared(function: Callable[..., Any], at: list[Any]) -> dict[str, Any] | None:
    """What the two kernels gave for one function; None where it has no real differentiable output."""
    import torch
    from torch import Tensor, nn

    from flatproof.verify.curvature import HessianOperator

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inputs = nn.ParameterList([nn.Parameter(t.clone()) for t in at])

        def forward(self, _: Tensor) -> Any:
            return function(*[p + p.sin() / 100 for p in self.inputs])

    def loss(outputs: Any, _: Tensor) -> Tensor:
        total, generator = torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(3)
        for o in outputs if isinstance(outputs, (tuple, list)) else (outputs,):
            for piece in o if isinstance(o, (tuple, list)) else (o,):
                if isinstance(piece, Tensor) and piece.is_floating_point() and piece.numel():
                    w = torch.rand(piece.shape, generator=generator, dtype=torch.float64) + 0.5
                    total = total + (w * (piece + piece.square() / 2)).mean()
        return total

    model, data = Model(), (torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1))

    def gradient(shift: Tensor) -> Tensor:
        torch.default_generator.manual_seed(0)  # torch.manual_seed takes a millisecond more, for devices that are not there
        pieces = torch.split(shift, [t.numel() for t in at])
        leaves = [(t + s.reshape(t.shape)).requires_grad_() for t, s in zip(at, pieces, strict=True)]
        value = loss(function(*[p + p.sin() / 100 for p in leaves]), data[1])
        grads = torch.autograd.grad(value, leaves, allow_unused=True)
        return torch.cat(
            [torch.zeros(n.numel()).double() if g is None else g.reshape(-1) for n, g in zip(leaves, grads, strict=True)]
        )

    count = sum(t.numel() for t in at)
    block = torch.randn(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    try:
        slope = gradient(torch.zeros(count).double())
        truths = [torch.stack([(gradient(v * h) - gradient(-v * h)) / (2 * h) for v in block.T], 1) for h in STEPS]
    except Exception:  # no differentiable output, or one without a derivative here
        return None
    if not bool(torch.isfinite(slope).all()):
        return None
    out: dict[str, Any] = {"error": 0.0, "kernel": "", "reason": ""}
    for kernel, verify in (("auto", True), ("linearize", False)):
        try:
            operator = HessianOperator(model, loss, data, kernel=kernel, verify=verify)  # type: ignore[arg-type]
            product = operator.matmat(block)
        except (ValueError, RuntimeError, TypeError, NotImplementedError) as error:
            out[kernel] = "refused"
            if kernel == "auto":
                out["reason"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            continue
        floor = 1e-9 * float(slope.norm())
        gaps = [(float((product - t).norm()), max(float(t.norm()), float(product.norm()), floor, 1e-300)) for t in truths]
        gap, size = min(gaps, key=lambda pair: pair[0] / pair[1])
        apart = min(float((a - b).norm()) / max(float(a.norm()), 1e-300) for n, a in enumerate(truths) for b in truths[:n])
        out[kernel] = "agrees" if gap <= CLOSE * size + floor else "not known" if apart > CLOSE else "differs"
        if kernel == "auto":
            out |= {"error": gap / size, "kernel": operator.kernel}
    return out


def table(name: str, stored: StoredValues) -> Table:
    """The table of the committed results."""
    raw = pd.DataFrame(stored.result["rows"])
    shown = pd.DataFrame(
        {
            "function": raw.function,
            "samples": raw.samples.astype(str),
            "auto": raw["auto"],
            "kernel": raw.kernel,
            "error": raw.error.map("{:.0e}".format),
            "linearize unverified": raw.linearize,
            "why refused": raw.reason.str.slice(0, 120),
        }
    )
    counts = raw["auto"].value_counts()
    notes = (
        f"{len(raw)} functions and layers, float64: {', '.join(f'{c} {w}' for w, c in counts.items())}. Products with two random vectors "
        f"against central differences of plain torch gradients at steps {', '.join(f'{h:g}' for h in STEPS)}; agrees: within "
        f"{CLOSE:g} of the product's length at one of them; not known: the differences disagree among themselves (kinks); refused: one "
        "line says why, and no number is given.",
        "The last but one column is kernel linearize without its verification: what differs there is what the verification catches.",
    )
    return Table(
        name,
        "Products through every differentiable function of torch",
        shown,
        raw,
        notes,
        stored.provenance,
        ("function", "auto", "kernel", "error"),
    )
