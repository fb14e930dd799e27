"""Owns where jobs keep files that are too large for the store: a folder beside it, which worker processes are told of."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_folder: ContextVar[Path] = ContextVar("folder", default=Path(".flatproof/files"))


def workspace() -> Path:
    """The folder; it need not exist yet."""
    return _folder.get()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Within the block, jobs keep their files in `folder`."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)
