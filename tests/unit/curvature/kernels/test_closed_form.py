"""Families of models with a closed form register it; kernels name none of them."""

import pytest
import torch
from torch import Tensor, nn

from flatproof.verify.curvature import HessianOperator, Problem
from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels import Product, closed_form


def refuses(problem: Problem) -> str | None:
    covered = type(problem.model) is nn.Linear and problem.model.bias is None and problem.model.out_features == 1
    return None if covered and isinstance(problem.loss_function, nn.MSELoss) else "needs a linear model"


def prepare(problem: Problem, batch: Batch) -> Product:
    """(2 / n) X'X."""
    x: Tensor = batch.inputs
    return lambda block: (2 / len(x)) * (x.T @ (x @ block))


def test_a_family_of_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, data = nn.Linear(5, 1, bias=False).double(), (torch.randn(9, 5).double(), torch.randn(9, 1).double())
    before = HessianOperator(model, nn.MSELoss(), data)
    exact = before.dense()
    assert before.kernel == "linearize"
    monkeypatch.setattr(closed_form, "FAMILIES", [*closed_form.FAMILIES])
    closed_form.register(closed_form.Family(refuses, prepare))
    closed_form.register(closed_form.Family(refuses, prepare))  # twice is once
    assert len(closed_form.FAMILIES) == 2
    after = HessianOperator(model, nn.MSELoss(), data)
    assert torch.allclose(after.dense(), exact)
    assert after.kernel == "closed-form"
    refused = HessianOperator(nn.Linear(5, 1).double(), nn.MSELoss(), data, kernel="closed-form")
    with pytest.raises(ValueError, match=r"closed-form needs a verify\.two_layer.*; needs a linear model"):
        refused.matvec(torch.ones(6, dtype=torch.float64))


def test_without_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_form, "FAMILIES", [])
    operator = HessianOperator(nn.Linear(2, 1), nn.MSELoss(), (torch.ones(3, 2), torch.ones(3, 1)), kernel="closed-form")
    with pytest.raises(ValueError, match="none is registered"):
        operator.matvec(torch.ones(3))
