"""Worst-case sharpness at an exact minimum, where one ascent ends in some local maximum: against the exact maxima of diagonal networks."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from flatproof.verify.curvature import Problem
from flatproof.verify.curvature.sharpness import average_case_sharpness, sam_sharpness, worst_case_sharpness
from flatproof.verify.curvature.sharpness.starts import AT_CRITICAL, LANCZOS
from tests.unit.curvature.diagonal import at_interpolation, drawn

widths, seeds, radii = st.integers(1, 50), st.integers(0, 10**6), st.sampled_from([0.002, 0.1, 0.5, 1.0])


def exactly(u: Tensor, v: Tensor, rho: float, norm: str, scaling: str) -> float:
    """The maximum over the ball for Sigma = I and kappa = 1."""
    beta = u * v
    if norm == "l2":
        return float(beta.abs().max() ** 2 * (math.sqrt(2) * rho + rho**2 / 2) ** 2)
    if scaling == "elementwise":
        return float((2 * rho + rho**2) ** 2 * beta.square().sum())
    return float((rho * (u.abs() + v.abs()) + rho**2).square().sum())


@settings(max_examples=3)
@given(d=widths, seed=seeds, rho=radii, kappa=st.sampled_from([0.5, 1.0, 7.0]))
@pytest.mark.parametrize(
    ("norm", "scaling", "close"), [("linf", "elementwise", 1e-9), ("linf", "none", 1e-9), ("l2", "elementwise", 1e-3)]
)
def test_the_maximum_of_a_diagonal_network(
    norm: Any, scaling: Any, close: float, d: int, seed: int, rho: float, kappa: float
) -> None:
    u, v = drawn(d, seed)
    e = worst_case_sharpness(at_interpolation(u, v, kappa=kappa), rho=rho, norm=norm, scaling=scaling)
    truth = kappa * exactly(u, v, rho, norm, scaling)
    assert truth * (1 - close) <= e.value <= truth * (1 + 1e-9) + 1e-15
    assert f"up to {AT_CRITICAL} starts a batch" in e.method
    assert e.gradients + 1e-6 >= 20 * AT_CRITICAL
    assert e.gradients <= 20 * AT_CRITICAL + 2 * LANCZOS + 1e-6


def test_one_start_misses_it() -> None:
    """The share of the exact maximum that an ascent from z = 0 alone finds, which is why there are more."""
    shares = []
    for seed in range(20):
        u, v = drawn(6, seed)
        e = worst_case_sharpness(at_interpolation(u, v), rho=0.1, norm="linf", starts=1)
        shares.append(e.value / exactly(u, v, 0.1, "linf", "elementwise"))
        assert e.gradients == 20
    assert min(shares) < 0.83
    assert max(shares) <= 1 + 1e-9


@settings(max_examples=3)
@given(d=st.integers(1, 12), seed=seeds, rho=radii)
def test_single_samples(d: int, seed: int, rho: float) -> None:
    """m = 1, linf, c = |w|, exactly: max over both signs s of sum_i |beta_i x_i| (2 rho + s sign(beta_i x_i) rho^2), squared."""
    u, v = drawn(d, seed)
    x = torch.randn(3, d, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    terms = x * (u * v)
    reach = [(terms.abs() * (2 * rho + s * terms.sign() * rho**2)).sum(1) for s in (1, -1)]
    truth = float(torch.maximum(*reach).square().mean())
    e = worst_case_sharpness(at_interpolation(u, v, x), rho=rho, norm="linf", batch_size=1)
    assert e.value == pytest.approx(truth, rel=1e-9)


@settings(max_examples=2)
@given(seed=seeds)
def test_general_data_to_second_order(seed: int) -> None:
    """linf, c = |w|: 4 rho^2 max over signs s of s'B Sigma B s; at d = 5 all of them are tried. A lower bound, most often reached."""
    u, v = drawn(5, seed)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    rho, moved = 1e-4, x * (u * v)
    truth = max(
        float((moved @ torch.tensor(s, dtype=torch.float64)).square().mean()) for s in itertools.product((1.0, -1.0), repeat=5)
    )
    e = worst_case_sharpness(at_interpolation(u, v, x), rho=rho, norm="linf")
    assert 0.8 * truth <= e.value / (4 * rho**2) <= truth * (1 + 4 * rho)


@given(d=st.integers(1, 20), seed=seeds)
@settings(max_examples=2)
def test_averages_of_a_diagonal_network(d: int, seed: int) -> None:
    """Exactly in rho, c = 1 and c = |w|, Gaussian and uniform (variance 1/3): the interval at 99.99 % holds the truth."""
    u, v = drawn(d, seed)
    rho, beta = 0.3, u * v
    for norm, variance in (("l2", 1.0), ("linf", 1 / 3)):
        q = variance * rho**2
        truths = {"none": (q * (u**2 + v**2) + q**2).sum(), "elementwise": (2 * q + q**2) * beta.square().sum()}
        for scaling, truth in truths.items():
            e = average_case_sharpness(
                at_interpolation(u, v),
                rho=rho,
                norm=norm,
                scaling=scaling,
                draws=120,
                confidence=0.9999,  # type: ignore[arg-type]
            )
            assert e.covers(float(truth)), (norm, scaling)


def network(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    return model, torch.randn(12, 3, dtype=torch.float64), torch.randint(3, (12,))


@given(seed=seeds, norm=st.sampled_from(["l2", "linf"]), scaling=st.sampled_from(["none", "elementwise", "filter", "layer"]))
@settings(max_examples=3)
def test_more_starts_find_no_less(seed: int, norm: Any, scaling: Any) -> None:
    model, x, y = network(seed)
    problem = Problem(model, nn.functional.cross_entropy, (x, y))
    found = [worst_case_sharpness(problem, norm=norm, scaling=scaling, steps=5, starts=k) for k in (None, 1, 3, 5, 9)]
    values = [e.value for e in found]
    assert values[0] == values[1]  # away from a minimum there is one start
    assert values[1:] == sorted(values[1:])
    assert [e.gradients for e in found[:3]] == [5, 5, 15]
    assert found[4].gradients == 9 * 5 + 2 * LANCZOS
    assert "3 starts a batch" in found[2].method


def test_the_ball_of_sam_at_a_minimum() -> None:
    """c = 1, l2: at least the second-order maximum rho^2 lambda_max / 2 of a quadratic, by the ascent and not by the first-order point."""
    u, v = drawn(4, 0)
    problem = at_interpolation(u, v)
    e = sam_sharpness(problem, rho=1e-3, point="ascent")
    top = 2 * (u**2 + v**2).max()  # lambda_max of 2 [[V^2, VU], [UV, U^2]]
    assert e.value == pytest.approx(1e-6 * float(top) / 2, rel=2e-2)
    assert sam_sharpness(problem, rho=1e-3).gradients == 1
    with pytest.raises(ValueError, match="the first-order point has one start"):
        sam_sharpness(problem, starts=3)
    with pytest.raises(ValueError, match="starts must be a whole number of at least 1, got 0"):
        worst_case_sharpness(problem, starts=0)


def test_a_loss_without_curvature_is_left_alone() -> None:
    """Nothing depends on the second parameter, and the loss is constant: no direction, no error."""

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x + 0 * self.w.sum()

    x = torch.ones(2, 1, dtype=torch.float64)
    e = worst_case_sharpness(Problem(Constant(), lambda out, y: (out - y).square().mean(), (x, x)))
    assert e.value == 0
