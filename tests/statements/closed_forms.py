"""The ledger's identities, inequalities and constructions over random dimensions, widths, depths, labels and data; and wrong variants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis import target

from flatproof import theory
from flatproof.theory import DeepNetwork, Network
from flatproof.theory.constructions import generalizing_network, memorizing_network
from flatproof.verify.two_layer.modules import TwoLayer
from tests.networks import random_network, random_points
from tests.statements.harness import Case, Property

number = st.floats(-10, 10).map(lambda v: round(v, 3))
huge = st.sampled_from([0.0, 1e-6, 1.0, 1e6])
seed = st.integers(0, 10**6)


def close(value: Any, expected: Any, tolerance: float = 1e-8) -> bool:
    a, b = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    return bool(np.all(np.abs(a - b) <= tolerance * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-12)))


# --- statements of two layers -------------------------------------------------------------------------------------------

two_layers = st.tuples(st.sampled_from(["no-bias", "bias"]), st.integers(1, 6), st.integers(1, 8), seed, huge)


def folded(network: Network, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x', h and A."""
    inputs = x if network.b1 is None else np.hstack([x, np.ones((len(x), 1))])
    z = inputs @ network.weights.T
    return inputs, np.maximum(z, 0), z > 0


def gradient_norm(statement: Callable[..., np.ndarray], case: Case) -> None:
    """equation-2 against autograd, sample by sample."""
    kind, d, m, number, scale = case
    network = random_network(kind, d, m, number, max(scale, 1e-3))
    x, _ = random_points(d, 3, number)
    module = TwoLayer(network)
    reference = []
    for row in torch.as_tensor(x):
        grads = torch.autograd.grad(module(row[None])[0], list(module.parameters()))
        reference.append(sum(float(g.square().sum()) for g in grads))
    inputs, h, on = folded(network, x)
    assert close(statement(network.w2, np.linalg.norm(inputs, axis=1), h, on), reference)


def bound_two_layers(statement: Callable[..., np.ndarray], case: Case) -> None:
    """equation-3 on random networks and on memorizing ones, which attain it."""
    _, d, m, number, scale = case
    x, y = random_points(d, 3, number)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y *= scale
    random = random_network("bias", d, m, number)
    pairs = [(random, theory.forward(random, x))]
    if d > 1:
        pairs.append((memorizing_network(x, y), y))
    length = np.sqrt(np.sum(x**2, axis=1) + 1)
    for network, labels in pairs:
        assert np.allclose(theory.forward(network, x), labels, rtol=1e-9, atol=1e-12)
        norms, bound = theory.squared_gradient_norms(network, x), statement(length, labels)
        assert np.all(norms >= bound * (1 - 1e-9))
        if network is not random:
            assert close(norms, bound)


def equality_case(statement: Callable[..., np.ndarray], case: Case) -> None:
    """equation-4: at equality the active second-layer weights are `statement(h, ||x'||, y)`, for labels of both signs."""
    _, d, _, number, scale = case
    d += 1
    x, y = random_points(d, 4, number)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    network = memorizing_network(x, y * max(scale, 1e-6))
    inputs, h, on = folded(network, x)
    for i in range(len(x)):
        length = float(np.linalg.norm(inputs[i]))
        assert close(network.w2 * on[i], statement(h[i], length, y[i]))


def split_of_memory(statement: Callable[..., float], case: Case) -> None:
    """Theorem 4.1's r_i for D = 2: the split of y_i between the layers that attains the bound."""
    _, d, _, number, scale = case
    x, y = random_points(d, 1, number)
    y = y * max(scale, 1e-6)
    r = statement(x[0])
    w = x[0] / np.linalg.norm(x[0])
    u = np.sqrt(r * abs(y[0]))
    network = Network((u * w)[None], np.sign(y) * np.sqrt(np.abs(y) / r), np.array([u * (1 - w @ x[0])]), architecture="bias")
    assert close(theory.forward(network, x), y)
    assert close(theory.trace_of_hessian(network, x), theory.trace_lower_bound("bias", x, y))


