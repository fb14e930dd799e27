"""Owns CIFAR-10-C in its official folder: the 10,000 test images of CIFAR-10 under each corruption at each severity.

    root/CIFAR-10-C/gaussian_noise.npy …    uint8 (50000, 32, 32, 3), a file a corruption: severities 1 to 5, 10,000 images each
    root/CIFAR-10-C/labels.npy              uint8 (50000,), the same 10,000 labels five times

Files are mapped, not read: only what is asked for comes into memory. Checksums: the md5 of each file that other readers of the folder
publish and agree on. Four further corruptions that the folder holds are not read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata.cifar import CIFAR10
from flatproof.verify.realdata.corruptions import NAMES, SEVERITIES
from flatproof.verify.realdata.dataset import SIZE, Checked, Dataset, Listed
from flatproof.verify.realdata.samples import Damaged, Images, Incomplete, NotAvailable, Split, check_labels, check_limit
from flatproof.verify.utils.checks import check_one_of, check_whole

FOLDER = "CIFAR-10-C"
EDITION = "official CIFAR-10-C files"
LABELS = "labels"
SIDE = 32
SEVERITY = 5  # the one that `load` gives
DIGESTS = {
    "gaussian_noise": "md5:ecaf8b9a2399ffeda7680934c33405fd",
    "shot_noise": "md5:3a7239bb118894f013d9bf1984be7f11",
    "impulse_noise": "md5:2090e01c83519ec51427e65116af6b1a",
    "defocus_blur": "md5:7d1322666342a0702b1957e92f6254bc",
    "glass_blur": "md5:7361fb4019269e02dbf6925f083e8629",
    "motion_blur": "md5:fffa5f852ff7ad299cfe8a7643f090f4",
    "zoom_blur": "md5:6ea8e63f1c5cdee1517533840641641b",
    "snow": "md5:bb238de8555123da9c282dea23bd6e55",
    "frost": "md5:31f6ab3bce1d9934abfb0cc13656f141",
    "fog": "md5:7b397314b5670f825465fbcd1f6e9ccd",
    "brightness": "md5:0a81ef75e0b523c3383219c330a85d48",
    "contrast": "md5:3c8262171c51307f916c30a3308235a8",
    "elastic_transform": "md5:9421657c6cd452429cf6ce96cc412b5f",
    "pixelate": "md5:0f14f7e2db14288304e1de10df16832f",
    "jpeg_compression": "md5:2b9cc4c864e0193bb64db8d7728f8187",
    LABELS: "md5:c439b113295ed5254878798ffe28fd54",
}


def mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The bytes of an .npy file, mapped into memory. Raises Damaged unless it holds uint8 of that shape, row by row, and nothing else."""
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, mode="r")  # it refuses pickled objects
        extra = path.stat().st_size - array.offset - array.nbytes
    except Exception as error:  # an altered header fails anywhere
        reason = " ".join(str(error).split())
        raise Damaged(f"{path} is not a complete .npy file: {reason}; expected uint8 {shape}") from None
    if array.dtype != np.uint8 or array.shape != shape or not array.flags.c_contiguous:
        order = "" if array.flags.c_contiguous else ", column by column"
        raise Damaged(f"{path} holds {array.dtype} {array.shape}{order}, expected uint8 {shape}")
    if extra:
        raise Damaged(f"{path} has {extra} bytes after its array, expected none")
    return array


