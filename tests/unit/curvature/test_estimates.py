"""Bounds and intervals against matrices whose eigenvalues are known, and two-layer spectra against explicit Hessians."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flatproof.theory.networks import ARCHITECTURES, Architecture, Network, forward, trace_of_hessian
from flatproof.verify.curvature.density import gauss_bias, spectral_density, spectral_sum
from flatproof.verify.curvature.estimates import Estimate, Symmetric
from flatproof.verify.curvature.lanczos import christoffel_bound, eigenvalues, lambda_max, probability_quantile
from flatproof.verify.curvature.operators import HessianOperator
from flatproof.verify.curvature.traces import hutchinson, hutchpp, trace, xtrace
from flatproof.verify.curvature.two_layer.spectrum import gram, whole_spectrum
from flatproof.verify.two_layer.modules import TwoLayer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices: threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Dense:
    """A matrix as an operator."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.products = matrix, 0
        self.shape = (len(matrix), len(matrix))
        self.dtype, self.device = matrix.dtype, matrix.device

    def matvec(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector

    def matmat(self, block: Tensor) -> Tensor:
        self.products += block.shape[1]
        return self.matrix @ block


def with_spectrum(values: np.ndarray, seed: int, dtype: torch.dtype = torch.float64) -> Dense:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    matrix = (basis * values) @ basis.T
    return Dense(torch.as_tensor((matrix + matrix.T) / 2, dtype=dtype))


SPECTRA: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "outliers": lambda rng, p: np.r_[10, 8, 7, 5, 3, 0.3 * np.abs(rng.standard_normal(p - 5))],
    "flat": lambda rng, p: rng.uniform(-1, 1, p),
    "power": lambda rng, p: 1 / np.arange(1, p + 1.0),
    "close": lambda rng, p: np.r_[1.0, 1 - 1e-3, 1 - 1e-2, rng.uniform(0, 0.95, p - 3)],
    "low rank": lambda rng, p: np.r_[3.0, 2, 2, -1, np.zeros(p - 4)],
    "negative": lambda rng, p: -np.abs(rng.standard_normal(p)) - 0.1,
}


def test_dense_is_an_operator() -> None:
    assert isinstance(with_spectrum(np.ones(2), 0), Symmetric)


@pytest.mark.parametrize("stop", ["interval", "residual", "ritz"])
def test_the_bounds_of_lambda_max_cover_it(stop: str, record_property: Callable[[str, object], None]) -> None:
    """At least 99 % of all trials at the default 99.5 %; the inner end and the residual bound in all of them."""
    covered, inner, near, within, trials = 0, 0, 0, 0, 0
    for place, (name, spectrum) in enumerate(SPECTRA.items()):
        for trial in range(100 if stop == "interval" else 30):
            seed = 1000 * place + trial  # starts of their own: the bound's only random event is the start
            rng = np.random.default_rng(seed)
            values = spectrum(rng, int(rng.integers(20, 60)))
            found = eigenvalues(with_spectrum(values, seed), stop=stop, seed=seed)  # type: ignore[arg-type]
            e, truth = found[0], values.max()
            trials += 1
            covered += e.covers(truth)
            inner += e.low <= truth
            near += np.abs(values - e.value).min() <= found.residuals[0] + 1e-12
            within += abs(e.value - truth) <= 0.01 * abs(truth)
            assert found.converged, name
    record_property("coverage", float(covered / trials))
    assert covered >= 0.99 * trials
    assert inner == near == trials
    if stop == "interval":
        assert within >= 0.99 * trials


@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_either_end_single_and_block(which: str, block: int) -> None:
    covered = trials = 0
    for place, spectrum in enumerate(SPECTRA.values()):
        for seed in range(100 * place, 100 * place + 10):
            values = spectrum(np.random.default_rng(seed), 40)
            truth = {"largest": values.max(), "smallest": values.min(), "magnitude": values[np.abs(values).argmax()]}[which]
            e = eigenvalues(with_spectrum(values, seed), which=which, block=block, seed=seed)[0]  # type: ignore[arg-type]
            covered += e.low <= truth <= e.high or (which == "magnitude" and e.low <= abs(truth) <= e.high)
            trials += 1
    assert covered >= 0.99 * trials


class Leaning(Dense):
    """A matrix that tells directions: eigenvectors by their place, the largest first."""

    def __init__(self, matrix: Tensor, places: tuple[int, ...]) -> None:
        super().__init__(matrix)
        self.places = places

    def directions(self) -> Tensor:
        return torch.linalg.eigh(self.matrix)[1].flip(1)[:, list(self.places)]


