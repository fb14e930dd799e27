"""Owns what is looked at once of an operator before a number is believed: the kernel that multiplies.

A kernel's product with a random vector agrees with central differences of the gradient, in float64 where the model can be evaluated there,
so that rounding plays no part; and the gradient is that of the loss, whose differences the same points give. A gradient's derivative is
symmetric: where the loss's differences leave that open, a second product shows it. The samples are those of `examination.few_samples`: the
whole vectors of a large model are compared whatever their number is. A step is repeated smaller and larger until one agrees: small steps
lose digits, large ones cross kinks (ReLU); what rounding explains is left out of account once no step agrees without that. Where two steps
agree with each other and not with the kernel, the kernel is wrong. Where none agree with each other, differences say nothing, and the
kernel stands if double backward gives the same, or where it stands at parameters beside these, and the loss does not jump. Where no kernel
has a product, differences of the gradient themselves are one, if they are symmetric and two steps agree.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flatproof.verify.curvature.basis import inner_products, norm, segments
from flatproof.verify.curvature.batches import Batch
from flatproof.verify.curvature.examination import direction, few_samples, shift, shortly
from flatproof.verify.curvature.kernels import PREPARE, Product
from flatproof.verify.curvature.kernels.finite_difference import change, gradient
from flatproof.verify.curvature.kernels.outer import Outer
from flatproof.verify.curvature.precision import wide
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.utils.memory import LARGE, trim

STEPS = (1e-9, 1e-7, 1e-5, 1e-3, 1e-2)  # in units of 1 + ||theta||; of float64
OWN_STEPS = (3e-3, 3e-4, 3e-2)  # of lower precisions
CLOSE, OWN_CLOSE = 1e-3, 3e-2
DIFFERENCES = "finite-difference"
HINT = "kernel='finite-difference' differentiates the gradient as it is; verify=False takes a kernel unchecked"


@dataclass(frozen=True)
class Verdict:
    """What a kernel's product gave.

    Attributes:
        stands: whether it agrees with differences of the gradient; None where they say nothing.
        error: relative.
        why: what to say of a failure.
        product: the product itself, (P,), as precise as vectors are held.
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
        # what is asked is CLOSE
        self.held = torch.float32 if self.problem.size >= LARGE and not own else self.problem.dtype
        self.steps: tuple[float, ...]
        self.steps, self.close = (OWN_STEPS, OWN_CLOSE) if own else (STEPS, CLOSE)
        trim(self.problem.size)
        self.vector = self.fixed(direction(self.problem, self.held)).to(self.held)
        self.length = norm(self.vector)
        self.reach = 1 + _length(p.detach().to(self.problem.dtype) for p in self.problem.tensors)
        self.gradients = 0.0
        self._differences: dict[int, tuple[Tensor, float]] = {}
        self._fits = self._closely = False  # at one of the steps, the loss's difference and the gradient

    def fixed(self, vector: Tensor) -> Tensor:
        """The vector with zeros where matrices hold a parameter constant."""
        return vector if self.problem.moving is None else vector * self.problem.moving

    def other(self) -> Tensor:
        """A second vector: the first one, its entries moved on by one place."""
        return self.fixed(self.vector.roll(1))

    def difference(self, index: int) -> tuple[Tensor, float]:
        """(g(theta + e v) - g(theta - e v)) / 2e for a step, and a bound of its rounding."""
        if index not in self._differences:
            e = self.step(index)
            trim(self.problem.size)
            apart = change(self.problem, self.batch, self.vector, e)
            rounding = 64 * float(torch.finfo(self.problem.dtype).eps) * apart.length / e
            slope = sum(apart.slopes) / 2  # the trapezoidal rule
            size = max(abs(slope), 1e-6 * apart.length * self.length)
            off = abs(apart.value / (2 * e) - slope) / size if size > 0 else math.inf
            self._fits |= off <= 10 * self.close
            self._closely |= off <= CLOSE
            self.gradients += 2 * self.share
            self._differences[index] = self.fixed(apart.gradient.div_(2 * e)).to(self.held), rounding
        return self._differences[index]

    def step(self, index: int) -> float:
        """e of the step of that place, for the vector's length."""
        return self.steps[index] * self.reach / self.length

    def values(self, index: int) -> tuple[float, float]:
        """The loss ahead and behind of a step."""
        both = []
        for side in (1, -1):
            with torch.enable_grad(), self.problem.prepared(self.batch) as buffers:
                moved = self.problem.beside(self.vector, side * self.step(index))
                both.append(float(self.problem.batch_loss(moved, buffers, self.batch).detach()))
                del moved
        self.gradients += self.share
        return both[0], both[1]

    def jump(self) -> str:
        """Why there is no derivative, where the loss itself jumps at the parameters; "" else."""
        index = self.steps.index(min(self.steps))
        ahead, behind = self.values(index)
        e = self.step(index)
        slopes = [norm(gradient(self.problem, self.batch, self.vector, side)) for side in (e, -e)]
        self.gradients += 2 * self.share
        reach = 4 * e * max(slopes) * self.length
        rounding = 1e3 * float(torch.finfo(self.problem.dtype).eps) * max(abs(ahead), abs(behind))
        return f"the loss jumps by {abs(ahead - behind):.2g} at the parameters" if abs(ahead - behind) > reach + rounding else ""

    def slope(self) -> str:
        """Why the gradient is not that of the loss, where two steps show the same gap; "" else.

        At a kink (ReLU) the two sides of a step differ: it shows nothing. Neither do gaps that rounding explains, or that change with the
        step.
        """
        if self._fits:
            return ""
        try:
            here = gradient(self.problem, self.batch, self.vector, 0.0)
        except (RuntimeError, NotImplementedError) as error:
            return f"the gradient cannot be computed: {shortly(error)}"
        along = _dot(here, self.vector)
        size = max(abs(along), 1e-6 * norm(here) * self.length)
        del here
        trim(self.problem.size)
        middle = self.problem.batch_value(self.batch)
        self.gradients += self.share
        gaps: list[float] = []
        for index in range(len(self.steps)):
            ahead, behind = self.values(index)
            e = self.step(index)
            gap, bend = (ahead - behind) / (2 * e) - along, abs(ahead - 2 * middle + behind) / e
            if abs(gap) <= 10 * self.close * size:
                return ""
            rounding = 64 * float(torch.finfo(self.problem.dtype).eps) * max(abs(ahead), abs(behind)) / e
            if abs(gap) > max(rounding, 10 * bend):
                if any(abs(gap - other) <= 0.1 * abs(gap) for other in gaps):
                    off = abs(gap) / size if size > 0 else math.inf
                    return f"the gradient is not that of the loss, {off:.1%} off (straight-through, detached, rescaled? or digits are lost)"
                gaps.append(gap)
        return ""

    def doubt(self) -> str:
        """Why differences of the gradient are no Hessian's products, where that shows; "" else."""
        every = [self.difference(n) for n in range(len(self.steps))]
        agreed = min(_apart(a, b, r + q) for n, (a, r) in enumerate(every) for b, q in every[:n])
        if not agreed <= self.close:
            return "differences of the gradient change with the step (kinks)"
        if not (tilt := self.asymmetry(PREPARE[DIFFERENCES](self.problem, self.batch))) <= self.close:
            return f"differences of the gradient are asymmetric by {tilt:.0e}"
        return ""

    def asymmetry(self, kernel: Product, product: Tensor | None = None) -> float:
        """|u'Hv - v'Hu| over the length of the products, for two random vectors; `product` is that of `vector`, where it is known."""
        trim(self.problem.size)
        if product is None:
            product = self._times(kernel, self.vector)
        other = self.other()
        beside = self._times(kernel, other)
        size = norm(beside) + norm(product)
        return abs(_dot(other, product) - _dot(self.vector, beside)) / size if size > 0 else 0.0

    def _times(self, kernel: Product, vector: Tensor) -> Tensor:
        if not getattr(kernel, "converts", False):
            vector = vector.to(self.problem.dtype)
        return self.fixed(kernel(vector[:, None]).detach()[:, 0]).to(self.held)

    def judge(self, kernel: str) -> Verdict:
        """A kernel's product against the differences."""
        return self.compare(lambda: PREPARE[kernel](self.problem, self.batch))

    def beside(self, kernel: str) -> bool:
        """Whether the kernel stands at parameters moved at random, which no unit has its kink at."""
        moved = copy.copy(self.problem)
        away = self.problem.unflatten(shift(self.problem).roll(7))
        moved.tensors = tuple(nn.Parameter(p + s) for p, s in zip(self.problem.points(), away, strict=True))
        other = Check(moved, self.batch)
        stands = other.judge(kernel).stands
        self.gradients += other.gradients
        return bool(stands)

    def compare(self, prepare: Callable[[], Product]) -> Verdict:
        """The same of what `prepare` gives."""
        trim(self.problem.size)
        errors: list[float] = []
        try:
            product = self._times(prepare(), self.vector)
        except Exception as error:  # what torch raises within a kernel, of many kinds
            return _raised(error)
        for index in range(len(self.steps)):
            errors.append(_apart(self.difference(index)[0], product))
            if errors[-1] <= self.close:
                break
        stands = errors[-1] <= self.close
        if stands and self._closely:
            return Verdict(True, errors[-1], product=product)
        try:
            tilt = self.asymmetry(prepare(), product)
        except Exception as error:
            return _raised(error)
        if tilt > self.close:
            return Verdict(False, tilt, "its product is not symmetric", product)
        if stands:
            return Verdict(True, errors[-1], product=product)
        for index, off in enumerate(errors):
            difference, rounding = self.difference(index)
            if _apart(difference, product, rounding) <= self.close:
                return Verdict(True, off, product=product)
        best = min(errors)
        if math.isnan(best):
            return Verdict(False, best, "its product holds NaN or infinity")
        # two steps that agree with each other far better than with the kernel leave no doubt
        every = [self.difference(n)[0] for n in range(len(self.steps))]
        agreed = min(_apart(a, b) for n, a in enumerate(every) for b in every[:n])
        sure = agreed <= min(0.1 * best, 0.1)
        return Verdict(False if sure else None, best, f"its product is {best:.1%} off", product)


