"""Owns tables in files, as rows of cells: text in the usual encodings, separated by commas, semicolons, tabs or spaces, and parquet.

The name "-" stands for standard input. How cells are separated is told from the content: as leaves every row as wide as the first and
most cells numbers. Between semicolons, tabs or spaces a number may have a decimal comma.
"""

import codecs
import csv
import io
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

STDIN = Path("-")
SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", " ": "spaces"}  # the first of those that fit alike
BYTE_ORDER_MARKS = {  # the longer first: UTF-32's begins like UTF-16's
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
PARQUET = b"PAR1"
LOOKED_AT = 200  # rows from which the separator is told


@dataclass(frozen=True)
class Row:
    """The cells of one row, and the line of the file that it ends in."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Cells:
    """A table as text.

    Attributes:
        rows: those that are not blank; of parquet the names of the columns are the first.
        separator: "" for parquet.
        decimal_comma: whether some number has one.
        encoding: of the text; "" for parquet.
        comments: how many rows were left out that other readers of CSV take for rows; not one that stands where names would.
    """

    rows: list[Row]
    separator: str
    decimal_comma: bool
    encoding: str
    comments: int = 0

    @property
    def plain(self) -> bool:
        """Whether any reader of CSV reads it alike: commas, UTF-8, no comments."""
        return self.separator == "," and self.encoding.startswith("utf-8") and not self.comments

    @property
    def described(self) -> str:
        """How it was read, in words."""
        if not self.separator:
            return "parquet"
        commas = ", decimal commas" if self.decimal_comma else ""
        skipped = f", lines skipped that begin with #: {self.comments}" if self.comments else ""
        return f"columns separated by {SEPARATORS[self.separator]}{commas}, {self.encoding.upper().removesuffix('-SIG')}{skipped}"


def name_of(path: Path) -> str:
    """What a file is called in messages."""
    return "standard input" if path == STDIN else str(path)


def read_bytes(path: Path) -> bytes:
    """The content of a file, or of standard input for "-". Errors: OSError if it cannot be read."""
    return sys.stdin.buffer.read() if path == STDIN else path.read_bytes()


def read_cells(data: bytes, name: str, comments: bool = False) -> Cells:
    """The rows of a table.

    Args:
        data: content of the file.
        name: it is called in messages.
        comments: leave out rows that begin with #.

    Raises:
        ValueError: it is no such table.
    """
    if data.startswith(PARQUET):
        return _cells_of(read_parquet(data, name))
    text, encoding = _decoded(data, name)
    found: dict[str, tuple[bool, float]] = {}
    for separator in SEPARATORS:
        try:
            found[separator] = _fit(list(_parsed(text, separator, comments, LOOKED_AT)), separator)
        except csv.Error:
            continue
    separator = max(found, key=lambda s: found[s], default=",")
    if found.get(separator) == (False, 0.0):
        separator = ","
    rows, skipped, line = list[Row](), list[Row](), 0
    try:
        for row in _parsed(text, separator, False):
            line = row.line
            (skipped if comments and row.cells[0].startswith("#") else rows).append(row)
    except csv.Error as error:
        raise ValueError(f"{name} is not a text table: after line {line}: {error}") from None
    commas = separator != "," and any("," in cell and is_number(cell, separator) for row in rows for cell in row.cells)
    if commas and any("." in cell and is_number(cell, separator) for row in rows for cell in row.cells):
        raise ValueError(f"{name} has numbers with a decimal comma and numbers with a decimal point; expected one of them")
    in_place_of_names = rows and skipped and skipped[0].line < rows[0].line and all(is_number(cell) for cell in rows[0].cells)
    return Cells(rows, separator, commas, encoding, len(skipped) - bool(in_place_of_names))


def read_parquet(data: bytes, name: str) -> "pd.DataFrame":
    """A parquet file, by pandas. Errors: ValueError where pyarrow is missing, or for a damaged file."""
    import pandas as pd

    try:
        return pd.read_parquet(io.BytesIO(data))
    except ImportError:
        raise ValueError(
            f"{name} is a parquet file, which needs the package pyarrow; expected it installed, as by "
            "pip install 'flatproof[parquet]'"
        ) from None
    except Exception as error:  # pyarrow raises whatever it meets
        raise ValueError(f"{name} is not a whole parquet file: {' '.join(str(error).split())[:200]}") from None


def number(cell: str, separator: str = ",") -> float:
    """A cell's number, which may have a decimal comma where commas separate nothing. Errors: ValueError if it holds none."""
    if "_" in cell:  # Python's own way to group digits
        raise ValueError(cell)
    return float(cell.replace(",", ".", 1) if separator not in ("", ",") and "." not in cell else cell)


def is_number(cell: str, separator: str = ",") -> bool:
    """Whether a cell holds a number, finite or not."""
    try:
        number(cell, separator)
    except ValueError:
        return False
    return True


def shown(cell: str) -> str:
    """A cell as messages quote it."""
    return repr(cell if len(cell) <= 40 else cell[:40] + "…")


def _decoded(data: bytes, name: str) -> tuple[str, str]:
    """The text, and its encoding: as the byte order mark says, UTF-16 where every other byte is 0, UTF-8, or else Windows' Latin-1."""
    tried = next(([known] for mark, known in BYTE_ORDER_MARKS.items() if data.startswith(mark)), ["utf-8", "cp1252"])
    if len(tried) > 1 and b"\0" in data:
        even, odd = (data[i::2].count(0) for i in (0, 1))
        tried = ["utf-16-le" if odd > even else "utf-16-be"] if max(even, odd) > len(data) / 4 else []
    for encoding in tried:
        try:
            text = data.decode(encoding).removesuffix("\x1a")
        except UnicodeDecodeError:
            continue
        if not CONTROL.search(text):
            return text, encoding
    raise ValueError(f"{name} is not a text table, nor parquet; expected rows of numbers separated by commas or the like")


def _parsed(text: str, separator: str, comments: bool, most: int | None = None) -> Iterator[Row]:
    """The rows that are not blank, at most so many."""
    lines: Iterator[str] = iter(io.StringIO(text, newline=""))
    if separator == " ":
        lines = (re.sub(r"[ \t]+", " ", line.strip()) for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    count = 0
    for cells in reader:
        if not "".join(cells).strip() or (comments and cells[0].lstrip().startswith("#")):
            continue
        yield Row(reader.line_num, [cell.strip() for cell in cells])
        count += 1
        if count == most:
            return


def _fit(rows: list[Row], separator: str) -> tuple[bool, float]:
    """Whether all rows are as wide as the first, of two cells at least, and the share of numbers after the first row."""
    if not rows or len(rows[0].cells) < 2:
        return False, 0.0
    cells = [cell for row in (rows[1:] or rows) for cell in row.cells]
    numbers = sum(is_number(cell, separator) for cell in cells) / len(cells)
    return all(len(row.cells) == len(rows[0].cells) for row in rows), numbers


def _cells_of(frame: "pd.DataFrame") -> Cells:
    """A data frame's cells, an index that has been given names among them; nothing where a value is missing."""
    if frame.index.name is not None or frame.index.dtype == object or str(frame.index.dtype).startswith("str"):
        frame = frame.reset_index()
    rows = [Row(1, [str(name) for name in frame.columns])]
    for number_of_row, values in enumerate(frame.itertuples(index=False), start=2):
        rows.append(Row(number_of_row, [_text(value) for value in values]))
    return Cells(rows, "", False, "")


def _text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("<NA>", "NaT")
    return "" if missing else str(value).strip()
