"""Owns what a long computation shows of its steps: a line that changes on a terminal, elsewhere a line now and then; on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flatproof.verify.cli.terminal import animated

APART = 20.0  # seconds between lines where there is no terminal


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A function to tell what is being done, in words."""
    console, start = Console(file=sys.stderr), time.monotonic()
    if animated(console):
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("beginning", total=None)
            yield lambda text: progress.update(task, description=escape(text))
        return
    last = [start]

    def tell(text: str) -> None:
        now = time.monotonic()
        if now - last[0] >= APART:
            last[0] = now
            print(f"{text} ({now - start:.0f} s)", file=sys.stderr, flush=True)

    yield tell
