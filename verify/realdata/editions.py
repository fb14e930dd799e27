"""Owns `edition_of`: a checksum that tells the files of a data set found now from any others, without reading all of them."""

import hashlib
from functools import lru_cache
from pathlib import Path

from flatproof.verify.realdata import imagenet
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.loading import find
from flatproof.verify.realdata.samples import NotAvailable, Split
from flatproof.verify.realdata.timit import PATH

ABSENT = "not on this machine"


def edition_of(name: str, train: int | None = None, test: int | None = None) -> str:
    """SHA-256 of what tells a data set's files from any others; ABSENT if a split is not there.

    Where checksums are published, of those (loading compares them with the files); of TIMIT's file, its content; of ImageNet, the
    names, sizes and labels of the images that the limits take.

    Args:
        name: one of `NAMES`.
        train, test: limits, the first so many samples of each split; all of them for None.
    """
    root = data_root()
    try:
        fingerprints = (_fingerprint(name, root, "train", train), _fingerprint(name, root, "test", test))
    except NotAvailable:
        return ABSENT
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def _fingerprint(name: str, root: Path, split: Split, limit: int | None) -> str:
    """What tells a split's files from any others. Raises NotAvailable."""
    if name == "imagenet":
        return _listed(root, split, limit)
    if name != "timit":
        return " ".join(file.digest for batch in find(name, root, split).batches[split] for file in batch.files)
    path = root / PATH
    if not path.is_file():
        raise NotAvailable(f"timit: looked for {path}")
    stat = path.stat()
    return _content(path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _content(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; `size` and `changed` (ns) tell the cache that it is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache
def _listed(root: Path, split: Split, limit: int | None) -> str:
    """SHA-256 of names, sizes and labels; once a process, for there are a million."""
    lines = (
        f"{path.relative_to(root).as_posix()} {path.stat().st_size} {label}"
        for path, label in imagenet.listing(root, split)[0][:limit]
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
