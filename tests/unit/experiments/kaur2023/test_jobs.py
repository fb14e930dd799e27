"""What kaur2023 measures: lambda_max between iterates and through batch statistics; its network."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from flatproof.verify.experiments.kaur2023.grid import BETWEEN
from flatproof.verify.experiments.kaur2023.jobs import along, curvature
from flatproof.verify.experiments.kaur2023.networks import vgg


class Quadratic(nn.Module):
    """Logits (w, 0) whatever the input: cross-entropy for class 0 is log(1 + exp(-w)), of second derivative s (1 - s), s = 1/(1+e^-w)."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([w], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 1) -> (n, 2)."""
        return torch.cat([self.w.expand(len(x), 1), torch.zeros(len(x), 1, dtype=torch.float64)], dim=1)


def test_between_iterates_is_where_the_next_full_step_passes() -> None:
    def bend(w: float) -> float:
        s = 1 / (1 + math.exp(-w))
        return s * (1 - s)

    w, lr = -4.0, 10.0
    model = Quadratic(w)
    batch = (torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, dtype=torch.int64))
    slope = 1 / (1 + math.exp(-w)) - 1
    places = [model, *along(model, batch, "eval", lr, BETWEEN)]
    tops = [curvature(place, batch, "eval", 0.01).value for place in places]
    assert tops == pytest.approx([bend(w - a * lr * slope) for a in (0.0, *BETWEEN)])
    assert float(model.w.detach()) == w  # the network itself stays where it is
    assert max(tops) > 10 * tops[0]  # a step over a ridge that the iterate does not show


def test_batch_norm_is_measured_through_the_statistics_of_the_images() -> None:
    torch.manual_seed(0)
    first, norm, last = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3, bias=False)
    model = nn.Sequential(first, norm, nn.ReLU(), last).double()
    x, y = torch.randn(40, 3, dtype=torch.float64), torch.randint(3, (40,))
    norm.running_mean += 1.0  # type: ignore[operator]
    sizes = [12, 4, 4, 12]

    def by_hand(weights: torch.Tensor) -> torch.Tensor:
        w, gamma, beta, v = weights.split(sizes)
        z = x @ w.reshape(4, 3).T
        z = (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + norm.eps)
        return cross_entropy(torch.relu(gamma * z + beta) @ v.reshape(3, 4).T, y)

    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    exact = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(by_hand, weights))[-1])
    assert curvature(model, (x, y), "train", 0.001).value == pytest.approx(exact, rel=2e-3)
    assert curvature(model, (x, y), "eval", 0.001).value != pytest.approx(exact, rel=0.05)


def test_the_vgg_takes_both_data_sets() -> None:
    for channels, side in ((3, 32), (1, 28), (1, 8)):
        assert vgg(channels, side, narrow=32)(torch.zeros(2, channels, side, side)).shape == (2, 10)
    with pytest.raises(ValueError, match="side must be an even number of pixels up to 32, got 33"):
        vgg(side=33)
    torch.manual_seed(0)
    model = vgg()
    stds = [m.weight.std().item() / math.sqrt(2 / m.weight[0].numel()) for m in model if isinstance(m, nn.Conv2d)]
    assert stds == pytest.approx([1.0] * 8, abs=0.05)
    norms = [m for m in vgg(narrow=8, normalized=True) if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 8
