"""The statements of neighbouring papers over random networks, laws and Hessians; and wrong variants."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st

from tests.networks import random_network, random_points
from tests.statements.closed_forms import close
from tests.statements.harness import Case, Property

seed = st.integers(0, 10**6)
factors = st.floats(0.2, 5).map(lambda v: round(v, 2))
networks = st.tuples(st.integers(1, 4), st.integers(1, 5), factors, seed)
sizes = st.tuples(st.integers(2, 4), factors, seed)


def curvature(function: Callable[[torch.Tensor], torch.Tensor], at: np.ndarray) -> np.ndarray:
    """The Hessian by autograd."""
    return np.asarray(torch.autograd.functional.hessian(function, torch.as_tensor(at)))


def rescaled_trace(statement: Callable[..., float], case: Case) -> None:
    """dinh2017/trace: of T_alpha(theta) as `statement(t_1, t_2, alpha)`, t_1 and t_2 the traces of the layers' blocks at theta."""
    d, m, alpha, number = case
    network, (x, y) = random_network("no-bias", d, m, number), random_points(d, 4, number)
    inputs, labels = torch.as_tensor(x), torch.as_tensor(y)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        return ((torch.relu(inputs @ theta[: m * d].reshape(m, d).T) @ theta[m * d :] - labels) ** 2).mean()

    theta = np.concatenate([network.w1.ravel(), network.w2])
    moved = np.concatenate([alpha * network.w1.ravel(), network.w2 / alpha])
    blocks = np.diag(curvature(loss, theta))
    assert close(np.trace(curvature(loss, moved)), statement(blocks[: m * d].sum(), blocks[m * d :].sum(), alpha), 1e-7)


def scaled_weights(statement: Callable[..., np.ndarray], case: Case) -> None:
    """lyu2022/hessian: at c w, as `statement(Hessian at w, c)`, of a loss of batch-normalized values."""
    d, c, number = case
    x, y = random_points(d, 6, number)
    inputs, labels = torch.as_tensor(x - x.mean(axis=0)), torch.as_tensor(y)

    def loss(w: torch.Tensor) -> torch.Tensor:
        z = inputs @ w
        return ((z / z.square().mean().sqrt() - labels) ** 2).mean()

    w = np.random.default_rng(number).standard_normal(d)
    first, second = curvature(loss, w), curvature(loss, c * w)
    assert np.allclose(second, statement(first, c), rtol=1e-7, atol=1e-9 * np.abs(first).max())


def pull(statement: Callable[..., np.ndarray], case: Case) -> None:
    """lyu2022/hessian: H w as `statement(gradient)`, of the same loss."""
    d, _, number = case
    x, y = random_points(d, 6, number)
    inputs, labels = torch.as_tensor(x - x.mean(axis=0)), torch.as_tensor(y)

    def loss(w: torch.Tensor) -> torch.Tensor:
        z = inputs @ w
        return ((z / z.square().mean().sqrt() - labels) ** 2).mean()

    w = np.random.default_rng(number).standard_normal(d)
    at = torch.tensor(w, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(at), at)
    second = curvature(loss, w)
    assert np.allclose(second @ w, statement(slope.numpy()), rtol=1e-6, atol=1e-8 * np.abs(second).max())


def box_and_eigenvalue(statement: Callable[..., tuple[float, float]], case: Case) -> None:
    """keskar2017/eigenvalue: m lies within `statement(lambda_max, c)`; random positive semidefinite matrices, some of rank one."""
    d, spread, number = case
    rng = np.random.default_rng(number)
    factor = rng.standard_normal((d, 1 if number % 2 else d))
    if number % 3 == 0:
        factor = np.eye(d)[:, :1] if number % 2 else np.eye(d)
    hessian, box = factor @ factor.T, 1 + spread * np.abs(rng.standard_normal(d)) * (number % 5 > 0)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * d)).reshape(d, -1).T * box
    most = np.einsum("ki,ij,kj->k", signs, hessian, signs).max()
    low, high = statement(np.linalg.eigvalsh(hessian)[-1], box)
    assert low * (1 - 1e-9) <= most <= high * (1 + 1e-9)


