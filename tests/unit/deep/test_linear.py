"""Linear layers by oneDNN."""

import pytest
import torch
from torch import nn

from flatproof.verify.deep import linear


def test_linear_layers_by_onednn_are_the_same_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.Tanh(), nn.Linear(30, 20, bias=False), nn.Linear(20, 5))
    x = torch.randn(16, 40, requires_grad=True)
    tensors = [x, *model.parameters()]

    def slopes() -> list[torch.Tensor]:
        return list(torch.autograd.grad(model(x).sin().sum(), tensors))

    expected = slopes()
    monkeypatch.setattr(linear, "WORTHWHILE", 1)
    calls, real = 0, linear.product

    def counted(*arguments: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(linear, "product", counted)
    with linear.onednn_linear(model, 16):
        taken_over = slopes()
    assert calls == (9 if torch.backends.mkldnn.is_available() else 0)  # three layers: forward and both gradients
    for ours, theirs in zip(taken_over, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    with linear.onednn_linear(model.double(), 16):  # other types are left to torch
        assert model(x.double()).dtype == torch.float64
