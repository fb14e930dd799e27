"""Owns `load`, `available` and `check`: the way from a data set's name to arrays, with every check on it."""

from collections.abc import Mapping
from pathlib import Path

from flatproof.verify.realdata.catalogue import DATASETS, dataset_of
from flatproof.verify.realdata.dataset import SIZE, Checked, Dataset
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.samples import Images, NotAvailable, check_limit, check_split
from flatproof.verify.utils.checks import check_whole


def load(
    name: str,
    root: str | Path | None = None,
    split: str = "train",
    limit: int | None = None,
    *,
    verify_checksums: bool = True,
    size: int = SIZE,
    datasets: Mapping[str, Dataset] = DATASETS,
) -> Images:
    """One split of a data set from the user's folder or from what was fetched.

    Args:
        name: one of `NAMES`, or "module:object" of a `Dataset`.
        root: the folder that holds the layouts that torchvision uses; default $FLATPROOF_DATA or ~/.cache/flatproof.
        split: "train" or "test" (of ImageNet: the validation images).
        limit: the first so many samples only, in the files' order (imagenet: balanced over the classes).
        verify_checksums: False takes files whose bytes differ from the published ones, so long as format, sizes, counts and
            label ranges are right.
        size: side in pixels that images of ImageNet get.
        datasets: the known data sets by name.

    Returns:
        The split: pixels uint8 (n, c, h, w), labels int64 (n,), and where they come from.

    Raises:
        NotAvailable: when the files are not there.
        Damaged: when one is not what it should be.
        ValueError: for an argument.
    """
    chosen = check_split(split)
    check_limit(limit)
    known = dataset_of(name, datasets)
    size = check_whole("size", size, 1)
    known.check_split(chosen)
    return known.load(data_root(root), chosen, limit, size, verify_checksums)


def available(name: str, root: str | Path | None = None, split: str = "train") -> bool:
    """Whether the files of a split are there, whole or not. Raises ValueError for an unknown name or split."""
    chosen, known = check_split(split), dataset_of(name)
    known.check_split(chosen)
    try:
        known.look_for(data_root(root), chosen)
    except NotAvailable:
        return False
    return True


def check(name: str, root: str | Path | None = None, datasets: Mapping[str, Dataset] = DATASETS) -> list[Checked]:
    """Read every split that is there to its last byte and compare it with all that is known of it.

    Args:
        name: one of `NAMES`, or "module:object" of a `Dataset`.
        root: as in `load`.
        datasets: the known data sets by name.

    Returns:
        What was found of each split that is there.

    Raises:
        NotAvailable: when none is there.
        Incomplete: when some files of a split lack.
        Damaged: for the first thing that differs.
        ValueError: for an unknown name.
    """
    return dataset_of(name, datasets).check_all(data_root(root))
