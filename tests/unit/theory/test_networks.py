"""Closed forms of theory against autograd's full Hessian, an independent reference."""

from dataclasses import replace
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from flatproof import synth, theory
from flatproof.theory import ARCHITECTURES, MSE, DeepNetwork, Loss, Network
from flatproof.verify.two_layer import modules
from flatproof.verify.two_layer.modules import ThreeLayer, TwoLayer
from tests.networks import LOGISTIC, VARIANTS, architectures, autograd_trace, random_network, random_points, seeds


@given(architectures, st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), seeds, st.sampled_from([1e-3, 0.3, 30.0]))
def test_trace_at_interpolation_equals_autograd(arch: str, d: int, m: int, n: int, seed: int, epsilon: float) -> None:
    """On random networks, interpolating because the labels are their outputs."""
    network = random_network(arch, d, m, seed, epsilon=epsilon)
    x, _ = random_points(d, n, seed)
    y = theory.forward(network, x)
    reference = autograd_trace(network, x, y)
    assert theory.loss(network, x, y) == 0
    assert theory.trace_of_hessian(network, x) == pytest.approx(reference, rel=1e-8, abs=1e-8)


@given(architectures, st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), seeds, st.sampled_from([1e-3, 0.3, 30.0]))
def test_trace_off_interpolation_equals_autograd(arch: str, d: int, m: int, n: int, seed: int, epsilon: float) -> None:
    network = random_network(arch, d, m, seed, epsilon=epsilon)
    x, y = random_points(d, n, seed)
    reference = autograd_trace(network, x, y)
    size = abs(theory.trace_of_hessian(network, x)) + abs(reference)
    assert theory.trace_of_hessian(network, x, y) == pytest.approx(reference, rel=1e-8, abs=1e-8 * max(1, size))


@given(st.sampled_from(VARIANTS), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), seeds)
def test_trace_of_softplus_and_three_layers_equals_autograd(
    variant: tuple[str, str, int], d: int, m: int, n: int, seed: int
) -> None:
    """Off interpolation and at it, both losses."""
    architecture, activation, depth = variant
    network = random_network(architecture, d, m, seed, activation=activation, depth=depth)
    x, y = random_points(d, n, seed)
    for loss, labels in ((MSE, y), (LOGISTIC, np.sign(y))):
        reference = autograd_trace(network, x, labels, loss)
        size = theory.trace_of_hessian(network, x, objective=loss) + abs(reference)
        assert theory.trace_of_hessian(network, x, labels, loss) == pytest.approx(reference, rel=1e-10, abs=1e-10 * size)
    y = theory.forward(network, x)
    assert theory.loss(network, x, y) == 0
    assert theory.trace_of_hessian(network, x) == pytest.approx(autograd_trace(network, x, y), rel=1e-10, abs=1e-10)


@given(architectures, st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), seeds, st.floats(0.01, 0.49))
def test_trace_of_the_logistic_loss_equals_autograd(arch: str, d: int, m: int, n: int, seed: int, p: float) -> None:
    network, loss = random_network(arch, d, m, seed), Loss("logistic", p)
    x, y = random_points(d, n, seed)
    reference = autograd_trace(network, x, np.sign(y), loss)
    size = theory.trace_of_hessian(network, x, objective=loss) + abs(reference)
    assert theory.trace_of_hessian(network, x, np.sign(y), loss) == pytest.approx(reference, rel=1e-9, abs=1e-9 * size)


@given(architectures, st.sampled_from([2, 3]), st.integers(1, 5), st.integers(1, 6), seeds)
def test_no_network_at_the_minimum_of_the_logistic_loss_goes_below_the_bound(
    arch: str, depth: int, d: int, m: int, seed: int
) -> None:
    """One point, labelled by the network's sign, the last layer scaled so that its output is the target."""
    arch = "bias" if depth == 3 else arch
    network = random_network(arch, d, m, seed, depth=depth)
    x, _ = random_points(d, 1, seed)
    f = theory.forward(network, x)
    assume(abs(f[0]) > 1e-6)
    y = np.sign(f)
    fitted = replace(network, w2=network.w2 * (LOGISTIC.targets(y) / f)[0])
    assert theory.loss(fitted, x, y, LOGISTIC) == pytest.approx(0, abs=1e-12)
    bound = theory.trace_lower_bound(arch, x, y, network.epsilon, LOGISTIC, depth=depth)
    assert theory.trace_of_hessian(fitted, x, y, LOGISTIC) >= bound * (1 - 1e-9)
    assert bound > 0


