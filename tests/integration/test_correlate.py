"""A sweep of one's own that is ended on its way goes on, and ends in the same bytes."""

import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.checkpoints import furnish
from tests.command import COMMAND, here

pytestmark = pytest.mark.slow
COUNT = 5
ARGUMENTS = ["--checkpoints", "loops", "--errors", "errors.csv", "--model", "mine:make", "--data", "moons.npz"]
SWEEP = ["correlate", *ARGUMENTS, "--measures", "trace,adaptive-worst-linf,sam,lambda-max"]


def test_what_was_ended_goes_on(tmp_path: Path) -> None:
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    for folder in (whole, ended):
        folder.mkdir()
        furnish(folder, COUNT)
    done = here(*SWEEP, "--workers", "1", cwd=whole)
    assert done.returncode == 0, done.stderr
    arguments = [*SWEEP, "--workers", "2"]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=ended, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("[3/"):
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        line = process.stderr.read()
    said = re.fullmatch(rf"interrupted: (\d+) of {4 * COUNT} runs are stored in .*; this goes on: flatproof (.+)\n", line)
    assert said, line
    assert 3 <= int(said[1]) < 4 * COUNT
    assert shlex.split(said[2]) == arguments
    on = here(*shlex.split(said[2])[:-1], "1", cwd=ended)
    assert on.returncode == 0, on.stderr
    assert f"{said[1]} of {4 * COUNT} measurements stored" in on.stdout
    files = sorted(path.relative_to(whole) for path in (whole / "correlation").rglob("*") if path.is_file())
    own = [file for file in files if "assets" not in file.parts and file.suffix != ".html" and file.name != "about.json"]
    assert len(own) == 2 * 4 + 2 * 3
    for file in files:
        assert (ended / file).read_bytes() == (whole / file).read_bytes(), file