def _raised(error: Exception) -> Verdict:
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    return Verdict(False, math.inf, shortly(error))


def _apart(first: Tensor, second: Tensor, floor: float = 0.0) -> float:
    """||one - other|| over the larger of the two, what `floor` explains left out."""
    size = max(norm(first), norm(second))
    gap = max(_length(first[s] - second[s] for s in segments(len(first))) - floor, 0.0)
    return gap / size if gap > 0 else gap


def _length(pieces: Iterable[Tensor]) -> float:
    """The length of a vector that is given in pieces; overflow of a square is no infinity."""
    return float(torch.linalg.vector_norm(torch.tensor([norm(piece) for piece in pieces], dtype=torch.float64, device="cpu")))


def _dot(first: Tensor, second: Tensor) -> float:
    return float(inner_products(first.reshape(1, -1), second.reshape(-1, 1)))


def verified(problem: Problem, kernels: Sequence[str]) -> tuple[str, str, float]:
    """The first of the kernels that stands.

    Args:
        problem: what is differentiated.
        kernels: names, in the order to try them; "finite-difference" stands where no other does and it can be trusted.

    Returns:
        Its name, what to say of it, and the gradients spent in passes over the whole data.

    Raises:
        ValueError: none stands; says why in one line.
    """
    batch = few_samples(problem, torch.float64)
    if batch is None:
        return kernels[0], "a rank without data", 0.0
    check = Check(problem, batch)
    exact = [name for name in kernels if name != DIFFERENCES]
    first = None
    with suppress(RuntimeError, NotImplementedError):  # of the gradient itself: `slope` says so
        first = check.judge(exact[0]) if exact else None
    if off := check.slope():
        raise ValueError(f"no product is the derivative of the loss's gradient along a random vector: {off}; {HINT}")
    open_: list[tuple[str, Verdict]] = []
    failed: list[str] = []
    for kernel in exact:
        verdict = first if first is not None and kernel == exact[0] else check.judge(kernel)
        if verdict.stands:
            return kernel, _finding(check, verdict, failed), check.gradients
        if verdict.stands is None:
            open_.append((kernel, verdict))
        failed.append(f"{kernel}: {verdict.why}")
    jump = check.jump() if open_ else ""
    for kernel, verdict in open_ if not jump else []:
        second = "double-backward" if kernel != "double-backward" else "forward-over-reverse"
        other = check.judge(second).product
        assert verdict.product is not None
        if other is not None and _apart(verdict.product, other) <= check.close:
            return kernel, f"gives what {second} gives; differences of the gradient say nothing (kinks)", check.gradients
        if check.beside(kernel):
            return (
                kernel,
                "stands at parameters beside these; here differences of the gradient say nothing (kinks)",
                check.gradients,
            )
    doubt = jump or check.doubt()
    if DIFFERENCES in kernels and not doubt:
        return DIFFERENCES, f"differences of the gradient, two steps of which agree; {'; '.join(failed)}", check.gradients
    if len(exact) == 1 and check.judge(exact[0]).error == math.inf:
        raise ValueError(f"kernel {exact[0]!r} cannot do this model: {failed[0].partition(': ')[2]}")
    raise ValueError(
        f"no product is the derivative of the loss's gradient along a random vector: {doubt or 'kinks'}; {'; '.join(failed)}; {HINT}"
    )


