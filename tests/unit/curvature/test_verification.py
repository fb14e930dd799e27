"""What is looked at before a number is believed: the kernel, the loss, and that nothing of the model is written."""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from flatproof.verify.curvature import (
    FisherOperator,
    GaussNewtonOperator,
    HessianOperator,
    Problem,
    hutchinson,
    lambda_max,
    measures,
    verification,
)
from flatproof.verify.curvature.examination import direction
from flatproof.verify.curvature.kernels import PREPARE
from flatproof.verify.curvature.sharpness.landscape import Landscape

CLOSE = 1e-6


class Inner(nn.Module):
    """Two layers with a function of the hidden values between them."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(4, 9), nn.Linear(9, 3), function
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.function(self.first(x)))
        return out


def points(n: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=generator, dtype=torch.float64), torch.randint(3, (n,), generator=generator)


def differences(model: nn.Module, total: Callable[[nn.Module], Tensor]) -> Tensor:
    """The matrix by central differences of plain gradients (of fourth order), the module's own parameters really moved."""
    parameters = list(model.parameters())

    def gradient() -> Tensor:
        grads = torch.autograd.grad(total(model), parameters, allow_unused=True)
        return torch.cat(
            [torch.zeros_like(p).flatten() if g is None else g.flatten() for p, g in zip(parameters, grads, strict=True)]
        )

    def moved(entry: Tensor, step: float) -> Tensor:
        before = float(entry)
        entry.fill_(before + step)
        there = gradient()
        entry.fill_(before)
        return there

    def slope(entry: Tensor, h: float) -> Tensor:
        return (moved(entry, h) - moved(entry, -h)) / (2 * h)

    entries = [entry for p in parameters for entry in p.detach().view(-1).split(1)]
    return torch.stack([(4 * slope(e, 1e-4) - slope(e, 2e-4)) / 3 for e in entries], 1)


def apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max() / second.abs().max())


def square(h: Tensor) -> Tensor:
    return h.unflatten(1, (3, 3)) + 2 * torch.eye(3, dtype=h.dtype)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "slogdet": lambda h: h + torch.linalg.slogdet(square(h))[1][:, None],
    "slogdet, transposed": lambda h: h + torch.linalg.slogdet(square(h).mT)[1][:, None],
    "det": lambda h: h * torch.linalg.det(square(h))[:, None],
    "logdet": lambda h: h * torch.logdet(square(h) @ square(h).mT)[:, None],
    "solve": lambda h: torch.linalg.solve(square(h), square(h).sin()).flatten(1),
    "solve a vector": lambda h: h + torch.linalg.solve(square(h), h[:, :3]).sum(1, keepdim=True),
    "solve from the right": lambda h: torch.linalg.solve(square(h), square(h).sin(), left=False).flatten(1),
    "a number minus": lambda h: (1 - h) * (2 - h.sin()),
    "rsub, alpha": lambda h: torch.rsub(h, h.sin().square(), alpha=3) * h,
    "square_": lambda h: h.clone().square_(),
    "vector norm": lambda h: h / torch.linalg.vector_norm(h, 3, dim=1, keepdim=True),
    "logsigmoid": F.logsigmoid,
    "huber": lambda h: h * F.huber_loss(h, torch.ones_like(h)),
    "checkpoint": lambda h: checkpoint(lambda z: torch.tanh(z) * z.sin(), h, use_reentrant=False),  # type: ignore[no-any-return]
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_linearize_is_the_derivative_of_the_gradient(name: str) -> None:
    model, (x, y) = Inner(FUNCTIONS[name]), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y), kernel="linearize", verify=False)
    assert apart(operator.dense(), differences(model, lambda m: F.cross_entropy(m(x), y))) < CLOSE


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_weight_norm_by_its_definition(norm: Any) -> None:
    """torch's own double backward is wrong there: kernels that use it are refused, one is right."""
    model, (x, y) = nn.Sequential(norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)).double(), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    assert apart(operator.dense(), differences(model, lambda m: F.cross_entropy(m(x), y))) < CLOSE
    assert operator.kernel == "linearize"


