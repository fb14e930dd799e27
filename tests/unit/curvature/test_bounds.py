"""Bounds from above of worst-case sharpness: exact where the maximum is known, above it everywhere, and one line where there is none."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.curvature import Problem
from flatproof.verify.curvature.bounds import batch_bound, curves
from flatproof.verify.curvature.bounds.product_rules import _narrow
from flatproof.verify.curvature.sharpness import keskar_sharpness, sam_sharpness, worst_case_sharpness
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.losses import mse
from flatproof.verify.two_layer.modules import TwoLayer
from tests.unit.curvature.diagonal import at_interpolation, drawn
from tests.unit.curvature.test_starts import exactly

seeds, radii = st.integers(0, 10**6), st.sampled_from([0.002, 0.1, 0.5])
ABOVE = 1 + 1e-8


# ----------------------------------------------------------------------------------------------------------- known maxima


@settings(max_examples=4)
@given(d=st.integers(1, 12), seed=seeds, rho=radii)
@pytest.mark.parametrize("scaling", ["elementwise", "none"])
def test_the_box_of_a_diagonal_network_is_exact(scaling: Any, d: int, seed: int, rho: float) -> None:
    """diag-7: at interpolation with Sigma = I the bound is the maximum, and the ascent reaches it: the interval is a point."""
    u, v = drawn(d, seed)
    e = worst_case_sharpness(at_interpolation(u, v), rho=rho, norm="linf", scaling=scaling)
    truth = exactly(u, v, rho, "linf", scaling)
    assert truth * (1 - 1e-9) <= e.high <= truth * ABOVE
    assert e.gap == pytest.approx(1, abs=1e-7)


@settings(max_examples=4)
@given(d=st.integers(1, 12), seed=seeds, rho=radii)
def test_the_ball_of_a_diagonal_network(d: int, seed: int, rho: float) -> None:
    """diag-6: the second-order bound has the maximum's first term in rho, and |beta| in place of its largest entry in the next."""
    u, v = drawn(d, seed)
    e = worst_case_sharpness(at_interpolation(u, v), rho=rho, norm="l2", steps=5, starts=1)
    beta = (u * v).abs()
    loose = float((math.sqrt(2) * rho * beta.max() + rho**2 / 2 * torch.linalg.vector_norm(beta)) ** 2)
    assert exactly(u, v, rho, "l2", "elementwise") * (1 - 1e-9) <= e.high <= loose * ABOVE


@settings(max_examples=3)
@given(seed=seeds, rho=radii)
@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_a_two_layer_network_without_signs(architecture: str, seed: int, rho: float) -> None:
    """One sample, weights and input at least 0, at interpolation, c = |w|: f is largest at (1 + rho) w, so that the maximum is known."""
    network = initial_network(architecture, 5, 4, seed=seed).astype("float64")
    parts = {n: np.abs(v) for n in ("w1", "w2", "b1") if (v := getattr(network, n)) is not None}
    x = np.abs(np.random.default_rng(seed).standard_normal((1, 5)))
    now, then = (
        TwoLayer(replace(network, **{n: factor * v for n, v in parts.items()}), dtype=torch.float64, train_x=x)
        for factor in (1, 1 + rho)
    )
    inputs = torch.as_tensor(x)
    with torch.no_grad():
        targets = now(inputs)
        truth = float(mse(then(inputs), targets))
    e = worst_case_sharpness(Problem(now, mse, (inputs, targets)), rho=rho, norm="linf")
    assert truth * (1 - 1e-9) <= e.high <= truth * ABOVE
    assert e.value == pytest.approx(truth, rel=1e-9)


def corners(problem: Problem, rho: float, scaling: str) -> float:
    """The largest increase over the corners of the box."""
    w = problem.weights
    c = w.abs() if scaling == "elementwise" else torch.ones_like(w)
    batch = next(problem.batches())
    base = problem.loss()
    best = 0.0
    for signs in itertools.product((1.0, -1.0), repeat=problem.size):
        moved = problem.unflatten(w + rho * c * torch.tensor(signs, dtype=w.dtype))
        with problem.prepared(batch) as buffers:
            best = max(best, float(problem.batch_loss(moved, buffers, batch)) - base)
    return best


