"""Flattest networks of several outputs against two programs of another kind, on data with no structure.

Directions: a network is a measure over neurons w of size 1, so the least trace is min sum_j c_j |h_j| |a_j| s.t. sum_j h_j a_j' = Y over
all w, a group lasso with no cones and no semidefinite matrix. Over some w it is an upper bound; its dual point over the largest
violation, looked for on far more directions, is a lower one up to how close these lie. Moments: the relaxation as a program in the second
moments [[P, V], [V', Q]] of (v, a) in each cell, S_i x_i' P x_k S_k >= 0, of which outputs_program.py solves the dual.
"""

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from flatproof.theory.check_certificate import check
from flatproof.theory.flatness.outputs import flattest_outputs
from flatproof.theory.networks import with_ones

ROUNDS, MOST = 12, 300  # of adding directions, and how many are kept or added
ROOM, ON_KINK = 1e-7, 1e-12  # how far inside their cells directions beside kinks lie, and where a sample is on one


def drawn(n: int, d: int, outputs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.round(rng.standard_normal((n, d)), 1), np.round(rng.standard_normal((n, outputs)), 1)


def seen(points: np.ndarray, w: np.ndarray, outputs: int, kinks: str) -> tuple[np.ndarray, np.ndarray]:
    """h of each neuron (n, J) over its cost, and the costs (J,); silent ones have none."""
    h = np.maximum(points @ w.T, 0)
    if kinks != "differentiable":
        h[h < ON_KINK] = 0
    cost = 4 / len(points) * np.sqrt(outputs * (h > 0).T @ np.sum(points**2, axis=1)) * np.linalg.norm(h, axis=0)
    return h / np.where(cost > 0, cost, 1), cost


def around(points: np.ndarray, w: np.ndarray, spread: float, kinks: str, rng: np.random.Generator) -> np.ndarray:
    """Directions near some, with those nearest to them on either side of the kinks close by, of one or of two: and on these if allowed."""
    p = points.shape[1]
    out = [w, *(w + spread * rng.standard_normal(w.shape) for _ in range(40))]
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    flats = [row[None] for row in normals]
    if p == 3:
        flats += [normals[[i, k]] for i in range(len(normals)) for k in range(i)]
    for flat in flats:
        on = w - w @ np.linalg.pinv(flat) @ flat
        if len(flat) < p:
            near = on[np.linalg.norm(on - w, axis=1) < 10 * spread]
            out += [near + ROOM * rng.standard_normal(near.shape) for _ in range(4)]
            out += [near] if kinks != "differentiable" else []
    every = np.vstack(out)
    size = np.linalg.norm(every, axis=1, keepdims=True)
    return every[size[:, 0] > 1e-6] / size[size > 1e-6][:, None]


def largest(columns: np.ndarray, y: np.ndarray, gain: np.ndarray, most: float) -> float:
    """The largest sum of gain_j . a_j over networks with sum of |a_j| <= most, gain (J, K)."""
    a = cp.Variable((columns.shape[1], y.shape[1]))
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(gain, a))), [columns @ a == y, cp.sum(cp.norm(a, axis=1)) <= most])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return float(problem.value)