def differenced(problem: Problem) -> tuple[str, float]:
    """What to say of differences of the gradient as a kernel, which nothing is compared with but itself, and the gradients spent."""
    batch = few_samples(problem, torch.float64)
    if batch is None:
        return "a rank without data", 0.0
    check = Check(problem, batch)
    tilt = check.asymmetry(PREPARE[DIFFERENCES](check.problem, check.batch))
    what = ": the gradient is that of no function" if tilt > OWN_CLOSE else ""
    return f"asymmetric by {tilt:.0e}{what}", 4 * batch.samples / problem.samples


def _finding(check: Check, verdict: Verdict, failed: Sequence[str]) -> str:
    where = "" if check.problem.dtype == torch.float64 else f" in {str(check.problem.dtype).removeprefix('torch.')}"
    left = f" (left out: {'; '.join(failed)})" if failed else ""
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
    batch = few_samples(problem, torch.float64)
    if batch is None:
        return True, "a rank without data", 0.0
    moved, small = wide(problem, batch)
    close = CLOSE if moved.dtype == torch.float64 else OWN_CLOSE
    first = direction(moved)
    held = 1 if moved.moving is None else moved.moving
    pair = first * held, first.roll(1) * held
    spent, errors = 0.0, []
    for recorded in (True, False):
        try:
            outer = prepare(moved, small, recorded)
            products = outer(torch.stack(pair, dim=1))
        except (ValueError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of torch, of many kinds
            errors.append(shortly(error))
            continue
        forms = torch.stack(pair) @ products
        best = math.inf
        for h in STEPS if close == CLOSE else OWN_STEPS:
            spent += 4 / 3 * batch.samples / problem.samples  # two forward passes are less than one gradient
            ahead = [_outputs_moved(moved, small, outer, v, h) for v in pair]
            with torch.no_grad():
                bent = [outer.middle(d) for d in ahead]
            wanted = torch.stack([torch.stack([_inner(a, b) for b in bent]) for a in ahead])
            size = float(torch.maximum(forms.abs().max(), wanted.abs().max()))
            best = min(best, float((forms - wanted).abs().max()) / size if size > 0 else 0.0)
            if best <= close:
                how = "recorded" if recorded else "kept graph"
                return recorded, f"tangents ({how}) within {max(best, 1e-16):.0e} of differences of the outputs", spent
        errors.append(f"{'recorded' if recorded else 'kept graph'}: {best:.1%} off")
    raise ValueError(f"no product is J'CJ with J the derivative of the model's outputs along random vectors: {'; '.join(errors)}")


def _inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()


def _outputs_moved(problem: Problem, batch: Batch, outer: Outer, vector: Tensor, h: float) -> list[Tensor]:
    """Central differences of the outputs that move along a vector, in units of its own length."""
    e = h * (1 + float(problem.weights.norm())) / float(torch.linalg.vector_norm(vector))
    both = []
    for side in (e, -e):
        with torch.enable_grad(), problem.prepared(batch) as buffers:
            pieces = problem.unflatten(vector * side)
            moved = [p + s for p, s in zip(problem.points(), pieces, strict=True)]
            both.append([z.detach() for z in outer.read(problem.outputs(moved, buffers, batch))])
    return [(ahead - behind) / (2 * e) for ahead, behind in zip(*both, strict=True)]
