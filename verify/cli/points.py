"""Owns how commands read a user's own points: from text tables, .npy, .npz and parquet, or standard input; and what is odd about them."""

import io
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatproof.verify.utils.table_files import (
    PARQUET,
    STDIN,
    Cells,
    Row,
    is_number,
    name_of,
    number,
    read_bytes,
    read_cells,
    read_parquet,
    shown,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flatproof import synth

NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
LABELS = ("label", "labels", "target", "targets", "class")  # a column of such a name holds labels
LARGEST = 1e150  # numbers of up to this size, and down to its inverse, have squares in double precision
LARGEST_OF = {"float32": 1e18, "float64": LARGEST}
SPREAD = 1e6  # coordinates whose sizes differ by less have been seen to be solved
INDEXES = ("", "index", "unnamed: 0", "id", "row")  # a first column of such a name that counts rows is no coordinate


@dataclass(frozen=True)
class Points:
    """What a file holds.

    Attributes:
        x, y: points (n, d) and labels (n,).
        name: of the file, in messages.
        names: of the columns, the label's last; empty if they have none.
        notes: how it was read, where that is not plain to see.
        plain: whether every reader of CSV reads the file alike.
        lines: that the points stand in, counted from 1; empty for what has none.
    """

    x: "NDArray[np.float64]"
    y: "NDArray[np.float64]"
    name: str
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plain: bool = False
    lines: list[int] = field(default_factory=list)

    def place(self, rows: Sequence[int]) -> str:
        """Where points are that are numbered from 0, for messages."""
        kind, end = ("line", "") if self.lines else ("row", " (from 0)")
        numbers = [str(self.lines[row] if self.lines else row) for row in rows]
        told = f"{kind}s {', '.join(numbers[:-1])} and {numbers[-1]}" if numbers[1:] else f"{kind} {numbers[0]}"
        return f"{self.name}, {told}{end}"


@dataclass(frozen=True)
class OwnData:
    """Points as commands use them.

    Attributes:
        data: training set and population.
        notes: how they were read, where that is not plain to see.
        plain: whether the training file says the same to every reader of CSV.
        files: the training points as read, and the test points if there are any.
    """

    data: "synth.Data"
    notes: list[str]
    plain: bool
    files: tuple[Points, ...]

    def check_largest(self, dtype: str) -> None:
        """Raise ValueError naming a number whose square is none in float32 or float64."""
        import numpy as np

        for points in self.files:
            table = np.column_stack([points.x, points.y])
            bad = np.argwhere(np.abs(table) > LARGEST_OF[dtype])
            if len(bad):
                row, column = bad[0].tolist()
                raise ValueError(
                    f"{points.place([row])} holds {table[row, column]:g}; expected numbers of a size up to {LARGEST_OF[dtype]:g}, whose "
                    f"squares {dtype} holds"
                )

    def check_sizes(self) -> None:
        """Raise ValueError naming a number whose square is none in double precision, or 0."""
        import numpy as np

        for points in self.files:
            table = np.abs(np.column_stack([points.x, points.y]))
            bad = np.argwhere((table > LARGEST) | ((table > 0) & (table < 1 / LARGEST)))
            if len(bad):
                row, column = bad[0].tolist()
                raise ValueError(
                    f"{points.place([row])} holds {np.column_stack([points.x, points.y])[row, column]:g}; expected numbers of a size from "
                    f"{1 / LARGEST:g} to {LARGEST:g}, or 0, whose squares double precision holds"
                )

    @contextmanager
    def solving(self) -> "Iterator[None]":
        """Within the block errors about points name their file and lines; numpy keeps quiet, for what comes out is checked.

        Raises:
            ValueError, ArithmeticError: as within, with the place, or with the spread of sizes where that is large.
        """
        import numpy as np

        from flatproof.theory import Infeasible

        points = self.files[0]
        try:
            with np.errstate(all="ignore"):
                yield
        except Infeasible as error:
            raise ValueError(f"{points.place(error.rows)} {error.problem}") from error
        except (ValueError, ArithmeticError) as error:
            sizes = np.abs(points.x)[points.x != 0]
            numerical = isinstance(error, ArithmeticError) or _is_from_elsewhere(error)
            if not numerical or not len(sizes) or sizes.max() <= SPREAD * sizes.min():
                raise
            kind = ArithmeticError if isinstance(error, ArithmeticError) else ValueError
            raise kind(
                f"{error}; {points.name} holds coordinates of sizes from {sizes.min():g} to {sizes.max():g}; expected them within a "
                f"factor of {SPREAD:g} of each other"
            ) from error


def own_data(path: Path, test: Path | None, labels: str) -> OwnData:
    """The data of one or two files, and how they were read.

    Args:
        path: the training points.
        test: the population's points, or None: then there is no test error.
        labels: as synth.given takes them.

    Raises:
        ValueError: a file that does not hold points, or labels that are not as said.
        OSError: a file that cannot be read.
    """
    from flatproof import synth

    if path == test == STDIN:
        raise ValueError("standard input holds one table; expected the training points or --test from it, not both")
    train = read_points(path)
    if test is None:
        try:
            data = synth.given(train.x, train.y, labels=labels)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{train.name}: {error}") from error
        return OwnData(data, train.notes, train.plain and bool((data.y == train.y).all()), (train,))
    tests = read_points(test)
    first, second = train.names[:-1], tests.names[:-1]
    if first != second and sorted(first) == sorted(second):
        raise ValueError(
            f"{name_of(test)} has its columns in the order {', '.join(second)}; expected {', '.join(first)} as in {name_of(path)}"
        )
    if (width := tests.x.shape[1]) != train.x.shape[1]:
        missing = tests.names == first if first else width + 1 == train.x.shape[1]
        raise ValueError(
            f"{name_of(test)} must have {train.x.shape[1] + 1} columns as {name_of(path)} has, the label last, got {width + 1}"
            + (f"; the label{f', {train.names[-1]!r},' if first else ''} is missing" if missing else "")
        )
    try:
        data = synth.given(train.x, train.y, tests.x, tests.y, labels)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{(tests if str(error).startswith('test_') else train).name}: {error}") from error
    return OwnData(data, train.notes + tests.notes, train.plain and bool((data.y == train.y).all()), (train, tests))


def read_points(path: Path) -> Points:
    """The points of a file, told by its content: a row a point, the label last; in .npz alternatively arrays x and y.

    Of text, blank lines and lines from # on are skipped; a first row without a single number, or with names and 0, 1, ... in place of
    names, is a header. A first column that a header calls an index and that counts rows is left out.

    Raises:
        ValueError: names the place that is not as wide as the first or holds something else than finite numbers.
        OSError: the file cannot be read.
    """
    data, name = read_bytes(path), name_of(path)
    if data.startswith((NPY, ZIP)):
        return _of_numpy(data, name)
    if data.startswith(PARQUET):
        return _of_parquet(data, name)
    return _of_cells(read_cells(data, name, comments=True), name)


def _is_from_elsewhere(error: Exception) -> bool:
    """Whether an error is no message of this project's: raised by numpy or scipy, which met what is no number."""
    places = list(traceback.walk_tb(error.__traceback__))
    return not places[-1][0].f_globals.get("__name__", "").startswith("flatproof")


def _of_numpy(data: bytes, name: str) -> Points:
    import numpy as np

    try:
        held: Any = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = {"": held} if isinstance(held, np.ndarray) else {key: held[key] for key in held.files}
    except Exception:  # numpy raises whatever its readers of zip files and arrays meet
        raise ValueError(f"{name} is not a whole .npy or .npz file of plain arrays of numbers") from None
    arrays = {key.lower() if key in ("X", "Y") and key.lower() not in arrays else key: array for key, array in arrays.items()}
    if len(arrays) > 1 and not {"x", "y"} <= {*arrays}:
        raise ValueError(f"{name} holds {', '.join(arrays)}; expected x (n, d) and y (n,), or one array with the label last")
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub" and key in ("x", "y", *list(arrays)[:1]):
            raise ValueError(f"{name} must hold real numbers, {key or 'the array'} is of the type {array.dtype}")
    if len(arrays) > 1:
        x, y = arrays["x"], arrays["y"]
        y = y[:, 0] if y.shape[1:] == (1,) else y
        if x.ndim != 2 or 0 in x.shape or y.shape != x.shape[:1]:
            raise ValueError(f"{name} must hold x (n, d) and y (n,), got shapes {x.shape} and {y.shape}")
        others = [key for key in arrays if key not in ("x", "y")]
        notes = [f"{name}: not read: {', '.join(others)}"] if others else []
        table = np.column_stack([x.astype(np.float64), y.astype(np.float64)])
    else:
        table, notes = next(iter(arrays.values())), []
        if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
            raise ValueError(f"{name} must have a row a point, the label last, got shape {table.shape}")
        table = table.astype(np.float64)
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(f"{name}, row {row}, column {column} must be a finite number, got {table[row, column]} (both from 0)")
    return Points(table[:, :-1], table[:, -1], name, [], notes)


def _of_parquet(data: bytes, name: str) -> Points:
    import numpy as np
    from pandas.api.types import is_numeric_dtype

    frame = read_parquet(data, name)
    names = [str(column) for column in frame.columns]
    if frame.shape[0] < 1 or frame.shape[1] < 2:
        raise ValueError(
            f"{name} must have a row a point, the label last, got {frame.shape[0]} rows and {frame.shape[1]} columns"
        )
    if texts := [column for column in frame.columns if not is_numeric_dtype(frame[column].dtype)]:
        raise ValueError(f"{name}, column {texts[0]!r} must hold numbers, got {frame[texts[0]].dtype}")
    table = np.column_stack([frame[column].to_numpy(dtype=np.float64, na_value=np.nan) for column in frame.columns])
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(f"{name}, row {row}, column {names[column]!r} must be a finite number, got {table[row, column]}")
    return _assembled(table, names, [], name, False, [])


def _of_cells(cells: Cells, name: str) -> Points:
    import numpy as np

    if not cells.rows:
        raise ValueError(f"{name} must hold at least one row of numbers, got none")
    first, notes = cells.rows[0], [] if cells.plain else [f"{name}: {cells.described}"]
    where = f"{name}, line {first.line}"
    if len(first.cells) < 2:
        raise ValueError(f"{where} must hold at least two numbers, the label last, got {shown(first.cells[0])}")
    titled = _is_header(first.cells, cells.separator)
    if titled and any(is_number(cell, cells.separator) for cell in first.cells):
        notes.append(f"{where}: taken as names of columns: {', '.join(first.cells)}")
    if not titled and [cell for cell in first.cells if is_number(cell)] == [str(i) for i in range(len(first.cells))]:
        notes.append(f"{where}: {', '.join(first.cells)} is taken as a point; delete the line if it numbers the columns")
    rows = [_numbers(row, len(first.cells), name, cells.separator) for row in cells.rows[titled:]]
    if not rows:
        raise ValueError(f"{name} must hold at least one row of numbers, got none")
    lines = [row.line for row in cells.rows[titled:]]
    return _assembled(np.array(rows), first.cells if titled else [], notes, name, cells.plain, lines)


def _is_header(cells: list[str], separator: str) -> bool:
    """Whether a first row names columns: none of it is a number, or those that are count 0, 1, ... in place of names."""
    numbers = [cell for cell in cells if is_number(cell, separator)]
    named = any(cell for cell in cells if cell not in numbers)
    return not numbers or (named and numbers == [str(i) for i in range(len(numbers))])


def _numbers(row: Row, width: int, name: str, separator: str) -> list[float]:
    """The numbers of a row; ValueError naming the column that is none."""
    where = f"{name}, line {row.line}"
    if len(row.cells) != width:
        raise ValueError(f"{where} must hold {width} numbers like the first row, got {len(row.cells)}")
    numbers = []
    for column, cell in enumerate(row.cells, start=1):
        if not is_number(cell, separator) or not isfinite(value := number(cell, separator)):
            raise ValueError(f"{where}, column {column} must be a finite number, got {shown(cell)}")
        numbers.append(value)
    return numbers


def _assembled(
    table: "NDArray[np.float64]", names: list[str], notes: list[str], name: str, plain: bool, lines: list[int]
) -> Points:
    """The points, without an index, and with what is odd about the columns. ValueError for labels that are not last."""
    import numpy as np

    lower = [title.lower() for title in names]
    if names and lower[-1] not in LABELS and (early := [title for title in names if title.lower() in LABELS]):
        raise ValueError(f"{name} has the column {early[0]!r} before the last, {names[-1]!r}; expected the label last")
    notes += [
        f"{name}: columns {', '.join(places)} are all called {title!r}; each is used as a coordinate"
        for title in dict.fromkeys(names[:-1])
        if len(places := [str(k) for k, other in enumerate(names, start=1) if other == title]) > 1
    ]
    first = table[:, 0]
    whole = bool((first == np.round(first)).all()) and first.min() >= 0 and len(np.unique(first)) == len(first)
    counts = whole and bool((np.diff(first) == 1).all()) and first[0] in (0, 1)
    if names and whole and lower[0] in INDEXES and table.shape[1] > 2:
        notes.append(f"{name}: the first column, {names[0]!r}, is an index and left out")
        return Points(table[:, 1:-1], table[:, -1], name, names[1:], notes, False, lines)
    if counts and len(first) > 2 and table.shape[1] > 2:
        title = repr(names[0]) if names else "which has no name"
        notes.append(
            f"{name}: the first column, {title}, counts the rows and is used as a coordinate; called 'index' it is left out"
        )
    return Points(table[:, :-1], table[:, -1], name, names, notes, plain, lines)
