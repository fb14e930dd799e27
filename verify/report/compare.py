"""Owns the comparison of two folders of results, number by number: what lies behind tables and figures, and the outcomes behind these.

Of a table its CSV file, what it shows, its notes and how many runs stand behind each row; of a figure the last two; of the outcomes that
both have published every run as one. `verify.report.rounding` says when two numbers agree. Columns of times and the provenance are no
results, and are not compared.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from flatproof.verify.jobs.rows import Row, described
from flatproof.verify.report.descriptors import Entry, descriptors, digest, stem
from flatproof.verify.report.outcomes import NAME, Build, load
from flatproof.verify.report.rounding import (
    DIFFERS,
    EQUAL,
    EXTRA,
    MISSING,
    NUMBER,
    STATES,
    TIME,
    TOLERANCE,
    number,
    plain_digits,
    state_of,
)
from flatproof.verify.report.verdicts import side

RUNS = "outcomes"  # what stands for an artifact where runs are compared
_INTERVAL = re.compile(rf"({NUMBER.pattern}) \[({NUMBER.pattern}), ({NUMBER.pattern})\]")


class Cell(NamedTuple):
    """A number or text of a table or figure on both sides, None where it is not; inside: the fresh one lies in the committed interval."""

    id: str
    scale: str
    row: str
    column: str
    committed: str | None
    fresh: str | None
    state: str
    inside: bool = False

    @property
    def verdict(self) -> bool:
        """Whether it is a verdict that differs."""
        return self.state == DIFFERS and all(side(text or "") for text in (self.committed, self.fresh))


class Grid(NamedTuple):
    """Rows of texts with the names of their columns, each once."""

    columns: list[str]
    rows: list[list[str]]


@dataclass
class Agreement:
    """What a comparison came to.

    Attributes:
        counts: by paper and scale, how many cells are in which state.
        artifacts: by paper and scale, how many tables and figures were compared.
        same: those of them that are equal and whose descriptor is the committed one, provenance included: they were not made anew.
        cells: those that are not equal.
        absent: by paper and scale the artifacts that the commands behind the fresh results do not ask for.
        others: artifacts that another command than `reproduce` writes.
        times: names of the columns that were left out as times.
    """

    counts: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    artifacts: dict[tuple[str, str], int] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    absent: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    times: set[str] = field(default_factory=set)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs or is missing."""
        return not any(count[state] for count in self.counts.values() for state in (DIFFERS, MISSING))

    def add(self, cell: Cell) -> None:
        """Count a cell."""
        self.counts.setdefault((cell.id.split("/")[0], cell.scale), dict.fromkeys(STATES, 0))[cell.state] += 1
        if cell.state != EQUAL:
            self.cells.append(cell)


def compare(fresh: Path, committed: Path, ids: Sequence[str] = (), tolerance: float = TOLERANCE) -> Agreement:
    """Set the results in one folder beside those in another.

    Args:
        fresh: a folder that `reproduce` or `report` has written.
        committed: what it is compared with.
        ids: of papers, tables or figures; none for all. What no command behind the fresh results asks for is not missing, unless it is
            named here and fresh at no scale.
        tolerance: relative, of numbers within rounding.

    Raises:
        ValueError: for a damaged descriptor, a folder without results, or an id that is in neither.
        OSError: for a file that cannot be read.
    """
    ours, theirs = _artifacts(fresh), _artifacts(committed)
    for id in ids:
        if not any(_named(entry["id"], [id]) for entry in (*ours.values(), *theirs.values())):
            raise ValueError(f"neither {fresh} nor {committed} has results of {id!r}")
    agreement = Agreement()
    made, commands = {entry["id"] for entry in ours.values()}, dict[Path, set[str]]()
    for path, new in ours.items():
        commands.setdefault(path.parent, set()).add(new["provenance"].get("command", ""))
    for path in sorted({*ours} | {*theirs}):
        here, there = ours.get(path), theirs.get(path)
        entry = here or there
        assert entry is not None
        id, scale = entry["id"], _scale(path)
        if ids and not _named(id, ids):
            continue
        if any(e is not None and not _reproducible(e) for e in (here, there)):
            agreement.others.append(id)
        elif here is None and not ((id in ids and id not in made) or _asked(id, scale, commands.get(path.parent, set()))):
            agreement.absent.setdefault((id.split("/")[0], scale), []).append(id)
        elif here is None or there is None:
            committed_title, fresh_title = (e["title"] if e else None for e in (there, here))
            agreement.add(Cell(id, scale, "", "", committed_title, fresh_title, EXTRA if here else MISSING))
        else:
            at = id.split("/")[0], scale
            agreement.artifacts[at] = agreement.artifacts.get(at, 0) + 1
            cells = list(_cells(id, scale, (there, committed / path), (here, fresh / path), tolerance, agreement.times))
            if digest(here) == digest(there) and all(cell.state == EQUAL for cell in cells):
                agreement.same.append(id + (f" at scale {scale}" if scale != "quick" else ""))
            for cell in cells:
                agreement.add(cell)
    for folder in sorted(commands):
        here, there = _outcomes(fresh / folder), _outcomes(committed / folder)
        if not ids or folder.parts[0] in ids:
            for key in sorted(here.keys() & there.keys()):
                agreement.add(_run(folder, there[key], here[key], tolerance))
    return agreement