def stable_trace(statement: Callable[..., float], case: Case) -> None:
    """wu2023/sgd-trace: at the largest eta at which SGD with B samples a step is stable, tr H <= `statement(eta, B)`."""
    d, _, number = case
    rng = np.random.default_rng(number)
    n, batch = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    g = np.eye(d)[: min(n, d)] if number % 2 else rng.standard_normal((n, d))
    g = g * np.exp(rng.standard_normal())
    hessian, unit = g.T @ g / len(g), np.eye(d)
    single = np.mean([np.kron(np.outer(v, v), np.outer(v, v)) for v in g], axis=0)
    both = (1 - 1 / batch) * np.kron(hessian, hessian) + single / batch
    single_sided = np.kron(hessian, unit) + np.kron(unit, hessian)

    def radius(eta: float) -> float:
        return float(np.abs(np.linalg.eigvals(np.eye(d * d) - eta * single_sided + eta**2 * both)).max())

    low, high = 0.0, 100 / np.trace(hessian)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) <= 1 + 1e-12 else (low, middle)
    assert np.trace(hessian) <= statement(low, batch) * (1 + 1e-6)


def mirrored_inputs(statement: Callable[..., float], case: Case) -> None:
    """wu2023/two-layer: tr H = `statement(w, a)` where every x comes with -x and the mean of xx' is I."""
    d, m, _, number = case
    rng = np.random.default_rng(number)
    points = np.linalg.qr(rng.standard_normal((d + 3, d)))[0] * np.sqrt(d + 3)
    points = np.vstack([points, -points])
    network = random_network("no-bias", d, m, number)
    z = points @ network.w1.T
    squares = (z > 0) @ network.w2**2 * np.sum(points**2, axis=1) + np.sum(np.maximum(z, 0) ** 2, axis=1)
    assert close(2 * squares.mean(), statement(network.w1, network.w2))


PROPERTIES = {
    "the trace of a rescaled network": Property(
        rescaled_trace,
        networks,
        lambda first, second, alpha: first / alpha**2 + alpha**2 * second,
        {
            "the powers change places": lambda first, second, alpha: first * alpha**2 + second / alpha**2,
            "alpha, not its square": lambda first, second, alpha: first / alpha + alpha * second,
            "the second layer alone": lambda first, second, alpha: first + alpha**2 * second,
        },
    ),
    "the Hessian at c w": Property(
        scaled_weights,
        sizes,
        lambda hessian, c: hessian / c**2,
        {
            "1/c": lambda hessian, c: hessian / c,
            "c²": lambda hessian, c: hessian * c**2,
            "invariant": lambda hessian, c: hessian,
        },
    ),
    "the Hessian times w": Property(
        pull,
        sizes,
        lambda gradient: -gradient,
        {
            "the other sign": lambda gradient: gradient,
            "zero": lambda gradient: 0 * gradient,
            "twice": lambda gradient: -2 * gradient,
        },
    ),
    "Keskar's box and the largest eigenvalue": Property(
        box_and_eigenvalue,
        sizes,
        lambda top, box: (top * box.min() ** 2, top * np.sum(box**2)),
        {
            "the longest side from below": lambda top, box: (top * np.sum(box**2), np.inf),
            "the longest side from above": lambda top, box: (0, top * box.max() ** 2),
            "the eigenvalue itself": lambda top, box: (top, top),
        },
    ),
    "the trace where SGD is stable": Property(
        stable_trace,
        sizes,
        lambda eta, batch: 2 * batch / eta,
        {"2/eta for every batch": lambda eta, batch: 2 / eta, "half": lambda eta, batch: batch / eta},
    ),
    "the trace for mirrored inputs": Property(
        mirrored_inputs,
        networks,
        lambda w, a: w.shape[1] * np.sum(a**2) + np.sum(w**2),
        {
            "without d": lambda w, a: np.sum(a**2) + np.sum(w**2),
            "twice": lambda w, a: 2 * (w.shape[1] * np.sum(a**2) + np.sum(w**2)),
            "the path norm": lambda w, a: 2 * w.shape[1] ** 0.5 * np.sum(np.abs(a) * np.linalg.norm(w, axis=1)),
        },
    ),
}