def test_a_layer_behind_checkpointing() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Any:
            return self.c(checkpoint(lambda z: self.b(z).tanh(), self.a(x).tanh(), use_reentrant=False))

    model, (x, y) = Checkpointed().double(), points()
    wanted = differences(model, lambda m: F.cross_entropy(m(x), y))
    for kernel in ("auto", "linearize", "retained-graph", "double-backward", "finite-difference"):
        assert apart(HessianOperator(model, F.cross_entropy, (x, y), kernel=kernel).dense(), wanted) < CLOSE  # type: ignore[arg-type]
    # the gradient at displaced points is that of the model really moved
    place, delta = Landscape(Problem(model, F.cross_entropy, (x, y))), 0.3 * torch.ones(wanted.shape[0], dtype=torch.float64)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p += 0.3
    own = torch.autograd.grad(F.cross_entropy(moved(x), y), list(moved.parameters()))
    assert apart(place.total_and_gradient(delta)[1], torch.cat([g.flatten() for g in own])) < CLOSE


class Constant(torch.autograd.Function):
    """A square whose backward pass says 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.square()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * g


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].exp()


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (4 * x).round()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return 4 * g


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "constant backward": (lambda h: Constant.apply(h) * h, "no product is"),  # type: ignore[no-untyped-call]
    "straight through": (lambda h: Straight.apply(h) * h, "no product is"),  # type: ignore[no-untyped-call]
    "detached": (lambda h: h * h.detach().sin(), "no product is"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_there_is_no_hessian_there_is_no_number(name: str) -> None:
    function, says = REFUSED[name]
    model, (x, y) = Inner(function), points()
    for kernel in ("auto", "retained-graph"):
        with pytest.raises(ValueError, match=says if kernel == "auto" else "no product is|cannot do this model") as error:
            HessianOperator(model, F.cross_entropy, (x, y), kernel=kernel).matvec(torch.ones(75, dtype=torch.float64))  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_once_differentiable_by_differences() -> None:
    """Their error is in the interval, and what was left out is said."""
    model, (x, y) = Inner(lambda h: Once.apply(h)), points()  # type: ignore[no-untyped-call]
    differences = HessianOperator(model, F.cross_entropy, (x, y))
    estimate = lambda_max(differences, tolerance=1e-12, max_products=75)
    truth = float(torch.linalg.eigvalsh(differences.dense())[-1])
    assert differences.kernel == "finite-difference"
    assert "linearize: a custom autograd.Function" in estimate.rests_on
    assert 1e-13 * truth < estimate.high - truth < 1e-6 * truth
    wanted = HessianOperator(Inner(torch.exp), F.cross_entropy, (x, y))
    wanted.problem.model.load_state_dict(model.state_dict())
    assert apart(differences.dense(), wanted.dense()) < CLOSE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relu_networks_stand(dtype: torch.dtype) -> None:
    """Kinks crossed, units exactly at their kink (zero biases on zero inputs), in both precisions."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3)
    )
    for module in model:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    x = torch.randn(40, 1, 8, 8) * (torch.rand(40, 1, 8, 8) < 0.2)
    x[0] = 0
    operator = HessianOperator(model.to(dtype), F.cross_entropy, (x.to(dtype), torch.randint(3, (40,))))
    operator.matvec(torch.ones(operator.shape[0], dtype=dtype))
    assert operator.kernel == "linearize"


