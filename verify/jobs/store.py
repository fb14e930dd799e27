"""Owns the store: settings, outcome and provenance of every run and job in one SQLite file that survives a kill at any moment."""

import io
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from flatproof.theory.networks import PARAMETERS, Network
from flatproof.verify.jobs.job import Job, Outcome, StoredOutcome
from flatproof.verify.two_layer.settings import Run
from flatproof.verify.two_layer.training import AGREEMENT, Result
from flatproof.verify.utils.errors import UserError

FORMAT = 1  # raised when the tables below change
APPLICATION = 0x464C5052  # "FLPR", marks the file as ours
JOBS = """CREATE TABLE IF NOT EXISTS jobs (
    key TEXT PRIMARY KEY, settings TEXT NOT NULL, outcome TEXT NOT NULL,
    seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
)"""
Work = TypeVar("Work", bound=Run | Job)


class StoreError(UserError):
    """The store cannot be used; one line says why and what was expected."""


@dataclass(frozen=True)
class Stored:
    """A stored run: its settings, what came out, and where it was computed."""

    settings: dict[str, Any]
    result: Result
    provenance: dict[str, str]


class Store:
    """Runs and jobs by the address of their settings. Writing is one transaction each; storing one again changes nothing.

    The table of jobs is created with the first of them: a store without one is older, or has none.
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
            f"""
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS runs (
                key TEXT PRIMARY KEY, settings TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT NOT NULL,
                network BLOB, seconds REAL NOT NULL, provenance TEXT NOT NULL, stored_at TEXT DEFAULT CURRENT_TIMESTAMP
            );
            PRAGMA application_id = {APPLICATION};
            PRAGMA user_version = {FORMAT};
            COMMIT;
            """
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, work: Run | Job) -> bool:
        if isinstance(work, Run):
            return self._row("SELECT 1 FROM runs WHERE key = ?", work.key) is not None
        return self._has_jobs() and self._row("SELECT 1 FROM jobs WHERE key = ?", work.key) is not None

    def _has_jobs(self) -> bool:
        return self._row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'jobs'") is not None

    def __len__(self) -> int:
        row = self._row("SELECT count(*) FROM runs")
        return int(row[0]) if row else 0

    def _row(self, query: str, *values: str) -> tuple[Any, ...] | None:
        """The first row of a query. Errors: StoreError when the file is damaged."""
        try:
            row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path} cannot be read: {error}; expected an undamaged flatproof store") from None
        return row

    def put(self, run: Run, result: Result, provenance: dict[str, str]) -> None:
        """Store a finished or diverged run, at once and durably."""
        outcome = {
            "curve": {_AS_STORED.get(name, name): values for name, values in result.curve.items()},
            "lower_bound": result.lower_bound,
            "diverged_at": result.diverged_at,
            "diverged_step": result.diverged_step,
        }
        row = (run.key, json.dumps(run.settings()), result.status, json.dumps(outcome), _pack(result))
        self._write(
            "INSERT OR IGNORE INTO runs (key, settings, status, outcome, network, seconds, provenance)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, result.seconds, json.dumps(provenance)),
        )

    def put_outcome(self, job: Job, outcome: Outcome, provenance: dict[str, str]) -> None:
        """Store what a job gave, at once and durably."""
        row = (job.key, json.dumps(job.settings()), json.dumps(outcome.values), outcome.seconds, json.dumps(provenance))
        self._write(JOBS)
        self._write("INSERT OR IGNORE INTO jobs (key, settings, outcome, seconds, provenance) VALUES (?, ?, ?, ?, ?)", row)

    def _write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """One transaction. Errors: StoreError."""
        try:
            with self._connection:
                self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"store {self.path} cannot be written: {error}; what was stored before is kept") from None

    def get(self, run: Run, with_network: bool = True) -> Stored | None:
        """The stored outcome of a run, or None; without its networks where thousands are looked at and none is needed."""
        query = "SELECT settings, status, outcome, network, seconds, provenance FROM runs WHERE key = ?"
        row = self._row(query, run.key)
        if row is None:
            return None
        settings, status, outcome, network, seconds, provenance = row
        try:
            values, kept = json.loads(outcome), _unpack(network if with_network else None, run)
            result = Result(
                status,
                _named(values["curve"], run),
                values["lower_bound"],
                kept.pop("last", None),
                values["diverged_at"],
                seconds,
                values["diverged_step"],
                tuple(kept.values()),
            )
            return Stored(json.loads(settings), result, json.loads(provenance))
        except (ValueError, KeyError, TypeError, OSError, BadZipFile) as error:
            raise StoreError(
                f"store {self.path}: run {run.key[:12]} is damaged ({type(error).__name__}); expected what 'put' wrote"
            ) from None

    def outcome(self, job: Job) -> StoredOutcome | None:
        """What a job gave, or None if it is not stored."""
        if job not in self:
            return None
        row = self._row("SELECT settings, outcome, seconds, provenance FROM jobs WHERE key = ?", job.key)
        try:
            settings, values, seconds, provenance = row or ()
            return StoredOutcome(json.loads(settings), Outcome(json.loads(values), seconds), json.loads(provenance))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"store {self.path}: job {job.key[:12]} is damaged ({type(error).__name__}); expected what 'put_outcome' wrote"
            ) from None

    def missing(self, work: Iterable[Work]) -> list[Work]:
        """Those of the runs and jobs that are not stored, each once, in their order."""
        return [one for one in {one.key: one for one in work}.values() if one not in self]


# Runs on real labels were stored when their sign agreement went by the name of an accuracy; files keep that name, and their bytes.
_AS_STORED = {name: stored for stored, name in AGREEMENT.items()}


def _named(curve: dict[str, list[float]], run: Run) -> dict[str, list[float]]:
    """A stored curve under the names that its quantities deserve."""
    return curve if run.data.labels == "signs" else {AGREEMENT.get(name, name): values for name, values in curve.items()}


def _pack(result: Result) -> bytes | None:
    """The networks as one compressed file of arrays "0/w1", ..., "last/w2"; None if there are none."""
    named = {str(i): network for i, network in enumerate(result.earlier)}
    named |= {} if result.network is None else {"last": result.network}
    if not named:
        return None
    buffer = io.BytesIO()
    arrays = {f"{label}/{n}": v for label, one in named.items() for n in PARAMETERS if (v := getattr(one, n)) is not None}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _unpack(blob: bytes | None, run: Run) -> dict[str, Network]:
    """What `_pack` wrote, in its order."""
    if blob is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    with np.load(io.BytesIO(blob)) as arrays:
        for name in arrays.files:
            label, parameter = name.split("/")
            found.setdefault(label, {})[parameter] = arrays[name]
    kind: dict[str, Any] = {"architecture": run.architecture, "epsilon": run.epsilon, "activation": run.activation}
    return {label: Network(**parameters, **kind) for label, parameters in found.items()}
