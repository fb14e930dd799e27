"""How a command ends that a signal, or the loss of a worker, disturbs: its line, its status, what is stored, and that nobody is left."""

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.command import COMMAND, here

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")]
SWEEP = ["reproduce", "wen2023/figure-1b", "wen2023/figure-4b", "--scale", "smoke", "--seeds", "20", "--out", "my results"]
RUNS = 40


def of_session(leader: int) -> dict[int, str]:
    """The command line of each process of a session that has not ended."""
    there = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            there[int(path.parent.name)] = command
    return there


def wait_for(condition: Callable[[], object], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())


@contextmanager
def started(arguments: list[str], folder: Path, stdout: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own; nothing of it is left afterwards."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
        assert wait_for(lambda: not of_session(process.pid)), of_session(process.pid)
    finally:
        for pid in of_session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def stored(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])


@pytest.mark.parametrize(("processes", "number", "whole_group"), [(1, signal.SIGTERM, False), (2, signal.SIGINT, True)])
def test_a_signal_says_what_is_stored_and_what_goes_on(
    tmp_path: Path, processes: int, number: signal.Signals, whole_group: bool
) -> None:
    """Ctrl-C, which a terminal sends to every process, and SIGTERM to the command alone."""
    arguments = [*SWEEP, "--store", "runs of mine.sqlite", "--workers", str(processes)]
    with started(arguments, tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ended = 0
        while ended < 3:
            ended += process.stdout.readline().startswith("[")
        start = time.monotonic()
        (os.killpg if whole_group else os.kill)(process.pid, number)
        process.wait(60)
        assert time.monotonic() - start < 30
        line = process.stderr.read()
    assert process.returncode == 128 + number
    said = re.fullmatch(
        rf"interrupted: (\d+) of {RUNS} runs are stored in runs of mine\.sqlite; this goes on: flatproof (.+)\n", line
    )
    assert said, line
    assert int(said[1]) == stored(tmp_path / "runs of mine.sqlite") >= 3
    assert shlex.split(said[2]) == arguments
    if (number, processes) == (signal.SIGINT, 2):
        on = here(*shlex.split(said[2]), cwd=tmp_path)
        assert on.returncode == 0, on.stderr
        assert f"{RUNS} runs at scale smoke: {said[1]} stored" in on.stdout
        assert (tmp_path / "my results" / "index.html").exists()


def test_a_signal_ends_a_live_display_too(tmp_path: Path) -> None:
    """As in a terminal, which is given its cursor back."""
    ours, theirs = os.openpty()
    with started([*SWEEP, "--workers", "2"], tmp_path, theirs) as process:
        assert process.stderr is not None
        shown = b""
        while b"about" not in shown:
            shown += os.read(ours, 4096)
        os.killpg(process.pid, signal.SIGINT)
        os.close(theirs)
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # the terminal has closed
            pass
        line = process.stderr.read()
        assert process.wait(60) == 130, line
    os.close(ours)
    assert line.startswith("interrupted: ")
    assert line.count("\n") == 1
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


def test_other_commands_end_in_one_short_line(tmp_path: Path) -> None:
    with started(["claims"], tmp_path) as process:
        assert process.stderr is not None
        assert wait_for(lambda: "claims" in of_session(process.pid).get(process.pid, ""))
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stderr.read() == "interrupted\n"
