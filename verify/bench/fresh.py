"""Owns fresh processes: a module's own measurement run in one, wherever flatproof and the working folder are, and resident memory there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flatproof


def answer_of(module: str, *arguments: str) -> tuple[Any, str]:
    """What a module that is run as a program prints last, read as JSON; None where there is none, with the last line of its errors.

    Args:
        module: its name.
        arguments: what it is given.
    """
    home = Path(flatproof.__file__).parent.parent  # not resolved: in a checkout `flatproof/verify` is a link
    folders = os.pathsep.join([str(home), *(p for p in sys.path if p)])
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    environment = os.environ | {"PYTHONPATH": folders}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1]), ""
    except (IndexError, ValueError):
        return None, next(reversed(done.stderr.strip().splitlines()), f"status {done.returncode}")


@contextmanager
def resident() -> Iterator[list[float]]:
    """Fills the list with the rise of resident memory within the block at its highest, and that highest itself, in MB (Linux)."""
    rise: list[float] = []

    def read(field: str) -> float:
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the highest so far
    before = read("VmRSS")
    yield rise
    highest = read("VmHWM")
    rise += [highest - before, highest]