@pytest.mark.parametrize("loss", [F.cross_entropy, lambda out, y: (out - torch.eye(3, dtype=out.dtype)[y]).square().mean()])
@pytest.mark.parametrize("scaling", ["elementwise", "none"])
def test_a_linear_model_against_the_corners(loss: Any, scaling: Any) -> None:
    """The loss is convex in the parameters: its maximum over the box lies at a corner, and all of them are tried."""
    torch.manual_seed(1)
    model = nn.Linear(2, 3).double()
    problem = Problem(model, loss, (torch.randn(7, 2, dtype=torch.float64), torch.randint(3, (7,))))
    for rho in (0.01, 0.1):
        truth = corners(problem, rho, scaling)
        e = worst_case_sharpness(problem, rho=rho, norm="linf", scaling=scaling)
        assert truth * (1 - 1e-12) <= e.high <= (1 + 40 * rho) * truth


def test_layers_multilinear_in_blocks_against_the_corners() -> None:
    """x -> <a, W x> and a loss that is linear in it: linear in each parameter, so that a corner has the maximum."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    problem = Problem(model, lambda out, y: (y * out).mean(), (x, torch.randn(4, 1, dtype=torch.float64)))
    for rho in (0.01, 0.2):
        e = worst_case_sharpness(problem, rho=rho, norm="linf", scaling="none")
        truth = corners(problem, rho, "none")
        assert truth * (1 - 1e-12) <= e.high <= 1.5 * truth


# ------------------------------------------------------------------------------------------------------ above every ascent


class Residual(nn.Module):
    """Convolutions with batch norm, an addition, both kinds of pooling."""

    def __init__(self, act: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), act())
        self.second = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, groups=3), act())
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = F.max_pool2d(x + self.second(x), 3, 2, padding=1)
        return self.head(F.avg_pool2d(x, 2, ceil_mode=True).flatten(1))  # type: ignore[no-any-return]


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky": lambda: nn.LeakyReLU(0.1),
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "elu": nn.ELU,
    "selu": nn.SELU,
}


def network(kind: str, act: str, seed: int, dtype: torch.dtype, steps: int = 0) -> Problem:
    """A small classifier, trained for some steps of Adam."""
    torch.manual_seed(seed)
    make = ACTIVATIONS[act]
    if kind == "mlp":
        model: nn.Module = nn.Sequential(nn.Linear(4, 6), make(), nn.Linear(6, 6), make(), nn.Linear(6, 3))
        x = torch.randn(9, 4)
    else:
        model, x = Residual(make), torch.randn(5, 1, 7, 7)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean, module.running_var = torch.randn(3), torch.rand(3) + 0.5
    y = torch.randint(3, (len(x),))
    model, x = model.to(dtype).eval(), x.to(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Problem(model, F.cross_entropy, (x, y))


@settings(max_examples=1)
@given(
    seed=seeds,
    rho=st.floats(1e-4, 0.3),
    norm=st.sampled_from(["l2", "linf"]),
    scaling=st.sampled_from(["none", "elementwise", "filter", "layer"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@pytest.mark.parametrize("act", sorted(ACTIVATIONS))
@pytest.mark.parametrize("kind", ["mlp", "residual"])
def test_no_ascent_passes_the_bound(
    kind: str, act: str, seed: int, rho: float, norm: Any, scaling: Any, dtype: torch.dtype
) -> None:
    problem = network(kind, act, seed, dtype, steps=seed % 3 * 10)
    e = worst_case_sharpness(problem, rho=rho, norm=norm, scaling=scaling, steps=10, starts=3)
    assert "bounded above by" in e.rests_on
    assert e.value <= e.high < math.inf


@settings(max_examples=3)
@given(seed=seeds, norm=st.sampled_from(["l2", "linf"]))
def test_every_part_of_the_bound_is_one(seed: int, norm: Any) -> None:
    """Each choice of slopes, the loss's box and the second-order bound alone, with smaller boxes and without: at corners of the ball."""
    from flatproof.verify.curvature.bounds.increase import SLOPES, Bounded

    problem = network("mlp", "gelu" if seed % 2 else "relu", seed, torch.float64, steps=20)
    batch, w = next(problem.batches()), problem.weights
    rho = 0.05
    draw = torch.randn(40, problem.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = draw.sign() if norm == "linf" else draw / torch.linalg.vector_norm(draw, dim=1, keepdim=True)
    gradient = problem.gradient() * w.abs()
    z[0] = gradient.sign() if norm == "linf" else gradient / torch.linalg.vector_norm(gradient)
    base, worst = problem.loss(), 0.0
    for direction in z:
        with problem.prepared(batch) as buffers:
            moved = problem.unflatten(w + rho * w.abs() * direction)
            worst = max(worst, float(problem.batch_loss(moved, buffers, batch)) - base)
    for effort in (0.0, 1e9):
        with torch.no_grad():
            bounded = Bounded(problem, batch, w.abs(), rho, norm, effort)
            slopes = [bounded.slope(mode).bound for mode in SLOPES]  # type: ignore[union-attr]
            parts = [*slopes, bounded.of_box(), bounded.of_second_order()]
            assert bounded.least_slope().bound == min(slopes)  # type: ignore[union-attr]
        assert worst <= min(parts)
        ways = [batch_bound(problem, batch, w.abs(), rho, norm, effort, sloped=sloped)[:2] for sloped in (True, False)]
        assert ways[0] == ways[1]  # what is given up sooner is not the least
        assert ways[0][0] == min(parts)
    first = float(gradient.abs().sum() if norm == "linf" else torch.linalg.vector_norm(gradient))
    small, how, _ = batch_bound(problem, batch, w.abs(), 1e-7, norm)
    assert small == pytest.approx(1e-7 * first, rel=1e-2), how  # the first order is exact


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e15])
def test_a_product_in_float32_is_a_little_above(precision: str, size: float) -> None:
    """However torch takes products in float32, and where entries underflow there."""
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    a, b = (size * torch.rand(40, 40, generator=generator, dtype=torch.float64) ** 8 for _ in range(2))
    torch.set_float32_matmul_precision(precision)
    try:
        above = _narrow(a, b)
    finally:
        torch.set_float32_matmul_precision(before)
    assert bool((above >= a @ b).all())
    assert bool((above <= a @ b * (1 + 1e-4) + 1e-34 * (1 + size)).all())


