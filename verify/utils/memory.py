"""Owns what the machine says of memory: how much a process may still take, by the system and by the group that it was put in."""

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LARGE = 1 << 22  # parameters of a model from which on memory is what one runs out of
PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def available(proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Bytes that this process may take before the system, or the limit of a control group above it, ends something.

    Args:
        proc: where the system tells of memory and of this process's groups.
        groups: where control groups are mounted, version 1 or 2.

    Returns:
        Bytes; None where the system does not tell (other than Linux).
    """
    try:
        lines = (proc / "meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return max(0, min([free, *_left(proc, groups)]))


def give_back() -> None:
    """Let the C library return to the system what it keeps of freed memory, where it can (glibc)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def trim(parameters: int) -> None:
    """`give_back` between the stages of what holds vectors of so many parameters, so that the holes of one are not added to the next."""
    if parameters >= LARGE:
        give_back()


def _left(proc: Path, groups: Path) -> Iterator[int]:
    """What each control group above this process leaves: its limit less what it uses and cannot drop."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        one = controllers == "memory"
        root = groups / "memory" if one else groups
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if one else ("memory.max", "memory.current")
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            limit, used = (_number(place / name) for name in names)
            if limit is not None and used is not None:
                yield limit - used + _cached(place / "memory.stat")
            if place == root:
                break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # "max": no limit
        return None


def _cached(path: Path) -> int:
    """Bytes of files that are given back on demand, as far as they were not used lately."""
    try:
        pairs = dict(line.split()[:2] for line in path.read_text(encoding="utf-8").splitlines())
        return int(pairs.get("total_inactive_file", pairs.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0
