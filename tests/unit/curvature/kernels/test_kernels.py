"""Every kernel against the explicit Hessian, in every mode, and what falls back on another."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.curvature import (
    HessianOperator,
)
from flatproof.verify.two_layer.losses import mse
from tests.unit.curvature.models import CLOSE, EXACT, LOSSES, cnn, error, explicit, images, mlp, points


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
def test_mlp(activation: type[nn.Module], loss: str) -> None:
    model, (x, y) = mlp(activation), points()
    for reduction in ("mean", "sum"):
        batch_loss = LOSSES[loss] if reduction == "mean" else lambda z, t: LOSSES[loss](z, t) * len(t)
        wanted = explicit(model, lambda f: batch_loss(f(x), y))  # noqa: B023
        for kernel in EXACT:
            data = [(x[:2], y[:2]), (x[2:], y[2:])]
            operator = HessianOperator(model, batch_loss, data, kernel=kernel, reduction=reduction)  # type: ignore[arg-type]
            assert error(operator.dense(), wanted) < CLOSE


@pytest.mark.parametrize("kernel", EXACT)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_batch_norm(mode: Any, kernel: Any) -> None:
    model, (x, y) = cnn(), images()
    reference = copy.deepcopy(model).train(mode == "train")
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d) and mode == "train":
            module.track_running_stats = False
    parts = [(x[:3], y[:3]), (x[3:], y[3:])]
    wanted = explicit(reference, lambda f: sum(F.cross_entropy(f(a), b) * len(b) for a, b in parts) / len(y))  # type: ignore[arg-type]
    before, flags = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    operator = HessianOperator(model, nn.CrossEntropyLoss(), parts, kernel=kernel, mode=mode)
    assert error(operator.dense(), wanted) < CLOSE
    assert operator.problem.gradient().isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert all(m.track_running_stats for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_dropout_is_frozen() -> None:
    model, (x, y) = cnn(dropout=0.4), images()
    parts = [(x[:3], y[:3]), (x[3:], y[3:])]
    operators = [HessianOperator(model, nn.CrossEntropyLoss(), parts, kernel=k, mode="train", seed=5) for k in EXACT]  # type: ignore[arg-type]
    v = torch.randn(operators[0].shape[0], 2, dtype=torch.float64)
    state = torch.get_rng_state()
    first = operators[-1].matmat(v)
    for operator in operators:
        assert error(operator.matmat(v), first) < CLOSE
        assert torch.equal(operator.matmat(v), operator.matmat(v))
    assert torch.equal(torch.get_rng_state(), state)
    left, right = v.unbind(1)
    assert float(left @ operators[0].matvec(right)) == pytest.approx(float(right @ operators[0].matvec(left)), rel=1e-9)
    other = HessianOperator(model, nn.CrossEntropyLoss(), parts, mode="train", seed=6)
    assert error(other.matmat(v), first) > 1e-3


class Attention(nn.Module):
    """Pre-norm block with explicit and torch's own attention, a residual, a frozen statistic and an inner detach."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.mix = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, 4)
        self.register_buffer("shift", torch.full((4,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v)
        a = a + (q @ k.mT).softmax(-1) @ v
        x = x + self.mix(a.transpose(1, 2).flatten(2)) + self.shift
        with torch.no_grad():
            scale = x.norm()
        return F.silu(x).mean(1) * (x.detach().mean() + 1) / scale


@pytest.mark.parametrize("kernel", ["linearize", "retained-graph"])
def test_attention_and_what_is_detached(kernel: Any) -> None:
    torch.manual_seed(0)
    model = Attention().double()
    x, y = torch.randn(3, 4, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    operator = HessianOperator(model, F.mse_loss, (x, y), kernel=kernel, verify=False)
    reference = HessianOperator(model, mse, (x, y), kernel="double-backward", verify=False)
    v = torch.randn(operator.shape[0], 3, dtype=torch.float64)
    assert error(operator.matmat(v), reference.matmat(v)) < CLOSE


class Straight(torch.autograd.Function):
    """Rounds, and passes gradients as if it did not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g


class Rounding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp(out=3)

    def forward(self, x: Tensor) -> Tensor:
        return Straight.apply(4 * self.inner(x)) * self.inner(x)  # type: ignore[no-untyped-call]


class InPlaceOnViews(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp(out=4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.inner(x)
        out = torch.zeros_like(z)
        out[:, :2] = z[:, :2]
        out[:, 2:] = z[:, 2:] ** 2
        return out[:, :3]


@pytest.mark.parametrize("model", [Rounding, InPlaceOnViews])
def test_what_cannot_be_recorded_falls_back(model: type[nn.Module]) -> None:
    net, (x, y) = model().double(), points()
    verify = model is not Rounding  # its gradient is no derivative
    operator = HessianOperator(net, F.cross_entropy, (x, y), kernel="auto" if verify else "retained-graph", verify=verify)
    v = torch.randn(operator.shape[0], 2, dtype=torch.float64)
    wanted = HessianOperator(net, F.cross_entropy, (x, y), kernel="double-backward", verify=False)
    assert error(operator.matmat(v), wanted.matmat(v)) < CLOSE
    assert operator.kernel == "retained-graph"
    with pytest.raises(
        ValueError, match="kernel 'linearize' cannot do this model" if verify else "the gradient is not that of the loss"
    ):
        HessianOperator(net, F.cross_entropy, (x, y), kernel="linearize").matmat(v)


def test_a_model_that_insists_on_its_layout() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 3, 3), nn.Linear(48, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.conv(x).relu().view(len(x), -1))

    torch.manual_seed(0)
    model, (x, y) = Flat().double(), images()
    operator = HessianOperator(model, F.cross_entropy, (x, y), kernel="linearize")
    v = torch.randn(operator.shape[0], dtype=torch.float64)
    assert error(operator.matvec(v), HessianOperator(model, F.cross_entropy, (x, y), kernel="double-backward").matvec(v)) < CLOSE


def test_finite_differences() -> None:
    model, (x, y) = mlp(), points()
    wanted = explicit(model, lambda f: F.cross_entropy(f(x), y))
    assert error(HessianOperator(model, F.cross_entropy, (x, y), kernel="finite-difference").dense(), wanted) < 1e-7


def test_linearizing_keeps_less_than_the_graph_does() -> None:
    """Kept bytes of a ReLU network: its inputs, activations and signals, nothing twice."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))
    x, y = torch.randn(50, 20), torch.randint(10, (50,))
    operator = HessianOperator(model, F.cross_entropy, (x, y), kernel="linearize")
    operator.matvec(torch.randn(operator.shape[0]))
    kept = operator._kept[0][1].bytes  # type: ignore[attr-defined]
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    activations = 50 * (20 + 30 + 30 + 4 * 10 + 2)
    assert kept <= 4 * (weights + activations) + 8 * 50
