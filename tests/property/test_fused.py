"""The fused kernels follow the readable reference: same parameters after the same steps, in float64."""

from dataclasses import replace

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


def orders(n: int, epochs: int, seed: int, repeats: bool = False) -> np.ndarray:
    """Epochs of permutations, or of independent draws, in which samples come back soon."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, n, (epochs, n)) if repeats else rng.permuted(np.tile(np.arange(n), (epochs, 1)), axis=1)


def placed(array: np.ndarray | None, offset: int, layout: str) -> np.ndarray | None:
    """A copy that begins `offset` bytes behind a multiple of 128, in C or Fortran order."""
    if array is None:
        return None
    memory = np.empty(array.nbytes + 256, np.uint8)
    start = -memory.ctypes.data % 128 + offset
    out = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape, order=layout)
    out[...] = array
    return out


@given(
    architecture=architectures,
    d=st.integers(1, 12),
    n=st.integers(1, 15),
    m=st.integers(1, 40),
    seed=seeds,
    rho=st.sampled_from([0.0, 0.05, 0.5]),
    decay=st.sampled_from([0.0, 0.05]),
    noise=st.sampled_from([0.0, 0.3]),
    batch=st.one_of(st.just(1), st.integers(1, 16)),
    signs=st.booleans(),
    epsilon=st.sampled_from([1e-3, 0.3, 10.0]),
    repeats=st.booleans(),
)
@settings(max_examples=max(150, settings().max_examples))
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
    repeats: bool,
) -> None:
    """n that BLOCK does not divide, or below it; m that fills no vector; the same sample twice in a block."""
    phase = Phase(0.003, 1, rho, batch, decay, noise)
    x, y = random_points(d, n, seed, signs)
    start = initial_network(architecture, d, m, seed, epsilon=epsilon)
    order = orders(n, 4, seed, repeats)
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
@pytest.mark.parametrize("rho", [0.0, 0.02])
def test_a_thousand_full_batch_steps_agree(architecture: str, rho: float) -> None:
    """At a learning rate below 2 / sharpness: above it training is chaotic and multiplies rounding errors without bound."""
    x, y = random_points(6, 20, 4)
    phase = Phase(lr=0.005, epochs=1, rho=rho, batch_size=100, weight_decay=0.05)
    start = initial_network(architecture, 6, 33, seed=2)
    order = orders(20, 1000, 6)
    ours, _ = fused.advance(start, x, y, order, None, phase)
    theirs, _ = reference.advance(start, x, y, order, None, phase)
    assert distance(ours, theirs) < 1e-9


@given(
    architectures, st.integers(1, 30), st.sampled_from([1, 7]), st.sampled_from([0.0, 0.05]), st.sampled_from([0.0, 0.05]), seeds
)
@settings(max_examples=40)
def test_cutting_into_calls_changes_no_bit(architecture: str, cut: int, batch: int, rho: float, decay: float, seed: int) -> None:
    x, y = random_points(5, 10, seed)
    phase = Phase(lr=0.01, epochs=1, rho=rho, batch_size=batch, weight_decay=decay)
    start = initial_network(architecture, 5, 20, seed).astype("float32")
    order = orders(10, 31, seed)
    whole, _ = fused.advance(start, x, y, order, None, phase)
    half, _ = fused.advance(start, x, y, order[:cut], None, phase)
    parts, _ = fused.advance(half, x, y, order[cut:], None, phase)
    assert distance(whole, parts) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("rho", [0.0, 0.05])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_arrays_lie_changes_no_bit(architecture: str, batch: int, rho: float, dtype: str) -> None:
    """Few neurons, so that short arrays lie side by side in memory; other allocations before each call; both array orders."""
    d, n, m = 6, 20, 16
    x, y = random_points(d, n, 0)
    start, order = initial_network(architecture, d, m, 0).astype(dtype), orders(n, 5, 0)
    phase, rng, seen = Phase(lr=0.003, epochs=1, rho=rho, batch_size=batch), np.random.default_rng(0), set()
    for offset, layout in [(o, kind) for o in (0, 8, 16, 32, 40, 64) for kind in "CF"] * 2:
        others = [np.empty(size, np.uint8) for size in rng.integers(1, 3000, 50)]
        network = replace(start, **{name: placed(getattr(start, name), offset, layout) for name in ("w1", "b1", "w2", "gamma")})
        data = placed(x, offset, layout), placed(y, offset, layout), placed(order, offset, layout)
        after, _ = fused.advance(network, *data, None, phase)
        seen.add(b"".join(part.tobytes() for part in (after.w1, after.b1, after.w2, after.gamma) if part is not None))
        del others
    assert len(seen) == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [30.0, 1e12])
def test_divergence_is_found_at_the_references_step(architecture: str, batch: int, rho: float, dtype: str, lr: float) -> None:
    """Too large a step; Sim-LN's outputs are bounded by ||a||, so it gets a label that overflows, late in the first epoch."""
    x, y = random_points(5, 11, 1)
    order = orders(11, 20, 1)
    if architecture == "sim-ln":
        y[order[0, 9]] = np.inf
    start, phase = initial_network(architecture, 5, 20, 1).astype(dtype), Phase(lr=lr, epochs=1, rho=rho, batch_size=batch)
    _, ours = fused.advance(start, 10 * x, y, order, None, phase)
    _, theirs = reference.advance(start, 10 * x, y, order, None, phase)
    assert ours is not None
    assert ours == theirs


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-ln"])
@pytest.mark.parametrize("rho", [0.0, 0.05])
def test_a_block_with_huge_steps_that_survives_is_continued(architecture: str, rho: float) -> None:
    """A label of 1e18 in the third block of eleven steps: handed to the reference, the rest is the kernel's."""
    x, y = random_points(5, 12, 2)
    order, start = np.arange(12)[None], initial_network(architecture, 5, 20, 2)
    y[9], x[10:] = 1e18, 0  # nothing afterwards, so that the huge parameters do not overflow
    phase = Phase(lr=0.01, epochs=1, rho=rho)
    ours, stop = fused.advance(start, x, y, order, None, phase)
    theirs, _ = reference.advance(start, x, y, order, None, phase)
    assert stop is None
    assert np.abs(ours.w1).max() > 1e12
    assert distance(ours, theirs) < 1e-9


def test_weight_decay_that_makes_parameters_grow_diverges_in_the_same_step() -> None:
    x, y = random_points(3, 4, 0)
    start, phase = initial_network("no-bias", 3, 8, 0).astype("float32"), Phase(lr=1.0, epochs=1, weight_decay=3.0)
    _, ours = fused.advance(start, 0 * x, y, orders(4, 100, 0), None, phase)
    _, theirs = reference.advance(start, 0 * x, y, orders(4, 100, 0), None, phase)
    assert ours == theirs
    assert ours is not None
