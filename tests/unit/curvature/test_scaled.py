"""Operators in units of their own: tiny, huge, zero and infinite matrices."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.curvature import FisherOperator, HessianOperator, eigenvalues, lambda_max, trace
from flatproof.verify.curvature.density import spectral_density
from flatproof.verify.curvature.scaled import Rescaled, Scaled
from tests.unit.curvature.matrices import SPECTRA, Dense, with_spectrum
from tests.unit.curvature.models import sure

METHODS = ("hutchinson", "hutch++", "xtrace")
SCALES = [(torch.float32, e) for e in (-42, -30, -22, -10, 10, 20, 36)]
SCALES += [(torch.float64, e) for e in (-318, -290, -165, -30, 30, 165, 300)]


@pytest.mark.parametrize(("dtype", "exponent"), SCALES)
@pytest.mark.parametrize("name", ["outliers", "negative", "low rank"])
def test_estimates_do_not_depend_on_the_scale(name: str, dtype: torch.dtype, exponent: int) -> None:
    values = SPECTRA[name](np.random.default_rng(0), 40)
    matrix = (with_spectrum(values, 0).matrix * 2.0 ** (exponent * 3.32)).to(dtype)  # what of it the precision holds
    unit = 2.0 ** (exponent * 3.32)
    exact = torch.linalg.eigvalsh(matrix.double() / unit)
    for seed in range(3):
        e = lambda_max(Dense(matrix), seed=seed)
        assert e.low / unit <= float(exact[-1]) <= e.high / unit
        assert abs(e.value / unit - float(exact[-1])) <= 0.02 * abs(float(exact[-1]))
        smallest = eigenvalues(Dense(matrix), which="smallest", seed=seed)[0]
        assert smallest.low / unit <= float(exact[0]) <= smallest.high / unit
    total = float(exact.sum())
    for method in METHODS:
        held = [trace(Dense(matrix), method, products=24, seed=seed) for seed in range(20)]  # type: ignore[arg-type]
        assert sum(e.low / unit - 1e-12 <= total <= e.high / unit + 1e-12 for e in held) >= 15
    if -300 < exponent < 300:  # a density is in inverse units: it has to be a number as well
        density = spectral_density(Dense(matrix), probes=4)
        assert float(density.mass.value) == 1
        assert 0.9 < float(torch.trapezoid(torch.as_tensor(density.density) * unit, torch.as_tensor(density.grid) / unit)) < 1.1


def test_ordinary_operators_are_multiplied_as_ever() -> None:
    operator = with_spectrum(SPECTRA["flat"](np.random.default_rng(0), 30), 0)
    rescaled = Rescaled(operator)
    block = torch.randn(30, 3, dtype=torch.float64)
    assert torch.equal(rescaled.matmat(block), operator.matmat(block))
    assert rescaled.exponent == 0
    assert operator.products == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_stays_zero(dtype: torch.dtype) -> None:
    for e in (
        lambda_max(Dense(torch.zeros(7, 7, dtype=dtype))),
        *(trace(Dense(torch.zeros(7, 7, dtype=dtype)), m) for m in METHODS),
    ):  # type: ignore[arg-type]
        assert e.value == e.low == e.high == 0
    linear = HessianOperator(nn.Linear(4, 1).to(dtype), lambda z, _: z.mean(), (torch.randn(5, 4).to(dtype), torch.zeros(5)))
    assert lambda_max(linear).value == lambda_max(linear).high == 0


def test_products_that_underflow_altogether_are_not_taken_for_zero() -> None:
    """Loss e^-120: every p is 0 in float32, 1e-52 in float64."""
    model, data, H = sure(60.0, torch.float32)
    e = lambda_max(HessianOperator(model, F.cross_entropy, data))
    assert e.value == 0
    assert e.covers(float(torch.linalg.eigvalsh(H)[-1]))
    assert "digits are lost" in e.rests_on


def test_a_fisher_matrix_of_squares_of_tiny_slopes() -> None:
    """Slopes of 1e-26, whose squares no float32 holds: its trace is the mean of |g_i|^2."""
    model, (x, y), _ = sure(30.0, torch.float32)
    p = torch.exp(-2 * 30 * x[:, 0].double().abs())
    exact = float((2 * p**2 * x.double().square().sum(1)).mean())
    assert exact < 1e-50
    e = trace(FisherOperator(model, F.cross_entropy, (x, y)), "xtrace", products=20)
    assert e.covers(exact)
    assert e.value == pytest.approx(exact, rel=1e-4)


def test_infinite_products_are_refused_in_any_units() -> None:
    with pytest.raises(ValueError, match="product 1 of the operator holds NaN or infinity"):
        lambda_max(Dense(torch.full((3, 3), torch.inf)))


def test_scaling_by_a_diagonal() -> None:
    """D H D, the operator's costs and promises handed through."""
    operator = with_spectrum(SPECTRA["negative"](np.random.default_rng(0), 12), 0)
    scale = torch.linspace(0.5, 2, 12, dtype=torch.float64)
    scaled = Scaled(operator, scale)
    explicit = scale[:, None] * operator.matrix * scale
    assert torch.allclose(scaled.matmat(torch.eye(12, dtype=torch.float64)), explicit, rtol=1e-12, atol=1e-12)
    assert torch.allclose(scaled.matvec(scale), explicit @ scale, rtol=1e-12, atol=1e-12)
    assert (scaled.shape, scaled.products, scaled.gradients, scaled.rests_on) == ((12, 12), 13, 0.0, "")
    with pytest.raises(ValueError, match=r"scale must have shape \(12,\), got \(3,\)"):
        Scaled(operator, torch.ones(3))
