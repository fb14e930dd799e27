"""Owns what is looked at once of a loss before a number is believed, on the first samples of the first batch:

- the model and the loss can be evaluated, and the loss is the same when it is evaluated twice;
- it is the mean over the samples (or the sum) that the problem takes it for: a part against its halves;
- its gradient is finite, and no root of 0 makes it one without a derivative (`singular`);
- its gradient is that of the model with its parameters really moved (and put back): what reads them past the model is seen so.

Gradients are of as many of these samples as their record has ROOM for, FEWEST at least.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.allowance import STATE, made
from flatproof.verify.curvature.basis import norm
from flatproof.verify.curvature.batches import Batch, part
from flatproof.verify.curvature.kernels import Unsupported
from flatproof.verify.curvature.kernels.finite_difference import gradient
from flatproof.verify.curvature.problem import Problem, first_derivative
from flatproof.verify.curvature.singular import complaint
from flatproof.verify.curvature.tree import tensors_of

SAMPLES = 16
ROOM = 64 << 20  # bytes of what a gradient's record takes at most, by the bound of `allowance`
FEWEST = {"eval": 2, "train": 8}  # samples; batch norm in training mode takes them for its statistics
SEED = 1_234_567


def few_samples(problem: Problem, dtype: torch.dtype) -> Batch | None:
    """As many of the first samples as gradients are compared on; see the head of this module. None on a rank without data.

    Args:
        problem: model and loss.
        dtype: the precision that the gradients are computed in.
    """
    batch = next(iter(problem.batches()), None)
    if batch is None:
        return None
    for fitting in (True, False):
        try:
            few = part(batch, 0, min(SAMPLES, _roomy(problem, batch, dtype)) if fitting else SAMPLES)
            if few is batch or math.isfinite(problem.batch_value(few)):
                return few
        except Exception:  # the model's own code without gradients, or on another number of samples
            continue
    return batch


def _roomy(problem: Problem, batch: Batch, dtype: torch.dtype) -> int:
    """How many samples' record there is ROOM for, FEWEST at least."""
    few = part(batch, 0, FEWEST[problem.mode])
    record = STATE * made(problem, few) * dtype.itemsize / problem.dtype.itemsize
    return max(few.samples, int(few.samples * ROOM / max(record, 1.0)))


def examine(problem: Problem) -> float:
    """The checks of the loss, once a problem.

    Returns:
        The gradients that they cost, in passes over the whole data.

    Raises:
        ValueError: says what does not fit.
    """
    if problem.checked:
        return 0.0
    whole = next(iter(problem.batches()), None)
    if whole is None:
        return 0.0
    batch, value = _evaluated(problem, whole)
    cut = _halves(problem, batch)
    _same_twice(problem, value, cut[0] if math.isfinite(cut[0]) else problem.batch_value(batch))
    _mean_or_sum(problem, *cut)
    few = few_samples(problem, problem.dtype) or batch
    _differentiable(problem, few)
    _really_moved(problem, few)
    problem.checked = True
    return (2 * batch.samples + 3 * few.samples) / problem.samples


def _evaluated(problem: Problem, whole: Batch) -> tuple[Batch, float]:
    """At most SAMPLES of the batch, or all of it where the model insists on that, and their loss."""

    def loss(batch: Batch) -> float:
        with torch.enable_grad(), problem.prepared(batch) as buffers:
            value = problem.check_loss(problem.batch_loss(problem.leaves(), buffers, batch), batch)
            return float(value.detach())

    batch = part(whole, 0, SAMPLES)
    if batch is not whole:
        with suppress(Exception):  # the model's own code on another number of samples
            return batch, loss(batch)
    try:
        return whole, loss(batch := whole)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the model's and the loss's own code
        if isinstance(error, ValueError) and problem.data.one_each:
            raise
        count = next((tuple(t.shape) for t in tensors_of(batch.targets)), None)
        apart = "" if problem.data.one_each else f"; targets have {count} for {batch.samples} samples"
        raise ValueError(
            f"the model and the loss cannot be evaluated on batch {batch.index}: {type(error).__name__}: {shortly(error)}{apart}"
        ) from error


