"""Owns `Estimate`, a number with its interval and what it cost, and the little that an estimator asks of an operator."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flatproof.notebooks import html_rows
from flatproof.verify.utils.checks import check_whole

Floats = NDArray[np.float64]


@runtime_checkable
class Symmetric(Protocol):
    """A symmetric P x P matrix known by its products. `products` counts them, one for each vector."""

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the vectors that it takes and returns."""

    @property
    def device(self) -> torch.device:
        """Where those vectors live."""

    @property
    def products(self) -> int:
        """Vectors multiplied so far."""

    def matvec(self, vector: Tensor, /) -> Tensor:
        """H v, (P,) -> (P,)."""

    def matmat(self, block: Tensor, /) -> Tensor:
        """H V, (P, k) -> (P, k)."""


@dataclass(frozen=True)
class Estimate:
    """A measured number with its interval.

    Attributes:
        value: the estimate itself.
        low: lower end of the interval; -inf where nothing is known on that side.
        high: upper end of the interval; inf where nothing is known on that side.
        confidence: the probability that the interval covers the truth, over the estimator's own randomness; None when the
            interval is deterministic.
        products: Hessian-vector products spent on the estimate.
        seconds: wall time.
        samples: training samples that the loss averages over; None for a bare matrix.
        mode: "eval" or "train", as the model was differentiated; None for a bare matrix.
        seed: of the estimator's randomness; None if it has none.
        method: how it was computed.
        source: the paper and equation that define it.
        rests_on: what the interval assumes, in words.
        losses: passes over the whole data spent on loss values.
        gradients: passes over the whole data spent on gradients.
        checks: products spent on the rounding of products, half of them by a second operator; once for an operator at its parameters.
        part: products on a part of the data that the start was taken from, counted as what they are of a product on all of it.
    """

    value: float
    low: float
    high: float
    confidence: float | None
    products: int
    seconds: float
    samples: int | None
    mode: str | None
    seed: int | None
    method: str
    source: str
    rests_on: str = ""
    losses: float = 0.0
    gradients: float = 0.0
    checks: float = 0.0
    part: float = 0.0

    @property
    def relative_error(self) -> float:
        """The largest |truth - value| that the interval allows, over |value|; inf where the interval is open or the value 0."""
        reach = max(self.high - self.value, self.value - self.low)
        return 0.0 if reach == 0 else math.inf if self.value == 0 else reach / abs(self.value)

    @property
    def gap(self) -> float | None:
        """high / value of a maximum that is known from below; None for other estimates, inf where nothing bounds it from above."""
        if self.confidence is not None or self.low != self.value or self.high == self.value or self.value < 0:
            return None
        return math.inf if self.value == 0 else self.high / self.value

    def __float__(self) -> float:
        return float(self.value)

    def _repr_html_(self) -> str:
        sure = "" if self.confidence is None else f", confidence {100 * self.confidence:.4g} %"
        cost = (
            f"{self.products + self.part:g} products, {self.gradients:g} gradients, {self.losses:g} losses, {self.seconds:.2f} s"
        )
        data = "" if self.samples is None else f"{self.samples:,} samples, {self.mode} mode"
        about = {"interval": f"[{self.low:.5g}, {self.high:.5g}]{sure}", "method": self.method, "rests on": self.rests_on}
        return html_rows(f"{self.value:.6g}", about | {"defined in": self.source, "data": data, "cost": cost})

    def covers(self, truth: float) -> bool:
        """Whether the interval holds the number."""
        return self.low <= truth <= self.high

    def as_dict(self) -> dict[str, Any]:
        """Its fields for JSON: what is not finite becomes None."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


@dataclass
class Meter:
    """What one estimate has cost: products of the operator and seconds since the start."""

    operator: Symmetric
    start: float
    before: int
    checks: int = 0
    gradients: float = 0.0

    @property
    def products(self) -> int:
        """Products since the start, without those of the check."""
        return self.operator.products - self.before - self.checks

    @contextmanager
    def checking(self) -> Iterator[None]:
        """What is multiplied inside belongs to the check of the products' rounding."""
        before = self.operator.products
        try:
            yield
        finally:
            self.checks += self.operator.products - before

    def estimate(self, value: float, low: float, high: float, confidence: float | None, **rest: Any) -> Estimate:
        """The estimate with its cost and the data it was measured on; `rests_on` ends with what is known of the products.

        Args:
            value: as for `Estimate`, like all the others.
            low: lower end.
            high: upper end.
            confidence: of the interval.
            **rest: seed, method, source, and what `Estimate` has defaults for.
        """
        rests_on = "; ".join(filter(None, (rest.pop("rests_on", ""), getattr(self.operator, "rests_on", ""))))
        return Estimate(
            value,
            low,
            high,
            confidence,
            products=self.products,
            seconds=time.perf_counter() - self.start,
            checks=2.0 * self.checks,
            gradients=round(rest.pop("gradients", 0.0) + getattr(self.operator, "gradients", 0.0) - self.gradients, 6),
            rests_on=rests_on,
            **data_of(self.operator),
            **rest,
        )


@contextmanager
def metered(operator: Symmetric) -> Iterator[Meter]:
    """A meter of the products and seconds spent inside."""
    yield Meter(operator, time.perf_counter(), operator.products, gradients=getattr(operator, "gradients", 0.0))


def data_of(source: object) -> dict[str, Any]:
    """`samples` and `mode` of an operator's problem or of a problem itself; None for a bare matrix."""
    problem = getattr(source, "problem", source)
    samples, mode = getattr(problem, "samples", None), getattr(problem, "mode", None)
    return {"samples": None if samples is None else int(samples), "mode": None if mode is None else str(mode)}


def gaussian(operator: Symmetric, columns: int, generator: torch.Generator) -> Tensor:
    """Independent standard normal columns, (P, columns), drawn on the CPU so that a seed means the same on every device."""
    return torch.randn(operator.shape[0], columns, generator=generator, dtype=operator.dtype, device="cpu").to(operator.device)


def rademacher(operator: Symmetric, columns: int, generator: torch.Generator) -> Tensor:
    """Independent columns of random signs, (P, columns)."""
    bits = torch.randint(0, 2, (operator.shape[0], columns), generator=generator, device="cpu")
    return (2 * bits - 1).to(dtype=operator.dtype, device=operator.device)


def generator_of(seed: int) -> torch.Generator:
    """A CPU generator with that seed; ValueError unless it is a whole number of at least 0."""
    return torch.Generator().manual_seed(check_whole("seed", seed, 0, 2**64 - 1))


def multiply(operator: Symmetric, block: Tensor) -> Tensor:
    """H V for V (P, k); ValueError as soon as a product is not finite."""
    product = operator.matvec(block[:, 0])[:, None] if block.shape[1] == 1 else operator.matmat(block)
    return finite(product, operator.products)


def finite(product: Tensor, count: int) -> Tensor:
    """The product itself; ValueError naming its count unless it is finite."""
    # a sum is NaN or infinite if an entry is; the other way round only by overflow
    if not math.isfinite(float(product.sum())) and not bool(torch.isfinite(product).all()):
        raise ValueError(f"product {count} of the operator holds NaN or infinity; expected finite numbers")
    return product
