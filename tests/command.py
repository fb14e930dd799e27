"""The command line for tests: in a process of its own, or in this one, which spares the seconds that an interpreter's imports take."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

COMMAND = [sys.executable, "-m", "flatproof"]
Completed = subprocess.CompletedProcess[str]


def in_a_process(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Completed:
    """`flatproof ...` as a user runs it; env is added to this process's."""
    whole = os.environ | (env or {})
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=whole, capture_output=True, encoding="utf-8", errors="replace", timeout=300
    )


def here(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Completed:
    """The same through the entry point that a shell calls, in this process, which is put back as it was."""
    from flatproof.verify.cli.main import main

    out, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", ["flatproof", *arguments]),
        mock.patch.dict(os.environ, env or {}),
    ):
        try:
            main(list(arguments))
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return Completed([*arguments], status, out.getvalue(), errors.getvalue())
