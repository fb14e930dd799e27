"""Owns a sweep on a Dask cluster: a scheduler that runs already, or one that asks a batch system for workers (dask-jobqueue).

The cluster computes; this process alone writes the store, all outcomes that have come in at once as one transaction. Dask gives a lost
worker's run to other workers; a run that it gives up is tried once more at the end, when fewer are beside it. If the scheduler is lost,
what was done is stored and the same command goes on.
"""

import importlib
import queue
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.jobs.worker import Attempt, Failure, attempt, reason
from flatproof.verify.utils.errors import SweepError, UserError

SCHEMES = ("dask", "tcp", "tls")
BATCH_FILES = (".yaml", ".yml")
CONNECTING = 20.0  # seconds until a scheduler must have answered
WAITING = 300.0  # seconds that a scheduler may be without workers before the first run
AHEAD = 2  # runs handed over for each worker: the next is there when one ends
LOOK = 1.0  # seconds between looks at the connection
PATIENCE = 10.0  # seconds within which a connection that broke shows what it was

Name = Callable[[Job[Any]], str]
Note = Callable[[str], None]


@contextmanager
def cluster(engine: str) -> "Iterator[Cluster]":
    """The cluster of a name, as long as the block lasts.

    Args:
        engine: "dask://host:port" of a scheduler, or a YAML file: `cluster`, a class of dask_jobqueue such as SLURMCluster; `workers`, how
            many; everything else is passed to that class.

    Raises:
        UserError: it cannot be used, in a line.
    """
    file = Path(engine) if engine.endswith(BATCH_FILES) else None
    scheme, _, place = engine.partition("://")
    if file is None and (scheme not in SCHEMES or not place):
        raise UserError(f"--engine must be local, dask://host:port or a YAML file of dask-jobqueue, got {engine!r}")
    text = "" if file is None else _read(file)
    distributed = _required("distributed", "cluster")
    with ExitStack() as stack:
        if file is not None:
            started, workers = _batch_cluster(file, text)
            stack.enter_context(started)
            started.scale(workers)
            address = started.scheduler_address
        else:
            address = f"{'tcp' if scheme == 'dask' else scheme}://{place}"
        try:
            client = stack.enter_context(distributed.Client(address, timeout=CONNECTING, set_as_default=False))
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"--engine {engine}: no scheduler answers there ({reason(error)}); 'dask scheduler' starts one"
            ) from None
        yield Cluster(client, engine)


def _required(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"--engine needs {name} ({error}); pip install 'flatproof[{extra}]' brings it") from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"--engine {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--engine {file} is no YAML file: {error}") from None


def _batch_cluster(file: Path, text: str) -> tuple[Any, int]:
    """A cluster of dask-jobqueue as a file's text says, not yet scaled, and how many workers are asked for."""
    yaml, jobqueue = _required("yaml", "cluster"), _required("dask_jobqueue", "cluster")
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--engine {file} is no YAML file: {' '.join(str(error).split())}") from None
    known = sorted(name for name in vars(jobqueue) if name.endswith("Cluster"))
    if not isinstance(settings, Mapping) or settings.get("cluster") not in known:
        raise UserError(f"--engine {file} must name its `cluster`, one of {', '.join(known)}")
    settings = dict(settings)
    kind, workers = settings.pop("cluster"), settings.pop("workers", None)
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise UserError(f"--engine {file}: workers must be a whole number of at least 1, got {workers!r}")
    settings.setdefault("cores", 1)
    settings.setdefault("processes", settings["cores"])  # one thread a worker
    try:
        return getattr(jobqueue, kind)(**settings), workers
    except Exception as error:  # a batch system's own words
        raise UserError(f"--engine {file}: {kind} cannot be made of these settings: {reason(error)}") from None


