"""Owns the scenario of a store edited by hand with another program, in tables of today and of before there was one table."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from tests.torture.commands import forked, judged
from tests.torture.damage import can_check_stores
from tests.torture.scenario import TABLE, Scenario, Selection

RUNS = """CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
    network BLOB, seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
)"""
Edit = Callable[[sqlite3.Connection, str, random.Random], None]


def _keys(db: sqlite3.Connection, table: str, rng: random.Random, most: int) -> list[str]:
    keys = [key for (key,) in db.execute(f"SELECT key FROM {table} WHERE settings NOT LIKE '%\"job\"%' ORDER BY key")]
    return rng.sample(keys, most)


def _changed(db: sqlite3.Connection, table: str, key: str, column: str, change: Callable[[dict], dict]) -> None:
    (text,) = db.execute(f"SELECT {column} FROM {table} WHERE key = ?", (key,)).fetchone()
    db.execute(f"UPDATE {table} SET {column} = ? WHERE key = ?", (json.dumps(change(json.loads(text))), key))


def banana(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """A status that there is not."""
    (key,) = _keys(db, table, rng, 1)
    if table == "runs":
        db.execute("UPDATE runs SET status = 'banana' WHERE key = ?", (key,))
    else:
        _changed(db, table, key, "outcome", lambda outcome: outcome | {"status": "banana"})


def exchanged(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """Two runs' outcomes exchanged."""
    a, b = _keys(db, table, rng, 2)
    columns = "outcome, " + ("status, network" if table == "runs" else "arrays")
    first, second = (db.execute(f"SELECT {columns} FROM {table} WHERE key = ?", (key,)).fetchone() for key in (a, b))
    names = ", ".join(f"{name} = ?" for name in columns.split(", "))
    for key, values in ((a, second), (b, first)):
        db.execute(f"UPDATE {table} SET {names} WHERE key = ?", (*values, key))


def _larger(values: object) -> object:
    """A curve with its last value times 1.5; in whatever holds it."""
    if isinstance(values, dict):
        return {name: _larger(value) for name, value in values.items()}
    if isinstance(values, list) and values and isinstance(values[-1], float):
        return [*values[:-1], values[-1] * 1.5]
    return [*map(_larger, values)] if isinstance(values, list) else values


def curves(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """Every curve's last value times 1.5."""
    for (key,) in db.execute(f"SELECT key FROM {table}").fetchall():
        _changed(db, table, key, "outcome", _larger)


def settings(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """Settings that have another key."""
    (key,) = _keys(db, table, rng, 1)
    _changed(db, table, key, "settings", lambda values: values | {"width": 7, "seed": 12345})


def deleted(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """A row deleted."""
    (key,) = _keys(db, table, rng, 1)
    db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))


def inserted(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """A row copied to another address."""
    (key,) = _keys(db, table, rng, 1)
    columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})") if name != "key"]
    other = f"{rng.getrandbits(256):064x}"
    db.execute(
        f"INSERT INTO {table} (key, {', '.join(columns)}) SELECT ?, {', '.join(columns)} FROM {table} WHERE key = ?", (other, key)
    )


