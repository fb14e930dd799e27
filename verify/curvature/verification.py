"""Owns what is looked at once before a number is believed: the loss, its gradient, and the kernel that multiplies by its Hessian.

`examine`, once a problem, on the first samples of the first batch:
- the loss is the same when it is evaluated twice;
- it is the mean over the samples (or the sum) that the problem takes it for: a part against its halves;
- its gradient is that of the model with its parameters really moved (and put back): what reads them past the model is seen so.
`verified`, once an operator: a kernel's product with a random vector is symmetric and agrees with central differences of the gradient, on
the same samples and in float64 where the model can be evaluated there, so that rounding plays no part. A step is repeated smaller and
larger until one agrees: small steps lose digits, large ones cross kinks (ReLU). Where two steps agree with each other and not with the
kernel, the kernel is wrong. Where none agree with each other, differences say nothing, and the kernel stands if double backward gives
the same.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.kernels import PREPARE, Product, Unsupported
from flatproof.verify.curvature.kernels.finite_difference import first_derivative, gradient
from flatproof.verify.curvature.kernels.outer import Outer
from flatproof.verify.curvature.problem import Problem

SAMPLES = 16
SEED = 1_234_567
WIDE = 1 << 28  # parameters of a model up to which it is evaluated in float64
STEPS = (1e-7, 1e-9, 1e-5, 1e-3, 1e-2)  # in units of 1 + ||theta||; of float64
OWN_STEPS = (3e-3, 3e-4, 3e-2)  # of lower precisions
CLOSE, OWN_CLOSE = 1e-3, 3e-2
HINT = "kernel='finite-difference' differentiates the gradient as it is; verify=False takes a kernel unchecked"


# ------------------------------------------------------------------------------------------------------------------ samples


def part(batch: Batch, start: int, stop: int) -> Batch:
    """The samples start..stop-1 of a batch: every tensor whose first axis has one entry a sample is cut."""

    def cut(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[start:stop] if value.ndim and len(value) == batch.samples else value
        if isinstance(value, Mapping):
            return {k: cut(v) for k, v in value.items()}
        if type(value) in (tuple, list):
            return type(value)(cut(v) for v in value)
        return value

    if start == 0 and stop >= batch.samples:
        return batch
    return Batch(cut(batch.inputs), cut(batch.targets), stop - start, batch.weight, batch.index)


def first_samples(problem: Problem) -> Batch | None:
    """At most SAMPLES of the first batch, or all of it where the model insists on that; None on a rank without data."""
    batch = next(iter(problem.batches()), None)
    if batch is None:
        return None
    small = part(batch, 0, SAMPLES)
    if small is not batch:
        try:
            _value(problem, small)
        except Exception:  # the model's own code on another number of samples
            return batch
    return small


def _value(problem: Problem, batch: Batch) -> float:
    with torch.enable_grad(), problem.prepared(batch) as buffers:
        return float(problem.batch_loss(problem.points(), buffers, batch).detach())


# ------------------------------------------------------------------------------------------------------------------ the loss


def examine(problem: Problem) -> float:
    """The checks of the loss, once a problem.

    Returns:
        The gradients that they cost, in passes over the whole data.

    Raises:
        ValueError: says what does not fit.
    """
    if problem.checked:
        return 0.0
    batch = first_samples(problem)
    if batch is None:
        return 0.0
    with torch.enable_grad(), problem.prepared(batch) as buffers:
        problem.check_loss(problem.batch_loss(problem.leaves(), buffers, batch), batch)
    _same_twice(problem, batch)
    _mean_or_sum(problem, batch)
    _really_moved(problem, batch)
    problem.checked = True
    return 4 * batch.samples / problem.samples


def _tolerance(problem: Problem) -> float:
    return 1e3 * float(torch.finfo(problem.dtype).eps)


def _same_twice(problem: Problem, batch: Batch) -> None:
    first, second = _value(problem, batch), _value(problem, batch)
    if math.isfinite(first) and abs(first - second) > _tolerance(problem) * max(abs(first), abs(second)):
        raise ValueError(
            f"the loss must be a function of the parameters, evaluated twice it is {first:.6g} and {second:.6g}: "
            "the model draws random numbers of its own"
        )


def _mean_or_sum(problem: Problem, batch: Batch) -> None:
    if batch.samples < 2:
        return
    middle = batch.samples // 2
    pieces = [part(batch, 0, middle), part(batch, middle, batch.samples)]
    with torch.enable_grad(), problem.prepared(batch) as buffers:
        outputs = problem.outputs(problem.points(), buffers, batch)
        try:
            whole = float(problem.compare(outputs, batch).detach())
            halves = []
            for piece, (start, stop) in zip(pieces, ((0, middle), (middle, batch.samples)), strict=True):
                cut = part(Batch(outputs, None, batch.samples, 1.0, 0), start, stop).inputs
                halves.append(float(problem.compare(cut, piece).detach()))
        except Exception:  # a loss of the whole batch, or of outputs of another form: nothing is known
            return
    weights = [problem.data.counted(piece.inputs, piece.targets, piece.samples) for piece in pieces]
    if not math.isfinite(whole) or not sum(weights) > 0:
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
    way = "weight_of=lambda inputs, targets: ... with what each batch's mean is over, such as (targets != -100).sum()"
    if problem.mean and problem.data.count > 1 and not is_mean:
        raise ValueError(
            f"the loss of a batch is not the mean of its halves' ({whole:.6g} for {mean:.6g}): ignored tokens, class weights? "
            f"give {way}; or all data as one batch"
        )
    if problem.mean and problem.data.uneven and problem.data.weight_of is None:
        raise ValueError(
            "targets have other numbers of entries a sample from batch to batch, a mean over entries weighs them otherwise than one over "
            "samples: give weight_of=lambda inputs, targets: targets.numel(), or len(targets)"
        )


def _really_moved(problem: Problem, batch: Batch) -> None:
    shift = _direction(problem)
    shift *= 0.05 * _length(problem.tensors) / float(torch.linalg.vector_norm(shift)) or 1.0
    moved = [(p.detach() + s) for p, s in zip(problem.tensors, problem.unflatten(shift), strict=True)]
    try:
        theirs = gradient(problem, batch, shift)
        ours = _moved_gradient(problem, batch, moved)
    except (RuntimeError, ValueError):  # said where the gradient itself is asked for
        return
    size = max(float(torch.linalg.vector_norm(g.double())) for g in (theirs, ours))
    gap = float(torch.linalg.vector_norm((theirs - ours).double()))
    if math.isfinite(size) and gap > _tolerance(problem) * size:
        raise ValueError(
            f"the loss reads parameters past the model: its gradient is {gap / size:.1%} off that of the model with its parameters "
            "really moved; read them from the model's modules, not from tensors kept elsewhere"
        )


def _moved_gradient(problem: Problem, batch: Batch, moved: Sequence[Tensor]) -> Tensor:
    """The gradient of the module as it stands, its parameters' memory exchanged for `moved` and given back."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kept = [(p, p.data, p.requires_grad) for p in problem.tensors]
    untouched = torch.autograd._unsafe_preserve_version_counter(tuple(problem.tensors))  # type: ignore[attr-defined]
    with torch.enable_grad(), problem.prepared(batch) as buffers, sdpa_kernel(SDPBackend.MATH), untouched:
        try:
            for (p, _, _), values in zip(kept, moved, strict=True):
                p.data = values.clone()
                p.requires_grad_()
            value = problem.batch_loss(list(problem.tensors), buffers, batch)
            return problem.flatten(_without_touching(value, problem.tensors))
        finally:
            for p, values, wanted in kept:
                p.data = values
                p.requires_grad_(wanted)


