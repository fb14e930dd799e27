"""Every definition of sharpness against losses whose sharpness is known, and what leaves each unchanged."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from flatproof.verify.curvature import Estimate, GaussNewtonOperator, Problem
from flatproof.verify.curvature.sharpness import (
    Landscape,
    average_case_sharpness,
    fisher_rao_norm,
    keskar_sharpness,
    measures,
    sam_sharpness,
    select,
    worst_case_sharpness,
)
from flatproof.verify.curvature.sharpness.ascent import checkpoints
from flatproof.verify.curvature.sharpness.average_case import DISPLACEMENTS, DRAWS, PASSES
from flatproof.verify.curvature.sharpness.landscape import normalize

cross_entropy = nn.functional.cross_entropy
SHORT: dict[str, dict[str, Any]] = {
    "worst-linf": {"rho": 0.01, "steps": 6},
    "worst-l2": {"rho": 0.3, "steps": 6},
    "adaptive-worst-linf": {"rho": 0.02, "steps": 6},
    "adaptive-worst-l2": {"rho": 0.5, "steps": 6},
    "m-sharpness": {"steps": 5},
    "keskar": {"epsilon": 1e-2, "iterations": 3},
    "keskar-subspace": {"epsilon": 1e-2, "iterations": 3, "dimension": 5},
    "trace": {"products": 12},
    "adaptive-trace": {"products": 12},
    "filter-worst-l2": {"rho": 0.3, "steps": 6},
    "layer-worst-l2": {"rho": 0.3, "steps": 6},
    "filter-average-l2": {"draws": 8},
    "layer-average-l2": {"draws": 8},
    "relative-flatness": {"products": 24},
} | {f"{kind}average-{norm}": {"draws": 8} for kind in ("", "adaptive-") for norm in ("l2", "linf")}


DEFINED = {name: measure for name, measure in measures().items() if "geodesic" not in name}  # for a network without attention


class Explicit:
    """The explicit Hessian of a landscape as an operator."""

    def __init__(self, landscape: Landscape) -> None:
        def loss(delta: Tensor) -> Tensor:
            parts = [b.weight * landscape.compare(landscape.outputs(delta, b), b) for b in landscape.batches()]
            return torch.stack(parts).sum()

        self.problem, self.products = landscape.problem, 0
        self.matrix = torch.autograd.functional.hessian(loss, torch.zeros_like(landscape.weights))
        self.shape, self.dtype, self.device = tuple(self.matrix.shape), self.matrix.dtype, self.matrix.device

    def matvec(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector

    def matmat(self, block: Tensor) -> Tensor:
        self.products += block.shape[1]
        return self.matrix @ block


def network(seed: int, classes: int = 3, hidden: int = 4, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, classes, bias=bias)).double()


def rescaled(model: nn.Sequential, factors: Tensor) -> nn.Sequential:
    """The same function: neuron j's incoming weights times factors[j], its outgoing ones divided by it."""
    first, last = model[0], model[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    twin = network(0, last.out_features, first.out_features, first.bias is not None)
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        twin[0].weight.mul_(factors[:, None])  # type: ignore[operator, union-attr]
        twin[0].bias.mul_(factors)  # type: ignore[operator, union-attr]
        twin[2].weight.div_(factors)  # type: ignore[operator, union-attr]
    return twin


def louder(model: nn.Sequential, factor: float) -> nn.Sequential:
    """The logits times a factor."""
    return nn.Sequential(model, _Times(factor))


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def points(seed: int, n: int = 14) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (n,), generator=generator)
    return [(x[:5], y[:5]), (x[5:], y[5:])]


def landscape(model: nn.Module, seed: int = 0) -> Landscape:
    return Landscape(Problem(model, cross_entropy, points(seed)))


class Quadratic(nn.Module):
    """w itself as output, so that a loss of outputs is a loss of parameters."""

    def __init__(self, w: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x), -1)


def quadratic(w: list[float], curvature: list[float]) -> Landscape:
    """L(w) = sum_i curvature_i w_i^2 / 2."""
    h = torch.tensor(curvature, dtype=torch.float64)
    single = torch.ones(1, 1, dtype=torch.float64)
    return Landscape(Problem(Quadratic(w), lambda out, _: (h * out.square()).sum() / (2 * len(out)), (single, single)))