def generalizing_radius(statement: Callable[[int], float], case: Case) -> None:
    """Proposition 4.2's r: the network attains the bound on the cube."""
    d = case[1] + 1
    r, base = statement(d), generalizing_network(d)
    assert base.b1 is not None
    factor = r / (d + 1) ** 0.25
    network = Network(base.w1 * factor, base.w2 / factor, base.b1 * factor, architecture="bias")
    x = 1.0 - 2.0 * np.random.default_rng(case[3]).integers(0, 2, (5, d))
    y = x[:, 0] * x[:, 1]
    assert close(theory.forward(network, x), y)
    assert close(theory.trace_of_hessian(network, x), theory.trace_lower_bound("bias", x, y))


# --- depth, normalization -----------------------------------------------------------------------------------------------

deep = st.tuples(st.integers(2, 5), st.integers(2, 4), seed, st.sampled_from([1e-3, 1.0, 1e3]))


def bound_deep(statement: Callable[..., float], case: Case) -> None:
    """Theorem 4.1's bound for depth D on random networks, attained by the memorizing construction."""
    depth, d, number, scale = case
    rng = np.random.default_rng(number)
    random = DeepNetwork(
        (rng.standard_normal((4, d)), *[rng.standard_normal((4, 4))] * (depth - 2), rng.standard_normal((1, 4))),
        rng.standard_normal(4),
    )
    x, y = rng.standard_normal(d), float(rng.standard_normal()) * scale
    length = np.sqrt(x @ x + 1)
    r = (length / abs(y)) ** (1 / depth)
    u, w = abs(y) * r ** (depth - 1), x / np.linalg.norm(x)
    exact = DeepNetwork(
        ((u * w)[None], *[np.array([[1 / r]])] * (depth - 2), np.array([[np.sign(y) / r]])), np.array([u * (1 - w @ x)])
    )
    for network, tight in ((random, False), (exact, True)):
        label = network.forward(x[None])[0]
        norm, bound = network.squared_gradient_norms(x[None])[0], statement(depth, abs(label), length)
        target(float((bound - norm) / (1 + bound)), label="tight" if tight else "random")
        assert norm >= bound * (1 - 1e-9)
        if tight:
            assert close(label, y)
            assert close(norm, bound)


def bound_layer_norm(statement: Callable[[float], float], case: Case) -> None:
    """Lemma A.12: the least squared gradient norm of a sample, as a function of t = ||x'|| |y| / eps; attained."""
    _, d, number, _ = case
    rng = np.random.default_rng(number)
    random = random_network("sim-ln", d, 5, number, scale=10.0 ** rng.uniform(-2, 1))
    x = rng.standard_normal((1, d))
    y = np.array([10.0 ** rng.uniform(-3, 1)])
    exact = memorizing_network(x, y, "sim-ln", epsilon=0.3)
    length = float(np.sqrt(x[0] @ x[0] + 1))
    for network, tight in ((random, False), (exact, True)):
        label = float(theory.forward(network, x)[0])
        norm, bound = theory.squared_gradient_norms(network, x)[0], statement(length * abs(label) / 0.3)
        assert norm >= bound * (1 - 1e-9)
        assert not tight or close(norm, bound)


def batch_norm_floor(statement: Callable[[float], float], case: Case) -> None:
    """Lemma A.3, corrected: the trace tends to `statement(||W2||² + ||gamma||²)` along t W1 and never goes below."""
    _, d, number, _ = case
    network = random_network("sim-bn", d, 4, number)
    x, _ = random_points(d, 5, number)
    assert network.b1 is not None
    assert network.gamma is not None
    lift = np.abs(network.b1) + 3 * np.linalg.norm(network.w1, axis=1)  # every neuron sees something
    big = Network(1e5 * network.w1, network.w2, 1e5 * lift, network.gamma, "sim-bn")
    squares = float(np.sum(network.w2**2 + network.gamma**2))
    trace = theory.trace_of_hessian(big, x)
    assert trace >= statement(squares) * (1 - 1e-9)
    assert close(trace, statement(squares), 1e-5)


# --- elementary ---------------------------------------------------------------------------------------------------------

four = st.tuples(number, number, number, number)
whole = st.tuples(*[st.integers(-2, 2)] * 3, number)  # few enough that most of them are drawn


