"""Owns losses of well-fitted networks: softmax and logistic heads whose value, slope and curvature are right to the last digits.

Where a network is nearly sure, torch's heads subtract what is nearly 1 from 1: log_softmax passes back g - p sum(g), in which the true
class has 1 - p = 0 in float32 from a loss of 6e-8 on (float64: 1e-16), and a logistic head has sigmoid(z) - 1. Here nothing
near 1 is subtracted. With r the likeliest class, d_k = z_k - z_r and S = sum_{k != r} exp(d_k),

    log p_k = d_k - log(1 + S),   d log p_k = dd_k - sum_{j != r} p_j dd_j,   p_j = exp(d_j) / (1 + S) for j != r,

so that class r receives minus what all others do, which is 1 - p_r as their sum; softplus(z) = max(z, 0) + log(1 + exp(-|z|)).
They are written in elementary operations: whatever differentiates twice, forwards, backwards or on the tape, keeps the digits.
What is left is the rounding of the outputs z themselves, |z| units of roundoff in every p.

`accurate` replaces torch's functions by these while a model (what can only be its head) or a loss (all of them) is evaluated. A softmax or
sigmoid that a model applies itself, or a loss spelt out by hand, has lost the digits before anybody can help: `rounding` notices.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Head = Callable[..., Tensor]


def log_softmax(input: Tensor, dim: int | None = None, *rest: Any, dtype: torch.dtype | None = None, **ignored: Any) -> Tensor:
    """log(softmax(input)) along `dim`, in any shape; `dtype` as for torch.log_softmax."""
    if rest and isinstance(rest[-1], torch.dtype):
        dtype = rest[-1]
    z = input if dtype is None else input.to(dtype)
    if dim is None:
        dim = 0 if z.ndim in (0, 1, 3) else 1  # torch's own default
    if z.ndim == 0 or z.shape[dim] == 0:
        return torch.log_softmax(z, dim)
    return _log_softmax(z, dim).to(z.dtype)


def _log_softmax(input: Tensor, dim: int) -> Tensor:
    """In float32 at least."""
    likeliest, _, d, above = _against_likeliest(input, dim)
    return d.masked_fill(likeliest, 0) - above


def log_sum_exp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """torch.logsumexp: curvature is right to the last digits; a slope of z_y that is subtracted from it later is not."""
    if not isinstance(dim, int) or input.ndim == 0:
        return torch.logsumexp(input, dim, keepdim)
    _, top, _, above = _against_likeliest(input, dim)
    value = (top + above).to(input.dtype)
    return value if keepdim else value.squeeze(dim)


def _against_likeliest(input: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where r is, z_r, d and log(1 + S)."""
    z = _wide(input)
    shape = [1] * z.ndim
    shape[dim] = z.shape[dim]
    likeliest = torch.arange(z.shape[dim], device=z.device).reshape(shape) == z.argmax(dim, keepdim=True)
    top = torch.where(likeliest, z, 0).sum(dim, keepdim=True)
    d = z - top
    return likeliest, top, d, d.exp().masked_fill(likeliest, 0).sum(dim, keepdim=True).log1p()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """torch.nn.functional.cross_entropy: classes along axis 1 (0 of a single sample); `target` classes or probabilities."""
    reduction = _reduction(reduction, size_average, reduce)
    axis = 0 if input.ndim == 1 else 1
    _check_classes(input, target)
    log_p, classes = _log_softmax(input, axis), input.shape[axis]
    if weight is not None and target.is_floating_point() and weight.shape != (classes,):
        raise ValueError(f"weight must have one entry a class, shape ({classes},), got {tuple(weight.shape)}")
    weight = None if weight is None else weight.to(log_p.dtype)
    shape = [1] * input.ndim
    shape[axis] = classes
    weighted = log_p if weight is None else log_p * weight.reshape(shape)
    if target.is_floating_point():
        q = target.to(log_p.dtype)
        q = q if label_smoothing == 0 else q * (1 - label_smoothing) + label_smoothing / classes
        return _reduced(-(q * weighted).sum(axis), reduction, input.numel() / classes).to(input.dtype)
    value = F.nll_loss(log_p, target, weight, ignore_index=ignore_index, reduction=reduction)
    if label_smoothing > 0:
        ignored = target == ignore_index
        count: Any = (~ignored).sum()
        if weight is not None:
            count = weight.reshape(-1)[target.masked_fill(ignored, 0)].masked_fill(ignored, 0).sum()
        even = _reduced((-weighted.sum(axis)).masked_fill(ignored, 0), reduction, count)
        value = (1 - label_smoothing) * value + label_smoothing / classes * even
    return value.to(input.dtype)


