"""The command as a whole: its name, version and completion, how it ends, and what it imports."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.core import TyperGroup

import flatproof
from flatproof.verify.cli import main as entry
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.two_layer.settings import Phase
from flatproof.verify.two_layer.training import Run

COMMANDS = ("reproduce", "report", "claims", "certify", "train", "sharpness", "bench", "data")
IMPORTED = """
import sys
from flatproof.verify.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print(status, *(name for name in ("numpy", "scipy", "torch") if name in sys.modules), file=sys.stderr)
"""


def test_help_names_every_command(command: Callable[..., Any]) -> None:
    done = command("--help")
    assert done.status == 0
    assert "Usage: flatproof" in done.out
    for name in COMMANDS:
        assert name in done.out
        assert "Usage: flatproof " + name in command(name, "--help").out


def test_an_unknown_command_is_one_line(refusal: Callable[[list[str]], str]) -> None:
    assert "No such command 'teleport'" in refusal(["teleport"])
    assert "No such option: --teleport" in refusal(["--teleport"])


def test_the_version(command: Callable[..., Any]) -> None:
    done = command("--version")
    assert (done.status, done.out) == (0, f"flatproof {flatproof.__version__}\n")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (MemoryError("a vector"), 1, "error: out of memory: a vector; expected smaller sizes"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 1, "error: Abort"),
        (ZeroDivisionError("two\nlines"), 1, "error: ZeroDivisionError: two lines (FLATPROOF_DEBUG=1 shows where)"),
    ],
)
def test_every_end_is_one_line(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, line: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("FLATPROOF_DEBUG", raising=False)
    monkeypatch.setattr(entry, "app", fail)
    done = command("train")
    assert done.status == status
    assert done.err.startswith(line)
    assert done.err.count("\n") == 1


def test_the_end_of_a_file_is_no_interruption(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise EOFError("compressed file ended")

    monkeypatch.delenv("FLATPROOF_DEBUG", raising=False)
    monkeypatch.setattr(TyperGroup, "invoke", fail)
    done = command("train")
    assert (done.status, done.err) == (1, "error: EOFError: compressed file ended (FLATPROOF_DEBUG=1 shows where)\n")


def test_a_shell_completes_commands(tmp_path: Path) -> None:
    environment = {**os.environ, "_FLATPROOF_COMPLETE": "complete_bash", "COMP_WORDS": "flatproof re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "flatproof"], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60
    )
    assert done.stdout.split() == ["reproduce", "report"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("--help", 0),
        ("--version", 0),
        ("bench --help", 0),
        ("bench train --repeats 0", 2),
        ("bench hvp --rounds 0", 2),
        ("sharpness", 2),
        ("train", 2),
    ],
)
def test_what_needs_no_numbers_imports_neither_numpy_nor_torch(tmp_path: Path, arguments: str, status: int) -> None:
    assert imported(tmp_path, arguments) == [str(status)]


@pytest.mark.parametrize(
    "arguments",
    [
        "claims wen2023/lemma-4.1",
        "claims wen2023/figure-6a --store s.sqlite",
        "certify points.csv",
        "data list",
        "report wen2023/table-1 keskar2017 kaur2023 certified --scale smoke --seeds 1 --store s.sqlite",
    ],
)
def test_what_needs_no_torch_does_not_import_it(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "points.csv").write_text("1,2,1\n2,1,-1\n")
    with Store(tmp_path / "s.sqlite") as store:
        store.put(Run("bias", (Phase(0.1, 1),)), Outcome({}), {})
    status, *packages = imported(tmp_path, arguments)
    assert (status, {*packages} - {"scipy"}) == ("0", {"numpy"})


def test_too_many_patterns_are_refused_before_what_solving_needs_is_imported(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "points.csv", np.random.default_rng(0).standard_normal((300, 5)).round(3), delimiter=",")
    assert imported(tmp_path, "certify points.csv --labels real") == ["2", "numpy"]


def imported(folder: Path, arguments: str) -> list[str]:
    """The exit status of a command in a process of its own, and which packages it imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments.split()], capture_output=True, text=True, cwd=folder, timeout=300
    )
    return done.stderr.splitlines()[-1].split()