def relu(v: float) -> float:
    return max(v, 0.0)


def lipschitz_square(statement: Callable[[float, float], float], case: Case) -> None:
    """lemma-A.26."""
    x, y = case[:2]
    left, right = abs(relu(x) ** 2 - relu(y) ** 2), statement(x, y)
    target(left - right)
    assert left <= right + 1e-9


def parity_pairs(statement: Callable[..., float], case: Case) -> None:
    """lemma-A.27's inequality."""
    a, b, c, _ = case
    d = b + c - a
    left = (relu(a) + relu(d) - relu(b) - relu(c)) ** 2
    right = statement(a, b, c, d)
    target(left - right)
    assert left <= right + 1e-9


def parity_equality(statement: Callable[[int], bool], case: Case) -> None:
    """lemma-A.27's equality case, from how many of the four are positive; on integers, where it is exact."""
    a, b, c = (round(v) for v in case[:3])
    d = b + c - a
    four = [max(v, 0) for v in (a, b, c, d)]
    gap = sum(v * v for v in four) - (four[0] + four[3] - four[1] - four[2]) ** 2
    assert (gap == 0) == statement(sum(v > 0 for v in (a, b, c, d)))


def truncated_square(statement: Callable[[float, float], float], case: Case) -> None:
    """equation-15: continuous and continuously differentiable at its joints, between 0 and min(u², 2c²)."""
    c = abs(case[0]) + 0.5
    step = 1e-6 * c
    for joint in (c, 2 * c):
        left, at, right = (statement(joint + k * step, c) for k in (-1, 0, 1))
        assert abs(left - at) + abs(right - at) <= 1e-4 * c**2
        assert abs((right - at) - (at - left)) / step <= 1e-4 * c
    u = abs(case[1]) + abs(case[2])
    assert -1e-9 <= statement(u, c) <= min(u**2, 2 * c**2) + 1e-9


def smoothed_minimizer(statement: Callable[[float], float], case: Case) -> None:
    """theorem-A.2, corrected: the target for label 1 is where the smoothed logistic loss has slope 0."""
    p = 0.5 + case[0] / 25
    a = statement(p)
    assert abs(1 / (1 + np.exp(-a)) - p) < 1e-9


def smoothed_curvature(statement: Callable[[float], float], case: Case) -> None:
    """lemma-A.13, corrected: the loss's second derivative there, by central differences of its slope."""
    p = 0.5 + case[0] / 25
    a, h = np.log(p / (1 - p)), 1e-5
    slope = (1 / (1 + np.exp(-a - h)) - 1 / (1 + np.exp(-a + h))) / (2 * h)
    assert abs(slope - statement(p)) < 1e-6


def pieces(u: float, c: float, linear: float = 4, constant: float = 2) -> float:
    if u <= c:
        return u**2
    return -(u**2) + linear * c * u - constant * c**2 if u <= 2 * c else 2 * c**2


