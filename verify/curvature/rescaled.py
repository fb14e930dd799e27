"""Owns an operator in units of its own size: 2^-e H for a power of two, so that lengths neither underflow nor overflow.

In float32 the square of 1e-23 is 0 and that of 1e20 infinite; a Krylov space of such products would close at once. A power of two changes
no digit, and e = 0 unless products are outside of what squares can hold: ordinary operators are multiplied as ever, others one to three
times more for the first product.
"""

import math
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Symmetric, finite, multiply

# products of 2^-LIMIT to 2^LIMIT times their vector can be squared, and a vector can be made 2^AHEAD larger or smaller
LIMIT = {torch.float64: 300, torch.float32: 30, torch.bfloat16: 30, torch.float16: 6}
AHEAD = {torch.float64: 500, torch.float32: 60, torch.bfloat16: 60, torch.float16: 8}


class Rescaled:
    """2^-exponent H, known by its products. `exponent` is None until a product was not zero."""

    def __init__(self, operator: Symmetric) -> None:
        self.operator = operator
        self.exponent: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.operator.shape

    @property
    def dtype(self) -> torch.dtype:
        """The operator's."""
        return self.operator.dtype

    @property
    def device(self) -> torch.device:
        """The operator's."""
        return self.operator.device

    @property
    def products(self) -> int:
        """The operator's count."""
        return self.operator.products

    def back(self, value: float) -> float:
        """2^exponent times the value: what it is of H itself."""
        return times(float(value), self.exponent or 0)

    def ends(self, low: float, high: float) -> tuple[float, float]:
        """An interval of the operator's own, no narrower where floats end."""
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
        """2^-exponent H V, (P, k) -> (P, k). Errors: ValueError for a product that is not finite in any units."""
        if self.exponent is None:
            return self._first(block)
        if self.exponent == 0:
            return multiply(self.operator, block)
        ahead = -(self.exponent // 2)
        return multiply(self.operator, block * 2.0**ahead) * 2.0 ** (-self.exponent - ahead)

    def _first(self, block: Tensor) -> Tensor:
        limit, ahead = LIMIT.get(self.dtype, 30), AHEAD.get(self.dtype, 60)
        product, shift = _plain(self.operator, block), 0
        count, given = self.operator.products, float(block.abs().max())
        largest = float(product.abs().max())
        sign = 1 if largest < given else -1  # small or zero: look again at longer vectors; large or not finite: at shorter
        for further in (ahead, 2 * ahead):
            if given == 0 or 2.0**-limit <= largest / given <= 2.0**limit or (shift and 0 < largest < math.inf):
                break
            other = _plain(self.operator, block * 2.0 ** (sign * further))
            if not bool(torch.isfinite(other).all()):
                break
            product, shift, largest = other, sign * further, float(other.abs().max())
        finite(product, count)
        if largest == 0:
            return product
        exponent = math.frexp(largest)[1] - math.frexp(given)[1] - shift
        self.exponent = exponent if abs(exponent) > limit else 0
        return product if self.exponent == shift == 0 else self.matmat(block)


def _plain(operator: Symmetric, block: Tensor) -> Tensor:
    return operator.matvec(block[:, 0])[:, None] if block.shape[1] == 1 else operator.matmat(block)


def times(value: Any, exponent: int) -> float:
    """value 2^exponent; infinite where no float holds it."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
