"""Softmax and logistic heads against torch where torch keeps its digits, and against 60-digit arithmetic where it does not."""

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian, jacobian
from torch.nn import functional as F

from flatproof.verify.curvature import GaussNewtonOperator, HessianOperator, Problem
from flatproof.verify.curvature.heads import IN_LOSSES, IN_MODELS, accurate
from flatproof.verify.curvature.kernels import KernelName
from tests.unit.curvature.models import sure

KERNELS: tuple[KernelName, ...] = ("linearize", "retained-graph", "double-backward", "forward-over-reverse")
WEIGHT = torch.tensor([0.3, 2.0, 1.1, 0.7], dtype=torch.float64)
CLASSES = torch.tensor([0, 3, 1, -100, 2])
SOFT = torch.softmax(torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64), 1)
SIGNS = torch.sign(SOFT - 0.25)

LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "classes": lambda z: F.cross_entropy(z, CLASSES),
    "none": lambda z: F.cross_entropy(z, CLASSES, reduction="none").square().sum(),
    "sum, weight": lambda z: F.cross_entropy(z, CLASSES, WEIGHT, reduction="sum"),
    "weight, smoothing": lambda z: F.cross_entropy(z, CLASSES, WEIGHT, label_smoothing=0.3),
    "smoothing": lambda z: nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=3)(z, CLASSES.clamp_min(0)),
    "none, smoothing": lambda z: F.cross_entropy(z, CLASSES, reduction="none", label_smoothing=0.2).square().sum(),
    "probabilities": lambda z: F.cross_entropy(z, SOFT, WEIGHT, label_smoothing=0.1),
    "one sample": lambda z: F.cross_entropy(z[0], CLASSES[0]),
    "images": lambda z: F.cross_entropy(z.T.reshape(1, 4, 5), CLASSES[None]),
    "keywords": lambda z: F.cross_entropy(input=z, target=CLASSES, reduction="mean"),
    "old names": lambda z: F.cross_entropy(z, CLASSES, size_average=False),
    "log_softmax": lambda z: F.nll_loss(F.log_softmax(z, dim=-1), CLASSES),
    "method": lambda z: (z.log_softmax(0) * SOFT).sum() + (torch.log_softmax(z, 1, dtype=torch.float64) * SOFT).sum(),
    "logsumexp": lambda z: (torch.logsumexp(z, 1) - z[:, 0]).mean() + z.logsumexp(dim=0, keepdim=True).square().sum(),
    "logistic": lambda z: F.binary_cross_entropy_with_logits(z, SOFT, weight=WEIGHT, pos_weight=2 * WEIGHT),
    "logistic, sum": lambda z: F.binary_cross_entropy_with_logits(z, (SOFT > 0.3).double(), reduction="sum"),
    "softplus": lambda z: F.softplus(z, beta=2).mean() - F.logsigmoid(-z).square().sum(),
    "soft margin": lambda z: F.soft_margin_loss(z, SIGNS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_value_slope_and_curvature_are_torchs(name: str) -> None:
    loss = LOSSES[name]
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z[0, 1] = z[0, 2] = 0.0  # a logistic head at its kink

    def replaced(values: Tensor) -> Tensor:
        with accurate(IN_LOSSES):
            return loss(values)

    for derivative in (lambda f: f(z), lambda f: jacobian(f, z), lambda f: hessian(f, z)):
        assert torch.allclose(derivative(replaced), derivative(loss), rtol=1e-11, atol=1e-13)


def test_activations_of_a_model_are_left_alone() -> None:
    z = torch.tensor([[30.0, 0.0]])
    with accurate(IN_MODELS):
        assert float(F.softplus(torch.tensor(25.0))) == 25.0
        assert float(F.log_softmax(z, 1)[0, 0]) == pytest.approx(-9.3576e-14, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single_and_given_back_in_half(dtype: torch.dtype) -> None:
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    with accurate(IN_LOSSES):
        value = F.cross_entropy(z, y)
        assert F.log_softmax(z, 1).dtype == value.dtype == dtype
    assert float(value) == pytest.approx(float(F.cross_entropy(z.float(), y)), rel=1e-2)


def test_classes_that_are_ruled_out() -> None:
    z = torch.tensor([[1.0, -torch.inf, 2.0]], dtype=torch.float64, requires_grad=True)
    with accurate(IN_LOSSES):
        (slope,) = torch.autograd.grad(F.cross_entropy(z, torch.tensor([0])), z, create_graph=True)
        (curved,) = torch.autograd.grad(slope[0, 0], z)
    assert torch.allclose(slope, torch.tensor([[-0.731058578630, 0, 0.731058578630]], dtype=torch.float64))
    assert bool(torch.isfinite(curved).all())


def _targets(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn.to(dtype) if dtype.is_floating_point else (2 * drawn).to(dtype)


SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (4,), (1, 1), (1, 3), (3, 1), (4, 1), (4, 3), (1, 4), (3, 4), (4, 2)]
SHAPES += [(4, 3, 1), (1, 3, 2), (4, 2, 3), (4, 3, 2)]


def _given(loss: Callable[[], Tensor]) -> Tensor | None:
    """None for a refusal."""
    try:
        return loss()
    except (ValueError, RuntimeError, IndexError):
        return None


@pytest.mark.parametrize("head", [F.cross_entropy, F.binary_cross_entropy_with_logits, F.soft_margin_loss])
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int32, torch.bool])
def test_targets_that_torch_refuses_are_refused(head: Callable[..., Tensor], dtype: torch.dtype) -> None:
    """Every pair of shapes: torch's value, or refused where torch refuses; nothing is broadcast that torch does not."""
    accepted = 0
    for outputs, targets in itertools.product(SHAPES, SHAPES):
        z = torch.randn(outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        y = _targets(targets, dtype)
        wanted = _given(lambda z=z, y=y: head(z, y))  # type: ignore[misc]
        with accurate(IN_LOSSES):
            got = _given(lambda z=z, y=y: head(z, y))  # type: ignore[misc]
        assert (got is None) == (wanted is None), (outputs, targets)
        if got is not None and wanted is not None:
            assert torch.allclose(got, wanted, rtol=1e-12), (outputs, targets)
            accepted += 1
    refused = {
        F.cross_entropy: (torch.int32, torch.bool),
        F.binary_cross_entropy_with_logits: (torch.int64, torch.int32, torch.bool),
    }
    assert (accepted == 0) == (dtype in refused.get(head, ()))


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_weights_never_broadcast_the_outputs(name: str) -> None:
    for outputs, weights in itertools.product([(3,), (4,), (4, 3), (4, 3, 2)], SHAPES):
        z, q, w = (_targets(shape, torch.float64) for shape in (outputs, outputs, weights))
        pairs: list[tuple[Callable[..., Tensor], Tensor]] = [(F.binary_cross_entropy_with_logits, q)]
        pairs += [(F.cross_entropy, q)] if name == "weight" else []
        for head, target in pairs:
            wanted = _given(lambda z=z, t=target, w=w, f=head: f(z, t, **{name: w}))  # type: ignore[misc]
            with accurate(IN_LOSSES):
                got = _given(lambda z=z, t=target, w=w, f=head: f(z, t, **{name: w}))  # type: ignore[misc]
            assert (got is None) == (wanted is None), (head, outputs, weights)
            assert got is None or torch.allclose(got, wanted, rtol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "targets", "words"),
    [
        (F.cross_entropy, torch.ones(5, 1), r"of shape \(5,\) or floating point of shape \(5, 3\), got float32 of shape \(5, 1\)"),
        (F.cross_entropy, torch.ones(1, 3), r"shape \(5,\) or floating point of shape \(5, 3\), got float32 of shape \(1, 3\)"),
        (F.cross_entropy, torch.ones(5, 1).long(), r"got int64 of shape \(5, 1\)"),
        (F.binary_cross_entropy_with_logits, torch.ones(5, 3).long(), "targets must be floating point like the outputs, got int64"),
        (F.soft_margin_loss, torch.ones(5), r"targets must have the outputs' shape \(5, 3\), or be spread to it, got \(5,\)"),
    ],
)  # fmt: skip
def test_an_operator_names_targets_that_do_not_fit(loss: Any, targets: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        HessianOperator(nn.Linear(6, 3), loss, [(torch.randn(5, 6), targets)]).matvec(torch.ones(21))
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------- to the last digits


def _softmax_exactly(z: list[float], y: int, smoothing: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss, slope and curvature of one sample in 60 digits, as they are defined."""
    with mpmath.workdps(60):
        e = [mpmath.exp(mpmath.mpf(v)) for v in z]
        p = [v / sum(e) for v in e]
        q = [mpmath.mpf(smoothing) / len(z) + (1 - mpmath.mpf(smoothing)) * (k == y) for k in range(len(z))]
        loss = -sum(a * mpmath.log(b) for a, b in zip(q, p, strict=True))
        C = [[float((k == j) * p[k] - p[k] * p[j]) for j in range(len(z))] for k in range(len(z))]
        return float(loss), np.array([float(a - b) for a, b in zip(p, q, strict=True)]), np.array(C)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [0.5, 8.0, 17.0, 36.0, 69.0])
@pytest.mark.parametrize("y", [0, 1])
def test_softmax_heads_against_sixty_digits(gap: float, y: int, dtype: torch.dtype) -> None:
    """Sure and right (y = 0) or sure and wrong, at losses down to 1e-30."""
    z = [gap, 0.0, -1.5]
    loss, slope, C = _softmax_exactly(z, y, 0.0)
    close = 20 * torch.finfo(dtype).eps

    def replaced(values: Tensor) -> Tensor:
        with accurate(IN_LOSSES):
            return F.cross_entropy(values[None], torch.tensor([y]))

    at = torch.tensor(z, dtype=dtype)
    assert float(replaced(at)) == pytest.approx(loss, rel=close)
    assert torch.func.grad(replaced)(at).double().numpy() == pytest.approx(slope, rel=close)
    assert torch.func.hessian(replaced)(at).double().numpy() == pytest.approx(C, rel=close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("smoothing", [1e-3, 1e-12, 1e-30])
def test_smoothed_labels_keep_the_slope_of_the_likeliest_class(smoothing: float, dtype: torch.dtype) -> None:
    z = [69.0, 0.0, -1.5]
    given = float(torch.tensor(smoothing, dtype=dtype))
    _, slope, _ = _softmax_exactly(z, 0, given)

    def replaced(values: Tensor) -> Tensor:
        with accurate(IN_LOSSES):
            return F.cross_entropy(values[None], torch.tensor([0]), label_smoothing=given)

    derivative = torch.func.grad(replaced)(torch.tensor(z, dtype=dtype)).double().numpy()
    assert derivative == pytest.approx(slope, rel=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("z", [-80.0, -20.0, 0.0, 3.0, 17.0, 36.0, 69.0])
def test_logistic_heads_against_sixty_digits(z: float, dtype: torch.dtype) -> None:
    with mpmath.workdps(60):
        e = mpmath.exp(-mpmath.mpf(z))
        loss, slope, curvature = (float(v) for v in (mpmath.log(1 + e), -e / (1 + e), e / (1 + e) ** 2))

    def replaced(value: Tensor) -> Tensor:
        with accurate(IN_LOSSES):
            return F.binary_cross_entropy_with_logits(value, torch.ones((), dtype=dtype))

    at, close = torch.tensor(z, dtype=dtype), 20 * torch.finfo(dtype).eps
    derivatives = replaced(at), torch.func.grad(replaced)(at), torch.func.hessian(replaced)(at)
    assert [float(v) for v in derivatives] == pytest.approx([loss, slope, curvature], rel=close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("c", [0.1, 8.0, 16.0, 30.0])
def test_every_kernel_keeps_the_digits(c: float, dtype: torch.dtype) -> None:
    """At training losses of 0.5 to 7e-29; the outputs themselves are rounded, |z| units of it in each p."""
    model, data, H = sure(c, dtype)
    problem = Problem(model, F.cross_entropy, data)
    close = 40 * (1 + c) * torch.finfo(dtype).eps
    operators: list[Any] = [HessianOperator.of(problem, kernel=kernel) for kernel in KERNELS]
    for operator in (*operators, GaussNewtonOperator.of(problem)):
        assert float((operator.dense().double() - H).norm() / H.norm()) < close, operator.description
