"""Extreme eigenvalues and their bounds against matrices whose eigenvalues are known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from flatproof.verify.curvature import eigenvalues, lambda_max
from flatproof.verify.curvature.krylov import Krylov
from flatproof.verify.curvature.polynomials import christoffel_bound, probability_quantile
from flatproof.verify.curvature.scaled import Rescaled
from tests.unit.curvature.matrices import SPECTRA, Dense, with_spectrum


@pytest.mark.parametrize("stop", ["interval", "residual", "ritz"])
def test_the_bounds_of_lambda_max_cover_it(stop: str, record_property: Callable[[str, object], None]) -> None:
    """At least 99 % of all trials at the default 99.5 %; the inner end and the residual bound in all of them."""
    covered, inner, near, within, trials = 0, 0, 0, 0, 0
    for place, (name, spectrum) in enumerate(SPECTRA.items()):
        for trial in range(100 if stop == "interval" else 30):
            seed = 1000 * place + trial  # starts of their own: the bound's only random event is the start
            rng = np.random.default_rng(seed)
            values = spectrum(rng, int(rng.integers(20, 60)))
            pairs = eigenvalues(with_spectrum(values, seed), stop=stop, seed=seed)  # type: ignore[arg-type]
            e, truth = pairs[0], values.max()
            trials += 1
            covered += e.covers(truth)
            inner += e.low <= truth
            near += np.abs(values - e.value).min() <= pairs.residuals[0] + 1e-12
            within += abs(e.value - truth) <= 0.01 * abs(truth)
            assert pairs.converged, name
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
    leaning, plain = Leaning(matrix, (0,)), Dense(matrix)
    assert eigenvalues(leaning, stop="ritz")[0].products < eigenvalues(plain, stop="ritz")[0].products
    assert eigenvalues(leaning, stop="ritz")[0].gradients == 1
    assert eigenvalues(leaning)[0].gradients == 0  # a proof is asked for: the start stays random
    assert eigenvalues(leaning, which="smallest", lean=True)[0].value == eigenvalues(plain, which="smallest")[0].value


def test_top_k_pairs() -> None:
    values = SPECTRA["outliers"](np.random.default_rng(0), 80)
    operator = with_spectrum(values, 0)
    pairs = eigenvalues(operator, 4, tolerance=1e-6, vectors=True)
    assert pairs.values == pytest.approx([10, 8, 7, 5], rel=1e-6)
    assert all(e.covers(v) for e, v in zip(pairs.estimates, (10, 8, 7, 5), strict=True))
    assert pairs.vectors is not None
    residual = operator.matrix @ pairs.vectors - pairs.vectors * torch.as_tensor(pairs.values)
    assert torch.linalg.vector_norm(residual, dim=0).numpy() == pytest.approx(pairs.residuals, abs=1e-10)


def test_multiplicity_shows_in_a_block() -> None:
    values = np.r_[2.0, 2, 2, np.linspace(0, 1, 30)]
    assert eigenvalues(with_spectrum(values, 0), 3, block=3).values == pytest.approx([2, 2, 2], rel=1e-4)


def test_a_budget_that_ends_leaves_an_honest_interval() -> None:
    values = SPECTRA["close"](np.random.default_rng(1), 200)
    pairs = eigenvalues(with_spectrum(values, 1), tolerance=1e-9, max_products=8)
    assert not pairs.converged
    assert pairs[0].products == 8
    assert pairs[0].covers(1.0)


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


class Diagonal:
    """A diagonal matrix of many rows, in float32."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.products = values, 0
        self.shape, self.dtype, self.device = (len(values), len(values)), values.dtype, values.device

    def matvec(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.values * vector

    def matmat(self, block: Tensor) -> Tensor:
        self.products += block.shape[1]
        return self.values[:, None] * block


def test_the_first_rayleigh_quotient_of_millions_of_numbers_keeps_its_digits() -> None:
    values = 1 + torch.rand(3_000_000, generator=torch.Generator().manual_seed(0))
    krylov = Krylov(Rescaled(Diagonal(values)), torch.ones(len(values), 1))
    krylov.grow()
    assert krylov.T[0, 0] == pytest.approx(float(values.double().mean()), rel=1e-6)


def test_a_short_window_gives_the_same_recurrence_until_a_value_converges() -> None:
    values = torch.cat([torch.linspace(0, 1, 400), torch.tensor([3.0, 5.0])])
    start = torch.randn(len(values), 1, generator=torch.Generator().manual_seed(0))
    spaces = [Krylov(Rescaled(Diagonal(values)), start.clone(), window) for window in (None, 2)]
    for krylov in spaces:
        for _ in range(6):
            krylov.grow()
    np.testing.assert_allclose(spaces[1].T, spaces[0].T, atol=1e-4)
    assert np.linalg.eigvalsh(spaces[1].T)[-1] == pytest.approx(5.0, rel=1e-2)
