"""Curvature operators: every kernel against the explicit Hessian, modes, batches, subsets, processes, and what bad input says."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatproof.theory import ARCHITECTURES
from flatproof.verify.curvature import FisherOperator, GaussNewtonOperator, HessianOperator, Problem, eigenvalues
from flatproof.verify.curvature.two_layer.product import TwoLayerHessians
from flatproof.verify.two_layer.losses import mse
from flatproof.verify.two_layer.modules import TwoLayer
from tests.networks import random_network, random_points

EXACT = ("linearize", "retained-graph", "forward-over-reverse", "double-backward")
CLOSE = 1e-10


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def explicit(model: nn.Module, total: Callable[[Callable[[Tensor], Any]], Tensor]) -> Tensor:
    """The Hessian of total(x -> model(x)) by torch.autograd.functional, (P, P)."""
    shapes = {n: p.shape for n, p in model.named_parameters()}
    sizes = [p.numel() for p in model.parameters()]

    def function(theta: Tensor) -> Tensor:
        parts = dict(zip(shapes, (t.reshape(s) for t, s in zip(theta.split(sizes), shapes.values(), strict=True)), strict=True))
        return total(lambda x: functional_call(model, parts, (x,)))

    return torch.autograd.functional.hessian(function, torch.cat([p.detach().reshape(-1) for p in model.parameters()]))


def error(found: Tensor, wanted: Tensor) -> float:
    return float(((found - wanted).abs().max() / wanted.abs().max()).detach())


def mlp(activation: type[nn.Module] = nn.GELU, out: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, out)).double()


def cnn(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 3),
    ).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean = torch.randn_like(module.bias).detach()
            module.running_var = torch.rand_like(module.bias).detach() + 0.5
    return model


def images(n: int = 7) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 1, 6, 6, dtype=torch.float64), torch.randint(3, (n,))


def points(n: int = 9) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 4, dtype=torch.float64), torch.randint(3, (n,))


def smoothed_logistic(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs[:, 0], 0.9 * (targets > 0).to(outputs) + 0.05)


def one_hot_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, F.one_hot(targets, 3).to(outputs))


LOSSES = {
    "mse": one_hot_mse,
    "cross-entropy": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "logistic": smoothed_logistic,
}


# ---------------------------------------------------------------------------------------------------------------- agreement


@pytest.mark.parametrize("kernel", ["closed-form", *EXACT])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_layer(architecture: str, kernel: Any) -> None:
    net, (x, y) = random_network(architecture, 3, 4, seed=3), random_points(3, 6, seed=1)
    model, inputs, labels = TwoLayer(net, train_x=x), torch.as_tensor(x), torch.as_tensor(y)
    wanted = explicit(model, lambda f: mse(f(inputs), labels))
    operator = HessianOperator(model, F.mse_loss, [(inputs[:2], labels[:2]), (inputs[2:], labels[2:])], kernel=kernel)
    assert error(operator.dense(), wanted) < CLOSE
    assert operator.products == len(wanted)
    v = torch.randn(len(wanted), dtype=torch.float64)
    assert error(operator.matvec(v), wanted @ v) < CLOSE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "m", "n"), [(7, 70, 65), (12, 66, 130), (30, 131, 33), (40, 5, 9), (100, 6, 203)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_layer_in_panels_and_blocks(architecture: str, d: int, m: int, n: int, dtype: torch.dtype) -> None:
    """Rows of every width of the compiled loops, several blocks of groups, and groups that are not full."""
    net, (x, y) = random_network(architecture, d, m, seed=3), random_points(d, n, seed=1)
    model, data = TwoLayer(net, train_x=x, dtype=dtype), (torch.as_tensor(x).to(dtype), torch.as_tensor(y).to(dtype))
    closed = HessianOperator(model, mse, data, kernel="closed-form")
    exact = TwoLayer(model.network(), train_x=data[0].numpy())
    reference = HessianOperator(exact, mse, (data[0].double(), data[1].double()), kernel="double-backward")
    block = torch.randn(closed.shape[0], 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    wanted, close = reference.matmat(block.double()), CLOSE if dtype == torch.float64 else 1e-5
    assert error(closed.matmat(block), wanted) < close
    assert error(closed.matmat(block.mT.contiguous().mT), wanted) < close
    assert error(closed.matvec(block[:, 1]), wanted[:, 1]) < close


def test_two_layer_at_the_parameters_it_was_prepared_at() -> None:
    """What is kept is a copy: writing behind torch's back changes no product until `refresh`."""
    for architecture in ARCHITECTURES:
        net, (x, y) = random_network(architecture, 3, 4, seed=3), random_points(3, 6, seed=1)
        model = TwoLayer(net, train_x=x)
        operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y)), kernel="closed-form")
        v = torch.randn(operator.shape[0], dtype=torch.float64)
        before = operator.matvec(v)
        for parameter in model.parameters():
            parameter.data.mul_(1.5)
        assert torch.equal(operator.matvec(v), before)
        operator.refresh()
        assert error(operator.matvec(v), before) > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("compiled", [True, False])
