"""Owns the CSV of errors beside a folder of checkpoints: a row a checkpoint, a column a quantity, and what is wrong with its cells."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAME, GROUP = "name", "group"


@dataclass(frozen=True)
class ErrorFile:
    """Errors by checkpoint.

    Attributes:
        names: of the checkpoints, each once, in the file's order.
        columns: numbers by the name of their quantity, one a row; NaN for a cell that holds none.
        groups: of each row; None without a column `group`.
        texts: columns that hold no number, which are not correlated.
        faults: a line for each row or cell that cannot be used.
    """

    names: list[str]
    columns: dict[str, list[float]]
    groups: list[str] | None
    texts: list[str]
    faults: list[str]


def read_errors(path: Path) -> ErrorFile:
    """Read the file: names in the column `name`, or else in the first; numbers; `group` where tau is also taken inside groups.

    Raises:
        ValueError: it is no such table.
        OSError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"--errors {path} is not a CSV file in UTF-8: {error}") from None
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(header) < 2 or len(rows) < 2:
        raise ValueError(f"--errors {path} must have a header, a column of names and one of numbers, and a row a checkpoint")
    if repeated := [name for name, count in Counter(header).items() if count > 1]:
        raise ValueError(f"--errors {path} has two columns called {repeated[0]!r}; expected different names")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise ValueError(f"--errors {path} has {len(row)} cells in row {number} ({row[0]!r}); expected {len(header)}")
    place = header.index(NAME) if NAME in header else 0
    cells = {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}
    return _checked(path, cells.pop(header[place]), cells)


def _checked(path: Path, names: list[str], cells: dict[str, list[str]]) -> ErrorFile:
    counts = Counter(names)
    faults = [f"{path} names {name!r} in {count} rows" for name, count in counts.items() if count > 1]
    once = [counts[name] == 1 for name in names]
    names, groups = _kept(names, once), cells.pop(GROUP, None)
    columns: dict[str, list[float]] = {}
    texts = []
    for name, column in cells.items():
        kept = _kept(column, once)
        numbers = [_number(cell) for cell in kept]
        if all(map(math.isnan, numbers)) and any(cell and not _is_number(cell) for cell in kept):
            texts.append(name)
            continue
        columns[name] = numbers
        faults += [
            f"{path} has {cell or 'nothing'} as {name} of {row!r}; expected a finite number"
            for row, cell, number in zip(names, kept, numbers, strict=True)
            if math.isnan(number)
        ]
    if not columns:
        raise ValueError(f"--errors {path} has no column of numbers; it has {', '.join(texts) or 'names alone'}")
    return ErrorFile(names, columns, None if groups is None else _kept(groups, once), texts, faults)


def _kept(column: Sequence[str], once: Sequence[bool]) -> list[str]:
    return [cell for cell, keep in zip(column, once, strict=True) if keep]


def _number(cell: str) -> float:
    """A finite number; NaN for anything else."""
    number = float(cell) if _is_number(cell) else math.nan
    return number if math.isfinite(number) else math.nan


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