class Cluster:
    """Runs carried out by the workers of a Dask scheduler.

    Args:
        client: connected.
        name: of the engine, for messages.
    """

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        self._check_workers()

    @property
    def workers(self) -> int:
        """How many there are now, at least one."""
        return max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))

    def _check_workers(self) -> None:
        """UserError unless the first workers have this version of flatproof."""
        here = provenance()
        try:
            self.client.wait_for_workers(1, timeout=WAITING)
            there = self.client.submit(provenance, pure=False).result(timeout=WAITING)
        except TimeoutError:
            raise UserError(
                f"--engine {self.name}: no worker answered within {WAITING:.0f} s; 'dask worker' starts one"
            ) from None
        except Exception as error:  # what the worker raised, as of a module that it lacks
            raise UserError(f"--engine {self.name}: its workers cannot import flatproof ({reason(error)})") from None
        for name in ("flatproof", "commit"):
            if there.get(name) != here.get(name):
                raise UserError(
                    f"--engine {self.name}: its workers have {name} {there.get(name)}; expected {here.get(name)} as here"
                )

    def attempts(self, jobs: Sequence[Job[Any]], folder: Path, name: Name, note: Note) -> Iterator[list[Attempt]]:
        """One attempt for each job, those that have ended together.

        Args:
            jobs: what to carry out, in this order.
            folder: where jobs keep files; on workers of other machines a folder of the same name there.
            name: of a job, in lines.
            note: receives a line for each run that the cluster has given up.

        Raises:
            SweepError: the scheduler is lost.
        """
        waiting, again = deque(range(len(jobs))), deque[int]()
        given_up: set[int] = set()
        ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        futures: dict[int, Any] = {}
        try:
            while waiting or again or futures:
                room = AHEAD * self.workers  # asks the scheduler: once a round
                while (waiting or again) and len(futures) < room:
                    index = (waiting or again).popleft()
                    futures[index] = self.client.submit(carried_out, index, jobs[index], folder, pure=False)
                    futures[index].add_done_callback(lambda future, index=index: ended.put((index, future)))
                group = []
                for index, future in self._ended(ended, len(futures)):
                    del futures[index]
                    answer = self._answer(index, future)
                    if isinstance(answer, Attempt):
                        group.append(answer)
                    elif index in given_up:
                        group.append(Attempt(index, Failure(f"its worker was lost again ({answer})"), {}))
                    else:
                        given_up.add(index)
                        again.append(index)
                        note(f"lost the worker ({answer}) of {name(jobs[index])}: trying it once more at the end")
                if group:
                    yield group
        finally:
            if futures and self.client.status == "running":
                self.client.cancel(list(futures.values()), force=True)

    def _ended(self, ended: "queue.SimpleQueue[tuple[int, Any]]", under_way: int) -> list[tuple[int, Any]]:
        """All that have ended by now, at least one. Errors: SweepError when the connection is gone."""
        while True:
            try:
                group = [ended.get(timeout=LOOK)]
                break
            except queue.Empty:
                self._check_connected(under_way)
        while not ended.empty():
            group.append(ended.get())
        return group

    def _check_connected(self, under_way: int) -> None:
        if self.client.status != "running":
            raise SweepError(
                f"the scheduler of --engine {self.name} is lost, with {under_way} runs under way; what was done is stored, and the same "
                "command goes on when there is a scheduler again"
            )

    def _answer(self, index: int, future: Any) -> Attempt | str:
        """A run's attempt; or in a word how its worker was lost."""
        if future.status in ("lost", "cancelled"):
            self._check_connected(1)
            return str(future.status)
        try:
            error = future.exception()
            if error is None:
                return future.result()
        except (
            OSError
        ) as gone:  # the connection broke while the outcome was on its way: that the scheduler is lost shows a little later
            until = time.monotonic() + PATIENCE
            while self.client.status == "running" and time.monotonic() < until:
                time.sleep(0.05)
            self._check_connected(1)
            return type(gone).__name__
        if type(error).__name__ == "KilledWorker":
            return "KilledWorker"
        return Attempt(index, Failure(reason(error), "".join(traceback.format_exception(error))), {})


def carried_out(index: int, job: Job[Any], folder: Path) -> Attempt:
    """`attempt`, on a worker of a cluster, which must have one thread: runs share what a process has but one of."""
    from distributed import get_worker

    threads = get_worker().state.nthreads
    if threads != 1:
        return Attempt(index, Failure(f"its worker has {threads} threads; expected one, as 'dask worker --nthreads 1' has"), {})
    return attempt(index, job, folder)
