"""Owns the outcomes published beside tables and figures: the stored rows that they were made from, and what rebuilds them from these.

They lie in `outcomes.jsonl.xz` in the folder of a paper's artifacts (`xz -dc` shows it), lines of JSON: a header with the digest of all
that follows; a line for each build, with the artifacts that it gave (and digests of their provenance), its scale, seeds, command and the
numbers of its rows; a line for each row, its texts as they lie in the store, its arrays packed, with the seal that it has there.
A row has its arrays where a table or figure reads them, unless a build's are more than ARRAYS bytes. Where a few numbers of them are all
that was read (`Store.reading`), the build has these. Of curves whose ends alone were read it has the ends if all that were so read are
more than CURVES bytes; the seal of such a row is that of the whole one, with "ends" beside it.
"""

import base64
import hashlib
import json
import lzma
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from flatproof.verify.jobs.rows import Kept, Readings, Row, altered, resealed, unreadable
from flatproof.verify.jobs.seals import Seal
from flatproof.verify.report.artifacts import Artifact
from flatproof.verify.report.descriptors import FOLDERS, Entry, descriptor, digest, stem
from flatproof.verify.report.files import replaced

NAME = "outcomes.jsonl.xz"
FORMAT = 1  # raised when the lines change
ARRAYS = 2**22  # bytes of packed arrays that a build may publish
CURVES = 2**22  # bytes of outcomes, as text, that a build may publish whole though it reads the ends of their curves alone
LARGEST = 2**29  # bytes that a file may unpack to: a hundred thousand runs
KIND = "flatproof outcomes"
FIELDS = (*Row._fields[:-1], "digest", "arrays_digest", "sealed")  # of a row's line, after its table; then its arrays


class OutcomesError(ValueError):
    """Outcomes that cannot be published or read. One line: which, and why."""


class DamagedOutcomes(OutcomesError):
    """A file that was altered."""


class Asked(NamedTuple):
    """What was asked for: scale, seeds, the command that reproduces it as provenance has it, and the columns of LaTeX tables."""

    scale: str
    seeds: int
    command: str
    columns: str = "brief"


@dataclass(frozen=True)
class Build:
    """Artifacts that were built at once, and from what.

    Attributes:
        asked: how.
        rows: all that the build looked at.
        artifacts: by id the `origin` of the descriptor that was written.
        editions: of the data sets' files that addresses of rows hold, by name.
        readings: of arrays.
        ends: addresses of the rows of whose curves the ends alone were read; it is not written.
    """

    asked: Asked
    rows: tuple[Kept, ...]
    artifacts: dict[str, str] = field(default_factory=dict)
    editions: dict[str, str] = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)
    ends: frozenset[str] = frozenset()


def publish(build: Build, artifacts: Sequence[Artifact], out: Path, force: bool = False) -> list[Path]:
    """Write what a build looked at beside the artifacts that were written of it; what lies there of other artifacts is kept.

    Args:
        build: how they were made; its `artifacts` are not looked at.
        artifacts: those that were written, with their descriptors, below `out`.
        out: the folder of all papers.
        force: replace a damaged file, too.

    Returns:
        The files.

    Raises:
        DamagedOutcomes: for a damaged file that lies there; it is left alone.
        OutcomesError: they are too large.
        OSError: the folder is not writable.
    """
    if sum(len(kept.row.arrays or b"") for kept in build.rows) > ARRAYS:
        build = replace(build, rows=tuple(kept._replace(row=kept.row._replace(arrays=None)) for kept in build.rows))
    if sum(len(kept.row.outcome) for kept in build.rows if kept.row.key in build.ends) > CURVES:
        build = replace(build, rows=tuple(kept.cut() if kept.row.key in build.ends else kept for kept in build.rows))
    folders = dict[Path, dict[str, str]]()
    for artifact in artifacts:
        path = stem(out, artifact.id, artifact.provenance).with_suffix(".json")
        if entry := descriptor(path, out):
            folders.setdefault(path.parent, {})[artifact.id] = origin(entry)
    for folder, written in folders.items():
        try:
            before = load(folder / NAME) if (folder / NAME).exists() else []
        except DamagedOutcomes:
            if not force:
                raise
            before = []
        rest = ({id: noted for id, noted in old.artifacts.items() if id not in written} for old in before)
        others = [replace(old, artifacts=left) for old, left in zip(before, rest, strict=True) if left]
        save(folder / NAME, [*others, replace(build, artifacts=written)])
    return [folder / NAME for folder in folders]


def origin(entry: Entry) -> str:
    """Digest of where an artifact comes from: its provenance and its coverage."""
    return digest({name: entry.get(name, {}) for name in ("provenance", "coverage")})


def published(out: Path) -> list[Path]:
    """The files of outcomes below a folder, in the order of their paths."""
    return sorted([*out.glob(f"*/{NAME}"), *(path for folder in FOLDERS.values() for path in out.glob(f"*/{folder}/{NAME}"))])


def listed(out: Path) -> dict[Path, dict[str, str]]:
    """Whose outcomes each file says it holds, ids with their `origin`, without looking at these; nothing of a file that is not ours."""
    return {path: _heads(path) for path in published(out)}


