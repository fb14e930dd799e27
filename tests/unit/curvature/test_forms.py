"""Quadratic forms of probes: their moments against the explicit matrix, and the interval of probes uniform in direction."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from flatproof.verify.curvature.estimates import generator_of
from flatproof.verify.curvature.forms import Forms, far_quantile
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.utils.statistics import binomial_interval
from tests.unit.curvature.matrices import Apart, Dense, with_spectrum

TRIALS = 400


def _forms(operator: Dense, count: int, seed: int, probes: str = "sphere", block: int = 8) -> Forms:
    return Forms(Rescaled(operator), probes, block, generator_of(seed)).draw(count)


@pytest.mark.parametrize("confidence", [0.95, 0.995])
def test_the_far_quantile_is_that_of_chi_square_and_of_the_normal_law(confidence: float) -> None:
    """By numerical integration of the density; and in the limit."""
    p = (1 - confidence) / 2
    for nu in (1.0, 2.5, 12.0):
        c = far_quantile(confidence, nu)
        below = (np.sqrt(c**2 + 2 * nu) - c) ** 2 / 2  # the S with (nu - S) / sqrt(2 S) = c
        share, _ = integrate.quad(lambda root, nu=nu: stats.chi2.pdf(root**2, nu) * 2 * root, 0, np.sqrt(below))
        assert share == pytest.approx(p, rel=1e-6)
    assert far_quantile(confidence, 1e9) == pytest.approx(stats.norm.ppf(1 - p), rel=1e-3)


def test_deviation_and_mean_are_those_of_the_matrix_on_what_the_basis_leaves() -> None:
    rng = np.random.default_rng(0)
    operator = with_spectrum(np.r_[50.0, -20, rng.uniform(-1, 2, 38)], 0)
    basis = torch.linalg.qr(torch.as_tensor(rng.standard_normal((40, 3))))[0]
    rest = np.eye(40) - (basis @ basis.T).numpy()
    R = rest @ operator.matrix.numpy() @ rest
    n, total = 37, np.trace(R)
    variance = 2 * n / (n + 2) * (np.sum(R**2) - total**2 / n)
    forms = Forms(Rescaled(operator), "sphere", 8, generator_of(0), basis).draw(20_000)
    assert forms.mean == pytest.approx(total, abs=5 * np.sqrt(variance / 20_000))
    assert np.var(forms.values) == pytest.approx(variance, rel=0.1)
    assert forms.deviation() ** 2 == pytest.approx(variance, rel=0.05)


def test_a_multiple_of_the_identity_is_exact() -> None:
    forms = _forms(Dense(-3 * torch.eye(50, dtype=torch.float64)), 3, 0)
    assert forms.mean == pytest.approx(-150, rel=1e-14)
    assert forms.half(0.995) < 1e-5


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("confidence", [0.95, 0.995])
def test_one_eigenvalue_the_most_skewed_law_is_covered_where_students_t_is_not(count: int, confidence: float) -> None:
    operator = with_spectrum(np.r_[1.0, np.zeros(199)], 0)
    runs = [_forms(operator, count, seed) for seed in range(TRIALS)]
    held = sum(abs(f.mean - 1) <= f.half(confidence) for f in runs)
    assert binomial_interval(held, TRIALS, 0.999).high >= confidence
    by_t = stats.t.ppf(0.5 + confidence / 2, count - 1) / np.sqrt(count)
    assert (
        binomial_interval(sum(abs(f.mean - 1) <= by_t * np.std(f.values, ddof=1) for f in runs), TRIALS, 0.99).high < confidence
    )


def test_a_flat_spectrum_is_covered_with_less_than_students_t() -> None:
    values = np.random.default_rng(1).uniform(0, 1, 200)
    operator = with_spectrum(values, 0)
    runs = [_forms(operator, 4, seed) for seed in range(TRIALS)]
    held = sum(abs(f.mean - values.sum()) <= f.half(0.95) for f in runs)
    assert binomial_interval(held, TRIALS, 0.999).high >= 0.95
    by_t = [stats.t.ppf(0.975, 3) * np.std(f.values, ddof=1) / 2 for f in runs]
    assert np.median([f.half(0.95) for f in runs]) < 0.95 * np.median(by_t)


def test_random_signs_do_not_see_an_eigenvector_on_two_parameters_and_directions_do() -> None:
    v = torch.zeros(100, dtype=torch.float64)
    v[:2] = 0.5**0.5
    operator = Dense(torch.outer(v, v))
    hidden = [np.ptp(_forms(operator, 3, seed, "rademacher").values) == 0 for seed in range(200)]
    assert 0.15 < np.mean(hidden) < 0.35  # all 0 or all 2: 2 / 8
    held = sum(abs(f.mean - 1) <= f.half(0.95) for f in (_forms(operator, 3, seed) for seed in range(TRIALS)))
    assert binomial_interval(held, TRIALS, 0.999).high >= 0.95


def test_blocks_of_one_know_no_pairs_and_are_wider() -> None:
    operator = with_spectrum(np.random.default_rng(1).uniform(0, 1, 100), 0)
    apart, together = _forms(operator, 6, 0, block=1), _forms(operator, 6, 0)
    assert apart.quantile(0.95) == pytest.approx(far_quantile(0.95, 6))
    assert together.quantile(0.95) < apart.quantile(0.95)


def _batches(kind: str) -> Apart:
    """Five batches' matrices, P = 60: alike, with little in common, of rank one in one batch alone, and that cancel."""
    rng = np.random.default_rng(0)
    own = np.stack([with_spectrum(rng.uniform(-1, 2, 60), seed).matrix.numpy() for seed in range(5)]) / 5
    first = with_spectrum(np.r_[1.0, np.zeros(59)], 0).matrix.numpy()
    matrices = {
        "alike": np.repeat(own[:1], 5, axis=0),
        "apart": own,
        "one": np.stack([first, *np.zeros((4, 60, 60))]),
        "cancel": np.stack([own[0], -own[0], own[1], -own[1], own[2]]),
    }[kind]
    return Apart(torch.as_tensor(matrices))