def moved(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """A row under another row's address, which is gone."""
    a, b = _keys(db, table, rng, 2)
    db.execute(f"DELETE FROM {table} WHERE key = ?", (a,))
    db.execute(f"UPDATE {table} SET key = ? WHERE key = ?", (a, b))


def provenance(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """Another commit."""
    (key,) = _keys(db, table, rng, 1)
    _changed(db, table, key, "provenance", lambda values: values | {"commit": "0123456789"})


def arrays(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """Another run's arrays."""
    column = "network" if table == "runs" else "arrays"
    keys = [key for (key,) in db.execute(f"SELECT key FROM {table} WHERE {column} IS NOT NULL ORDER BY key")]
    a, b = rng.sample(keys, 2)
    db.execute(f"UPDATE {table} SET {column} = (SELECT {column} FROM {table} WHERE key = ?) WHERE key = ?", (a, b))


def unsealed(db: sqlite3.Connection, table: str, rng: random.Random) -> None:
    """An outcome altered, and all seals away: the tables of seals dropped, emptied, or the row's alone deleted."""
    banana(db, table, rng)
    (key,) = _keys(db, table, rng, 1)
    for name in _seals(db):
        statement = rng.choice(["DROP TABLE {}", "DELETE FROM {}", "DELETE FROM {} WHERE key = '" + key + "'"])
        if "key" not in {column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")}:
            statement = rng.choice(["DROP TABLE {}", "DELETE FROM {}"])
        db.execute(statement.format(name))


def _seals(db: sqlite3.Connection) -> list[str]:
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [name for name in names if name not in ("runs", "jobs") and not name.startswith("sqlite_")]


EDITS: dict[str, Edit] = {
    edit.__name__: edit for edit in (banana, exchanged, curves, settings, deleted, inserted, moved, provenance, arrays, unsealed)
}
UNREAD = ("inserted", "arrays")  # no artifact reads it: `store check` alone must see it


class Edits(Scenario):
    """A store edited by hand."""

    name = "edits"
    what = "a store edited by hand: status, outcomes, curves, settings, provenance, arrays, rows and seals, in both tables"
    share = 1.5
    least = 5
    most = 120
    chosen = Selection(TABLE, 2)

    def prepare(self) -> str | None:
        """A store as it was before there was one table, given its seals where there are seals."""
        self.old = self.place("old") / "s.sqlite"
        shutil.copy(self.reference.folder / "s.sqlite", self.old)
        with closing(sqlite3.connect(self.old)) as db, db:
            for name in _seals(db):
                db.execute(f"DROP TABLE {name}")
            db.execute(RUNS)
            for key, outcome in db.execute("SELECT key, outcome FROM jobs WHERE settings NOT LIKE '%\"job\"%'").fetchall():
                values = json.loads(outcome)
                status = values.pop("status")
                db.execute(
                    "INSERT INTO runs (key, settings, status, outcome, network, seconds, provenance, stored_at) "
                    "SELECT key, settings, ?, ?, arrays, seconds, provenance, stored_at FROM jobs WHERE key = ?",
                    (status, json.dumps(values), key),
                )
                db.execute("DELETE FROM jobs WHERE key = ?", (key,))
            db.execute("PRAGMA user_version = 1")
        if can_check_stores():
            checked = forked(["store", "check", "--store", "s.sqlite"], self.old.parent)
            if checked.status != 0:
                raise RuntimeError(f"store check refuses a sound store of before: {checked.err}{checked.out}")
        ended = forked(self.selection.report(), self.old.parent)
        if wrong := judged(ended, self.old.parent / "again", self.reference.artifacts):
            raise RuntimeError(f"a store of before gives other artifacts: {wrong}")
        return None

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """Refused."""
        name = list(EDITS)[number % len(EDITS)]
        table = ("jobs", "runs")[number // len(EDITS) % 2]
        store = folder / "s.sqlite"
        shutil.copy(self.old if table == "runs" else self.reference.folder / "s.sqlite", store)
        with closing(sqlite3.connect(store)) as db, db:
            EDITS[name](db, table, rng)
        ended = forked(self.selection.report(), folder)
        wrong = judged(ended, folder / "again", self.reference.artifacts, most=20)
        refused = ended.status != 0
        if can_check_stores():
            refused_by_check = forked(["store", "check", "--store", "s.sqlite"], folder).status != 0
            wrong += [] if refused_by_check else ["store check calls it sound"]
            refused = refused or (refused_by_check and name in UNREAD)
        else:
            refused = refused or name in UNREAD
        if not refused and not wrong:
            wrong = ["status 0: expected one line that refuses it"]
        return [f"{name} in {table}: {what}" for what in wrong]