def group_lasso(columns: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The least sum of |a_j|, the dual point (n, K), and |a_j|."""
    a = cp.Variable((columns.shape[1], y.shape[1]))
    fit = columns @ a == y
    problem = cp.Problem(cp.Minimize(cp.sum(cp.norm(a, axis=1))), [fit])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return float(problem.value), -np.asarray(fit.dual_value), np.linalg.norm(a.value, axis=1)


def by_directions(points: np.ndarray, y: np.ndarray, kinks: str = "differentiable") -> tuple[float, float]:
    """Bounds on the least trace: from below up to how close directions lie, and a network's."""
    rng, (_, p), outputs = np.random.default_rng(0), points.shape, y.shape[1]
    every = rng.standard_normal((20_000, p))
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    w = around(points, every[:300], 0.1, kinks, rng)
    low, high = 0.0, np.inf
    for step in range(ROUNDS):
        columns, cost = seen(points, w, outputs, kinks)
        w, columns = w[cost > 0], columns[:, cost > 0]
        value, dual, size = group_lasso(columns, y)
        used = w[np.argsort(-size)[:MOST]]
        spread = 0.3 * 0.5**step
        fresh = np.vstack([every, around(points, used, spread, kinks, rng), around(points, used, spread / 30, kinks, rng)])
        columns, cost = seen(points, fresh, outputs, kinks)
        worth = np.where(cost > 0, np.linalg.norm(columns.T @ dual, axis=1), 0)
        best = np.argsort(-worth)[:MOST]
        fresh = fresh[best[worth[best] > 1 + 1e-9]]
        sharp = around(points, fresh[:30], spread / 3, kinks, rng) if len(fresh) else fresh
        columns, cost = seen(points, sharp, outputs, kinks)
        top = max([1.0, worth.max(), *np.where(cost > 0, np.linalg.norm(columns.T @ dual, axis=1), 0)])
        low, high = max(low, value / top), min(high, value)
        if high - low < 3e-7 * high:
            break
        w = np.vstack([every[:MOST], used, fresh, sharp[np.argsort(-np.linalg.norm(columns.T @ dual, axis=1))[:MOST]]])
    return low, high


def by_moments(points: np.ndarray, y: np.ndarray) -> float:
    """The relaxation with the cones, over every cell that many random directions meet."""
    (n, p), outputs = points.shape, y.shape[1]
    signs = np.unique(np.sign(np.random.default_rng(0).standard_normal((200_000, p)) @ points.T), axis=0)
    cost: Any = 0
    output: Any = 0
    constraints: list[Any] = []
    for row in signs[(signs > 0).any(axis=1)]:
        on = (row > 0).astype(float)
        moments = cp.Variable((p + outputs, p + outputs), PSD=True)
        facing = row[:, None] * points
        active = on[:, None] * points
        constraints.append(facing @ moments[:p, :p] @ facing.T >= 0)
        price = 4 / n * np.sqrt(outputs * np.sum(active**2))
        cost = cost + price / 2 * (cp.trace(active.T @ active @ moments[:p, :p]) + cp.trace(moments[p:, p:]))
        output = output + active @ moments[:p, p:]
    problem = cp.Problem(cp.Minimize(cost), [output == y, *constraints])
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return float(problem.value)


CASES = [
    ("no-bias", 6, 2, 2, 0),
    ("no-bias", 5, 2, 3, 2),
    ("bias", 5, 1, 2, 2),
    ("bias", 5, 1, 3, 3),
    ("no-bias", 5, 3, 2, 4),
    ("no-bias", 6, 3, 3, 4),
    ("bias", 5, 2, 2, 6),
    ("bias", 6, 2, 3, 6),
]


@pytest.mark.parametrize(("architecture", "n", "d", "outputs", "seed"), CASES)
def test_the_least_trace_of_any_data(architecture: str, n: int, d: int, outputs: int, seed: int) -> None:
    """Bounds of the checker, of directions and of moments, all within 1e-5; the cones are needed for it."""
    x, y = drawn(n, d, outputs, seed)
    points = with_ones(architecture, x)
    verdict = check(flattest_outputs(x, y, architecture).certificate())
    low, high = by_directions(points, y)
    assert high - low < 1e-6 * high
    assert float(verdict.lower) <= high * (1 + 1e-9)
    assert low * (1 - 1e-5) <= float(verdict.lower)
    assert float(verdict.upper) == pytest.approx(high, rel=1e-5)
    assert by_moments(points, y) == pytest.approx(float(verdict.lower), rel=1e-5)
    assert float(flattest_outputs(x, y, architecture, cones=False).lower) < 0.99 * low


@pytest.mark.parametrize(("n", "outputs", "seed"), [(6, 2, 3), (6, 2, 4), (5, 3, 1), (5, 3, 4)])
def test_the_least_trace_with_samples_on_kinks(n: int, outputs: int, seed: int) -> None:
    """Whole numbers, so that kinks meet."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-1, 2, (n, 3)).astype(float), rng.integers(-2, 3, (n, outputs)).astype(float)
    traces = []
    for kinks in ("differentiable", "relu'(0)=0"):
        verdict = check(flattest_outputs(x, y, kinks=kinks).certificate())
        low, high = by_directions(x, y, kinks)
        assert high - low < 1e-6 * high
        assert (float(verdict.lower), float(verdict.upper)) == pytest.approx((low, high), rel=1e-5)
        traces.append(high)
    assert traces[1] < 0.98 * traces[0]


@pytest.mark.parametrize(("architecture", "n", "d", "outputs", "seed"), CASES)
def test_predictions_of_any_data(architecture: str, n: int, d: int, outputs: int, seed: int) -> None:
    """No network over many directions predicts more than the bound; in the plane one predicts nearly as much."""
    x, y = drawn(n, d, outputs, seed)
    answer, within = flattest_outputs(x, y, architecture), 0.01
    q = np.round(np.full(n, 1 / n) @ x, 2)
    points, at = with_ones(architecture, x), with_ones(architecture, q[None])[0]
    rng = np.random.default_rng(0)
    found = np.array([[float(c) for c in w] for w, _, _ in answer.neurons])
    w = np.vstack([rng.standard_normal((1500, points.shape[1])), around(points, found, 0.1, "differentiable", rng)])
    columns, cost = seen(points, w, outputs, "differentiable")
    w, columns, cost = w[cost > 0], columns[:, cost > 0], cost[cost > 0]
    for along in (np.eye(outputs)[0], -np.eye(outputs)[0], np.ones(outputs)):
        bound, entry = answer.at_most(q, along, within)
        assert entry is not None
        assert check(answer.certificate([entry], within)).predictions
        gain = (np.maximum(w @ at, 0) / cost)[:, None] * along
        reached = largest(columns, y, gain, (1 + within) * float(answer.lower))
        assert reached <= bound + 1e-6
        assert points.shape[1] > 2 or bound - reached < 3e-3