def _check_classes(input: Tensor, target: Tensor) -> None:
    """ValueError for targets that torch refuses: neither classes in the outputs' shape without axis 1 nor probabilities in that shape."""
    shape, got = tuple(input.shape), tuple(target.shape)
    fits = target.is_floating_point() == (got == shape)
    without = shape[:1] + shape[2:]
    if not fits or (input.ndim > 1 and got not in (shape, without)):
        raise ValueError(
            f"targets must be whole numbers of shape {without if input.ndim > 1 else ()} or floating point of shape {shape}, "
            f"got {str(target.dtype).removeprefix('torch.')} of shape {got}"
        )


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta x)) / beta, elementwise; without the threshold beyond which torch takes it for x."""
    value: Tensor = _softplus(_wide(input) * beta) / beta
    return value.to(input.dtype)


def log_sigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + exp(-x))), elementwise."""
    return (-_softplus(-_wide(input))).to(input.dtype)


def _softplus(x: Tensor) -> Tensor:
    above = x >= 0
    return torch.where(above, x, 0) + torch.where(above, -x, x).exp().log1p()


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """torch.nn.functional.binary_cross_entropy_with_logits: q softplus(-z) pos_weight + (1 - q) softplus(z), elementwise."""
    if target.shape != input.shape:
        raise ValueError(f"targets must have the outputs' shape {tuple(input.shape)}, got {tuple(target.shape)}")
    if not target.is_floating_point():
        raise ValueError(f"targets must be floating point like the outputs, got {str(target.dtype).removeprefix('torch.')}")
    _check_reaches("weight", weight, input)
    _check_reaches("pos_weight", pos_weight, input)
    z, q = _wide(input), _wide(target)
    ones = q if pos_weight is None else q * pos_weight
    each = ones * _softplus(-z) + (1 - q) * _softplus(z)
    each = each if weight is None else each * weight
    return _reduced(each, _reduction(reduction, size_average, reduce), each.numel()).to(input.dtype)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """torch.nn.functional.soft_margin_loss: log(1 + exp(-y z)), elementwise."""
    _check_reaches("targets", target, input)
    each = _softplus(-_wide(target) * _wide(input))
    return _reduced(each, _reduction(reduction, size_average, reduce), each.numel()).to(input.dtype)


def _check_reaches(what: str, value: Tensor | None, input: Tensor) -> None:
    """ValueError for what cannot be spread to the outputs' shape: torch never spreads the outputs themselves."""
    if value is None:
        return
    shape, got = tuple(input.shape), tuple(value.shape)
    if len(got) > len(shape) or any(n not in (1, m) for n, m in zip(reversed(got), reversed(shape), strict=False)):
        raise ValueError(f"{what} must have the outputs' shape {shape}, or be spread to it, got {got}")


def _wide(value: Tensor) -> Tensor:
    return value if value.dtype in (torch.float32, torch.float64) else value.float()


def _reduction(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    if size_average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if size_average is False else "mean"


def _reduced(each: Tensor, reduction: str, count: Any) -> Tensor:
    return each if reduction == "none" else each.sum() if reduction == "sum" else each.sum() / count


IN_MODELS: dict[Any, Head] = dict.fromkeys(
    (F.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.special.log_softmax), log_softmax
) | {
    F.cross_entropy: cross_entropy,
    F.binary_cross_entropy_with_logits: binary_cross_entropy_with_logits,
    F.soft_margin_loss: soft_margin_loss,
}
IN_LOSSES: dict[Any, Head] = IN_MODELS | {
    torch.logsumexp: log_sum_exp,
    Tensor.logsumexp: log_sum_exp,
    F.softplus: softplus,
    F.logsigmoid: log_sigmoid,
}


class accurate(TorchFunctionMode):
    """Within it torch's functions are the heads given."""

    def __init__(self, heads: dict[Any, Head]) -> None:
        super().__init__()
        self.heads = heads

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        head = self.heads.get(func)
        if head is not None:
            given = args[0] if args else kwargs.get("input")
            if isinstance(given, Tensor) and given.is_floating_point() and "out" not in kwargs:
                return head(*args, **kwargs)
        return func(*args, **kwargs)
