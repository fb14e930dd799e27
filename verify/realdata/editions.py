"""Owns `edition_of`: a checksum that tells the files of a data set found now from any others, without decoding them."""

import hashlib

from flatproof.verify.realdata.catalogue import dataset_of
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.samples import NotAvailable

ABSENT = "not on this machine"


def edition_of(name: str, train: int | None = None, test: int | None = None) -> str:
    """SHA-256 of what tells a data set's files from any others; ABSENT if a split is not there.

    Args:
        name: one of `NAMES`, or "module:object".
        train, test: limits, the first so many samples of each split; all of them for None.
    """
    known, root = dataset_of(name), data_root()
    try:
        fingerprints = known.fingerprint(root, "train", train), known.fingerprint(root, "test", test)
    except NotAvailable:
        return ABSENT
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()