@pytest.mark.parametrize("kind", ["alike", "apart", "one", "cancel"])
def test_probes_of_each_batchs_own_are_unbiased_and_cover(kind: str) -> None:
    """2,000 seeds, ten passes and three, with a basis that is deflated: nominal 95 %; the variance is that of the blocks."""
    operator = _batches(kind)
    basis = torch.linalg.qr(torch.as_tensor(np.random.default_rng(1).standard_normal((60, 2))))[0]
    rest = torch.eye(60, dtype=torch.float64) - basis @ basis.T
    blocks, n, trials = rest @ operator.matrices @ rest, 58, 2000
    truth = float(torch.einsum("bii->", blocks))
    for passes in (3, 10):
        runs = [
            Forms(Rescaled(operator), "sphere", 8, generator_of(seed), basis, apart=True).draw(passes) for seed in range(trials)
        ]
        held = sum(abs(f.mean - truth) <= f.half(0.95) for f in runs)
        assert binomial_interval(held, trials, 0.999).high >= 0.95
        means = np.array([f.mean for f in runs])
        assert abs(means.mean() - truth) <= 4 * means.std() / np.sqrt(trials)
        own = blocks.square().sum((1, 2)) - torch.einsum("bii->b", blocks).square() / n
        assert np.var(means) * passes == pytest.approx(2 * n / (n + 2) * float(own.sum()), rel=0.12)
    assert operator.products == trials * 13


def test_batches_that_are_alike_need_fewer_products() -> None:
    """The interval of five batches' own probes is about sqrt(5) times narrower than that of as many products."""
    operator = _batches("alike")
    own = [Forms(Rescaled(operator), "sphere", 8, generator_of(s), apart=True).draw(10).half(0.95) for s in range(40)]
    shared = [Forms(Rescaled(operator), "sphere", 8, generator_of(s)).draw(10).half(0.95) for s in range(40)]
    assert np.mean(own) == pytest.approx(np.mean(shared) / np.sqrt(5), rel=0.15)