def _differentiable(problem: Problem, batch: Batch) -> None:
    for name, module in problem.model.named_modules():
        # rows that are written back to that length in the forward pass are not what is differentiated
        if (longest := getattr(module, "max_norm", None)) is None or not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            continue
        if float(torch.linalg.vector_norm(module.weight.detach(), module.norm_type, dim=1).max()) > longest * (1 - 1e-5):
            raise ValueError(
                f"{type(module).__name__} {name!r} has rows of its max_norm={longest:g} or longer, which its forward pass shortens: "
                "there is no derivative; expected other parameters, or no max_norm"
            )
    try:
        says = complaint(problem, batch, lambda: problem.beside(shift(problem)))
    except (RuntimeError, NotImplementedError):  # said where the gradient itself is asked for
        return
    if says:
        raise ValueError(says)


def shortly(error: BaseException) -> str:
    """The beginning of an error's words, on one line."""
    words = " ".join(str(error).split())
    if isinstance(error, Unsupported):  # our own words
        return words
    for end in (". ", "; ", " because ", ", but "):
        words = words.partition(end)[0]
    return words[:120].removesuffix(".") or type(error).__name__


def _tolerance(problem: Problem) -> float:
    return 1e3 * float(torch.finfo(problem.dtype).eps)


def _same_twice(problem: Problem, first: float, second: float) -> None:
    if math.isfinite(first) and abs(first - second) > _tolerance(problem) * max(abs(first), abs(second)):
        raise ValueError(
            f"the loss must be a function of the parameters, evaluated twice it is {first:.6g} and {second:.6g}: "
            "the model draws random numbers of its own"
        )


def _mean_or_sum(problem: Problem, whole: float, halves: list[float], weights: list[float]) -> None:
    way = "weight_of=lambda inputs, targets: ... with what each batch's mean is over, such as (targets != -100).sum() or len(targets)"
    unknown = not halves or not math.isfinite(whole) or not sum(weights) > 0
    several = problem.mean and problem.data.count > 1
    if unknown:
        if (
            several
            and problem.data.weight_of is None
            and (problem.data.differ or problem.data.uneven or not problem.data.one_each)
        ):
            raise ValueError(
                f"what the loss of a batch is a mean over does not show, and batches differ: give {way}; or one batch"
            )
        return
    halves = [h if w > 0 else 0.0 for h, w in zip(halves, weights, strict=True)]  # nothing to take a mean of
    total = sum(halves)
    mean = sum(w * h for w, h in zip(weights, halves, strict=True)) / sum(weights)
    near = max(1e-4, _tolerance(problem)) * max(abs(whole), *map(abs, halves))
    is_mean, is_sum = abs(whole - mean) <= near, abs(whole - total) <= near
    if problem.mean and is_sum and not is_mean:
        raise ValueError("the loss is a sum over the batch, not a mean: give reduction='sum', or a loss with reduction 'mean'")
    if not problem.mean and is_mean and not is_sum:
        raise ValueError("the loss is a mean over the batch, not a sum: give reduction='mean', or a loss with reduction 'sum'")
    if several and not is_mean:
        raise ValueError(
            f"the loss of a batch is not the mean of its halves' ({whole:.6g} for {mean:.6g}): ignored tokens, class weights? "
            f"give {way}; or all data as one batch"
        )
    if problem.mean and problem.data.uneven and problem.data.weight_of is None:
        raise ValueError(
            "targets have other numbers of entries a sample from batch to batch, a mean over entries weighs them otherwise than one over "
            "samples: give weight_of=lambda inputs, targets: targets.numel(), or len(targets)"
        )


