"""Owns the table of `flatproof data list`: a row a data set and split."""

from pathlib import Path

from flatproof.verify.realdata.catalogue import all_names, dataset_of
from flatproof.verify.realdata.dataset import Listed
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.samples import UNAVAILABLE, Incomplete, NotAvailable
from flatproof.verify.utils.errors import UserError

COLUMNS = ("name", "split", "samples", "where", "verified", "how to get it")


def overview(root: str | Path | None = None) -> list[dict[str, str]]:
    """For each data set: name, split, samples, where, verified, and how to get it. Everything is read, ImageNet only listed."""
    folder = data_root(root)
    return [dict(zip(COLUMNS, (name, *cells), strict=True)) for name in all_names() for cells in _rows(name, folder)]


def _rows(name: str, folder: Path) -> list[tuple[str, str, str, str, str]]:
    """Split, samples, where, verified and how to get it."""
    try:
        known = dataset_of(name)
    except ValueError as error:  # of another package
        return [("", "", UNAVAILABLE, f"no: {error}", "")]
    try:
        rows: list[Listed] = known.overview(folder)
    except NotAvailable as error:
        lacking = ("", "", str(folder), f"no: {error}") if isinstance(error, Incomplete) else ("", "", UNAVAILABLE, "")
        return [(*lacking, known.how)]
    except UserError as error:
        return [("", "", str(folder), f"no: {error}", known.how)]
    return [(row.split, str(row.samples), row.source, row.verified, known.how) for row in rows]
