"""Owns data sets whose every file has a known checksum: which files, how they are read, and facts that their content must show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.dataset import SIZE, Dataset
from flatproof.verify.realdata.files import File, locate, read
from flatproof.verify.realdata.packages import Recipe
from flatproof.verify.realdata.samples import (
    SPLITS,
    Content,
    Damaged,
    Images,
    Incomplete,
    NotAvailable,
    Part,
    Split,
    check_labels,
    check_limit,
)

Number = TypeVar("Number", np.uint8, np.int64)
Reader = Callable[[Sequence[Content], tuple[int, ...]], Part]
SUPERCLASSES = 20


@dataclass(frozen=True)
class Batch:
    """Files that are read together, and how many samples they hold."""

    files: tuple[File, ...]
    samples: int


@dataclass(frozen=True)
class Facts:
    """What everyone who knows the split can look up: the first labels, samples a class, and (training) mean and deviation.

    `mean` and `std` a channel, in units of [0, 1], to four decimals; empty where none are published.
    """

    first_labels: tuple[int, ...]
    counts: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Edition:
    """One form in which a data set is handed on: the folder below the root, and how its files are read."""

    label: str
    folder: str
    read: Mapping[Split, Reader]
    batches: Mapping[Split, tuple[Batch, ...]]
    facts: Mapping[Split, Facts] = field(default_factory=dict)

    def files(self) -> tuple[File, ...]:
        """Every file of every split."""
        return tuple(file for batches in self.batches.values() for batch in batches for file in batch.files)

    def paths(self) -> dict[str, File]:
        """Every file by its path below the root."""
        return {f"{self.folder}/{file.name}": file for file in self.files()}


@dataclass(frozen=True, eq=False)
class KnownFiles(Dataset):
    """A data set of files with known checksums.

    Attributes:
        classes: in the official order.
        shape: (c, h, w) of a sample.
        mean, std: what normalizes it, a value a channel.
        editions: best first.
        resized: whether images have many sizes and get a common one.
    """

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    editions: tuple[Edition, ...]
    how: str
    resized: bool = False
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        splits = tuple(split for split in SPLITS if any(split in edition.batches for edition in self.editions))
        object.__setattr__(self, "splits", splits)

    def find(self, root: Path, split: Split) -> Edition:
        """The first edition of which every file of the split is there.

        Args:
            root: the folder of all data sets.
            split: one of `splits`.

        Raises:
            Incomplete: naming the file that lacks, where others of the split are there.
            NotAvailable: else, with what was looked for.
        """
        incomplete, looked = "", []
        for edition in self.editions:
            files = [file for batch in edition.batches.get(split, ()) for file in batch.files]
            missing = [file for file in files if locate(root / edition.folder, file) is None]
            if files and not missing:
                return edition
            if files:
                looked.append(f"{edition.folder}/{missing[0].name}")
                if len(missing) < len(files):
                    incomplete = incomplete or f"{root / edition.folder} lacks {missing[0].name}"
        if incomplete:
            raise Incomplete(f"{self.name}, {split}: {incomplete}; {self.how}")
        raise NotAvailable(f"{self.name}, {split}: looked for {' and '.join(looked)} in {root}; {self.how}")

    def look_for(self, root: Path, split: Split) -> None:
        """Return if an edition has every file of the split. Raises NotAvailable, Incomplete."""
        self.find(root, split)

    def fingerprint(self, root: Path, split: Split, limit: int | None) -> str:
        """The checksums of the edition that is there, which loading compares with the files."""
        return " ".join(file.digest for batch in self.find(root, split).batches[split] for file in batch.files)

    def load(self, root: Path, split: Split, limit: int | None = None, size: int = SIZE, verify_checksums: bool = True) -> Images:
        """Batch after batch, as many as the limit takes; every one is checked in full."""
        edition = self.find(root, split)
        folder = root / edition.folder
        shape = (self.shape[0], size, size) if self.resized else self.shape
        batches = edition.batches[split]
        check_limit(limit, sum(batch.samples for batch in batches))
        parts: list[Part] = []
        checksums: dict[str, str] = {}
        for batch in batches:
            contents = []
            for file in batch.files:
                path = locate(folder, file)
                if path is None:
                    raise NotAvailable(f"{self.name}, {split}: {folder / file.name} went away while it was read")
                content, checksums[file.name] = read(path, file, verify_checksums)
                contents.append(content)
            part = edition.read[split](contents, shape)
            self._check_part(part, batch, contents[-1].path, shape)
            parts.append(part)
            if limit is not None and sum(len(part.y) for part in parts) >= limit:
                break
        coarse = [part.coarse for part in parts if part.coarse is not None]
        return Images(
            self.name,
            split,
            _joined([part.x for part in parts], limit),
            _joined([part.y for part in parts], limit),
            self.classes,
            self.mean,
            self.std,
            edition.label,
            f"{edition.label}, {folder}",
            checksums,
            verify_checksums,
            _joined(coarse, limit) if coarse else None,
        )

    def _check_part(self, part: Part, batch: Batch, where: str, shape: tuple[int, ...]) -> None:
        if len(part.y) != batch.samples or part.x.shape != (batch.samples, *shape):
            raise Damaged(f"{where} holds {len(part.y)} samples of shape {part.x.shape[1:]}, expected {batch.samples} of {shape}")
        check_labels(part.y, len(self.classes), where)
        if part.coarse is not None:
            check_labels(part.coarse, SUPERCLASSES, f"{where} (coarse)")

    def compare(self, images: Images, root: Path) -> str:
        """Compare with the facts of the edition that is there; its checksums were compared when it was read."""
        facts = self.find(root, images.split).facts[images.split]
        compare(images, facts)
        moments_known = ["mean and deviation"] * bool(facts.mean)
        return ", ".join(["checksums", "classes' counts"] + ["first labels"] * bool(facts.first_labels) + moments_known)


def _joined(arrays: list[NDArray[Number]], limit: int | None) -> NDArray[Number]:
    """One array that owns its memory, so that the files' bytes can go."""
    return np.concatenate(arrays)[:limit].copy() if limit else np.concatenate(arrays)


def compare(images: Images, facts: Facts) -> None:
    """Raise Damaged unless the split shows what everybody can look up of it."""
    counts = tuple(np.bincount(images.y, minlength=len(images.classes)).tolist())
    if counts != facts.counts:
        raise Damaged(f"{images.source}: samples a class must be {facts.counts}, got {counts}")
    first = tuple(images.y[: len(facts.first_labels)].tolist())
    if first != facts.first_labels:
        raise Damaged(f"{images.source}: the first labels must be {facts.first_labels}, got {first}")
    if facts.mean:
        mean, std = moments(images.x)
        for quantity, values, expected in (("mean", mean, facts.mean), ("deviation", std, facts.std)):
            if not np.allclose(values, expected, rtol=0, atol=6e-5):
                rounded = tuple(values.round(4).tolist())
                raise Damaged(f"{images.source}: the {quantity} a channel must be {expected}, got {rounded}")


def moments(x: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel of (n, c, h, w), in units of [0, 1], from its exact histogram."""
    values = np.arange(256) / 255
    counts = np.zeros((x.shape[1], 256))
    for start in range(0, len(x), 1000):  # bincount makes 64-bit copies
        for channel in range(x.shape[1]):
            counts[channel] += np.bincount(x[start : start + 1000, channel].ravel(), minlength=256)
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ values
    return mean, np.sqrt(weights @ values**2 - mean**2)
