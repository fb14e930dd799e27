"""Owns how kernels are compiled: floating-point freedoms, caching outside the source tree."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

from flatproof.caching import use_cache

use_cache()

import numba as numba  # noqa: E402  # after the line above: the cache folder is read at import

# A product and a sum may become one instruction. Sums keep their order: a vectorized sum is guarded by a test of where its arrays
# lie in memory, and where it fails a plain loop rounds differently. NaN and infinity keep their meaning: overflow shows by them.
FASTMATH = {"contract", "nsz"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the interpreter lock; specialized for float32 and float64 by the arrays it is called with."""
    return _compiled(function, fastmath=FASTMATH)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `kernel`, for what other kernels alone call and that makes no arrays: Python cannot call it, which halves its time to compile,
    and it does not count references to its arguments, which takes longer than a few hundred operations on numbers."""
    return _compiled(function, fastmath=FASTMATH, _nrt=False, no_cpython_wrapper=True)


def literal_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `kernel`, every operation rounded as it is written."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A compiled kernel is kept in a folder of its own for each state of the sources beside it: numba looks only at the kernel's own
    file, and would keep one that calls a kernel of another file when that one changes. Where nothing can be written nothing is kept.
    """
    caches = numba.config.CACHE_DIR
    if caches:
        numba.config.CACHE_DIR = str(Path(caches) / _state(Path(function.__code__.co_filename).parent))
    try:
        compile_ = numba.njit(nogil=True, error_model="numpy", cache=bool(caches), no_cfunc_wrapper=True, **options)
        return cast(Callable[..., Any], compile_(function))
    finally:
        numba.config.CACHE_DIR = caches


@cache
def _state(folder: Path) -> str:
    """Digest of the Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
