"""Owns the command `flatproof`: its commands together, and how errors end it.

Bad input ends in one line and exit status 2; nothing stored is touched by it.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from flatproof import __version__
from flatproof.verify.cli.bench import app as bench
from flatproof.verify.cli.certify import certify
from flatproof.verify.cli.claims import claims
from flatproof.verify.cli.data import app as data
from flatproof.verify.cli.reproduce import report, reproduce
from flatproof.verify.cli.sharpness import sharpness
from flatproof.verify.cli.store import app as store
from flatproof.verify.cli.terminal import prepare
from flatproof.verify.cli.train import train
from flatproof.verify.utils.errors import UserError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for command in (reproduce, report, claims, certify, train, sharpness):
    app.command()(command)
app.add_typer(bench, name="bench")
app.add_typer(data, name="data")
app.add_typer(store, name="store")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"flatproof {__version__}")
        raise typer.Exit


@app.callback()
def _flatproof(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Does a flat minimum generalize? Machine-checked theory and many-seed experiments."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point: one line and exit status 2 for bad input, 1 for a failure, 130 when interrupted; never a traceback.

    Args:
        arguments: of the command line; None: this process's.
    """
    try:
        prepare()
        status = app(arguments, prog_name="flatproof", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except UserError as error:
        _fail(str(error), 2)
    except MemoryError as error:
        _fail(f"out of memory: {error}; expected smaller sizes", 1)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; finished runs are stored, and the same command goes on from there", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last stop: nobody above would turn it into a line
        if hasattr(error, "format_message"):  # a usage error that typer raises
            _fail(error.format_message() or "see --help", getattr(error, "exit_code", 2))
        if os.environ.get("FLATPROOF_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (FLATPROOF_DEBUG=1 shows where)", 1)


def _fail(message: str, status: int) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
