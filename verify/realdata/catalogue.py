"""Owns the data sets by name: one module a set, and one line here.

Another package's data set is named "module:object", a `Dataset`, or by a name that the package gives it in the entry-point group
`flatproof.datasets`.
"""

from collections.abc import Mapping

from flatproof.verify.realdata.cifar import CIFAR10, CIFAR100
from flatproof.verify.realdata.cifar10_c import CIFAR10_C
from flatproof.verify.realdata.dataset import Dataset
from flatproof.verify.realdata.encoders import PARAPHRASE_MINILM
from flatproof.verify.realdata.imagenet import IMAGENET
from flatproof.verify.realdata.imagenet_sample import IMAGENET_SAMPLE
from flatproof.verify.realdata.mnist import FASHION_MNIST, MNIST
from flatproof.verify.realdata.timit import TIMIT
from flatproof.verify.utils.plugins import addresses, named_object, users_object

DATASETS: Mapping[str, Dataset] = {
    known.name: known
    for known in (MNIST, FASHION_MNIST, CIFAR10, CIFAR10_C, CIFAR100, IMAGENET_SAMPLE, IMAGENET, TIMIT, PARAPHRASE_MINILM)
}
NAMES = tuple(DATASETS)
GROUP = "flatproof.datasets"


def all_names() -> list[str]:
    """The names of all data sets, those that installed packages add last."""
    return [*NAMES, *(name for name in sorted(addresses(GROUP)) if name not in NAMES)]


def address_of(name: str) -> str | None:
    """The stored name of a data set: its own if it is one of `NAMES`, else "module:object"; None for what is neither."""
    if name in NAMES:
        return name
    address = name if ":" in name else addresses(GROUP).get(name, "")
    return address if address.count(":") == 1 else None


def dataset_of(name: str, datasets: Mapping[str, Dataset] = DATASETS) -> Dataset:
    """The data set of a name, an entry point, or "module:object". Raises ValueError for anything else."""
    if name in datasets:
        return datasets[name]
    address = address_of(name)
    if address is None or address in NAMES:
        raise ValueError(f"data set must be one of {', '.join(all_names())}, or be named module:object, got {name!r}")
    try:
        known = users_object(name, "data set") if ":" in name else named_object(address)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"data set {address!r} cannot be found: {error}") from None
    if not isinstance(known, Dataset):
        raise ValueError(f"data set {address!r} must be a Dataset, got {type(known).__name__}")
    return known
