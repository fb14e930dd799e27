"""Owns what a long computation shows of its steps: a line that changes on a terminal, elsewhere a line now and then; on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from flatproof.verify.cli.terminal import animated

APART = 20.0  # seconds between lines where there is no terminal


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A function to tell what is being done, in words."""
    console, start = Console(file=sys.stderr), time.monotonic()
    if animated(console):
        with console.status("reading") as status:
            yield lambda text: status.update(f"{text}  ({time.monotonic() - start:.0f} s)")
        return
    last = [start]

    def tell(text: str) -> None:
        now = time.monotonic()
        if now - last[0] >= APART:
            last[0] = now
            print(f"{text} ({now - start:.0f} s)", file=sys.stderr, flush=True)

    yield tell
