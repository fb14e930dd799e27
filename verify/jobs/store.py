"""Owns the store: settings, outcome and provenance of every job in one SQLite file that survives a kill at any moment.

Two tables hold outcomes: `jobs` every job's, and `runs` those of runs that were stored before there was one table; both are read, and
new outcomes go into `jobs`.
"""

import io
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.jobs.job import Job, Outcome, Stored
from flatproof.verify.utils.errors import UserError

FORMAT = 1  # raised when the tables below change
APPLICATION = 0x464C5052  # "FLPR", marks the file as ours
JOBS = """CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, outcome TEXT NOT NULL,
    seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP, arrays BLOB
)"""
RUNS = """CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
    network BLOB, seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
)"""
# of each table, as the columns of a row: settings, status (in `jobs` part of the outcome), outcome, seconds, provenance, arrays
COLUMNS = {
    "jobs": "settings, NULL, outcome, seconds, provenance, {arrays}",
    "runs": "settings, status, outcome, seconds, provenance, network",
}
T = TypeVar("T")
AnyJob = TypeVar("AnyJob", bound=Job[Any])


class StoreError(UserError):
    """The store cannot be used; one line says why and what was expected."""


class Store:
    """Jobs by the address of their settings. Writing is one transaction each; storing one again changes nothing.

    What was read once is kept: rows never change. The table of jobs is created, or given its column of arrays, with the first job that
    is put there: a store without it is older.
    """

    def __init__(self, path: str | Path) -> None:
        """Open or create. Errors: StoreError for a file that is no store, or one of another version; it is left as it was."""
        self.path = Path(path)
        try:
            new = not self.path.exists() or self.path.stat().st_size == 0
            if not new:
                self._check()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=60)
            self._read: dict[tuple[str, bool], Stored[Any]] = {}
            if new:
                self._create()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"store {self.path} cannot be opened: {error}; expected a file that can be written") from None

    def _check(self) -> None:
        with self.path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise StoreError(f"store {self.path} is not a flatproof store; expected one, or a path that does not exist")
        connection = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=rw", uri=True)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            written = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
        if application != APPLICATION:
            raise StoreError(f"store {self.path} belongs to another program; expected a flatproof store")
        if written != FORMAT:
            raise StoreError(
                f"store {self.path} has format {written}, this version reads format {FORMAT}; name another file with --store"
            )

    def _create(self) -> None:
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {RUNS}; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

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
        return any(self._rows(f"SELECT 1 FROM {table} WHERE key = ?", job.key) for table in self._tables())

    def keys(self) -> frozenset[str]:
        """The addresses of everything that is stored now."""
        return frozenset(key for table in self._tables() for (key,) in self._rows(f"SELECT key FROM {table}"))

    def missing(self, jobs: Iterable[AnyJob]) -> list[AnyJob]:
        """Those of the jobs that are not stored, each once, in their order."""
        stored = self.keys()
        return [job for key, job in {job.key: job for job in jobs}.items() if key not in stored]

    def put(self, job: Job[Any], outcome: Outcome, provenance: Mapping[str, str]) -> None:
        """Store what a job gave, at once and durably.

        Raises:
            StoreError: when the file cannot be written; what was stored before is kept.
        """
        if job in self:
            return
        row = (job.key, json.dumps(job.settings()), json.dumps(outcome.values), outcome.seconds, json.dumps(dict(provenance)))
        self._make_room()
        self._write(
            "INSERT OR IGNORE INTO jobs (key, settings, outcome, seconds, provenance, arrays) VALUES (?, ?, ?, ?, ?, ?)",
            (*row, _pack(outcome.arrays)),
        )

    def get(self, job: Job[T], arrays: bool = True) -> Stored[T] | None:
        """What is stored of a job.

        Args:
            job: any job.
            arrays: read the arrays too; without them thousands of jobs are looked at whose networks are not needed.

        Returns:
            The stored job, or None.

        Raises:
            StoreError: for a damaged file or row.
        """
        if (key := job.key, arrays) not in self._read:
            row = self._row_of(key, arrays)
            if row is None:
                return None
            self._read[key, arrays] = self._restored(job, row)
        return self._read[key, arrays]

    def _restored(self, job: Job[T], row: tuple[Any, ...]) -> Stored[T]:
        settings, status, outcome, seconds, provenance, blob = row
        try:
            values = json.loads(outcome) if status is None else {"status": status} | json.loads(outcome)
            result = job.result(Outcome(values, seconds, _unpack(blob)))
            return Stored(json.loads(settings), result, json.loads(provenance), seconds)
        except (ValueError, KeyError, TypeError, OSError, BadZipFile) as error:
            raise StoreError(
                f"store {self.path}: job {job.key[:12]} is damaged ({type(error).__name__}); expected what 'put' wrote"
            ) from None

    def _row_of(self, key: str, arrays: bool) -> tuple[Any, ...] | None:
        """The columns of a job, in one query over the tables that are there."""
        tables = self._tables()
        chosen = {name: columns if arrays else columns.rsplit(",", 1)[0] + ", NULL" for name, columns in tables.items()}
        query = " UNION ALL ".join(f"SELECT {columns} FROM {name} WHERE key = ?" for name, columns in chosen.items())
        return next(iter(self._rows(query, *[key] * len(chosen))), None)

    def _tables(self) -> dict[str, str]:
        """The tables that are there, with their columns."""
        there = {name for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        there.add("runs")  # every store has it: one without it is damaged
        held = "arrays" if "arrays" in self._columns_of_jobs() else "NULL"
        return {table: columns.format(arrays=held) for table, columns in COLUMNS.items() if table in there}

    def _columns_of_jobs(self) -> set[str]:
        return {str(row[1]) for row in self._rows("PRAGMA table_info(jobs)")}

    def _make_room(self) -> None:
        """Create the table of jobs, or give it the column that it lacks in a store from before jobs had arrays."""
        columns = self._columns_of_jobs()
        if not columns:
            self._write(JOBS)
        elif "arrays" not in columns:
            self._write("ALTER TABLE jobs ADD COLUMN arrays BLOB")

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """The rows of a query. Errors: StoreError when the file is damaged."""
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path} cannot be read: {error}; expected an undamaged flatproof store") from None

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """One transaction. Errors: StoreError."""
        try:
            with self._connection:
                self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path} cannot be written: {error}; what was stored before is kept") from None


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Named arrays as one compressed file; None if there are none."""
    if not arrays:
        return None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpack(blob: bytes | None) -> dict[str, NDArray[Any]]:
    """What `_pack` wrote, in its order."""
    if blob is None:
        return {}
    with np.load(io.BytesIO(blob)) as arrays:
        return {name: arrays[name] for name in arrays.files}