def _outcomes(folder: Path) -> dict[str, Row]:
    """The published rows of a folder, by their addresses. Errors: ValueError for a damaged file."""
    builds: list[Build] = load(folder / NAME) if (folder / NAME).exists() else []
    return {kept.row.key: kept.row for build in builds for kept in build.rows}


def _run(folder: Path, there: Row, here: Row, tolerance: float) -> Cell:
    """A run as one cell: the worst of its numbers, and which that is."""
    settings = json.loads(there.settings)
    values = dict(_leaves(there.values())), dict(_leaves(here.values()))
    worst, at = EQUAL, ""
    for name in dict.fromkeys([*values[0], *values[1]]):
        old, new = (str(side.get(name, "nothing")) for side in values)
        state = EQUAL if TIME.search(name) else state_of(old, new, tolerance)
        if STATES.index(state) > STATES.index(worst):
            worst, at = state, name
    committed, fresh = (str(side.get(at, "nothing")) for side in values)
    scale = _scale(folder / "run")
    return Cell(f"{folder.parts[0]}/{RUNS}", scale, f"{described(settings)}, {there.key[:12]}", at, committed, fresh, worst)


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, object]]:
    """The numbers and texts in plain JSON, each with the way to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{at}[{place}]")
    else:
        yield at, value


def _artifacts(out: Path) -> dict[Path, Entry]:
    """The descriptors below a folder, by their paths in it."""
    entries, damaged = descriptors(out)
    if damaged:
        raise ValueError(damaged[0])
    if not entries:
        raise ValueError(f"{out} holds no results; expected a folder that 'flatproof reproduce' has written")
    return {stem(Path(), entry["id"], entry["provenance"]): entry for entry in entries}


def _named(id: str, ids: Sequence[str]) -> bool:
    return any(id == name or id.startswith(f"{name}/") for name in ids)


def _asked(id: str, scale: str, commands: Iterable[str]) -> bool:
    """Whether one of some commands asks for an artifact at a scale."""
    for command in commands:
        words = command.split()
        options = dict(pairwise(words))
        if options.get("--scale", "quick") != scale:
            continue
        after = words[words.index("--only") + 1 :] if "--only" in words else [id]
        names = list(takewhile(lambda word: not word.startswith("--"), after))
        if any(":" in name or _named(id, [name]) or re.fullmatch(re.escape(name) + "[a-z]", id) for name in names):
            return True
    return False


def _scale(path: Path) -> str:
    return path.parent.name.removesuffix("_scale") if len(path.parts) == 3 else "quick"


def _reproducible(entry: Entry) -> bool:
    return str(entry["provenance"].get("command", "flatproof reproduce")).startswith("flatproof reproduce")


def _cells(
    id: str, scale: str, there: tuple[Entry, Path], here: tuple[Entry, Path], tolerance: float, times: set[str]
) -> Iterator[Cell]:
    """All cells of an artifact: of its CSV file, of the table as shown, its notes, and how many runs stand behind each row."""
    grids = _grids(*there), _grids(*here)
    for name in dict.fromkeys([*grids[0], *grids[1]]):
        if name == "coverage" and not all(name in grid for grid in grids):  # older descriptors have none
            continue
        old, new = (grid.get(name, Grid([], [])) for grid in grids)
        for cell in _of_grids(id, scale, old, new, tolerance, name != "raw", times):
            if name != "notes" or cell.state not in (MISSING, EXTRA):  # what a note is about is no result
                yield cell


def _grids(entry: Entry, path: Path) -> dict[str, Grid]:
    """What an artifact says, part by part."""
    sentences = _sentences(entry["notes"])
    words = _once([NUMBER.sub("#", sentence) for sentence in sentences])
    parts = {"notes": Grid(["note", "numbers"], [list(row) for row in zip(words, sentences, strict=True)])}
    if coverage := entry.get("coverage"):
        parts["coverage"] = Grid(["row", "runs stored"], [[row, str(count)] for row, count in coverage.items()])
    if entry["kind"] == "table":
        raw, table = _csv(path.with_suffix(".csv")), entry["table"]
        shown = Grid(_once(table["columns"]), table["rows"])
        twice = {*raw.columns} & {*shown.columns} if len(raw.rows) == len(shown.rows) else set()
        keys = _keys(shown, shown)
        parts |= {"raw": raw, "shown": _without(shown, twice - {*shown.columns[:keys]})}
    return parts


def _sentences(notes: Sequence[str]) -> list[str]:
    """Of the notes, those that hold numbers, and none of times."""
    sentences = [sentence for note in notes for sentence in re.split(r"(?<=[.;:]) ", note)]
    return [sentence for sentence in sentences if NUMBER.search(sentence) and not TIME.search(sentence)]


def _csv(path: Path) -> Grid:
    """The numbers behind a table, without the comments at the top."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next((at for at, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    rows = list(csv.reader(lines[first:]))
    columns = _once(rows[0]) if rows else []
    if any(len(row) != len(columns) for row in rows):
        raise ValueError(f"{path} is damaged: it has rows of another length than its header")
    return Grid(columns, rows[1:])


