"""Owns the CSV of errors beside a folder of checkpoints: a row a checkpoint, a column a quantity, and what is wrong with its cells."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flatproof.verify.utils.table_files import is_number, name_of, number, read_bytes, read_cells

NAME, GROUP = "name", "group"
INDEXES = ("", "unnamed: 0")  # what pandas calls an index that it writes


@dataclass(frozen=True)
class ErrorFile:
    """Errors by checkpoint.

    Attributes:
        names: of the checkpoints, each once, in the file's order.
        columns: numbers by the name of their quantity, one a row; NaN for a cell that holds none.
        groups: of each row; None without a column `group`.
        texts: columns that hold no number, or an index, which are not correlated.
        faults: a line for each row or cell that cannot be used.
        title: what the first row calls the names.
    """

    names: list[str]
    columns: dict[str, list[float]]
    groups: list[str] | None
    texts: list[str]
    faults: list[str]
    title: str = NAME


def read_errors(path: Path) -> ErrorFile:
    """Read the file: names in the column `name`, or else in the first; numbers; `group` where tau is also taken inside groups.

    Raises:
        ValueError: it is no such table.
        OSError: it cannot be read.
    """
    name = name_of(path)
    try:
        table = read_cells(read_bytes(path), name)
    except ValueError as error:
        raise ValueError(f"--errors {error}") from None
    rows = [row.cells for row in table.rows]
    header = rows[0] if rows else []
    if len(header) < 2 or len(rows) < 2:
        raise ValueError(f"--errors {name} must have a header, a column of names and one of numbers, and a row a checkpoint")
    if repeated := [title for title, count in Counter(header).items() if count > 1]:
        raise ValueError(f"--errors {name} has two columns called {repeated[0]!r}; expected different names")
    for place, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise ValueError(f"--errors {name} has {len(row)} cells in row {place} ({row[0]!r}); expected {len(header)}")
    cells = {title: [row[i] for row in rows[1:]] for i, title in enumerate(header)}
    title = NAME if NAME in header else header[0]
    return replace(_checked(name, cells.pop(title), cells, table.separator), title=title)


def _checked(path: str, names: list[str], cells: dict[str, list[str]], separator: str) -> ErrorFile:
    counts = Counter(names)
    faults = [f"{path} names {name!r} in {count} rows" for name, count in counts.items() if count > 1]
    once = [counts[name] == 1 for name in names]
    names, groups = _kept(names, once), cells.pop(GROUP, None)
    columns: dict[str, list[float]] = {}
    texts = []
    for name, column in cells.items():
        kept = _kept(column, once)
        numbers = [_finite(cell, separator) for cell in kept]
        if all(map(math.isnan, numbers)) and any(cell and not is_number(cell, separator) for cell in kept):
            texts.append(name)
            continue
        if name.lower() in INDEXES and len(set(kept)) == len(kept) and all(cell.isdecimal() for cell in kept):
            texts.append(name or "an index")
            continue
        columns[name] = numbers
        faults += [
            f"{path} has {cell or 'nothing'} as {name} of {row!r}; expected a finite number"
            for row, cell, value in zip(names, kept, numbers, strict=True)
            if math.isnan(value)
        ]
    if not columns:
        raise ValueError(f"--errors {path} has no column of numbers; it has {', '.join(texts) or 'names alone'}")
    return ErrorFile(names, columns, None if groups is None else _kept(groups, once), texts, faults)


def _kept(column: Sequence[str], once: Sequence[bool]) -> list[str]:
    return [cell for cell, keep in zip(column, once, strict=True) if keep]


def _finite(cell: str, separator: str) -> float:
    """A finite number; NaN for anything else."""
    value = number(cell, separator) if is_number(cell, separator) else math.nan
    return value if math.isfinite(value) else math.nan
