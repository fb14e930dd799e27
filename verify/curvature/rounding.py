"""Owns what is known of the rounding of an operator's own products: it is looked at once, on random vectors, and enters every interval.

E is the matrix by which the products differ from those of a second operator:
- below float64, the same operator in float64, of the same parameters and data: E is the rounding itself;
- in float64, or where the model cannot be evaluated in float64 or draws random numbers, the same operator again: E is then a sample of
  what rounding does.
In both the result of every operation of the second operator is multiplied by 1 + u or 1 - u at random, u its unit roundoff (Monte Carlo
arithmetic: Parker 1997). 1 - p with p = 1 becomes +-u, so that digits show that are lost in both.

From products with k vectors g ~ N(0, I), and p = 1 - confidence split over them, P(|N(0, 1)| < t)^k = p:
- ||E g|| >= ||E||_2 |u'g| for the top singular vector u, hence ||E||_2 <= max ||E g|| / t but for probability p;
- ||E g||^2 is a sum of squares with mean ||E||_F^2, most often small for rank 1, hence ||E||_F <= max ||E g|| / t alike;
- g'Eg has mean tr E and variance at most 2 ||E||_F^2, hence |tr E| <= |mean g'Eg| + 4 sqrt(2 / k) ||E||_F.
Two vectors will do where the products agree to 1e-5; else there are four.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn

from flatproof.verify.curvature.basis import segments
from flatproof.verify.curvature.estimates import Floats, Symmetric
from flatproof.verify.curvature.precision import drawn
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.processes import distributed, of_first
from flatproof.verify.curvature.scaled import Rescaled, times
from flatproof.verify.curvature.tree import cast
from flatproof.verify.curvature.watching import Watching

SHARE = 0.1  # of the probability of failure that an interval leaves to this part
CLOSE = 1e-5  # ||E g|| / ||H g|| beyond which two vectors are not enough
SEED = 7_919
TABLE = 1 << 16
aten = torch.ops.aten


@dataclass(frozen=True)
class Rounding:
    """What the products of k Gaussian vectors showed, in units of 2^exponent.

    Attributes:
        errors: ||E g||, (k,).
        forms: g'Eg, (k,).
        relative: the largest ||E g|| / ||H g||.
        how: what was compared with; "" if nothing could be.
        exponent: of the units.
    """

    errors: Floats
    forms: Floats
    relative: float
    how: str
    exponent: int = 0

    def norm(self, confidence: float, exponent: int | None = None) -> float:
        """A bound of ||E||_2 and of ||E||_F, failing with a probability of SHARE (1 - confidence), in units of 2^exponent."""
        if not len(self.errors):
            return 0.0
        t = float(special.ndtri(0.5 + 0.5 * (SHARE * (1 - confidence)) ** (1 / len(self.errors))))
        return times(float(self.errors.max()) / t, self.exponent - (exponent or 0))

    def trace(self, confidence: float, exponent: int | None = None) -> float:
        """A bound of |tr E|, as for `norm`."""
        if not len(self.errors):
            return 0.0
        mean = times(abs(float(self.forms.mean())), self.exponent - (exponent or 0))
        return mean + 4 * math.sqrt(2 / len(self.errors)) * self.norm(confidence, exponent)

    def left(self, confidence: float) -> float:
        """The confidence that the rest of an interval must have."""
        return 1 - (1 - SHARE) * (1 - confidence) if len(self.errors) else confidence

    def says(self) -> str:
        """For `rests_on`."""
        if not self.how:
            return "products taken as right to the unit roundoff"
        lost = ", their digits are lost: the value is not known" if self.relative > 0.1 else ""
        return f"rounding of the products: {self.relative:.0e} of them against {self.how} on {len(self.errors)} vectors{lost}"


UNSEEN = Rounding(np.zeros(0), np.zeros(0), 0.0, "")


def rounding_of(operator: Symmetric) -> Rounding:
    """What rounding does to the operator's products: looked at where that was not done yet at these parameters.

    Costs, the first time, the same products by both operators and the preparation of the second.

    Args:
        operator: any symmetric one.

    Returns:
        What its products showed; UNSEEN for a bare matrix, which has no second operator to compare with.

    Raises:
        ValueError: a product that is not finite.
    """
    problem = getattr(operator, "problem", None)
    if not isinstance(problem, Problem) or not hasattr(operator, "moved"):
        return UNSEEN
    versions = problem.versions()
    known = getattr(operator, "rounding", None)
    if known is not None and known[0] == versions:
        known_rounding: Rounding = known[1]
        return known_rounding
    seen = _look(operator, problem)
    operator.rounding = versions, seen  # type: ignore[attr-defined]
    return seen


def _look(operator: Any, problem: Problem) -> Rounding:
    rescaled = Rescaled(operator)
    reference = _Reference(operator, problem)
    errors: list[float] = []
    forms: list[float] = []
    relative, exponent = 0.0, 0
    width = 1 if problem.narrow else 2  # vectors at a time
    for first in range(0, 4, width):
        columns = drawn(problem, 4, torch.Generator().manual_seed(SEED), slice(first, first + width))
        mine = rescaled.matmat(columns)
        exponent = rescaled.exponent or 0
        theirs = reference.matmat(columns, exponent)
        if theirs is None:
            return UNSEEN
        if rescaled.exponent is None and bool(theirs.any()):  # every digit of the product underflowed
            exponent = math.frexp(float(theirs.abs().max()))[1]
            theirs = theirs.double() * 2.0 ** (-exponent // 2) * 2.0 ** (-exponent - -exponent // 2)
        for vector, product, other in zip(columns.unbind(1), mine.unbind(1), theirs.unbind(1), strict=True):
            error, form, size = of_first(np.array(_apart(vector, product, other))).tolist()
            errors.append(error)
            forms.append(form)
            relative = max(relative, error / size if size > 0 else 0.0)
        if len(errors) > 1 and (relative <= CLOSE or rescaled.exponent is None):
            break
    return Rounding(np.array(errors), np.array(forms), relative, reference.how, exponent)


def _apart(vector: Tensor, product: Tensor, other: Tensor) -> tuple[float, float, float]:
    """||E g||, g'Eg and the length of the longer product, in float64 a stretch at a time."""
    sums = torch.zeros(4, dtype=torch.float64, device=vector.device)
    for stretch in segments(len(vector)):
        g, mine, theirs = (v[stretch].double() for v in (vector, product, other))
        E = mine - theirs
        sums += torch.stack([E @ E, g @ E, mine @ mine, theirs @ theirs])
    squares = sums.tolist()
    return math.sqrt(squares[0]), squares[1], math.sqrt(max(squares[2:]))


