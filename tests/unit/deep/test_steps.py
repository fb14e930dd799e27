"""Steps: all passes of a step are of one function: same random numbers, same buffers, which move once."""

import pytest
import torch
from torch import nn

from flatproof.verify.deep import Method, samples
from flatproof.verify.deep.steps import frozen_statistics, make_optimizer, make_step
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