def test_radii_grow_and_smaller_boxes_help() -> None:
    problem = network("mlp", "tanh", 0, torch.float64, steps=30)
    batch, c = next(problem.batches()), problem.weights.abs()
    bounds = [batch_bound(problem, batch, c, rho, "linf")[0] for rho in (1e-4, 1e-3, 1e-2)]
    assert bounds == sorted(bounds)
    for norm in ("l2", "linf"):
        assert batch_bound(problem, batch, c, 0.05, norm)[0] < batch_bound(problem, batch, c, 0.05, norm, effort=0.0)[0]


def test_one_displacement_for_all_batches() -> None:
    """Keskar's metric has one maximum over the whole data: batches that share it bound it better than each alone."""
    one = network("mlp", "relu", 3, torch.float64, steps=40)
    batch = next(one.batches())
    two = Problem(one.model, F.cross_entropy, [(batch.inputs[:5], batch.targets[:5]), (batch.inputs[5:], batch.targets[5:])])
    whole, parts = keskar_sharpness(one, epsilon=1e-4), keskar_sharpness(two, epsilon=1e-4)
    assert whole.value <= whole.high < 1.5 * whole.value
    assert parts.value == pytest.approx(whole.value, rel=1e-6)
    assert whole.high * (1 - 1e-6) <= parts.high < 1.5 * whole.value
    assert sam_sharpness(two, rho=1e-3).gap is not None


class Shared(nn.Module):
    """Weights that are used twice, one of the uses gated, and a scalar's place in a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(torch.tanh(self.a(x))))
        return self.head(torch.sigmoid(self.b(x)) * x + (1 - x) / 2)  # type: ignore[no-any-return]


class Words(nn.Module):
    """A mean over rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(F.gelu(self.table(words)).mean(1))  # type: ignore[no-any-return]


