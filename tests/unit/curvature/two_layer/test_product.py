"""The two-layer family's closed form against the explicit Hessian and double backward."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from flatproof.theory.networks import ARCHITECTURES
from flatproof.verify.curvature import HessianOperator, Problem
from flatproof.verify.curvature.two_layer.product import TwoLayerHessians
from flatproof.verify.two_layer.losses import mse
from flatproof.verify.two_layer.modules import TwoLayer
from tests.networks import random_network, random_points
from tests.unit.curvature.models import CLOSE, EXACT, error, explicit


@pytest.mark.parametrize("kernel", ["closed-form", *EXACT])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_layer(architecture: str, kernel: Any) -> None:
    net, (x, y) = random_network(architecture, 3, 4, seed=3), random_points(3, 6, seed=1)
    model, inputs, labels = TwoLayer(net, train_x=x), torch.as_tensor(x), torch.as_tensor(y)
    wanted = explicit(model, lambda f: mse(f(inputs), labels))
    operator = HessianOperator(model, F.mse_loss, [(inputs[:2], labels[:2]), (inputs[2:], labels[2:])], kernel=kernel)
    assert error(operator.dense(), wanted) < CLOSE
    assert operator.products == len(wanted)
    v = torch.randn(len(wanted), dtype=torch.float64)
    assert error(operator.matvec(v), wanted @ v) < CLOSE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "m", "n"), [(7, 70, 65), (12, 66, 130), (30, 131, 33), (40, 5, 9), (100, 6, 203)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_layer_in_panels_and_blocks(architecture: str, d: int, m: int, n: int, dtype: torch.dtype) -> None:
    """Rows of every width of the compiled loops, several blocks of groups, and groups that are not full."""
    net, (x, y) = random_network(architecture, d, m, seed=3), random_points(d, n, seed=1)
    model, data = TwoLayer(net, train_x=x, dtype=dtype), (torch.as_tensor(x).to(dtype), torch.as_tensor(y).to(dtype))
    closed = HessianOperator(model, mse, data, kernel="closed-form")
    exact = TwoLayer(model.network(), train_x=data[0].numpy())
    reference = HessianOperator(exact, mse, (data[0].double(), data[1].double()), kernel="double-backward")
    block = torch.randn(closed.shape[0], 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    wanted, close = reference.matmat(block.double()), CLOSE if dtype == torch.float64 else 1e-5
    assert error(closed.matmat(block), wanted) < close
    assert error(closed.matmat(block.mT.contiguous().mT), wanted) < close
    assert error(closed.matvec(block[:, 1]), wanted[:, 1]) < close


def test_two_layer_at_the_parameters_it_was_prepared_at() -> None:
    """What is kept is a copy: writing behind torch's back changes no product until `refresh`."""
    for architecture in ARCHITECTURES:
        net, (x, y) = random_network(architecture, 3, 4, seed=3), random_points(3, 6, seed=1)
        model = TwoLayer(net, train_x=x)
        operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y)), kernel="closed-form")
        v = torch.randn(operator.shape[0], dtype=torch.float64)
        before = operator.matvec(v)
        for parameter in model.parameters():
            parameter.data.mul_(1.5)
        assert torch.equal(operator.matvec(v), before)
        operator.refresh()
        assert error(operator.matvec(v), before) > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("compiled", [True, False])
def test_many_networks_at_once(architecture: Any, compiled: bool) -> None:
    x, y = random_points(3, 6, seed=1)
    models = [TwoLayer(random_network(architecture, 3, 4, seed), train_x=x) for seed in range(3)]
    stacked = {n: torch.stack([dict(m.named_parameters())[n].detach() for m in models]) for n, _ in models[0].named_parameters()}
    inputs, labels = torch.as_tensor(x), torch.as_tensor(y)
    many = TwoLayerHessians(stacked, inputs, labels, architecture, epsilon=models[0].epsilon, compiled=compiled)
    block = torch.randn(3, sum(p.numel() for p in models[0].parameters()), 2, dtype=torch.float64)
    for model, vectors, products in zip(models, block, many.products(block), strict=True):
        assert error(products, HessianOperator(model, mse, (inputs, labels), kernel="double-backward").matmat(vectors)) < CLOSE


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_closed_form_directions(architecture: Any) -> None:
    x, y = map(torch.as_tensor, random_points(4, 12, seed=1))
    problem = Problem(TwoLayer(random_network(architecture, 4, 7, seed=0)), mse, [(x[:5], y[:5]), (x[5:], y[5:])])
    operator = HessianOperator.of(problem)
    assert error(operator.directions(), problem.directions()) < CLOSE
    assert operator.kernel == "closed-form"


def test_bad_closed_form_labels() -> None:
    x, y = random_points(3, 6, seed=1)
    model = TwoLayer(random_network("bias", 3, 4, seed=3))
    operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y) * torch.nan))
    with pytest.raises(ValueError, match="loss must be finite"):
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bad_closed_form_weights(architecture: str, value: float) -> None:
    x, y = random_points(3, 6, seed=1)
    model = TwoLayer(random_network(architecture, 3, 4, seed=3), train_x=x)
    operator = HessianOperator(model, mse, (torch.as_tensor(x), torch.as_tensor(y)), kernel="closed-form")
    with torch.no_grad():
        model.w1[1, 0] = value
    with pytest.raises(ValueError, match="loss must be finite"):
        operator.matvec(torch.ones(operator.shape[0], dtype=torch.float64))
