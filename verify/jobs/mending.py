"""Owns a store's health: `check` looks at every row and at the file itself, `mend` sets a damaged file aside and keeps what is sound."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from flatproof.verify.jobs import seals
from flatproof.verify.jobs.rows import INSERT, TABLES, Row, altered, described, misplaced, rows_of, tables_of, unreadable
from flatproof.verify.jobs.store import StoreError, connected, create, format_of, in_use, opened, readable, transaction

T = TypeVar("T")
GONE = "it was stored, and is gone"
SMALLEST = 128  # bytes; no row is as small: its address alone is half of that


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row: its address, what it is of (as far as that can be read), why it cannot be used."""

    key: str
    name: str
    why: str

    def __post_init__(self) -> None:
        for name in ("key", "name", "why"):  # what was damaged can hold bytes that are no text, or be none at all
            object.__setattr__(self, name, str(getattr(self, name)).encode("utf-8", "backslashreplace").decode())

    def __str__(self) -> str:
        return f"row {self.key[:12]} ({self.name}): {self.why}"


@dataclass(frozen=True)
class Condition:
    """What a check found.

    Attributes:
        rows: how many outcomes are there.
        sealed_now: how many of them had been unsealed, are sound, and were sealed by this check.
        faults: of single rows.
        structure: what is wrong with the file as a whole.
    """

    rows: int
    sealed_now: int
    faults: tuple[Fault, ...]
    structure: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.structure

    @property
    def stored(self) -> int:
        """How many outcomes are there, or were."""
        return self.rows + sum(fault.why == GONE for fault in self.faults)


def check(path: Path) -> Condition:
    """Look at every row and at the file; rows from before there were seals are sealed where they are sound.

    Args:
        path: of a store, which is left as it is but for seals.

    Raises:
        StoreError: for what is no store, or cannot be read at all.
    """
    with readable(path), closing(opened(path)) as connection:
        structure = [line for (line,) in connection.execute("PRAGMA integrity_check(20)") if line != "ok"]
        with transaction(connection, "DEFERRED"):
            noted = {seal.key: seal for seal in seals.each(connection)}
            if wrong := seals.disagreement(connection, list(noted.values())):
                structure.append(wrong)
            faults, seen, unsealed = [], set(), []
            for table in tables_of(connection):
                for row in rows_of(connection, table):
                    seal = noted.get(row.key)
                    seen.add(row.key)
                    if why := altered(row, table, seal) or unreadable(row):
                        faults.append(Fault(row.key, name_of(row), why))
                    elif seal is not None and not seal.sealed:
                        unsealed.append(row.key)
            faults += [Fault(key, "not known", GONE) for key in sorted(noted.keys() - seen, key=str)]
        if unsealed and not structure and not _read_only(connection):
            _seal(connection, unsealed)
        else:
            unsealed = []
    return Condition(len(seen), len(unsealed), tuple(faults), tuple(structure))