def test_every_measure_of_the_papers_is_there() -> None:
    assert set(measures()) == {
        *("trace", "adaptive-trace", "lambda-max", "adaptive-lambda-max"),
        *("sam", "m-sharpness", "keskar", "keskar-subspace", "fisher-rao", "fisher-rao-model"),
        *("worst-l2", "worst-linf", "adaptive-worst-l2", "adaptive-worst-linf"),
        *("average-l2", "average-linf", "adaptive-average-l2", "adaptive-average-linf"),
        *("filter-worst-l2", "layer-worst-l2", "filter-average-l2", "layer-average-l2"),
        *("geodesic", "geodesic-mixed", "relative-flatness"),
    }
    assert list(select(["trace"])) == ["trace"]
    with pytest.raises(ValueError, match="unknown measure 'flatness'; expected some of: "):
        select(["flatness"])


def test_one_call_for_all() -> None:
    place = landscape(network(0))
    operator = Explicit(place)
    for name, measure in DEFINED.items():
        e = measure(operator, **SHORT.get(name, {}))
        assert e.low <= e.value <= e.high, name
        assert e.samples == 14, name
        assert e.mode == "eval", name
        assert e.source, name
        assert e.rests_on, name
        assert (e.products > 0) == (measure.needs in ("products", "problem")), name
        assert (e.losses + e.gradients > 0) == (measure.needs in ("loss", "problem")), name


def test_trace_and_lambda_max_against_the_explicit_hessian() -> None:
    place = landscape(network(1))
    operator = Explicit(place)
    w = place.weights
    scaled = w.abs()[:, None] * operator.matrix * w.abs()
    for name, matrix in (("", operator.matrix), ("adaptive-", scaled)):
        assert measures()[name + "lambda-max"](operator).covers(float(torch.linalg.eigvalsh(matrix)[-1]))
        exact = measures()[name + "trace"](operator, products=2 * place.size)
        assert exact.value == pytest.approx(float(matrix.trace()))


def test_worst_case_on_quadratics() -> None:
    """max over the ball of a quadratic: known at the minimum and on the box; the ascent reaches it, and is a lower bound."""
    flat = quadratic([0.0, 0.0], [4.0, 1.0])
    e = worst_case_sharpness(flat, rho=0.5, scaling="none", steps=40)
    assert e.value == pytest.approx(4 * 0.25 / 2, rel=1e-2)
    assert e.value <= 0.5 + 1e-12
    assert e.low == e.value
    assert 0.5 <= e.high <= 0.5 * (1 + 1e-9)  # and the bound is the maximum
    tilted = quadratic([1.0, -2.0], [4.0, 1.0])
    box = worst_case_sharpness(tilted, rho=0.5, norm="linf", scaling="none", steps=5)
    assert box.value == pytest.approx((4 * 1.5**2 + 2.5**2) / 2 - 4)
    adaptive = worst_case_sharpness(tilted, rho=0.5, norm="linf", steps=5)
    assert adaptive.value == pytest.approx((4 * 1.5**2 + 3**2) / 2 - 4)


def test_average_case_on_quadratics() -> None:
    tilted = quadratic([1.0, -2.0], [4.0, 1.0])
    for norm, variance in (("l2", 1.0), ("linf", 1 / 3)):
        plain = average_case_sharpness(tilted, rho=0.1, norm=norm, scaling="none", draws=2000)  # type: ignore[arg-type]
        assert plain.low <= 0.01 * variance * (4 + 1) / 2 <= plain.high
        adaptive = average_case_sharpness(tilted, rho=0.1, norm=norm, draws=2000)  # type: ignore[arg-type]
        assert adaptive.low <= 0.01 * variance * (4 * 1 + 1 * 4) / 2 <= adaptive.high
    w, h = np.linspace(0.5, 1.5, 40), np.linspace(0, 2, 40)
    many, truth = quadratic(w.tolist(), h.tolist()), 0.01 * np.sum(w**2 * h) / 2
    covered = [average_case_sharpness(many, draws=40, seed=s).covers(truth) for s in range(80)]
    assert np.mean(covered) >= 0.88  # nominal 0.95


