"""Owns how a signal ends a command: Ctrl-C and SIGTERM stop it at once, with a line that says what is stored and what goes on."""

import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flatproof.verify.jobs.store import Store

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESUMED = ("reproduce", "correlate", "gpu-queue")  # commands that go on where they were
GRACE = 2.0  # seconds: a terminal and a wrapper may both send one; whoever sends another later does not want to wait
AGAIN = 0.5  # seconds after which a signal is raised anew that something has swallowed


class Signalled(BaseException):
    """A signal that ends the command; neither Exception nor KeyboardInterrupt, so that nothing on its way takes it for its own.

    `status`: exit status. `stored`: how many runs are stored, or what is written, once that is known.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status, self.stored = 128 + number, ""

    def line(self, arguments: Sequence[str]) -> str:
        """What to print, of a command with these arguments."""
        if not arguments or arguments[0] not in RESUMED:
            return f"interrupted: {self.stored}" if self.stored else "interrupted"
        return f"interrupted: {self.stored}this goes on: {shlex.join(['flatproof', *arguments])}"


@contextmanager
def raising_signals() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise `Signalled` in the main thread, unless they are ignored (nohup, a shell's &)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: list[tuple[float, int]] = []

    def end(number: int, _: FrameType | None) -> None:
        if not first:
            first.append((time.monotonic(), number))
            if hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, again)
                signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
            raise Signalled(number)
        if time.monotonic() - first[0][0] > GRACE:
            os._exit(128 + number)

    def again(_: int, __: FrameType | None) -> None:
        if not _on_its_way(sys.exc_info()[1]):
            raise Signalled(first[0][1])

    before = {number: old for number in SIGNALS if (old := signal.getsignal(number)) not in (signal.SIG_IGN, None)}
    hook = sys.unraisablehook
    try:
        for number in before:
            signal.signal(number, end)
        sys.unraisablehook = lambda raised: None if isinstance(raised.exc_value, Signalled) else hook(raised)
        yield
    except KeyboardInterrupt:
        raise Signalled(signal.SIGINT) from None
    finally:
        if first and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not first:  # else the process is ending, and a second signal shall not disturb that
            sys.unraisablehook = hook
            for number, old in before.items():
                signal.signal(number, old)


def _on_its_way(error: BaseException | None) -> bool:
    """Whether the ending is being carried out: a callback of C code, or a bare `except`, may have swallowed it."""
    while error is not None:
        if isinstance(error, Signalled):
            return True
        error = error.__context__
    return False


@contextmanager
def stored_count(store: "Store") -> Iterator[set[str]]:
    """Let a signal within the block say how many runs are stored, of those whose keys are put into the set that this gives."""
    keys: set[str] = set()
    try:
        yield keys
    except Signalled as ending:
        store.abandon()
        if keys:
            ending.stored = f"{len(store.keys() & keys)} of {len(keys)} runs are stored in {store.path}; "
        raise


def end_children() -> None:
    """Kill what processes this one still has, so that its end waits for none."""
    for child in multiprocessing.active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
