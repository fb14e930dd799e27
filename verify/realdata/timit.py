"""Owns TIMIT's features as an array file, which the user computes from the licensed recordings.

    root/TIMIT/timit.npz    train_x (n, d), test_x (k, d) real features, a frame a row; train_y (n,), test_y (k,) whole numbers
                            from 0; optionally classes, the phones' names in the order of those numbers

    numpy.savez_compressed("timit.npz", train_x=…, train_y=…, test_x=…, test_y=…, classes=…)

Such a file has no published checksum; those that it carries itself (a CRC-32 an array) are verified.
"""

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.dataset import SIZE, Dataset
from flatproof.verify.realdata.files import digest
from flatproof.verify.realdata.samples import SPLITS, Damaged, Images, NotAvailable, Split, check_labels, check_limit

PATH = Path("TIMIT") / "timit.npz"
LARGEST = 2**33  # bytes of all arrays
HOW = f"TIMIT is licensed; compute features and save them there as {PATH} (verify/realdata/timit.py says how)"


def _path(root: Path, split: Split) -> Path:
    """Where the file is. Raises NotAvailable."""
    path = root / PATH
    if not path.is_file():
        raise NotAvailable(f"timit, {split}: looked for {path}; {HOW}")
    return path


@lru_cache
def _content(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; `size` and `changed` (ns) tell the cache that it is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Timit(Dataset):
    """Features of TIMIT's frames."""

    name = "timit"
    how = HOW

    def look_for(self, root: Path, split: Split) -> None:
        """Return if the file is there."""
        _path(root, split)

    def fingerprint(self, root: Path, split: Split, limit: int | None) -> str:
        """A digest of the file's content."""
        path = _path(root, split)
        stat = path.stat()
        return _content(path, stat.st_size, stat.st_mtime_ns)

    def compare(self, images: Images, root: Path) -> str:
        """What was compared when the file was read; nothing else is known of it."""
        return "the archive's own checksums, shapes, labels"

    def load(self, root: Path, split: Split, limit: int | None = None, size: int = SIZE, verify_checksums: bool = True) -> Images:
        """The split: x float32 (n, d), with the training set's mean and deviation a feature.

        Raises:
            NotAvailable: without the file.
            Damaged: for one that is cut short, altered, or holds other arrays.
        """
        path = _path(root, split)
        data = path.read_bytes()
        arrays = _arrays(path, data)
        expected = {f"{s}_{part}" for s in SPLITS for part in "xy"}
        if arrays.keys() - {"classes"} != expected:
            raise Damaged(f"{path} holds arrays {sorted(arrays)}, expected {sorted(expected)}, and classes if at all")
        points = {s: _points(path, f"{s}_x", arrays[f"{s}_x"]) for s in SPLITS}
        labels = {s: _labels(path, f"{s}_y", arrays[f"{s}_y"], len(points[s])) for s in SPLITS}
        if points["test"].shape[1] != points["train"].shape[1]:
            raise Damaged(
                f"{path}: test_x has {points['test'].shape[1]} features, expected {points['train'].shape[1]} as train_x"
            )
        if "classes" in arrays:
            if arrays["classes"].ndim != 1 or arrays["classes"].dtype.kind != "U":
                raise Damaged(f"{path}: classes must be a list of names, got {arrays['classes'].dtype} {arrays['classes'].shape}")
            classes = tuple(str(name) for name in arrays["classes"])
        else:
            classes = tuple(str(i) for i in range(int(max(y.max() for y in labels.values())) + 1))
        for s in SPLITS:
            check_labels(labels[s], len(classes), f"{path}, {s}_y")
        check_limit(limit, len(labels[split]))
        mean = points["train"].mean(axis=0, dtype=np.float64)
        std = points["train"].std(axis=0, dtype=np.float64)
        std[std == 0] = 1  # a constant feature stays 0
        checksum = digest(data)
        return Images(
            self.name,
            split,
            points[split][:limit],
            labels[split][:limit],
            classes,
            tuple(mean.tolist()),
            tuple(std.tolist()),
            "features computed by the user",
            f"features computed by the user, {path}, {checksum}",
            {str(PATH): checksum},
            verified=False,
        )


def _arrays(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file; reading a member to its end compares its CRC-32."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [info.filename for info in archive.infolist()]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"it holds {twice} twice")
            if sum(info.file_size for info in archive.infolist()) > LARGEST:  # reading stops at what is stated there
                raise ValueError(f"it decompresses to more than {LARGEST} bytes")
            return {
                info.filename.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(info)), allow_pickle=False)
                for info in archive.infolist()
            }
    except Exception as error:  # an altered archive fails anywhere
        raise Damaged(f"{path} is not a complete .npz file: {error}") from None


def _points(path: Path, key: str, values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype.kind not in "fiu" or values.ndim != 2 or 0 in values.shape:
        raise Damaged(f"{path}: {key} must be real numbers (n, d) with n, d >= 1, got {values.dtype} {values.shape}")
    with np.errstate(over="ignore"):
        points = values.astype(np.float32)
    if not np.isfinite(points).all():
        raise Damaged(f"{path}: {key} must be finite, row {int(np.argwhere(~np.isfinite(points))[0, 0])} is not")
    return points


def _labels(path: Path, key: str, values: NDArray[Any], n: int) -> NDArray[np.int64]:
    if values.dtype.kind not in "iu" or values.shape != (n,):
        raise Damaged(f"{path}: {key} must be {n} whole numbers, one a row of features, got {values.dtype} {values.shape}")
    if values.min() < 0 or values.max() >= 2**31:
        raise Damaged(f"{path}: {key} must be from 0, got {int(values.min())} to {int(values.max())}")
    return values.astype(np.int64)


TIMIT = Timit()
