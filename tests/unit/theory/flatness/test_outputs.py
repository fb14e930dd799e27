"""Flattest networks of several outputs: against one output, closed forms, autograd, and networks drawn at random."""

import numpy as np
import pytest
import torch

from flatproof import theory
from flatproof.theory.check_certificate import check
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.feasibility import Infeasible
from flatproof.theory.flatness.outputs import Outputs, flattest_outputs
from flatproof.theory.flatness.outputs_program import on_set
from flatproof.theory.flatness.patterns import positive_sets
from flatproof.theory.networks import with_ones
from tests.certificates import CUBE
from tests.outputs import one_hot

DIFFERENTIABLE, ZERO = "differentiable", "relu'(0)=0"


def proved(answer: Outputs) -> float:
    """The trace, after the checker has seen that the bounds meet."""
    verdict = check(answer.certificate())
    assert verdict.relative_gap < 1e-5
    return float(verdict.upper)


@pytest.mark.parametrize("kinks", [DIFFERENTIABLE, ZERO])
@pytest.mark.parametrize("d", [2, 3])
def test_one_hot_parity(d: int, kinks: str) -> None:
    """own/flattest-10."""
    x = CUBE[d]
    least = 8 * d**0.5 if kinks == DIFFERENTIABLE else 4 * (2 * d) ** 0.5
    answer = flattest_outputs(x, one_hot(x), kinks=kinks)
    assert proved(answer) == pytest.approx(least, rel=1e-6)
    relaxed = flattest_outputs(x, one_hot(x), kinks=kinks, cones=False)
    assert float(relaxed.lower) == pytest.approx(least, rel=1e-4)  # the nuclear norm alone does


@pytest.mark.parametrize(("architecture", "kinks"), [("no-bias", DIFFERENTIABLE), ("no-bias", ZERO), ("bias", DIFFERENTIABLE)])
@pytest.mark.parametrize("seed", range(3))
def test_labels_along_one_direction_are_those_of_one_output(architecture: str, kinks: str, seed: int) -> None:
    """own/flattest-9: sqrt(K) |b| times the trace of one output, by another solver; and every network is along b."""
    rng = np.random.default_rng(seed)
    x, y, b = np.round(rng.standard_normal((5, 2)), 1), np.round(rng.standard_normal(5), 1), np.array([3.0, -4.0, 0.0])
    one = theory.flattest(x, y, architecture, kinks).trace
    answer = flattest_outputs(x, y[:, None] * b, architecture, kinks)
    assert proved(answer) == pytest.approx(3**0.5 * 5 * one, rel=1e-5)
    assert proved(flattest_outputs(x, y[:, None], architecture, kinks)) == pytest.approx(one, rel=1e-5)
    a = np.array([[float(c) for c in a] for _, a, _ in answer.neurons])
    cost = np.array([float(cost) for _, _, cost in answer.neurons])
    assert np.abs(a[cost > 1e-3 * cost.max()] @ [4.0, 3.0, 0.0]).max() < 1e-3 * np.abs(a).max()


def test_the_nuclear_norm_alone_may_be_too_low() -> None:
    """Outputs y and -y of parity: the relaxation without cones loses a factor of sqrt(2), as it does for one output."""
    x = CUBE[3]
    labels = (x[:, 0] * x[:, 1])[:, None] * [1.0, -1.0]
    least = 2 * theory.flattest(x, labels[:, 0]).trace
    assert proved(flattest_outputs(x, labels)) == pytest.approx(least, rel=1e-6)
    assert float(flattest_outputs(x, labels, cones=False).lower) == pytest.approx(least / 2**0.5, rel=1e-4)


