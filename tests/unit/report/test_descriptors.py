"""Descriptors that somebody has touched, and texts that hold line breaks."""

import copy
import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure as Canvas

from flatproof.verify.report.artifacts import Figure, Table
from flatproof.verify.report.descriptors import descriptor, descriptors
from flatproof.verify.report.page import write_page
from flatproof.verify.report.write import poorer, write

BREAKS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\n\n")


def table(text: str = "text", **coverage: int) -> Table:
    frame = pd.DataFrame({"row": ["first", text], "value": ["1", "2"]})
    return Table("paper/table-1", text, frame, frame, (text, "A note."), {"scale": "quick", "runs": "7"}, ("row",), {}, coverage)


def figure() -> Figure:
    return Figure("paper/figure-1", "A figure", Canvas(), ("A note.",), {"scale": "quick"})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a figure."""
    out = tmp_path_factory.mktemp("out")
    write([table(a=3), figure()], out, "command")
    return out


PATH = Path("paper/table_1.json")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
PLACES = ("id", "title", "notes", "provenance", "coverage", "kind", "table")
INNER = {"notes": [0], "provenance": ["scale", "runs", "new"], "coverage": ["a", "new"], "table": ["columns", "rows"]}


@given(value=anything, place=st.sampled_from(PLACES), inner=st.integers(0, 3), deeper=st.booleans(), lacks=st.booleans())
def test_a_descriptor_is_whole_or_damaged_whatever_a_field_holds(
    written: Path, value: Any, place: str, inner: int, deeper: bool, lacks: bool
) -> None:
    path = written / PATH
    entry = json.loads(path.read_text(encoding="utf-8"))
    whole = path.read_bytes()
    holder, key = entry, place
    if place in INNER and inner < len(INNER[place]):
        holder, key = entry[place], INNER[place][inner]
        if deeper and place == "table":
            holder, key = holder[key], 0
    if lacks and isinstance(holder, dict):
        holder.pop(key, None)
    else:
        holder[key] = value
    before = copy.deepcopy(entry)
    path.write_text(json.dumps(entry), encoding="utf-8")
    try:
        shown, damaged = descriptors(written)
        write_page(written)
        lost = poorer([table(a=30)], written)
        if damaged:
            (line,) = damaged
            assert line.startswith(f"{path} is damaged: ")
            assert len(line.splitlines()) == 1
            assert lost == {"paper/table-1": line}
            assert [entry["id"] for entry in shown] == ["paper/figure-1"]
            for page in ("index.html", "paper/index.html"):
                assert "table_1.json is damaged" in (written / page).read_text(encoding="utf-8")
        else:
            assert shown[1] == before
    finally:
        path.write_bytes(whole)


@given(at=st.integers(0, 10**4), bit=st.integers(0, 7), cut=st.booleans())
def test_altered_bytes_never_lose_an_artifact_unseen(written: Path, at: int, bit: int, cut: bool) -> None:
    path = written / PATH
    whole = path.read_bytes()
    at %= len(whole)
    path.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    try:
        shown, damaged = descriptors(written)
        assert (len(shown), len(damaged)) in {(2, 0), (1, 1)}
        assert not damaged or "paper/table-1" in poorer([table(a=30)], written)
        assert not damaged or str(path) in damaged[0]
        write_page(written)
    finally:
        path.write_bytes(whole)


FOREIGN: dict[str, bytes] = {
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "nested": b"[" * 10**6,
    "nested objects": b'{"id":' * 10**5,
    "a huge number": b'{"id": ' + b"9" * 10**5 + b"}",
    "no number": b"[NaN, Infinity, 1e999]",
    "null": b"null",
    "another's": json.dumps({"id": "paper/table-1", "title": "t", "notes": "n", "provenance": "p", "kind": "table"}).encode(),
    "half a character": json.dumps(
        {"id": "paper/table-1", "title": "\ud800", "notes": [], "provenance": {}, "kind": "figure"}
    ).encode(),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_another_programs_file_is_ignored_and_ours_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / PATH
    path.parent.mkdir()
    path.write_bytes(content)
    assert descriptor(path, tmp_path) is None
    assert descriptors(tmp_path) == ([], [])
    assert poorer([table(a=1)], tmp_path) == {}
    for beside in (".md", ".png"):
        path.with_suffix(beside).write_bytes(b"")
        assert [str(path) in line for line in descriptors(tmp_path)[1]] == [True]
        assert poorer([table(a=1)], tmp_path)
        path.with_suffix(beside).unlink()


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make", [Path.mkdir, pipe, lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path.name)]
)
def test_what_is_no_file_is_ignored_or_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Read, a pipe would wait for ever. A link to nothing is nothing."""
    path = tmp_path / PATH
    path.parent.mkdir()
    make(path)
    assert descriptors(tmp_path) == ([], [])
    path.with_suffix(".md").write_bytes(b"")
    nothing = path.is_symlink() and path.readlink() == Path("nowhere")
    assert [str(path) in line for line in descriptors(tmp_path)[1]] == [True] * (not nothing)
    write_page(tmp_path)


