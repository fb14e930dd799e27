"""Owns what commands have in common at the terminal: the console, lines and tables on it, and bad input turned into one line."""

import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from flatproof.caching import use_cache
from flatproof.verify.utils.errors import UserError

if TYPE_CHECKING:
    from flatproof.verify.report.artifacts import Artifact

console = Console()


def prepare() -> None:
    """Once, where a command begins: what the terminal cannot show becomes a question mark, and compiled code has a place.

    Raises:
        UserError: for a FLATPROOF_CACHE that cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with refusing_bad_input():
        use_cache()


@contextmanager
def refusing_bad_input() -> Iterator[None]:
    """Turn the errors that bad input causes into UserError."""
    try:
        yield
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise UserError(f"cannot use{where}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


def say(line: str) -> None:
    """Print text as it stands: not wrapped, no colours, no markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print as one line of JSON: glyphs as they are, where the stream can carry them."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value)
    print(text)


def warn(line: str) -> None:
    """An error that does not end the command, in one line beside what it prints."""
    print("error: " + " ".join(line.split()), file=sys.stderr)


def animated(target: Console) -> bool:
    """Whether a line there can be written anew: on a true terminal, whatever colours are forced.

    A notebook's `!command` has a terminal that shows all it gets, one below the other.
    """
    return target.is_terminal and target.file.isatty() and not target.is_dumb_terminal and "JPY_PARENT_PID" not in os.environ


def busy(label: str, quiet: bool) -> AbstractContextManager[object]:
    """A spinner on a terminal, nothing elsewhere or if `quiet`."""
    return console.status(label) if animated(console) and not quiet else nullcontext()


def print_grid(grid: Grid, width: int) -> None:
    """Print a table: as wide as the terminal, or so many characters where there is none."""
    (console if console.is_terminal else Console(width=width)).print(grid)


def print_tables(artifacts: "Sequence[Artifact]") -> None:
    """Print the tables among a report's artifacts, their brief columns."""
    from flatproof.verify.report.artifacts import Table

    for table in (artifact for artifact in artifacts if isinstance(artifact, Table)):
        brief = table.shown[list(table.brief)]
        grid = Grid(title=table.title, title_justify="left", show_lines=True)
        for column in brief.columns:  # an id can be searched for and copied: it stands on one line, and nothing is cut off
            whole = column == "id"
            width = max([len(column), *map(len, map(str, brief[column]))]) if whole else None
            grid.add_column(column, overflow="fold", no_wrap=whole, min_width=width)
        for row in brief.to_numpy().tolist():
            grid.add_row(*(Text(str(cell)) for cell in row))
        print_grid(grid, width=120)
