"""Lost digits are noticed and widen the intervals, and nothing is written."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flatproof.verify.curvature import (
    FisherOperator,
    GaussNewtonOperator,
    HessianOperator,
    eigenvalues,
    lambda_max,
    measures,
    trace,
)
from flatproof.verify.curvature.density import spectral_density, spectral_sum
from flatproof.verify.curvature.rounding import UNSEEN, RandomRounding, Rounding, rounding_of
from tests.unit.curvature.matrices import Dense
from tests.unit.curvature.models import sure

METHODS = ("hutchinson", "hutch++", "xtrace")


def spelt_out(z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy whose digits are lost as soon as p_y is 1."""
    return -z.softmax(1).gather(1, y[:, None]).log().mean()


def mlp(dtype: torch.dtype = torch.float32) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    return model, (torch.randn(9, 4).to(dtype), torch.tensor([0, 1, 2] * 3))


# -------------------------------------------------------------------------------------------------------------- lost digits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("c", [2.0, 7.0, 12.0, 22.0, 30.0])
@pytest.mark.parametrize("loss", [F.cross_entropy, spelt_out])
def test_intervals_cover_or_do_not_know(loss: Any, c: float, dtype: torch.dtype) -> None:
    """lambda_max at 99.5 %: one of 20 starts may mislead; what the loss itself has lost is not claimed."""
    model, data, H = sure(c, dtype)
    top, total = float(torch.linalg.eigvalsh(H)[-1]), float(H.trace())
    operator = HessianOperator(model, loss, data, verify=False)
    estimates = [lambda_max(operator, seed=seed) for seed in range(20)]
    assert sum(e.covers(top) for e in estimates) >= 19
    assert all(trace(operator, "xtrace", seed=seed).covers(total) for seed in range(5))
    rounding = rounding_of(operator)
    if loss is F.cross_entropy:
        assert rounding.relative < 60 * c * torch.finfo(dtype).eps
        assert max(e.relative_error for e in estimates) < 0.02
    elif c >= (7 if dtype == torch.float32 else 22):
        assert "their digits are lost: the value is not known" in estimates[0].rests_on
        assert min(e.relative_error for e in estimates) > 1


def test_what_is_seen_in_single_precision_is_the_rounding_itself() -> None:
    model, data = mlp()
    operator = HessianOperator(model, spelt_out, data, verify=False)
    seen = rounding_of(operator)
    assert seen.how == "float64"
    wide = copy.deepcopy(model).double()
    E = operator.dense().double() - HessianOperator(wide, spelt_out, (data[0].double(), data[1]), verify=False).dense()
    assert 0.1 < float(seen.errors.max()) / float(torch.linalg.matrix_norm(E)) < 10
    assert float(torch.linalg.matrix_norm(E, 2)) <= seen.norm(0.995)
    assert abs(float(E.trace())) <= seen.trace(0.95)


@pytest.mark.parametrize("kind", [HessianOperator, GaussNewtonOperator, FisherOperator])
def test_in_double_precision_operations_are_rounded_at_random(kind: Any) -> None:
    model, data = mlp(torch.float64)
    seen = rounding_of(kind(model, F.cross_entropy, data))
    assert seen.how == "random rounding"
    assert 1e-17 < seen.relative < 1e-13


def test_the_bounds_fail_as_seldom_as_they_say() -> None:
    """Products of a rank-one E with Gaussian vectors, the worst case: ||E|| = 1 is exceeded but for a probability of 0.1 (1 - c)."""
    generator, confidence, failures = torch.Generator().manual_seed(0), 0.5, 0
    for _ in range(2000):
        forms = torch.randn(2, generator=generator, dtype=torch.float64)
        seen = Rounding(forms.abs().numpy(), forms.square().numpy(), 0.0, "")
        failures += seen.norm(confidence) < 1
    assert 0.03 < failures / 2000 < 0.07


def _noisy_model() -> nn.Module:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()[0]

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + 0 * torch.rand(())  # type: ignore[no-any-return]

    return Noisy()


def _single_only() -> nn.Module:
    class SingleOnly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()[0]
            self.constant = [torch.eye(3)]

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) @ self.constant[0]  # type: ignore[no-any-return]

    return SingleOnly()


