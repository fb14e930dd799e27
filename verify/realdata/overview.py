"""Owns the table of `flatproof data list`: a row a data set and split."""

from pathlib import Path

from flatproof.verify.realdata import imagenet
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.loading import HOW, NAMES, check
from flatproof.verify.realdata.samples import UNAVAILABLE, Incomplete, NotAvailable
from flatproof.verify.utils.errors import UserError


def overview(root: str | Path | None = None) -> list[dict[str, str]]:
    """For each data set: name, split, samples, where, verified, and how to get it. Everything is read, ImageNet only listed."""
    return [row for name in NAMES for row in _rows(name, data_root(root))]


def _rows(name: str, folder: Path) -> list[dict[str, str]]:
    def row(split: str, samples: int | str, where: str, verified: str) -> dict[str, str]:
        values = (name, split, str(samples), where, verified, HOW[name])
        return dict(zip(("name", "split", "samples", "where", "verified", "how to get it"), values, strict=True))

    try:
        if name == "imagenet":
            return [
                row(split, len(imagenet.listing(folder, split)[0]), str(folder / below), "no: 'data verify' decodes each file")
                for split, below in imagenet.FOLDERS.items()
                if (folder / below).is_dir()
            ] or [row("", "", UNAVAILABLE, "")]
        return [row(one.split, one.samples, one.source, f"yes: {one.compared}") for one in check(name, folder)]
    except Incomplete as error:
        return [row("", "", str(folder), f"no: {error}")]
    except NotAvailable:
        return [row("", "", UNAVAILABLE, "")]
    except UserError as error:
        return [row("", "", str(folder), f"no: {error}")]
