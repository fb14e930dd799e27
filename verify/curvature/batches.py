"""Owns the data of a problem: batches counted and weighed once, and held to the same samples at each pass.

w_b = n_b / n for a loss that is a mean, 1 for a sum, n_b the samples of a batch or what `weight_of` counts in their place, n its sum
over the batches of all ranks.

A batch is a pair (inputs, targets), or one mapping, as libraries yield them: the mapping is the inputs, and the first of its entries
"labels", "label", "targets", "target" is what the loss compares outputs with; the mapping itself where there is none.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from flatproof.verify.curvature.processes import distributed
from flatproof.verify.curvature.tree import cast, mapped, tensors_of

WeightOf = Callable[[Any, Any], Any]
GROUPS = 10  # parts of the data, consecutive batches, that random vectors of their own are drawn for, at most
LABELS = "labels", "label", "targets", "target"


@dataclass(frozen=True)
class Batch:
    """One batch.

    Attributes:
        inputs: what the model takes: a tensor, or a tuple or mapping of arguments.
        targets: what the loss compares its outputs with.
        samples: n_b.
        weight: w_b.
        index: its place in the data.
    """

    inputs: Any
    targets: Any
    samples: int
    weight: float
    index: int


def part(batch: Batch, start: int, stop: int) -> Batch:
    """The samples start..stop-1 of a batch: every tensor whose first axis has one entry a sample is cut."""

    if start == 0 and stop >= batch.samples:
        return batch

    def cut(t: Tensor) -> Tensor:
        return t[start:stop] if t.ndim and len(t) == batch.samples else t

    inputs = mapped(cut, batch.inputs)
    return Batch(
        inputs, inputs if batch.targets is batch.inputs else mapped(cut, batch.targets), stop - start, batch.weight, batch.index
    )


def part_of_batch(place: int, count: int) -> int:
    """The part that the batch at this place of `count` belongs to, of as many as there are batches, GROUPS at most."""
    return place * min(GROUPS, count) // count


class Batches:
    """The (inputs, targets) pairs of a problem, re-iterable: each pass yields the same `Batch`es.

    Args:
        data: one batch, or any re-iterable of batches.
        mean: whether the loss is a mean over its batch; a sum otherwise.
        weight_of: (inputs, targets) -> what a batch's mean is over, if not its samples.
        fixed: whether the batches themselves must be the same at each pass, not only the samples in them.
        dtype: of the parameters; floating point inputs must have it.
        cast: whether floating point tensors are converted to `dtype` instead.
        device: of the parameters; inputs must be there.

    Attributes:
        samples: n, over all ranks.
        local: samples of this rank.
        count: batches of this rank.
        uneven: whether targets have other shapes from batch to batch, the samples' axis left out.
        differ: whether batches have other numbers of samples.
        one_each: whether targets have one entry a sample, as far as one sees.
        largest: samples of the largest batch of this rank.
        most: samples of a part that batches are given in, one after another; None: whole.

    Raises:
        TypeError: data of another form, or one that is used up after one pass.
        ValueError: no samples, inputs on another device or of another dtype, weights that are negative or all 0.
    """

    def __init__(
        self,
        data: Any,
        *,
        mean: bool,
        weight_of: WeightOf | None,
        fixed: bool,
        dtype: torch.dtype,
        device: torch.device,
        cast: bool = False,
    ) -> None:
        self._data, self.mean, self.weight_of, self._fixed = data, mean, weight_of, fixed
        self.dtype, self.device, self._cast = dtype, device, cast
        self._single = is_pair(data)
        self.most: int | None = None
        self._count()

    def in_parts(self, most: int) -> "Batches":
        """The same samples in batches of at most `most`: each batch is cut, and its parts weigh together what it weighed."""
        made = copy.copy(self)
        made.most, made.largest = most, min(most, self.largest)
        made.count = sum(-(-batch.samples // most) for batch in self._whole())
        return made

    def __iter__(self) -> Iterator[Batch]:
        """This rank's batches, or their parts.

        Raises:
            ValueError: the samples are not those of the first pass.
        """
        index = 0
        for batch in self._whole():
            for piece in self.parts(batch, self.most or batch.samples):
                yield replace(piece, index=index)
                index += 1

    def parts(self, batch: Batch, most: int) -> Iterator[Batch]:
        """A batch in parts of at most `most` samples."""
        for start in range(0, batch.samples, most):
            piece = part(batch, start, min(start + most, batch.samples))
            yield piece if piece is batch else replace(piece, weight=self.weigh(piece.inputs, piece.targets, piece.samples))

    def _whole(self) -> Iterator[Batch]:
        seen, sums = 0, _Fingerprint()
        for index, (inputs, targets) in enumerate(self._pairs()):
            if index == 0 and self._fixed and not _same((inputs, targets), self._first):
                raise ValueError("data must give the same batches at each pass in mode 'train', where they matter: shuffle=False")
            count = _samples(inputs, index)
            seen += count
            if self._sums is not None:
                sums.add(inputs)
            yield Batch(inputs, targets, count, self.weigh(inputs, targets, count), index)
        if seen != self.local:
            raise ValueError(f"data must give the same samples at each pass, got {self.local} at first and {seen} now")
        if self._sums is not None and not sums.fits(self._sums):
            raise ValueError(
                "data must give the same samples at each pass, these differ: no random augmentation, or a list of batches"
            )

    def weigh(self, inputs: Any, targets: Any, samples: int) -> float:
        """w_b of a batch."""
        return self.counted(inputs, targets, samples) / self._total if self.mean else 1.0

    def counted(self, inputs: Any, targets: Any, samples: int) -> float:
        """What the batch's mean is over."""
        if self.weight_of is None:
            return samples
        weight = float(self.weight_of(inputs, targets))
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight_of must give finite numbers of at least 0, got {weight}")
        return weight

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        for index, given in enumerate([self._data] if self._single else self._data):
            inputs, targets = parted(mapped(_recordable, cast(given, self.dtype) if self._cast else given), index)
            self._check(inputs, index)
            if _samples(inputs, index):  # an empty batch adds nothing
                yield inputs, targets

    def _check(self, inputs: Any, index: int) -> None:
        for tensor in tensors_of(inputs):
            if tensor.device != self.device:
                raise ValueError(
                    f"data and parameters must be on one device: batch {index} on {tensor.device}, model on {self.device}"
                )
            if tensor.is_floating_point() and tensor.dtype != self.dtype:
                raise ValueError(
                    f"data and parameters must have one dtype: batch {index} has {tensor.dtype}, model has {self.dtype}"
                )

    def _count(self) -> None:
        """The first pass: sets what the class lists, and what later passes are compared with."""
        if not self._single:
            if isinstance(self._data, Dataset) and not isinstance(self._data, IterableDataset):
                raise TypeError(
                    f"data must give batches, {type(self._data).__name__} gives single samples: give DataLoader(dataset, batch_size=...)"
                )
            if not isinstance(self._data, Iterable):
                raise TypeError(
                    f"data must be an (inputs, targets) pair, a mapping or an iterable of such, got {brief(self._data)}"
                )
            if iter(self._data) is self._data:
                raise TypeError("data must be re-iterable, like a list or a DataLoader: a generator is used up after one product")
        self.local = self.count = self.largest = 0
        self.uneven, self.differ, self.one_each = False, False, True
        weight = 0.0
        self._first: tuple[Any, Any] = (None, None)
        self._sums = None if isinstance(self._data, (list, tuple)) else _Fingerprint()
        shape: tuple[int, ...] | None = None
        for index, pair in enumerate(self._pairs()):
            if index == 0 and self._fixed:
                self._first = pair
            samples = _samples(pair[0], index)
            self.differ |= index > 0 and samples * index != self.local
            self.one_each &= all(t.ndim > 0 and len(t) == samples for t in tensors_of(pair[1]))
            self.local, self.count, self.largest = self.local + samples, index + 1, max(self.largest, samples)
            weight += self.counted(*pair, samples)
            if self._sums is not None:
                self._sums.add(pair[0])
            if isinstance(pair[1], Tensor):
                self.uneven |= shape is not None and shape != pair[1].shape[1:]
                shape = pair[1].shape[1:]
        totals = torch.tensor(
            [self.local, weight], dtype=torch.float64, device="cpu" if self.device.type == "mps" else self.device
        )
        if distributed():
            torch.distributed.all_reduce(totals)
        self.samples, self._total = int(totals[0]), float(totals[1])
        if self.samples == 0:
            raise ValueError("data must hold at least one sample, got none (an empty loader?)")
        if self._total == 0:
            raise ValueError("weight_of must be above 0 for at least one batch, got 0 for all")