def test_a_network_of_zeros_has_the_slope_of_both_sides() -> None:
    """Every unit at its kink and no jump of the gradient: differences, slope 1/2; torch's own double backward has slope 0."""
    model, (x, y) = Inner(F.relu), points()
    for p in model.parameters():
        nn.init.zeros_(p)
    n, units, classes = len(x), 9, 3
    slopes = (1 / 3 - np.eye(classes)[y.numpy()]) / n  # of the loss in the outputs, (n, 3)
    inputs = np.hstack([x.numpy(), np.ones((n, 1))])
    H = np.zeros((75, 75))
    first = np.vstack([np.arange(36).reshape(units, 4).T, np.arange(36, 45)])  # places of a unit's weights and bias, (5, 9)
    last = np.arange(45, 72).reshape(classes, units)
    for unit in range(units):
        H[np.ix_(first[:, unit], last[:, unit])] = inputs.T @ slopes / 2
    H += H.T
    H[72:, 72:] = np.eye(3) / 3 - 1 / 9
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    moved = torch.randn(75, generator=torch.Generator().manual_seed(2), dtype=torch.float64)  # moves every unit off its kink
    assert apart(operator.matvec(moved), torch.as_tensor(H) @ moved) < 1e-5  # the step
    assert operator.kernel == "finite-difference"
    assert all(f"{kernel}: its product is" in operator.rests_on for kernel in ("linearize", "retained-graph"))
    double = HessianOperator(model, F.cross_entropy, (x, y), kernel="double-backward", verify=False).dense()
    H[:72, :72] = 0
    assert apart(double, torch.as_tensor(H)) < CLOSE


def test_what_the_check_gave_is_said_and_counted() -> None:
    model, (x, y) = Inner(torch.tanh), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    first, second = lambda_max(operator), lambda_max(operator)
    assert "kernel linearize, within" in first.rests_on
    assert "differences of the gradient" in second.rests_on
    assert first.gradients >= 2
    assert second.gradients == 0
    assert "tangents (recorded) within" in hutchinson(GaussNewtonOperator(model, F.cross_entropy, (x, y)), products=10).rests_on


