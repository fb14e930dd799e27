"""Sim-BN's steps on second moments against the readable reference: where they could differ from it is where activations flip, where
second moments lose digits, and where a neuron stands still."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatproof import synth
from flatproof.theory import MSE, Loss, Network
from flatproof.verify.two_layer import fused, reference
from flatproof.verify.two_layer.fused.cpu import batch_norm
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Perturbed, Phase
from tests.networks import LOGISTIC, random_points, seeds
from tests.property.test_fused import distance, labels, orders


def stepped(
    start: Network, x: np.ndarray, y: np.ndarray, order: np.ndarray, phase: Phase, loss: Loss = MSE
) -> tuple[Network, float]:
    """The network after the steps, and how far the reference's is from it."""
    noise = phase.label_noise * np.random.default_rng(9).standard_normal(order.shape) if phase.label_noise else None
    ours, stop = fused.advance(start, x, y, order, noise, phase, loss, "moments")
    theirs, _ = reference.advance(start, x, y, order, noise, phase, loss)
    return ours, distance(ours, theirs) if stop is None else np.inf


def apart(start: Network, x: np.ndarray, y: np.ndarray, order: np.ndarray, phase: Phase, loss: Loss = MSE) -> float:
    """The distance alone."""
    return stepped(start, x, y, order, phase, loss)[1]


@given(
    d=st.integers(1, 20),
    extra=st.integers(1, 40),
    m=st.integers(1, 40),
    seed=seeds,
    rho=st.sampled_from([0.0, 0.1, 1.0]),
    decay=st.sampled_from([0.0, 0.05]),
    noise=st.sampled_from([0.0, 0.3]),
    signs=st.booleans(),
    loss=st.sampled_from((MSE, LOGISTIC)),
    norm=st.sampled_from([None, None, 0.7, 10.0]),
)
@settings(max_examples=max(100, settings().max_examples), deadline=None)
def test_steps_agree(
    d: int, extra: int, m: int, seed: int, rho: float, decay: float, noise: float, signs: bool, loss: Loss, norm: float | None
) -> None:
    """One and several vectors of inputs and of samples, none of them full."""
    n = d + extra
    x, y = random_points(d, n, seed, signs)
    start = initial_network("sim-bn", d, m, seed)
    phase = Phase(0.003, 1, rho, 1, decay, noise if loss == MSE else 0.0, norm)
    assert apart(start, x, labels(y, loss), orders(n, 2, seed), phase, loss) < 1e-9


@given(st.integers(2, 8), st.integers(1, 12), seeds, st.sampled_from([0.0, 0.1]))
@settings(max_examples=40, deadline=None)
def test_steps_that_begin_on_kinks_agree(d: int, m: int, seed: int, rho: float) -> None:
    """Small integers as weights and inputs: many pre-activations are exactly 0, some neurons are active on no sample. Single steps:
    a pre-activation that a step leaves at 0 has the sign of a rounding error afterwards."""
    rng = np.random.default_rng(seed)
    n = 4 * d
    x = rng.integers(-1, 2, (n, d)).astype(float)
    w, b = rng.integers(-1, 2, (m, d)).astype(float), rng.choice([-2.0, -1.0, 1.0], m)
    w[0, 0] = 1
    start = replace(initial_network("sim-bn", d, m, seed), w1=w, b1=b)
    y = rng.standard_normal(n)
    for i in range(4):
        assert apart(start, x, y, np.array([[i]]), Phase(1e-3, 1, rho)) < 1e-9


def test_dead_neurons_stay_as_they_are() -> None:
    x, y = random_points(5, 30, 0)
    start = initial_network("sim-bn", 5, 20, 0)
    start = replace(start, b1=np.where(np.arange(20) % 2, -1e3, start.b1))
    after, off = stepped(start, x, y, orders(30, 5, 0), Phase(0.003, 1, 0.1))
    assert off < 1e-9
    assert (after.weights[1::2] == start.weights[1::2]).all()
    assert (after.weights[::2] != start.weights[::2]).any()


def test_neurons_with_tiny_second_layers_stand_still_only_until_they_grow() -> None:
    """a = gamma = 0 has no gradient; gamma alone makes a grow at once, by label noise on interpolated data even slowly."""
    x, y = random_points(6, 25, 1)
    start = initial_network("sim-bn", 6, 24, 1)
    scale = np.where(np.arange(24) % 3 == 0, 1e-30, 1.0)
    for a, gamma in ((scale, scale), (scale, 1.0), (1.0, scale)):
        assert (
            apart(replace(start, w2=a * start.w2, gamma=gamma * start.gamma), x, y, orders(25, 4, 1), Phase(0.01, 1, 0.1)) < 1e-9
        )