@pytest.mark.parametrize("loss", [MSE, LOGISTIC], ids=lambda loss: loss.name)
def test_memorizing_networks_attain_the_bounds_of_either_loss(loss: Loss) -> None:
    """theorem-4.1 with two layers and three, theorem-5.1; for the logistic loss on its targets."""
    data = synth.parity(10, 12, 0)
    labels = loss.targets(data.y)
    two = theory.memorizing_network(data.x, labels)
    assert theory.loss(two, data.x, data.y, loss) == pytest.approx(0, abs=1e-15)
    assert theory.trace_of_hessian(two, data.x, data.y, loss) == pytest.approx(
        theory.trace_lower_bound("bias", data.x, data.y, objective=loss), rel=1e-9
    )
    length = np.sqrt(11.0)
    r = (length / np.abs(labels)) ** (1 / 3)
    u = np.abs(labels) * r**2
    three = Network(
        w1=u[:, None] * data.x,
        b1=u * (-10 + 1.0),
        middle=np.diag(1 / r),
        w2=np.sign(labels) / r,
        architecture="bias",
    )
    assert theory.loss(three, data.x, data.y, loss) == pytest.approx(0, abs=1e-15)
    bound = theory.trace_lower_bound("bias", data.x, data.y, objective=loss, depth=3)
    assert theory.trace_of_hessian(three, data.x, data.y, loss) == pytest.approx(bound, rel=1e-9)
    normed = theory.memorizing_network(data.x, labels, "sim-ln", epsilon=1e-3)
    bound = theory.trace_lower_bound("sim-ln", data.x, data.y, 1e-3, loss)
    assert theory.trace_of_hessian(normed, data.x, data.y, loss) == pytest.approx(bound, rel=1e-9)


def test_softplus_has_no_overflow_and_loses_no_digits() -> None:
    z = np.concatenate([np.linspace(-40, 40, 90), [-750.0, -700.0, 700.0, 1e300]])
    network = Network(np.ones((1, 1)), np.ones(1), activation="softplus")
    with np.errstate(all="raise", under="ignore"):
        values = theory.forward(network, z[:, None])
    exact = [float(mpmath.log1p(mpmath.exp(value))) for value in z[:-1]] + [1e300]
    np.testing.assert_allclose(values, exact, rtol=1e-14)


def test_no_bound_is_known_for_softplus() -> None:
    assert np.isnan(theory.trace_lower_bound("bias", [[1.0]], [1.0], activation="softplus"))


@given(st.sampled_from(VARIANTS), st.integers(1, 8), st.integers(1, 9), st.integers(1, 9), seeds)
def test_torch_and_numpy_agree_on_softplus_and_three_layers(
    variant: tuple[str, str, int], d: int, m: int, n: int, seed: int
) -> None:
    architecture, activation, depth = variant
    network = random_network(architecture, d, m, seed, activation=activation, depth=depth)
    x, _ = random_points(d, n, seed)
    module = modules.module(network)
    assert module(torch.as_tensor(x)).detach().numpy() == pytest.approx(theory.forward(network, x), rel=1e-12, abs=1e-12)
    assert theory.forward(module.network(), x) == pytest.approx(theory.forward(network, x), rel=0, abs=0)


@given(architectures, st.integers(1, 8), st.integers(1, 9), st.integers(1, 9), seeds)
def test_torch_and_numpy_networks_agree(arch: str, d: int, m: int, n: int, seed: int) -> None:
    network = random_network(arch, d, m, seed)
    x, _ = random_points(d, n, seed)
    fresh, _ = random_points(d, 4, seed + 1)
    module = TwoLayer(network, train_x=x)
    for points in (x, fresh):
        ours = theory.forward(network, points, train_x=x)
        assert module(torch.as_tensor(points)).detach().numpy() == pytest.approx(ours, rel=1e-12, abs=1e-12)
    assert (module.network().w1 == network.w1).all()


@given(architectures, st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), seeds, st.floats(1e-3, 1e3), st.booleans())
def test_no_interpolating_network_goes_below_the_bound(
    arch: str, d: int, m: int, n: int, seed: int, scale: float, signs: bool
) -> None:
    """Labels are the outputs of a random network, so that it interpolates: its trace is at least the bound."""
    network = random_network(arch, d, m, seed, scale)
    x, _ = random_points(d, n, seed, signs)
    y = theory.forward(network, x)
    bound = theory.trace_lower_bound(arch, x, y, network.epsilon)
    assert theory.trace_of_hessian(network, x) >= bound * (1 - 1e-9)


