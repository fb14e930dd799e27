"""Owns the table of `flatproof data list`: a row a data set and split."""

from pathlib import Path

from flatproof.verify.realdata.catalogue import DATASETS
from flatproof.verify.realdata.dataset import Dataset, Listed
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.samples import UNAVAILABLE, Incomplete, NotAvailable
from flatproof.verify.utils.errors import UserError

COLUMNS = ("name", "split", "samples", "where", "verified", "how to get it")


def overview(root: str | Path | None = None) -> list[dict[str, str]]:
    """For each data set: name, split, samples, where, verified, and how to get it. Everything is read, ImageNet only listed."""
    folder = data_root(root)
    return [
        dict(zip(COLUMNS, (known.name, *cells, known.how), strict=True))
        for known in DATASETS.values()
        for cells in _rows(known, folder)
    ]


def _rows(known: Dataset, folder: Path) -> list[tuple[str, str, str, str]]:
    """Split, samples, where and verified."""
    try:
        rows: list[Listed] = known.overview(folder)
    except NotAvailable as error:
        return [("", "", str(folder), f"no: {error}") if isinstance(error, Incomplete) else ("", "", UNAVAILABLE, "")]
    except UserError as error:
        return [("", "", str(folder), f"no: {error}")]
    return [(row.split, str(row.samples), row.source, row.verified) for row in rows]
