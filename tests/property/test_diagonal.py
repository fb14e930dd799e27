"""Every measure of verify.curvature on random diagonal networks, beside its closed form in theory.diagonal.

Means are held to eight of their own standard errors, exact measures to rounding. What ascends is a lower bound of the exact maximum: at a
minimum the gradient vanishes, so that an ascent starts in a random direction and may end in a local maximum.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t
from torch import Tensor, nn

from flatproof.theory import diagonal
from flatproof.theory.diagonal import Diagonal
from flatproof.verify.curvature import Problem
from flatproof.verify.curvature.sharpness import measures
from tests.networks import seeds

DRAWS = 120  # in pairs
few = settings(max_examples=4)  # each is some passes of verify.curvature
Norms = st.sampled_from(["l2", "linf"])


class Module(nn.Module):
    """f(x) = <u * v, x>."""

    def __init__(self, u: np.ndarray, v: np.ndarray) -> None:
        super().__init__()
        self.u, self.v = nn.Parameter(torch.as_tensor(u)), nn.Parameter(torch.as_tensor(v))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.u * self.v)


def problem(network: Diagonal, y: np.ndarray | None = None) -> Problem:
    """The loss kappa times the mean squared error, on labels that the network fits if none are given."""
    x, labels = torch.as_tensor(network.x), torch.as_tensor(network.forward() if y is None else y)
    return Problem(Module(network.u, network.v), lambda f, target: network.kappa * (f - target).square().mean(), (x, labels))


@st.composite
def networks(draw: st.DrawFn) -> Diagonal:
    """d up to 4, n from 1 to 6, sometimes a zero in u or v; sometimes Sigma = I."""
    rng, d, uncorrelated = np.random.default_rng(draw(seeds)), draw(st.integers(1, 4)), draw(st.booleans())
    u, v = rng.standard_normal((2, d)) * draw(st.sampled_from([0.3, 1.0, 3.0]))
    if draw(st.integers(0, 3)) == 0:
        (u, v)[draw(st.integers(0, 1))][draw(st.integers(0, d - 1))] = 0
    n = draw(st.integers(d if uncorrelated else 1, 6))
    x = rng.standard_normal((n, d))
    if uncorrelated:
        x = np.linalg.qr(x)[0] * np.sqrt(n)
    return Diagonal(u, v, x, draw(st.sampled_from([0.5, 1.0, 2.0])))


def named(name: str, **chosen: Any) -> Callable[[Problem], Any]:
    measure = measures()[name]
    return lambda source: measure(source, **chosen)


def adaptive(name: str, scaling: str) -> str:
    return f"adaptive-{name}" if scaling == "elementwise" else name


@pytest.mark.parametrize("scaling", ["none", "elementwise"])
@few
@given(network=networks(), off=st.booleans())
def test_trace(scaling: str, network: Diagonal, off: bool) -> None:
    """On and off interpolation alike; with as many products as parameters the estimate is exact."""
    labels = network.forward() + np.linspace(-1, 1, len(network.x)) * off
    value = named(adaptive("trace", scaling), products=60)(problem(network, labels)).value
    assert value == pytest.approx(float(diagonal.trace(network, scaling)), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("scaling", ["none", "elementwise"])
@few
@given(network=networks())
def test_lambda_max(scaling: str, network: Diagonal) -> None:
    estimate = named(adaptive("lambda-max", scaling))(problem(network))
    exact = float(diagonal.lambda_max(network, scaling))
    slack = 1e-8 * exact + 1e-12
    assert estimate.low - slack <= exact <= estimate.high + slack


@pytest.mark.parametrize("scaling", ["none", "elementwise"])
@few
@given(network=networks(), norm=Norms, rho=st.sampled_from([0.05, 0.3, 1.0]), off=st.booleans(), seed=st.integers(0, 1000))
def test_average_case(scaling: str, network: Diagonal, norm: str, rho: float, off: bool, seed: int) -> None:
    labels = network.forward() + np.linspace(-1, 1, len(network.x)) * off
    estimate = named(adaptive(f"average-{norm}", scaling), rho=rho, draws=DRAWS, seed=seed)(problem(network, labels))
    exact = float(diagonal.average_case(network, rho, norm, scaling))
    error = (estimate.high - estimate.low) / 2 / t.ppf(0.975, DRAWS / 2 - 1)
    assert abs(estimate.value - exact) <= 8 * error + 1e-12
    assert off or error < exact + 1e-12  # so that the bound above can fail


@few
@given(network=networks(), off=st.booleans())
def test_fisher_rao(network: Diagonal, off: bool) -> None:
    labels = network.forward() + np.linspace(-1, 1, len(network.x)) * off
    source = problem(network, labels)
    assert named("fisher-rao-model")(source).value == pytest.approx(float(diagonal.fisher_rao(network)), rel=1e-9, abs=1e-14)
    empirical = np.mean((2 * network.kappa * network.residuals(labels) * 2 * network.forward()) ** 2)
    assert named("fisher-rao")(source).value == pytest.approx(float(empirical), rel=1e-9, abs=1e-14)


@few
@given(network=networks(), rho=st.sampled_from([0.05, 0.5]), shift=st.floats(0.1, 2))
def test_sam(network: Diagonal, rho: float, shift: float) -> None:
    """Off interpolation, where the gradient points somewhere; by ascent it is no less."""
    samples = np.arange(len(network.x))
    labels = network.forward() + shift * (-1) ** samples * (1 + samples / 10)  # no sample is fitted
    source, exact = problem(network, labels), float(diagonal.first_order(network, labels, rho))
    if np.linalg.norm(network.gradient(labels)) > 1e-6:
        assert named("sam", rho=rho)(source).value == pytest.approx(exact, rel=1e-7, abs=1e-10)
        assert named("m-sharpness", rho=rho)(source).value >= exact - 1e-10
        one = [
            diagonal.first_order(Diagonal(network.u, network.v, network.x[k : k + 1], network.kappa), labels[k : k + 1], rho)
            for k in range(len(labels))
        ]
        assert named("sam", rho=rho, batch_size=1)(source).value == pytest.approx(float(np.mean(one)), rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("scaling", ["none", "elementwise"])
@few
@given(network=networks(), rho=st.sampled_from([0.05, 0.5]))
def test_worst_case_is_a_lower_bound(scaling: str, network: Diagonal, rho: float) -> None:
    source, slack = problem(network), 1e-12
    box = named(adaptive("worst-linf", scaling), rho=rho)(source).value
    assert box <= float(diagonal.worst_case_linf(network, rho, scaling)) * (1 + 1e-9) + slack
    ball = named(adaptive("worst-l2", scaling), rho=rho)(source).value
    assert ball <= float(diagonal.worst_case_l2(network, rho, scaling)[1]) * (1 + 1e-9) + slack
    alone = named(adaptive("worst-linf", scaling), rho=rho, batch_size=1)(source).value
    assert alone <= float(diagonal.one_sample_linf(network, rho, scaling)) * (1 + 1e-9) + slack
    keskar = named("keskar", epsilon=rho, start="random")(source).value
    assert keskar <= float(diagonal.keskar(network, rho)) * (1 + 1e-9) + slack


def test_the_ascent_over_a_box_ends_where_all_parameters_shrink() -> None:
    """Sigma = I, c = |w|: each coordinate has two local maxima, |beta| (2 rho + rho^2) and |beta| (2 rho - rho^2).

    The share that an ascent finds of the maximum lies between the square of their ratio and 1.
    """
    rho, rng = 0.1, np.random.default_rng(0)
    worst = ((2 - rho) / (2 + rho)) ** 2
    shares = []
    for _ in range(10):
        x = np.linalg.qr(rng.standard_normal((6, 6)))[0] * np.sqrt(6)
        network = Diagonal(rng.standard_normal(6), rng.standard_normal(6), x)
        exact = float(diagonal.worst_case_linf(network, rho))
        shares.append(named("adaptive-worst-linf", rho=rho)(problem(network)).value / exact)
    assert worst - 1e-6 < min(shares) <= max(shares) <= 1 + 1e-9
