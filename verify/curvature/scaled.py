"""Owns the operators that are another one scaled: 2^-e H in units of its own size, and D H D with a diagonal D.

In float32 the square of 1e-23 is 0 and that of 1e20 infinite; a Krylov space of such products would close at once. A power of two changes
no digit, and e = 0 unless products are outside of what squares can hold: ordinary operators are multiplied as ever, others one to three
times more for the first product.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Symmetric, finite, multiply
from flatproof.verify.curvature.problem import Problem

# products of 2^-LIMIT to 2^LIMIT times their vector can be squared, and a vector can be made 2^AHEAD larger or smaller
LIMIT = {torch.float64: 300, torch.float32: 30, torch.bfloat16: 30, torch.float16: 6}
AHEAD = {torch.float64: 500, torch.float32: 60, torch.bfloat16: 60, torch.float16: 8}


class Delegate:
    """An operator on the same vectors as `operator`: whatever is not its product, it asks of that one."""

    def __init__(self, operator: Symmetric) -> None:
        self.operator = operator
        self.problem: Any = getattr(operator, "problem", None)

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.operator.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of the vectors that it takes and returns."""
        return self.operator.dtype

    @property
    def device(self) -> torch.device:
        """Where those vectors live."""
        return self.operator.device

    @property
    def products(self) -> int:
        """Vectors that the operator has multiplied so far."""
        return self.operator.products

    @property
    def rows_held(self) -> int | None:
        """Vectors of a search that memory may hold; None: as many as there is room for."""
        held: int | None = getattr(self.operator, "rows_held", None)
        return held

    @property
    def parts(self) -> int:
        """Over how many parts of the data the operator goes with vectors of their own (`Operator.apart`); 1 where it cannot."""
        return int(getattr(self.operator, "parts", 1)) if hasattr(self.operator, "apart") else 1

    @property
    def gradients(self) -> float:
        """Passes over the data that the operator has spent on verifying its products; 0 for a bare matrix."""
        return float(getattr(self.operator, "gradients", 0.0))

    @property
    def rests_on(self) -> str:
        """What the operator's products rest on; "" for a bare matrix."""
        return str(getattr(self.operator, "rests_on", ""))


