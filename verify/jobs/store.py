"""Owns the store: settings, outcome and provenance of every job in one SQLite file that survives a kill at any moment.

Two tables hold outcomes: `jobs` every job's, and `runs` those of runs that were stored before there was one table; both are read, and
new outcomes go into `jobs`. Each row is sealed as it is written (`verify.jobs.seals`), and compared with its seal as it is read. A store
from before there were seals is given them when it is opened; its rows count as unsealed until `verify.jobs.mending.check` has looked.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flatproof.verify.jobs import seals
from flatproof.verify.jobs.job import Job, Outcome, Stored
from flatproof.verify.jobs.rows import (
    INSERT,
    JOBS,
    TABLES,
    Kept,
    Readings,
    Row,
    altered,
    described,
    pack,
    row_of,
    rows_of,
    tables_of,
    unpack,
)
from flatproof.verify.utils.errors import UserError

FORMAT = 2  # raised when the tables change; 1 had no seals
APPLICATION = 0x464C5052  # "FLPR", marks the file as ours
# what SQLite says of the place, not of the content
PLACE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
MEND = "'flatproof store mend' keeps what is sound"
T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound=Job[Any])


class StoreError(UserError):
    """The store cannot be used; one line says why and what was expected."""


class DamagedRow(StoreError):
    """One outcome cannot be used; all others can.

    Attributes:
        key: its address.
    """

    def __init__(self, path: Path, key: str, name: str, why: str) -> None:
        super().__init__(f"store {path}: row {key[:12]} ({name}) is damaged: {why}")
        self.key = key


class CutRow(DamagedRow):
    """Of one outcome's curves the ends alone are there."""


@dataclass(frozen=True)
class Noted:
    """What a report looked at. rows: stored addresses, True where arrays were got. curves: those whose curves were got beyond their
    ends. readings: what was read of arrays (`Store.reading`)."""

    rows: dict[str, bool] = field(default_factory=dict)
    curves: set[str] = field(default_factory=set)
    readings: Readings = field(default_factory=dict)


class _Noting(frozenset[str]):
    """Addresses that note, of each that one finds among them, that it was looked for."""

    noted: "Noted"

    def __contains__(self, key: object) -> bool:
        if not super().__contains__(key):
            return False
        self.noted.rows.setdefault(str(key), False)
        return True


