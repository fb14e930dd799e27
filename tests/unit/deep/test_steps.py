"""Steps: all passes of a step are of one function: same random numbers, same buffers, which move once."""

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import Method, samples
from flatproof.verify.deep.steps import frozen_statistics, make_optimizer, make_step, mixed, rate_at
from tests.unit.deep.modules import KINDS, Counting, network, reference
from tests.unit.deep.trainings import DATA


@pytest.mark.parametrize("method", [Method(lr=0.1, rho=0.5), Method(lr=0.1, adversarial=0.1)], ids=["sam", "adversarial"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_passes_of_a_step_are_of_one_function(kind: str, method: Method) -> None:
    model = network(kind).train()
    x, y = torch.randn(12, 6), torch.randint(3, (12,))
    step = make_step(method, model, make_optimizer(method, list(model.parameters())))
    for seed in (0, 1):
        torch.manual_seed(seed)
        expected = reference(kind, {name: value.clone() for name, value in model.state_dict().items()}, method, x, y)
        after = torch.rand(1)
        torch.manual_seed(seed)
        step(x, y)
        assert torch.equal(torch.rand(1), after), "the step drew more or fewer numbers than one pass"
        after_step = model.state_dict()
        assert after_step.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(
                after_step[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_buffers_shared_by_modules_stay_shared() -> None:
    model, method = network("counting").train(), Method(lr=0.1, rho=0.5)
    make_step(method, model, make_optimizer(method, list(model.parameters())))(torch.randn(12, 6), torch.randint(3, (12,)))
    first, second = (m for m in model.modules() if isinstance(m, Counting))
    assert first.shared is second.shared
    assert float(first.shared) == 2


def test_sam_keeps_batch_norm_statistics_of_the_first_pass_only() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    norm, data = model[2], samples(DATA)
    x, y = data.train_x[:32], data.train_y[:32]
    assert isinstance(norm, nn.BatchNorm1d)
    inputs = model[1](model[0](x)).detach()
    method = Method(lr=0.1, rho=5.0)
    make_step(method, model, make_optimizer(method, list(model.parameters())))(x, y)
    torch.testing.assert_close(norm.running_mean, 0.1 * inputs.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * inputs.var(0))
    assert int(norm.num_batches_tracked or 0) == 1
    assert norm.track_running_stats


def test_sam_sees_the_same_dropout_masks_in_both_passes() -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach() == 0)
            return x

    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), Watch(), nn.Linear(64, 10))
    data, method = samples(DATA), Method(lr=0.1, rho=0.1)
    step = make_step(method, model, make_optimizer(method, list(model.parameters())))
    for _ in range(2):
        step(data.train_x[:32], data.train_y[:32])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[0], seen[2])


def test_frozen_statistics_still_normalize_by_the_batch() -> None:
    norm = nn.BatchNorm1d(3)
    x = torch.randn(50, 3) * 4 + 7
    with frozen_statistics(norm):
        out = norm(x)
    assert float(out.detach().mean().abs()) < 1e-5
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_smoothed_labels_are_partly_uniform() -> None:
    """The step is along the gradient of the cross-entropy with 0.7 of the label and 0.3 spread over three classes."""
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    model = nn.Linear(4, 3)
    shares = 0.7 * F.one_hot(y, 3) + 0.1
    expected = -(shares * F.log_softmax(model(x), 1)).sum(1).mean()
    (slope,) = torch.autograd.grad(expected, [model.weight])
    before, method = model.weight.detach().clone(), Method(lr=0.5, smoothing=0.3)
    loss = make_step(method, model, make_optimizer(method, list(model.parameters())))(x, y)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(model.weight.detach(), before - 0.5 * slope)


def test_mixup_is_one_share_of_a_batch_and_of_a_shuffled_copy() -> None:
    x, y = torch.randn(7, 2, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    mixture, shares = mixed(x, y, 0.4, 3, torch.Generator().manual_seed(5))
    assert torch.allclose(shares.sum(1), torch.ones(7))
    own = shares[torch.arange(7), y]
    share = float(own[own < 1].min()) if (own < 1).any() else 1.0
    for i in range(7):
        partners = [j for j in range(7) if torch.allclose(mixture[i], share * x[i] + (1 - share) * x[j], atol=1e-5)]
        assert len(partners) == 1
        expected = share * F.one_hot(y[i], 3) + (1 - share) * F.one_hot(y[partners[0]], 3)
        assert torch.allclose(shares[i], expected, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_of_mixup_is_beta_distributed(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
    drawn = [float(mixed(x, y, alpha, 2, generator)[1][0, 0]) for _ in range(4000)]
    mixtures = [share for share in drawn if 0 < share < 1]  # half of the shuffles leave both where they are
    assert len(mixtures) == pytest.approx(2000, abs=150)
    assert stats.kstest(mixtures, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_the_triangle_rises_to_its_peak_and_falls_to_zero() -> None:
    method = Method(lr=0.5, schedule="triangle")
    rates = [rate_at(method, done, 10) for done in range(10)]
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 5 / 12, 4 / 12, 3 / 12, 2 / 12, 1 / 12, 0])
    assert [rate_at(Method(lr=0.5), done, 10) for done in (0, 9)] == [0.5, 0.5]
