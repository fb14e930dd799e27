"""The fused kernels follow the readable reference: same parameters after the same steps, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth
from tests.networks import architectures, random_points, seeds
from theory import ARCHITECTURES, Network
from verify import fused, reference
from verify.initialization import initial_network
from verify.runs import Phase


def distance(one: Network, other: Network) -> float:
    """Largest difference of a parameter array, relative to its largest entry."""
    pairs = [(getattr(one, n), getattr(other, n)) for n in ("w1", "b1", "w2", "gamma")]
    return float(np.max([np.abs(p - q).max() / np.abs(q).max() for p, q in pairs if p is not None]))  # NaN if any is


def orders(n: int, epochs: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permuted(np.tile(np.arange(n), (epochs, 1)), axis=1)


@given(
    architecture=architectures,
    d=st.integers(1, 12),
    n=st.integers(1, 15),
    m=st.integers(1, 40),
    seed=seeds,
    rho=st.sampled_from([0.0, 0.05, 0.5]),
    decay=st.sampled_from([0.0, 0.05]),
    noise=st.sampled_from([0.0, 0.3]),
    batch=st.integers(1, 16),
    signs=st.booleans(),
    epsilon=st.sampled_from([1e-3, 0.3, 10.0]),
)
@settings(max_examples=max(100, settings().max_examples))
def test_steps_agree(
    architecture: str,
    d: int,
    n: int,
    m: int,
    seed: int,
    rho: float,
    decay: float,
    noise: float,
    batch: int,
    signs: bool,
    epsilon: float,
) -> None:
    phase = Phase(0.003, 1, rho, batch if rho == 0 else 1, decay, noise)
    x, y = random_points(d, n, seed, signs)
    start = initial_network(architecture, d, m, seed, epsilon=epsilon)
    order = orders(n, 4, seed)
    jitter = noise * np.random.default_rng([seed, 9]).standard_normal(order.shape) if noise else None
    ours, ours_stop = fused.advance(start, x, y, order, jitter, phase)
    theirs, their_stop = reference.advance(start, x, y, order, jitter, phase)
    assert ours_stop is None
    assert their_stop is None
    assert distance(ours, theirs) < 1e-9


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("gaussian", [True, False], ids=["gaussian", "parity"])
def test_a_thousand_sam_steps_agree(architecture: str, gaussian: bool) -> None:
    """1000 steps on random data, and on the cube where pre-activations meet the kink more often."""
    n, d = 25, 8
    x, y = random_points(d, n, 3) if gaussian else (synth.parity(d, n, 3).x, synth.parity(d, n, 3).y)
    phase = Phase(lr=0.01, epochs=1, rho=0.1)
    start = initial_network(architecture, d, 48, seed=1)
    order = orders(n, 40, 5)
    ours, _ = fused.advance(start, x, y, order, None, phase)
    theirs, _ = reference.advance(start, x, y, order, None, phase)
    assert distance(ours, theirs) < 1e-9
    assert distance(ours, start) > 1e-2  # it did train


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_thousand_full_batch_steps_agree(architecture: str) -> None:
    """At a learning rate below 2 / sharpness: above it training is chaotic and multiplies rounding errors without bound."""
    x, y = random_points(6, 20, 4)
    phase = Phase(lr=0.005, epochs=1, batch_size=100, weight_decay=0.05)
    start = initial_network(architecture, 6, 33, seed=2)
    order = orders(20, 1000, 6)
    ours, _ = fused.advance(start, x, y, order, None, phase)
    theirs, _ = reference.advance(start, x, y, order, None, phase)
    assert distance(ours, theirs) < 1e-9


@given(architectures, st.integers(1, 30), st.sampled_from([1, 7]), seeds)
@settings(max_examples=20)
def test_cutting_into_calls_changes_nothing(architecture: str, cut: int, batch: int, seed: int) -> None:
    """Bitwise for the kernels whose state is the parameters; Sim-BN's incremental pre-activations start afresh each epoch."""
    x, y = random_points(5, 10, seed)
    phase = Phase(lr=0.01, epochs=1, rho=0.05 if batch == 1 else 0.0, batch_size=batch)
    start = initial_network(architecture, 5, 20, seed).astype("float32")
    order = orders(10, 31, seed)
    whole, _ = fused.advance(start, x, y, order, None, phase)
    half, _ = fused.advance(start, x, y, order[:cut], None, phase)
    parts, _ = fused.advance(half, x, y, order[cut:], None, phase)
    assert distance(whole, parts) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_found_inside_a_call(architecture: str, batch: int, dtype: str) -> None:
    """Too large a step; Sim-LN's outputs are bounded by ||a||, so it gets a label that overflows."""
    x, y = random_points(5, 10, 0)
    y[3] = np.inf if architecture == "sim-ln" else 1
    start = initial_network(architecture, 5, 20, 0).astype(dtype)
    _, stop = fused.advance(start, 1e3 * x, y, orders(10, 3000, 0), None, Phase(lr=1e3, epochs=1, batch_size=batch))
    assert stop is not None
    assert 0 <= stop < 3000 * 10


def test_settings_without_a_kernel_are_refused() -> None:
    x, y = random_points(3, 4, 0)
    with pytest.raises(ValueError, match="no fused kernel for SAM with batch_size 2"):
        fused.advance(initial_network("bias", 3, 4, 0), x, y, orders(4, 1, 0), None, Phase(0.1, 1, rho=0.1, batch_size=2))
