"""The fused kernels follow the readable reference: same parameters after the same steps, in float64."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flatproof import synth
from flatproof.theory import ARCHITECTURES, MSE, Loss, Network, forward
from flatproof.verify.two_layer import fused, reference
from flatproof.verify.two_layer.engine import choose
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Perturbed, Phase
from tests.networks import LOGISTIC, VARIANTS, random_points, seeds

KINDS = (*((architecture, "relu", 2) for architecture in ARCHITECTURES), *VARIANTS)
PARAMETERS = ("w1", "b1", "w2", "gamma", "middle")
LOSSES = (MSE, LOGISTIC)
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind)))
EACH_LOSS = pytest.mark.parametrize("loss", LOSSES, ids=["mse", "logistic"])

Kind = tuple[str, str, int]


def network_of(kind: Kind, d: int, m: int, seed: int, epsilon: float = 1e-3) -> Network:
    """A random start."""
    return initial_network(kind[0], d, m, seed, epsilon=epsilon, activation=kind[1], depth=kind[2])


def labels(y: np.ndarray, loss: Loss) -> np.ndarray:
    """The labels, or their signs where the loss wants classes."""
    return y if loss == MSE else np.where(y > 0, 1.0, -1.0)


def distance(one: Network, other: Network) -> float:
    """Largest difference of a parameter array, relative to its largest entry."""
    pairs = [(getattr(one, n), getattr(other, n)) for n in PARAMETERS]
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
    kind=st.sampled_from(KINDS),
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
    loss=st.sampled_from(LOSSES),
    norm=st.sampled_from([None, None, 0.7, 10.0]),
)
@settings(max_examples=max(300, settings().max_examples))
def test_steps_agree(
    kind: Kind,
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
    loss: Loss,
    norm: float | None,
) -> None:
    """n that BLOCK does not divide, or below it; m that fills no vector; the same sample twice in a block."""
    noise = noise if loss == MSE else 0.0
    phase = Phase(0.003, 1, rho, batch, decay, noise, norm)
    x, y = random_points(d, n, seed, signs)
    y, start = labels(y, loss), network_of(kind, d, m, seed, epsilon)
    order = orders(n, 4, seed, repeats)
    jitter = noise * np.random.default_rng([seed, 9]).standard_normal(order.shape) if noise else None
    ours, ours_stop = fused.advance(start, x, y, order, jitter, phase, loss)
    theirs, their_stop = reference.advance(start, x, y, order, jitter, phase, loss)
    assert ours_stop is None
    assert their_stop is None
    assert distance(ours, theirs) < 1e-9


@EACH_KIND
@EACH_LOSS
@pytest.mark.parametrize("gaussian", [True, False], ids=["gaussian", "parity"])
def test_a_thousand_sam_steps_agree(kind: Kind, loss: Loss, gaussian: bool) -> None:
    """1000 steps on random data, and on the cube where pre-activations meet the kink more often."""
    n, d = 25, 8
    x, y = random_points(d, n, 3) if gaussian else (synth.parity(d, n, 3).x, synth.parity(d, n, 3).y)
    y, phase = labels(y, loss), Phase(lr=0.01, epochs=1, rho=0.1)
    start = network_of(kind, d, 48, seed=1)
    order = orders(n, 40, 5)
    ours, _ = fused.advance(start, x, y, order, None, phase, loss)
    theirs, _ = reference.advance(start, x, y, order, None, phase, loss)
    assert distance(ours, theirs) < 1e-9
    assert distance(ours, start) > 1e-2  # it did train


@EACH_LOSS
@pytest.mark.parametrize("perturbed", ["first layer", "above it"])
@pytest.mark.parametrize("d", [8, 30], ids=["on moments", "more inputs than samples"])
def test_sam_of_some_parameters_agrees(d: int, perturbed: Perturbed, loss: Loss) -> None:
    x, y = random_points(d, 25, 3)
    y, phase = labels(y, loss), Phase(lr=0.01, epochs=1, rho=0.1, perturbed=perturbed)
    start, order = network_of(("sim-bn", "relu", 2), d, 48, seed=1), orders(25, 20, 5)
    assert fused.carries_out(start, phase)
    assert not fused.carries_out(network_of(("bias", "relu", 2), d, 48, seed=1), phase)
    ours, _ = fused.advance(start, x, y, order, None, phase, loss)
    theirs, _ = reference.advance(start, x, y, order, None, phase, loss)
    assert distance(ours, theirs) < 1e-9
    assert distance(ours, fused.advance(start, x, y, order, None, replace(phase, perturbed="all"), loss)[0]) > 1e-4


@EACH_KIND
@EACH_LOSS
@pytest.mark.parametrize("rho", [0.0, 0.02])
def test_a_thousand_full_batch_steps_agree(kind: Kind, loss: Loss, rho: float) -> None:
    """At a learning rate below 2 / sharpness: above it training is chaotic and multiplies rounding errors without bound."""
    x, y = random_points(6, 20, 4)
    y, phase = labels(y, loss), Phase(lr=0.005, epochs=1, rho=rho, batch_size=100, weight_decay=0.05)
    start = network_of(kind, 6, 33, seed=2)
    order = orders(20, 1000, 6)
    ours, _ = fused.advance(start, x, y, order, None, phase, loss)
    theirs, _ = reference.advance(start, x, y, order, None, phase, loss)
    assert distance(ours, theirs) < 1e-9


@EACH_LOSS
@pytest.mark.parametrize(
    "kind",
    [("sim-ln", "relu", 2), ("bias", "softplus", 2), ("sim-bn", "relu", 2), ("bias", "relu", 3)],
    ids=lambda kind: "-".join(map(str, kind)),
)
def test_a_thousand_projected_steps_agree_and_keep_the_norm(kind: Kind, loss: Loss) -> None:
    """As figure 6b: rho so large that it matters, and a first layer that has to grow to the norm at once."""
    x, y = random_points(8, 25, 3)
    y, phase, order = labels(y, loss), Phase(lr=0.003, epochs=1, rho=0.1, first_layer_norm=10.0), orders(25, 40, 5)
    start = network_of(kind, 8, 48, seed=1)
    ours, _ = fused.advance(start, x, y, order, None, phase, loss)
    theirs, _ = reference.advance(start, x, y, order, None, phase, loss)
    assert distance(ours, theirs) < 1e-9
    assert np.linalg.norm(ours.weights) == pytest.approx(10, rel=1e-12)


def test_a_step_that_takes_most_of_the_first_layer_away_is_projected_as_the_reference_does() -> None:
    """One neuron on one input: w - u x is 1e-9 of w, so that ||w||^2 - 2 u z + u^2 x^2 is rounding alone."""
    start = Network(w1=np.array([[1.0]]), w2=np.array([1.0]))
    lr = 0.25 * (1 - 1e-9)  # f = z = 2, l' = 2 (f - y) = 2, u x = lr 2 2
    arguments = np.array([[2.0]]), np.array([1.0]), np.zeros((3, 1), np.int64), None, Phase(lr, 1, first_layer_norm=1.0)
    ours, stop = fused.advance(start, *arguments)
    theirs, _ = reference.advance(start, *arguments)
    assert stop is None
    assert distance(ours, theirs) < 1e-9


@given(
    st.sampled_from(KINDS),
    st.integers(1, 30),
    st.sampled_from([1, 7]),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 0.05]),
    seeds,
    st.sampled_from(LOSSES),
    st.sampled_from([None, 5.0]),
)
@settings(max_examples=60)
def test_cutting_into_calls_changes_no_bit(
    kind: Kind, cut: int, batch: int, rho: float, decay: float, seed: int, loss: Loss, norm: float | None
) -> None:
    """With the logistic loss in float64, whose kernels are compiled for `test_steps_agree`: cutting is the same for either loss."""
    x, y = random_points(5, 10, seed)
    y, phase = labels(y, loss), Phase(0.01, 1, rho, batch, decay, 0.0, norm)
    start = network_of(kind, 5, 20, seed).astype("float32" if loss == MSE else "float64")
    order = orders(10, 31, seed)
    whole, _ = fused.advance(start, x, y, order, None, phase, loss)
    half, _ = fused.advance(start, x, y, order[:cut], None, phase, loss)
    parts, _ = fused.advance(half, x, y, order[cut:], None, phase, loss)
    assert distance(whole, parts) == 0


@EACH_KIND
@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("rho", [0.0, 0.05])
@pytest.mark.parametrize("norm", [None, 5.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_arrays_lie_changes_no_bit(kind: Kind, batch: int, rho: float, norm: float | None, dtype: str) -> None:
    """Few neurons, so that short arrays lie side by side in memory; other allocations before each call; both array orders."""
    d, n, m = 6, 20, 16
    phase, rng, seen = Phase(0.003, 1, rho, batch, first_layer_norm=norm), np.random.default_rng(0), set()
    x, y = random_points(d, n, 0)
    start, order = network_of(kind, d, m, 0).astype(dtype), orders(n, 5, 0)
    for offset, layout in [(o, kind) for o in (0, 8, 16, 32, 40, 64) for kind in "CF"] * 2:
        others = [np.empty(size, np.uint8) for size in rng.integers(1, 3000, 50)]
        network = replace(start, **{name: placed(getattr(start, name), offset, layout) for name in PARAMETERS})
        data = placed(x, offset, layout), placed(y, offset, layout), placed(order, offset, layout)
        after, _ = fused.advance(network, *data, None, phase)
        seen.add(b"".join(part.tobytes() for name in PARAMETERS if (part := getattr(after, name)) is not None))
        del others
    assert len(seen) == 1


@EACH_KIND
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lr", [30.0, 1e12])
def test_divergence_is_found_at_the_references_step(kind: Kind, batch: int, rho: float, dtype: str, lr: float) -> None:
    """Too large a step; Sim-LN's outputs are bounded by ||a||, so it gets a label that overflows, late in the first epoch."""
    x, y = random_points(5, 11, 1)
    order = orders(11, 20, 1)
    if kind[0] == "sim-ln":
        y[order[0, 9]] = np.inf
    start, phase = network_of(kind, 5, 20, 7).astype(dtype), Phase(lr=lr, epochs=1, rho=rho, batch_size=batch)
    _, ours = fused.advance(start, 10 * x, y, order, None, phase)
    _, theirs = reference.advance(start, 10 * x, y, order, None, phase)
    assert ours is not None
    assert ours == theirs


