"""Owns what happens in a worker: one job carried out, errors as text, peak memory, and an end with the process that started it."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatproof.verify.jobs.job import Job, Outcome, plain
from flatproof.verify.jobs.provenance import accelerator, provenance
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.utils.errors import UserError
from flatproof.verify.utils.threads import single_threaded


@dataclass(frozen=True)
class Failure:
    """Why a job gave nothing: the reason in a line, and the traceback where there is one."""

    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class Attempt:
    """What came of the job at `index` of a sweep, where, and the most memory (bytes) its process has held; None: not known."""

    index: int
    outcome: Outcome | Failure
    provenance: dict[str, str]
    peak: int | None = None


@dataclass(frozen=True)
class Lost:
    """The worker of the job at `index` was lost, and how; without index none that carried one out."""

    index: int | None
    how: str


def attempt(index: int, job: Job[Any], folder: Path, marks: Path | None = None) -> Attempt:
    """Carry out a job. An error travels back as text, so that it cannot take other jobs with it.

    Args:
        index: of the job in its sweep.
        job: what to carry out.
        folder: where jobs keep files.
        marks: folder that holds a file for each job under way, with the process id of its worker; None: none is kept.

    Returns:
        The attempt.
    """
    with _marked(marks, index):
        try:
            with working_in(folder):
                outcome: Outcome | Failure = carried_out(job)
        except UserError as error:  # says it all
            outcome = Failure(" ".join(str(error).split()))
        except Exception as error:  # reported by the sweep
            outcome = Failure(reason(error), traceback.format_exc())
        return Attempt(index, outcome, provenance() | accelerator(), peak_memory())


def carried_out(job: Job[Any]) -> Outcome:
    """What a job gives, as it is stored. Errors: ValueError for values that are no plain JSON."""
    start = time.perf_counter()
    with single_threaded():
        given = job.carry_out()
    outcome = given if isinstance(given, Outcome) else Outcome(given)
    return Outcome(plain(outcome.values), time.perf_counter() - start, outcome.arrays)


def reason(error: BaseException) -> str:
    """An error in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextmanager
def _marked(marks: Path | None, index: int) -> Iterator[None]:
    """Within the block a file names this process as the one that carries out the job; a killed process leaves it."""
    if marks is None:
        yield
        return
    mark = marks / str(index)
    mark.write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def peak_memory() -> int | None:
    """The most memory that this process has held, in bytes; None where the system does not say."""
    try:  # getrusage counts what the parent held at the fork
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
    except OSError:
        return peak_by_usage("RUSAGE_SELF")


def peak_by_usage(who: str) -> int | None:
    """The same by getrusage: of this process (RUSAGE_SELF), or of the largest among its ended children (RUSAGE_CHILDREN)."""
    try:
        import resource  # not there on Windows
    except ImportError:
        return None
    return int(resource.getrusage(getattr(resource, who)).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def end_with(parent: int) -> None:
    """End this worker process when its parent has gone or goes, so that nothing computes what nobody stores."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
