"""Owns `load`: the way from a name to arrays, with every check on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata import imagenet, timit
from flatproof.verify.realdata.catalogue import CATALOGUE, WEIGHTS, WEIGHTS_FOLDER, Batch, Dataset, Edition, Facts
from flatproof.verify.realdata.files import data_root, locate, read
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
    check_split,
)

Number = TypeVar("Number", np.uint8, np.int64)
SUPERCLASSES = 20
HOW = {name: dataset.how for name, dataset in CATALOGUE.items()} | {"imagenet": imagenet.HOW, "timit": timit.HOW}
NAMES = tuple(HOW)


def load(
    name: str,
    root: str | Path | None = None,
    split: str = "train",
    limit: int | None = None,
    *,
    verify_checksums: bool = True,
    size: int = 224,
    catalogue: Mapping[str, Dataset] = CATALOGUE,
) -> Images:
    """One split of a data set from the user's folder or from what was fetched.

    Args:
        name: one of `NAMES`.
        root: the folder that holds the layouts that torchvision uses; default $FLATPROOF_DATA or ~/.cache/flatproof.
        split: "train" or "test" (of ImageNet: the validation images).
        limit: the first so many samples only, in the files' order (imagenet: balanced over the classes).
        verify_checksums: False takes files whose bytes differ from the published ones, so long as format, sizes, counts and
            label ranges are right.
        size: side in pixels that images of ImageNet get.
        catalogue: what is known of the data sets.

    Errors: NotAvailable when the files are not there; Damaged when one is not what it should be; ValueError for arguments.
    """
    chosen = check_split(split)
    check_limit(limit)
    folder = data_root(root)
    _check_name(name, catalogue)
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise ValueError(f"size must be a whole number of at least 1, got {size!r}")
    if name == "imagenet":
        return imagenet.load(folder, chosen, limit, int(size))
    if name == "timit":
        return timit.load(folder, chosen, limit)
    dataset = catalogue[name]
    edition = find(name, folder, chosen, catalogue)
    shape = (dataset.shape[0], int(size), int(size)) if dataset.resized else dataset.shape
    batches = edition.batches[chosen]
    check_limit(limit, sum(batch.samples for batch in batches))
    parts: list[Part] = []
    checksums: dict[str, str] = {}
    for batch in batches:
        contents = []
        for file in batch.files:
            path = locate(folder / edition.folder, file)
            if path is None:
                raise NotAvailable(f"{name}, {chosen}: {folder / edition.folder / file.name} went away while it was read")
            content, checksums[file.name] = read(path, file, verify_checksums)
            contents.append(content)
        parts.append(_checked(edition.read[chosen](contents, shape), batch, contents, shape, dataset))
        if limit is not None and sum(len(part.y) for part in parts) >= limit:
            break
    coarse = [part.coarse for part in parts if part.coarse is not None]
    return Images(
        name,
        chosen,
        _joined([part.x for part in parts], limit),
        _joined([part.y for part in parts], limit),
        dataset.classes,
        dataset.mean,
        dataset.std,
        edition.label,
        f"{edition.label}, {folder / edition.folder}",
        checksums,
        verify_checksums,
        _joined(coarse, limit) if coarse else None,
    )


def _check_name(name: str, catalogue: Mapping[str, Dataset]) -> None:
    if name not in catalogue and name not in NAMES:
        raise ValueError(f"data set must be one of {', '.join(NAMES)}, got {name!r}")


def _joined(arrays: list[NDArray[Number]], limit: int | None) -> NDArray[Number]:
    """One array that owns its memory, so that the files' bytes can go."""
    return np.concatenate(arrays)[:limit].copy() if limit else np.concatenate(arrays)


def _checked(part: Part, batch: Batch, contents: list[Content], shape: tuple[int, ...], dataset: Dataset) -> Part:
    where = contents[-1].path
    if len(part.y) != batch.samples or part.x.shape != (batch.samples, *shape):
        raise Damaged(f"{where} holds {len(part.y)} samples of shape {part.x.shape[1:]}, expected {batch.samples} of {shape}")
    check_labels(part.y, len(dataset.classes), where)
    if part.coarse is not None:
        check_labels(part.coarse, SUPERCLASSES, f"{where} (coarse)")
    return part