@pytest.mark.parametrize("kind", [k for k in KINDS if not k[0].startswith("sim")], ids=lambda kind: "-".join(map(str, kind)))
@pytest.mark.parametrize("rho", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_of_the_logistic_loss_is_found_at_the_references_step(kind: Kind, rho: float, dtype: str) -> None:
    """Its slope is bounded: parameters grow by a factor a step."""
    x, y = random_points(5, 11, 1)
    order, y = orders(11, 20, 1), labels(y, LOGISTIC)
    start, phase = network_of(kind, 5, 20, 4).astype(dtype), Phase(lr=1e7, epochs=1, rho=rho)
    _, ours = fused.advance(start, 10 * x, y, order, None, phase, LOGISTIC)
    _, theirs = reference.advance(start, 10 * x, y, order, None, phase, LOGISTIC)
    assert ours is not None
    assert ours == theirs


@pytest.mark.parametrize("kind", [k for k in KINDS if k[0] != "sim-bn"], ids=lambda kind: "-".join(map(str, kind)))
@pytest.mark.parametrize("rho", [0.0, 0.05])
def test_a_block_with_huge_steps_that_survives_is_continued(kind: Kind, rho: float) -> None:
    """A label of 1e18 in the third block of eleven steps: handed to the reference, the rest is the kernel's."""
    x, y = random_points(5, 12, 2)
    order, start = np.arange(12)[None], network_of(kind, 5, 20, 2)
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
    assert choose("fused", start, phase) is reference.advance
    _, ours = choose("fused", start, phase)(start, 0 * x, y, orders(4, 100, 0), None, phase)
    _, theirs = reference.advance(start, 0 * x, y, orders(4, 100, 0), None, phase)
    assert ours == theirs
    assert ours is not None


@EACH_KIND
@settings(max_examples=10, deadline=None)
@given(
    d=st.integers(1, 40), m=st.integers(1, 70), n=st.integers(1, 150), seed=seeds, dtype=st.sampled_from(["float32", "float64"])
)
def test_outputs_are_those_of_theory(kind: Kind, d: int, m: int, n: int, seed: int, dtype: str) -> None:
    network, rng = network_of(kind, d, m, seed).astype(dtype), np.random.default_rng(seed)
    x, train_x = rng.standard_normal((n, d)), rng.standard_normal((5, d))
    expected = forward(network, x, train_x=train_x)
    np.testing.assert_allclose(fused.outputs(network, x, train_x), expected, rtol=0, atol=1e-13 * (1 + np.abs(expected).max()))
    if kind[1:] == ("relu", 2):  # a kernel's: the same bits wherever the points lie
        assert np.array_equal(fused.outputs(network, x, train_x), fused.outputs(network, np.asfortranarray(x), train_x))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_of_dead_and_of_overflown_networks(architecture: str) -> None:
    x = np.array([[1.0, -2.0], [3.0, 1.0], [0.0, 0.0]])
    network = initial_network(architecture, 2, 5, seed=1)
    dead = replace(network, w1=0 * network.w1, b1=None if network.b1 is None else -np.ones(5))
    assert np.array_equal(fused.outputs(dead, x, x), np.zeros(3))
    lost = replace(network, w2=np.full(5, np.nan))
    assert np.isnan(fused.outputs(lost, x, x)[:2]).any()
