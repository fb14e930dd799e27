"""Owns a sweep's worker processes: whichever is lost, the others' jobs go on, and its own is tried again, alone.

A worker that the system kills (out of memory, as a rule) breaks its whole pool. The pool is started anew; a job whose worker was lost
is tried once more with no other beside it, and once more at the very end, and only then given up.
"""

import signal
import tempfile
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import joblib

from flatproof.verify.jobs.backends import Loky, backend
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.worker import Attempt, Failure, Lost, attempt, peak_by_usage, reason
from flatproof.verify.utils.errors import SweepError

STUCK = 8  # so many pools in a row that broke without an answer and without a job to blame


class Pool:
    """Jobs carried out by worker processes, each once.

    Args:
        jobs: what to carry out, in this order.
        workers: processes, at least 2.
        folder: where jobs keep files.
        name: of a job, in lines.
        note: receives a line for each worker that is lost, and for each job that succeeds afterwards.
        begun: called with the place of each job that is handed to a worker, in whichever thread does so.
    """

    def __init__(
        self,
        jobs: Sequence[Job[Any]],
        workers: int,
        folder: Path,
        name: Callable[[Job[Any]], str],
        note: Callable[[str], None],
        begun: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.jobs, self.workers, self.folder, self.name, self.note, self.begun = jobs, workers, folder, name, note, begun
        self.waiting, self.suspects, self.last = deque(range(len(jobs))), deque[int](), deque[int]()
        self.losses: Counter[int] = Counter()
        self.stuck = 0

    def attempts(self) -> Iterator[Attempt]:
        """One attempt for each job, as they end. Errors: SweepError when workers end before any job begins."""
        while self.waiting or self.suspects or self.last:
            alone = bool(self.suspects) or not self.waiting
            tasks = [(self.suspects or self.last).popleft()] if alone else list(self.waiting)
            if not alone:
                self.waiting.clear()
            left = dict.fromkeys(tasks)
            for answer in self._carried_out(tasks, alone):
                if answer.index is not None:
                    left.pop(answer.index)
                    self.stuck = 0
                ended = self._set_aside(answer, alone) if isinstance(answer, Lost) else answer
                if ended is None:
                    continue
                if ended is answer and self.losses[ended.index]:
                    self.note(f"{self._name(ended.index)}: ended, peak memory {_megabytes(ended.peak)}")
                yield ended
            (self.suspects if alone else self.waiting).extendleft(index for index in reversed(left) if index not in self.suspects)

    def _set_aside(self, lost: Lost, alone: bool) -> Attempt | None:
        """Say what was lost, and set it aside for another try; the attempt as failed if it had its three."""
        if lost.index is None:
            self.note(f"lost a worker ({lost.how}) that was carrying out nothing; started anew")
            return None
        self.losses[lost.index] += 1
        times, where = self.losses[lost.index], f"lost the worker ({lost.how}) of {self._name(lost.index)}"
        memory = f", peak memory of any worker so far {_megabytes(peak_by_usage('RUSAGE_CHILDREN'))}" if alone else ""
        if times == 1:
            self.suspects.append(lost.index)
            self.note(f"{where}: trying it once more, alone")
        elif times == 2:
            self.last.append(lost.index)
            self.note(f"{where} again{memory}: trying it a last time at the end")
        else:
            self.note(f"{where} for the third time{memory}: given up")
            return Attempt(lost.index, Failure(f"its worker was lost three times ({lost.how})"), {})
        return None

    def _carried_out(self, tasks: Sequence[int], alone: bool) -> Iterator[Attempt | Lost]:
        """What one pool gives until it has carried out the tasks, or breaks; the last answers then say what was lost with it."""
        processes, taken, answered = backend(), dict[int, None](), set[int]()
        parallel = joblib.Parallel(
            n_jobs=max(2, min(self.workers, len(tasks))),  # a single one would be this process
            backend=processes,
            batch_size=1,
            pre_dispatch="n_jobs",
            return_as="generator_unordered",
        )
        with tempfile.TemporaryDirectory(prefix="flatproof-") as folder:
            marks = Path(folder) if isinstance(processes, Loky) else None

            def calls() -> Iterator[Any]:
                for index in tasks:
                    taken[index] = None
                    self.begun(index)
                    yield joblib.delayed(attempt)(index, self.jobs[index], self.folder, marks)

            answers: Any = iter(())
            try:
                answers = parallel(calls())
                for answer in answers:
                    answered.add(answer.index)
                    yield answer
            except BrokenExecutor as error:
                yield from self._broken(error, processes, [index for index in taken if index not in answered], marks, alone)
            except Exception as error:
                yield from self._refused(error, [index for index in taken if index not in answered], alone)
            finally:
                with warnings.catch_warnings():  # that tasks are cancelled is what is wanted
                    warnings.simplefilter("ignore")
                    if hasattr(answers, "close"):
                        answers.close()

    def _broken(
        self, error: BrokenExecutor, processes: Any, in_flight: Sequence[int], marks: Path | None, alone: bool
    ) -> Iterator[Attempt | Lost]:
        """The jobs that were lost with a pool, of those that it had not answered."""
        dead = processes.dead if isinstance(processes, Loky) else {}
        how = ", ".join(sorted({_ending(code) for code in dead.values()})) or reason(error)
        begun = {} if marks is None else {int(mark.name): _process(mark) for mark in marks.iterdir()}
        lost = [index for index in in_flight if begun.get(index) in dead] if dead else list(in_flight)
        if lost:
            yield from (Lost(index, how) for index in lost)
            return
        yield Lost(None, how)
        self.stuck += 1
        if self.stuck < STUCK:
            return
        self.stuck = 0
        if alone:
            yield Attempt(in_flight[0], Failure(f"{STUCK} workers ended before they began it ({how})"), {})
        elif begun:
            self.suspects.extend(in_flight)  # one that ends its worker before it begins is found when each is tried alone
        else:
            raise SweepError(f"{STUCK} times in a row workers ended before they began anything ({how}); what was done is stored")

    def _refused(self, error: Exception, in_flight: Sequence[int], alone: bool) -> Iterator[Attempt]:
        """What is no worker's end, as of a job that does not pickle: the fault of one that is alone; of others each is tried alone."""
        if not in_flight:
            raise error
        if alone:
            yield Attempt(in_flight[0], Failure(reason(error), "".join(traceback.format_exception(error))), {})
        else:
            self.suspects.extend(in_flight)

    def _name(self, index: int) -> str:
        return self.name(self.jobs[index])


def _process(mark: Path) -> int | None:
    """The process that a mark names; None of one that was killed as it wrote."""
    text = mark.read_text(encoding="utf-8")
    return int(text) if text else None


def _ending(code: int) -> str:
    """How a process ended, by its exit code: SIGKILL, or exit status 1."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit status {code}"


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:,.0f} MB"
