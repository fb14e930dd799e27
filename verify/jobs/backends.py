"""Owns joblib's backends as a sweep needs them, and Loky: local processes of which it is known who was lost.

FLATPROOF_BACKEND names a backend: loky (the default), or another that `joblib.parallel_config` accepts, registered, if needed, in
the module FLATPROOF_BACKEND_MODULE.
"""

import importlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import joblib
from joblib._parallel_backends import LokyBackend

from flatproof.verify.jobs.worker import end_with
from flatproof.verify.utils.errors import UserError


class Loky(LokyBackend):  # type: ignore[misc]
    """Local processes that end with this one, hear no Ctrl-C and serve one pool alone.

    `dead`: exit codes of the workers that were lost, by process id.
    """

    dead: dict[int, int]

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Make an executor; its processes start with the first task."""
        self.dead = {}
        resource_tracker.ensure_running()  # now: it would unblock signals when a worker starts it
        return super().configure(n_jobs, parallel, initializer=end_with, initargs=(os.getpid(),), **options)

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Any:
        """Hand over a task. Processes start here: SIGINT, which a terminal sends to all, is blocked in them."""
        with _blocked(signal.SIGINT):
            return super().submit(func, callback)

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """What a task gave. Of a broken pool loky asks for it before it kills the workers that are left."""
        try:
            return super().retrieve_result_callback(future)
        except BrokenExecutor:
            processes = list(getattr(self._workers, "_processes", {}).items())
            self.dead |= {pid: process.exitcode for pid, process in processes if process.exitcode is not None}
            raise

    def terminate(self) -> None:
        """End the processes: the next pool starts with fresh ones."""
        executor = self._workers
        super().terminate()
        if executor is not None:
            executor.shutdown(kill_workers=True)


def backend() -> Any:
    """A fresh instance of the configured joblib backend. Errors: UserError when it cannot run a sweep."""
    name, module = os.environ.get("FLATPROOF_BACKEND", "loky"), os.environ.get("FLATPROOF_BACKEND_MODULE")
    try:
        if module:
            importlib.import_module(module)
        with joblib.parallel_config(backend=Loky() if name == "loky" else name) as config:
            joblib.Parallel(n_jobs=2, return_as="generator_unordered")
    except (ValueError, ImportError) as error:
        setting = f"FLATPROOF_BACKEND={name!r}" + (f" with FLATPROOF_BACKEND_MODULE={module!r}" if module else "")
        raise UserError(f"{setting} cannot run a sweep: {error}; expected a joblib backend, such as loky") from None
    return config["backend"]


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Within the block this thread, and the processes and threads that it starts, do not receive the signal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