@pytest.mark.parametrize("active", [1, 2])
def test_neurons_near_all_their_kinks_agree(active: int) -> None:
    """Active on one or two samples, by 1e-4 of their length: w . M w has 8 digits less than its summands."""
    d, n = 6, 30
    x, y = random_points(d, n, 2)
    start = initial_network("sim-bn", d, 12, 2)
    w = 10 * start.w1
    order = np.sort(w @ x.T, axis=1)
    start = replace(start, w1=w, b1=-order[:, -active] + 1e-3)
    assert apart(start, x, y, orders(n, 2, 2), Phase(1e-4, 1, 0.01)) < 1e-9


@pytest.mark.parametrize("perturbed", ["first layer", "above it"])
def test_sam_of_some_parameters_agrees(perturbed: Perturbed) -> None:
    """With neurons that stand still, beside what is left of the gradient."""
    x, y = random_points(8, 25, 3)
    start = initial_network("sim-bn", 8, 48, 1)
    still = np.where(np.arange(48) % 3 == 0, 1e-30, 1.0)
    for scale in (1.0, still):
        assert (
            apart(replace(start, w2=scale * start.w2), x, y, orders(25, 10, 5), Phase(0.01, 1, 0.1, perturbed=perturbed)) < 1e-9
        )


def test_flips_are_many() -> None:
    """Steps so large that each neuron meets many kinks, at SAM's point and beyond."""
    data = synth.parity(10, 60, 1)
    start = initial_network("sim-bn", 10, 64, 1)
    after, off = stepped(start, data.x, data.y, orders(60, 10, 1), Phase(0.01, 1, 0.1))
    assert off < 1e-9
    inputs = np.c_[data.x, np.ones(60)]
    flipped = (inputs @ after.weights.T > 0) != (inputs @ start.weights.T > 0)
    assert flipped.mean() > 0.05


@pytest.mark.parametrize("integers", [True, False])
def test_cutting_into_calls_changes_no_bit(integers: bool) -> None:
    """Second moments of real inputs are summed in the order of flips, those of integers are exact."""
    x, y = random_points(9, 40, 3, integers)
    start, phase = initial_network("sim-bn", 9, 32, 3).astype("float32"), Phase(0.02, 1, 0.3)
    order = orders(40, 12, 3)
    whole, _ = fused.advance(start, x, y, order, None, phase, kernel="moments")
    parts = start
    for epochs in (slice(0, 1), slice(1, 5), slice(5, 12)):
        parts, _ = fused.advance(parts, x, y, order[epochs], None, phase, kernel="moments")
    assert distance(whole, parts) == 0


def test_single_precision_follows_double() -> None:
    """Before rounding has grown: the two precisions of one kernel."""
    data = synth.parity(30, 100, 1)
    start, phase = initial_network("sim-bn", 30, 100, 1), Phase(0.005, 1, 0.1)
    order = orders(100, 1, 1)
    double, _ = fused.advance(start, data.x, data.y, order, None, phase, kernel="moments")
    single, _ = fused.advance(start.astype("float32"), data.x, data.y, order, None, phase, kernel="moments")
    assert distance(single.astype("float64"), double) < 1e-4


def test_the_kernel_changes_with_the_share_of_neurons_that_stand_still() -> None:
    """From pre-activations to moments and, when gamma has made a grow, back, in whatever calls."""
    x, y = random_points(6, 25, 1)
    start = initial_network("sim-bn", 6, 24, 1)
    start = replace(start, w2=np.where(np.arange(24) % 3 == 0, 1e-30, 1.0) * start.w2).astype("float32")
    order, phase = orders(25, 6, 1), Phase(0.01, 1, 0.1)
    assert batch_norm.still(start.w2, start.gamma)
    whole, _ = fused.advance(start, x, y, order, None, phase)
    assert not batch_norm.still(whole.w2, whole.gamma)
    part, _ = fused.advance(start, x, y, order[:2], None, phase)
    assert distance(whole, fused.advance(part, x, y, order[2:], None, phase)[0]) == 0
    theirs, _ = reference.advance(start.astype("float64"), x, y, order, None, phase)
    assert distance(whole.astype("float64"), theirs) < 1e-3