@pytest.mark.parametrize("law", ["chi-square", "exponential", "lognormal"])
@pytest.mark.parametrize("batches", [2, 5, 10, 40])
def test_passes_of_skewed_draws_cover_as_draws_do(batches: int, law: str) -> None:
    """4,000 seeds: Student's t over passes, each the mean of a draw a batch, falls no further below 95 % than over 50 draws of the data."""
    rng = np.random.default_rng(0)
    draw, mean = {
        "chi-square": (lambda size: rng.chisquare(1, size), 1.0),
        "exponential": (lambda size: rng.exponential(1, size), 1.0),
        "lognormal": (lambda size: rng.lognormal(0, 1, size), np.exp(0.5)),
    }[law]

    def coverage(passes: int, batches: int) -> float:
        values = draw((4000, passes, batches)).mean(axis=2)
        half = scipy.stats.t.ppf(0.975, passes - 1) * values.std(axis=1, ddof=1) / np.sqrt(passes)
        return float(np.mean(np.abs(values.mean(axis=1) - mean) <= half))

    passes = max(PASSES // 2, -(-DISPLACEMENTS // 2 // batches))
    reached = coverage(passes, batches)
    assert reached >= coverage(DRAWS // 2, 1) - 0.015
    assert reached >= {"chi-square": 0.91, "exponential": 0.925, "lognormal": 0.885}[law]


def test_batches_with_displacements_of_their_own_cover_in_narrower_intervals() -> None:
    w, batches = torch.linspace(0.5, 1.5, 30, dtype=torch.float64), 8
    h = torch.rand(batches, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = [(torch.full((1, 1), float(b), dtype=torch.float64), torch.zeros(1)) for b in range(batches)]

    class Curved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(w.clone())

        def forward(self, x: Tensor) -> Tensor:
            return h[int(x)] * self.w.square() / 2

    place = Problem(Curved(), lambda out, _: out.sum(), data)
    truth = 0.01 * float((h.mean(0) * w.square()).sum()) / 2
    own = [average_case_sharpness(place, seed=s) for s in range(40)]
    shared = average_case_sharpness(place, draws=30)
    assert own[0].losses == 31
    assert np.mean([e.covers(truth) for e in own]) >= 0.88
    error = np.array([e.value - truth for e in own])
    assert abs(error.mean()) <= 4 * error.std() / np.sqrt(len(error))
    assert np.mean([e.high - e.low for e in own]) < 0.6 * (shared.high - shared.low)


def test_sam_on_quadratics() -> None:
    tilted = quadratic([1.0, -2.0], [4.0, 1.0])
    g = np.array([4.0, -2.0])
    moved = np.array([1.0, -2.0]) + 0.3 * g / np.linalg.norm(g)
    e = sam_sharpness(tilted, rho=0.3)
    assert e.value == pytest.approx(np.array([4, 1]) @ moved**2 / 2 - 4)
    assert (e.gradients, e.losses) == (1, 1)
    assert sam_sharpness(tilted, rho=0.3, point="ascent").value >= e.value


def test_keskar_on_quadratics() -> None:
    tilted = quadratic([1.0, -2.0], [4.0, 1.0])
    e = keskar_sharpness(tilted, epsilon=0.1)
    top = (4 * 1.2**2 + 2.3**2) / 2
    assert e.value == pytest.approx(100 * (top - 4) / 5)
    line = keskar_sharpness(tilted, epsilon=0.1, dimension=1, seed=3)
    assert 0 < line.value < e.value
    assert keskar_sharpness(tilted, epsilon=0.1, start="random").value <= e.value + 1e-9
    with pytest.raises(ValueError, match="dimension must be at most the number of parameters 2, got 3"):
        keskar_sharpness(tilted, dimension=3)


def test_fisher_rao_against_autograd() -> None:
    place = landscape(network(2))
    w = place.weights
    rows = [place.value_and_gradient(None, sample)[1] for sample in place.batches(1)]
    truth = float((torch.stack(rows) @ w).square().mean())
    assert fisher_rao_norm(place).value == pytest.approx(truth)
    # Gauss-Newton of cross-entropy: the variance, under the model's own distribution, of the logits' derivative along w
    total = 0.0
    for b in place.batches():
        out, along = torch.func.jvp(partial(place.outputs, batch=b), (torch.zeros_like(w),), (w,))
        p = out.softmax(dim=1)
        total += float(((p * along.square()).sum(dim=1) - (p * along).sum(dim=1).square()).sum())
    assert fisher_rao_norm(place, fisher="model").value == pytest.approx(total / 14)


class Recurrent(nn.Module):
    """Torch has no forward derivative of an LSTM; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(3, 2, batch_first=True), nn.Linear(2, 3)
        self.double()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.rnn(x.unflatten(1, (1, -1)))[0][:, -1]
        return self.head(h), h


def test_fisher_rao_of_several_outputs_without_a_forward_derivative() -> None:
    def loss(z: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        return cross_entropy(z[0], y) + z[1].square().sum(1).mean()

    torch.manual_seed(0)
    model, x, y = Recurrent(), torch.randn(5, 3, dtype=torch.float64), torch.randint(3, (5,))
    w = torch.cat([p.detach().flatten() for p in model.parameters()])
    along = []
    for a, b in zip(x, y, strict=True):
        grads = torch.autograd.grad(loss(model(a[None]), b[None]), list(model.parameters()))
        along.append(float(torch.cat([g.flatten() for g in grads]) @ w))
    assert fisher_rao_norm(Problem(model, loss, (x, y))).value == pytest.approx(np.mean(np.square(along)))
    newton = GaussNewtonOperator(model, loss, (x, y))
    assert fisher_rao_norm(newton, fisher="model").value == pytest.approx(float(w @ newton.matvec(w)))
    with pytest.raises(ValueError, match="one row a sample"):
        fisher_rao_norm(Problem(Total(), lambda z, _: z, (x, y)))


class Total(Recurrent):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x)[0].square().mean()


@pytest.mark.parametrize("scale", [1e20, 1.0, 1e-25])
def test_an_ascent_of_any_scale_in_float32(scale: float) -> None:
    """The square of a gradient of 1e20 is not finite in float32, that of 1e-25 is 0."""
    model, x, y = network(3).float(), torch.randn(6, 3), torch.randint(3, (6,))
    found = sam_sharpness(Problem(model, lambda z, t: scale * cross_entropy(z, t), (x, y)), above=False).value
    assert found / scale == pytest.approx(sam_sharpness(Problem(model, cross_entropy, (x, y)), above=False).value, rel=1e-4)
    assert found > 0


@pytest.mark.parametrize("name", [name for name in DEFINED if name != "keskar-subspace"])
def test_another_default_device_changes_nothing(name: str) -> None:
    """As of torch.set_default_device: what the model itself makes follows it, what the measures make does not."""
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randint(3, (6,))
    settings = SHORT.get(name, {})
    wanted = DEFINED[name](Problem(network(3), cross_entropy, (x, y)), **settings)
    problem = Problem(network(3), cross_entropy, (x, y))
    with torch.device("meta"):
        found = DEFINED[name](problem, **settings)
    assert (found.value, found.low, found.high) == (wanted.value, wanted.low, wanted.high)


def test_bounds_of_a_network_with_an_empty_parameter() -> None:
    class Tokens(nn.Module):
        """Prompt tokens, of which there are none."""

        def __init__(self) -> None:
            super().__init__()
            self.net, self.prompt = network(3), nn.Parameter(torch.zeros(0, 3, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net(x + x @ self.prompt.T @ self.prompt)
            return out

    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randint(3, (6,))
    with_one, without = (worst_case_sharpness(Problem(m, cross_entropy, (x, y)), scaling="none") for m in (Tokens(), network(3)))
    assert with_one.value == pytest.approx(without.value)
    assert with_one.value <= with_one.high


def test_m_sharpness_grows_as_batches_shrink() -> None:
    place = landscape(network(3))
    by_size = [sam_sharpness(place, rho=1e-3, batch_size=m).value for m in (14, 7, 1)]
    assert by_size[0] < by_size[1] < by_size[2]
    assert [batch.samples for batch in place.batches(4)] == [4, 4, 4, 2]


INVARIANT_TO_RESCALING = {name for name, m in DEFINED.items() if "ReLU" in m.invariant}
INVARIANT_TO_LAYERS = {name for name, m in DEFINED.items() if "whole layers" in m.invariant}
CHANGED_BY_RESCALING = set(DEFINED) - INVARIANT_TO_RESCALING - INVARIANT_TO_LAYERS


def test_what_claims_invariance_to_rescaling() -> None:
    assert {
        *("adaptive-trace", "adaptive-lambda-max", "fisher-rao", "fisher-rao-model"),
        *("adaptive-worst-l2", "adaptive-worst-linf", "adaptive-average-l2", "adaptive-average-linf"),
    } == INVARIANT_TO_RESCALING
    asam = ("filter-worst-l2", "layer-worst-l2", "filter-average-l2", "layer-average-l2")
    assert {*asam, "relative-flatness"} == INVARIANT_TO_LAYERS


@given(seed=st.integers(0, 10**6), factors=st.lists(st.floats(0.2, 5), min_size=4, max_size=4))
def test_invariance_to_rescaling(seed: int, factors: list[float]) -> None:
    model = network(seed)
    pair = [Explicit(landscape(m, seed)) for m in (model, rescaled(model, torch.tensor(factors, dtype=torch.float64)))]
    for name in INVARIANT_TO_RESCALING:
        settings = SHORT.get(name, {}) | ({"tolerance": 1e-10} if "lambda" in name else {})
        first, second = (measures()[name](p, **settings) for p in pair)
        assert second.value == pytest.approx(first.value, rel=1e-6, abs=1e-9), name


def test_what_rescaling_changes() -> None:
    model = network(5)
    pair = [Explicit(landscape(m)) for m in (model, rescaled(model, torch.full((4,), 8.0, dtype=torch.float64)))]
    for name in CHANGED_BY_RESCALING:
        first, second = (measures()[name](p, **SHORT.get(name, {})) for p in pair)
        assert abs(second.value - first.value) > 0.05 * abs(first.value), name


@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10), logits=st.sampled_from(["normalized", "standardized"]))
def test_invariance_to_the_logits_scale(seed: int, factor: float, logits: Any) -> None:
    model = network(seed)
    measured: tuple[tuple[Callable[..., Estimate], dict[str, int]], ...] = (
        (worst_case_sharpness, {"steps": 5}),
        (average_case_sharpness, {"draws": 6}),
    )
    for measure, settings in measured:
        first, second = (measure(landscape(m, seed), logits=logits, **settings) for m in (model, louder(model, factor)))
        assert second.value == pytest.approx(first.value, rel=1e-6, abs=1e-9)


def test_what_the_logits_scale_changes() -> None:
    pair = [Explicit(landscape(m)) for m in (network(6), louder(network(6), 4.0))]
    for name, measure in DEFINED.items():
        first, second = (measure(p, **SHORT.get(name, {})) for p in pair)
        assert abs(second.value - first.value) > 0.05 * abs(first.value), name


@given(seed=st.integers(0, 1000))
def test_longer_ascents_find_no_less_and_random_directions_no_more(seed: int) -> None:
    place = landscape(network(seed), seed)
    first = sam_sharpness(place, rho=0.2, batch_size=14).value
    ascended = sam_sharpness(place, rho=0.2, batch_size=14, point="ascent", steps=15).value
    assert ascended >= first - 1e-12
    direction = torch.randn(place.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    (whole,) = place.batches(14)
    delta = 0.2 * direction / direction.norm()
    assert place.value(delta, whole) - place.value(None, whole) <= ascended + 1e-9


def test_normalized_logits() -> None:
    out = normalize(torch.tensor([[3.0, 5.0, 1.0], [2.0, 2.0, 2.0]]), "normalized")
    assert (out - out.mean(dim=1, keepdim=True))[0].norm() == pytest.approx(1)
    assert torch.equal(out[1], torch.zeros(3))
    with pytest.raises(ValueError, match="needs outputs of shape"):
        normalize(torch.ones(4), "normalized")


def test_checkpoints_of_auto_pgd() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]


def test_train_mode_touches_nothing_and_freezes_dropout() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)).double()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    model.eval()
    place = Landscape(Problem(model, cross_entropy, points(0), mode="train"))
    assert place.total(None) == place.total(None)
    assert place.total(None) != Landscape(Problem(model, cross_entropy, points(0))).total(None)
    assert place.total_and_gradient(None)[0] == pytest.approx(place.total(None))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training
    assert torch.equal(state, torch.get_rng_state())
    assert average_case_sharpness(place, draws=4).mode == "train"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: worst_case_sharpness(p, rho=0.0), "rho must be a finite number above 0"),
        (lambda p: worst_case_sharpness(p, norm="l1"), "norm must be one of l2, linf"),
        (lambda p: worst_case_sharpness(p, scaling="tensor"), "scaling must be one of none, elementwise, filter, layer"),
        (lambda p: average_case_sharpness(p, logits="loud"), "logits must be one of"),
        (lambda p: average_case_sharpness(p, draws=1), "draws must be a whole number of at least 4"),
        (lambda p: sam_sharpness(p, batch_size=0), "batch_size must be a whole number of at least 1"),
        (lambda p: sam_sharpness(p, point="best"), "point must be one of"),
        (lambda p: keskar_sharpness(p, epsilon=-1), "epsilon must be a finite number above 0"),
        (
            lambda p: worst_case_sharpness(quadratic([1.0], [1.0]), rho=1e200, scaling="none"),
            "the loss is not finite at a displaced point",
        ),
    ],
)
def test_bad_settings(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(landscape(network(0)))


def test_a_bare_matrix_has_no_loss() -> None:
    with pytest.raises(TypeError, match="expected a Problem, got Tensor"):
        worst_case_sharpness(torch.eye(3))


def test_a_problem_is_enough() -> None:
    """Its Hessian is built, and counts as its data and mode."""
    place = landscape(network(0))
    e = measures()["trace"](place.problem, products=12)
    assert e.value == pytest.approx(measures()["trace"](Explicit(place), products=12).value)
    assert (e.products, e.samples, e.mode) == (12, 14, "eval")
