"""The how-to pages on measuring and drawing: their code and their commands run as printed."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.command import here

PAGES = Path(__file__).parents[2] / "docs/how-to"


def blocks(page: str, language: str = "python") -> list[str]:
    """The code between fences of that language, "" for none."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return [code for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE) if name == language]


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["", "lightning", "transformers"])
def test_measuring_during_training(library: str, tmp_path: Path) -> None:
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f"the extra {library} is not installed")
    code = blocks("during-training.md")[["", "lightning", "transformers"].index(library)]
    printed = run(code, tmp_path)
    assert re.search(r"^\d+ measurements?, (none|\d+) skipped", printed, flags=re.MULTILINE), printed
    if not library:
        assert re.search(r"^0 lambda-max 1\.1\d+ in \[1\.1\d+, 1\.1\d+\], \d+ products$", printed, flags=re.MULTILINE), printed


def test_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, code = blocks("pictures.md")
    (tmp_path / "net.py").write_text(module)
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=generator.standard_normal((60, 10)), y=np.arange(60) % 3)
    for i, name in enumerate("abc"):
        torch.manual_seed(i)
        layers = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        torch.save(layers.state_dict(), tmp_path / f"{name}.pt")
    (tmp_path / "line.csv").write_text("-1,1\n0,-1\n1,1\n")
    (tmp_path / "plane.csv").write_text("1,1,1\n1,-1,-1\n-1,1,-1\n-1,-1,1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    commands = [line for text in blocks("pictures.md", "") for line in text.splitlines() if line.startswith("flatproof ")]
    assert len(commands) == 7
    for command in commands:
        fewer = ["--points", "5"] if " draw " in command else []  # positions, each with a proof
        done = here(*shlex.split(command, comments=True)[1:], *fewer, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert all((tmp_path / file).stat().st_size for file in done.stdout.split())
    run(code, tmp_path)
    assert (tmp_path / "model.png").stat().st_size
    assert (tmp_path / "function.png").stat().st_size