def is_pair(data: Any) -> bool:
    """Whether data are one batch, not an iterable of batches."""
    if isinstance(data, Mapping):
        return True
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    if isinstance(data[1], Tensor) or isinstance(data[0], Tensor):
        return True
    return isinstance(data[0], Mapping) and (isinstance(data, tuple) or not isinstance(data[1], Mapping))


def parted(batch: Any, index: int) -> tuple[Any, Any]:
    """Inputs and targets of a batch as the head of this module says; TypeError for one of another form."""
    if isinstance(batch, Mapping):
        return batch, next((batch[name] for name in LABELS if batch.get(name) is not None), batch)
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"data must give (inputs, targets) pairs or mappings, batch {index} is {brief(batch)}")
    return batch[0], batch[1]


def _recordable(tensor: Tensor) -> Tensor:
    """The tensor, copied where it was made in inference mode, whose tensors autograd refuses."""
    if not tensor.is_inference():
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()


def _same(first: Any, second: Any) -> bool:
    """Whether two batches hold equal tensors."""
    mine, theirs = list(tensors_of(first)), list(tensors_of(second))
    return len(mine) == len(theirs) and all(a is b or torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def same_data(first: Batch, second: Batch) -> bool:
    """Whether two batches hold the same samples in the same order."""
    return _same((first.inputs, first.targets), (second.inputs, second.targets))


class _Fingerprint:
    """Sums over the samples that do not depend on their order: of a number that each gives and of its square."""

    def __init__(self) -> None:
        self.sums, self.size = np.zeros(2), 0.0

    def add(self, inputs: Any) -> None:
        """Count a batch in."""
        for t in tensors_of(inputs):
            if t.ndim and t.numel() and not t.is_complex():
                rows = t.detach().reshape(len(t), -1).double()
                each = rows @ torch.arange(1.0, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device).cos()
                self.sums += [float(each.sum()), float(each.square().sum())]
                self.size += float(each.abs().sum()) + float(each.square().sum())

    def fits(self, other: "_Fingerprint") -> bool:
        """Whether the two counted the same samples, up to rounding."""
        return bool((np.abs(self.sums - other.sums) <= 1e-9 * max(self.size, other.size)).all())


def _samples(inputs: Any, index: int) -> int:
    first = next(tensors_of(inputs), None)
    if first is None or first.ndim == 0:
        raise TypeError(f"inputs must hold a tensor with the samples along its first axis, batch {index} has {brief(inputs)}")
    return len(first)


def brief(value: Any) -> str:
    """What a value is, for a message: a tensor's shape, another's type."""
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
