"""Owns tiny data sets in every format."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from flatproof.verify.realdata import cifar_batches, files, idx, imagenet_sample, loading
from flatproof.verify.realdata.files import File, digest
from flatproof.verify.realdata.known_files import Batch, Edition, KnownFiles
from flatproof.verify.realdata.samples import Images, Split
from tests.unit.realdata.formats import binary, idx_images, idx_labels, jpeg, labels, pickled, pixels

N = 4  # samples a split of the tiny data sets


def edition(
    folder: str, parts: Mapping[Split, Sequence[Mapping[str, bytes]]], read: Callable[..., object], root: Path
) -> Edition:
    """Write the files and return what is known of them."""
    batches = {}
    for split, batch in parts.items():
        kept = []
        for contents in batch:
            for name, data in contents.items():
                files.put(root / folder / name, data)
            known = tuple(File(name, digest(data), len(data)) for name, data in contents.items())
            kept.append(Batch(known, 1 if folder == "jpeg" else N))
        batches[split] = tuple(kept)
    readers = {split: partial(read, split=split) if read.func is cifar_batches.read_python else read for split in parts}
    return Edition(folder, folder, readers, batches)


class Tiny:
    """A data set in one format: `truth` by split, and the catalogue to load it with."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind, self.root = kind, root
        classes = {"idx": 10, "binary10": 10, "python10": 10, "binary100": 100, "python100": 100, "jpeg": 1000}[kind]
        self.shape = {"idx": (1, 28, 28), "jpeg": (3, 16, 16)}.get(kind, (3, 32, 32))
        splits: tuple[Split, ...] = ("train", "test")
        self.x = {s: pixels(i, N, *self.shape) for i, s in enumerate(splits)}
        self.y = {s: labels(i, N, classes) for i, s in enumerate(splits)}
        self.coarse = {s: labels(i + 2, N, 20) for i, s in enumerate(splits)}
        self.edition = edition(kind, {s: self._files(s) for s in splits}, self._reader(), root)
        names = tuple(str(i) for i in range(classes))
        tiny = KnownFiles("tiny", names, self.shape, (0.5,), (0.25,), (self.edition,), "get it", resized=kind == "jpeg")
        self.datasets = {"tiny": tiny}
        if kind == "jpeg":
            self.x = {s: self.load(s).x for s in splits}

    def _reader(self) -> Callable[..., object]:
        reader = {"idx": partial(idx.read), "jpeg": partial(imagenet_sample.read_sample)}.get(self.kind)
        kind = cifar_batches.read_binary if self.kind.startswith("binary") else cifar_batches.read_python
        return reader or partial(kind, labels=2 if self.kind.endswith("100") else 1)

    def _files(self, split: Split) -> list[dict[str, bytes]]:
        x, y, coarse = self.x[split], self.y[split], self.coarse[split]
        match self.kind:
            case "idx":
                return [{f"{split}-images": idx_images(x), f"{split}-labels": idx_labels(y)}]
            case "binary10":
                return [{f"{split}.bin": binary(x, y)}]
            case "binary100":
                return [{f"{split}.bin": binary(x, coarse, y)}]
            case "python10":
                return [{split: pickled(x, ["labels"], [y], f"{split}ing batch 1 of 1")}]
            case "python100":
                return [{split: pickled(x, ["coarse_labels", "fine_labels"], [coarse, y], f"{split}ing batch 1 of 1")}]
        return [{f"{split}_imagenet_{i:02d}_{label}.jpg": jpeg(i + 9 * (split == "test"))} for i, label in enumerate(y)]

    def load(self, split: str = "train", **options: object) -> Images:
        return loading.load("tiny", self.root, split, datasets=self.datasets, size=self.shape[-1], **options)

    def paths(self) -> list[Path]:
        return sorted(p for p in (self.root / self.kind).iterdir() if not p.name.startswith("."))


KINDS = ("idx", "binary10", "python10", "binary100", "python100", "jpeg")


def same(images: Images, tiny: Tiny) -> bool:
    coarse = images.coarse is None or np.array_equal(images.coarse, tiny.coarse[images.split])
    return np.array_equal(images.x, tiny.x[images.split]) and np.array_equal(images.y, tiny.y[images.split]) and coarse
