"""Owns where compiled code is kept between processes: one folder, chosen by a command's first process and shared by those it starts.

The first of these that can be written: $FLATPROOF_CACHE; the user's cache ($XDG_CACHE_HOME or ~/.cache), folder flatproof; a folder
beside the store, where a command has one; a folder of this user's own among the temporary files.
"""

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path

ENVIRONMENT = "FLATPROOF_CACHE"
NUMBA, MATPLOTLIB = "NUMBA_CACHE_DIR", "MPLCONFIGDIR"  # each is read when the package is imported
_passing: set[str] = set()  # values of these that were set here for want of a better place


def use_cache(store_folder: Path | None = None) -> None:
    """Tell numba, and matplotlib where it could not write, by their environment variables, which processes started later inherit.

    What the user has set stays where it can be written, except that $FLATPROOF_CACHE decides for numba.

    Args:
        store_folder: where the store of this command lies; None where it has none, or a call before this one has said so.

    Raises:
        ValueError: $FLATPROOF_CACHE cannot be written.
    """
    chosen = _chosen()
    wanted = [NUMBA] * (chosen is not None or _open(NUMBA, store_folder))
    if not os.environ.get("XDG_CONFIG_HOME") and not _writable(_home()) and _open(MATPLOTLIB, store_folder):
        wanted.append(MATPLOTLIB)
    if not wanted:
        return
    lasting = chosen or _users()
    folder = lasting or _beside(store_folder) or _temporary()
    if folder is None:  # nothing can be written at all: nothing is kept
        return
    for variable in wanted:
        os.environ[variable] = str(folder / {NUMBA: "numba", MATPLOTLIB: "matplotlib"}[variable])
        if not lasting:
            _passing.add(os.environ[variable])


def _open(variable: str, store_folder: Path | None) -> bool:
    """Whether a variable is still to be set: nobody did, it is of no use, or it was only for want of the store's folder."""
    value = os.environ.get(variable)
    return not value or (store_folder is not None and value in _passing) or not _writable(Path(value))


def _chosen() -> Path | None:
    """$FLATPROOF_CACHE, None where it is not set. Raises ValueError unless it can be written."""
    name = os.environ.get(ENVIRONMENT)
    if not name:
        return None
    try:
        folder = Path(name).expanduser().absolute()
        _probe(folder)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{ENVIRONMENT} must name a folder that can be written, got {name!r}: {reason}") from None
    return folder


def _home() -> Path | None:
    """The user's home; None where there is none."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and home.is_dir() else None


def _users() -> Path | None:
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not caches.is_absolute():
        home = _home()
        if home is None:
            return None
        caches = home / ".cache"
    return caches / "flatproof" if _writable(caches / "flatproof") else None


def _beside(store_folder: Path | None) -> Path | None:
    if store_folder is None:
        return None
    folder = store_folder.absolute() / "cache"
    return folder if _writable(folder) else None


def _temporary() -> Path | None:
    """A folder that later commands of this user find again; where another has taken its name, one that ends with this process."""
    try:
        shared = Path(tempfile.gettempdir()) / f"flatproof-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
        if _is_ours_alone(shared):
            return shared
        passing = tempfile.mkdtemp(prefix="flatproof-")
    except OSError:
        return None
    atexit.register(shutil.rmtree, passing, ignore_errors=True)
    return Path(passing)


def _is_ours_alone(folder: Path) -> bool:
    """Whether nobody else can write there, since what lies there is run; the folder is made if it is not there."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    private = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)
    return stat.S_ISDIR(status.st_mode) and private and _writable(folder)


def _writable(folder: Path | None) -> bool:
    """Whether files can be made there; the folder is made if it is not there."""
    try:
        if folder is not None:
            _probe(folder)
    except (OSError, ValueError):
        return False
    return folder is not None


def _probe(folder: Path) -> None:
    """Make the folder, and a file in it that leaves no trace. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