class Tokens(nn.Module):
    """A sequence of rows, each through the same layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Dropout(), nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize(
    ("make", "loss", "shape"),
    [
        (Shared, F.cross_entropy, (6, 4)),
        (Words, F.cross_entropy, None),
        (Tokens, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])), (6, 5, 4)),
        (lambda: nn.Linear(4, 3), lambda out, y: F.mse_loss(out, torch.eye(3, dtype=out.dtype)[y]), (6, 4)),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)), F.nll_loss, (6, 4)),
        (lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU6(), nn.Linear(5, 3)), F.cross_entropy, (6, 4)),
    ],
)
def test_models_and_losses_of_other_shapes(
    make: Callable[[], nn.Module], loss: Any, shape: tuple[int, ...] | None, norm: Any
) -> None:
    """The bound lies above the ascent, and for a small radius near it."""
    torch.manual_seed(0)
    model, y = make().eval(), torch.randint(3, (6,))
    x = torch.randint(7, (6, 5)) if shape is None else torch.randn(shape)
    problem = Problem(model, loss, (x, y))
    e = worst_case_sharpness(problem, rho=1e-3, norm=norm, scaling="none")
    assert e.value <= e.high <= 1.2 * e.value, e.rests_on


# ---------------------------------------------------------------------------------------------------------------- no bound


def _problem(model: nn.Module, x: Tensor, loss: Any = None) -> Problem:
    return Problem(model, loss or (lambda out, _: out.square().mean()), (x, torch.zeros(len(x))))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w if float(self.w.detach().sum()) < 3.01 else 2 * x * self.w


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            lambda: _problem(nn.LSTM(2, 3, batch_first=True), torch.randn(4, 5, 2), lambda out, _: out[0].square().mean()),
            "no bound above",
        ),
        (lambda: _problem(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), torch.randn(4, 3)), "no rule for the operation"),
        (lambda: _problem(Branching(), torch.randn(4, 3)), "cannot be traced"),
        (lambda: replace_mode(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))), "in training mode"),
    ],
)
def test_where_there_is_no_bound_a_line_says_why(problem: Callable[[], Problem], words: str) -> None:
    torch.manual_seed(0)
    e = worst_case_sharpness(problem(), rho=0.01, norm="linf", steps=3)
    assert e.high == math.inf
    assert e.gap == math.inf
    assert words in e.rests_on
    assert "\n" not in e.rests_on


def replace_mode(model: nn.Module) -> Problem:
    return Problem(model, lambda out, _: out.square().mean(), (torch.randn(6, 3), torch.zeros(6)), mode="train")


def test_what_has_no_bound_by_choice() -> None:
    problem = network("mlp", "relu", 0, torch.float64)
    without = worst_case_sharpness(problem, steps=2, above=False)
    assert (without.high, without.rests_on) == (math.inf, "lower bound of a maximum, which the ascent may miss")
    assert "normalized logits" in worst_case_sharpness(problem, steps=2, logits="normalized").rests_on
    assert keskar_sharpness(problem, dimension=3).high == math.inf
    assert worst_case_sharpness(problem, steps=2, variant="published").gap is not None


# ------------------------------------------------------------------------------------------------------------------ curves


@settings(max_examples=20)
@given(center=st.floats(-6, 6), low=st.floats(0, 8), high=st.floats(0, 8))
@pytest.mark.parametrize(
    "curve",
    [
        *(
            curves.RELU,
            curves.ABS,
            curves.TANH,
            curves.SIGMOID,
            curves.GELU,
            curves.SILU,
            curves.SOFTPLUS,
            curves.EXP,
            curves.SQUARE,
        ),
        *(
            curves.leaky_relu(0.1),
            curves.clamp(-1, 2),
            curves.elu(1.0, 1.0, 1.0),
            curves.elu(1.67, 1.05, 1.0),
        ),
        *(curves.SQRT, curves.RECIPROCAL, curves.RSQRT, curves.LOG),
    ],
)
def test_lines_about_a_curve(curve: curves.Curve, center: float, low: float, high: float) -> None:
    """Each line holds on a fine grid of the interval, ends and extremes included, and so does the range."""
    if curve.above == 0:
        center, low = abs(center) + 8.5, min(low, 8.0)
    z, below, over = (torch.tensor([v], dtype=torch.float64) for v in (center, -low, high))
    t = torch.cat([torch.linspace(center - low, center + high, 2001, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])
    t = t[(t >= center - low) & (t <= center + high)]
    rise = curve.f(t) - curve.f(z)
    noise = 1e-14 * (1 + curve.f(t).abs())
    on = curves.Stretch(curve, z, below, over)
    least, most = on.image
    assert bool((rise >= least - noise).all() and (rise <= most + noise).all())
    for relaxed in (on.tangent, on.chords):
        assert bool((rise <= relaxed.upper * (t - z) + relaxed.high + noise).all())
        assert bool((rise >= relaxed.lower * (t - z) + relaxed.low - noise).all())
        assert float(relaxed.low) <= 0 <= float(relaxed.high)