@lru_cache(maxsize=64)
def _checksum(path: Path, algorithm: str, size: int, changed: int) -> str:
    """Of a file of 150 MB; `size` and `changed` (ns) tell the cache that it is another."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


@dataclass(frozen=True, eq=False)
class Cifar10C(Dataset):
    """The folder.

    Attributes:
        samples: images a severity.
        digests: the checksum of each file, by its name without ".npy".
        first_labels: of the images, in their order.
    """

    samples: int = 10_000
    digests: Mapping[str, str] = field(default_factory=lambda: DIGESTS)
    first_labels: tuple[int, ...] = CIFAR10.editions[0].facts["test"].first_labels
    name = "cifar10-c"
    how = (
        f"unpack CIFAR-10-C.tar (Zenodo's record 2535967) there as {FOLDER}/, or name another place with --root; without it, "
        "realdata.corrupted_test_set builds its images from cifar10"
    )
    splits = ("test",)

    def paths(self, root: Path) -> dict[str, Path]:
        """Each file's path, by its name without ".npy"."""
        return {name: root / FOLDER / f"{name}.npy" for name in (*NAMES, LABELS)}

    def look_for(self, root: Path, split: Split = "test") -> None:
        """Return if every file is there. Raises NotAvailable without a folder, Incomplete where a file lacks."""
        self.check_split(split)
        missing = [path.name for path in self.paths(root).values() if not path.is_file()]
        if not (root / FOLDER).is_dir():
            raise NotAvailable(f"{self.name}, test: looked for {root / FOLDER}; {self.how}")
        if missing:
            raise Incomplete(f"{self.name}, test: {root / FOLDER} lacks {missing[0]}; {self.how}")

    def fingerprint(self, root: Path, split: Split = "test", limit: int | None = None) -> str:
        """The known checksums, which loading compares with the files."""
        self.look_for(root, split)
        return " ".join(self.digests.values())

    def checksums(self, root: Path, verify: bool = True) -> dict[str, str]:
        """Each file's checksum, computed once a process.

        Args:
            root: the folder of all data sets.
            verify: False takes the files as they are, unread, and gives no checksums.

        Raises:
            NotAvailable: for files that are not there.
            Damaged: for the first file that is not the known one.
        """
        self.look_for(root)
        checksums: dict[str, str] = {}
        for name, path in self.paths(root).items() if verify else ():
            stat = path.stat()
            checksum = _checksum(path, self.digests[name].partition(":")[0], stat.st_size, stat.st_mtime_ns)
            if checksum != self.digests[name]:
                raise Damaged(f"{path} was altered: its checksum is {checksum}, expected {self.digests[name]}")
            checksums[f"{FOLDER}/{path.name}"] = checksum
        return checksums

    def labels(self, root: Path) -> NDArray[np.int64]:
        """The labels of the images, (samples,). Raises NotAvailable, or Damaged unless they are those of CIFAR-10 for each severity."""
        self.look_for(root)
        path = self.paths(root)[LABELS]
        blocks = mapped(path, (SEVERITIES * self.samples,)).reshape(SEVERITIES, self.samples).astype(np.int64)
        different = np.flatnonzero((blocks != blocks[0]).any(axis=1))
        if len(different):
            raise Damaged(f"{path}: labels of severity {different[0] + 1} must be those of severity 1")
        check_labels(blocks[0], len(CIFAR10.classes), str(path))
        first = tuple(blocks[0, : len(self.first_labels)].tolist())
        if first != self.first_labels:
            raise Damaged(f"{path}: the first labels must be {self.first_labels}, got {first}")
        return blocks[0]

    def images(self, root: Path, corruption: str, severity: int = SEVERITY) -> NDArray[np.uint8]:
        """The images of one corruption at one severity, mapped.

        Args:
            root: the folder of all data sets.
            corruption: one of `corruptions.NAMES`.
            severity: from 1 to 5.

        Returns:
            uint8 (samples, 32, 32, 3), in the order of CIFAR-10's test images; read only.

        Raises:
            NotAvailable: for files that are not there.
            Damaged: for a file of another form.
            ValueError: for the corruption or the severity.
        """
        self.look_for(root)
        check_one_of("corruption", corruption, NAMES)
        start = (check_whole("severity", severity, 1, SEVERITIES) - 1) * self.samples
        array = mapped(self.paths(root)[corruption], (SEVERITIES * self.samples, SIDE, SIDE, 3))
        return array[start : start + self.samples]

    def load(
        self, root: Path, split: Split = "test", limit: int | None = None, size: int = SIZE, verify_checksums: bool = True
    ) -> Images:
        """The images at severity 5: the first under each corruption, then the second, and so on."""
        self.check_split(split)
        checksums = self.checksums(root, verify_checksums)
        labels = self.labels(root)
        kinds = len(NAMES)
        check_limit(limit, kinds * self.samples)
        count = limit or kinds * self.samples
        x = np.empty((count, 3, SIDE, SIDE), dtype=np.uint8)
        for kind, corruption in enumerate(NAMES):
            wanted = len(range(kind, count, kinds))
            x[kind::kinds] = self.images(root, corruption)[:wanted].transpose(0, 3, 1, 2)
        return Images(
            self.name,
            split,
            x,
            np.repeat(labels, kinds)[:count],
            CIFAR10.classes,
            CIFAR10.mean,
            CIFAR10.std,
            EDITION,
            f"{EDITION}, severity {SEVERITY}, {root / FOLDER}",
            checksums,
            verify_checksums,
        )

    def compare(self, images: Images, root: Path) -> str:
        """What reading compared; nothing else is known of the images."""
        return "checksums, labels"

    def check(self, root: Path, split: Split = "test") -> Checked:
        """Read every file to its last byte, one after the other: together they are larger than some machines' memory."""
        self.check_split(split)
        self.checksums(root)
        self.labels(root)
        for corruption in NAMES:
            self.images(root, corruption)
        count = len(NAMES) * SEVERITIES * self.samples
        return Checked(self.name, split, count, f"{EDITION}, {root / FOLDER}", "checksums, labels")

    def overview(self, root: Path) -> list[Listed]:
        """One row; of the files only the form and the labels are looked at, for 2.3 GB take their time."""
        self.labels(root)
        for corruption in NAMES:
            self.images(root, corruption)
        count = len(NAMES) * SEVERITIES * self.samples
        return [Listed("test", count, f"{EDITION}, {root / FOLDER}", "no: 'data verify' compares the checksums")]


CIFAR10_C = Cifar10C()