def _without_touching(value: Tensor, tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """First derivatives; `.grad` of the tensors is what it was."""
    held = [t.grad for t in tensors]
    for t in tensors:
        t.grad = None
    try:
        return [None if g is None else g.clone() for g in first_derivative(value, tensors)]
    finally:
        for t, grad in zip(tensors, held, strict=True):
            t.grad = grad


def _direction(problem: Problem) -> Tensor:
    drawn = torch.randn(problem.size, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    return drawn.to(problem.dtype).to(problem.device)


def _length(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(p.detach().double().square().sum()) for p in tensors))


# ----------------------------------------------------------------------------------------------------------------- the kernel


@dataclass(frozen=True)
class Verdict:
    """What a kernel's product gave.

    Attributes:
        stands: whether it agrees with differences of the gradient; None where they say nothing.
        error: relative.
        why: what to say of a failure.
        product: the product itself, (P,).
    """

    stands: bool | None
    error: float
    why: str = ""
    product: Tensor | None = None


class Check:
    """Central differences of a problem's gradient along one random vector, made as they are needed, for all kernels.

    Attributes:
        gradients: what was spent, in passes over the whole data.
    """

    def __init__(self, problem: Problem, batch: Batch) -> None:
        self.problem, self.batch = wide(problem, batch)
        self.share = batch.samples / problem.samples
        own = self.problem.dtype != torch.float64
        self.steps: tuple[float, ...]
        self.steps, self.close = (OWN_STEPS, OWN_CLOSE) if own else (STEPS, CLOSE)
        self.vector = self.fixed(_direction(self.problem))
        self.other = self.fixed(_direction(self.problem).roll(1))
        self.gradients = 0.0
        self._differences: dict[int, tuple[Tensor, float]] = {}

    def fixed(self, vector: Tensor) -> Tensor:
        """The vector with zeros where matrices hold a parameter constant."""
        return vector if self.problem.moving is None else vector * self.problem.moving

    def difference(self, index: int) -> tuple[Tensor, float]:
        """(g(theta + e v) - g(theta - e v)) / 2e for a step, and a bound of its rounding."""
        if index not in self._differences:
            length = float(torch.linalg.vector_norm(self.vector))
            e = self.steps[index] * (1 + _length(self.problem.tensors)) / length
            ahead, behind = (gradient(self.problem, self.batch, self.vector * side) for side in (e, -e))
            rounding = 64 * float(torch.finfo(self.problem.dtype).eps) * float(torch.linalg.vector_norm(ahead)) / e
            self.gradients += 2 * self.share
            self._differences[index] = self.fixed(ahead - behind) / (2 * e), rounding
        return self._differences[index]

    def asymmetry(self, kernel: str) -> float:
        """|u'Hv - v'Hu| over the length of the products, for two random vectors."""
        vectors = torch.stack([self.vector, self.other], dim=1)
        return self._asymmetry(self.fixed(PREPARE[kernel](self.problem, self.batch)(vectors).detach().T))

    def _asymmetry(self, rows: Tensor) -> float:
        size = float(torch.linalg.vector_norm(rows, dim=1).sum())
        return abs(float(self.other @ rows[0]) - float(self.vector @ rows[1])) / size if size > 0 else 0.0

    def judge(self, kernel: str) -> Verdict:
        """A kernel's product against the differences."""
        return self.compare(lambda: PREPARE[kernel](self.problem, self.batch))

    def compare(self, prepare: Callable[[], Product]) -> Verdict:
        """The same of what `prepare` gives."""
        try:
            two = prepare()(torch.stack([self.vector, self.other], dim=1)).detach()
        except (Unsupported, RuntimeError, NotImplementedError, TypeError) as error:
            return Verdict(False, math.inf, " ".join(str(error).split())[:200])
        product, errors = self.fixed(two[:, 0]), []
        if (tilt := self._asymmetry(self.fixed(two.T))) > self.close:
            return Verdict(False, tilt, "its product is not symmetric", product)
        for index in range(len(self.steps)):
            difference, rounding = self.difference(index)
            errors.append(_apart(difference, product))
            if _apart(difference, product, rounding) <= self.close:
                return Verdict(True, errors[-1], product=product)
        best = min(errors)
        if math.isnan(best):
            return Verdict(False, best, "its product holds NaN or infinity")
        # two steps that agree with each other far better than with the kernel leave no doubt
        every = [self.difference(n)[0] for n in range(len(self.steps))]
        agreed = min(_apart(a, b) for n, a in enumerate(every) for b in every[:n])
        sure = agreed <= min(0.1 * best, 0.1)
        return Verdict(False if sure else None, best, f"its product is {best:.1%} off", product)


def _apart(first: Tensor, second: Tensor, floor: float = 0.0) -> float:
    """||one - other|| over the larger of the two, what `floor` explains left out."""
    size = max(float(torch.linalg.vector_norm(first)), float(torch.linalg.vector_norm(second)))
    gap = max(float(torch.linalg.vector_norm(first - second)) - floor, 0.0)
    return gap / size if gap > 0 else gap


def wide(problem: Problem, batch: Batch) -> tuple[Problem, Batch]:
    """Problem and batch in float64 where model and loss can be evaluated there and are not too large; as they are otherwise."""
    count = sum(p.numel() for p in problem.model.parameters())
    if problem.dtype == torch.float64 or problem.device.type == "mps" or count > WIDE:
        return problem, batch
    double = WideProblem.of(problem)
    inputs, targets = double_of(batch.inputs), double_of(batch.targets)
    moved = Batch(inputs, targets, batch.samples, batch.weight, batch.index)
    try:
        value, before = _value(double, moved), _value(problem, batch)
    except Exception:  # the model's own code in another precision
        return problem, batch
    fits = abs(value - before) <= 0.05 * max(abs(value), abs(before)) or not math.isfinite(before)
    return (double, moved) if fits and math.isfinite(value) else (problem, batch)


class WideProblem(Problem):
    """A problem whose tensors are replaced by float64 ones wherever the model and the loss read them; the model itself stays."""

    @classmethod
    def of(cls, problem: Problem) -> "WideProblem":
        """The problem in float64; the data are the caller's."""
        made = cls.__new__(cls)
        made.__dict__.update(problem.__dict__)
        made.dtype = torch.float64
        wide: Any = tuple(p.detach().double() for p in problem.tensors)
        made.tensors = wide
        loss = problem.loss_function
        made.loss_function = copy.deepcopy(loss).double() if isinstance(loss, nn.Module) else loss
        made._rooms = []
        return made

    def _fit(self, tensor: Tensor) -> Tensor:
        return double_of(tensor.detach())


def double_of(value: Any) -> Any:
    """Floating point tensors in float64, within mappings, tuples and lists too."""
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {k: double_of(piece) for k, piece in value.items()}
    return type(value)(double_of(piece) for piece in value) if type(value) in (tuple, list) else value


def verified(problem: Problem, kernels: Sequence[str]) -> tuple[str, str, float]:
    """The first of the kernels that stands.

    Args:
        problem: what is differentiated.
        kernels: names, in the order to try them.

    Returns:
        Its name, what to say of it, and the gradients spent in passes over the whole data.

    Raises:
        ValueError: none stands; says why in one line.
    """
    batch = first_samples(problem)
    if batch is None:
        return kernels[0], "a rank without data", 0.0
    check = Check(problem, batch)
    open_: list[tuple[str, Verdict]] = []
    failed: list[str] = []
    for kernel in kernels:
        verdict = check.judge(kernel)
        if verdict.stands:
            return kernel, _finding(check, verdict, failed), check.gradients
        if verdict.stands is None:
            open_.append((kernel, verdict))
        failed.append(f"{kernel}: {verdict.why}")
    for kernel, verdict in open_:
        second = "double-backward" if kernel != "double-backward" else "forward-over-reverse"
        other = check.judge(second).product
        assert verdict.product is not None
        if other is not None and _apart(verdict.product, other) <= check.close:
            return kernel, f"gives what {second} gives; differences of the gradient say nothing (kinks)", check.gradients
    if len(kernels) == 1 and check.judge(kernels[0]).error == math.inf:
        raise ValueError(f"kernel {kernels[0]!r} cannot do this model: {failed[0].partition(': ')[2]}")
    if not open_ and all(why.partition(": ")[2] and not why.endswith(("off", "symmetric", "infinity")) for why in failed):
        raise ValueError(f"this model has no second derivative in torch, take kernel='finite-difference': {'; '.join(failed)}")
    raise ValueError(
        "no product is the derivative of the loss's gradient along a random vector (kinks, straight-through estimators, what is detached "
        f"or differentiable once have no Hessian there): {'; '.join(failed)}; {HINT}"
    )


def differenced(problem: Problem) -> tuple[str, float]:
    """What to say of differences of the gradient as a kernel, which nothing is compared with but itself, and the gradients spent."""
    batch = first_samples(problem)
    if batch is None:
        return "a rank without data", 0.0
    tilt = Check(problem, batch).asymmetry("finite-difference")
    what = ": the gradient is that of no function" if tilt > OWN_CLOSE else ""
    return f"asymmetric by {tilt:.0e}{what}", 4 * batch.samples / problem.samples


def _finding(check: Check, verdict: Verdict, failed: Sequence[str]) -> str:
    where = "" if check.problem.dtype == torch.float64 else f" in {str(check.problem.dtype).removeprefix('torch.')}"
    left = f" ({', '.join(f.partition(':')[0] for f in failed)} does not stand)" if failed else ""
    return f"within {max(verdict.error, 1e-16):.0e} of differences of the gradient{where}{left}"


Tangents = Callable[[Problem, Batch, bool], Outer]


def verified_tangents(problem: Problem, prepare: Tangents) -> tuple[bool, str, float]:
    """u' (J' C J v) against (Du)' C (Dv), D the central differences of the outputs, which kinks hardly touch.

    Args:
        problem: what is differentiated.
        prepare: (problem, batch, whether tangents are recorded) -> the product with J' C J.

    Returns:
        Whether the tangents are to be recorded or by a kept graph, what to say of them, and the gradients spent, in passes over all data.

    Raises:
        ValueError: neither stands; says why in one line.
    """
    batch = first_samples(problem)
    if batch is None:
        return True, "a rank without data", 0.0
    moved, small = wide(problem, batch)
    close = CLOSE if moved.dtype == torch.float64 else OWN_CLOSE
    first = _direction(moved)
    pair = first, first.roll(1)
    spent, errors = 0.0, []
    for recorded in (True, False):
        try:
            outer = prepare(moved, small, recorded)
            products = outer(torch.stack(pair, dim=1))
        except (RuntimeError, NotImplementedError) as error:
            errors.append(" ".join(str(error).split())[:200])
            continue
        forms = torch.stack(pair) @ products
        best = math.inf
        for h in STEPS if close == CLOSE else OWN_STEPS:
            spent += 4 / 3 * batch.samples / problem.samples  # two forward passes are less than one gradient
            ahead = [_outputs_moved(moved, small, v, h) for v in pair]
            with torch.no_grad():
                bent = [outer.middle(d) for d in ahead]
            wanted = torch.stack([torch.stack([(a * b).sum() for b in bent]) for a in ahead])
            size = float(torch.maximum(forms.abs().max(), wanted.abs().max()))
            best = min(best, float((forms - wanted).abs().max()) / size if size > 0 else 0.0)
            if best <= close:
                how = "recorded" if recorded else "kept graph"
                return recorded, f"tangents ({how}) within {max(best, 1e-16):.0e} of differences of the outputs", spent
        errors.append(f"{'recorded' if recorded else 'kept graph'}: {best:.1%} off")
    raise ValueError(f"no product is J'CJ with J the derivative of the model's outputs along random vectors: {'; '.join(errors)}")


def _outputs_moved(problem: Problem, batch: Batch, vector: Tensor, h: float) -> Tensor:
    """Central differences of the outputs along a vector, in units of its own length."""
    e = h * (1 + _length(problem.tensors)) / float(torch.linalg.vector_norm(vector))
    both = []
    for side in (e, -e):
        with torch.enable_grad(), problem.prepared(batch) as buffers:
            pieces = problem.unflatten(vector * side)
            moved = [p.detach() + s for p, s in zip(problem.tensors, pieces, strict=True)]
            both.append(problem.outputs(moved, buffers, batch).detach())
    return (both[0] - both[1]) / (2 * e)