def test_a_damaged_descriptor_is_written_anew_with_force(tmp_path: Path) -> None:
    write([table(a=3)], tmp_path, "command")
    (tmp_path / PATH).write_bytes(b"[]")
    assert poorer([table(a=300)], tmp_path)
    write([table(a=300)], tmp_path, "command")
    assert descriptors(tmp_path)[1] == []
    assert not poorer([table(a=300)], tmp_path)


def test_a_number_of_runs_that_is_none_is_damage(tmp_path: Path) -> None:
    write([table()], tmp_path, "command")
    path = tmp_path / PATH
    for count in ("many", "-3", "1e9", "٣", "9" * 5000, "3.5"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry["provenance"]["runs"] = count
        path.write_text(json.dumps(entry), encoding="utf-8")
        assert "runs must be a whole number" in poorer([table()], tmp_path)["paper/table-1"]


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "paper" / "table_1.md").mkdir(parents=True)
    with pytest.raises(OSError, match=r"table_1\.md"):
        write([table()], tmp_path, "command")
    assert [path.name for path in (tmp_path / "paper").iterdir()] == ["table_1.md"]


words = st.lists(
    st.sampled_from([*BREAKS, "a", "|", "\\", "#", "%", "&", "_", "\\end{tabular}", "---", "=", " "]), max_size=8
).map("".join)


@given(title=words, note=words, cell=words, column=words, value=words)
def test_no_text_leaves_its_comment_heading_or_row(
    tmp_path_factory: pytest.TempPathFactory, title: str, note: str, cell: str, column: str, value: str
) -> None:
    out = tmp_path_factory.getbasetemp() / "lines"
    frame = pd.DataFrame([[cell, "1"], ["second", cell]], columns=[column, "last"])
    written = Table("paper/table-1", title, frame, frame, (note,), {"scale": "quick", "key": value}, (column, "last"))
    write([written], out, "command")
    texts = {end: (out / "paper" / f"table_1.{end}").read_bytes().decode() for end in ("md", "tex", "csv")}
    # whatever a reader takes for the end of a line
    heading, rows, *_ = (part.splitlines() for part in texts["md"].split("\n\n"))
    assert len(heading) == 1
    assert heading[0].startswith("# ")
    assert len(rows) == 4
    assert all(cells(row) == 2 for row in rows)
    comments = texts["tex"].splitlines()
    start = comments.index(r"\begin{table}")
    assert start == 1 + 3 + 1  # title, provenance, what it needs
    assert all(line.startswith("%") for line in comments[:start])
    assert sum(line.endswith(r" \\") for line in comments[start:]) == 3
    lines = texts["csv"].split("\n", 4)
    assert all(len(line.splitlines()) == 1 and line.startswith("# ") for line in lines[:4])
    header, first, second = csv.reader(io.StringIO(lines[4], newline=""))
    assert header[1], first[1] == ("last", "1")
    for kept, text in ((header[0], column), (first[0], cell), (second[1], cell)):
        assert kept.split() == text.split()
        assert kept == text or "\r" in column + cell
    assert "\r" not in texts["csv"]


def cells(row: str) -> int:
    """Of a row of a Markdown table, as its readers see it: a backslash takes the character after it out of the game."""
    count, escaped = -1, False
    for character in row:
        count += character == "|" and not escaped
        escaped = character == "\\" and not escaped
    return count


def test_a_flipped_bit_in_a_descriptor_never_reaches_the_page(tmp_path: Path) -> None:
    """Of every byte of a table's descriptor one bit: the page has what was written, or a line that names the file."""
    write([table(a=3)], tmp_path, "command")
    path = tmp_path / PATH
    whole, page = path.read_bytes(), (tmp_path / "paper/index.html").read_bytes()
    noticed = 0
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        entries, damaged = descriptors(tmp_path)
        noticed += len(damaged)
        if not damaged:
            write_page(tmp_path)
            assert [entry["table"] for entry in entries] == [json.loads(whole)["table"]]
            assert (tmp_path / "paper/index.html").read_bytes() == page
    assert noticed > len(whole) / 2


def test_descriptors_from_before_they_had_a_digest_are_read(tmp_path: Path) -> None:
    write([table()], tmp_path, "command")
    path = tmp_path / PATH
    entry = json.loads(path.read_text(encoding="utf-8"))
    del entry["digest"]
    path.write_text(json.dumps(entry), encoding="utf-8")
    assert [read["id"] for read in descriptors(tmp_path)[0]] == ["paper/table-1"]
