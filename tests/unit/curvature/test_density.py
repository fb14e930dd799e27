"""Spectral densities and sums against spectra that are known."""

import numpy as np
import pytest

from flatproof.verify.curvature.density import gauss_bias, spectral_density, spectral_sum
from tests.unit.curvature.matrices import SPECTRA, with_spectrum


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
    ruled = with_spectrum(1 / np.arange(1, 61.0) ** 1.5, 0)  # one eigenvalue makes most of the sum of squares
    truth = float((1 / np.arange(1, 61.0) ** 3).sum())
    assert np.mean([spectral_sum(ruled, np.square, steps=10, seed=seed).covers(truth) for seed in range(150)]) >= 0.91
    value, low, high = spectral_density(operator, probes=8).count(1.0, 3.0)
    assert low <= (values > 1).sum() <= high
    assert low <= value <= high


def test_spectral_sums_of_what_is_tiny() -> None:
    """The square of 1e-200 is 0, but no interval closes for that."""
    plain, tiny = (spectral_sum(with_spectrum(unit * np.arange(1.0, 30), 0), lambda t: t, seed=1) for unit in (1.0, 1e-200))
    assert (tiny.high - tiny.low) * 1e200 == pytest.approx(plain.high - plain.low)


def test_gauss_bias_is_a_bound() -> None:
    steps, width, eigenvalue = 12, 0.12, np.linspace(-1, 1, 101)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    exact = np.polynomial.legendre.leggauss(400)
    for t in eigenvalue:
        rule = np.sum(weights * np.exp(-(((nodes - t) / width) ** 2) / 2)) / 2
        truth = np.sum(exact[1] * np.exp(-(((exact[0] - t) / width) ** 2) / 2)) / 2
        assert abs(rule - truth) / (np.sqrt(2 * np.pi) * width) <= gauss_bias(1.0, width, steps)