def test_a_wrong_kernel_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled, symmetric and wrong in one row, asymmetric: the next kernel is taken."""
    right = PREPARE["linearize"]
    for spoil in (
        lambda p, v: 1.01 * p,
        lambda p, v: p + 0.1 * v.sum(0) * torch.ones_like(p),
        lambda p, v: p + 0.1 * v.roll(1, 0),
    ):
        model, (x, y) = Inner(F.relu).float(), points()

        def wrong(problem: Any, batch: Any, spoil: Any = spoil) -> Any:
            product = right(problem, batch)
            return lambda block: spoil(product(block), block)

        monkeypatch.setitem(PREPARE, "linearize", wrong)
        operator = HessianOperator(model, F.cross_entropy, (x.float(), y))
        operator.matvec(torch.ones(75))
        assert operator.kernel == "retained-graph"
        assert "left out: linearize: its product is" in operator.rests_on


def test_wrong_tangents_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from flatproof.verify.curvature.kernels import tangents

    monkeypatch.setitem(tangents.BY_HAND, torch.ops.aten.relu, lambda call: lambda t: t)
    model, (x, y) = Inner(F.relu), points()
    operator = GaussNewtonOperator(model, F.cross_entropy, (x, y))
    operator.matvec(torch.ones(75, dtype=torch.float64))
    assert "kept graph" in operator.rests_on


# ------------------------------------------------------------------------------------------------------------------- the loss


def test_sum_and_mean_are_told_apart() -> None:
    model, data = Inner(torch.tanh), points()
    ones = torch.ones(75, dtype=torch.float64)
    with pytest.raises(ValueError, match="the loss is a sum over the batch, not a mean: give reduction='sum'"):
        HessianOperator(model, nn.CrossEntropyLoss(reduction="sum"), data).matvec(ones)
    with pytest.raises(ValueError, match="the loss is a mean over the batch, not a sum"):
        HessianOperator(model, nn.CrossEntropyLoss(), data, reduction="sum").matvec(ones)
    with pytest.raises(ValueError, match="the loss is a sum"):
        measures()["sam"](Problem(model, nn.CrossEntropyLoss(reduction="sum"), data))


def test_means_over_something_else_need_their_weights() -> None:
    model, (x, y) = Inner(torch.tanh), points(12)
    y[[0, 1, 2, 7]] = -100
    wanted = HessianOperator(model, F.cross_entropy, (x, y)).dense()  # one batch: the loss itself
    parts = [(x[:5], y[:5]), (x[5:], y[5:])]
    with pytest.raises(ValueError, match="weight_of="):
        HessianOperator(model, F.cross_entropy, parts).dense()
    weighed = HessianOperator(model, F.cross_entropy, parts, weight_of=lambda _, t: float((t != -100).sum()))
    assert apart(weighed.dense(), wanted) < CLOSE
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    loss = nn.CrossEntropyLoss(weight=weights)
    y = torch.arange(12) % 3
    parts = [(x[:5], y[:5]), (x[5:], y[5:])]
    with pytest.raises(ValueError, match="weight_of="):
        HessianOperator(model, loss, parts).dense()
    weighed = HessianOperator(model, loss, parts, weight_of=lambda _, t: float(weights[t].sum()))
    assert apart(weighed.dense(), HessianOperator(model, loss, (x, y)).dense()) < CLOSE


def test_batches_of_other_lengths_need_their_weights() -> None:
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 5)).double()
    data = [(torch.randint(7, (3, t)), torch.randint(5, (3, t))) for t in (2, 6)]

    def loss(z: Tensor, t: Tensor) -> Tensor:
        return F.cross_entropy(z.flatten(0, 1), t.flatten())

    with pytest.raises(ValueError, match=r"targets\.numel\(\)"):
        HessianOperator(model, loss, data).dense()
    weighed = HessianOperator(model, loss, data, weight_of=lambda _, t: t.numel())
    joined = torch.cat([x.flatten() for x, _ in data]), torch.cat([t.flatten() for _, t in data])
    assert apart(weighed.dense(), HessianOperator(model, nn.CrossEntropyLoss(), joined).dense()) < CLOSE


def test_a_penalty_over_the_models_parameters() -> None:
    model, (x, y) = Inner(torch.tanh), points()
    plain = HessianOperator(model, F.cross_entropy, (x, y)).dense()

    def penalized(z: Tensor, t: Tensor) -> Tensor:
        return F.cross_entropy(z, t) + 0.05 * sum(p.square().sum() for p in model.parameters())  # type: ignore[no-any-return]

    for kernel in ("linearize", "retained-graph", "forward-over-reverse"):
        matrix = HessianOperator(model, penalized, (x, y), kernel=kernel).dense()  # type: ignore[arg-type]
        assert apart(matrix, plain + 0.1 * torch.eye(75)) < CLOSE
    weight = model.first.weight
    with pytest.raises(ValueError, match="reads parameters past the model"):
        HessianOperator(model, lambda z, t: F.cross_entropy(z, t) + 0.1 * weight.square().sum(), (x, y)).dense()


def test_noise_of_the_models_own_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    model = Inner(lambda h: h + torch.randn(h.shape, generator=generator, dtype=h.dtype))
    with pytest.raises(ValueError, match="evaluated twice"):
        HessianOperator(model, F.cross_entropy, points()).dense()
    x, y = points()

    class Augmenting:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            yield x + torch.randn_like(x), y

    with pytest.raises(ValueError, match="no random augmentation"):
        HessianOperator(Inner(torch.tanh), F.cross_entropy, Augmenting()).dense()


# ------------------------------------------------------------------------------------------------------- nothing is written


class Writing(nn.Module):
    """Counts calls, keeps what it saw, renorms an embedding, moves a buffer that it reads, draws noise from three generators."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4, max_norm=0.5)
        self.frozen = nn.Embedding(5, 4, max_norm=0.5)
        self.frozen.weight.requires_grad_(False)
        self.norm, self.last = nn.BatchNorm1d(4), nn.utils.weight_norm(nn.Linear(4, 3))
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("shift", torch.ones(4))
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.seen: Any = None
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.shift.mul_(0.9)
        self.embedding.training = True
        h = F.dropout(self.embedding(x) + self.frozen(x), 0.2).sum(1)
        h = self.norm(h + self.shift) * (1 + random.random() + np.random.rand())  # noqa: NPY002
        self.seen = h
        out: Tensor = self.last(h.tanh()) * self.scale
        return out


