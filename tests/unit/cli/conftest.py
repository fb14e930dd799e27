"""The commands run in this process, through the entry point that a shell calls."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command import here

FILES = {
    "text.txt": "not a database",
    "nan.csv": "1,2,3\n\n# a comment\nnan,2,3\n",
    "ragged.csv": "1,2,3\n1,2,3,4\n",
    "one.csv": "1\n2\n",
    "first_nan.csv": "nan,nan,nan\n5,6,7\n",
    "huge.csv": "1e200,2,1\n",
    "large.csv": "1,2,1\n1,-2e19,3\n",
    "good.csv": "a,b,y\n1,2,3\n2,1,-1\n",
    "wide.csv": "1,2,3,1\n",
    "codes.csv": "1,2,0\n3,1,1\n2,2,0\n",
    "signs.csv": "1,2,-1\n3,1,1\n2,2,-1\n",
    "conflict.csv": "1,2,1\n3,1,0\n1,2,2\n",
    "ray.csv": "1,2,1\n2,4,1\n3,6,1\n",
}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `flatproof ARGUMENTS...` in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        ended = here(*arguments, cwd=tmp_path)
        return Done(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def refusal(command: Command, tmp_path: Path) -> Callable[[list[str]], str]:
    """The one line in which a command ends, with exit status 2 and no file changed."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "packed.gz").write_bytes(b"\x1f\x8b\x08\x00garb")
    for name, version in (("newer.sqlite", 99), ("damaged.sqlite", 1)):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("PRAGMA application_id = 0x464C5052")

    def line(arguments: list[str]) -> str:
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        done = command(*arguments)
        assert done.status == 2, done.err
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.out + done.err
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
        return done.err

    return line
