"""Owns scenarios of SIGKILL at random moments: of a sweep, of its whole process group, of single workers."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.torture.commands import Ended, end_group, forked, judged, started, workers_of
from tests.torture.scenario import FIGURE, TABLE, Scenario, Selection

WHOLE = Selection(TABLE + FIGURE, 3)


class Kills(Scenario):
    """A sweep that is killed at a random moment, and again, and then left to finish."""

    name = "kills"
    what = "SIGKILL of a sweep at one to three random moments"
    share = 4.0
    least = 1
    most = 100

    chosen = Selection(TABLE, 3)

    def prepare(self) -> str | None:
        """How long an undisturbed sweep takes."""
        folder, start = self.place("timed"), time.monotonic()
        forked(self.selection.sweep(), folder)
        self.seconds = time.monotonic() - start
        return None

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The same command goes on and ends with the same artifacts."""
        moments = [rng.random() for _ in range(rng.randint(1, 3))]
        wrong = []
        for moment in moments:
            ended = forked(self.selection.sweep(), folder, kill_after=moment * self.seconds)
            if ended.status not in (0, -signal.SIGKILL):
                wrong.append(f"after a kill: status {ended.status}: {ended.err.strip()[-300:]}")
        said = ", ".join(f"{moment * self.seconds:.2f}" for moment in moments)
        return [f"killed after {said} s: {what}" for what in wrong + self.goes_on(folder)]


class Groups(Scenario):
    """The same with two workers, in processes as a user starts them."""

    name = "groups"
    what = "SIGKILL of the whole process group of a sweep with two workers at one to three random moments"
    share = 3.0
    alone = True
    least = 0
    most = 40
    chosen = WHOLE
    seconds = 8.0  # about what it takes on a slow core, imports included

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The same command goes on and ends with the same artifacts."""
        moments = [rng.uniform(1, self.seconds) for _ in range(rng.randint(1, 3))]
        for moment in moments:
            process = started(self.selection.sweep(workers=2), folder)
            time.sleep(moment)
            if process.poll() is None:
                end_group(process.pid)
            process.wait()
        said = ", ".join(f"{moment:.2f}" for moment in moments)
        return [f"killed after {said} s: {what}" for what in self.goes_on(folder)]


class Workers(Scenario):
    """Single workers are killed, as the out-of-memory killer does."""

    name = "workers"
    what = "SIGKILL of single workers at up to five random moments of a sweep with two workers"
    share = 3.0
    alone = True
    least = 0
    most = 30
    chosen = Selection(TABLE, 8)

    def case(self, number: int, rng: random.Random, folder: Path) -> Sequence[str]:
        """The command ends with the same artifacts; where a run was lost more than once it may say so, and goes on when called again."""
        kills = rng.randint(1, 5)
        process = started(self.selection.sweep(workers=2), folder)
        killed = 0
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(rng.uniform(0.05, 1.5))
            workers = workers_of(process.pid)
            if killed < kills and workers and _computes(workers[-1]):
                victim = rng.choice(workers)
                try:
                    os.kill(victim, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        late = process.poll() is None
        if late:
            end_group(process.pid)
        status = process.wait()
        out, err = (folder.with_name(f"{folder.name}.{stream}") for stream in ("out", "err"))
        ended = Ended(None if late else status, out.read_text("utf-8"), err.read_text("utf-8"))
        wrong = judged(ended, folder / "out", self.reference.artifacts, most=20)
        if ended.status != 0 and killed < 2 and not wrong:
            wrong = [f"status {ended.status} with one worker lost: {ended.err.strip()[:300]}"]
        return [f"{killed} of the workers killed: {what}" for what in wrong + self.goes_on(folder)]


def _computes(pid: int) -> bool:
    """Whether a worker has begun: its imports are done after a second or so of computing."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[11]) + int(fields[12]) > 0.2 * os.sysconf("SC_CLK_TCK")