def test_bias_bound_is_attained_by_equation_5() -> None:
    """wen2023/proposition-4.2 as printed, r = (d^2+1)^(1/4): interpolates, but its trace is not the bound; d+1 makes it so."""
    d = 5
    signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=float)

    def witness(r: float) -> Network:
        w1 = np.zeros((4, d))
        w1[:, :2] = r * signs
        return Network(w1=w1, b1=np.full(4, -r), w2=signs.prod(axis=1) / r, architecture="bias")

    x = np.sign(np.random.default_rng(0).standard_normal((40, d)))
    y = x[:, 0] * x[:, 1]
    bound = theory.trace_lower_bound("bias", x, y)
    assert bound == pytest.approx(4 * np.sqrt(d + 1))
    assert theory.loss(witness(1.3), x, y) == pytest.approx(0)
    assert theory.trace_of_hessian(witness((d + 1) ** 0.25), x) == pytest.approx(bound)
    assert theory.trace_of_hessian(witness((d**2 + 1) ** 0.25), x) > 1.1 * bound


def test_sim_ln_bound_is_attained_by_a_memorizing_network() -> None:
    """Sign vectors are extreme points, so x_i itself separates x_i; one neuron a sample with norm above epsilon has trace 2."""
    x = np.array([[1, 1, 1], [1, -1, 1], [-1, 1, 1], [-1, -1, -1]], dtype=float)
    y = x[:, 0] * x[:, 1]
    network = Network(w1=2 * x, b1=np.full(4, -4.0), w2=y, architecture="sim-ln", epsilon=0.5)
    assert theory.loss(network, x, y) == 0
    assert theory.trace_of_hessian(network, x) == pytest.approx(theory.trace_lower_bound("sim-ln", x, y, 0.5)) == 2


def test_sim_bn_bound_is_attained_where_two_neurons_suffice() -> None:
    """y = x on the line: the neurons relu(x), relu(-x) carry the labels; the first-layer term vanishes as the weights grow."""
    x, y = np.array([[1.0], [2.0], [-1.0], [-3.0]]), np.array([1.0, 2.0, -1.0, -3.0])
    p, q = np.sqrt(5 / 4), np.sqrt(10 / 4)
    gamma = np.sqrt([p, q])
    bound = theory.trace_lower_bound("sim-bn", x, y)
    for size, excess in ((1.0, 100.0), (1e3, 1e-4)):
        network = Network(
            w1=size * np.array([[1.0], [-1.0]]), b1=np.zeros(2), w2=gamma * [1, -1], gamma=gamma, architecture="sim-bn"
        )
        assert theory.loss(network, x, y) == pytest.approx(0, abs=1e-24)
        assert bound <= theory.trace_of_hessian(network, x) <= bound + excess


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-9])
def test_sim_bn_trace_keeps_its_digits_for_barely_active_neurons(scale: float) -> None:
    """One neuron a sample: the first layer's gradient is exactly 0, the trace 2 * 2 * m, at any scale of w1."""
    x = synth.parity(30, 20, 0).x
    network = Network(scale * x, np.ones(20), scale * np.full(20, -29.0), np.ones(20), "sim-bn")
    assert theory.trace_of_hessian(network, x) == pytest.approx(80, rel=1e-9)


def test_whole_numbers_and_float32_are_measured_in_float64() -> None:
    assert theory.trace_of_hessian(Network(np.array([[3]]), np.array([200], dtype=np.uint8)), [[1.0]]) == 80018
    network = random_network("bias", 4, 6, 0)
    x, y = random_points(4, 5, 0)
    single = network.astype("float32")
    assert theory.trace_of_hessian(single, x, y) == theory.trace_of_hessian(single.astype("float64"), x, y)


def test_dead_batch_norm_neurons_count_for_nothing() -> None:
    network = random_network("sim-bn", 3, 4, 0)
    x, _ = random_points(3, 5, 0)
    dead = Network(
        w1=np.vstack([network.w1, np.zeros((1, 3))]),
        b1=np.append(network.b1, -1.0),
        w2=np.append(network.w2, 3.0),
        gamma=np.append(network.gamma, 2.0),
        architecture="sim-bn",
    )
    assert theory.forward(dead, x) == pytest.approx(theory.forward(network, x))
    assert theory.trace_of_hessian(dead, x) == pytest.approx(theory.trace_of_hessian(network, x))
    assert torch.isfinite(TwoLayer(dead, train_x=x)(torch.as_tensor(x))).all()


