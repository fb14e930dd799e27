"""Owns the thread count: runs use one thread each, so that their results do not depend on what runs beside them."""

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within the block every BLAS and OpenMP pool of this process uses one thread."""
    with threadpoolctl.threadpool_limits(1):
        yield
