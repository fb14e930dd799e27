"""Curvature operators: matrices, subsets, views, what they keep and when they renew it, and what bad vectors say."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from flatproof.verify.curvature import (
    FisherOperator,
    GaussNewtonOperator,
    HessianOperator,
)
from flatproof.verify.curvature.scaled import Rescaled, Scaled
from tests.unit.curvature.models import CLOSE, LOSSES, cnn, error, images, mlp, points


def test_gauss_newton_and_fisher() -> None:
    smoothed = LOSSES["smoothed"]
    for model, (x, y) in ((mlp(), points()), (cnn(), images())):
        model.eval()
        n = len(y)
        parameters = dict(model.named_parameters())
        jacobian = torch.func.jacrev(lambda p: functional_call(model, p, (x,)))(parameters)  # noqa: B023
        j = torch.cat([v.reshape(n, 3, -1) for v in jacobian.values()], -1)
        z = model(x).detach()
        each = torch.vmap(torch.func.hessian(lambda a, b: smoothed(a[None], b[None])))(z, y)
        slopes = torch.vmap(torch.func.grad(lambda a, b: smoothed(a[None], b[None])))(z, y)
        parts = [(x[:2], y[:2]), (x[2:], y[2:])]
        newton = torch.einsum("nap,nab,nbq->pq", j, each, j) / n
        assert error(GaussNewtonOperator(model, smoothed, parts).dense(), newton) < CLOSE
        g = torch.einsum("nap,na->np", j, slopes)
        assert error(FisherOperator(model, smoothed, parts).dense(), g.T @ g / n) < CLOSE


@pytest.mark.parametrize("kind", [GaussNewtonOperator, FisherOperator])
def test_outputs_whose_way_back_takes_logarithms(kind: type[GaussNewtonOperator]) -> None:
    """logcumsumexp's derivative is written with the logarithm of what comes back, which has no tangent at 0."""
    model, (x, y) = nn.Linear(4, 3).double(), points()
    J = torch.autograd.functional.jacobian(lambda w: (x @ w.T).logcumsumexp(1), model.weight.detach()).reshape(len(x), 3, -1)
    z = (x @ model.weight.T).logcumsumexp(1).detach()
    if kind is GaussNewtonOperator:
        middle = torch.vmap(torch.func.hessian(lambda a, b: F.cross_entropy(a[None], b[None])))(z, y)
    else:
        slopes = torch.vmap(torch.func.grad(lambda a, b: F.cross_entropy(a[None], b[None])))(z, y)
        middle = slopes[:, :, None] * slopes[:, None]
    model.forward = lambda x: (x @ model.weight.T).logcumsumexp(1)  # type: ignore[method-assign]
    operator = kind(model, F.cross_entropy, (x, y), parameters="weight")
    assert error(operator.dense(), torch.einsum("nap,nab,nbq->pq", J, middle, J) / len(y)) < CLOSE


@pytest.mark.parametrize("kind", [GaussNewtonOperator, FisherOperator])
def test_rows_of_padding_are_constants(kind: type[GaussNewtonOperator]) -> None:
    """As of the gradient that torch gives of an embedding with padding_idx."""
    model = nn.Sequential(nn.Embedding(5, 2, padding_idx=0), nn.Flatten(), nn.Linear(6, 3)).double()
    torch.nn.init.normal_(model[0].weight)  # type: ignore[arg-type]
    x, y = torch.tensor([[0, 1, 2], [3, 0, 4], [1, 1, 0]]), torch.tensor([0, 2, 1])
    z = model(x)
    rows = [torch.autograd.grad(z[i, k], list(model.parameters()), retain_graph=True) for i in range(3) for k in range(3)]
    J = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).reshape(3, 3, -1)
    if kind is GaussNewtonOperator:
        middle = torch.vmap(torch.func.hessian(lambda a, b: F.cross_entropy(a[None], b[None])))(z.detach(), y)
    else:
        slopes = torch.vmap(torch.func.grad(lambda a, b: F.cross_entropy(a[None], b[None])))(z.detach(), y)
        middle = slopes[:, :, None] * slopes[:, None]
    assert error(kind(model, F.cross_entropy, (x, y)).dense(), torch.einsum("nap,nab,nbq->pq", J, middle, J) / 3) < CLOSE