@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 5), seeds)
def test_deep_network_against_autograd(depth: int, d: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = [d] + [m] * (depth - 1) + [1]
    layers = tuple(rng.standard_normal((o, i)) for i, o in pairwise(widths))
    network = DeepNetwork(layers, rng.standard_normal(m))
    x = rng.standard_normal((3, d))
    leaves = [torch.tensor(w, requires_grad=True) for w in (*layers, network.b1)]
    for i, row in enumerate(torch.as_tensor(x)):
        h = torch.relu(leaves[0] @ row + leaves[-1])
        for w in leaves[1:-2]:
            h = torch.relu(w @ h)
        f = (leaves[-2] @ h)[0]
        grads = torch.autograd.grad(f, leaves, allow_unused=True, materialize_grads=True)
        assert network.forward(x)[i] == pytest.approx(f.item())
        assert network.squared_gradient_norms(x)[i] == pytest.approx(float(sum((g**2).sum() for g in grads)))
    y = network.forward(x)
    assert network.trace_of_hessian(x) >= network.trace_lower_bound(x, y) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.trace_lower_bound("batch-norm", [[1.0]], [1.0]), "architecture must be one of no-bias, bias, sim-bn"),
        (lambda: theory.trace_lower_bound("bias", [[1.0, np.nan]], [1.0]), "x must be finite, row 0 is not"),
        (lambda: theory.trace_lower_bound("bias", [[1.0]], [np.inf]), "y must be finite, entry 0 is not"),
        (lambda: theory.trace_lower_bound("bias", [[1.0]], [[1.0]]), r"y must have shape \(1,\), one label for each row"),
        (lambda: theory.trace_lower_bound("bias", [1.0], [1.0]), r"x must have shape \(n, d\)"),
        (lambda: theory.trace_lower_bound("bias", [["a"]], [1.0]), "x must hold numbers"),
        (lambda: theory.forward(random_network("bias", 3, 2, 0), [[1.0]]), "x must have 3 columns"),
        (lambda: Network(np.zeros((2, 3)), np.zeros(3)), r"w2 must have shape \(2,\)"),
        (lambda: Network(np.zeros((2, 3)), np.zeros(2), architecture="bias"), "b1 must be given for 'bias'"),
        (lambda: Network(np.zeros((2, 3)), np.zeros(2), b1=np.zeros(2)), "b1 must not be given for 'no-bias'"),
        (lambda: Network(np.zeros((0, 3)), np.zeros(0)), r"w1 must have shape \(m, d\) with m, d >= 1"),
        (lambda: Network(np.zeros((1, 3), dtype=complex), np.zeros(1)), "w1 must hold real numbers"),
        (lambda: theory.trace_lower_bound("sim-ln", [[1.0]], [1.0], epsilon=-1), "epsilon must be a finite number above 0"),
        (lambda: Network(np.zeros(3), np.zeros(2)), r"w1 must have shape \(m, d\)"),
        (lambda: TwoLayer(random_network("sim-bn", 3, 2, 0)), "train_x must be given for 'sim-bn'"),
        (lambda: TwoLayer(random_network("bias", 3, 2, 0, depth=3)), "network must have two layers, got 3"),
        (lambda: ThreeLayer(random_network("bias", 3, 2, 0)), "network must have three layers, got 2"),
        (
            lambda: random_network("sim-ln", 3, 2, 0, activation="softplus"),
            "'softplus' is for 'no-bias' and 'bias' with two layers",
        ),
        (lambda: random_network("bias", 3, 2, 0, activation="softplus", depth=3), "'softplus' is for .* got 'bias' with 3"),
        (lambda: random_network("bias", 3, 2, 0, activation="tanh"), "activation must be one of relu, softplus, got 'tanh'"),
        (lambda: random_network("no-bias", 3, 2, 0, depth=3), "depth 3 is for 'bias', got 'no-bias'"),
        (lambda: replace(random_network("bias", 3, 2, 0), middle=np.ones((2, 3))), r"middle must have shape \(2, 2\)"),
        (lambda: Loss("hinge"), "loss must be one of mse, logistic, got 'hinge'"),
        (lambda: Loss("logistic"), "smoothing must be a number above 0 and below 0.5 for the loss 'logistic', got 0.0"),
        (lambda: Loss("mse", 0.1), "smoothing must be 0 for the loss 'mse', got 0.1"),
        (lambda: LOGISTIC.check_labels(np.array([1.0, 0.5])), "entry 1 is 0.5; expected 'mse'"),
    ],
)
def test_bad_input_names_the_culprit(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_every_architecture_is_covered() -> None:
    assert set(ARCHITECTURES) == {"no-bias", "bias", "sim-bn", "sim-ln"}