class Store:
    """Jobs by the address of their settings. Writing is one transaction each; storing one again changes nothing.

    What was read once is kept: rows never change.
    """

    def __init__(self, path: str | Path, readings: Readings | None = None, cut: Mapping[str, seals.Seal] | None = None) -> None:
        """Open or create. Errors: StoreError for a file that is no store, or one of another version; it is left as it was.

        Args:
            path: of the file.
            readings: what was read of arrays where these were at hand.
            cut: of rows whose curves were cut to their ends the seals of the whole rows, by address.
        """
        self.path = Path(path)
        self._read: dict[tuple[str, bool], Stored[Any]] = {}
        self._noted: Noted | None = None
        self._given, self._cut = readings or {}, cut or {}
        with readable(self.path):
            new = not self.path.exists() or self.path.stat().st_size == 0
            self._connection = connected(self.path) if new else opened(self.path)
            self._file = identity(self.path)
            if new:
                with transaction(self._connection, "IMMEDIATE"):
                    create(self._connection)
            self._tables = tables_of(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def abandon(self) -> None:
        """Undo a transaction that a signal has left open, so that the store can be asked again."""
        if self._connection.in_transaction:
            self._connection.rollback()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        """True, of an empty store too."""
        return True

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, job: Job[Any]) -> bool:
        with self._asking():
            return self._has(job.key)

    def keys(self) -> frozenset[str]:
        """The addresses of everything that was stored, of damaged rows too. Errors: StoreError when rows were lost without a trace."""
        with self._asking():
            keys = {key for table in self._tables for (key,) in self._connection.execute(f"SELECT key FROM {table}")}
            noted = list(seals.each(self._connection))
            wrong = seals.disagreement(self._connection, noted)
        if wrong:
            raise StoreError(f"store {self.path} is damaged: {wrong}; {MEND}")
        everything = keys.union(seal.key for seal in noted)
        if self._noted is None:
            return frozenset(everything)
        watched = _Noting(everything)
        watched.noted = self._noted
        return watched

    @contextmanager
    def noting(self) -> Iterator[Noted]:
        """What a report looks at within the block; `key in store.keys()` counts, too."""
        self._noted = Noted()
        try:
            yield self._noted
        finally:
            self._noted = None

    def rows(self, wanted: Mapping[str, bool]) -> list[Kept]:
        """Rows as they lie here, with their seals, in the order of their addresses; those that are lost or altered are left out.

        Args:
            wanted: addresses, True where the arrays are wanted, too.
        """
        kept = []
        with self._asking():
            for key, arrays in sorted(wanted.items()):
                seal, found = self._seal(key), row_of(self._connection, key, self._tables, arrays)
                if seal is not None and found is not None and not altered(found[1], found[0], seal, arrays):
                    kept.append(Kept(*found, seal, self._cut.get(key)))
        return kept

    def unsealed(self) -> int:
        """How many rows were stored before rows were sealed, and have not been checked since."""
        with self._asking():
            return int(self._connection.execute("SELECT count(*) FROM seals WHERE sealed = 0").fetchone()[0])

    def missing(self, jobs: Iterable[AnyJob]) -> list[AnyJob]:
        """Those of the jobs that are not stored, each once, in their order."""
        stored = self.keys()
        return [job for key, job in {job.key: job for job in jobs}.items() if key not in stored]

    def put(self, job: Job[Any], outcome: Outcome, provenance: Mapping[str, str]) -> None:
        """Store what a job gave, at once and durably. Errors: as for `put_all`."""
        self.put_all([(job, outcome, provenance)])

    def put_all(self, ended: Iterable[tuple[Job[Any], Outcome, Mapping[str, str]]]) -> None:
        """Store what jobs gave, all of it or nothing, durably: one transaction, the cost of which is that of one job's.

        Raises:
            StoreError: when the file cannot be written; what was stored before is kept.
        """
        rows = {row.key: row for row in map(_row, ended)}
        with self._writing():
            new = [row for row in rows.values() if not self._has(row.key)]
            self._connection.executemany(INSERT["jobs"], new)
            seals.note(self._connection, [row.seal("jobs") for row in new])

    def take(self, rows: Iterable[Kept]) -> list[str]:
        """Add rows of another store as they lie there, each under the seal that it has, all of them or none; what is stored here stays.

        Args:
            rows: of two with one address the first counts.

        Returns:
            The addresses that are new here.

        Raises:
            StoreError: as for `put_all`.
        """
        added: dict[str, Kept] = {}
        with self._writing():
            for kept in rows:
                if kept.row.key not in added and not self._has(kept.row.key):
                    added[kept.row.key] = kept
            for table, row, *_ in added.values():
                self._connection.execute(TABLES[table])
                self._connection.execute(INSERT[table], row)
            seals.note(self._connection, [kept.seal for kept in added.values()])
        self._tables = tables_of(self._connection)
        return list(added)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, in the file that was opened. Errors: StoreError when it cannot be written."""
        try:
            if identity(self.path) != self._file:
                raise OSError("another file took its place while it was open")
            with transaction(self._connection, "IMMEDIATE"):
                yield
        except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: of a damaged tally
            raise StoreError(f"store {self.path} cannot be written: {error}; what was stored before is kept") from None

    def get(self, job: Job[T], arrays: bool = True, curves: bool = True) -> Stored[T] | None:
        """What is stored of a job.

        Args:
            job: any job.
            arrays: read the arrays too; without them thousands of jobs are looked at whose networks are not needed.
            curves: look at more than the ends of curves; without them thousands of runs can be published.

        Returns:
            The stored job, or None.

        Raises:
            DamagedRow: for an outcome that was altered, lost, or cannot be read; its kind CutRow for one without its curves.
            StoreError: for a damaged file.
        """
        if curves and (key := job.key) in self._cut:
            raise CutRow(self.path, key, described(job.settings()), "of its curves the ends alone were published")
        stored = self._found(job, arrays)
        if stored is not None and self._noted is not None:
            self._noted.rows[job.key] = self._noted.rows.get(job.key, False) or arrays
            if curves:
                self._noted.curves.add(job.key)
        return stored

    def reading(self, job: Job[T], name: str, read: Callable[[T], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """A few numbers of a job's arrays, which are published in place of these (`outcomes.publish`).

        Args:
            job: any job.
            name: of the reading; one name, one function.
            read: of the job's result, with its arrays; gives numbers and texts that JSON keeps.

        Returns:
            What it gives, or gave where the arrays were at hand; None for what is not stored.

        Raises:
            DamagedRow: as for `get`.
            StoreError: for a damaged file.
        """
        given = self._given.get(job.key, {}).get(name)
        if (stored := self._found(job, arrays=given is None)) is None:
            return None
        values = read(stored.result) if given is None else given
        if self._noted is not None:
            self._noted.rows.setdefault(job.key, False)
            self._noted.curves.add(job.key)  # which `read` may look at
            self._noted.readings.setdefault(job.key, {})[name] = values
        return values

    def _found(self, job: Job[T], arrays: bool) -> Stored[T] | None:
        if (key := job.key, arrays) not in self._read:
            with self._asking():
                seal = self._seal(key)
                found = row_of(self._connection, key, self._tables, arrays)
            if found is None and seal is None:
                return None
            self._read[key, arrays] = self._restored(job, found, seal, arrays)
        return self._read[key, arrays]

    def _restored(self, job: Job[T], found: tuple[str, Row] | None, seal: seals.Seal | None, arrays: bool) -> Stored[T]:
        def damaged(why: str) -> DamagedRow:
            return DamagedRow(self.path, job.key, described(job.settings()), why)

        if found is None:
            raise damaged("it was stored, and is gone")
        table, row = found
        if why := altered(row, table, seal, arrays):
            raise damaged(why)
        try:
            result = job.result(Outcome(row.values(), row.seconds, unpack(row.arrays)))
            return Stored(json.loads(row.settings), result, json.loads(row.provenance), row.seconds)
        except Exception as error:  # numpy, zipfile, zlib and the job's own reading raise whatever the damage leads to
            raise damaged(f"it cannot be read ({type(error).__name__}: {error}); expected what 'put' wrote") from None

    def _has(self, key: str) -> bool:
        return self._seal(key) is not None or row_of(self._connection, key, self._tables, arrays=False) is not None

    def _seal(self, key: str) -> seals.Seal | None:
        row = self._connection.execute("SELECT key, digest, arrays, sealed FROM seals WHERE key = ?", (key,)).fetchone()
        return row and seals.Seal(*row)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Questions that see the store as it is at one moment. Errors: StoreError when the file cannot be read."""
        with readable(self.path), transaction(self._connection, "DEFERRED"):
            yield


