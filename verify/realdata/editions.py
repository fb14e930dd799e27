"""Owns editions: checksums that tell the files of a data set found now from any others, without decoding them.

Addresses of runs hold editions. Who publishes outcomes notes those that were asked for (`noting_editions`), and who builds tables from
published outcomes assumes them (`assuming_editions`): the data need not be there.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from flatproof.verify.realdata.catalogue import dataset_of
from flatproof.verify.realdata.files import data_root
from flatproof.verify.realdata.samples import NotAvailable

ABSENT = "not on this machine"
_noted: ContextVar[dict[str, str] | None] = ContextVar("noted", default=None)
_assumed: ContextVar[Mapping[str, str]] = ContextVar("assumed", default={})  # noqa: B039 (never written to)


@contextmanager
def noting_editions() -> Iterator[dict[str, str]]:
    """Gives the editions that are asked for within the block, by name."""
    noted: dict[str, str] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


@contextmanager
def assuming_editions(editions: Mapping[str, str]) -> Iterator[None]:
    """Within the block these are the editions, whatever is on this machine."""
    token = _assumed.set(editions)
    try:
        yield
    finally:
        _assumed.reset(token)


def edition_by(name: str, find: Callable[[], str]) -> str:
    """The edition of that name: the one that is assumed, or else the one that is found.

    Args:
        name: of the files, the same on every machine.
        find: looks at the files.
    """
    assumed = _assumed.get()
    edition = assumed[name] if name in assumed else find()
    if (noted := _noted.get()) is not None:
        noted[name] = edition
    return edition


def there(name: str, look: Callable[[], bool]) -> bool:
    """Whether files are there: as it is assumed, or else as `look` finds.

    Args:
        name: of the files, the same on every machine.
        look: for the files.
    """
    return edition_by(f"{name}, files", lambda: "there" if look() else ABSENT) != ABSENT


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