@pytest.mark.parametrize("places", [(0,), (0, 1), (1,), (5, -1)])
@pytest.mark.parametrize("which", ["largest", "magnitude"])
def test_leaning_towards_whatever_keeps_the_bound(places: tuple[int, ...], which: str) -> None:
    """The hint may be the top eigenvector or have no part in it: the interval covers as often."""
    covered = trials = 0
    for place, spectrum in enumerate(SPECTRA.values()):
        for seed in range(100 * place, 100 * place + 25):
            values = spectrum(np.random.default_rng(seed), 40)
            operator = Leaning(with_spectrum(values, seed).matrix, places)
            stop = ("interval", "ritz")[seed % 2]
            e = eigenvalues(operator, which=which, lean=True, stop=stop, seed=seed)[0]  # type: ignore[arg-type]
            if which == "largest":
                covered += e.covers(values.max())
            else:  # two ends may be equally far from 0: the interval is of the distance
                covered += abs(e.low if e.value > 0 else e.high) <= np.abs(values).max() <= abs(e.high if e.value > 0 else e.low)
            trials += 1
    assert covered >= 0.99 * trials


def test_a_good_hint_saves_products_and_a_hint_is_not_used_for_the_other_end() -> None:
    values = np.r_[20.0, SPECTRA["flat"](np.random.default_rng(0), 400)]
    matrix = with_spectrum(values, 0).matrix
    told, untold = Leaning(matrix, (0,)), Dense(matrix)
    assert eigenvalues(told, stop="ritz")[0].products < eigenvalues(untold, stop="ritz")[0].products
    assert eigenvalues(told, stop="ritz")[0].gradients == 1
    assert eigenvalues(told)[0].gradients == 0  # a proof is asked for: the start stays random
    assert eigenvalues(told, which="smallest", lean=True)[0].value == eigenvalues(untold, which="smallest")[0].value


def test_top_k_pairs() -> None:
    values = SPECTRA["outliers"](np.random.default_rng(0), 80)
    operator = with_spectrum(values, 0)
    found = eigenvalues(operator, 4, tolerance=1e-6, vectors=True)
    assert found.values == pytest.approx([10, 8, 7, 5], rel=1e-6)
    assert all(e.covers(v) for e, v in zip(found.estimates, (10, 8, 7, 5), strict=True))
    assert found.vectors is not None
    residual = operator.matrix @ found.vectors - found.vectors * torch.as_tensor(found.values)
    assert torch.linalg.vector_norm(residual, dim=0).numpy() == pytest.approx(found.residuals, abs=1e-10)


def test_multiplicity_shows_in_a_block() -> None:
    values = np.r_[2.0, 2, 2, np.linspace(0, 1, 30)]
    assert eigenvalues(with_spectrum(values, 0), 3, block=3).values == pytest.approx([2, 2, 2], rel=1e-4)


def test_a_budget_that_ends_leaves_an_honest_interval() -> None:
    values = SPECTRA["close"](np.random.default_rng(1), 200)
    found = eigenvalues(with_spectrum(values, 1), tolerance=1e-9, max_products=8)
    assert not found.converged
    assert found[0].products == 8
    assert found[0].covers(1.0)


def test_single_precision_widens_the_bounds_enough() -> None:
    for seed in range(30):
        values = SPECTRA["outliers"](np.random.default_rng(seed), 150)
        operator = with_spectrum(values, seed, torch.float32)
        e = lambda_max(operator, tolerance=1e-3, seed=seed, confidence=0.9999)
        assert e.covers(float(torch.linalg.eigvalsh(operator.matrix.double()).max()))


def test_a_given_start_promises_one_side_only() -> None:
    operator = with_spectrum(np.arange(1.0, 21), 0)
    e = eigenvalues(operator, start=torch.ones(20, dtype=torch.float64))[0]
    assert e.low <= 20 < e.high == np.inf
    assert e.confidence is None


@pytest.mark.parametrize("size", [1, 2])
def test_tiny_and_zero_operators(size: int) -> None:
    assert lambda_max(with_spectrum(np.full(size, 3.0), 0)).value == pytest.approx(3)
    assert lambda_max(Dense(torch.zeros(size, size))).value == 0


def test_few_products() -> None:
    """1 % with a proof takes fewer products than power iteration takes to stop at PyHessian's rule (relative change 1e-3)."""
    values = SPECTRA["outliers"](np.random.default_rng(0), 400)
    for seed in range(5):
        operator = with_spectrum(values, 0)
        rng = np.random.default_rng(seed)
        v, last, steps = rng.standard_normal(400), None, 0
        v /= np.linalg.norm(v)
        while True:
            w = operator.matrix.numpy() @ v
            steps, now = steps + 1, v @ w
            v = w / np.linalg.norm(w)
            if last is not None and abs(now - last) < 1e-3 * abs(last):
                break
            last = now
        assert lambda_max(operator, seed=seed).products < steps


