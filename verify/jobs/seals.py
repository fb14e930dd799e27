"""Owns the seals of stored rows: a digest of each row beside it, and a tally over all of them, so that no alteration goes unseen.

A seal is a row of the table `seals`: the digest of all columns of its row but the arrays, the digest of the arrays, and whether the row
was sealed when it was written (1) or stands as it was found in a store from before there were seals (0, "unsealed"). The one row of
`tally` counts the seals and adds up their digests, so that rows which disappear together with their seals are missed too. Seals show
accidents and careless hands; who rewrites all three tables consistently is not caught.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SEALS = """CREATE TABLE IF NOT EXISTS seals (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, arrays TEXT, sealed INTEGER NOT NULL
) WITHOUT ROWID"""
TALLY = "CREATE TABLE IF NOT EXISTS tally (count INTEGER NOT NULL, digest TEXT NOT NULL)"
FIRST_TALLY = f"INSERT INTO tally SELECT 0, '{0:064x}' WHERE NOT EXISTS (SELECT 1 FROM tally)"

Value = str | bytes | int | float | None


class Seal(NamedTuple):
    """What was noted of a row when it was written."""

    key: str
    digest: str
    arrays: str | None
    sealed: int


def seal_of(key: str, table: str, columns: Sequence[Value], arrays: bytes | None, sealed: bool = True) -> Seal:
    """The seal of a row.

    Args:
        key: its address.
        table: where it lies.
        columns: all but key and arrays.
        arrays: the packed arrays, None if it has none.
        sealed: whether it is sealed as it is written.
    """
    return Seal(key, digest([table, key, *columns]), digest_of_arrays(arrays), int(sealed))


def digest_of_arrays(arrays: Value) -> str | None:
    """Digest of packed arrays; None for none."""
    return None if arrays is None else digest([arrays])


def digest(values: Iterable[Value]) -> str:
    """SHA-256 of some values with their types and lengths, so that no two lists of values share one."""
    whole = hashlib.sha256()
    for value in values:
        content = _bytes(value)
        whole.update(f"{type(value).__name__} {len(content)} ".encode())
        whole.update(content)
    return whole.hexdigest()


def _bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, float):
        return struct.pack(">d", value)
    return str(value).encode("utf-8", "surrogateescape")


def total(seals: Iterable[Seal], start: str = "0") -> str:
    """The digests of some seals added up, in any order, to those of a tally."""
    added = sum(int(digest([*seal]), 16) for seal in seals)
    return f"{(int(start, 16) + added) % 2**256:064x}"


def note(connection: sqlite3.Connection, seals: Sequence[Seal]) -> None:
    """Write seals, and count them; inside a transaction of the caller's. Errors: sqlite3.Error."""
    connection.executemany("INSERT INTO seals VALUES (?, ?, ?, ?)", seals)
    count, before = connection.execute("SELECT count, digest FROM tally").fetchone()
    connection.execute("UPDATE tally SET count = ?, digest = ?", (count + len(seals), total(seals, before)))


def each(connection: sqlite3.Connection) -> Iterator[Seal]:
    """All seals. Errors: sqlite3.Error."""
    yield from map(Seal._make, connection.execute("SELECT key, digest, arrays, sealed FROM seals"))


def of(connection: sqlite3.Connection, key: str, backwards: bool = False) -> Iterator[Seal]:
    """The seal of an address, if there is one; backwards SQLite passes other pages on its way there. Errors: sqlite3.Error."""
    where = "key >= ?1 AND key <= ?1 ORDER BY key DESC LIMIT 1" if backwards else "key = ?1"
    yield from map(Seal._make, connection.execute(f"SELECT key, digest, arrays, sealed FROM seals WHERE {where}", (key,)))


def disagreement(connection: sqlite3.Connection, seals: Sequence[Seal]) -> str | None:
    """How the tally differs from the seals, None if it does not."""
    tallies = connection.execute("SELECT count, digest FROM tally").fetchall()
    if len(tallies) != 1:
        return f"it holds {len(tallies)} tallies of its rows, expected one"
    count, added = tallies[0]
    if count != len(seals):
        return f"{count} rows were written to it, it holds the seals of {len(seals)}"
    if added != total(seals):
        return "the seals of its rows were altered"
    return None