class Rescaled(Delegate):
    """2^-exponent H, known by its products. `exponent` is None until a product was not zero."""

    def __init__(self, operator: Symmetric) -> None:
        super().__init__(operator)
        self.exponent: int | None = None

    def back(self, value: float) -> float:
        """2^exponent times the value: what it is of H itself."""
        return times(float(value), self.exponent or 0)

    def ends(self, low: float, high: float) -> tuple[float, float]:
        """An interval in units of H itself, no narrower where floats end.

        Args:
            low: lower end, in units of 2^exponent.
            high: upper end, in units of 2^exponent.

        Returns:
            Both ends in units of H.
        """
        exponent = self.exponent or 0
        below, above = times(low, exponent), times(high, exponent)
        return (
            below if times(below, -exponent) <= low else math.nextafter(below, -math.inf),
            above if times(above, -exponent) >= high else math.nextafter(above, math.inf),
        )

    def matvec(self, vector: Tensor, /) -> Tensor:
        """2^-exponent H v, (P,) -> (P,)."""
        return self.matmat(vector[:, None])[:, 0]

    def matmat(self, block: Tensor, /) -> Tensor:
        """2^-exponent H V.

        Args:
            block: V, (P, k).

        Returns:
            The product, (P, k).

        Raises:
            ValueError: the product is not finite in any units.
        """
        if self.exponent is None:
            return self._first(block)
        if self.exponent == 0:
            return multiply(self.operator, block)
        # half of the power before the product and half after: the whole could overflow on either side
        ahead = -(self.exponent // 2)
        return multiply(self.operator, block * 2.0**ahead) * 2.0 ** (-self.exponent - ahead)

    def apart(self, draw: Callable[[], Tensor]) -> Iterator[Tensor]:
        """`Operator.apart` of 2^-exponent H, which has been multiplied before; ValueError for a product that is not finite."""
        exponent, operator = self.exponent or 0, self.operator
        ahead = -(exponent // 2)
        for product in operator.apart(lambda: draw() * 2.0**ahead if ahead else draw()):  # type: ignore[attr-defined]
            yield finite(product * 2.0 ** (-exponent - ahead) if exponent else product, operator.products)

    def _first(self, block: Tensor) -> Tensor:
        """The first product that is not zero; it decides the exponent."""
        limit, ahead = LIMIT.get(self.dtype, 30), AHEAD.get(self.dtype, 60)
        product, shift = _plain(self.operator, block), 0
        count, given = self.operator.products, _largest(block)
        largest = _largest(product)
        sign = 1 if largest < given else -1  # small or zero: look again at longer vectors; large or not finite: at shorter
        for further in (ahead, 2 * ahead):
            if given == 0 or 2.0**-limit <= largest / given <= 2.0**limit or (shift and 0 < largest < math.inf):
                break
            other = _plain(self.operator, block * 2.0 ** (sign * further))
            if not bool(torch.isfinite(other).all()):
                break
            product, shift, largest = other, sign * further, _largest(other)
        finite(product, count)
        if largest == 0:
            return product
        exponent = math.frexp(largest)[1] - math.frexp(given)[1] - shift
        self.exponent = exponent if abs(exponent) > limit else 0
        return product if self.exponent == shift == 0 else self.matmat(block)


class Scaled(Delegate):
    """D H D with a diagonal D: the Hessian in the coordinates z of w + D z.

    With D = diag(|w|) its trace and eigenvalues do not change when w -> s * w elementwise, s > 0, leaves the network's function as
    it is: then H -> S^-1 H S^-1 and D -> S D.

    Args:
        operator: H, (P, P).
        scale: the diagonal of D, (P,).

    Raises:
        ValueError: `scale` has another shape.
    """

    def __init__(self, operator: Symmetric, scale: Tensor) -> None:
        super().__init__(operator)
        if scale.shape != (operator.shape[0],):
            raise ValueError(f"scale must have shape ({operator.shape[0]},), got {tuple(scale.shape)}")
        self.scale = scale.to(dtype=operator.dtype, device=operator.device)

    def moved(self, problem: Problem, kernel: str | None = None) -> "Scaled":
        """The same matrix of another problem, by the same kernel or the one named."""
        operator: Any = self.operator
        return Scaled(operator.moved(problem, kernel), self.scale)

    def part(self) -> "Scaled | None":
        """The same matrix of a part of the data; None where the operator has none."""
        part = getattr(self.operator, "part", None)
        smaller = part() if part else None
        return None if smaller is None else Scaled(smaller, self.scale)

    def matvec(self, vector: Tensor, /) -> Tensor:
        """D H D v, (P,) -> (P,)."""
        return self.scale * self.operator.matvec(self.scale * vector)

    def matmat(self, block: Tensor, /) -> Tensor:
        """D H D V, (P, k) -> (P, k)."""
        return self.scale[:, None] * self.operator.matmat(self.scale[:, None] * block)

    def apart(self, draw: Callable[[], Tensor]) -> Iterator[Tensor]:
        """`Operator.apart` of D H D."""
        for product in self.operator.apart(lambda: self.scale[:, None] * draw()):  # type: ignore[attr-defined]
            yield self.scale[:, None] * product

    def directions(self) -> Tensor:
        """D times the operator's, (P, c): near a fit both matrices are J' C J, with J D in place of J."""
        directions = getattr(self.operator, "directions", None)
        return self.scale[:, None] * directions() if directions else self.scale.new_zeros(self.shape[0], 0)


def _plain(operator: Symmetric, block: Tensor) -> Tensor:
    return operator.matvec(block[:, 0])[:, None] if block.shape[1] == 1 else operator.matmat(block)


def _largest(block: Tensor) -> float:
    """The largest modulus, without a copy; NaN if an entry is."""
    return float(torch.linalg.vector_norm(block, math.inf))


def times(value: Any, exponent: int) -> float:
    """value 2^exponent; infinite where no float holds it."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