def _once(names: Sequence[str]) -> list[str]:
    """Names, those that come again with a number."""
    return [name if name not in names[:at] else f"{name} ({names[:at].count(name) + 1})" for at, name in enumerate(names)]


def _without(grid: Grid, names: set[str]) -> Grid:
    kept = [at for at, name in enumerate(grid.columns) if name not in names]
    return Grid([grid.columns[at] for at in kept], [[row[at] for at in kept] for row in grid.rows])


def _keys(old: Grid, new: Grid) -> int:
    """How many columns from the left tell the rows of either grid apart, and are the same in both; 0: none do, rows go by their place."""
    unique = 0
    for count in range(1, len(old.columns) + 1):
        if old.columns[:count] != new.columns[:count]:
            break
        left, right = ([tuple(row[:count]) for row in grid.rows] for grid in (old, new))
        if len({*left}) == len(left) and len({*right}) == len(right):
            unique = unique or count
            if {*left} == {*right}:
                return count
    return 0 if len(old.rows) == len(new.rows) else unique


def _of_grids(id: str, scale: str, old: Grid, new: Grid, tolerance: float, printed: bool, times: set[str]) -> Iterator[Cell]:
    keys = _keys(old, new)
    left, right = (
        {
            tuple(row[:keys]) if keys else (str(at),): dict(zip(grid.columns, row, strict=True))
            for at, row in enumerate(grid.rows, 1)
        }
        for grid in (old, new)
    )
    columns = list(dict.fromkeys([*old.columns, *new.columns]))
    for row in dict.fromkeys([*left, *right]):
        there, here = left.get(row, {}), right.get(row, {})
        for column in columns[keys:]:
            before, now = there.get(column), here.get(column)
            if TIME.search(column):
                times.add(column)
            elif before is not None or now is not None:
                state = MISSING if now is None else EXTRA if before is None else state_of(before, now, tolerance, printed)
                inside = state == DIFFERS and _inside(there, column, now or "")
                yield Cell(id, scale, " / ".join(row), column, before, now, state, inside)


def _inside(committed: Mapping[str, str], column: str, fresh: str) -> bool:
    """Whether a fresh number lies in the committed interval of that cell, as its text or the columns beside it give it."""
    if match := _INTERVAL.match(committed.get(column, "")):
        now = NUMBER.match(fresh)
        ends = [float(plain_digits(end)) for end in match.groups()[1:]]
        return now is not None and ends[0] <= float(plain_digits(now[0])) <= ends[1]
    base = column.removesuffix(", mean")
    names = [(f"{base}, low", f"{base}, high"), (f"{column}_low", f"{column}_high")]
    names += [("low", "high")] if column in ("mean", "value", "tau") else []
    for low, high in names:
        ends_there = number(committed.get(low, "")), number(committed.get(high, ""))
        value = number(fresh)
        if None not in (*ends_there, value):
            return bool(ends_there[0] <= value <= ends_there[1])  # type: ignore[operator]
    return False