PROPERTIES = {
    "equation-2": Property(
        gradient_norm,
        two_layers,
        lambda a, r, h, on: (on @ a**2) * r**2 + np.sum(h**2, axis=1),
        {
            "||x'|| not squared": lambda a, r, h, on: (on @ a**2) * r + np.sum(h**2, axis=1),
            "second layer dropped": lambda a, r, h, on: (on @ a**2) * r**2,
            "first layer dropped": lambda a, r, h, on: np.sum(h**2, axis=1),
            "inactive neurons counted": lambda a, r, h, on: np.sum(a**2) * r**2 + np.sum(h**2, axis=1),
            "sign swapped": lambda a, r, h, on: (on @ a**2) * r**2 - np.sum(h**2, axis=1),
        },
    ),
    "equation-3": Property(
        bound_two_layers,
        two_layers,
        lambda r, y: 2 * r * np.abs(y),
        {
            "factor 3": lambda r, y: 3 * r * np.abs(y),
            "||x'||²": lambda r, y: 2 * r**2 * np.abs(y),
            "factor dropped": lambda r, y: r * np.abs(y),
            "y squared": lambda r, y: 2 * r * y**2,
        },
    ),
    "equation-4": Property(
        equality_case,
        two_layers,
        lambda h, r, y: np.sign(y) * h / r,
        {
            "as printed of the construction, without the sign": lambda h, r, y: h / r,
            "||x'||²": lambda h, r, y: np.sign(y) * h / r**2,
            "not divided": lambda h, r, y: np.sign(y) * h,
        },
    ),
    "theorem-4.1, split": Property(
        split_of_memory,
        two_layers,
        lambda x: np.sqrt(x @ x + 1),
        {
            "||x||": lambda x: np.sqrt(x @ x),
            "||x'||²": lambda x: x @ x + 1,
            "1": lambda x: 1.0,
        },
    ),
    "proposition-4.2": Property(
        generalizing_radius,
        two_layers,
        lambda d: (d + 1) ** 0.25,
        {
            "as printed": lambda d: (d**2 + 1) ** 0.25,
            "square root": lambda d: (d + 1) ** 0.5,
            "d": lambda d: d**0.25,
        },
    ),
    "theorem-4.1, depth": Property(
        bound_deep,
        deep,
        lambda D, y, r: D * y ** (2 * (D - 1) / D) * r ** (2 / D),
        {
            "exponent of y": lambda D, y, r: D * y ** ((D - 1) / D) * r ** (2 / D),
            "exponent of ||x'||": lambda D, y, r: D * y ** (2 * (D - 1) / D) * r ** (1 / D),
            "factor D - 1": lambda D, y, r: (D - 1) * y ** (2 * (D - 1) / D) * r ** (2 / D),
            "two-layer form": lambda D, y, r: 2 * y * r,
        },
    ),
    "lemma-A.12": Property(
        bound_layer_norm,
        deep,
        lambda t: min(1, 2 * t),
        {
            "factor dropped": lambda t: min(1, t),
            "factor 4": lambda t: min(1, 4 * t),
            "max for min": lambda t: max(1, 2 * t),
            "case boundary as printed": lambda t: 2 * t if t <= 1 else 1,
        },
    ),
    "lemma-A.3": Property(
        batch_norm_floor,
        deep,
        lambda s: 2 * s,
        {"as printed": lambda s: s, "factor 4": lambda s: 4 * s},
    ),
    "lemma-A.26": Property(
        lipschitz_square,
        four,
        lambda x, y: (abs(x) + abs(y)) * abs(x - y),
        {"squared difference": lambda x, y: (x - y) ** 2, "half": lambda x, y: (abs(x) + abs(y)) * abs(x - y) / 2},
        cheap=True,
    ),
    "lemma-A.27": Property(
        parity_pairs,
        whole,
        lambda a, b, c, d: relu(a) ** 2 + relu(b) ** 2 + relu(c) ** 2 + relu(d) ** 2,
        {
            "a term dropped": lambda a, b, c, d: relu(a) ** 2 + relu(b) ** 2 + relu(d) ** 2,
            "half": lambda a, b, c, d: (relu(a) ** 2 + relu(b) ** 2 + relu(c) ** 2 + relu(d) ** 2) / 2,
        },
        cheap=True,
    ),
    "lemma-A.27, equality": Property(
        parity_equality,
        whole,
        lambda positive: positive <= 1,
        {"two positive": lambda positive: positive <= 2, "none positive": lambda positive: positive == 0},
        cheap=True,
    ),
    "equation-15": Property(
        truncated_square,
        four,
        pieces,
        {
            "3c|u|": lambda u, c: pieces(u, c, linear=3),
            "- c²": lambda u, c: pieces(u, c, constant=1),
        },
        cheap=True,
    ),
    "theorem-A.2": Property(
        smoothed_minimizer,
        four,
        lambda p: np.log(p / (1 - p)),
        {"as printed": lambda p: np.log((1 - p) / p), "ln p": np.log},
        cheap=True,
    ),
    "lemma-A.13": Property(
        smoothed_curvature,
        four,
        lambda p: p * (1 - p),
        {"as printed": lambda p: 1 / (p * (1 - p)), "p²": lambda p: p * p},
        cheap=True,
    ),
}