def test_christoffel_bound_is_the_crossing() -> None:
    alphas, betas = np.array([0.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])  # p_j: Chebyshev's, second kind, at lambda / 2
    bound = christoffel_bound(alphas, betas, 100.0)
    u = [1.0, bound, bound**2 - 1, bound**3 - 2 * bound]
    assert np.sum(np.square(u)) == pytest.approx(100, rel=1e-6)
    assert probability_quantile(0.99) == pytest.approx(0.012533, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"k": 0}, "k must be a whole number"),
        ({"k": 9}, "k must be at most the operator's size 5, got 9"),
        ({"tolerance": 0.0}, "tolerance must be a finite number above 0"),
        ({"confidence": 1.0}, "confidence must lie strictly between 0 and 1"),
        ({"which": "biggest"}, "which must be one of largest, smallest, magnitude"),
        ({"stop": "soon"}, "stop must be one of"),
        ({"start": torch.ones(4)}, "start must have shape"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_bad_settings(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        eigenvalues(with_spectrum(np.arange(5.0), 0), **settings)  # type: ignore[arg-type]


def test_a_product_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="product 1 of the operator holds NaN or infinity"):
        lambda_max(Dense(torch.full((3, 3), torch.nan)))


@pytest.mark.parametrize(("method", "least"), [("hutchinson", 0.90), ("hutch++", 0.90), ("xtrace", 0.93)])
def test_trace_intervals_cover(method: str, least: float, record_property: Callable[[str, object], None]) -> None:
    """Nominal 95 %. Student's t is approximate for the skewed forms of a few eigenvalues; what is reached is recorded."""
    coverage = {}
    for name, spectrum in SPECTRA.items():
        values = spectrum(np.random.default_rng(0), 100)
        operator = with_spectrum(values, 0)
        trials = 150
        held = [trace(operator, method, products=30, seed=s).covers(values.sum()) for s in range(trials)]  # type: ignore[arg-type]
        coverage[name] = float(np.mean(held))
        assert coverage[name] >= least, name
    record_property("coverage", coverage)


def test_trace_is_unbiased_and_counts_its_products() -> None:
    values = SPECTRA["outliers"](np.random.default_rng(0), 60)
    for method in (hutchinson, hutchpp, xtrace):
        estimates = [method(with_spectrum(values, 0), products=24, seed=s) for s in range(150)]
        assert all(e.products == 24 for e in estimates)
        error = np.array([e.value - values.sum() for e in estimates])
        assert abs(error.mean()) <= 4 * error.std() / np.sqrt(len(error))


def test_low_rank_is_exact() -> None:
    operator = with_spectrum(SPECTRA["low rank"](np.random.default_rng(0), 80), 0)
    for e in (hutchpp(operator, products=30), xtrace(operator, products=30)):
        assert e.value == pytest.approx(6, abs=1e-10)
        assert e.confidence is None
        assert e.covers(6.0)
    assert xtrace(Dense(torch.zeros(9, 9))).value == 0


def test_hutchinson_on_a_tolerance_keeps_its_coverage() -> None:
    values = SPECTRA["flat"](np.random.default_rng(0), 100) + 0.5
    operator = with_spectrum(values, 0)
    estimates = [hutchinson(operator, products=20, tolerance=0.05, seed=s) for s in range(100)]
    assert np.mean([e.covers(values.sum()) for e in estimates]) >= 0.9
    assert np.median([e.relative_error for e in estimates]) <= 0.05
    assert max(e.products for e in estimates) > 20


def test_density_covers_the_smoothed_spectrum() -> None:
    for name in ("outliers", "flat", "power"):
        values = SPECTRA[name](np.random.default_rng(0), 200)
        shares = []
        for seed in range(5):
            d = spectral_density(with_spectrum(values, 0), probes=8, steps=30, seed=seed)
            truth = np.exp(-(((d.grid[:, None] - values) / d.width) ** 2) / 2).mean(axis=1) / (d.width * np.sqrt(2 * np.pi))
            shares.append(np.mean((d.low - 1e-12 <= truth) & (truth <= d.high + 1e-12)))
        assert np.mean(shares) >= 0.93, name
        assert np.trapezoid(d.density, d.grid) == pytest.approx(1, abs=2e-2)
        assert d.mass.products == 240


def test_spectral_sums() -> None:
    values = np.random.default_rng(0).uniform(0, 2, 100)
    operator = with_spectrum(values, 0)
    covered = 0
    for seed in range(60):
        e = spectral_sum(operator, np.exp, probes=8, steps=12, seed=seed)
        covered += e.covers(np.exp(values).sum())
    assert covered >= 54
    value, low, high = spectral_density(operator, probes=8).count(1.0, 3.0)
    assert low <= (values > 1).sum() <= high
    assert low <= value <= high


def test_gauss_bias_is_a_bound() -> None:
    steps, width, eigenvalue = 12, 0.12, np.linspace(-1, 1, 101)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    exact = np.polynomial.legendre.leggauss(400)
    for t in eigenvalue:
        rule = np.sum(weights * np.exp(-(((nodes - t) / width) ** 2) / 2)) / 2
        truth = np.sum(exact[1] * np.exp(-(((exact[0] - t) / width) ** 2) / 2)) / 2
        assert abs(rule - truth) / (np.sqrt(2 * np.pi) * width) <= gauss_bias(1.0, width, steps)


def random_network(architecture: Architecture, m: int, d: int, seed: int, epsilon: float = 1e-3) -> Network:
    rng = np.random.default_rng(seed)
    b1 = None if architecture == "no-bias" else rng.standard_normal(m)
    gamma = rng.standard_normal(m) if architecture == "sim-bn" else None
    return Network(rng.standard_normal((m, d)), rng.standard_normal(m), b1, gamma, architecture, epsilon)


def explicit_hessian(network: Network, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    model = TwoLayer(network, x)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y)

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [s.numel() for s in shapes.values()])
        tensors = {name: part.view(s) for (name, s), part in zip(shapes.items(), parts, strict=True)}
        return (torch.func.functional_call(model, tensors, (inputs,)) - targets).square().mean()

    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return torch.autograd.functional.hessian(loss, flat).numpy()


