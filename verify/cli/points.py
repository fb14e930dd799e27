"""Owns how commands read a user's own points from CSV files."""

import csv
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flatproof import synth


def own_points(path: Path, test: Path | None, labels: str) -> "synth.Data":
    """The data of one or two CSV files.

    Args:
        path: the training points.
        test: the population's points, or None: then there is no test error.
        labels: as synth.given takes them.

    Raises:
        ValueError: a file that does not hold points, or labels that are not as said.
        OSError: a file that cannot be read.
    """
    from flatproof import synth

    x, y = read_points(path)
    test_x, test_y = (None, None) if test is None else read_points(test)
    return synth.given(x, y, test_x, test_y, labels)  # type: ignore[arg-type]


def read_points(path: Path) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """The points of a CSV file: a row a point, the label last.

    Blank lines and lines from # on are skipped. A first row without a single number is a header.

    Returns:
        Points (n, d) and labels (n,).

    Raises:
        ValueError: names the line that is not as wide as the first or holds something else than finite numbers.
        OSError: the file cannot be read.
    """
    import numpy as np

    rows: list[list[float]] = []
    width = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if not "".join(cells).strip() or cells[0].lstrip().startswith("#"):
                    continue
                where = f"{path}, line {reader.line_num}"
                if not width:
                    width = len(cells)
                    if _is_header(cells, where):
                        continue
                rows.append(_row(cells, width, where))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a text table of numbers separated by commas: {error}") from None
    if not rows:
        raise ValueError(f"{path} must hold at least one row of numbers, got none")
    table = np.array(rows)
    return table[:, :-1], table[:, -1]


def _is_header(cells: list[str], where: str) -> bool:
    """Whether the first row names columns; ValueError where it can be neither names nor a point."""
    if len(cells) < 2:
        raise ValueError(f"{where} must hold at least two numbers, the label last, got {cells}")
    values = [_number(cell) for cell in cells]
    if values == list(range(len(cells))):
        raise ValueError(f"{where} counts columns 0 to {len(cells) - 1}; expected a point, or names of columns")
    return all(value is None for value in values)


def _row(cells: list[str], width: int, where: str) -> list[float]:
    """The numbers of a row; ValueError naming the column that is none."""
    if len(cells) != width:
        raise ValueError(f"{where} must hold {width} numbers like the first row, got {len(cells)}")
    numbers = []
    for column, cell in enumerate(cells, start=1):
        value = _number(cell)
        if value is None or not isfinite(value):
            raise ValueError(f"{where}, column {column} must be a finite number, got {cell!r}")
        numbers.append(value)
    return numbers


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
