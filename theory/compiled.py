"""Owns how kernels are compiled: floating-point freedoms, caching outside the source tree."""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flatproof" / "numba"),
)

import numba as numba  # after the line above: the cache folder is read at import

# A product and a sum may become one instruction. Sums keep their order: a vectorized sum is guarded by a test of where its arrays
# lie in memory, and where it fails a plain loop rounds differently. NaN and infinity keep their meaning: overflow shows by them.
FASTMATH = {"contract", "nsz"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the interpreter lock; specialized for float32 and float64 by the arrays it is called with.

    A compiled kernel is kept in a folder of its own for each state of the sources beside it: numba looks only at the kernel's own
    file, and would keep one that calls a kernel of another file when that one changes.
    """
    caches = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(caches) / _state(Path(function.__code__.co_filename).parent))
    try:
        return cast(Callable[..., Any], numba.njit(function, fastmath=FASTMATH, nogil=True, error_model="numpy", cache=True))
    finally:
        numba.config.CACHE_DIR = caches


@cache
def _state(folder: Path) -> str:
    """Digest of the Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