def state(model: nn.Module) -> dict[str, Any]:
    """All that could be written, to the bit."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "values": {n: (t.detach().clone(), id(t), t.data_ptr(), t.requires_grad, t._version) for n, t in tensors.items()},
        "gradients": {n: None if p.grad is None else (id(p.grad), p.grad.clone()) for n, p in model.named_parameters()},
        "attributes": {n: {k: id(v) for k, v in m.__dict__.items()} for n, m in model.named_modules()},
        "flags": [(m.training, getattr(m, "track_running_stats", None)) for m in model.modules()],
        "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),  # type: ignore[index] # noqa: NPY002
        "fast path": torch.backends.mha.get_fastpath_enabled(),
    }


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(v, second[k]) for k, v in first.items())
    if isinstance(first, (tuple, list)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def _uses() -> dict[str, Callable[[Problem], Any]]:
    uses: dict[str, Callable[[Problem], Any]] = {
        "loss": lambda p: p.loss(),
        "gradient": lambda p: p.gradient(),
        "directions": lambda p: p.directions(),
    }
    for name in ("auto", *PREPARE):
        uses[f"kernel {name}"] = lambda p, name=name: HessianOperator.of(p, kernel=name, verify=False).matvec(
            torch.ones(p.size).double()
        )  # type: ignore[misc]
    for kind in (HessianOperator, GaussNewtonOperator, FisherOperator):
        uses[kind.__name__] = lambda p, kind=kind: kind.of(p).matvec(torch.ones(p.size).double())  # type: ignore[misc]
    for name, measure in measures().items():
        uses[f"measure {name}"] = lambda p, measure=measure: measure(p)  # type: ignore[misc]
    return uses


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("use", _uses())
def test_nothing_of_the_model_is_written(use: str, mode: Any) -> None:
    """Whether there is a number or an error, the model is what it was."""
    model = Writing().train()
    x, y = torch.randint(5, (8, 3)), torch.randint(3, (8,))
    F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
    model.seen = None
    before = state(model)
    try:
        first = _uses()[use](Problem(model, F.cross_entropy, [(x[:4], y[:4]), (x[4:], y[4:])], mode=mode))
    except ValueError:
        first = None
    assert same(before, state(model))
    if use in ("loss", "gradient", "measure average-l2") and first is not None:
        again = _uses()[use](Problem(model, F.cross_entropy, [(x[:4], y[:4]), (x[4:], y[4:])], mode=mode))
        assert same(getattr(first, "value", first), getattr(again, "value", again))


def test_noise_in_evaluation_mode_is_drawn_once() -> None:
    model, (x, y) = Inner(lambda h: F.dropout(h.tanh(), 0.5)), points()
    v = torch.ones(75, dtype=torch.float64)
    first, second = (HessianOperator(model, F.cross_entropy, (x, y)).matvec(v) for _ in range(2))
    assert torch.equal(first, second)


class Partly(nn.Module):
    """Its second output does not carry a gradient."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)))

    def forward(self, _: Tensor) -> tuple[Tensor, Tensor]:
        return self.x, self.x.detach().mean()


@pytest.mark.parametrize("n", range(2, 40, 3))
def test_a_part_of_the_loss_without_gradient_is_refused_where_it_is_a_hundredth_of_the_slope(n: int) -> None:
    """Also where the loss bends more along the largest step than the slopes differ."""
    model = Partly(n)
    operator = HessianOperator(
        model, lambda out, _: sum((o + o**2 / 2).mean() for o in out), (torch.zeros(1, 1).double(), torch.zeros(1))
    )
    v = direction(operator.problem)
    known = float(((1 + model.x) * v).mean().detach())
    hidden = float(((1 + model.x.mean()) * v.mean()).detach())
    assert abs(abs(hidden / known) - 1e-2) > 2e-3
    if abs(hidden / known) > 1e-2:
        with pytest.raises(ValueError, match="the gradient is not that of the loss"):
            operator.matvec(v)
    else:
        assert apart(operator.matvec(v), v / n) < CLOSE


