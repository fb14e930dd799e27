"""The choice between deflation and probes: what referees say of the rest, against the explicit matrix, and what is chosen."""

from typing import Any

import numpy as np
import pytest
import torch

from flatproof.verify.curvature import auto_trace, lambda_max, trace
from flatproof.verify.curvature.estimates import gaussian, generator_of
from flatproof.verify.curvature.krylov import Krylov, Prefix
from flatproof.verify.curvature.pilot import Referees
from flatproof.verify.curvature.scaled import Rescaled
from flatproof.verify.utils.statistics import binomial_interval
from tests.unit.curvature.matrices import SPECTRA, Apart, Dense, with_spectrum

TRIALS = 200
DECAYS = 0.7 ** np.arange(100.0)


@pytest.mark.parametrize("behind", [False, True])
def test_referees_see_the_explicit_rest_at_every_size(behind: bool) -> None:
    """Also through a prefix of a space that has grown further."""
    operator = with_spectrum(SPECTRA["outliers"](np.random.default_rng(0), 40), 0)
    H = operator.matrix.numpy()
    krylov = Krylov(Rescaled(operator), gaussian(operator, 1, generator_of(1)))
    if behind:
        whole = krylov
        for _ in range(11):
            whole.grow()
        krylov = Prefix(whole)
    generator = generator_of(2)
    G = gaussian(operator, 2, generator_of(2)).numpy()
    referees = Referees(krylov, 2, generator)
    for size in range(15):
        V = krylov.basis.numpy() if size else np.zeros((40, 0))
        rest, n = np.eye(40) - V @ V.T, 40 - size
        W = rest @ G
        W *= np.sqrt(n) / np.linalg.norm(W, axis=0)
        Y = rest @ H @ W
        mean = np.sum(W * Y, axis=0).mean()
        assert krylov.size == size
        assert referees.trace == pytest.approx(mean, rel=1e-9)
        assert referees.spread == pytest.approx(np.sum(Y**2, axis=0).mean() - mean**2 / n, rel=1e-7)
        referees.grow()


def test_what_decays_is_deflated_and_what_does_not_is_left_to_probes() -> None:
    flat = with_spectrum(SPECTRA["flat"](np.random.default_rng(0), 300), 0)
    decaying = with_spectrum(DECAYS, 0)
    chosen = [[auto_trace(H, seed=s) for s in range(20)] for H in (flat, decaying)]
    directions = [[int(e.method.split(" directions")[0].split()[-1]) for e in estimates] for estimates in chosen]
    assert np.median(directions[0]) <= 6
    assert np.median(directions[1]) >= 30
    assert sum("Hutchinson" in e.method for e in chosen[0]) >= 10
    assert all("Krylov-aware" in e.method for e in chosen[1])
    assert all(e.products <= 60 for estimates in chosen for e in estimates)
    assert "vectors that do not enter the value" in chosen[0][0].rests_on


@pytest.mark.parametrize("products", [5, 12])
@pytest.mark.parametrize("name", SPECTRA)
def test_auto_covers_at_both_levels_and_is_unbiased(name: str, products: int) -> None:
    values = SPECTRA[name](np.random.default_rng(0), 100)
    operator = with_spectrum(values, 0)
    estimates = [auto_trace(operator, products=products, seed=s) for s in range(TRIALS)]
    assert binomial_interval(sum(e.covers(values.sum()) for e in estimates), TRIALS, 0.999).high >= 0.95
    assert all(e.products <= products for e in estimates)
    errors = np.array([e.value - values.sum() for e in estimates])
    assert abs(errors.mean()) <= 4 * errors.std() / np.sqrt(TRIALS) + 1e-12
    sure = [auto_trace(operator, products=products, confidence=0.995, seed=s) for s in range(TRIALS)]
    assert binomial_interval(sum(e.covers(values.sum()) for e in sure), TRIALS, 0.999).high >= 0.995


def _in_batches(kind: str) -> Apart:
    """Five parts of a flat matrix, alike, and parts that mostly cancel, P = 150."""
    flat = with_spectrum(SPECTRA["flat"](np.random.default_rng(0), 150) + 0.5, 0).matrix / 5
    other = with_spectrum(SPECTRA["flat"](np.random.default_rng(1), 150), 1).matrix
    return Apart(torch.stack([flat + sign * other * (kind == "cancel") for sign in (1, -1, 1, -1, 0)]))


