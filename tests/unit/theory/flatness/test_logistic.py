"""Flattest networks of the smoothed logistic loss: against the program at its own targets, autograd, and the loss's own minimum."""

import math
from fractions import Fraction
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch

from flatproof import synth, theory
from flatproof.theory.check_certificate import FORMAT, Invalid, check
from flatproof.theory.flatness.logistic import for_logistic
from flatproof.theory.flatness.objectives import Objective, Tolerance
from flatproof.theory.flatness.wider import flattest_for
from flatproof.theory.networks import with_ones
from tests.certificates import CUBE
from tests.unit.theory.flatness.test_wider import Reference

SEVEN = CUBE[3][1:], CUBE[3][1:, 0] * CUBE[3][1:, 1]
DRAWN = np.round(np.random.default_rng(7).standard_normal((6, 2)), 1), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


def ends(certificate: dict[str, Any]) -> tuple[float, float]:
    """The bounds on the trace of the logistic loss, once checked."""
    assert check(certificate).loss == certificate["loss"]["statement"]
    return float(Fraction(certificate["loss"]["lower"])), float(Fraction(certificate["loss"]["upper"]))


@pytest.mark.parametrize("p", [0.001, 0.2, 0.45])
@pytest.mark.parametrize(("data", "architecture", "kinks"), [
    (SEVEN, "no-bias", "differentiable"),
    (SEVEN, "no-bias", "relu'(0)=0"),
    (DRAWN, "no-bias", "differentiable"),
    (DRAWN, "bias", "differentiable"),
])  # fmt: skip
def test_the_least_trace_is_that_of_a_program_at_its_own_targets(
    data: tuple[np.ndarray, np.ndarray], architecture: str, kinks: str, p: float
) -> None:
    """By cvxpy: networks with f = t y, whose trace is p (1 - p)/2 times what it is for the mean squared error."""
    x, y = data
    lower, upper = ends(for_logistic(flattest_for(x, y, architecture, kinks).certificate(), p))
    reference = Reference(x, y, architecture, kinks)
    share = p * (1 - p) / 2
    expected = share * reference.solve(cp.Minimize(reference.cost()), [reference.output == math.log(1 / p - 1) * y])
    assert (lower, upper) == pytest.approx((expected, expected), rel=2e-6)
    assert lower < upper


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
@pytest.mark.parametrize("p", [0.01, 0.3])
def test_the_network_is_a_minimum_of_the_loss_with_that_trace(architecture: str, p: float) -> None:
    """By autograd, of the smoothed cross entropy itself."""
    x, y = DRAWN
    answer = flattest_for(x, y, architecture)
    certificate = for_logistic(answer.certificate(), p)
    points, size = with_ones(architecture, x), math.sqrt(math.log(1 / p - 1))
    w, a = [], []
    for v, sign, _ in answer.neurons:
        weights = np.array([float(c) for c in v])
        z = points @ weights
        share = float((np.linalg.norm(z[z > 0]) / np.linalg.norm(points[z > 0])) ** 0.5) if (z > 0).any() else 1.0
        w.append(size * weights / share)
        a.append(size * sign * share)
    first, second, inputs = (torch.as_tensor(np.array(each)) for each in (w, a, points))
    smoothed = torch.as_tensor(np.where(y > 0, 1 - p, p))

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(inputs @ parameters[: first.numel()].reshape(first.shape).T)
        return torch.nn.functional.binary_cross_entropy_with_logits(hidden @ parameters[first.numel() :], smoothed)

    at = torch.cat([first.ravel(), second]).requires_grad_()
    value = loss(at)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert float(value.detach()) == pytest.approx(entropy, rel=1e-12)  # the least there is
    assert float(torch.autograd.grad(value, at)[0].abs().max()) < 1e-6
    trace = float(torch.trace(torch.autograd.functional.hessian(loss, at.detach())))
    assert trace == pytest.approx(ends(certificate)[1], rel=1e-6)


def test_predictions_and_decisions_go_with_it() -> None:
    """Of format 3, simplified BatchNorm too; what was proved before is proved still."""
    x, y = SEVEN
    data = synth.given(x, y, CUBE[3][:1], np.ones(1))
    for architecture, answer in (("no-bias", "all"), ("bias", "not all"), ("sim-bn", "not all")):
        before = theory.decide(data, architecture).certificate()
        assert before["format"] == FORMAT
        verdict = check(for_logistic(before, 0.2))
        assert verdict._replace(loss=None) == check(before)
        assert verdict.decision is not None
        assert verdict.decision.startswith(answer)
        assert verdict.loss in verdict._repr_html_()


@pytest.mark.parametrize("p", [1e-300, 1e-9, 0.4999999999])
def test_any_smoothing_has_its_target(p: float) -> None:
    certificate = for_logistic(flattest_for(CUBE[2], CUBE[2].prod(axis=1)).certificate(), p)
    target = -math.log(p) if p < 0.1 else 2 * (1 - 2 * p)  # to first order
    assert ends(certificate)[1] == pytest.approx(target * p * (1 - p) / 2 * 8, rel=1e-6)  # the square's least trace is 8


def test_what_it_is_not_for_is_named() -> None:
    x, y = SEVEN
    certificate = flattest_for(x, y).certificate()
    for p in (0.0, 0.5, -0.1):
        with pytest.raises(ValueError, match=r"smoothing must be a number above 0 and below 0\.5"):
            for_logistic(certificate, p)
    with pytest.raises(Invalid, match="trace alone"):
        for_logistic(flattest_for(x, y, objective=Objective(squares=1.0)).certificate(), 0.1)
    with pytest.raises(Invalid, match="no tolerance"):
        for_logistic(flattest_for(x, y, tolerance=Tolerance(each=0.1)).certificate(), 0.1)
    with pytest.raises(Invalid, match=r"y\[0\] is neither 1 nor -1"):
        for_logistic(flattest_for(x, 2 * y).certificate(), 0.1)
    with pytest.raises(Invalid, match="expected a certificate of format"):
        for_logistic(theory.flattest_outputs(x, y[:, None]).certificate(), 0.1)