def _heads(path: Path) -> dict[str, str]:
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            builds = json.loads(file.readline())["builds"]
            return {id: noted for _ in range(builds) for id, noted in json.loads(file.readline())["artifacts"].items()}
    except (OSError, EOFError, lzma.LZMAError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def save(path: Path, builds: Iterable[Build]) -> None:
    """Write builds with their rows, each once; a file that holds the same is left as it is. Errors: OSError; OutcomesError: too large."""
    builds = sorted(builds, key=lambda build: sorted(build.artifacts))
    rows = dict[tuple[str, str], Kept]()
    for kept in (kept for build in builds for kept in build.rows):
        at = _at(kept)
        if at not in rows or rows[at].row.arrays is None:
            rows[at] = kept
    numbers = {at: number for number, at in enumerate(sorted(rows))}
    lines = [
        {
            "artifacts": dict(sorted(build.artifacts.items())),
            **build.asked._asdict(),
            **({"editions": dict(sorted(build.editions.items()))} if build.editions else {}),
            **({"readings": readings} if (readings := _readings(build)) else {}),
            "rows": sorted(numbers[_at(kept)] for kept in build.rows),
        }
        for build in builds
    ]
    body = "".join(json.dumps(line) + "\n" for line in [*lines, *(_line(rows[at]) for at in numbers)])
    header = {"kind": KIND, "format": FORMAT, "builds": len(builds), "rows": len(rows), "digest": _digest(body)}
    text = json.dumps(header) + "\n" + body
    if len(text) > LARGEST:
        raise OutcomesError(f"{path} would hold {len(text):,} bytes, more than {LARGEST:,}: these outcomes are not published")
    if path.exists():
        try:
            if _unpacked(path) == text:
                return
        except DamagedOutcomes:
            pass
    replaced(path, lzma.compress(text.encode(), preset=6 | lzma.PRESET_EXTREME))


def load(path: Path) -> list[Build]:
    """What `save` wrote.

    Raises:
        DamagedOutcomes: for a file that is none of ours, or was altered.
        OSError: for one that cannot be read.
    """
    first, _, body = _unpacked(path).partition("\n")
    try:
        header = json.loads(first)
        if not isinstance(header, dict) or header.get("kind") != KIND:
            raise ValueError("it holds no outcomes")
        if header["format"] != FORMAT:
            raise ValueError(f"it has format {header['format']}, this version reads {FORMAT}")
        if header["digest"] != _digest(body):
            raise ValueError("its digest is that of other content")
        lines = [json.loads(line) for line in body.splitlines()]
        rows = [_kept(line) for line in lines[header["builds"] :]]
        builds = [_build(line, rows) for line in lines[: header["builds"]]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else f"it cannot be read ({type(error).__name__})"
        raise DamagedOutcomes(f"{path} is damaged: {reason}; expected what 'flatproof reproduce' wrote") from None
    return builds


def _build(line: dict[str, Any], rows: Sequence[Kept]) -> Build:
    """A build as its line says it. Errors: LookupError, TypeError for another line."""
    asked = Asked(**{name: value for name, value in line.items() if name in Asked._fields})
    return Build(
        asked, tuple(rows[at] for at in line["rows"]), line["artifacts"], line.get("editions", {}), line.get("readings", {})
    )


def _readings(build: Build) -> Readings:
    """Those of rows without their arrays; the others can be read again."""
    bare = sorted(kept.row.key for kept in build.rows if kept.row.arrays is None)
    return {key: build.readings[key] for key in bare if key in build.readings}


def _at(kept: Kept) -> tuple[str, str]:
    """What a row is told from others by: its address, and the digest of what is written of it."""
    return kept.row.key, kept.seal.digest


def _line(kept: Kept) -> dict[str, Any]:
    arrays, seal = kept.row.arrays, kept.whole or kept.seal
    values = (*kept.row[:-1], seal.digest, seal.arrays, seal.sealed)
    return {
        "table": kept.table,
        **dict(zip(FIELDS, values, strict=True)),
        **({"ends": True} if kept.whole else {}),
        "arrays": None if arrays is None else base64.b64encode(arrays).decode("ascii"),
    }


def _kept(line: dict[str, Any]) -> Kept:
    """A row that is as it was sealed. Errors: ValueError, KeyError for another."""
    key, settings, status, outcome, seconds, provenance, stored_at, noted, arrays_noted, sealed = (line[name] for name in FIELDS)
    arrays = None if line["arrays"] is None else base64.b64decode(line["arrays"], validate=True)
    row = Row(key, settings, status, outcome, seconds, provenance, stored_at, arrays)
    seal = Seal(key, noted, arrays_noted, sealed)
    whole = seal if line.get("ends") is True else None
    if whole:
        seal = resealed(line["table"], row, whole)
    if why := altered(row, line["table"], seal, arrays=arrays is not None) or unreadable(row):
        raise ValueError(f"row {key[:12]}: {why}")
    return Kept(line["table"], row, seal, whole)


def _unpacked(path: Path) -> str:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    try:
        content = unpacker.decompress(path.read_bytes(), LARGEST)
        if not unpacker.eof:
            raise ValueError("it ends early, or is too large")
        if unpacker.unused_data:
            raise ValueError("something follows its end, perhaps another file joined to it")
        return content.decode()
    except (lzma.LZMAError, ValueError) as error:
        raise DamagedOutcomes(f"{path} is damaged: {error}; expected what 'flatproof reproduce' wrote") from None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