@given(
    architecture=st.sampled_from(ARCHITECTURES),
    m=st.integers(1, 6),
    n=st.integers(1, 12),
    d=st.integers(1, 9),
    seed=st.integers(0, 10**6),
    interpolating=st.booleans(),
    floored=st.booleans(),
)
def test_whole_spectrum(
    architecture: Architecture, m: int, n: int, d: int, seed: int, interpolating: bool, floored: bool
) -> None:
    network = random_network(architecture, m, d, seed, epsilon=2.0 if floored else 1e-3)
    rng = np.random.default_rng(seed + 1)
    x = rng.standard_normal((n, d))
    y = forward(network, x) if interpolating else rng.standard_normal(n)
    hessian = explicit_hessian(network, x, y)
    if not np.isfinite(hessian).all():
        return
    truth = np.linalg.eigvalsh(hessian)[::-1]
    found = whole_spectrum(network, x, y)
    scale = np.abs(truth).max() + 1
    assert len(found.all()) == found.size == len(truth)
    assert np.abs(found.all() - truth).max() <= 1e-8 * scale
    assert found.trace().value == pytest.approx(trace_of_hessian(network, x, y), abs=1e-8 * scale * len(truth))
    if interpolating:
        assert found.method == "gram"
        assert whole_spectrum(TwoLayer(network, x), x).all() == pytest.approx(found.all())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gram_against_autograd(architecture: Architecture) -> None:
    network, x = random_network(architecture, 7, 4, 0), np.random.default_rng(1).standard_normal((9, 4))
    model, inputs = TwoLayer(network, x), torch.as_tensor(x)
    f = model(inputs)
    rows = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(v, list(model.parameters()), retain_graph=True)]) for v in f]
    jacobian = torch.stack(rows).numpy()
    assert gram(network, x) == pytest.approx(jacobian @ jacobian.T, abs=1e-11)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_lanczos_agrees_with_the_whole_spectrum(architecture: Architecture) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    model = TwoLayer(random_network(architecture, 8, 5, 0), x)
    exact = whole_spectrum(model, x, y)
    data = torch.as_tensor(x), torch.as_tensor(y)
    operator = HessianOperator(model, lambda f, t: (f - t).square().mean(), data)
    e = lambda_max(operator)
    assert e.covers(exact.lambda_max().value)
    assert (e.samples, e.mode) == (12, "eval")
    assert xtrace(operator, products=40).covers(exact.trace().value)


def test_large_plain_network_needs_no_large_matrix() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (40, 20))
    found = whole_spectrum(random_network("bias", 150, 20, 0), x, x[:, 0] * x[:, 1], limit=400)
    assert found.method == "low-rank"
    assert found.size == 150 * 22
    assert found.trace().covers(trace_of_hessian(random_network("bias", 150, 20, 0), x, x[:, 0] * x[:, 1]))
    with pytest.raises(ValueError, match=r"the dense problem has size \d+, above the limit 400"):
        whole_spectrum(random_network("sim-ln", 150, 20, 0), x, x[:, 0], limit=400)


def test_an_estimate_says_what_it_allows() -> None:
    e = Estimate(2.0, 1.0, np.inf, None, 3, 0.1, None, None, None, "m", "s")
    assert e.relative_error == np.inf
    assert e.covers(1e9)
    assert e.as_dict()["high"] is None
