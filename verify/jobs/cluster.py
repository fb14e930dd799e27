"""Owns Dask as a sweep needs it: a task that the cluster gives up comes back as lost, and the others go on."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib._dask import DaskDistributedBackend

from flatproof.verify.jobs.worker import Lost

PATIENCE = 300  # seconds that a cluster may be without any worker: it starts them anew, or on demand


class Dask(DaskDistributedBackend):  # type: ignore[misc]
    """The cluster of the current Dask client, which itself gives a lost worker's task to others before it gives it up."""

    def __init__(self) -> None:
        super().__init__(wait_for_workers_timeout=PATIENCE)

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster, as of two at least: joblib would carry out all in this process for one, left of two for a moment."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Any:
        """Hand over a task. joblib's class never reports one that was given up: its sweep would wait for ever."""
        ((_, (index, *_), _),) = func.items
        future = super().submit(func, callback)

        def give_up(done: Future[Any]) -> None:
            if callback and (error := done.exception()):
                callback([Lost(index, type(error).__name__)])

        future.add_done_callback(give_up)
        return future