@pytest.mark.parametrize(("make", "mode"), [(_noisy_model, "eval"), (_single_only, "eval"), (lambda: mlp()[0], "train")])
def test_where_double_precision_is_not_to_be_had(make: Callable[[], nn.Module], mode: Any) -> None:
    """Random draws would differ, a constant of the model's own does not fit: the same precision is rounded at random."""
    seen = rounding_of(HessianOperator(make(), F.cross_entropy, mlp()[1], mode=mode))
    assert seen.how == "random rounding"
    assert 1e-8 < seen.relative < 1e-4


def test_it_is_looked_at_once_and_counted_apart() -> None:
    model, data = mlp()
    operator = HessianOperator(model, F.cross_entropy, data)
    first, second = trace(operator, products=12), trace(operator, products=12, seed=1)
    assert (first.products, first.checks, second.products, second.checks) == (12, 4, 12, 0)
    assert operator.products == 12 + 12 + 2
    before = rounding_of(operator)
    with torch.no_grad():
        next(model.parameters()).mul_(3)
    assert rounding_of(operator) is not before
    unlooked = lambda_max(HessianOperator(model, F.cross_entropy, data), rounding=False)
    assert unlooked.checks == 0
    assert "taken as right to the unit roundoff" in unlooked.rests_on
    assert rounding_of(Dense(torch.eye(3))) is UNSEEN


def test_every_estimate_widens() -> None:
    model, data = sure(12.0, torch.float32)[:2]
    operator = HessianOperator(model, spelt_out, data, verify=False)
    for method in METHODS:
        e = trace(operator, method, products=12)  # type: ignore[arg-type]
        bare = trace(operator, method, products=12, rounding=False)  # type: ignore[arg-type]
        assert e.high - e.low > 2 * (bare.high - bare.low)
    assert spectral_density(operator).rounding > 0
    wide, narrow = (spectral_sum(operator, lambda t: t, rounding=flag) for flag in (True, False))
    assert wide.high - wide.low > narrow.high - narrow.low
    second = eigenvalues(operator, 2)[1]
    assert second.high - second.low >= 2 * rounding_of(operator).norm(0.995)
    with pytest.raises(ValueError, match="gradient is not that of the loss"):  # digits are lost
        measures()["adaptive-trace"](operator.problem)


@pytest.mark.parametrize("kernel", ["auto", "forward-over-reverse", "double-backward", "finite-difference"])
def test_models_that_are_differentiated_forwards_operation_by_operation(kernel: Any) -> None:
    """Forward mode has zeros without memory."""
    torch.manual_seed(0)
    norm = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5))
    for dtype in (torch.float32, torch.float64):
        model = nn.Sequential(norm, nn.Tanh(), nn.Linear(5, 3)).to(dtype)
        data = mlp(dtype)[1]
        seen = rounding_of(HessianOperator(model, F.cross_entropy, data, kernel=kernel))
        assert seen.how
        assert seen.relative < (0.1 if kernel == "finite-difference" else 1e-5)


def test_looking_writes_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(5, 3))
    data = (torch.randn(9, 4), torch.tensor([0, 1, 2] * 3))
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    for mode in ("eval", "train"):
        for dtype in (torch.float32, torch.float64):
            held = copy.deepcopy(model).to(dtype)
            kept = copy.deepcopy(held.state_dict())
            rounding_of(HessianOperator(held, F.cross_entropy, (data[0].to(dtype), data[1]), mode=mode))  # type: ignore[arg-type]
            assert all(torch.equal(kept[k], v) for k, v in held.state_dict().items())
            assert all(p.grad is None for p in held.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_random_rounding_moves_results_by_a_unit_and_copies_by_nothing() -> None:
    x = torch.rand(1000, dtype=torch.float64) + 1
    with RandomRounding():
        moved, copied, viewed = x * 3, x.clone(), x.view(10, 100)
        held = x.clone().mul_(3)
    assert torch.equal(copied, x)
    assert torch.equal(viewed.flatten(), x)
    for values in (moved, held):
        error = (values / (3 * x) - 1).abs()
        assert 1e-16 < float(error.max()) < 1e-15
