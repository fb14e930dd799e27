"""Owns `corrupted_test_set`: the sample of corrupted CIFAR-10 images on which andriushchenko2023 measures error out of distribution.

Its protocol: severity 5; the first 1000 test images under each of the fifteen corruptions; these 15,000 shuffled, the first 10,000 of them.
From the official CIFAR-10-C folder where there is one, else built from CIFAR-10's test images by `corruptions`; `Corrupted.source` says
which. The authors' shuffling and random numbers are not known: it is a sample by their rule, not theirs.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata import cifar10_c
from flatproof.verify.realdata.cifar import CIFAR10
from flatproof.verify.realdata.cifar10_c import CIFAR10_C, SIDE, Cifar10C
from flatproof.verify.realdata.corruptions import NAMES, SEVERITIES, VERSION, corrupt
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.known_files import KnownFiles
from flatproof.verify.realdata.samples import Images, Incomplete, NotAvailable
from flatproof.verify.utils.checks import check_whole

if TYPE_CHECKING:
    import torch

POOL = 1000  # test images
COUNT = 10_000  # of the pool's 15,000 corrupted images
FROST = "frost: synthetic texture in place of the authors' photographs"


@dataclass(frozen=True)
class Corrupted:
    """Corrupted test images, shuffled.

    Attributes:
        images: pixels uint8 (n, 3, side, side), labels, and what normalizes them: CIFAR-10's training moments.
        corruption: of each image, (n,): an index of `corruptions.NAMES`.
        index: which test image it was, (n,).
    """

    images: Images
    corruption: NDArray[np.int64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def source(self) -> str:
        """One line: official or built, severity, seed, and the folder of the files."""
        return self.images.source

    def tensors(self) -> "tuple[torch.Tensor, torch.Tensor]":
        """Images (n, 3, side, side), float32, normalized as the networks' own test images are, and labels (n,), int64."""
        return self.images.tensors()


class _Pool(NamedTuple):
    """Labels of all test images; the images (k, 32, 32, 3) of a corruption's name at k indices; what they are."""

    labels: NDArray[np.int64]
    images: Callable[[str, NDArray[np.int64]], NDArray[np.uint8]]
    edition: str
    checksums: Mapping[str, str]


def is_official(root: Path, official: Cifar10C = CIFAR10_C) -> bool:
    """Whether the official folder is there. Raises Incomplete where some of its files lack."""
    try:
        official.look_for(root)
    except Incomplete:
        raise
    except NotAvailable:
        return False
    return True


def corrupted_edition(root: str | Path | None = None, *, official: Cifar10C = CIFAR10_C, clean: KnownFiles = CIFAR10) -> str:
    """SHA-256 of what tells the images of `corrupted_test_set` from any others, for the address of what is measured on them.

    Args:
        root: the folder of all data sets; default $FLATPROOF_DATA or ~/.cache/flatproof.
        official, clean: the data sets.

    Raises:
        NotAvailable: where neither the official folder nor CIFAR-10 is there.
    """
    folder = data_root(root)
    if is_official(folder, official):
        made_of = official.fingerprint(folder)
    else:
        _look_for(clean, folder, official)
        made_of = f"{VERSION} {clean.fingerprint(folder, 'test', None)}"
    return hashlib.sha256(made_of.encode()).hexdigest()


def _look_for(clean: KnownFiles, folder: Path, official: Cifar10C) -> None:
    """Return if CIFAR-10's test images are there. Raises NotAvailable, naming both ways."""
    try:
        clean.look_for(folder, "test")
    except Incomplete:
        raise
    except NotAvailable as error:
        raise NotAvailable(f"{official.name}: no {cifar10_c.FOLDER} in {folder}, and nothing to build it from: {error}") from None


def corrupted_test_set(
    count: int = COUNT,
    *,
    severity: int = 5,
    seed: int = 0,
    side: int = SIDE,
    pool: int = POOL,
    root: str | Path | None = None,
    verify_checksums: bool = True,
    official: Cifar10C = CIFAR10_C,
    clean: KnownFiles = CIFAR10,
) -> Corrupted:
    """A random sample of the pool's corrupted images. Only those of the sample are read, or built.

    Args:
        count: images of the sample, at most 15 `pool`; those of a smaller count are the first of a larger one's.
        severity: from 1 to 5.
        seed: of the shuffling and, where images are built, of the corruptions.
        side: pixels, a divisor of 32. Images are corrupted at 32 × 32, by the published constants, and then averaged over blocks.
        pool: the first so many test images.
        root: the folder of all data sets; default $FLATPROOF_DATA or ~/.cache/flatproof.
        verify_checksums: False takes files whose bytes differ from the published ones; of the official folder it saves reading 2.3 GB.
        official, clean: the data sets.

    Returns:
        Images, labels, the corruption of each, and where they come from.

    Raises:
        NotAvailable: where neither the official folder nor CIFAR-10 is there, or files of one lack.
        Damaged: for a file that is not what it should be.
        ValueError: naming the argument.
    """
    check_whole("severity", severity, 1, SEVERITIES)
    check_whole("seed", seed, 0)
    check_whole("count", count, 1, len(NAMES) * check_whole("pool", pool, 1))
    if SIDE % check_whole("side", side, 1):
        raise ValueError(f"side must divide {SIDE}, got {side}")
    folder = data_root(root)
    if is_official(folder, official):
        source = _official(folder, official, severity, verify_checksums)
    else:
        _look_for(clean, folder, official)
        source = _built(folder, clean, severity, seed, verify_checksums)
    check_whole("pool", pool, 1, len(source.labels))
    chosen = np.random.default_rng([seed, len(NAMES)]).permutation(len(NAMES) * pool)[:count]
    corruption, index = np.divmod(chosen, pool)
    x = np.empty((count, 3, side, side), dtype=np.uint8)
    for kind, name in enumerate(NAMES):
        at = np.flatnonzero(corruption == kind)
        at = at[np.argsort(index[at])]  # mapped files are read from front to back
        x[at] = reduced(source.images(name, index[at]).transpose(0, 3, 1, 2), side)
    line = f"{source.edition}; severity {severity}, seed {seed}, {side} × {side} pixels, {folder}"
    images = Images(
        official.name,
        "test",
        x,
        source.labels[index],
        clean.classes,
        clean.mean,
        clean.std,
        source.edition,
        line,
        source.checksums,
        verify_checksums,
    )
    return Corrupted(images, corruption, index)


def _official(folder: Path, official: Cifar10C, severity: int, verify_checksums: bool) -> _Pool:
    def images(name: str, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        return official.images(folder, name, severity)[index]

    checksums = official.checksums(folder, verify_checksums)
    return _Pool(official.labels(folder), images, cifar10_c.EDITION, checksums)


def _built(folder: Path, clean: KnownFiles, severity: int, seed: int, verify_checksums: bool) -> _Pool:
    test = clean.load(folder, "test", verify_checksums=verify_checksums)

    def images(name: str, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        return corrupt(test.x[index].transpose(0, 2, 3, 1), name, severity, seed, index)

    return _Pool(test.y, images, f"CIFAR-10's test images ({test.edition}) corrupted here; {FROST}", test.checksums)


def reduced(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images (n, c, s, s) as (n, c, side, side): means over blocks of s / side pixels, rounded to the nearest, halves up."""
    n, channels, whole = images.shape[:3]
    block = whole // side
    sums = images.reshape(n, channels, side, block, side, block).sum(axis=(3, 5), dtype=np.int64)
    return ((2 * sums + block**2) // (2 * block**2)).astype(np.uint8)
