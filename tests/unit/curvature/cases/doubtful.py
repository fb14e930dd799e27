"""Where a Hessian is doubtful: roots of zero, branches not taken, gradients that are not the loss's, kinks."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.unit.curvature.cases.case import Case, Cell
from tests.unit.curvature.cases.layers import Of, squares
from tests.unit.curvature.cases.losses import cross, inputs, labels, mlp


def _head(function: Callable[[Tensor], Tensor], zero: bool = True) -> Callable[[], Cell]:
    """A function of a head that is initialized with zeros."""

    def make() -> Cell:
        head = nn.Linear(4, 3)
        if zero:
            nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
        model = nn.Sequential(OrderedDict(body=nn.Linear(4, 4), act=nn.Tanh(), head=head, norm=Named(function))).double()
        return Cell(model, squares, (inputs(), inputs()[:, :3]))

    return make


def _mask(z: Tensor) -> Tensor:
    return (torch.arange(len(z)) > 1).to(z)[:, None]


class Named(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Straight(torch.autograd.Function):
    """Rounds, and passes gradients as if it did not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g


class Once(torch.autograd.Function):
    """An exponential that can be differentiated once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].exp()


class Twice(torch.autograd.Function):
    """An exponential whose backward pass is differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g * ctx.saved_tensors[0]


def _inner(function: Callable[[Tensor], Tensor]) -> Callable[[], Cell]:
    return cross(lambda: Of(lambda x, a, b: b(function(a(x))), nn.Linear(4, 4), nn.Linear(4, 3)))


DOUBTFUL = [
    Case(
        "norm at 0: a head of zeros",
        _head(lambda z: z * (1 + z.norm(dim=1, keepdim=True))),
        "linalg_vector_norm is 0 in Named 'norm'",
    ),
    Case("norm + eps at 0", _head(lambda z: z / (z.norm(dim=1, keepdim=True) + 1e-8)), "linalg_vector_norm is 0 in Named 'norm'"),
    Case("F.normalize at 0", _head(lambda z: F.normalize(z, dim=1)), "linalg_vector_norm is 0 in Named 'norm'"),
    Case(
        "norm of padded samples, 0 whatever the weights",
        _head(lambda z: z + (z * _mask(z)).norm(dim=1, keepdim=True), zero=False),
    ),
    Case(
        "distances of outputs to themselves",
        _head(lambda z: z + (z[:, None] - z[None]).norm(dim=-1).mean(1, keepdim=True), zero=False),
    ),
    Case("sqrt at 0", _head(lambda z: z * z.square().sum(1, keepdim=True).sqrt()), "sqrt"),
    Case("norm away from 0", _head(lambda z: z * (1 + z.norm(dim=1, keepdim=True)), zero=False)),
    Case(
        "the untaken branch of where is NaN", _head(lambda z: torch.where(z > 0, z.sqrt(), z), zero=False), "sqrt in Named 'norm'"
    ),
    Case(
        "the untaken branch of where is NaN, mended",
        _head(lambda z: torch.where(z > 0, z.clamp_min(1e-12).sqrt(), z), zero=False),
    ),
    Case("z |z| at 0", _head(lambda z: z + z * z.abs())),
    Case("round", _head(lambda z: z + z.round(), zero=False)),
    Case("a straight-through estimator", _inner(Straight.apply), "no product is"),  # type: ignore[no-untyped-call, arg-type]
    Case("autograd.Function, differentiable once", _inner(Once.apply)),  # type: ignore[no-untyped-call, arg-type]
    Case("autograd.Function, differentiable twice", _inner(Twice.apply)),  # type: ignore[no-untyped-call, arg-type]
    Case("detached in the middle", _inner(lambda h: h * h.detach().sin()), "no product is"),
    Case("random numbers of its own", lambda: _drawing()),
    Case("a loss of NaN", _head(lambda z: z.log(), zero=False), "loss must be finite"),
    Case("no parameter that requires grad", cross(lambda: mlp().requires_grad_(False)), "frozen"),
    Case("a loss that ignores the outputs", lambda: Cell(mlp(), lambda z, y: y.double().mean(), (inputs(), labels())), "depend"),
    Case("a 0-dimensional parameter", lambda: Cell(Temperature(), F.cross_entropy, (inputs(), labels()))),
    Case("a ReLU network, units at their kink", lambda: _kinked()),
]


def _drawing() -> Cell:
    cell = _inner(lambda h: F.dropout(h, 0.5))()
    cell.seeded = True
    return cell


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = mlp(), nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x) * self.scale.exp()
        return out


def _kinked() -> Cell:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    nn.init.zeros_(model[0].bias)  # type: ignore[arg-type]
    x = inputs()
    x[0] = 0
    cell = Cell(model, F.cross_entropy, (x, labels()))
    net = copy.deepcopy(model)

    def wanted(v: Tensor) -> Tensor:  # relu'(0) = 0: that sample's gradient does not pass, the module's own double backward
        loss = F.cross_entropy(net(x), cell.data[1])
        grads = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
        inner = torch.cat([g.flatten() for g in grads]) @ v
        return torch.cat([g.flatten() for g in torch.autograd.grad(inner, list(net.parameters()))])

    cell.wanted = wanted
    return cell
