"""Estimates of traces: coverage of their intervals, unbiasedness, exactness at low rank."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from flatproof.verify.curvature import trace
from flatproof.verify.curvature.traces import Method, hutchinson, hutchpp, xtrace
from tests.unit.curvature.matrices import SPECTRA, Dense, with_spectrum


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


def test_hutchpp_of_few_parameters_is_not_misled_by_equal_signs() -> None:
    """Columns of random signs on two parameters are equal up to sign half of the time: their products have rank 1, and H has not."""
    few = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    assert all(hutchpp(Dense(few), products=p, seed=s).value == pytest.approx(4) for p in (6, 30) for s in range(20))
    among = torch.zeros(50, 50, dtype=torch.float64)
    among[:2, :2] = few
    estimates = [hutchpp(Dense(among), products=7, probes="gaussian", seed=s) for s in range(60)]
    assert all(e.value == pytest.approx(4) for e in estimates if e.confidence is None)
    assert any(e.confidence is not None for e in estimates)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["auto", "hutchinson", "hutch++", "xtrace", "krylov"])
def test_precisions_that_lapack_has_not(method: Method, dtype: torch.dtype) -> None:
    operator = with_spectrum(SPECTRA["outliers"](np.random.default_rng(0), 40), 0, dtype)
    held = [trace(operator, method, products=30, seed=s).covers(float(operator.matrix.double().trace())) for s in range(10)]
    assert np.mean(held) >= 0.8


def test_hutchinson_on_a_tolerance_keeps_its_coverage() -> None:
    values = SPECTRA["flat"](np.random.default_rng(0), 100) + 0.5
    operator = with_spectrum(values, 0)
    estimates = [hutchinson(operator, products=20, tolerance=0.05, seed=s) for s in range(100)]
    assert np.mean([e.covers(values.sum()) for e in estimates]) >= 0.9
    assert np.median([e.relative_error for e in estimates]) <= 0.05
    assert max(e.products for e in estimates) > 20
