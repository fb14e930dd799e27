"""Degenerate data through the solver: duplicates, rays, zeros, collinear points, tiny and huge scales."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flatproof import theory

small = st.integers(-3, 3)


@st.composite
def degenerate(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers, so that coincidences are common; labels a function of the point or free."""
    d, n = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    x = np.array(draw(st.lists(st.lists(small, min_size=d, max_size=d), min_size=n, max_size=n)), float)
    y = np.array(draw(st.lists(small, min_size=n, max_size=n)), float)
    if draw(st.booleans()):  # labels that a network without bias fits whatever the points: |x_1| - 2 |x_d| + x_1
        y = np.abs(x[:, 0]) - 2 * np.abs(x[:, -1]) + x[:, 0]
    if draw(st.booleans()):
        x[0] *= draw(st.sampled_from([2.0**-10, 0.125, 3.0, 1024.0]))
    # powers of 2 of few decimals: dependent points stay so, in floating point and read as decimals
    return x * 8.0 ** draw(st.integers(-3, 6)), y * 8.0 ** draw(st.integers(-6, 6))


def fits(x: np.ndarray, y: np.ndarray, architecture: str) -> bool:
    """Whether the activations of many random neurons span the labels."""
    scale = np.abs(x).max() or 1.0
    points = x / scale if architecture == "no-bias" else np.hstack([x / scale, np.ones((len(x), 1))])
    w = np.random.default_rng(0).standard_normal((4000, points.shape[1]))
    if architecture != "no-bias":  # kinks between any two points, however close
        w[:, -1] = -np.einsum("ij,ij->i", w[:, :-1], points[np.arange(4000) % len(x), :-1]) + 1e-3 * w[:, -1]
    h = np.maximum(points @ w.T, 0)
    h = h / np.maximum(np.linalg.norm(h, axis=0), 1e-300)
    size = np.abs(y).max() or 1.0
    coefficients = np.linalg.lstsq(h, y / size, rcond=1e-10)[0]
    return bool(np.abs(h @ coefficients - y / size).max() < 1e-6)


@example(  # rounding must not be a direction in which a neuron is moved
    (
        np.array([[0.0, -1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0], [0, -1, 0], [1, 1, 0]]),
        np.array([-2.0, 0, 0, 0, 0, 2]),
    ),
    "no-bias",
    "differentiable",
)
@example(
    (
        np.array([[0.0, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 1, 0], [0, -1, 0]]),
        np.array([0.0, -2, 0, 0, 0, 0]),
    ),
    "no-bias",
    "differentiable",
)
@settings(max_examples=100)
@given(degenerate(), st.sampled_from(["no-bias", "bias", "sim-bn"]), st.sampled_from(["differentiable", "relu'(0)=0"]))
def test_every_data_set_is_solved_or_named_infeasible(data: tuple[np.ndarray, np.ndarray], architecture: str, kinks: str) -> None:
    x, y = data
    try:
        solution = theory.flattest(x, y, architecture, kinks)
    except theory.Infeasible:
        assert not fits(x, y, architecture)
        return
    network, size = solution.network, np.abs(y).max()
    np.testing.assert_allclose(theory.forward(network, x), y, atol=1e-8 * size)
    assert 0 <= solution.lower_bound <= solution.trace
    assert solution.gap <= 1e-6
    assert solution.lower_bound >= theory.trace_lower_bound(architecture, x, y) * (1 - 1e-6)
    low, high = solution.prediction_range(np.vstack([x, x.mean(axis=0)]))
    assert (low <= high + 1e-6 * size).all()
    np.testing.assert_allclose(low[: len(y)], y, atol=1e-5 * (size or 1))


@example(  # the origin: rounding must not give it a direction
    (np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]), np.array([0.0, 0.0, 2.0, 2.0])), "no-bias", 1.0, 0
)
@example(  # long neurons that cancel but for what very short ones correct
    (
        np.array([[-1e-3, 1e-3], [0, 0], [0, 0], [0, 1], [0, -1], [1, -2], [-2, 1]]),
        np.array([-2.0, 0.0, 0.0, -2.0, -2.0, -2.0, -2.0]),
    ),
    "no-bias",
    1.0,
    0,
)
@settings(max_examples=100)
@given(degenerate(), st.sampled_from(["no-bias", "bias"]), st.floats(1e-3, 1e3), st.integers(0, 100))
def test_the_flattest_trace_is_invariant(data: tuple[np.ndarray, np.ndarray], architecture: str, c: float, seed: int) -> None:
    """Order, rotation of the inputs and sign of the labels change nothing; their size scales it."""
    x, y = data
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    signs = np.diag(rng.choice([-1.0, 1.0], x.shape[1]))[rng.permutation(x.shape[1])]
    try:
        solution = theory.flattest(x, y, architecture)
    except theory.Infeasible:
        with pytest.raises(theory.Infeasible):
            theory.flattest(x[order] @ signs, -y[order], architecture)
        return
    other = theory.flattest(x[order] @ signs, -c * y[order], architecture)
    assert other.trace == pytest.approx(c * solution.trace, rel=3e-6)
