"""Owns the JSON descriptor beside each artifact's files: writing it, and reading it back whoever has touched it since.

A descriptor is whole, of another program, or damaged. Any JSON file of another shape is another program's, unless it lies where an
artifact's descriptor lies, beside the table or picture of the same name: then it is ours, and was damaged.
"""

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flatproof.verify.report.artifacts import Artifact

FOLDERS = {"paper": "paper_scale", "smoke": "smoke_scale"}  # of the scales but quick, in the paper's folder
BESIDE = (".md", ".png")  # a table's, a figure's
LARGEST = 2**26  # bytes of a descriptor; the largest of ours has a hundredth of it

Entry = dict[str, Any]


class DamagedDescriptor(ValueError):
    """A descriptor of ours that was altered. One line: which, and in what."""


def stem(out: Path, id: str, provenance: Mapping[str, str]) -> Path:
    """Where an artifact's files go, without extension: paper/table-1 -> out/paper/table_1.

    At scale 'paper' out/paper/paper_scale/table_1, at 'smoke' out/paper/smoke_scale/table_1, so that no scale replaces another.
    """
    paper, name = id.split("/")
    return out / paper / FOLDERS.get(provenance.get("scale", ""), "") / name.replace("-", "_")


def described(artifact: Artifact, provenance: Mapping[str, str], more: Mapping[str, Any]) -> bytes:
    """An artifact's descriptor as it is written; `more` says its kind, and what a table shows."""
    entry = {
        "id": artifact.id,
        "title": artifact.title,
        "notes": list(artifact.notes),
        "provenance": dict(provenance),
        **({"coverage": dict(artifact.coverage)} if artifact.coverage else {}),
        **more,
    }
    return (json.dumps(entry | {"digest": digest(entry)}, indent=1, ensure_ascii=False) + "\n").encode()


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of a descriptor's fields but its digest, which is written last, so that no altered descriptor passes for another."""
    fields = {name: value for name, value in entry.items() if name != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def descriptor(path: Path, out: Path) -> Entry | None:
    """What `described` gave for the artifact that lies at this path below `out`; None for another program's file, or none.

    Raises:
        DamagedDescriptor: for one of ours that was altered.
        OSError: for a file that cannot be read now; what it holds is not known, and a page without it would be another.
    """
    try:
        entry = _parsed(path)
        _check(entry)
        if stem(out, entry["id"], entry["provenance"]).with_suffix(".json") != path:
            raise ValueError(f"it is that of {entry['id']!r}")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        if not any(path.with_suffix(suffix).is_file() for suffix in BESIDE):
            return None
        reason = str(error).splitlines() or [type(error).__name__]
        raise DamagedDescriptor(f"{path} is damaged: {reason[0]}") from None
    return entry


def descriptors(out: Path) -> tuple[list[Entry], list[str]]:
    """The descriptors found in out/*/ and in the scales' folders there, in the order of their paths, and a line for each damaged one."""
    entries, damaged = list[Entry](), list[str]()
    for path in sorted(
        [*out.glob("*/*.json"), *(path for folder in FOLDERS.values() for path in out.glob(f"*/{folder}/*.json"))]
    ):
        try:
            entry = descriptor(path, out)
        except DamagedDescriptor as error:
            damaged.append(str(error))
        else:
            entries += [entry] if entry is not None else []
    return entries, damaged


def runs_behind(provenance: Mapping[str, str]) -> int:
    """How many runs an artifact's provenance counts. Raises ValueError where that is no number."""
    count = provenance.get("runs") or provenance.get("jobs") or "0"
    if not (count.isascii() and count.isdecimal() and len(count) < 16):
        raise ValueError(f"runs must be a whole number, got {count[:40]!r}")
    return int(count)


def _parsed(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    try:
        size = path.stat().st_size
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError("it is a link to itself") from None
        raise
    if size > LARGEST:
        raise ValueError(f"it holds more than {LARGEST} bytes")
    return json.loads(path.read_text(encoding="utf-8"))


def _check(entry: Any) -> None:
    """Raise ValueError unless every field that is read is of the type that is written."""
    _require(isinstance(entry, dict), "a descriptor is an object")
    _require(_is_text(entry.get("id")) and entry["id"].count("/") == 1 and "\0" not in entry["id"], "id must be paper/name")
    _require(_is_text(entry.get("title")), "title must be text")
    _require(_are_texts(entry.get("notes")), "notes must be a list of texts")
    provenance = entry.get("provenance")
    _require(isinstance(provenance, dict) and _are_texts([*provenance, *provenance.values()]), "provenance must be texts by name")
    runs_behind(provenance)
    coverage = entry.get("coverage", {})
    _require(
        isinstance(coverage, dict)
        and _are_texts([*coverage])
        and all(type(count) is int and 0 <= count < 10**15 for count in coverage.values()),
        "coverage must be whole numbers by row",
    )
    _require(entry.get("kind") in ("table", "figure"), "kind must be table or figure")
    if entry["kind"] == "table":
        table = entry.get("table")
        _require(isinstance(table, dict) and _are_texts(table.get("columns")), "a table must have columns, texts")
        brief = table.get("brief", [])  # older ones have none
        _require(_are_texts(brief) and {*brief} <= {*table["columns"]}, "a table's brief columns must be some of its columns")
        rows = table.get("rows")
        _require(
            isinstance(rows, list) and all(_are_texts(row) and len(row) == len(table["columns"]) for row in rows),
            "a table must have rows of texts, as many as there are columns",
        )
    _require(entry.get("digest", digest(entry)) == digest(entry), "its digest is that of other content")  # older ones have none


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_text, values))


def _is_text(value: object) -> bool:
    """Whether it is text that can be written as UTF-8: JSON can name halves of characters."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
