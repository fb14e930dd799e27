"""Owns how a signal ends a command: Ctrl-C and SIGTERM stop it at once, with a line that says what is stored and what goes on."""

import multiprocessing
import os
import shlex
import signal
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flatproof.verify.jobs.store import Store

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 2.0  # seconds: a terminal and a wrapper may both send one; whoever sends another later does not want to wait


class Signalled(BaseException):
    """A signal that ends the command; neither Exception nor KeyboardInterrupt, so that nothing on its way takes it for its own.

    `status`: exit status. `stored`: how many runs are stored, and where, once that is known.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status, self.stored = 128 + number, ""

    def line(self, arguments: Sequence[str]) -> str:
        """What to print, of a command with these arguments."""
        if list(arguments[:1]) != ["reproduce"]:
            return "interrupted"
        return f"interrupted: {self.stored}this goes on: {shlex.join(['flatproof', *arguments])}"


@contextmanager
def raising_signals() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise `Signalled` in the main thread, unless they are ignored (nohup, a shell's &)."""
    first: list[float] = []

    def end(number: int, _: FrameType | None) -> None:
        if not first:
            first.append(time.monotonic())
            raise Signalled(number)
        if time.monotonic() - first[0] > GRACE:
            os._exit(128 + number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: old for number in SIGNALS if (old := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        raise Signalled(signal.SIGINT) from None
    finally:
        if not first:  # else the process is ending, and a second signal shall not disturb that
            for number, old in before.items():
                signal.signal(number, old)


@contextmanager
def stored_count(store: "Store", keys: Collection[str]) -> Iterator[None]:
    """Let a signal within the block say how many of the runs with these keys are stored."""
    try:
        yield
    except Signalled as ending:
        done = len(store.keys() & set(keys))
        ending.stored = f"{done} of {len(keys)} runs are stored in {store.path}; "
        raise


def end_children() -> None:
    """Kill what processes this one still has, so that its end waits for none."""
    for child in multiprocessing.active_children():
        child.kill()
