"""The chosen trace estimate over random spectra: it scales and shifts with the matrix, and is exact where it says so."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flatproof.verify.curvature import auto_trace
from tests.networks import seeds
from tests.unit.curvature.matrices import Dense, with_spectrum

spectra = st.tuples(st.integers(14, 60), st.floats(0.3, 1.0), st.floats(0.0, 0.5), seeds)


def made(spectrum: tuple[int, float, float, int]) -> Dense:
    """So many eigenvalues that decay at a rate to a level, with random signs."""
    size, rate, level, seed = spectrum
    rng = np.random.default_rng(seed)
    return with_spectrum((rate ** np.arange(size) + level * rng.random(size)) * rng.choice([-1.0, 1.0], size), seed)


@settings(max_examples=40)
@given(
    spectrum=spectra, products=st.integers(4, 40), factor=st.sampled_from([-3.0, 0.25, 8.0]), shift=st.floats(-2, 2), seed=seeds
)
def test_scaled_and_shifted_matrices(
    spectrum: tuple[int, float, float, int], products: int, factor: float, shift: float, seed: int
) -> None:
    """tr(a H + b I) = a tr H + b P for the estimate too, and its interval is |a| times as wide: a multiple of the identity is free."""
    operator = made(spectrum)
    size = operator.shape[0]
    eye = torch.eye(size, dtype=torch.float64)
    plain = auto_trace(operator, products=products, seed=seed)
    moved = auto_trace(Dense(factor * (operator.matrix + shift * eye)), products=products, seed=seed)
    if moved.products != plain.products or moved.method != plain.method:  # rounding decided where two choices cost the same
        return
    scale = size * (1 + abs(shift))
    assert moved.value == pytest.approx(factor * (plain.value + shift * size), abs=1e-6 * abs(factor) * scale)
    assert moved.high - moved.low == pytest.approx(
        abs(factor) * (plain.high - plain.low), rel=1e-3, abs=1e-4 * abs(factor) * scale
    )


@settings(max_examples=40)
@given(spectrum=spectra, products=st.integers(4, 80), block=st.integers(1, 9), seed=seeds)
def test_it_stays_within_its_products_and_is_exact_where_it_says_so(
    spectrum: tuple[int, float, float, int], products: int, block: int, seed: int
) -> None:
    operator = made(spectrum)
    e = auto_trace(operator, products=products, block=block, seed=seed)
    assert e.products == operator.products <= products
    assert e.low <= e.value <= e.high
    assert (e.confidence is None) == (operator.shape[0] <= products and products >= 12)
    if e.confidence is None:
        assert e.value == pytest.approx(float(operator.matrix.trace()), abs=1e-9)