def test_many_networks_at_once(architecture: Any, compiled: bool) -> None:
    x, y = random_points(3, 6, seed=1)
    models = [TwoLayer(random_network(architecture, 3, 4, seed), train_x=x) for seed in range(3)]
    stacked = {n: torch.stack([dict(m.named_parameters())[n].detach() for m in models]) for n, _ in models[0].named_parameters()}
    inputs, labels = torch.as_tensor(x), torch.as_tensor(y)
    many = TwoLayerHessians(stacked, inputs, labels, architecture, epsilon=models[0].epsilon, compiled=compiled)
    block = torch.randn(3, sum(p.numel() for p in models[0].parameters()), 2, dtype=torch.float64)
    for model, vectors, found in zip(models, block, many.products(block), strict=True):
        assert error(found, HessianOperator(model, mse, (inputs, labels), kernel="double-backward").matmat(vectors)) < CLOSE


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
    with pytest.raises(ValueError, match="kernel 'linearize' cannot do this model"):
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


def test_gauss_newton_and_fisher() -> None:
    smoothed = LOSSES["smoothed"]
    for model, (x, y) in ((mlp(), points()), (cnn(), images())):
        model.eval()
        n = len(y)
        parameters = dict(model.named_parameters())
        jacobian = torch.func.jacrev(lambda p: functional_call(model, p, (x,)))(parameters)  # noqa: B023
        j = torch.cat([v.reshape(n, 3, -1) for v in jacobian.values()], -1)
        z = model(x).detach()
        each = torch.vmap(torch.func.hessian(lambda a, b: smoothed(a[None], b[None])))(z, y)
        slopes = torch.vmap(torch.func.grad(lambda a, b: smoothed(a[None], b[None])))(z, y)
        parts = [(x[:2], y[:2]), (x[2:], y[2:])]
        newton = torch.einsum("nap,nab,nbq->pq", j, each, j) / n
        assert error(GaussNewtonOperator(model, smoothed, parts).dense(), newton) < CLOSE
        g = torch.einsum("nap,na->np", j, slopes)
        assert error(FisherOperator(model, smoothed, parts).dense(), g.T @ g / n) < CLOSE


# ------------------------------------------------------------------------------------------------------------ parts and views


def test_subsets() -> None:
    model, (x, y) = mlp(), points()
    whole = HessianOperator(model, F.cross_entropy, (x, y))
    full, places = whole.dense(), whole.problem.slices()
    chosen: tuple[tuple[Any, list[str]], ...] = (
        ("2", ["2.weight", "2.bias"]),
        (["4.bias", "0.weight"], ["0.weight", "4.bias"]),
        (model[2], ["2.weight", "2.bias"]),
        ([model[4].weight], ["4.weight"]),
    )
    for wanted, names in chosen:
        operator = HessianOperator(model, F.cross_entropy, (x, y), parameters=wanted)
        assert operator.problem.names == tuple(names)
        where = torch.cat([torch.arange(places[n].start, places[n].stop) for n in names])
        assert error(operator.dense(), full[where][:, where]) < CLOSE
    model[0].weight.requires_grad_(False)
    assert HessianOperator(model, F.cross_entropy, (x, y)).problem.names[0] == "0.bias"


def test_scipy_view_and_counting() -> None:
    model, (x, y) = mlp(), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    view, v = operator.linear_operator(), np.random.default_rng(0).standard_normal((operator.shape[0], 2))
    assert view.dtype == np.float64
    np.testing.assert_allclose(view @ v, operator.matmat(torch.as_tensor(v)).numpy())
    np.testing.assert_allclose(view @ v[:, 0], (operator @ torch.as_tensor(v[:, 0])).numpy())
    assert operator.products == 6
    assert operator.description.startswith("Hessian, 64 parameters, 9 samples, mode eval, kernel linearize")
    named = operator.problem.named(torch.as_tensor(v[:, 0]))
    assert {n: tuple(t.shape) for n, t in named.items()} == {n: tuple(p.shape) for n, p in model.named_parameters()}


def test_parameters_that_moved_are_noticed() -> None:
    model, (x, y) = mlp(), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    v = torch.randn(operator.shape[0], dtype=torch.float64)
    before = operator.matvec(v)
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    assert error(operator.matvec(v), before) > 1e-3
    assert error(operator.matvec(v), HessianOperator(model, F.cross_entropy, (x, y), kernel="double-backward").matvec(v)) < CLOSE


