"""Owns what memory is divided into: what must be held at once is counted before the first product, the rest is shared out.

Counted beyond model and data. In vectors of P numbers: a search holds SEARCH of them beside its basis; looking at the loss, the kernel and
the rounding of products takes OWN in the parameters' precision, and WIDE where that is done in float64. BASE is taken whatever the problem.
A batch takes STATE times what a forward pass over it makes: the record of a gradient, KEPT of it, what replaying it holds at a time, and
the same of the second operator that products are compared with. All are above what was measured on networks of 6 and 25 million parameters.

A peak is shared out in this order. Batches are whole if that fits; else they are cut into parts (`Batches.in_parts`) that take at most half
of what is left beside the vectors. What is looked at is looked at in float64 if that fits. The rest is shared by the state of further
parts, which are else recorded anew for each product, and by the basis of a search, whose further rows lie in a file (`basis`).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flatproof.verify.curvature.batches import Batch, part
from flatproof.verify.curvature.problem import Problem
from flatproof.verify.curvature.watching import Watching
from flatproof.verify.utils.memory import available

SEARCH, OWN, WIDE = 4, 10, 28  # vectors
BASE = 256 << 20  # bytes of libraries that are loaded at first use, and of what the allocator keeps
STATE, KEPT = 5.0, 0.3  # of what a forward pass makes, and the share of that
SAME = 100  # units of roundoff that the loss of a batch and that of its parts may be apart


@dataclass(frozen=True)
class Allowance:
    """How a peak is shared out.

    Attributes:
        most: samples that are run at a time; None: whole batches.
        narrow: whether everything is looked at in the parameters' own precision.
        state: bytes of kept state.
        rows: vectors of a search's basis that memory may hold.
    """

    most: int | None
    narrow: bool
    state: int
    rows: int


@dataclass(frozen=True)
class Need:
    """What a problem takes.

    Attributes:
        vector: bytes of a vector of P numbers.
        fixed: bytes of a batch's state that do not grow with its samples.
        sample: bytes of a batch's state a sample.
        largest: samples of the largest batch.
        wide: whether it can be looked at in float64.
    """

    vector: int
    fixed: float
    sample: float
    largest: int
    wide: bool

    @classmethod
    def of(cls, problem: Problem) -> "Need":
        """What this one takes; of a forward pass over one sample and over two, if the model takes them."""
        _made(problem, 1)  # what a forward pass writes in place is then known, and nothing else is copied
        one, two = (_made(problem, count) for count in (1, 2))
        slope = max(0.0, two - one)
        copies = (
            sum(n for n, shape in zip(problem.sizes, problem.shapes, strict=True) if len(shape) == 4) * problem.dtype.itemsize
        )
        return cls(
            problem.size * problem.dtype.itemsize,
            STATE * max(0.0, one - slope) + copies,  # filters are recorded with channels last
            STATE * slope,
            problem.data.largest,
            problem.dtype in (torch.float32, torch.bfloat16, torch.float16) and problem.mode == "eval",
        )

    def own(self, samples: int) -> float:
        """Bytes at once, batches of so many samples, everything in the parameters' precision."""
        return BASE + OWN * self.vector + self.batch(samples)

    def double(self, samples: int) -> float:
        """The same with what is looked at in float64."""
        return BASE + WIDE * self.vector + 1.5 * self.batch(samples)

    def batch(self, samples: int) -> float:
        """Bytes of the state of a batch."""
        return self.fixed + self.sample * samples

    def says(self, samples: int) -> str:
        """What takes how much, for a message."""
        count = f"{samples} sample{'s' if samples > 1 else ''}"
        return f"{said(BASE)}, {OWN} vectors of {said(self.vector)} and {said(self.batch(samples))} for {count} at a time"


def said(count: float) -> str:
    """A number of bytes for a message."""
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


def allowed(problem: Problem, peak: int) -> Allowance:
    """How the peak is shared out.

    Args:
        problem: what is differentiated.
        peak: bytes beyond model and data.

    Raises:
        ValueError: it is not enough; says what would be, for what, and what to lower.
    """
    need = Need.of(problem)
    most = None
    if need.own(need.largest) > peak:
        half = (peak - need.own(0) + need.fixed) / 2
        most = max(1, math.floor((half - need.fixed) / need.sample)) if need.sample else 1
        whole = not divisible(problem, most)
        most = need.largest if whole else min(most, need.largest)
        if need.own(most) > peak:
            why = "; its batches cannot be cut, the loss is not the mean of their parts'" if whole and need.largest > 1 else ""
            raise ValueError(
                f"peak must be at least {said(need.own(most))} for {problem.size:,} parameters ({need.says(most)}), got {said(peak)}"
                f"{why}: raise it, or choose fewer parameters=, shorter samples or a lower precision"
            )
        most = None if whole else most
    samples = most or need.largest
    left = int(peak - need.own(samples))
    narrow = not need.wide or need.double(samples) > peak
    rows = (left - left // 2) // need.vector + OWN - SEARCH
    return Allowance(most, narrow, left // 2 + int(KEPT * need.batch(samples)), rows)


def room_left(problem: Problem) -> int | None:
    """Bytes that the machine has beyond what products of the problem take; None where it does not tell.

    Raises:
        ValueError: it has less than that; says what to lower.
    """
    if (free := _free(problem.device)) is None:
        return None
    need = Need.of(problem)
    wanted = need.double(need.largest) if need.wide else need.own(need.largest)
    if wanted > free:
        raise ValueError(
            f"products of {problem.size:,} parameters take {said(wanted)} at once ({need.says(need.largest)}; more in float64), "
            f"{said(free)} are free: give peak=, in bytes, to make do with less, smaller batches, or fewer parameters="
        )
    return int(free - wanted)


def divisible(problem: Problem, most: int) -> bool:
    """Whether the first batch's loss is the sum of its parts', each weighed: of a model that draws or normalizes over it, it is not."""
    batch = next(iter(problem.batches()), None)
    if batch is None or problem.mode == "train":
        return False
    try:
        parts = sum(piece.weight * problem.batch_value(piece) for piece in problem.data.parts(batch, most))
        whole = batch.weight * problem.batch_value(batch)
    except Exception:  # the model's own code on another number of samples
        return False
    return abs(parts - whole) <= SAME * float(torch.finfo(problem.dtype).eps) * abs(whole)


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available() if device.type == "cpu" else None


class _Made(Watching):
    """Counts the bytes of what operations make, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = op(*args, **(kwargs or {}))
        given = {a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)}
        for made in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(made, Tensor) and made.untyped_storage()._cdata not in given:
                self.bytes += made.untyped_storage().nbytes()
        return out


def made(problem: Problem, batch: Batch) -> int:
    """Bytes that a forward pass over the batch makes."""
    with torch.no_grad(), problem.prepared(batch) as buffers, _Made() as seen:
        problem.batch_loss(problem.points(), buffers, batch)
    return seen.bytes


def _made(problem: Problem, samples: int) -> float:
    """Bytes that a forward pass over so many samples makes, or what they come to where the model insists on whole batches."""
    batch = next(iter(problem.batches()), None)
    if batch is None:
        return 0.0
    for few in (part(batch, 0, samples), batch):
        try:
            return made(problem, few) * (samples / few.samples if few is batch else 1)
        except Exception:  # the model's own code; said where it is evaluated for itself
            continue
    return 0.0