def test_each_parts_own_products() -> None:
    """H_b V_b of uneven parts, of the operator, of D H D and of 2^-e H; their sum at one V is the product; counted as one pass."""
    model, (x, y) = mlp(), points()
    data = [(x[:2], y[:2]), (x[2:5], y[2:5]), (x[5:], y[5:])]
    operator = HessianOperator(model, F.cross_entropy, data)
    size = operator.shape[0]
    scale = torch.rand(size, dtype=torch.float64) + 0.5
    own = [HessianOperator(model, F.cross_entropy, batch).dense() * len(batch[1]) / len(y) for batch in data]
    for chosen, d in ((operator, torch.ones_like(scale)), (Scaled(operator, scale), scale)):
        rescaled = Rescaled(chosen)
        rescaled.matmat(torch.ones(size, 1, dtype=torch.float64))
        for any_of, unit in ((chosen, 1.0), (rescaled, 2.0 ** -(rescaled.exponent or 0))):
            assert any_of.parts == 3
            blocks = torch.randn(3, size, 2, dtype=torch.float64)
            given, before = iter(blocks), operator.products
            products = list(any_of.apart(lambda given=given: next(given)))
            assert operator.products == before + 2
            for H, V, product in zip(own, blocks, products, strict=True):
                assert error(product, unit * d[:, None] * (H @ (d[:, None] * V))) < CLOSE
            same = sum(any_of.apart(lambda V=blocks[0]: V))
            assert error(same, any_of.matmat(blocks[0])) < CLOSE
    singles = HessianOperator(model, F.cross_entropy, [(x[i : i + 1], y[i : i + 1]) for i in range(9)] + [(x[:1], y[:1])] * 4)
    drawn: list[Tensor] = []

    def draw() -> Tensor:
        drawn.append(torch.randn(size, 1, dtype=torch.float64))
        return drawn[-1]

    products = list(singles.apart(draw))  # thirteen batches in ten parts
    assert len(products) == len(drawn) == singles.parts == 10
    whole = torch.cat([HessianOperator(model, F.cross_entropy, b).dense()[None] / 13 for b in singles.problem.data._data])
    groups = [i * 10 // 13 for i in range(13)]
    for group, (V, product) in enumerate(zip(drawn, products, strict=True)):
        H = sum(h for h, g in zip(whole, groups, strict=True) if g == group)
        assert error(product, H @ V) < CLOSE
    assert next(HessianOperator(model, F.cross_entropy, (x, y)).apart(lambda: blocks[0])).shape == (size, 2)


def test_subsets() -> None:
    model, (x, y) = mlp(), points()
    whole = HessianOperator(model, F.cross_entropy, (x, y))
    full, places = whole.dense(), whole.problem.slices()
    chosen: tuple[tuple[Any, list[str]], ...] = (
        ("2", ["2.weight", "2.bias"]),
        (["4.bias", "0.weight"], ["0.weight", "4.bias"]),
        (model[2], ["2.weight", "2.bias"]),
        ([model[4].weight], ["4.weight"]),
    )
    for wanted, names in chosen:
        operator = HessianOperator(model, F.cross_entropy, (x, y), parameters=wanted)
        assert operator.problem.names == tuple(names)
        where = torch.cat([torch.arange(places[n].start, places[n].stop) for n in names])
        assert error(operator.dense(), full[where][:, where]) < CLOSE
    model[0].weight.requires_grad_(False)
    assert HessianOperator(model, F.cross_entropy, (x, y)).problem.names[0] == "0.bias"


class Adapted(nn.Module):
    """A network after a step of its own on other data, through which the loss is differentiated (MAML)."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.given = mlp(), points(5)

    def forward(self, x: Tensor) -> Tensor:
        parts = dict(self.net.named_parameters())
        own = F.cross_entropy(functional_call(self.net, parts, (self.given[0],)), self.given[1])
        grads = torch.autograd.grad(own, [*parts.values()], create_graph=True)
        moved = {name: p - 0.3 * g for (name, p), g in zip(parts.items(), grads, strict=True)}
        out: Tensor = functional_call(self.net, moved, (x,))
        return out


def test_a_part_of_a_model_that_differentiates_inside() -> None:
    x, y = points()
    H = HessianOperator(Adapted(), F.cross_entropy, (x, y))
    part = HessianOperator(Adapted(), F.cross_entropy, (x, y), parameters="net.2")
    rows = [slice_ for name, slice_ in H.problem.slices().items() if name.startswith("net.2")]
    block = slice(rows[0].start, rows[-1].stop)
    assert error(part.dense(), H.dense()[block, block]) < CLOSE
    model = Adapted()
    bias = model.net[0].bias  # type: ignore[union-attr]
    (slope,) = torch.autograd.grad(F.cross_entropy(model(x), y), [bias], create_graph=True)  # type: ignore[list-item]
    wanted = torch.stack([torch.autograd.grad(s, bias, retain_graph=True)[0] for s in slope])  # type: ignore[arg-type]
    assert error(HessianOperator(model, F.cross_entropy, (x, y), parameters="net.0.bias").dense(), wanted) < CLOSE


def test_outputs_that_are_no_samples_rows_have_no_fisher_matrix() -> None:
    model = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (3, -1)), nn.Linear(12, 3)).double()
    with pytest.raises(ValueError, match=r"one row a sample for the Fisher matrix, got \(3, 3\) for 9"):
        FisherOperator(model, F.cross_entropy, (points()[0], torch.tensor([0, 1, 2]))).matvec(torch.ones(39, dtype=torch.float64))


def test_scipy_view_and_counting() -> None:
    model, (x, y) = mlp(), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    view, v = operator.linear_operator(), np.random.default_rng(0).standard_normal((operator.shape[0], 2))
    assert view.dtype == np.float64
    np.testing.assert_allclose(view @ v, operator.matmat(torch.as_tensor(v)).numpy())
    np.testing.assert_allclose(view @ v[:, 0], (operator @ torch.as_tensor(v[:, 0])).numpy())
    assert operator.products == 6
    assert operator.description.startswith("Hessian, 64 parameters, 9 samples, mode eval, kernel linearize")
    named = operator.problem.named(torch.as_tensor(v[:, 0]))
    assert {n: tuple(t.shape) for n, t in named.items()} == {n: tuple(p.shape) for n, p in model.named_parameters()}


def test_parameters_that_moved_are_noticed() -> None:
    model, (x, y) = mlp(), points()
    operator = HessianOperator(model, F.cross_entropy, (x, y))
    v = torch.randn(operator.shape[0], dtype=torch.float64)
    before = operator.matvec(v)
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    assert error(operator.matvec(v), before) > 1e-3
    assert error(operator.matvec(v), HessianOperator(model, F.cross_entropy, (x, y), kernel="double-backward").matvec(v)) < CLOSE


def test_batches_beyond_the_memory_are_prepared_anew() -> None:
    model, (x, y) = mlp(), points()
    parts = [(x[i : i + 3], y[i : i + 3]) for i in (0, 3, 6)]
    roomy, tight = (HessianOperator(model, F.cross_entropy, parts, memory=bytes_) for bytes_ in (1 << 30, 0))
    v = torch.randn(roomy.shape[0], dtype=torch.float64)
    for _ in range(2):
        assert error(tight.matvec(v), roomy.matvec(v)) < CLOSE
    assert len(roomy._kept) == 3
    assert len(tight._kept) == 1


def test_shuffled_batches() -> None:
    """Fine while every batch is kept; where passes would mix, or batches matter, an error says so."""
    x, y = points(40)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=True)
    model, wanted = mlp(), HessianOperator(mlp(), nn.CrossEntropyLoss(), (x, y))
    vectors = torch.randn(wanted.shape[0], 3, dtype=torch.float64)
    kept = HessianOperator(model, nn.CrossEntropyLoss(), loader)
    for _ in range(2):
        assert error(kept.matmat(vectors), wanted.matmat(vectors)) < CLOSE
    small = HessianOperator(model, nn.CrossEntropyLoss(), loader, memory=0)
    small.matmat(vectors)
    with pytest.raises(ValueError, match="same batches at each pass"):
        small.matmat(vectors)
    with pytest.raises(ValueError, match="in mode 'train'"):
        HessianOperator(model, nn.CrossEntropyLoss(), loader, mode="train").matmat(vectors)


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (torch.ones(3, dtype=torch.float64), r"shape \(64,\)"),
        (torch.ones(64, 1, dtype=torch.float64), r"shape \(64,\)"),
        (torch.ones(64), "float64 on cpu"),
        (torch.full((64,), torch.nan, dtype=torch.float64), "must be finite"),
        (np.ones(64), "torch.Tensor"),
    ],
)
def test_bad_vectors(vector: Any, says: str) -> None:
    operator = HessianOperator(mlp(), F.cross_entropy, points())
    with pytest.raises((ValueError, TypeError), match=says):
        operator.matvec(vector)
    assert operator.products == 0


@pytest.mark.parametrize("kind", [GaussNewtonOperator, FisherOperator])
def test_one_constructor_for_all(kind: type[GaussNewtonOperator]) -> None:
    """Outer operators take the Hessian's arguments; of its kernels they have one."""
    model, (x, y) = mlp(), points()
    given: dict[str, Any] = {"parameters": "2", "mode": "eval", "reduction": "mean", "seed": 3, "memory": 0, "verify": False}
    operator = kind(model, F.cross_entropy, (x, y), kernel="auto", **given)
    assert operator.kernel == "linearize"
    assert operator.problem.names == ("2.weight", "2.bias")
    other = kind.of(operator.problem, memory=0, verify=False)
    v = torch.ones(operator.shape[0], dtype=torch.float64)
    assert torch.equal(operator.matvec(v), other.matvec(v))
    assert operator.rests_on == other.rests_on == "tangents not verified"
    with pytest.raises(ValueError, match="kernel must be one of auto, linearize, got 'double-backward'"):
        kind(model, F.cross_entropy, (x, y), kernel="double-backward")