def _read_only(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA query_only").fetchone()[0])


def _seal(connection: sqlite3.Connection, keys: list[str]) -> None:
    with transaction(connection, "IMMEDIATE"):
        connection.executemany("UPDATE seals SET sealed = 1 WHERE key = ?", [(key,) for key in keys])
        connection.execute("UPDATE tally SET digest = ?", (seals.total(seals.each(connection)),))


def name_of(row: Row) -> str:
    """What a row is of, as far as its settings can be read."""
    try:
        return described(json.loads(row.settings))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "not known"


def mend(path: Path) -> tuple[int, Path | None]:
    """Keep what is sound: a damaged store is set aside under another name, and a new one holds its sound rows.

    Args:
        path: of a store that no other process uses.

    Returns:
        How many rows the store at `path` holds, and where the damaged file lies now (None: nothing was damaged).

    Raises:
        StoreError: for what is no store, one of another version, or one that another process uses.
    """
    _require_ours(path)
    with suppress(StoreError):
        condition = check(path)
        if condition.sound:
            return condition.rows, None
    nothing = "nothing of it can be kept, and it is left as it is"
    with readable(path, nothing), tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / "draft"
        with closing(connected(path)) as old:
            _alone(old)
            with closing(connected(_with_header(path, Path(folder) / "copy"))) as damaged, closing(connected(draft)) as whole:
                kept = _copied(damaged, whole)
            aside = _set_aside(path)
            draft.replace(path)
    return kept, aside


def _require_ours(path: Path) -> None:
    """StoreError for another program's file or another version's; one that is too damaged to say so, or marked by nobody, passes."""
    with readable(path), closing(connected(path)) as connection, suppress(sqlite3.DatabaseError):
        if connection.execute("PRAGMA application_id").fetchone()[0] or tables_of(connection):
            format_of(connection, path)


def _alone(connection: sqlite3.Connection) -> None:
    """Keep other processes from writing until the connection is closed; a damaged file may refuse. Errors: sqlite3.Error when in use."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        with transaction(connection, "EXCLUSIVE"):
            pass
    except sqlite3.Error as error:
        if in_use(error):
            raise


def _with_header(path: Path, copy: Path) -> Path:
    """A copy of a store whose header counts the pages that are there: SQLite reads nothing of a file that was cut off."""
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    if size >= 512:
        content[28:32] = (len(content) // size).to_bytes(4, "big")
    copy.write_bytes(content)
    return copy


def _copied(damaged: sqlite3.Connection, whole: sqlite3.Connection) -> int:
    """Copy the sound rows into a new store; how many they were."""
    kept = 0
    with transaction(whole, "IMMEDIATE"):
        create(whole)
        for table, row, sealed in _sound_rows(damaged):
            whole.execute(TABLES[table])
            whole.execute(INSERT[table], row)
            seals.note(whole, [row.seal(table, sealed)])
            kept += 1
    return kept


def _sound_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, Row, bool]]:
    """The rows that can be read and are as they were written, with their tables, and whether they are sealed."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not names & TABLES.keys():
        raise sqlite3.DatabaseError("it has no table of outcomes")
    sealing = "seals" in names
    given = list(_as_far_as_possible(seals.each(connection))) if sealing else []
    noted, by_digest = {seal.key: seal for seal in given}, {seal.digest: seal for seal in given}
    seen: set[str] = set()
    for table in tables_of(connection):
        for row in _rows(connection, table):
            if row.key in seen or misplaced(row) or unreadable(row) or not _is_text(row):
                continue
            seal = noted.get(row.key) or by_digest.get(row.seal(table).digest)  # the key of a seal may be what was damaged
            if sealing and seal is None:
                ways = (_as_far_as_possible(seals.of(connection, row.key, backwards)) for backwards in (False, True))
                seal = next(chain.from_iterable(ways), None)
            if not sealing or not altered(row, table, seal):
                seen.add(row.key)
                yield table, row, seal is not None and bool(seal.sealed)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[Row]:
    """The rows of a table as far as it can be read through, then, one by one, those behind what cannot be read; some come twice."""
    arrays = TABLES[table].count("BLOB") == sum(row[2] == "BLOB" for row in connection.execute(f"PRAGMA table_info({table})"))
    try:
        yield from rows_of(connection, table, arrays)
    except sqlite3.Error:
        size = [int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")]
        for number in range(1, size[0] * size[1] // SMALLEST):  # nothing is ever deleted: rows are numbered from 1
            yield from _as_far_as_possible(rows_of(connection, table, arrays, number))


def _is_text(row: Row) -> bool:
    """Whether its texts hold no bytes that are none, which no store takes."""
    try:
        return all(value.encode() is not None for value in row if isinstance(value, str))
    except UnicodeEncodeError:
        return False


def _as_far_as_possible(items: Iterator[T]) -> Iterator[T]:
    """The items up to the first that a damaged file keeps from being read."""
    with suppress(sqlite3.Error):
        yield from items


def _set_aside(path: Path) -> Path:
    """Give a file a second name, and take away the journal that belongs to it."""
    aside = next(p for i in range(1, 10**6) if not (p := path.with_name(f"{path.name}.damaged-{i}")).exists())
    try:
        os.link(path, aside)
    except OSError:  # a file system without links: a kill before the new file is in place leaves the damaged one under this name
        path.rename(aside)
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        journal.rename(aside.with_name(f"{aside.name}-journal"))
    return aside
