"""Owns rows of the store as they lie in its tables: their columns, reading them one by one, and what can be wrong with one."""

import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.verify.jobs.job import address
from flatproof.verify.jobs.seals import Seal, Value, seal_of

JOBS = """CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, outcome TEXT NOT NULL,
    seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP, arrays BLOB
)"""
RUNS = """CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
    network BLOB, seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
)"""
TABLES = {"jobs": JOBS, "runs": RUNS}
# of each table: the columns of a row, its status (in `jobs` part of the outcome) and its arrays
COLUMNS = {
    "jobs": ("settings, NULL, outcome, seconds, provenance, stored_at", "arrays"),
    "runs": ("settings, status, outcome, seconds, provenance, stored_at", "network"),
}
INSERT = {
    "jobs": "INSERT INTO jobs (key, settings, outcome, seconds, provenance, stored_at, arrays) VALUES (?1, ?2, ?4, ?5, ?6, ?7, ?8)",
    "runs": "INSERT INTO runs (key, settings, status, outcome, seconds, provenance, stored_at, network) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
}


STATUSES = (None, "finished", "diverged")  # of rows of `runs`


class Row(NamedTuple):
    """A stored outcome. `status` is None in the table `jobs`; `arrays` packed, None where there are none or they were not read."""

    key: str
    settings: str
    status: str | None
    outcome: str
    seconds: float
    provenance: str
    stored_at: str
    arrays: bytes | None

    def values(self) -> dict[str, Any]:
        """The outcome's values. Errors: ValueError for no JSON."""
        values = json.loads(self.outcome)
        if not isinstance(values, dict):
            raise ValueError("the outcome is no JSON object")
        return values if self.status is None else {"status": self.status} | values

    def seal(self, table: str, sealed: bool = True) -> Seal:
        """What is noted of it."""
        columns: tuple[Value, ...] = self[1:-1]
        return seal_of(self.key, table, columns, self.arrays, sealed)


Readings = dict[str, dict[str, Mapping[str, Any]]]  # by address and name: a few numbers of a row's arrays


class Kept(NamedTuple):
    """A row as it lies in a table, with its seal; its arrays may have been left out.

    `whole` is the seal that it had before its curves were cut to their ends, None where they were not.
    """

    table: str
    row: Row
    seal: Seal
    whole: Seal | None = None

    def cut(self) -> "Kept":
        """With the last point alone of each curve of its outcome, under a seal of what is left; itself where it has no curves."""
        values = json.loads(self.row.outcome)
        curve = values.get("curve")
        if (
            self.whole is not None
            or not isinstance(curve, dict)
            or not all(isinstance(points, list) for points in curve.values())
        ):
            return self
        values["curve"] = {name: points[-1:] for name, points in curve.items()}
        row = self.row._replace(outcome=json.dumps(values))
        return Kept(self.table, row, resealed(self.table, row, self.seal), self.seal)


def resealed(table: str, row: Row, whole: Seal) -> Seal:
    """The seal of a row whose curves were cut; that of its arrays stays."""
    return row.seal(table)._replace(arrays=whole.arrays)


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """The tables of outcomes that are there."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in TABLES if table in there]


def row_of(connection: sqlite3.Connection, key: str, tables: list[str], arrays: bool = True) -> tuple[str, Row] | None:
    """A row by its address, with its table; None where it is not.

    Args:
        connection: to the store.
        key: the address.
        tables: where to look.
        arrays: whether they are read.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    parts = []
    for table in tables:
        columns, packed = COLUMNS[table]
        parts.append(f"SELECT {columns}, {packed if arrays else 'NULL'}, '{table}' FROM {table} WHERE key = ?1")
    if not parts:
        return None
    found = connection.execute(" UNION ALL ".join(parts), (key,)).fetchone()
    return found and (found[-1], Row(key, *found[:-1]))


def rows_of(connection: sqlite3.Connection, table: str, arrays: bool = True, number: int | None = None) -> Iterator[Row]:
    """The rows of a table in the order in which they lie there, with or without arrays, or the one of a number. Errors: sqlite3.Error."""
    columns, packed = COLUMNS[table]
    query = f"SELECT key, {columns}, {packed if arrays else 'NULL'} FROM {table} NOT INDEXED"
    one = () if number is None else (number,)
    yield from map(Row._make, connection.execute(f"{query} WHERE rowid = ?" if one else query, one))


def altered(row: Row, table: str, seal: Seal | None, arrays: bool = True) -> str | None:
    """How a row differs from what was written, in a few words; None if it does not.

    Args:
        row: as it was read.
        table: where it lies.
        seal: what was noted of it, None if nothing was.
        arrays: whether the row was read with its arrays.
    """
    if seal is None:
        return "it has no seal: another program wrote it"
    now = row.seal(table)
    if now.digest != seal.digest:
        return "it was altered after it was written"
    if arrays and now.arrays is None and seal.arrays is not None:
        return "its arrays are not there"
    if arrays and now.arrays != seal.arrays:
        return "its arrays were altered after they were written"
    return misplaced(row)


def misplaced(row: Row) -> str | None:
    """Whether a row lies at another address than that of its settings."""
    try:
        return None if address(json.loads(row.settings)) == row.key else "its settings do not have its address"
    except (ValueError, TypeError, RecursionError):
        return "its settings cannot be read"


def unreadable(row: Row) -> str | None:
    """What is wrong with a row's outcome or provenance in itself, whatever its seal; None if nothing is."""
    try:
        row.values()
        if row.status not in STATUSES:
            return f"its status {row.status!r} is none of {', '.join(map(str, STATUSES[1:]))}"
        if not isinstance(json.loads(row.provenance), dict) or not isinstance(row.seconds, float):
            return "its provenance or seconds have another form"
        unpack(row.arrays)
    except Exception as error:  # numpy, zipfile and zlib raise whatever the damage leads to
        return f"it cannot be read ({type(error).__name__})"
    return None


def described(settings: Mapping[str, Any]) -> str:
    """A job in a few words, by its settings: its name, and the first that are text or numbers."""
    kind = settings.get("job") or ("training" if "net" in settings else "run")
    plain = {k: v for k, v in settings.items() if isinstance(v, (str, int, float)) and k not in ("job", "version", "seed")}
    words = [v if isinstance(v, str) else f"{k} {v}" for k, v in plain.items() if len(str(v)) <= 20]
    seed = [f"seed {settings['seed']}"] if "seed" in settings else []
    return ", ".join([str(kind), *words[:2], *seed])


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Named arrays as one compressed file; None if there are none."""
    if not arrays:
        return None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(blob: bytes | None) -> dict[str, NDArray[Any]]:
    """What `pack` wrote, in its order."""
    if blob is None:
        return {}
    with np.load(io.BytesIO(blob)) as arrays:
        return {name: arrays[name] for name in arrays.files}
