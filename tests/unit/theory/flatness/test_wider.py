"""Least values of other objectives and of fits within a tolerance: against cvxpy over all patterns, closed forms, certificates."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch

from flatproof import theory
from flatproof.theory.check_certificate import check
from flatproof.theory.flatness.objectives import Objective, Tolerance, exact_metric, whitening
from flatproof.theory.flatness.patterns import cells, positive_sets
from flatproof.theory.flatness.wider import Wider, flattest_for
from flatproof.theory.networks import with_ones
from tests.certificates import CUBE

PARITY = {d: (CUBE[d], CUBE[d][:, 0] * CUBE[d][:, 1]) for d in (2, 3, 4)}
RNG = np.random.default_rng(3)
RANDOM = (np.round(RNG.standard_normal((6, 2)), 1), np.round(RNG.standard_normal(6), 1))
SEVEN = (CUBE[3][1:], CUBE[3][1:, 0] * CUBE[3][1:, 1])


class Reference:
    """The programs as one reads them: every pattern has a cone of neurons v of each sign."""

    def __init__(self, x: np.ndarray, y: np.ndarray, architecture: str, kinks: str, q: np.ndarray | None = None) -> None:
        self.points, self.y = with_ones(architecture, x), y
        signs = cells(self.points).signs if kinks == "differentiable" else positive_sets(self.points, None)[0].signs
        signs = np.where(signs > 0, 1, -1)
        self.constraints: list[Any] = []
        self.parts: list[tuple[np.ndarray, int, Any]] = []
        self.output: Any = 0
        self.at: Any = 0
        for row in signs:
            for sign in (1, -1):
                for side in (1, -1) if q is not None else (1,):
                    v = cp.Variable(self.points.shape[1])
                    self.constraints.append(cp.multiply(row, self.points @ v) >= 0)
                    if q is not None:
                        self.constraints.append(side * (q @ v) >= 0)
                        self.at = self.at + (sign * (q @ v) if side > 0 else 0)
                    self.parts.append((row > 0, sign, v))
                    self.output = self.output + sign * cp.multiply((row > 0).astype(float), self.points @ v)

    def cost(self, squares: float = 0.0) -> Any:
        """The trace and a price on weights, at the best balance: (4/n) sqrt(t + n r / 2) |(Xv on D, sqrt(n r / 2) v)|."""
        n, ridge, total = len(self.y), len(self.y) / 2 * squares, 0
        for on, _, v in self.parts:
            head = float(np.sqrt(np.sum(self.points[on] ** 2) + ridge))
            active = cp.multiply(on.astype(float), self.points @ v)
            total = total + 4 / n * head * cp.norm(cp.hstack([active, np.sqrt(ridge) * v]) if ridge else active)
        return total

    def eigenvalue(self, trace: float) -> tuple[Any, list[Any]]:
        """trace tr K + t with K <= t I, where each part adds (2/n) (alpha X X' + X W X') on D and [[alpha, v'], [v, W]] >= 0."""
        n, kernel, constraints = len(self.y), 0, []
        for on, _, v in self.parts:
            p = self.points.shape[1]
            block = cp.Variable((p + 1, p + 1), PSD=True)
            constraints.append(block[0, 1:] == v)
            active = self.points * on[:, None]
            kernel = kernel + 2 / n * (block[0, 0] * (active @ active.T) + active @ block[1:, 1:] @ active.T)
        top = cp.Variable()
        return trace * cp.trace(kernel) + top, [*constraints, top * np.eye(n) - kernel >> 0]

    def solve(self, aim: Any, fit: list[Any]) -> float:
        problem = cp.Problem(aim, [*self.constraints, *fit])
        problem.solve(solver=cp.CLARABEL)
        assert problem.status in ("optimal", "optimal_inaccurate")
        return float(problem.value)


def proved(answer: Wider) -> float:
    """The value, after the checker has seen that the bounds meet."""
    verdict = check(answer.certificate())
    assert verdict.relative_gap < 1e-5
    assert verdict.lower <= Fraction(answer.value) * Fraction(100001, 100000)
    return float(verdict.upper)


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
@pytest.mark.parametrize("tolerance", [Tolerance(each=0.3), Tolerance(mean_square=0.1), Tolerance(each=0.01)])
def test_fits_within_a_tolerance(architecture: str, tolerance: Tolerance) -> None:
    x, y = RANDOM
    reference = Reference(x, y, architecture, "differentiable")
    miss = reference.output - y
    fit = [cp.sum_squares(miss) / len(y) <= tolerance.mean_square] if tolerance.mean_square else [cp.abs(miss) <= tolerance.each]
    expected = reference.solve(cp.Minimize(reference.cost()), fit)
    assert proved(flattest_for(x, y, architecture, tolerance=tolerance)) == pytest.approx(expected, rel=1e-5)


def test_the_network_is_no_dearer_than_the_solution() -> None:
    """Twelve vertices, d = 4, with a bias: 4 sqrt(d + 1), as each can be seen alone."""
    rows = np.sort(np.random.default_rng(1).permutation(16)[:12])
    x, y = PARITY[4]
    assert proved(flattest_for(x[rows], y[rows], "bias")) == pytest.approx(4 * 5**0.5, rel=1e-6)


@pytest.mark.parametrize(("kinks", "squares"), [("differentiable", 0.0), ("differentiable", 0.2), ("relu'(0)=0", 0.2)])
def test_a_price_on_weights(kinks: str, squares: float) -> None:
    x, y = RANDOM
    reference = Reference(x, y, "bias", kinks)
    expected = reference.solve(cp.Minimize(reference.cost(squares)), [reference.output == y])
    answer = flattest_for(x, y, "bias", kinks, Objective(squares=squares))
    assert proved(answer) == pytest.approx(expected, rel=1e-6)
    if not squares:
        assert answer.value == pytest.approx(theory.flattest(x, y, "bias", kinks).trace, rel=1e-7)


SKEW = np.array([[2.0, 1.0, -1.0], [0.0, 1.0, 3.0], [1.0, 0.0, 1.0]])  # in whole numbers, as its images of the cube are


@pytest.mark.parametrize("kinks", ["differentiable", "relu'(0)=0"])
@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_inputs_under_a_map_are_those_that_it_makes(architecture: str, kinks: str) -> None:
    """own/flattest-8: the least trace and what is predicted, against networks without bias on the images, by cvxpy."""
    x, y = SEVEN if architecture == "no-bias" else (CUBE[2], np.array([1.0, -1.0, 0.5, 1.0]))
    q = np.array([0.5, 0.25, 0.1])[: x.shape[1]]
    points, at = with_ones(architecture, x), np.append(q, [1.0] * (architecture == "bias"))
    inner = tuple(tuple(Fraction(int(c)) for c in row) for row in SKEW.T @ SKEW)
    answer = flattest_for(x, y, architecture, kinks, Objective(inner=inner))
    reference = Reference(points @ SKEW.T, y, "no-bias", kinks, SKEW @ at)
    fit = [reference.output == y]
    expected = reference.solve(cp.Minimize(reference.cost()), fit)
    assert proved(answer) == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(flattest_for(x, y, architecture, kinks).value, rel=0.1)
    found = answer.range(q, 0.05)
    budget = [*fit, reference.cost() <= 1.05 * expected]
    low, high = reference.solve(cp.Minimize(reference.at), budget), reference.solve(cp.Maximize(reference.at), budget)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert check(answer.certificate([found], 0.05)).predictions


def test_a_map_may_be_a_constant_of_another_size() -> None:
    """own/flattest-6: the constant s beside the inputs, without a bias."""
    x, y = PARITY[2]
    size = Fraction(3, 10)
    inner = (
        (Fraction(1), Fraction(0), Fraction(0)),
        (Fraction(0), Fraction(1), Fraction(0)),
        (Fraction(0), Fraction(0), size**2),
    )
    beside = np.hstack([x, np.full((4, 1), float(size))])
    answer = flattest_for(x, y, "bias", objective=Objective(inner=inner))
    assert proved(answer) == pytest.approx(theory.flattest(beside, y).trace, rel=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_whitened_inputs_have_the_hessian_that_is_bounded(seed: int) -> None:
    """Weights A'^-1 w on the images, at the best balance: the trace by autograd, and the least trace of another solver."""
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.standard_normal((6, 2)), 1), np.round(rng.standard_normal(6), 1)
    inner = whitening("no-bias", x)
    answer = flattest_for(x, y, objective=Objective(inner=inner))
    root = np.linalg.cholesky(np.array(inner, float)).T
    images = x @ root.T
    assert images.T @ images / 6 == pytest.approx(np.eye(2))
    w, a = [], []
    for v, sign, _ in answer.neurons:
        turned = np.linalg.solve(root.T, np.array([float(c) for c in v]))
        z = images @ turned
        share = float((np.linalg.norm(z[z > 0]) / np.linalg.norm(images[z > 0])) ** 0.5) if (z > 0).any() else 1.0
        w.append(turned / share)
        a.append(sign * share)
    first, second, inputs, labels = (torch.as_tensor(np.array(each)) for each in (w, a, images, y))

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(inputs @ parameters[: first.numel()].reshape(first.shape).T)
        return ((hidden @ parameters[first.numel() :] - labels) ** 2).mean()

    at = torch.cat([first.ravel(), second])
    assert float(loss(at)) < 1e-12
    assert float(torch.trace(torch.autograd.functional.hessian(loss, at))) == pytest.approx(float(answer.upper), rel=1e-6)
    assert proved(answer) == pytest.approx(theory.flattest(images, y).trace, rel=1e-7)
    assert " on the whitened inputs " in answer.certificate()["statement"]


def test_maps_that_are_none_are_named() -> None:
    one, zero = Fraction(1), Fraction(0)
    for inner, reason in (
        (((one, zero),), "symmetric"),
        (((one, one), (zero, one)), "symmetric"),
        (((one, one), (one, one)), "positive definite"),
        (((one, zero), (zero, -one)), "positive definite"),
    ):
        with pytest.raises(ValueError, match=reason):
            Objective(inner=inner)
    with pytest.raises(ValueError, match="trace alone"):
        Objective(squares=1.0, inner=((one,),))
    with pytest.raises(ValueError, match="inner must have 2 rows, got 1"):
        flattest_for(*PARITY[2], objective=Objective(inner=((one,),)))
    with pytest.raises(ValueError, match="do not span their space of dimension 2"):
        whitening("no-bias", [[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("trace", [0.0, 0.2])
@pytest.mark.parametrize(("data", "architecture", "kinks"), [
    (PARITY[2], "no-bias", "differentiable"),
    (SEVEN, "no-bias", "differentiable"),
    (SEVEN, "no-bias", "relu'(0)=0"),
    (RANDOM, "no-bias", "differentiable"),
    (PARITY[2], "bias", "differentiable"),
])  # fmt: skip
def test_the_largest_eigenvalue(data: tuple[np.ndarray, np.ndarray], architecture: str, kinks: str, trace: float) -> None:
    reference = Reference(*data, architecture, kinks)
    aim, constraints = reference.eigenvalue(trace)
    expected = reference.solve(cp.Minimize(aim), [reference.output == data[1], *constraints])
    answer = flattest_for(*data, architecture, kinks, Objective(trace, 1.0))
    assert proved(answer) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("objective", "tolerance"), [
    (Objective(), Tolerance()),
    (Objective(squares=0.02), Tolerance()),
    (Objective(), Tolerance(each=0.2)),
    (Objective(), Tolerance(mean_square=0.04)),
])  # fmt: skip
def test_ranges_of_predictions(objective: Objective, tolerance: Tolerance) -> None:
    """Both ends against cvxpy, and what networks reach, which the checker has seen."""
    q, within = np.array([0.2, 0.3, 1.0]), 0.01
    x, y = RANDOM
    answer = flattest_for(x, y, "bias", objective=objective, tolerance=tolerance)
    found = answer.range(q[:2], within)
    reference = Reference(x, y, "bias", "differentiable", q)
    miss = reference.output - y
    fit = [cp.sum_squares(miss) / len(y) <= tolerance.mean_square] if tolerance.mean_square else [cp.abs(miss) <= tolerance.each]
    fit.append(reference.cost(objective.squares) <= (1 + within) * float(answer.upper))
    low, high = (sign * reference.solve(cp.Maximize(sign * reference.at), fit) for sign in (-1, 1))
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)
    assert found.low <= low + 1e-6
    assert found.high >= high - 1e-6
    assert found.reached == pytest.approx((low, high), abs=5e-3 * max(1, high - low))
    verdict = check(answer.certificate([found], within, [1.0]))
    assert len(verdict.predictions) == 1


def test_closed_forms_on_the_cube() -> None:
    """own/flattest-2, 4, 5 and 6 as the programs come to them."""
    for d in (2, 3):
        x, y = PARITY[d]
        assert flattest_for(x, y, "no-bias", "relu'(0)=0", Objective(0.0, 1.0)).value == pytest.approx(2**0.5, rel=1e-6)
        assert flattest_for(x, y, "bias", objective=Objective(0.0, 1.0)).value == pytest.approx(
            4 * (d + 1) ** 0.5 / 2**d, rel=1e-6
        )
        for size in (0.1, 1.0, 7.0):
            longer = np.hstack([x, np.full((len(x), 1), size)])
            assert flattest_for(longer, y).value == pytest.approx(4 * (d + size**2) ** 0.5, rel=1e-7)
        whole = flattest_for(x, y).value
        for each in (0.25, 0.75):
            assert flattest_for(x, y, tolerance=Tolerance(each=each)).value == pytest.approx((1 - each) * whole, rel=1e-7)


def test_the_slope_of_the_least_trace_is_the_dual_point_s() -> None:
    x, y = RANDOM
    at = {each: flattest_for(x, y, tolerance=Tolerance(each=each)) for each in (0.0, 0.1, 0.2, 0.4)}
    slopes = {each: np.abs(answer.solved.dual).sum() for each, answer in at.items()}
    for one, first in at.items():
        for other, second in at.items():
            assert second.value >= first.value - (other - one) * slopes[one] - 1e-6
    assert slopes[0.0] > slopes[0.4]


def test_everything_within_the_tolerance_of_zero_has_trace_zero() -> None:
    x, y = RANDOM
    answer = flattest_for(x, y, tolerance=Tolerance(each=float(np.abs(y).max()) + 0.1))
    assert answer.value < 1e-6
    assert check(answer.certificate()).upper < 1e-6


def test_a_rounded_metric_is_semidefinite_and_has_its_trace() -> None:
    factor = np.random.default_rng(0).standard_normal((5, 2))
    rough = factor @ factor.T / np.trace(factor @ factor.T) - 1e-12 * np.eye(5)
    metric = exact_metric(rough, Fraction(3), 20)
    assert sum(metric[i][i] for i in range(5)) == 3
    floats = np.array([[float(c) for c in row] for row in metric])
    assert np.linalg.eigvalsh(floats)[0] > 0
    assert np.abs(floats / 3 - rough).max() < 1e-4


def test_bad_input_is_named() -> None:
    x, y = PARITY[2]
    for objective in ({"trace": -1.0}, {"trace": 0.0}, {"squares": np.inf}):
        with pytest.raises(ValueError, match="weights of an objective"):
            Objective(**objective)
    with pytest.raises(ValueError, match="tolerance must be"):
        Tolerance(each=-0.1)
    with pytest.raises(ValueError, match="got both"):
        Tolerance(each=0.1, mean_square=0.1)
    with pytest.raises(ValueError, match="sim-bn"):
        flattest_for(x, y, "sim-bn")
    with pytest.raises(ValueError, match="expected no tolerance"):
        flattest_for(x, y, objective=Objective(0.0, 1.0), tolerance=Tolerance(each=0.1))
    with pytest.raises(theory.TooManyPatterns):
        flattest_for(*PARITY[4], "bias", limit=100)
    with pytest.raises(theory.Infeasible):
        flattest_for(np.array([[1.0, 0.0], [2.0, 0.0]]), np.ones(2))
    with pytest.raises(ValueError, match="do not go with lambda_max"):
        flattest_for(x, y, objective=Objective(0.0, 1.0)).range(x[0], 0.1)
    answer = flattest_for(x, y)
    with pytest.raises(ValueError, match="within"):
        answer.range(x[0], -0.1)
    assert replace(answer, objective=Objective()).value == answer.value