def test_a_slope_below_the_losss_rounding_is_not_refused() -> None:
    """erfc at -4.8 is 2 but for 1e-11: small steps do not change the loss, which is no gap."""

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor([-4.827], dtype=torch.float64))

        def forward(self, _: Tensor) -> Tensor:
            return torch.erfc(self.x)

    model = Tiny()
    operator = HessianOperator(model, lambda out, _: out.sum(), (torch.zeros(1, 1).double(), torch.zeros(1)))
    x = -4.827
    wanted = 4 * x / np.sqrt(np.pi) * np.exp(-(x**2))
    assert float(operator.matvec(torch.ones(1).double())) == pytest.approx(wanted, rel=1e-9)


def test_padding_rows_are_constant() -> None:
    torch.manual_seed(0)  # along two vectors a matrix that is not symmetric looks so for 9 of 1,500 networks
    model = nn.Sequential(nn.Embedding(5, 3, padding_idx=0), nn.Flatten(), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.tensor([[0, 1], [2, 0], [3, 4], [0, 0]]), torch.tensor([0, 1, 2, 1])
    for kernel in ("auto", "retained-graph", "finite-difference"):
        matrix = HessianOperator(model, F.cross_entropy, (x, y), kernel=kernel).dense()  # type: ignore[arg-type]
        assert apart(matrix, matrix.T) < CLOSE
        wanted = differences(model, lambda m: F.cross_entropy(m(x), y))
        wanted[:, :3] = 0
        assert apart(matrix, wanted) < CLOSE
    frequent = nn.Sequential(nn.Embedding(5, 3, scale_grad_by_freq=True), nn.Flatten(), nn.Linear(6, 3)).double()
    with pytest.raises(ValueError, match="the gradient is not that of the loss"):
        HessianOperator(frequent, F.cross_entropy, (x, y)).dense()


def test_a_padding_mask_takes_one_path() -> None:
    """torch's fast path zeroes padded outputs where no gradient is asked for: loss and gradient were of two functions."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.TransformerEncoder(layer, 1)

        def forward(self, x: Tensor, mask: Tensor) -> Any:
            return self.inner(x, src_key_padding_mask=mask).mean(1)

    model, x, y = Encoder().eval(), torch.randn(6, 3, 4), torch.randn(6, 4)
    mask = torch.zeros(6, 3, dtype=torch.bool)
    mask[::2, 2] = True
    problem = Problem(model, F.mse_loss, [((x, mask), y)])
    place = Landscape(problem)
    wanted = float(F.mse_loss(model.train()(x, mask), y).detach())
    assert problem.loss() == pytest.approx(wanted, rel=1e-5)
    assert place.total(None) == pytest.approx(wanted, rel=1e-5)
    assert place.total_and_gradient(None)[0] == pytest.approx(wanted, rel=1e-5)


def test_few_vectors_are_held_while_a_kernel_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One network, its parameters far more than its activations: what lives at a time is counted in its vectors of float64."""
    monkeypatch.setattr(verification, "LARGE", 1 << 18)
    model = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(256, 256), nn.Tanh())), nn.Linear(256, 3))
    data = torch.randn(4, 256, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0])
    operator = HessianOperator(model, F.cross_entropy, data, kernel="linearize")
    live: dict[int, StorageWeakRef] = {}
    highest = 0

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal highest
            out = op(*args, **(kwargs or {}))
            for made in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(made, Tensor) and made.numel() >= 1 << 16:
                    storage = made.untyped_storage()
                    live.setdefault(storage._cdata, StorageWeakRef(storage))  # type: ignore[no-untyped-call]
                    sizes[storage._cdata] = storage.nbytes()
            for key in [key for key, reference in live.items() if reference.expired()]:  # type: ignore[no-untyped-call]
                del live[key]
            highest = max(highest, sum(sizes[key] for key in live))
            return out

    sizes: dict[int, int] = {}
    with Count():
        operator._settle()
    assert operator.kernel == "linearize"
    assert "within" in operator.rests_on
    assert highest < 4 * 8 * operator.problem.size