@pytest.mark.parametrize("kind", ["alike", "cancel"])
def test_parts_have_probes_of_their_own_where_that_pays(kind: str) -> None:
    """Alike they take few products for an interval as narrow as that of 60 of the whole; where they cancel the whole has the probes."""
    operator = _in_batches(kind)
    exact = float(operator.matrix.trace())
    estimates = [auto_trace(operator, seed=s) for s in range(TRIALS)]
    given = [auto_trace(operator, products=60, seed=s) for s in range(20)]
    assert {"each part its own" in e.method for e in estimates} == {kind == "alike"}
    assert not any("each part its own" in e.method for e in given)
    assert all(e.products <= (26 if kind == "alike" else 61) for e in estimates)
    widths = [np.mean([e.high - e.low for e in some]) for some in (estimates, given)]
    assert widths[0] <= 1.15 * widths[1]
    assert binomial_interval(sum(e.covers(exact) for e in estimates), TRIALS, 0.999).high >= 0.95
    errors = np.array([e.value - exact for e in estimates])
    assert abs(errors.mean()) <= 4 * errors.std() / np.sqrt(TRIALS)


def test_choosing_pays_on_either_side() -> None:
    """Against one that deflates with half of its products and against none that does: near the better on both."""

    def error(method: str, values: np.ndarray, products: int, **settings: Any) -> float:
        operator = with_spectrum(values, 0)
        runs = [trace(operator, method, products=products, seed=s, **settings).value for s in range(200)]  # type: ignore[arg-type]
        return float(np.sqrt(np.mean((np.array(runs) - values.sum()) ** 2)))

    flat = SPECTRA["flat"](np.random.default_rng(0), 200)
    for values, products, worse, better in ((flat, 60, "krylov", "hutchinson"), (DECAYS, 30, "hutchinson", "krylov")):
        own = error("auto", values, products)
        assert own <= 1.25 * error(better, values, products, probes="sphere")
        assert own <= 0.85 * error(worse, values, products, probes="sphere")


def test_a_tolerance_is_reached_and_covered() -> None:
    for values in (SPECTRA["flat"](np.random.default_rng(0), 200) + 0.6, SPECTRA["outliers"](np.random.default_rng(0), 200)):
        operator = with_spectrum(values, 0)
        estimates = [auto_trace(operator, tolerance=0.03, seed=s) for s in range(100)]
        assert max(e.relative_error for e in estimates) <= 0.03
        assert binomial_interval(sum(e.covers(values.sum()) for e in estimates), 100, 0.999).high >= 0.95
    few = auto_trace(operator, tolerance=1e-6, max_products=20)
    assert few.products == 20
    assert few.relative_error > 1e-6
    exact = auto_trace(operator, tolerance=1e-6)  # the whole basis costs less than probes would
    assert exact.confidence is None
    assert exact.value == pytest.approx(values.sum(), rel=1e-12)


def test_little_is_spent_where_nothing_is_left_and_small_matrices_are_exact() -> None:
    low = auto_trace(with_spectrum(SPECTRA["low rank"](np.random.default_rng(0), 80), 0), products=60)
    assert low.value == pytest.approx(6, abs=1e-10)
    assert low.products <= 15
    assert low.covers(6.0)
    small = auto_trace(with_spectrum(np.arange(1.0, 9), 0), products=20)
    assert small.value == pytest.approx(36, abs=1e-12)
    assert small.confidence is None
    for size in (9, 90):
        assert auto_trace(Dense(torch.zeros(size, size))).value == 0
        e = auto_trace(Dense(2 * torch.eye(size)))
        assert e.covers(2.0 * size)
        assert e.value == pytest.approx(2 * size, rel=1e-6)


def test_in_single_precision_the_interval_holds_what_rounding_adds() -> None:
    values = DECAYS[:60]
    exact = with_spectrum(values, 0, torch.float32).matrix.double().trace()
    held = [auto_trace(with_spectrum(values, 0, torch.float32), products=50, seed=s).covers(float(exact)) for s in range(100)]
    assert binomial_interval(sum(held), 100, 0.999).high >= 0.95


def test_bad_settings_are_named() -> None:
    operator = with_spectrum(DECAYS, 0)
    with pytest.raises(ValueError, match="products must be"):
        auto_trace(operator, products=3)
    with pytest.raises(ValueError, match="tolerance must be"):
        auto_trace(operator, tolerance=0.0)
    with pytest.raises(ValueError, match="max_products must be"):
        auto_trace(operator, tolerance=0.1, max_products=8)
    assert lambda_max(operator).covers(1.0)
