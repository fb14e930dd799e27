"""A training whose every state shows whether something has touched it."""

import random
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from flatproof.verify.curvature import Estimate, Measure


def _one(_: object) -> Estimate:
    return Estimate(1.0, 1.0, 1.0, None, 0, 0.0, None, None, None, "one", "nothing")


ONE = Measure("one", "1", "nobody", _one, "loss", "everything")  # costs nothing


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 3))


def dataset() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randn(24, 4, generator=generator), torch.randint(3, (24,), generator=generator))


def fixed_batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(*(part.split(8) for part in dataset().tensors), strict=True))


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """All that a later step depends on, as comparable values."""
    gradients = [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()]
    moments = [v.numpy().tobytes() if isinstance(v, torch.Tensor) else v for s in optimizer.state.values() for v in s.values()]
    return [
        {name: t.detach().numpy().tobytes() for name, t in model.state_dict().items()},
        gradients,
        moments,
        [p.requires_grad for p in model.parameters()],
        [m.training for m in model.modules()],
        [sorted(map(str, vars(m))) for m in model.modules()],
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),  # type: ignore[index, union-attr] # noqa: NPY002
    ]
