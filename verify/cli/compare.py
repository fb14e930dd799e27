"""Owns `flatproof compare`: a reproduction beside the committed results, number by number."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

import flatproof
from flatproof.verify.cli.options import OUT, AsJson
from flatproof.verify.cli.terminal import print_grid, print_json, refusing_bad_input, say

if TYPE_CHECKING:
    from flatproof.verify.report.compare import Agreement, Cell

LISTED = 20  # numbers that differ, unless --all
NOT_COMPARED = "Not compared: times, provenance, the pixels of figures, certificates"


def compare(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="What `flatproof reproduce` has written.")] = OUT,
    beside: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="FOLDER|REVISION",
            help="The committed results: a folder, or a git revision; default: as the source tree has committed them.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="ID", help="Compare this paper, table or figure alone; again for more.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Relative, of numbers within rounding; default: 1e-6.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"List every number that differs, not {LISTED}.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set a reproduction beside the committed results, number by number. Status 1 if one differs or is missing."""
    from flatproof.verify.report.compare import compare as compared
    from flatproof.verify.report.rounding import STATES, TOLERANCE

    relative = TOLERANCE if tolerance is None else tolerance
    with refusing_bad_input():
        if not 0 <= relative < 1:
            raise ValueError(f"--tolerance must be a number from 0 to below 1, got {tolerance}")
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; expected one that 'flatproof reproduce' has written")
        with _committed(folder, beside) as (there, name):
            try:
                agreement = compared(folder, there, only or [], relative)
            except ValueError as error:  # what a revision was written to is not what was named
                raise ValueError(str(error).replace(str(there), name)) from error
            if agreement.agrees and not agreement.artifacts:
                raise ValueError(f"no table or figure that 'flatproof reproduce' writes lies both in {folder} and in {name}")
    cells = sorted(agreement.cells, key=lambda cell: (not cell.verdict, STATES.index(cell.state)))
    if as_json:
        print_json(_plain(agreement, cells, folder, name, relative))
    else:
        _tell(agreement, cells, folder, name, relative, len(cells) if everything else LISTED)
    if not agreement.agrees:
        raise typer.Exit(1)


@contextmanager
def _committed(folder: Path, beside: str | None) -> Iterator[tuple[Path, str]]:
    """The folder that is compared with, and what it is called. Errors: ValueError where there is none."""
    if beside is not None and Path(beside).is_dir():
        yield Path(beside), beside
        return
    root = Path(flatproof.__file__).resolve().parents[1]
    revision = "HEAD" if beside is None else beside
    with TemporaryDirectory() as temporary:
        if _extract(root, revision, Path(temporary)):
            yield Path(temporary) / OUT.name, f"{OUT.name} of the revision {revision}"
            return
    if beside is not None:
        raise ValueError(
            f"--with must be a folder of results, or a revision of the repository that flatproof lies in; got {beside}"
        )
    results = root / OUT.name
    if not results.is_dir():
        raise ValueError("no committed results lie beside the installed package; name a folder of them with --with")
    if results.resolve() == folder.resolve():
        raise ValueError(
            f"{folder} holds the committed results themselves, and no git says what they were; name others with --with"
        )
    yield results, str(results)


def _extract(root: Path, revision: str, into: Path) -> bool:
    """Write the results of a revision into a folder; False where there is no repository, or no such revision."""
    command = ["git", "archive", "--format=tar", f"{revision}^{{commit}}", "--", OUT.name]
    try:
        top = subprocess.run(["git", "rev-parse", "--show-toplevel"], cwd=root, capture_output=True, check=True, encoding="utf-8")
        if Path(top.stdout.strip()).resolve() != root:
            return False
        packed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError, UnicodeError):
        return False
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")
    return True


def _tell(agreement: "Agreement", cells: "list[Cell]", folder: Path, name: str, tolerance: float, most: int) -> None:
    from flatproof.verify.report.rounding import DIFFERS, EXTRA, MISSING, NOTHING, ROUNDING, STATES

    grid = Grid(title=f"{folder} beside {name}", title_justify="left")
    for column in ("paper", "scale", "tables and figures", *STATES):
        grid.add_column(column, justify="left" if column in ("paper", "scale") else "right")
    for (paper, scale), counts in sorted(agreement.counts.items()):
        number = agreement.artifacts.get((paper, scale), 0)
        grid.add_row(paper, scale, str(number), *(f"{counts[state]:,}" for state in STATES))
    print_grid(grid, width=120)
    listed = [cell for cell in cells if cell.state != ROUNDING]
    for cell in listed[:most]:
        say(_line(cell))
    if len(listed) > most:
        say(f"... and {len(listed) - most:,} more: --all lists them")
    if agreement.same:
        number = sum(agreement.artifacts.values())
        say(f"{len(agreement.same)} of {number} tables and figures are the committed ones, provenance included: not made anew")
    say(
        f"Within rounding: a relative difference of at most {tolerance:g}, both below {NOTHING:g}, or one unit of the last digit that a "
        f"text prints; whole numbers are equal or differ. {NOT_COMPARED}"
        + (f", what another command wrote ({', '.join(sorted({*agreement.others}))})" if agreement.others else "")
        + (f", what was not asked for ({', '.join(_absent(agreement))})" if agreement.absent else "")
        + "."
    )
    if agreement.agrees:
        say("agrees: every number is equal or within rounding")
        return
    total = {state: sum(counts[state] for counts in agreement.counts.values()) for state in STATES}
    verdicts, inside = sum(cell.verdict for cell in cells), sum(cell.inside for cell in cells)
    say(
        f"does not agree: of {sum(total.values()):,} numbers and texts {verdicts:,} verdicts and {total[DIFFERS] - verdicts:,} others "
        f"differ ({inside:,} inside the committed interval), {total[MISSING]:,} are missing, {total[EXTRA]:,} extra"
    )


def _absent(agreement: "Agreement") -> list[str]:
    """What was not reproduced: papers, or how much of one."""
    return [
        ("" if at not in agreement.artifacts else f"{len(ids)} of ") + at[0] + (f" at scale {at[1]}" if at[1] != "quick" else "")
        for at, ids in agreement.absent.items()
    ]


def _line(cell: "Cell") -> str:
    """One cell that is not equal, in a line."""
    where = " | ".join(
        filter(None, (cell.id + (f" at scale {cell.scale}" if cell.scale != "quick" else ""), cell.row, cell.column))
    )
    kind = "verdict" if cell.verdict else cell.state
    texts = " -> ".join("nothing" if text is None else _short(text) for text in (cell.committed, cell.fresh))
    return f"{kind}: {where}: {texts}" + (" (inside the committed interval)" if cell.inside else "")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"


def _plain(agreement: "Agreement", cells: "list[Cell]", folder: Path, name: str, tolerance: float) -> dict[str, object]:
    """The whole comparison as JSON."""
    return {
        "folder": str(folder),
        "with": name,
        "tolerance": tolerance,
        "agrees": agreement.agrees,
        "papers": [
            {"paper": paper, "scale": scale, "artifacts": agreement.artifacts.get((paper, scale), 0)} | counts
            for (paper, scale), counts in sorted(agreement.counts.items())
        ],
        "cells": [cell._asdict() | {"verdict": cell.verdict} for cell in cells],
        "not made anew": agreement.same,
        "not asked for": [{"paper": paper, "scale": scale, "ids": ids} for (paper, scale), ids in agreement.absent.items()],
        "not compared": {"columns of times": sorted(agreement.times), "of other commands": sorted({*agreement.others})},
    }
