"""The project's own statements on flattest networks beyond the trace at interpolation, over random networks; and wrong variants."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from flatproof import theory
from flatproof.theory.constructions import deep_generalizing, deep_memorizing
from flatproof.theory.losses import Loss
from flatproof.theory.networks import PARAMETERS, DeepNetwork, Network, hidden
from tests.certificates import CUBE
from tests.networks import random_network, random_points
from tests.statements.closed_forms import close
from tests.statements.harness import Case, Property

seed = st.integers(0, 10**6)
cubes = st.tuples(st.integers(2, 4), st.booleans(), seed)
networks = st.tuples(st.sampled_from(["no-bias", "bias"]), st.integers(1, 4), st.integers(1, 6), seed)


def share_of_a_neuron(statement: Callable[..., float], case: Case) -> None:
    """flattest-4: <P, K_j> >= `statement(d)` |w . Y| / N at the best balance, P = (11' + yy') / (2N), N = 2^d."""
    d, on_kinks, number = case
    x = CUBE[d]
    y, n, rng = x[:, 0] * x[:, 1], len(x), np.random.default_rng(number)
    w = rng.integers(-1, 2, d).astype(float) if on_kinks else rng.standard_normal(d)
    on = x @ w > 0
    parts = [x[on & (y == label)].sum(axis=0) for label in (1, -1)]
    head, tail = sum(p @ p for p in parts), sum((w @ p) ** 2 for p in parts)
    share = 2 / n * 2 * np.sqrt(head * tail) / n  # sums over pairs of equal labels, P_ik = 1 / N there
    assert share >= statement(d) * abs(w @ (parts[0] - parts[1])) / n * (1 - 1e-12)


def four_quarters(statement: Callable[..., float], case: Case) -> None:
    """flattest-4: λ_max of the four quarters that have the least trace, by the exact kernel."""
    d, _, _ = case
    x, a = CUBE[d], d**-0.25
    w = np.array([[s, t, *[0.0] * (d - 2)] for s in (1, -1) for t in (1, -1)]) / (2 * a)
    h, on = np.maximum(x @ w.T, 0), x @ w.T > 0
    kernel = 2 / len(x) * (a**2 * (on.astype(float) @ on.T) * (x @ x.T) + h @ h.T)
    assert close(np.trace(kernel), 4 * d**0.5)
    assert close(np.linalg.eigvalsh(kernel)[-1], statement(d))


def trace_off_interpolation(statement: Callable[..., float], case: Case) -> None:
    """flattest-5: the trace of the Hessian for labels that are not fitted, by autograd."""
    kind, d, m, number = case
    network = random_network(kind, d, m, number)
    x, y = random_points(d, 3, number)
    inputs = torch.as_tensor(x if network.b1 is None else np.hstack([x, np.ones((len(x), 1))]))
    first, second = torch.as_tensor(network.weights), torch.as_tensor(network.w2)

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        weights, a = parameters[: first.numel()].reshape(first.shape), parameters[first.numel() :]
        return ((torch.relu(inputs @ weights.T) @ a - torch.as_tensor(y)) ** 2).mean()

    hessian = torch.autograd.functional.hessian(loss, torch.cat([first.reshape(-1), second]))
    assert close(statement(theory.squared_gradient_norms(network, x)), float(torch.trace(hessian)))


def constants(statement: Callable[..., float], case: Case) -> None:
    """flattest-6: the least trace over balances, with a constant t in place of s and the same functions."""
    _, d, m, number = case
    rng = np.random.default_rng(number)
    x = rng.standard_normal((5, d + 1))
    x *= 1.5 / np.linalg.norm(x, axis=1, keepdims=True)
    w, b, a = rng.standard_normal((m, d + 1)), rng.standard_normal(m), rng.standard_normal(m)
    s, t = np.exp(rng.standard_normal(2))

    def balanced(size: float) -> float:
        points = np.hstack([x, np.full((len(x), 1), size)])
        first = np.hstack([w, b[:, None] / size])
        h = np.maximum(points @ first.T, 0)
        length = np.linalg.norm(h, axis=0)
        seen = np.sqrt((h > 0).T @ np.sum(points**2, axis=1))
        scale = np.sqrt(np.abs(a) * seen / np.where(length > 0, length, 1))
        scale = np.where(scale > 0, scale, 1.0)
        network = Network(w1=first * scale[:, None], w2=a / scale)
        return float(theory.trace_of_hessian(network, points))

    assert close(balanced(t), statement(1.5, s, t) * balanced(s))


def other_loss(statement: Callable[..., float], case: Case) -> None:
    """flattest-7: the trace of the logistic loss at a perfect fit over that of the mean squared error, the weights scaled alike."""
    (architecture, depth), d, m, number = case
    rng = np.random.default_rng(number)
    p = float(rng.uniform(0.05, 0.45))
    loss, t = Loss("logistic", smoothing=p), np.log(1 / p - 1)
    (x, _), network = random_points(d, 4, number), random_network(architecture, d, m, number)
    if depth == 3:
        network = replace(network, middle=rng.standard_normal((m, m)))
    scaled = replace(network, **{k: v * t ** (1 / depth) for k in PARAMETERS if (v := getattr(network, k)) is not None})
    assert close(theory.forward(scaled, x), t * theory.forward(network, x))
    ours = float(theory.trace_of_hessian(scaled, x, None, loss))
    assert close(ours, statement(t, p, depth) * float(theory.trace_of_hessian(network, x)))


def linear_map(statement: Callable[..., float], case: Case) -> None:
    """flattest-8: the least trace over balances of one function on inputs under a linear map, from the lengths of their images."""
    _, d, m, number = case
    rng = np.random.default_rng(number)
    x, a = rng.standard_normal((6, d)), rng.standard_normal((d, d))
    first, second = rng.standard_normal((m, d)), rng.standard_normal(m)
    mapped, moved = x @ a.T, np.linalg.solve(a.T, first.T).T
    h, on = np.maximum(x @ first.T, 0), x @ first.T > 0
    seen = np.sqrt(on.T @ np.sum(mapped**2, axis=1))
    length = np.linalg.norm(h, axis=0)
    scale = np.sqrt(np.where(length > 0, np.abs(second) * seen / np.where(length > 0, length, 1), 1))
    network = Network(w1=moved * scale[:, None], w2=second / scale)
    assert close(theory.forward(network, mapped), h @ second)
    wanted = sum(abs(second[j]) * length[j] * statement(x[on[:, j]], mapped[on[:, j]]) for j in range(m))
    assert close(float(theory.trace_of_hessian(network, mapped)), 4 / len(x) * wanted)


def larger_activations(statement: Callable[..., float], case: Case) -> None:
    """layernorm-1: the trace of a network that interpolates, by autograd, with its first layer times s."""
    _, d, m, number = case
    rng = np.random.default_rng(number)
    network, (x, _) = random_network("sim-ln", d, m, number), random_points(d, 4, number)
    x = x[np.linalg.norm(hidden(network, x), axis=1) > network.epsilon]
    if not len(x):
        return
    s = float(np.exp(rng.uniform(0, 2)))

    def trace(network: Network) -> float:
        inputs = torch.as_tensor(np.hstack([x, np.ones((len(x), 1))]))
        weights = torch.as_tensor(network.weights).requires_grad_(True)
        a = torch.as_tensor(network.w2).requires_grad_(True)
        squares = 0.0
        for point in inputs:
            h = torch.relu(weights @ point)
            parts = torch.autograd.grad((h @ a) / torch.linalg.norm(h), (weights, a))
            squares += sum(float((part**2).sum()) for part in parts)
        return 2 * squares / len(x)

    scaled = replace(network, w1=s * network.w1, b1=None if network.b1 is None else s * network.b1)
    assert close(theory.forward(scaled, x), theory.forward(network, x))
    assert close(trace(scaled), statement(trace(network), s))


def several_outputs(statement: Callable[..., float], case: Case) -> None:
    """flattest-9: the trace of a network of several outputs that interpolates, by autograd."""
    kind, d, m, number = case
    network, (x, _) = random_network(kind, d, m, number), random_points(d, 3, number)
    outputs = 1 + number % 3
    inputs = x if network.b1 is None else np.hstack([x, np.ones((len(x), 1))])
    first, second = network.weights, np.random.default_rng(number).standard_normal((m, outputs))
    targets = torch.as_tensor(np.maximum(inputs @ first.T, 0) @ second)

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        w, a = parameters[: first.size].reshape(first.shape), parameters[first.size :].reshape(second.shape)
        return ((torch.relu(torch.as_tensor(inputs) @ w.T) @ a - targets) ** 2).sum(dim=1).mean()

    hessian = torch.autograd.functional.hessian(loss, torch.as_tensor(np.concatenate([first.ravel(), second.ravel()])))
    z = inputs @ first.T
    squares, seen = np.sum(np.maximum(z, 0) ** 2, axis=0), (z > 0).T @ np.sum(inputs**2, axis=1)
    parts = [statement(outputs, h, a @ a, s) for h, a, s in zip(squares, second, seen, strict=True)]
    assert close(2 / len(x) * sum(parts), float(torch.trace(hessian)))


def one_direction(statement: Callable[..., float], case: Case) -> None:
    """flattest-9: at the best balance f costs at least sqrt(K) times what one output of it does, and as much if all a are along it."""
    _, _, m, number = case
    rng = np.random.default_rng(number)
    outputs = 2 + number % 3
    b, a = rng.standard_normal(outputs), rng.standard_normal((m, outputs))
    b /= np.linalg.norm(b)

    def balanced(second: np.ndarray) -> float:
        """The least over balances t of what several_outputs has for a neuron with h = S = 1, a neuron at a time."""
        parts = [minimize_scalar(lambda t, a=a: len(a) * np.exp(t) + a @ a * np.exp(-t)).fun for a in second]  # type: ignore[misc]
        return float(sum(parts))

    one = balanced((a @ b)[:, None])
    assert balanced(a) >= statement(outputs) * one * (1 - 1e-9)
    assert close(balanced(np.outer(a @ b, b)), statement(outputs) * one)


def even_part(statement: Callable[..., float], case: Case) -> None:
    """flattest-10: the squares of E phi |w.x| over orthonormal even phi add up to `statement(w)` at most, which quarters reach."""
    d, on_kinks, number = case
    x, rng = CUBE[d], np.random.default_rng(number)
    w = rng.integers(-1, 2, d).astype(float) if on_kinks else rng.standard_normal(d)
    phi = np.stack([np.ones(len(x)), x[:, 0] * x[:, 1]], axis=1)
    if number % 2 and d > 2:
        phi = np.stack([phi[:, 1], x[:, 0] * x[:, 2]], axis=1)
    assert np.sum((phi.T @ np.abs(x @ w) / len(x)) ** 2) <= statement(w) * (1 + 1e-12)
    quarter = np.eye(d)[0] + np.eye(d)[1]
    assert close(np.sum((np.stack([np.ones(len(x)), x[:, 0] * x[:, 1]]) @ np.abs(x @ quarter) / len(x)) ** 2), statement(quarter))


def deeper(statement: Callable[..., float], case: Case) -> None:
    """flattest-11: ||grad f||^2 without bias is at least `statement(D, |x|, |f|)`, any lengths and labels; memorizing networks attain it
    where these are in one ratio, generalizing ones on the cube.
    """
    d, depth, number = case
    rng, vertices = np.random.default_rng(number), CUBE[d]
    lengths = np.exp(rng.standard_normal(len(vertices))) if number % 2 else np.ones(len(vertices))
    x, r = lengths[:, None] * vertices, d**0.5 * lengths
    sizes = [d, *rng.integers(1, 4, depth - 1), 1]
    layers = tuple(rng.standard_normal((m, below)) for below, m in pairwise(sizes))
    network = DeepNetwork(layers, None)
    size, held_out = float(np.exp(rng.standard_normal())), rng.random(len(x)) < 0.5
    values = np.where(held_out, rng.standard_normal(len(x)), size * rng.choice([-1, 1], len(x)))
    memorizing = deep_memorizing(vertices, values, size, depth)
    assert np.allclose(memorizing.forward(x), lengths * values)
    for any_network in (network, memorizing):
        squares = any_network.squared_gradient_norms(x)
        for f, square, length in zip(any_network.forward(x), squares, r, strict=True):
            assert square >= statement(depth, length, abs(f)) * (1 - 1e-12)
    for square, length in zip(memorizing.squared_gradient_norms(x)[~held_out], r[~held_out], strict=True):
        assert close(square, statement(depth, length, size * length / d**0.5))
    generalizing = deep_generalizing(d, depth)
    assert np.allclose(generalizing.forward(vertices), vertices[:, 0] * vertices[:, 1])
    for square in generalizing.squared_gradient_norms(vertices):
        assert close(square, statement(depth, d**0.5, 1.0))


PROPERTIES = {
    "own/flattest-4, a neuron": Property(
        share_of_a_neuron,
        cubes,
        lambda d: 2**0.5,
        {"2": lambda d: 2.0, "that of the trace-flattest": lambda d: (d + 2) / (2 * d**0.5), "a little more": lambda d: 1.42},
        cheap=True,
    ),
    "own/flattest-4, four quarters": Property(
        four_quarters,
        cubes,
        lambda d: (d + 2) / (2 * d**0.5),
        {
            "the least": lambda d: 2**0.5,
            "half the root": lambda d: d**0.5 / 2,
            "with a bias": lambda d: (d + 3) / (2 * (d + 1) ** 0.5),
        },
    ),
    "own/flattest-5": Property(
        trace_off_interpolation,
        networks,
        lambda norms: 2 * np.mean(norms),
        {"factor dropped": lambda norms: np.mean(norms), "not the mean": lambda norms: 2 * np.sum(norms)},
    ),
    "own/flattest-6": Property(
        constants,
        networks,
        lambda r, s, t: ((r**2 + t**2) / (r**2 + s**2)) ** 0.5,
        {
            "squared": lambda r, s, t: (r**2 + t**2) / (r**2 + s**2),
            "the points left out": lambda r, s, t: t / s,
            "turned round": lambda r, s, t: ((r**2 + s**2) / (r**2 + t**2)) ** 0.5,
        },
    ),
    "own/flattest-7": Property(
        other_loss,
        st.tuples(
            st.sampled_from([("no-bias", 2), ("bias", 2), ("sim-bn", 2), ("bias", 3)]), st.integers(1, 4), st.integers(1, 6), seed
        ),
        lambda t, p, depth: t ** (2 * (depth - 1) / depth) * p * (1 - p) / 2,
        {
            "the target left out": lambda t, p, depth: p * (1 - p) / 2,
            "one power for both depths": lambda t, p, depth: t * p * (1 - p) / 2,
            "the curvature at 0": lambda t, p, depth: t ** (2 * (depth - 1) / depth) / 8,
        },
    ),
    "own/flattest-8": Property(
        linear_map,
        networks,
        lambda before, after: float(np.sqrt(np.sum(after**2))),
        {
            "the lengths before": lambda before, after: float(np.sqrt(np.sum(before**2))),
            "the length of the sum": lambda before, after: float(np.linalg.norm(after.sum(axis=0))),
            "squared": lambda before, after: float(np.sum(after**2)),
        },
    ),
    "own/flattest-9, the trace": Property(
        several_outputs,
        networks,
        lambda outputs, squares, a, seen: outputs * squares + a * seen,
        {
            "each output's activations once": lambda outputs, squares, a, seen: squares + a * seen,
            "the other layer's": lambda outputs, squares, a, seen: squares + outputs * a * seen,
            "the mean over outputs": lambda outputs, squares, a, seen: squares + a * seen / outputs,
        },
    ),
    "own/flattest-9, one direction": Property(
        one_direction,
        networks,
        lambda outputs: float(outputs**0.5),
        {
            "K": float,
            "nothing": lambda outputs: 1.0,
            "two for any": lambda outputs: 2**0.5,
        },
    ),
    "own/flattest-10": Property(
        even_part,
        cubes,
        lambda w: float(w @ w),
        {
            "that of one output": lambda w: float(w @ w) / 2,
            "for each of them": lambda w: 2 * float(w @ w),
            "not squared": lambda w: float(np.linalg.norm(w)),
        },
        cheap=True,
    ),
    "own/flattest-11": Property(
        deeper,
        st.tuples(st.integers(2, 4), st.integers(3, 5), seed),
        lambda depth, r, y: depth * (y ** (2 * (depth - 1)) * r**2) ** (1 / depth),
        {
            "that of two layers": lambda depth, r, y: 2 * r * y,
            "a bias in the first layer": lambda depth, r, y: depth * (y ** (2 * (depth - 1)) * (r**2 + 1)) ** (1 / depth),
            "the length not squared": lambda depth, r, y: depth * (y ** (2 * (depth - 1)) * r) ** (1 / depth),
            "size over length for both": lambda depth, r, y: depth * r ** (2 / depth) * (y / r) ** (2 * (depth - 1) / depth),
            "a layer less": lambda depth, r, y: (depth - 1) * (y ** (2 * (depth - 1)) * r**2) ** (1 / depth),
        },
    ),
    "own/layernorm-1": Property(
        larger_activations,
        networks,
        lambda trace, s: 2 + (trace - 2) / s**2,
        {
            "all of it": lambda trace, s: trace / s**2,
            "not squared": lambda trace, s: 2 + (trace - 2) / s,
            "half of the floor": lambda trace, s: 1 + (trace - 1) / s**2,
        },
    ),
}
