"""The flattest network against known answers, the program as written in cvxpy, autograd, and a non-convex search."""

from itertools import product
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from flatproof import theory
from flatproof.theory.flatness.neurons import Coordinates, NotRealized
from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.program import prices, reference
from tests.networks import autograd_trace

CUBE = np.array(list(product((1.0, -1.0), repeat=4)))
PARITY = CUBE[:, 0] * CUBE[:, 1]
DIFFERENTIABLE, ZERO = "differentiable", "relu'(0)=0"


def random_data(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def check(solution: theory.Flattest, gap: float = 1e-6) -> None:
    """What every solution promises: interpolation, width, trace by closed form and by autograd, a tight bound."""
    network, n = solution.network, len(solution.y)
    np.testing.assert_allclose(theory.forward(network, solution.x), solution.y, atol=1e-8 * np.abs(solution.y).max())
    assert network.width <= n
    assert solution.lower_bound <= solution.trace
    assert solution.gap <= gap
    assert theory.trace_of_hessian(network, solution.x) == pytest.approx(solution.trace, rel=1e-12)
    assert solution.dual @ solution.y == pytest.approx(solution.lower_bound, rel=1e-9)


@pytest.mark.parametrize("n", [5, 11, 16])
@pytest.mark.parametrize("seed", [0, 1])
def test_bias_on_cube_subsets_reaches_the_bound_of_the_paper(n: int, seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(16)[:n]
    solution = theory.flattest(CUBE[rows], PARITY[rows], "bias")
    check(solution)
    assert solution.attained
    assert solution.trace == pytest.approx(4 * np.sqrt(5), rel=1e-9)


def test_both_constructions_of_the_paper_are_flattest_with_bias() -> None:
    x, y = CUBE[3:13], PARITY[3:13]
    solution = theory.flattest(x, y, "bias")
    for network in (theory.memorizing_network(x, y), theory.generalizing_network(4)):
        assert theory.trace_of_hessian(network, x) == pytest.approx(solution.lower_bound, rel=1e-9)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_sim_bn_on_the_complete_parity_set(d: int) -> None:
    x = np.array(list(product((1.0, -1.0), repeat=d)))
    solution = theory.flattest(x, x[:, 0] * x[:, 1], "sim-bn")
    check(solution)
    assert solution.trace == pytest.approx(8, rel=1e-7)
    assert not solution.attained
    # every neuron of every flattest network looks at the first two coordinates only
    weights = solution.binding.v @ solution.coordinates.basis.T
    np.testing.assert_allclose(weights[:, 2:d] / np.abs(weights).max(axis=1, keepdims=True), 0, atol=1e-5)


def test_without_kinks_the_square_costs_more_than_with_relu_zero_at_zero() -> None:
    x = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    y = x[:, 0] * x[:, 1]
    open_, closed = (theory.flattest(x, y, "no-bias", kinks) for kinks in (DIFFERENTIABLE, ZERO))
    check(open_)
    check(closed)
    assert closed.trace == pytest.approx(
        4 * np.sqrt(2), rel=1e-9
    )  # the per-sample bound: one neuron a corner, others on its kink
    assert open_.trace == pytest.approx(8, rel=1e-6)  # of two opposite corners on the kink one is active
    assert closed.attained
    assert not open_.attained


@pytest.mark.parametrize("kinks", [DIFFERENTIABLE, ZERO])
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
@pytest.mark.parametrize(("seed", "n", "d"), [(0, 6, 2), (1, 8, 3), (2, 12, 4)])
def test_random_data(architecture: str, seed: int, n: int, d: int, kinks: str) -> None:
    x, y = random_data(seed, n, d)
    solution = theory.flattest(x, y, architecture, kinks)
    check(solution)
    if architecture != "sim-bn":  # autograd loses the tiny derivatives of Sim-BN's huge first layer
        assert autograd_trace(solution.network, x, y) == pytest.approx(solution.trace, rel=1e-6)


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
@pytest.mark.parametrize("seed", range(3))
def test_the_program_in_cvxpy_agrees(architecture: theory.networks.Architecture, seed: int) -> None:
    x, y = random_data(seed, 7, 2)
    solution = theory.flattest(x, y, architecture)
    points = Coordinates.of(architecture, x).points
    value, dual = reference(architecture, points, y, cells(points).signs)
    assert solution.trace == pytest.approx(value, rel=1e-5)
    assert dual @ y == pytest.approx(value, rel=1e-5)


def flattest_given_first_layer(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Least trace over output weights that interpolate, the first layer (m, p) given: weighted least squares."""
    h = np.maximum(x @ w.T, 0)
    t = (h > 0).T @ np.sum(x**2, axis=1)
    seen = t > 0
    h, t = h[:, seen], t[seen]
    gram = (h / t) @ h.T
    if len(t) < len(y) or np.linalg.cond(gram) > 1e13:
        return 1e9
    return float(2 / len(y) * (y @ np.linalg.solve(gram, y) + np.sum(h**2)))


@pytest.mark.parametrize(("architecture", "seed"), [("no-bias", 0), ("no-bias", 1), ("bias", 2)])
def test_a_search_over_networks_comes_near_and_never_below(architecture: str, seed: int) -> None:
    x, y = random_data(seed, 3, 2)
    points = x if architecture == "no-bias" else np.hstack([x, np.ones((3, 1))])
    solution = theory.flattest(x, y, architecture)
    rng, traces, shape = np.random.default_rng(seed), [], (5, points.shape[1])
    for _ in range(60):
        w = rng.standard_normal(shape).ravel()
        for _ in range(3):
            w = minimize(lambda w: flattest_given_first_layer(w.reshape(shape), points, y), w, method="Powell").x
        traces.append(flattest_given_first_layer(w.reshape(shape), points, y))
    assert min(traces) >= solution.lower_bound * (1 - 1e-9)
    assert min(traces) <= solution.trace * 1.01


def joint_range(solution: theory.Flattest, x_new: np.ndarray) -> tuple[float, float]:
    """The ends at one point by the definition: patterns over training points and the new one, trace within 1e-6 of the minimum."""
    points = Coordinates.of(solution.architecture, np.vstack([solution.x, x_new])).points
    signs = cells(points).signs
    n = len(solution.y)
    cost, output, prediction, constraints = 0, 0, 0, []
    for side in (1, -1):
        v, length = cp.Variable((points.shape[1], len(signs))), cp.Variable(len(signs))
        z = points @ v
        active = cp.multiply((signs > 0).T.astype(float), z)
        constraints += [cp.multiply(signs.T.astype(float), z) >= 0, cp.SOC(length, active[:n], axis=0)]
        cost = cost + prices(solution.architecture, points[:n], signs[:, :n]) @ length
        output, prediction = output + side * cp.sum(active[:n], axis=1), prediction + side * cp.sum(active[n])
    constraints += [output == solution.y, cost <= solution.lower_bound * (1 + 1e-6)]
    ends = []
    for sense in (cp.Minimize, cp.Maximize):
        problem = cp.Problem(sense(prediction), constraints)
        problem.solve(solver=cp.CLARABEL)
        ends.append(float(problem.value))
    return ends[0], ends[1]


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
@pytest.mark.parametrize("seed", range(3))
def test_ranges_are_those_of_the_joint_program(architecture: str, seed: int) -> None:
    x, y = random_data(seed, 6, 2)
    solution = theory.flattest(x, y, architecture)
    for new in (x.mean(axis=0), 0.6 * x[0] + 0.4 * x[1], x[2]):
        low, high = (end[0] for end in solution.prediction_range(new[None]))
        if np.isinf(low):
            continue
        expected = joint_range(solution, new)
        # a trace within 1e-6 of the minimum lets directions turn by its square root
        assert (low, high) == pytest.approx(expected, abs=2e-2)
        assert expected[0] <= low + 1e-3
        assert expected[1] >= high - 1e-3


def test_ranges_on_training_points_are_the_labels_and_outside_the_hull_infinite() -> None:
    x, y = random_data(5, 8, 2)
    solution = theory.flattest(x, y, "bias")
    low, high = solution.prediction_range(np.vstack([x, [[10.0, 10.0]]]))
    np.testing.assert_allclose(low[:-1], y, atol=1e-6)
    np.testing.assert_allclose(high[:-1], y, atol=1e-6)
    assert (low[-1], high[-1]) == (-np.inf, np.inf)


def test_the_same_labels_are_fitted_where_a_bias_helps() -> None:
    check(theory.flattest([[1, 2], [2, 4], [0, 0]], [1, 1, 1], "bias"))
    with pytest.raises(theory.Infeasible, match="rows 0 and 1 are the same point"):
        theory.flattest([[1, 2], [1, 2]], [1, 2], "bias")


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_zero_labels_have_the_zero_network(architecture: str) -> None:
    solution = theory.flattest(CUBE[:5], np.zeros(5), architecture)
    assert (solution.trace, solution.lower_bound, solution.gap, solution.attained) == (0, 0, 0, True)
    np.testing.assert_array_equal(theory.forward(solution.network, CUBE[:5]), np.zeros(5))
    low, high = solution.prediction_range(CUBE[:6])
    np.testing.assert_array_equal((low[:5], high[:5]), np.zeros((2, 5)))


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="sim-ln"):
        theory.flattest(CUBE, PARITY, "sim-ln")
    with pytest.raises(ValueError, match=r"kinks must be one of differentiable, relu'\(0\)=0, got 'soft'"):
        theory.flattest(CUBE, PARITY, kinks="soft")
    with pytest.raises(theory.TooManyPatterns, match="1882"):
        theory.flattest(CUBE, PARITY, "bias", limit=1000)


def test_a_constant_column_is_no_direction() -> None:
    """The mean of seven times -0.8 is not -0.8 in floating point."""
    x = [
        [0.1, -0.1, -0.8, -0.2],
        [0.3, -0.7, -0.8, 0.2],
        [0.4, -1.0, -0.8, 0.4],
        [-0.1, 0.5, -0.8, -0.6],
        [-0.4, 1.4, -0.8, -1.2],
        [0.6, -1.6, -0.8, 0.8],
        [-0.6, 2.0, -0.8, -1.6],
    ]
    solution = theory.flattest(x, [4.4, 3.6, 3.2, 5.2, 6.4, 1.4, 7.2], "bias")
    assert solution.gap < 1e-6
    assert np.abs(solution.network.weights).max() < 1e3


@pytest.mark.parametrize(
    ("x", "y", "names"),
    [
        (
            [[3.0], [1.9999999999800], [1.9999999997264], [3.0000000006189], [1.9999999993231], [2.9999999981239]],
            [1, -1, 1, 1, -1, -1],
            ("bias", ZERO),
        ),
        (
            [
                [1.0000000077, 0.9999999838],
                [1.9999999927, 1.9999999942],
                [1.9999999938, 0.9999999902],
                [1.9999999980, 2.0000000119],
                [1.9999999995, 2.0000000140],
                [1.9999999955, 1.0000000075],
            ],
            [-1, -1, 1, 1, -1, 1],
            ("no-bias", DIFFERENTIABLE),
        ),
    ],
)
def test_points_that_leave_a_neuron_without_direction_are_named_as_too_near(x: Any, y: Any, names: tuple[str, str]) -> None:
    with np.errstate(all="ignore"), pytest.raises(NotRealized, match="points are too nearly dependent"):
        theory.flattest(x, y, *names)