def _row(ended: tuple[Job[Any], Outcome, Mapping[str, str]]) -> Row:
    """The row of what a job gave."""
    job, outcome, provenance = ended
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    texts = json.dumps(job.settings()), json.dumps(outcome.values), json.dumps(dict(provenance))
    return Row(job.key, texts[0], None, texts[1], float(outcome.seconds), texts[2], now, pack(outcome.arrays))


def filled(path: Path, rows: Iterable[Kept], readings: Readings | None = None) -> Store:
    """A new store of rows from elsewhere, each under the seal that it has there, and what was read of arrays. Errors: StoreError."""
    cut: dict[str, seals.Seal] = {}
    with readable(path), closing(connected(path)) as connection, transaction(connection, "IMMEDIATE"):
        create(connection)
        for table, row, seal, whole in rows:
            connection.execute(TABLES[table])
            connection.execute(INSERT[table], row)
            seals.note(connection, [seal])
            if whole is not None:
                cut[row.key] = whole
    return Store(path, readings, cut)


def opened(path: Path) -> sqlite3.Connection:
    """A connection to a store that is there, upgraded, in memory where it cannot be written. Errors: StoreError, sqlite3.Error."""
    require_database(path)
    connection = connected(path)
    try:
        if blank(connection):
            with transaction(connection, "IMMEDIATE"):
                create(connection)
        if format_of(connection, path) == FORMAT:
            return connection
        try:
            upgrade(connection)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_READONLY:
                raise
            copy = sqlite3.connect(":memory:", isolation_level=None)
            copy.text_factory = connection.text_factory
            connection.backup(copy)
            connection.close()
            upgrade(copy)
            copy.execute("PRAGMA query_only = ON")
            return copy
        return connection
    except BaseException:
        connection.close()
        raise


