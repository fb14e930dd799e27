"""Owns the thread count: runs use one thread each, so that their results do not depend on what runs beside them."""

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Within the block every BLAS and OpenMP pool of this process, torch's among them, uses so many threads."""
    with threadpoolctl.threadpool_limits(count):
        yield


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within the block every BLAS and OpenMP pool of this process uses one thread."""
    with limited_threads(1):
        yield
