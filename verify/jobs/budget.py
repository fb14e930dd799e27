"""Owns jobs within a budget of seconds: lots in a given order, none begun that does not fit in what is left, each job stored as it ends.

A lot's jobs share files, so that one lane, a process of its own, carries them out one by one. A lane in which a job failed or that was
lost is replaced, for a GPU that has failed once fails every later call of its process; the rest of its lot is left out.
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from flatproof.verify.jobs.job import Job, Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.worker import Attempt, Failure, attempt, end_with


@dataclass(frozen=True)
class Costed:
    """A job, what its lines call it, the seconds that it is stated to take, and of which kind it is: measured seconds scale its kind's."""

    job: Job[Any]
    name: str
    seconds: float
    kind: str


Lot = Sequence[Costed]
START = 10.0  # seconds that a new process needs before its first job
LONGEST_WAIT = 1e6  # seconds that one system call takes: milliseconds in 32 bits
LEAST = 1.0  # stated seconds below which a ratio says nothing
CUT_OFF = "cut off by the end of the budget"


@dataclass
class Spent:
    """What came of it: jobs that ended, with their seconds; those that failed, and those that were not begun or finished, with why."""

    done: list[tuple[Costed, float]] = field(default_factory=list)
    failed: list[tuple[Costed, str]] = field(default_factory=list)
    left: list[tuple[Costed, str]] = field(default_factory=list)


class Pace:
    """What jobs take: as stated, until one of the kind has ended; then as stated times the largest ratio that was measured."""

    def __init__(self) -> None:
        self.ratios: dict[str, float] = {}

    def seconds(self, costed: Costed, first: bool = False) -> float:
        """Of a job; `first`: of a process, which has to import and to begin CUDA."""
        return costed.seconds * self.ratios.get(costed.kind, 1.0) + START * first

    def measured(self, costed: Costed, seconds: float, first: bool) -> None:
        """Note what one took, unless it is stated to be too short to say anything: `first` of a process, that begins CUDA within it."""
        if costed.seconds < (START if first else LEAST):
            return
        ratio = seconds / costed.seconds
        self.ratios[costed.kind] = max(self.ratios.get(costed.kind, 0.0), ratio)


def carried_out_within(
    lots: Sequence[Lot],
    seconds: float,
    store: Store,
    lanes: int = 1,
    stored: Callable[[Costed, Attempt], object] = lambda *_: None,
    note: Callable[[str], None] = lambda _: None,
) -> Spent:
    """Carry out what fits. Killed at any moment, no outcome is lost but those of the jobs in flight.

    Args:
        lots: in the order in which they are begun; of a lot that does not fit the next is tried.
        seconds: the budget, from now on; what is in flight when it ends is killed.
        store: where outcomes go; what it holds is not run again.
        lanes: jobs at once.
        stored: called after each outcome is stored.
        note: receives a line for each job that ends, fails or is left out.

    Raises:
        StoreError: the store cannot be written.
    """
    until, pace, spent = time.monotonic() + seconds, Pace(), Spent()
    waiting = deque(deque(lot) for lot in lots)
    crew = [_Lane(store.path.resolve().parent / "files") for _ in range(lanes)]
    try:
        while True:
            for lane in crew:
                if lane.doing is None:
                    _begin(lane, waiting, until - time.monotonic(), store, pace, spent)
            busy = {lane.answers: lane for lane in crew if lane.doing}
            if not busy:
                return spent
            ended = wait([*busy], timeout=min(LONGEST_WAIT, max(0.0, until - time.monotonic())))
            for answers in ended:
                assert isinstance(answers, Connection)
                _end(busy[answers], store, pace, spent, stored, note)
            if not ended and time.monotonic() >= until:
                for lane in busy.values():
                    assert lane.doing is not None
                    spent.left.append((lane.doing, CUT_OFF))
                    note(f"{lane.doing.name}: {CUT_OFF}")
                return spent
    finally:
        for lane in crew:
            lane.end()
        for lot in (*waiting, *(lane.lot for lane in crew)):
            spent.left += [(c, _too_long(c, pace)) for c in lot if c.job not in store]


class _Lane:
    """A process that carries out one job after the other, and the lot that it is at."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lot = folder, deque[Costed]()
        self.fresh = True
        self.doing: Costed | None = None
        self._start()

    def _start(self) -> None:
        spawning = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self.answers, theirs = spawning.Pipe()
        self.process = spawning.Process(target=_carry_out, args=(theirs, self.folder, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, costed: Costed) -> None:
        """Hand over a job."""
        self.doing = costed
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is read where its answer would be
            self.answers.send(costed.job)

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()
        self.answers.close()

    def renew(self) -> None:
        """Another process, without the rest of the lot."""
        self.end()
        self.lot.clear()
        self.fresh = True
        self._start()


def _carry_out(orders: Connection, folder: Path, parent: int) -> None:
    """What a lane's process does until nobody orders any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            orders.send(attempt(0, orders.recv(), folder))


def _begin(lane: _Lane, waiting: "deque[deque[Costed]]", left: float, store: Store, pace: Pace, spent: Spent) -> None:
    """Give a lane the next job of its lot, or the first of the next lot, that fits in the seconds left; nothing where none does."""
    while True:
        while lane.lot:
            costed = lane.lot.popleft()
            if costed.job in store:
                continue
            if pace.seconds(costed, lane.fresh) <= left:
                lane.begin(costed)
                return
            spent.left += [(c, _too_long(c, pace)) for c in (costed, *lane.lot)]  # the others may need what it leaves
            lane.lot.clear()
        for lot in [*waiting]:
            while lot and lot[0].job in store:
                lot.popleft()
            if not lot:
                waiting.remove(lot)
        fitting = next((lot for lot in waiting if pace.seconds(lot[0], lane.fresh) <= left), None)
        if fitting is None:
            return
        waiting.remove(fitting)
        lane.lot = fitting


def _end(
    lane: _Lane,
    store: Store,
    pace: Pace,
    spent: Spent,
    stored: Callable[[Costed, Attempt], object],
    note: Callable[[str], None],
) -> None:
    """Take what a lane answers, or that it answers no more."""
    costed, lane.doing = lane.doing, None
    assert costed is not None
    try:
        answer = lane.answers.recv()
    except (EOFError, ConnectionResetError):
        lane.process.join()
        answer = Attempt(0, Failure(f"its process was lost (exit status {lane.process.exitcode})"), {})
    if isinstance(answer.outcome, Outcome):
        store.put(costed.job, answer.outcome, answer.provenance)
        pace.measured(costed, answer.outcome.seconds, lane.fresh)
        lane.fresh = False
        spent.done.append((costed, answer.outcome.seconds))
        note(f"{costed.name}: {answer.outcome.seconds:.1f} s, stated {costed.seconds:.1f} s")
        stored(costed, answer)
        return
    spent.failed.append((costed, answer.outcome.reason))
    note(f"{costed.name}: failed: {answer.outcome.reason}")
    spent.left += [(c, f"left out with {costed.name}") for c in lane.lot]
    lane.renew()


def _too_long(costed: Costed, pace: Pace) -> str:
    return f"not begun: it takes about {pace.seconds(costed):,.0f} s"
