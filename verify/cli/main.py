"""Owns the command `flatproof`: its commands together, and how errors end it.

Bad input ends in one line and exit status 2; nothing stored is touched by it.
"""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from flatproof import __version__
from flatproof.verify.cli.bench import app as bench
from flatproof.verify.cli.certify import certify
from flatproof.verify.cli.claims import claims
from flatproof.verify.cli.compare import compare
from flatproof.verify.cli.correlate import correlate
from flatproof.verify.cli.data import app as data
from flatproof.verify.cli.density import density
from flatproof.verify.cli.draw import draw
from flatproof.verify.cli.endings import Signalled, end_children, raising_signals
from flatproof.verify.cli.gpu_queue import gpu_queue
from flatproof.verify.cli.ids import ids
from flatproof.verify.cli.landscape import landscape
from flatproof.verify.cli.reproduce import report, reproduce
from flatproof.verify.cli.sharpness import sharpness
from flatproof.verify.cli.store import app as store
from flatproof.verify.cli.terminal import prepare
from flatproof.verify.cli.train import train
from flatproof.verify.utils.errors import SweepError, UserError


class _EndOfFileError(Exception):
    """Its cause is an EOFError, which typer would take for the end of a dialogue."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise _EndOfFileError from error


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (
    reproduce,
    report,
    compare,
    ids,
    claims,
    certify,
    train,
    sharpness,
    correlate,
    landscape,
    density,
    draw,
    gpu_queue,
):
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
    """Entry point: one line and exit status 2 for bad input, 1 for a failure, 130 or 143 when a signal ends it; never a traceback.

    Args:
        arguments: of the command line; None: this process's.
    """
    try:
        with raising_signals():
            prepare()
            status = app(arguments, prog_name="flatproof", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except Signalled as ending:
        end_children()
        print(ending.line(sys.argv[1:] if arguments is None else arguments), file=sys.stderr)
        sys.exit(ending.status)
    except UserError as error:
        _fail(str(error), 2)
    except SweepError as error:
        shown = error.tracebacks if os.environ.get("FLATPROOF_DEBUG") else error.tracebacks[:1]
        print("\n".join([f"error: {error}", *shown]).rstrip(), file=sys.stderr)
        sys.exit(1)
    except MemoryError as error:
        _fail(f"out of memory: {error}; expected smaller sizes", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the last stop: nobody above would turn it into a line
        if hasattr(error, "format_message"):  # a usage error that typer raises
            _fail(error.format_message() or "see --help", getattr(error, "exit_code", 2))
        if os.environ.get("FLATPROOF_DEBUG"):
            raise
        cause = error.__cause__ if isinstance(error, _EndOfFileError) else error
        _fail(f"{type(cause).__name__}: {cause} (FLATPROOF_DEBUG=1 shows where)", 1)


def _fail(message: str, status: int) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
