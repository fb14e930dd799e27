"""SAM's and adversarial training's passes are of one function: same random numbers, same buffers, which move once a step."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import Method
from flatproof.verify.deep.loop import check_outputs, loss_and_accuracy
from flatproof.verify.deep.steps import make_optimizer, make_step


class Functional(nn.Module):
    """Dropout as a function, and stochastic depth: a coin a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        coin = (torch.rand(len(x), 1) < 0.5).to(x.dtype)
        return x + coin * F.dropout(self.inner(x), 0.5, self.training)


class Counting(nn.Module):
    """Its output depends on buffers that every pass changes: in place, by assignment, and in two modules at once."""

    def __init__(self, shared: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("shared", shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.shared += 1
        self.mean = 0.5 * self.mean + x.detach().mean(0)
        return x * (1 + 0.1 * self.count + 0.01 * self.shared) + self.mean


class Images(nn.Module):
    """Instance normalization with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(2, affine=True, track_running_stats=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(x.view(len(x), 2, 4)).flatten(1)
        return out


def network(kind: str) -> nn.Module:
    torch.manual_seed(1)
    shared = torch.zeros(())
    hidden: dict[str, list[nn.Module]] = {
        "functional": [Functional(), nn.Dropout(0.3)],
        "spectral": [nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))],
        "old spectral": [nn.utils.spectral_norm(nn.Linear(8, 8))],  # type: ignore[no-untyped-call]
        "instance": [Images()],
        "batch": [nn.BatchNorm1d(8), nn.Dropout(0.3)],
        "counting": [Counting(shared), nn.ReLU(), Counting(shared)],
    }
    return nn.Sequential(nn.Linear(6, 8), *hidden[kind], nn.ReLU(), nn.Linear(8, 3))


KINDS = ("functional", "spectral", "old spectral", "instance", "batch", "counting")


def reference(
    kind: str, before: dict[str, torch.Tensor], method: Method, x: torch.Tensor, y: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The state after one step; every pass is made by a copy of the model before it, from the same random state."""
    state, lr = torch.get_rng_state(), method.lr

    def passed(shift: list[torch.Tensor] | None, inputs: torch.Tensor) -> tuple[nn.Module, list[torch.Tensor], torch.Tensor]:
        one = network(kind).train()
        one.load_state_dict(before)
        torch.set_rng_state(state)
        ps = list(one.parameters())
        if shift:
            with torch.no_grad():
                for p, s in zip(ps, shift, strict=True):
                    p += s
        inputs = inputs.clone().requires_grad_()
        *slopes, slope = torch.autograd.grad(F.cross_entropy(one(inputs), y), [*ps, inputs])
        return one, slopes, slope

    out, slopes, slope = passed(None, x)
    if method.rho:
        length = torch.sqrt(sum((g**2).sum() for g in slopes))  # type: ignore[arg-type]
        step = passed([method.rho * g / length for g in slopes], x)[1]
    else:
        shaken = passed(None, x + method.adversarial * slope.sign())[1]
        step = [(a + b) / 2 for a, b in zip(slopes, shaken, strict=True)]
    with torch.no_grad():
        for p, g in zip(out.parameters(), step, strict=True):
            p -= lr * g
    return out.state_dict()


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
        found = model.state_dict()
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_buffers_shared_by_modules_stay_shared() -> None:
    model, method = network("counting").train(), Method(lr=0.1, rho=0.5)
    make_step(method, model, make_optimizer(method, list(model.parameters())))(torch.randn(12, 6), torch.randint(3, (12,)))
    first, second = (m for m in model.modules() if isinstance(m, Counting))
    assert first.shared is second.shared
    assert float(first.shared) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_measuring_leaves_the_network_alone(kind: str) -> None:
    """Buffers that a pass changes in evaluation mode, too, and the random numbers that training goes on with."""
    model = network(kind).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    x, y = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)), torch.zeros(300, dtype=torch.int64)
    loss_and_accuracy(model, x, y)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_outputs_that_are_no_numbers_have_no_accuracy() -> None:
    """argmax of NaN is a class; a quarter of the images would have been right."""
    model = nn.Linear(2, 4)
    nn.init.constant_(model.bias, math.nan)
    loss, accuracy = loss_and_accuracy(model, torch.randn(8, 2), torch.arange(8) % 4)
    assert math.isnan(loss)
    assert math.isnan(accuracy)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Linear(2, 1), r"must give \(2, 3\) scores for 2 images of mine, got \(2, 1\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Flatten(0)), r"got \(6,\)"),
        (nn.LSTM(2, 3), "got tuple"),
    ],
)
def test_a_network_without_a_score_for_every_class_is_refused(model: nn.Module, words: str) -> None:
    data = SimpleNamespace(train_x=torch.randn(5, 2), classes=3, edition="mine")
    with pytest.raises(ValueError, match=words):
        check_outputs(model, data)  # type: ignore[arg-type]
    check_outputs(nn.Linear(2, 4), data)  # type: ignore[arg-type]