class _Reference:
    """The second operator's products in units of 2^exponent; None where there is none. `how` says what it is."""

    def __init__(self, operator: Any, problem: Problem) -> None:
        self.operator, self.problem, self.how = operator, problem, ""
        self.attempt: tuple[str, str | None, bool] | None = None
        self.other: Any = None

    def matmat(self, block: Tensor, exponent: int) -> Tensor | None:
        """(P, k) -> (P, k)."""
        ahead = -(exponent // 2)
        wide = (
            self.problem.dtype != torch.float64 and self.problem.mode == "eval" and not self.problem.narrow and not distributed()
        )
        attempts: list[tuple[str, str | None, bool]] = [("float64", None, True), ("float64", None, False)] if wide else []
        inner = getattr(self.operator, "operator", self.operator)
        if getattr(inner, "kernel", "") != "closed-form":  # compiled loops are no operations that could be rounded
            attempts.append(("random rounding", None, True))
        attempts.append(("random rounding", "double-backward", True))
        for how, kernel, noisy in attempts[attempts.index(self.attempt) if self.attempt else 0 :]:
            with suppress(Exception):  # the model's own code in another precision or mode: anything can happen in it
                product = self._times(block * 2.0**ahead if ahead else block, how == "float64", kernel, noisy)
                if math.isfinite(float(product.sum())) or bool(torch.isfinite(product).all()):
                    self.attempt, self.how = (how, kernel, noisy), how
                    return product if exponent == ahead == 0 else product.double() * 2.0 ** (-exponent - ahead)
        return None

    def _times(self, block: Tensor, wide: bool, kernel: str | None, noisy: bool) -> Tensor:
        mode = RandomRounding() if noisy else nullcontext()
        with mode, _NoDraws() if wide else nullcontext():  # type: ignore[no-untyped-call]
            if self.other is None or self.attempt is None:
                self.other = self.operator.moved(_in_double(self.problem) if wide else self.problem, kernel)
                inner = getattr(self.other, "operator", self.other)
                inner.stretch = 2.0  # of finite differences, whose error is that of their step too
            product: Tensor = self.other.matmat(block.double() if wide else block)
            return product


def _in_double(problem: Problem) -> Problem:
    """The same problem in float64: copies of the model and of a loss that is a module, data converted batch by batch."""
    loss = problem.loss_function
    return Problem(
        copy.deepcopy(problem.model).double(),
        copy.deepcopy(loss).double() if isinstance(loss, nn.Module) else loss,
        _Doubled(problem),
        list(problem.names),
        mode=problem.mode,
        reduction=problem.reduction,
        seed=problem.seed,
        weight_of=problem.data.weight_of,
    )


class _Doubled:
    """A problem's batches with floating point tensors in float64."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for batch in self.problem.batches():
            yield cast(batch.inputs, torch.float64), cast(batch.targets, torch.float64)


class _NoDraws(Watching):
    """Refuses operations that draw random numbers: they differ from precision to precision."""

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if torch.Tag.nondeterministic_seeded in op.tags:
            raise ValueError(f"{op} draws random numbers")
        return op(*args, **(kwargs or {}))


def _packets(names: str) -> set[Any]:
    return {getattr(aten, name) for name in names.split() if hasattr(aten, name)}


# they move numbers and round nothing
EXACT = _packets("""
    clone copy copy_ _to_copy cat stack index gather index_select select_backward slice_backward where masked_fill masked_fill_ relu
    relu_ threshold_backward neg neg_ abs max_pool2d_with_indices embedding detach alias constant_pad_nd flip roll tril triu repeat im2col
    maximum minimum amax amin max min sign clamp clamp_min clamp_max zeros_like ones_like full_like empty_like new_zeros new_ones new_full
    new_empty zero_ fill_ lift_fresh sort topk unfold diagonal_backward contiguous max_pool2d_with_indices_backward
""")


class RandomRounding(Watching):
    """Within it the result of every floating point operation is multiplied by 1 + u or 1 - u, elementwise at random."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = torch.Generator().manual_seed(SEED)
        self.signs = 2.0 * torch.randint(0, 2, (TABLE,), generator=self.generator, device="cpu") - 1
        self.factors: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = op(*args, **(kwargs or {}))
        if op.overloadpacket in EXACT or torch.Tag.nondeterministic_seeded in op.tags:
            return out
        given = {_storage(t) for t in _flat(args)}
        if not given:  # a constant
            return out
        if op._schema.is_mutable:
            if isinstance(out, Tensor) and out.is_floating_point():
                out.mul_(self._factor(out))
            return out
        if isinstance(out, (tuple, list)):
            return type(out)(self._rounded(piece, given) for piece in out)
        return self._rounded(out, given)

    def _rounded(self, value: Any, given: set[int | None]) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if (place := _storage(value)) is None or place in given:  # a view, or forward mode's zero
            return value
        return value.mul_(self._factor(value))

    def _factor(self, value: Tensor) -> Tensor:
        """Of a table, from a random place on: drawing them anew would take longer than most operations."""
        key, count = (value.dtype, value.device), value.numel()
        if key not in self.factors:
            self.factors[key] = (1 + self.signs.double() * torch.finfo(value.dtype).eps).to(
                dtype=value.dtype, device=value.device
            )
        table = self.factors[key]
        table = table if 2 * count <= TABLE else table.repeat(1 + 2 * count // TABLE)
        start = int(torch.randint(0, len(table) - count + 1, (), generator=self.generator, device="cpu"))
        return table[start : start + count].view(value.shape)


def _storage(value: Tensor) -> int | None:
    """What tells storages apart; None for forward mode's symbolic zeros, which have none."""
    return None if value._is_zerotensor() else value.untyped_storage()._cdata


def _flat(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _flat(value)
