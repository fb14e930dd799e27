"""Owns the options that several commands share, and the checks that are theirs alone."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flatproof.verify.utils.errors import UserError

STORE, OUT = Path(".flatproof/runs.sqlite"), Path("paper_results")

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of papers, tables or figures; if none, all but those that run on request alone."),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="ID", help="The same as naming the ids.")]
Scale = Annotated[str, typer.Option(help="smoke (seconds), quick (minutes) or paper (the paper's own settings throughout).")]
Seeds = Annotated[
    int | None,
    typer.Option(help="Seeds 1 to N for every row; default: the experiment's own number, by scale.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Replace results, too, that more runs stand behind.")]
Columns = Annotated[
    str,
    typer.Option(
        metavar="brief|all|NAMES",
        help="Columns of the LaTeX tables: the main ones, all, or names with commas (semicolons if a name has one) between them.",
    ),
]
StorePath = Annotated[Path, typer.Option("--store", help="Where every run is kept.")]
Out = Annotated[Path, typer.Option("--out", help="Where tables, figures and index.html go.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root", help="Folder of real data sets; default: $FLATPROOF_DATA or ~/.cache/flatproof.", show_default=False
    ),
]
Board = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard", metavar="FOLDER", help="Also write the training curves of networks on images there.", show_default=False
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="classes: the label takes two values, the smaller becomes -1 and the larger 1; real: numbers, without an accuracy; "
        "auto: -1 and 1 are classes, other codes of classes are refused, all else is real."
    ),
]
Entry = Annotated[
    str | None,
    typer.Option(help="Which of a file's weights, such as state_dict_ema; default: the usual ones.", show_default=False),
]
Prefix = Annotated[str | None, typer.Option(help="Take the tensors whose names begin so, without it.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def check_at_least_one(option: str, value: int | None) -> None:
    """UserError naming the option unless its value, if it has one, is at least 1."""
    if value is not None and value < 1:
        raise UserError(f"{option} must be a whole number of at least 1, got {value}")


def check_writable(folder: Path) -> None:
    """Make a folder and try to write there: OSError that names it now rather than after hours of training."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def look_for_data_in(root: Path | None) -> None:
    """Make that folder the root of real data, in worker processes too. UserError if it is none."""
    if root is None:
        return
    from flatproof.verify.realdata.files import ENVIRONMENT

    if not root.is_dir():
        raise UserError(f"--data-root must be a folder, {root} is none")
    os.environ[ENVIRONMENT] = str(root.resolve())
