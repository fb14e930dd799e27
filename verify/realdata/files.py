"""Owns files of data sets: where they lie, their checksums, and writing one so that it is whole or absent."""

import gzip
import hashlib
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flatproof.verify.realdata.samples import Content, Damaged

ENVIRONMENT = "FLATPROOF_DATA"
DEFAULT = "~/.cache/flatproof"
LARGEST = 2**29  # bytes of a decompressed file whose size nobody states


@dataclass(frozen=True)
class File:
    """A file with a known content.

    Attributes:
        name: inside its folder; `name`.gz is taken in its place where only that is there.
        digest: of the (decompressed) content, "md5:…" or "sha256:…".
        size: of that content, bytes; None where nobody states it (the checksum decides all the same).
    """

    name: str
    digest: str
    size: int | None


def data_root(root: str | Path | None = None) -> Path:
    """`root` if given, else $FLATPROOF_DATA, else ~/.cache/flatproof; with its ~ where there is no home, and nothing can lie there."""
    folder = Path(root or os.environ.get(ENVIRONMENT) or DEFAULT)
    try:
        return folder.expanduser()
    except RuntimeError:
        return folder


def roots() -> tuple[Path, ...]:
    """The chosen root, and the default one after it: for what one command needs from both, such as ImageNet and fetched weights."""
    return tuple(dict.fromkeys((data_root(), data_root(DEFAULT))))


def digest(data: bytes, like: str = "sha256:") -> str:
    """Checksum of `data` by the algorithm that the prefix of `like` names."""
    algorithm = like.split(":", 1)[0]
    return f"{algorithm}:{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}"


def locate(folder: Path, file: File) -> Path | None:
    """The file or its .gz in `folder`; None if neither is there."""
    return next((path for path in (folder / file.name, folder / f"{file.name}.gz") if path.is_file()), None)


def read(path: Path, file: File, verify_checksums: bool = True) -> tuple[Content, str]:
    """The content of a file, decompressed, and its checksum.

    Args:
        path: the file, or its .gz.
        file: what is known of it.
        verify_checksums: whether size and checksum must be the known ones.

    Raises:
        Damaged: when it cannot be decompressed, or is another file.
    """
    if path.name == file.name:
        data = path.read_bytes()
    else:
        try:
            with gzip.open(path) as stream:
                data = stream.read(1 + (LARGEST if file.size is None else file.size))  # no more: a damaged one may have no end
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Damaged(f"{path} cannot be decompressed: {error}; expected a complete gzip file") from None
        if file.size is None and len(data) > LARGEST:
            raise Damaged(f"{path} decompresses to more than {LARGEST} bytes, the most that a file may hold")
    checksum = digest(data, file.digest)
    if verify_checksums:
        if file.size is not None and len(data) != file.size:
            held = f"{len(data)}" if path.name == file.name or len(data) < file.size else f"more than {file.size}"
            raise Damaged(f"{path} holds {held} bytes, expected {file.size}: it was cut short or added to")
        if checksum != file.digest:
            raise Damaged(f"{path} was altered: its checksum is {checksum}, expected {file.digest}")
    return Content(str(path), data), checksum


def intact(path: Path, file: File) -> bool:
    """Whether `path` is there with the known size and checksum."""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    return digest(path.read_bytes(), file.digest) == file.digest


def put(path: Path, data: bytes) -> None:
    """Write a file whole: a process killed on the way leaves the old file, or none, and a temporary one beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its process, however that ends. On Windows there is none: writes are whole anyway."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