def test_outputs_may_be_turned() -> None:
    rng = np.random.default_rng(0)
    x, y = np.round(rng.standard_normal((5, 2)), 1), np.round(rng.standard_normal((5, 2)), 1)
    turned = y @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert proved(flattest_outputs(x, turned)) == pytest.approx(proved(flattest_outputs(x, y)), rel=1e-5)


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_the_network_has_the_trace(architecture: str) -> None:
    """By autograd, at the best balance."""
    rng = np.random.default_rng(1)
    x, y = np.round(rng.standard_normal((5, 2)), 1), np.round(rng.standard_normal((5, 3)), 1)
    answer = flattest_outputs(x, y, architecture)
    points = with_ones(architecture, x)
    w, a = (np.array([[float(c) for c in neuron[part]] for neuron in answer.neurons]) for part in (0, 1))
    z = points @ w.T
    seen = np.sqrt((z > 0).T @ np.sum(points**2, axis=1))
    balance = np.sqrt(np.linalg.norm(a, axis=1) * seen / (3**0.5 * np.linalg.norm(np.maximum(z, 0), axis=0)))
    w, a = w * balance[:, None], a / balance[:, None]

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        first, second = parameters[: w.size].reshape(w.shape), parameters[w.size :].reshape(a.shape)
        return ((torch.relu(torch.as_tensor(points) @ first.T) @ second - torch.as_tensor(y)) ** 2).sum(dim=1).mean()

    at = torch.as_tensor(np.concatenate([w.ravel(), a.ravel()]))
    assert float(loss(at)) < 1e-20
    trace = float(torch.trace(torch.autograd.functional.hessian(loss, at)))
    assert trace == pytest.approx(float(answer.upper), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_no_network_goes_below(seed: int) -> None:
    """Random networks and the labels that they fit."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((4, 2)), 1)
    w, a = np.round(rng.standard_normal((3, 2)), 1), np.round(rng.standard_normal((3, 2)), 1)
    h = np.maximum(x @ w.T, 0)
    cost = sum(
        4 / 4 * np.sqrt(2 * np.sum(x[h[:, j] > 0] ** 2)) * np.linalg.norm(a[j]) * np.linalg.norm(h[:, j]) for j in range(3)
    )
    for kinks in (DIFFERENTIABLE, ZERO):
        assert float(flattest_outputs(x, np.round(h @ a, 4), kinks=kinks).lower) <= cost * (1 + 1e-3)


def test_a_prediction_holds_for_networks_at_hand() -> None:
    """Seven vertices: every nearly flattest network has the right class at the eighth, and the bound is close to what one has."""
    x = CUBE[3]
    answer = flattest_outputs(x[1:], one_hot(x)[1:])
    bound, entry = answer.at_most(x[0], [-1, 1], 1e-3)
    assert entry is not None
    assert check(answer.certificate([entry], 1e-3)).predictions == (
        f"at (-1, -1, -1): every network within 0.001 of the flattest has (-1, 1) . f <= {entry_bound(entry)}",
    )
    value = np.zeros(2)
    for w, a, _ in answer.neurons:
        value += max(0.0, float(x[0] @ [float(c) for c in w])) * np.array([float(c) for c in a])
    assert value[1] - value[0] <= bound < -0.99
    assert answer.at_most(x[0], [1, -1], 1e-3)[0] >= 1
    six = flattest_outputs(x[:6], one_hot(x)[:6])
    assert six.at_most(x[6], [1, 0], 1e-3) == (np.inf, None)  # outside the cone of the six


def entry_bound(entry: dict[str, str]) -> str:
    from decimal import ROUND_CEILING
    from fractions import Fraction

    from flatproof.theory.check_certificate import decimal as shown

    return str(shown(Fraction(entry["bound"]), ROUND_CEILING))


@pytest.mark.parametrize("points", [CUBE[3], CUBE[2], np.round(np.random.default_rng(2).standard_normal((6, 3)), 1)])
def test_the_forms_of_an_on_set_are_positive_on_its_cone(points: np.ndarray) -> None:
    """At a witness of every face; and a sum of inactive samples has no part across the span of the active ones."""
    faces = positive_sets(points, None)[0]
    exact = [[decimal(c) for c in row] for row in points.tolist()]
    for signs, w in zip(faces.signs, faces.witnesses.astype(float), strict=True):
        if (signs > 0).any():
            case = on_set(points, exact, np.where(signs > 0, 1, -1).astype(np.int8))
            rows = case.table @ (case.signs[:, None] * points)
            assert (rows @ w >= -1e-9 * np.abs(w).max()).all()
            active = points[signs > 0]
            assert rows @ (np.eye(points.shape[1]) - np.linalg.pinv(active) @ active) == pytest.approx(0, abs=1e-9)
            assert case.basis.T @ active.T @ active @ case.basis == pytest.approx(np.eye(case.basis.shape[1]), abs=1e-9)


def test_bad_input_is_named() -> None:
    x, y = CUBE[2], one_hot(CUBE[2])
    with pytest.raises(ValueError, match=r"shape \(n, K\), got \(4,\)"):
        flattest_outputs(x, y[:, 0])
    with pytest.raises(ValueError, match="sim-bn"):
        flattest_outputs(x, y, "sim-bn")
    with pytest.raises(Infeasible):
        flattest_outputs(CUBE[3], np.stack([CUBE[3].prod(axis=1), np.ones(8)], axis=1))
    answer = flattest_outputs(x, y)
    for q, direction, within in (([1, 0, 0], [1, 0], 0.1), ([1, 0], [1], 0.1), ([1, np.nan], [1, 0], 0.1)):
        with pytest.raises(ValueError, match="expected a finite point and direction"):
            answer.at_most(q, direction, within)
    with pytest.raises(ValueError, match="within must be a number >= 0, got -1"):
        answer.at_most([1, 0], [1, 0], -1)
    zero = flattest_outputs(x, 0 * y)
    assert (zero.lower, zero.upper, zero.neurons) == (0, 0, [])
    assert check(zero.certificate()).upper == 0
