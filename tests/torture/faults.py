"""Owns scenarios of a system that refuses: calls on files that fail once or from then on, full disks, too few descriptors."""

import errno
import random
import resource
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.torture.commands import Ended, forked, judged, main_of_the_command
from tests.torture.damage import damaged, flip, truncate
from tests.torture.scenario import FIGURE, Scenario, Selection, with_fault
from tests.torture.shim import Fault, Mode

KINDS = (
    (Mode.FAIL, errno.ENOSPC),
    (Mode.FAIL, errno.EIO),
    (Mode.FAIL, errno.EDQUOT),
    (Mode.FAIL_ON, errno.ENOSPC),
    (Mode.FAIL_ON, errno.EIO),
    (Mode.SHORT, 0),
)


class NeedsShim(Scenario):
    """A scenario that counts the calls of an undisturbed run on files in its folder."""

    kinds: ClassVar[Sequence[tuple[Mode, int]]]

    def prepare(self) -> str | None:
        """Count the calls."""
        shim = self.common.shim
        if shim is None:
            return "the shim is not loaded: it needs Linux and a C compiler (cc, or what CC names)"
        forked(self.selection.sweep(), self.place("count"), shim, Fault())
        self.calls = int(shim.record.seen)
        self.order = list(range(self.calls * len(self.kinds)))
        self.rng("order").shuffle(self.order)
        return None if self.calls else "no call was counted: the program reaches the system by another way than libc"

    def count(self) -> int:
        """Every call with every kind of fault."""
        return len(self.order)

    def fault(self, number: int) -> Fault:
        """What a case meets."""
        nth, kind = divmod(self.order[number], len(self.kinds))
        mode, error = self.kinds[kind]
        return Fault(mode, nth + 1, error)

    def disturbed(self, number: int, folder: Path) -> Ended:
        """The sweep that meets a case's fault."""
        return forked(self.selection.sweep(), folder, self.common.shim, self.fault(number))

    def unmet(self) -> list[str]:
        """A line if the last fault was not met: the harness would have tried nothing."""
        assert self.common.shim is not None
        return [] if self.common.shim.record.fired else ["the sweep made fewer calls: the harness tried nothing"]


class Calls(NeedsShim):
    """Each system call fails."""

    name = "calls"
    what = "the nth call on a file of the store or the output folder fails, once or from then on, or writes half"
    share = 4.0
    least = 2
    kinds = KINDS

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """One clear line or the whole result; and the result from a run that follows."""
        ended = self.disturbed(number, folder)
        wrong = self.unmet() + judged(ended, folder / "out", self.reference.artifacts)
        return with_fault(ended, wrong + self.goes_on(folder))


class CallsOfFigures(Calls):
    """The same with a figure, whose files other libraries make."""

    name = "calls-figures"
    what = "the same where a figure is drawn"
    share = 1.0
    least = 0
    chosen = Selection(FIGURE, 1)


class KilledAtCalls(NeedsShim):
    """SIGKILL at a system call, or in the middle of a write."""

    name = "killed-at-calls"
    what = "SIGKILL at the nth call on a file of the store or the output folder, or when half of it is written"
    share = 2.0
    least = 1
    kinds = ((Mode.KILL, 0), (Mode.TORN, 0))

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The result from a run that follows."""
        ended = self.disturbed(number, folder)
        return with_fault(ended, self.unmet() + self.goes_on(folder))


class Journals(KilledAtCalls):
    """A journal that a kill left, damaged."""

    name = "journals"
    what = "SIGKILL at a call that leaves SQLite's journal, a flipped bit or a missing end of it, then the same command"
    share = 0.7
    least = 1

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """One clear line or the whole result."""
        journal = folder / "s.sqlite-journal"
        while not journal.exists() or not journal.stat().st_size:
            shutil.rmtree(folder)
            folder.mkdir()
            killed = self.disturbed(number, folder)
            number = rng.randrange(len(self.order))
        how = damaged(journal, rng, [flip, flip, flip, truncate])
        ended = forked(self.selection.sweep(), folder)
        return [f"{killed.fault}, {how}: {what}" for what in judged(ended, folder / "out", self.reference.artifacts, most=20)]


class Limits(Scenario):
    """Limits of the process, set by `resource`."""

    name = "limits"
    what = "RLIMIT_FSIZE: no file longer than so much; RLIMIT_NOFILE: no more than so many descriptors"
    share = 1.0
    least = 1
    most = 60

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """One clear line or the whole result; and the result from a run that follows."""
        limits = (
            {resource.RLIMIT_FSIZE: rng.choice([0, 1, 512, 4096, *(rng.randrange(150_000) for _ in range(6))])}
            if number % 2 == 0
            else {resource.RLIMIT_NOFILE: rng.randrange(4, 24)}
        )

        def run(arguments: Sequence[str]) -> int:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python sets it at its start
            return main_of_the_command(arguments)

        ended = forked(self.selection.sweep(), folder, limits=limits, run=run)
        wrong = judged(ended, folder / "out", self.reference.artifacts)
        kind = "RLIMIT_FSIZE" if number % 2 == 0 else "RLIMIT_NOFILE"
        return [f"{kind} {next(iter(limits.values()))}: {what}" for what in wrong + self.goes_on(folder)]


class Clocks(Scenario):
    """Clocks that jump."""

    name = "clocks"
    what = "the time of day jumps by up to 11 days either way at each look, the monotonic clock forwards"
    share = 1.0
    least = 1
    most = 40

    def prepare(self) -> str | None:
        """They need the shim."""
        return None if self.common.shim else "the shim is not loaded: it needs Linux and a C compiler (cc, or what CC names)"

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The whole result."""
        assert self.common.shim is not None
        fault = Fault(clocks=rng.randrange(1, 2**31))
        ended = forked(self.selection.sweep(), folder, self.common.shim, fault)
        wrong = [] if self.common.shim.record.fired else ["no clock was looked at: the shim is without effect"]
        if ended.status != 0:
            wrong.append(f"status {ended.status}: {ended.err.strip()[-300:]}")
        return with_fault(ended, wrong + judged(ended, folder / "out", self.reference.artifacts))