def _halves(problem: Problem, batch: Batch) -> tuple[float, list[float], list[float]]:
    """The loss of the batch, those of its halves, and what their means are over; no halves where they cannot be had."""
    if batch.samples < 2:
        return math.nan, [], []
    middle = batch.samples // 2
    places = (0, middle), (middle, batch.samples)
    pieces = [part(batch, *place) for place in places]
    with torch.enable_grad(), problem.prepared(batch) as buffers:
        outputs = problem.outputs(problem.points(), buffers, batch)
        try:
            whole = float(problem.compare(outputs, batch).detach())
            cuts = [part(replace(batch, inputs=outputs, targets=None), *place).inputs for place in places]
            halves = [float(problem.compare(cut, piece).detach()) for cut, piece in zip(cuts, pieces, strict=True)]
            weights = [problem.data.counted(piece.inputs, piece.targets, piece.samples) for piece in pieces]
        except Exception:  # a loss of the whole batch, or of outputs of another form
            return math.nan, [], []
    if halves == [whole, whole]:  # the loss is among the outputs: the model is run on the halves
        if problem.mode == "train":
            return math.nan, [], []
        try:
            halves = [problem.batch_value(piece) for piece in pieces]
        except Exception:  # a model of so many samples
            return math.nan, [], []
    return whole, halves, weights


def _really_moved(problem: Problem, batch: Batch) -> None:
    away = shift(problem)
    try:
        theirs = gradient(problem, batch, away)
        moved = problem.beside(away)
        del away
        ours = _moved_gradient(problem, batch, moved)
    except (RuntimeError, ValueError):  # said where the gradient itself is asked for
        return
    size = max(norm(theirs), norm(ours))
    gap = norm(theirs.sub_(ours))
    if math.isfinite(size) and gap > _tolerance(problem) * size:
        raise ValueError(
            f"the loss reads parameters past the model: its gradient is {gap / size:.1%} off that of the model with its parameters "
            "really moved; read them from the model's modules, not from tensors kept elsewhere"
        )


def shift(problem: Problem) -> Tensor:
    """A random displacement of a twentieth of the parameters' length, (P,)."""
    away = direction(problem)
    return away.mul_(0.05 * float(problem.weights.norm()) / float(torch.linalg.vector_norm(away)) or 1.0)


def _moved_gradient(problem: Problem, batch: Batch, moved: Sequence[Tensor]) -> Tensor:
    """The gradient of the module as it stands, its parameters' memory exchanged for that of `moved` and given back."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kept = [(p, p.data, p.requires_grad) for p in problem.tensors]
    # what a training does with gradients is no part of the loss
    hooks = [(h, dict(h)) for p in problem.tensors for h in (p._backward_hooks, p._post_accumulate_grad_hooks) if h]
    untouched = torch.autograd._unsafe_preserve_version_counter(tuple(problem.tensors))  # type: ignore[attr-defined]
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH), untouched:
        try:
            for (p, _, _), values in zip(kept, moved, strict=True):
                p.data = values
                p.requires_grad_()
            for held, _ in hooks:
                held.clear()
            compute = partial(problem.batch_loss, list(problem.tensors), buffers, batch)
            return problem.flatten(_without_touching(compute, problem.tensors))
        finally:
            for held, own in hooks:
                held.update(own)
            for p, values, wanted in kept:
                p.data = values
                p.requires_grad_(wanted)


def _without_touching(compute: Callable[[], Tensor], tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """First derivatives; `.grad` of the tensors is what it was."""
    held = [t.grad for t in tensors]
    for t in tensors:
        t.grad = None
    try:
        return list(first_derivative(compute, tensors)[1])
    finally:
        for t, grad in zip(tensors, held, strict=True):
            t.grad = grad


def direction(problem: Problem, dtype: torch.dtype | None = None) -> Tensor:
    """A random vector, the same at every call, (P,), as the parameters are if no precision is named; uniform is quicker than normal."""
    numbers = torch.empty(problem.size, device="cpu").uniform_(-1, 1, generator=torch.Generator().manual_seed(SEED))
    return numbers.to(dtype=dtype or problem.dtype, device=problem.device)