def test_batches_beyond_the_memory_are_prepared_anew() -> None:
    model, (x, y) = mlp(), points()
    parts = [(x[i : i + 3], y[i : i + 3]) for i in (0, 3, 6)]
    roomy, tight = (HessianOperator(model, F.cross_entropy, parts, memory=bytes_) for bytes_ in (1 << 30, 0))
    v = torch.randn(roomy.shape[0], dtype=torch.float64)
    for _ in range(2):
        assert error(tight.matvec(v), roomy.matvec(v)) < CLOSE
    assert len(roomy._kept) == 3
    assert len(tight._kept) == 1


def test_shuffled_batches() -> None:
    """Fine while every batch is kept; where passes would mix, or batches matter, an error says so."""
    x, y = points(40)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=True)
    model, wanted = mlp(), HessianOperator(mlp(), nn.CrossEntropyLoss(), (x, y))
    vectors = torch.randn(wanted.shape[0], 3, dtype=torch.float64)
    kept = HessianOperator(model, nn.CrossEntropyLoss(), loader)
    for _ in range(2):
        assert error(kept.matmat(vectors), wanted.matmat(vectors)) < CLOSE
    small = HessianOperator(model, nn.CrossEntropyLoss(), loader, memory=0)
    small.matmat(vectors)
    with pytest.raises(ValueError, match="same batches at each pass"):
        small.matmat(vectors)
    with pytest.raises(ValueError, match="in mode 'train'"):
        HessianOperator(model, nn.CrossEntropyLoss(), loader, mode="train").matmat(vectors)


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


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_closed_form_directions(architecture: Any) -> None:
    x, y = map(torch.as_tensor, random_points(4, 12, seed=1))
    problem = Problem(TwoLayer(random_network(architecture, 4, 7, seed=0)), mse, [(x[:5], y[:5]), (x[5:], y[5:])])
    operator = HessianOperator.of(problem)
    assert error(operator.directions(), problem.directions()) < CLOSE
    assert operator.kernel == "closed-form"


def test_directions() -> None:
    """The gradient and, for a scalar output under the squared error, the gradient of the mean output."""
    model, x = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0)).double(), torch.randn(9, 4).double()
    y = torch.randn(9).double()
    problem = Problem(model, nn.MSELoss(), [(x[:5], y[:5]), (x[5:], y[5:])])
    found, gradient = problem.directions(), problem.gradient()
    mean = problem.flatten(torch.autograd.grad(model(x).mean(), list(model.parameters())))
    assert error(found[:, 0], gradient / gradient.norm()) < CLOSE
    assert error(found[:, 1], mean / mean.norm()) < CLOSE
    labels = torch.randint(3, (9,))
    net = mlp()
    columns = Problem(net, nn.CrossEntropyLoss(), (torch.randn(9, 4).double(), labels)).directions()
    assert columns.shape[1] == 2
    assert torch.linalg.vector_norm(columns, dim=0).tolist() == pytest.approx([1, 1])
    # a loss that is linear in the outputs has no curvature there: the gradient is left
    assert Problem(model, lambda z, _: z.mean(), (x, y)).directions().shape[1] == 1


# ------------------------------------------------------------------------------------------------------------------ processes


def _rank(rank: int, folder: str, kernel: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        model, (x, y) = mlp(), points()
        mine = [(x[:2], y[:2]), (x[2:5], y[2:5])] if rank == 0 else [(x[5:], y[5:])]
        operator = HessianOperator(model, nn.CrossEntropyLoss(), mine, kernel=kernel)
        v = torch.as_tensor(np.random.default_rng(0).standard_normal((operator.shape[0], 2)))
        newton = GaussNewtonOperator(model, nn.CrossEntropyLoss(), mine)
        found = (
            operator.matmat(v),
            newton.matvec(v[:, 0]),
            operator.problem.gradient(),
            operator.problem.loss(),
            operator.problem.samples,
            operator.directions(),
            eigenvalues(operator, tolerance=1e-8, stop="ritz")[0].value,
        )
        torch.save(found, f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))  # new processes look for this module where the present one would
    torch.multiprocessing.spawn(_rank, args=(str(tmp_path), "auto"), nprocs=2)
    model, data = mlp(), points()
    operator = HessianOperator(model, nn.CrossEntropyLoss(), data)
    v = torch.as_tensor(np.random.default_rng(0).standard_normal((operator.shape[0], 2)))
    for rank in (0, 1):
        product, newton, gradient, loss, samples, directions, largest = torch.load(tmp_path / f"{rank}.pt")
        assert error(product, operator.matmat(v)) < CLOSE
        assert error(newton, GaussNewtonOperator(model, nn.CrossEntropyLoss(), data).matvec(v[:, 0])) < CLOSE
        assert error(gradient, operator.problem.gradient()) < CLOSE
        assert loss == pytest.approx(operator.problem.loss())
        assert samples == 9
        assert error(directions[:, 0], operator.directions()[:, 0]) < CLOSE
        assert largest == pytest.approx(float(torch.linalg.eigvalsh(operator.dense())[-1]), rel=1e-6)


