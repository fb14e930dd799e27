"""Owns the shim between the program and the system: built when it is needed, armed in one process at a time."""

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


class Mode(IntEnum):
    """What happens at the nth call, as in shim.c."""

    COUNT, FAIL, FAIL_ON, SHORT, KILL, TORN = range(6)


class Record(ctypes.Structure):
    """`struct record` of shim.c."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("seen", "nth", "fired", "mode", "error", "clocks")),
        ("call", ctypes.c_char * 32),
        ("prefix", ctypes.c_char * 1024),
    ]


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a process.

    Attributes:
        mode: what happens.
        nth: at which call on files below the case's folder.
        error: an errno.
        clocks: a seed of the clocks' jumps, 0 for none.
    """

    mode: Mode = Mode.COUNT
    nth: int = 0
    error: int = 0
    clocks: int = 0

    def __str__(self) -> str:
        if self.clocks:
            return f"clocks jumping by seed {self.clocks}"
        name = errno.errorcode.get(self.error, "")
        what = {
            Mode.FAIL: f"fails once with {name}",
            Mode.FAIL_ON: f"and all after it fail with {name}",
            Mode.SHORT: "writes half (EIO if it writes nothing)",
            Mode.KILL: "is met by SIGKILL",
            Mode.TORN: "writes half, then SIGKILL",
        }
        return f"call {self.nth} {what.get(self.mode, 'is counted')}"


def built(folder: Path) -> Path | None:
    """The shim as a library; None where there is no compiler that makes one."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    library = folder / "shim.so"
    if compiler is None:
        return None
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], capture_output=True, check=False
    )
    return library if made.returncode == 0 else None


class Shim:
    """The shim of this process, which was started with it loaded."""

    def __init__(self) -> None:
        self._arm = ctypes.CDLL(None).torture_arm  # AttributeError where it is not loaded
        self._shared = mmap.mmap(-1, ctypes.sizeof(Record))
        self.record = Record.from_buffer(self._shared)

    def set(self, fault: Fault, folder: Path) -> None:
        """Say what a child is to meet. To be called before the fork."""
        ctypes.memset(ctypes.addressof(self.record), 0, ctypes.sizeof(Record))
        self.record.nth, self.record.mode, self.record.error = fault.nth, int(fault.mode), fault.error
        self.record.clocks, self.record.prefix = fault.clocks, str(folder).encode()

    def arm(self) -> None:
        """In the child: begin."""
        self._arm(ctypes.byref(self.record))


def loaded() -> Shim | None:
    """The shim, if this process was started with it."""
    try:
        return Shim()
    except AttributeError:
        return None
