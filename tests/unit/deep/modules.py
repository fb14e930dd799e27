"""Owns small networks whose passes draw random numbers or change buffers, and one step written pass by pass."""

import torch
from torch import nn
from torch.nn import functional as F

from flatproof.verify.deep import Method


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
        copy = network(kind).train()
        copy.load_state_dict(before)
        torch.set_rng_state(state)
        ps = list(copy.parameters())
        if shift:
            with torch.no_grad():
                for p, s in zip(ps, shift, strict=True):
                    p += s
        inputs = inputs.clone().requires_grad_()
        *slopes, slope = torch.autograd.grad(F.cross_entropy(copy(inputs), y), [*ps, inputs])
        return copy, slopes, slope

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
