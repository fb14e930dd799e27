"""Owns what a data set is once read: `Images`, and the two ways in which it cannot be had."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    import torch

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
UNAVAILABLE = "data not available on this machine"  # what a table's row says in place of a number


class NotAvailable(FileNotFoundError):
    """The data are not on this machine. One line: what was looked for, where, and how to get it."""


class Incomplete(NotAvailable):
    """Some files of a split are there and others lack."""


class Damaged(UserError):
    """A file is not what it should be: truncated, altered, or of another format. One line names it and what was expected."""


class Content(NamedTuple):
    """A file that has been read: where from, and every byte."""

    path: str
    data: bytes


class Part(NamedTuple):
    """What one or two files hold: x (n, c, h, w) uint8, y (n,) int64, and CIFAR-100's coarse labels (n,) int64."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    coarse: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Images:
    """One split of a data set.

    Attributes:
        name, split: of the data set; "test" is what papers on ImageNet call validation.
        x: uint8 (n, c, h, w), values in [0, 255], colours in the order R, G, B. For "timit": float32 (n, d).
        y: labels, int64 (n,), each an index of `classes`.
        classes: their names in the official order.
        mean, std: what `tensors` normalizes with: of the training set, a value a channel in units of [0, 1] (timit: a feature).
        edition: which form or release of the data set this is, to be named wherever its numbers are.
        source: the edition and where it was read.
        checksums: "sha256:…" or "md5:…" of each file that was read, by its name.
        verified: whether those checksums were compared with known ones.
        coarse: CIFAR-100's 20 superclasses, int64 (n,); None for the others.
    """

    name: str
    split: Split
    x: NDArray[Any]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    edition: str
    source: str
    checksums: Mapping[str, str] = field(repr=False)
    verified: bool
    coarse: NDArray[np.int64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.y)

    def tensors(self, dtype: "torch.dtype | None" = None, normalize: bool = True) -> "tuple[torch.Tensor, torch.Tensor]":
        """Samples and labels as tensors.

        Args:
            dtype: of the samples; float32 for None.
            normalize: pixels v become (v / 255 - mean) / std channel by channel, without it v / 255; features of "timit" become
                (v - mean) / std, without it they stay as they are.

        Returns:
            x, of the shape of `x`, and y, int64 (n,).
        """
        import torch

        dtype = torch.float32 if dtype is None else dtype
        scale = 255 if self.x.dtype == np.uint8 else 1
        x = torch.from_numpy(self.x).to(dtype).div_(scale) if scale > 1 else torch.tensor(self.x, dtype=dtype)
        if normalize:
            shape = (1, -1) + (1,) * (x.ndim - 2)
            x.sub_(torch.tensor(self.mean, dtype=dtype).reshape(shape)).div_(torch.tensor(self.std, dtype=dtype).reshape(shape))
        return x, torch.tensor(self.y)


def check_split(split: str) -> Split:
    """`split`, "train" or "test". Raises ValueError for anything else."""
    if split not in SPLITS:
        raise ValueError(f"split must be train or test, got {split!r}")
    return split


def check_limit(limit: int | None, available: int | None = None) -> None:
    """Raise ValueError unless `limit` is None or a whole number from 1 to what is available."""
    if limit is None:
        return
    if not isinstance(limit, (int, np.integer)) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"limit must be a whole number of at least 1, got {limit!r}")
    if available is not None and limit > available:
        raise ValueError(f"limit must be at most the {available} samples that there are, got {limit}")


def check_labels(y: NDArray[np.int64], classes: int, where: str) -> None:
    """Raise Damaged unless every label is from 0 to classes - 1."""
    outside = (y < 0) | (y >= classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise Damaged(f"{where}: label of sample {row} must be from 0 to {classes - 1}, got {int(y[row])}")
