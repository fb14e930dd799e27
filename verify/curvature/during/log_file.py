"""Owns the CSV file of measurements during training: rows are appended whole, and a restart goes on in the same file.

A restarted training has the next number in the column `run`, and may measure steps again that an earlier run has reached: nothing is
taken away, `read_rows` gives each step's newest.
"""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from flatproof.verify.utils.errors import UserError


@dataclass(frozen=True)
class Row:
    """A measure at a step: the fields of its `Estimate`, with when it was taken and what was not.

    Attributes:
        run: 1, and one more for each restart that went on in the file.
        step: of the training.
        elapsed: seconds of training in this run, without measuring.
        skipped: measurements that the budget left out since the one before.
        measure: its name; "loss" for the loss on the data.
        value: NaN where there is none; `note` says why.
        low, high: ends of the interval.
        confidence: of the interval; NaN for one that is deterministic.
        products: Hessian-vector products spent.
        gradients: passes over the data spent on gradients.
        losses: passes over the data spent on losses.
        seconds: of this measure.
        estimator: how it was computed.
        rests_on: what the interval assumes.
        note: why there is no value.
    """

    run: int
    step: int
    elapsed: float
    skipped: int
    measure: str
    value: float
    low: float
    high: float
    confidence: float
    products: int
    gradients: float
    losses: float
    seconds: float
    estimator: str
    rests_on: str
    note: str = ""


COLUMNS = tuple(column.name for column in fields(Row))


class LogFile:
    """A file that rows are appended to.

    Args:
        path: of the file; made with its folders if it is not there.

    Attributes:
        run: the number of this run.

    Raises:
        UserError: the file has other columns.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.run = path, 1
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        header = _line(COLUMNS)
        whole = content[: content.rfind(b"\n") + 1]  # a process that was killed may have left half a row
        if not whole and header.startswith(content):
            path.write_bytes(header)
            return
        _check_header(path, whole or content)
        if whole != content:
            os.truncate(path, len(whole))
        self.run += max((row.run for row in _parsed(path)), default=0)

    def append(self, rows: Iterable[Row]) -> None:
        """Rows of one measurement, in one write."""
        text = b"".join(_line(astuple(row)) for row in rows)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, text)
        finally:
            os.close(handle)


def read_rows(path: str | Path) -> list[Row]:
    """The measurements in a file: of each step and measure the newest, in the order of the steps.

    Args:
        path: of a recorder's CSV file.

    Raises:
        UserError: the file has other columns, or a row that is none.
        OSError: it cannot be read.
    """
    path = Path(path)
    _check_header(path, path.read_bytes())
    newest = {(row.step, row.measure): row for row in _parsed(path)}
    return sorted(newest.values(), key=lambda row: row.step)


def _check_header(path: Path, content: bytes) -> None:
    first = content.partition(b"\n")[0].decode("utf-8", errors="replace").strip()
    if first != ",".join(COLUMNS):
        raise UserError(f"{path} begins with {first[:80]!r}; expected the columns {','.join(COLUMNS)}, or another file")


def _parsed(path: Path) -> Iterable[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if number > 1 and len(cells) == len(COLUMNS):
                try:
                    kinds = (column.type for column in fields(Row))
                    yield Row(*(kind(cell) for kind, cell in zip(kinds, cells, strict=True)))  # type: ignore[operator]
                except ValueError as error:
                    raise UserError(f"{path}, row {number} is no measurement: {error}") from None
            elif number > 1:
                raise UserError(f"{path}, row {number} has {len(cells)} columns; expected {len(COLUMNS)}")


def _line(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