# ---------------------------------------------------------------------------------------------------------------------- errors


def _integer() -> nn.Module:
    model = mlp()
    model.register_parameter("count", nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False))
    return model


def _mixed() -> nn.Module:
    model = mlp()
    model[0].float()
    return model


X, Y = points()
BAD: dict[str, tuple[Callable[[], HessianOperator], type[Exception], str]] = {
    "empty": (lambda: HessianOperator(mlp(), F.cross_entropy, []), ValueError, "at least one sample"),
    "one-shot": (lambda: HessianOperator(mlp(), F.cross_entropy, ((X, Y) for _ in "a")), TypeError, "re-iterable"),
    "no pairs": (lambda: HessianOperator(mlp(), F.cross_entropy, [X, X, X]), TypeError, "pairs, batch 0 is a tensor"),
    "not data": (lambda: HessianOperator(mlp(), F.cross_entropy, 3), TypeError, "data must be"),
    "targets": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y[:2])), ValueError, "targets must have one entry a sample"),
    "loss shape": (lambda: HessianOperator(mlp(), nn.CrossEntropyLoss(reduction="none"), (X, Y)), ValueError, "scalar tensor"),
    "no grad": (lambda: HessianOperator(mlp(), lambda z, t: z.detach().sum(), (X, Y)), ValueError, "has no grad"),
    "nan loss": (lambda: HessianOperator(mlp(), lambda z, t: z.sum() * torch.nan, (X, Y)), ValueError, "loss must be finite"),
    "integer": (
        lambda: HessianOperator(_integer(), F.cross_entropy, (X, Y), parameters="count"),
        TypeError,
        "count is torch.int64",
    ),
    "dtypes": (lambda: HessianOperator(_mixed(), F.cross_entropy, (X, Y)), ValueError, "one dtype"),
    "data dtype": (lambda: HessianOperator(mlp(), F.cross_entropy, (X.float(), Y)), ValueError, "batch 0 has torch.float32"),
    "device": (lambda: HessianOperator(mlp(), F.cross_entropy, (X.to("meta"), Y)), ValueError, "one device"),
    "kernel": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), kernel="fast"), ValueError, "kernel must be one of"),  # type: ignore[arg-type]
    "closed form": (
        lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), kernel="closed-form"),
        ValueError,
        "needs a verify.two_layer.modules",
    ),
    "mode": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), mode="test"), ValueError, "mode must be one of"),  # type: ignore[arg-type]
    "name": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), parameters="9"), ValueError, "'9' names nothing"),
    "model": (lambda: HessianOperator(lambda x: x, F.cross_entropy, (X, Y)), TypeError, "model must be a torch.nn.Module"),  # type: ignore[arg-type]
    "parameterless": (lambda: HessianOperator(nn.ReLU(), F.cross_entropy, (X, Y)), ValueError, "must have parameters"),
    "memory": (lambda: HessianOperator(mlp(), F.cross_entropy, (X, Y), memory=-1), ValueError, "memory must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, kind, says = BAD[case]

    def use() -> None:
        operator = make()
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))

    with pytest.raises(kind, match=says):
        use()


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (torch.ones(3, dtype=torch.float64), r"shape \(64,\)"),
        (torch.ones(64, 1, dtype=torch.float64), r"shape \(64,\)"),
        (torch.ones(64), "float64 on cpu"),
        (torch.full((64,), torch.nan, dtype=torch.float64), "must be finite"),
        (np.ones(64), "torch.Tensor"),
    ],
)
def test_bad_vectors(vector: Any, says: str) -> None:
    operator = HessianOperator(mlp(), F.cross_entropy, (X, Y))
    with pytest.raises((ValueError, TypeError), match=says):
        operator.matvec(vector)
    assert operator.products == 0


def test_bad_closed_form_labels() -> None:
    x, y = random_points(3, 6, seed=1)
    model = TwoLayer(random_network("bias", 3, 4, seed=3))
    operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y) * torch.nan))
    with pytest.raises(ValueError, match="loss must be finite"):
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bad_closed_form_weights(architecture: str, value: float) -> None:
    x, y = random_points(3, 6, seed=1)
    model = TwoLayer(random_network(architecture, 3, 4, seed=3), train_x=x)
    operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y)), kernel="closed-form")
    with torch.no_grad():
        model.w1[1, 0] = value
    with pytest.raises(ValueError, match="loss must be finite"):
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))