def connected(path: Path) -> sqlite3.Connection:
    """A connection that begins transactions only where it is told, and whose texts can hold any bytes; a folder for the file is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


def require_database(path: Path) -> None:
    """StoreError for a file that is no database. Errors: OSError."""
    with path.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise StoreError(f"store {path} is not a flatproof store; expected one, or a path that does not exist")


def blank(connection: sqlite3.Connection) -> bool:
    """Whether a database holds nothing at all, as what a process that was killed while it created a store leaves."""
    marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return marks == [0, 0] and not connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def format_of(connection: sqlite3.Connection, path: Path) -> int:
    """The format of a store. Errors: StoreError for what is no store of this version."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise StoreError(f"store {path} belongs to another program; expected a flatproof store")
    written = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if not 1 <= written <= FORMAT:
        raise StoreError(
            f"store {path} has format {written}, this version reads formats up to {FORMAT}; name another file with --store"
        )
    return written


def create(connection: sqlite3.Connection) -> None:
    """The tables of a new store, inside a transaction of the caller's."""
    for statement in (JOBS, seals.SEALS, seals.TALLY, seals.FIRST_TALLY):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def upgrade(connection: sqlite3.Connection) -> None:
    """Give a store from before there were seals its seals, all at once. Errors: sqlite3.Error."""
    with transaction(connection, "IMMEDIATE"):
        if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT:
            return  # another process was faster
        if "runs" not in tables_of(connection):
            raise sqlite3.DatabaseError("no such table: runs")
        create(connection)
        if "arrays" not in {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}:
            connection.execute("ALTER TABLE jobs ADD COLUMN arrays BLOB")
        for table in tables_of(connection):
            seals.note(connection, [row.seal(table, sealed=False) for row in rows_of(connection, table)])


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """All or nothing. `kind`: DEFERRED to read, IMMEDIATE to write, EXCLUSIVE to be alone. Errors: sqlite3.Error."""
    try:
        connection.execute(f"BEGIN {kind}")  # in here: a signal may end this right after it
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def readable(path: Path, advice: str = MEND) -> Iterator[None]:
    """Turn the errors of a file that cannot be used into StoreError, which says whether it is the place or the content (with advice)."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"store {path} cannot be opened: {error.strerror or error}; expected a file that can be written"
        ) from None
    except sqlite3.Error as error:
        if in_use(error):
            raise StoreError(f"store {path} is in use: {error}; expected no other process to hold it for so long") from None
        if _code(error) in PLACE:
            raise StoreError(f"store {path} cannot be used: {error}; expected a file that can be read and written") from None
        raise StoreError(f"store {path} is damaged: {' '.join(str(error).split())}; {advice}") from None


def _code(error: sqlite3.Error) -> int:
    """SQLite's own code of an error, without the details in its higher bytes."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def in_use(error: sqlite3.Error) -> bool:
    """Whether another process holds the file."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def identity(path: Path) -> tuple[int, int]:
    """Which file lies at a path. Errors: OSError."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