def find(name: str, root: Path, split: Split, catalogue: Mapping[str, Dataset] = CATALOGUE) -> Edition:
    """The first edition of which every file of the split is there.

    Errors: Incomplete naming the file that lacks, where others of the split are there; else NotAvailable, with what was looked for.
    """
    dataset = catalogue[name]
    incomplete, looked = "", []
    for edition in dataset.editions:
        files = [file for batch in edition.batches.get(split, ()) for file in batch.files]
        missing = [file for file in files if locate(root / edition.folder, file) is None]
        if files and not missing:
            return edition
        if files:
            looked.append(f"{edition.folder}/{missing[0].name}")
            if len(missing) < len(files):
                incomplete = incomplete or f"{root / edition.folder} lacks {missing[0].name}"
    if not looked:
        raise ValueError(f"{name} has no {split} split; expected {', '.join(s for s in SPLITS if s != split)}")
    if incomplete:
        raise Incomplete(f"{name}, {split}: {incomplete}; {dataset.how}")
    raise NotAvailable(f"{name}, {split}: looked for {' and '.join(looked)} in {root}; {dataset.how}")


def available(name: str, root: str | Path | None = None, split: str = "train") -> bool:
    """Whether the files of a split are there (not whether they are whole). ValueError for an unknown name or split."""
    chosen, folder = check_split(split), data_root(root)
    _check_name(name, CATALOGUE)
    try:
        if name == "imagenet":
            imagenet.listing(folder, chosen)
        elif name == "timit":
            return (folder / timit.PATH).is_file()
        else:
            find(name, folder, chosen)
    except NotAvailable:
        return False
    return True


@dataclass(frozen=True)
class Checked:
    """What verifying a split found: samples, where they came from, and what was compared."""

    name: str
    split: Split
    samples: int
    source: str
    compared: str


def check(name: str, root: str | Path | None = None, catalogue: Mapping[str, Dataset] = CATALOGUE) -> list[Checked]:
    """Read every split that is there to its last byte and compare it with all that is known of it.

    Errors: NotAvailable when none is there; Incomplete when some files of a split lack; Damaged for the first thing that differs.
    """
    folder = data_root(root)
    _check_name(name, catalogue)
    splits = [split for split in SPLITS if name not in catalogue or any(split in e.batches for e in catalogue[name].editions)]
    found: list[Checked] = []
    first: NotAvailable | None = None
    for split in splits:
        try:
            found.append(_check(name, folder, split, catalogue))
        except Incomplete:
            raise
        except NotAvailable as error:
            first = first or error
    if first is not None and not found:
        raise first
    return found


def _check(name: str, folder: Path, split: Split, catalogue: Mapping[str, Dataset]) -> Checked:
    if name == "imagenet":  # larger than memory: each image in turn
        files, _ = imagenet.listing(folder, split)
        count = sum(1 for _ in imagenet.each(files, 32))
        return Checked(
            name, split, count, str(folder / imagenet.FOLDERS[split]), "every file decodes; no checksums are published"
        )
    images = load(name, folder, split, catalogue=catalogue)
    if name == "timit":
        return Checked(name, split, len(images), images.source, "the archive's own checksums, shapes, labels")
    facts = find(name, folder, split, catalogue).facts[split]
    compare(images, facts)
    said = (
        ["checksums", "classes' counts"] + ["first labels"] * bool(facts.first_labels) + ["mean and deviation"] * bool(facts.mean)
    )
    return Checked(name, split, len(images), images.source, ", ".join(said))


def compare(images: Images, facts: Facts) -> None:
    """Damaged unless the split shows what everybody can look up of it."""
    counts = tuple(np.bincount(images.y, minlength=len(images.classes)).tolist())
    if counts != facts.counts:
        raise Damaged(f"{images.source}: samples a class must be {facts.counts}, got {counts}")
    first = tuple(images.y[: len(facts.first_labels)].tolist())
    if first != facts.first_labels:
        raise Damaged(f"{images.source}: the first labels must be {facts.first_labels}, got {first}")
    if facts.mean:
        mean, std = moments(images.x)
        for said, got, expected in (("mean", mean, facts.mean), ("deviation", std, facts.std)):
            if not np.allclose(got, expected, rtol=0, atol=6e-5):
                raise Damaged(f"{images.source}: the {said} a channel must be {expected}, got {tuple(got.round(4).tolist())}")


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


def weights_file(name: str, root: str | Path | None = None) -> Path:
    """A network's published weights, checksum verified.

    Errors: NotAvailable if they were not fetched; Damaged if altered; ValueError for an unknown name.
    """
    if name not in WEIGHTS:
        raise ValueError(f"network must be one of {', '.join(WEIGHTS)}, got {name!r}")
    file, folder = WEIGHTS[name], data_root(root) / WEIGHTS_FOLDER
    path = folder / file.name
    if not path.is_file():
        raise NotAvailable(f"{name}: looked for {path}; 'flatproof data fetch imagenet-sample' fetches it")
    read(path, file)
    return path
