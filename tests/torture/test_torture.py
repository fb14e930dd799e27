"""The short form of the harness, and that it notices what is planted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flatproof.verify.cli import main
from flatproof.verify.jobs import store
from tests.torture import worker
from tests.torture.commands import Ended, altered_artifacts, judged, lines_at_fault
from tests.torture.edits import Edits
from tests.torture.options import Options
from tests.torture.scenario import Common, Reference, Scenario, Selection
from tests.torture.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
LINE = "error: store s.sqlite: row 0123 is damaged\n"


def torture(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "tests.torture", "--short", "--processes", "1", "--seed", "1", *arguments]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_a_few_cases_of_each_scenario() -> None:
    done = torture()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("seed 1\n")
    assert done.stdout.endswith(" 0 failed\n")


UNDISTURBED: dict[Selection, Reference] = {}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """This process has what its forks need, so that none imports it again."""
    worker.warm(tmp_path_factory.mktemp("warm") / "run")


def failures(kind: type[Scenario], folder: Path, cases: int) -> list[str]:
    """What some cases say, carried out from this process."""
    scenario = kind(Common(folder, None, short=True, references=UNDISTURBED), 1)
    assert scenario.prepare() is None
    return [wrong for number in range(cases) for wrong in scenario.run(number)]


@pytest.mark.slow
def test_unnoticed_edits_and_bits_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: None) -> None:
    """Planted: rows are read without a look at their seals."""
    assert failures(Edits, tmp_path / "sound", 3) == []
    monkeypatch.setattr(store, "altered", lambda *_: None)
    said = failures(Edits, tmp_path / "planted", 3)
    assert any(what.startswith("curves in jobs: status 0, and altered: ") for what in said), said


@pytest.mark.slow
def test_a_traceback_and_a_last_stop_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: None) -> None:
    """Planted: failures end in an exception, or in none of the lines that were foreseen."""

    def failing(message: str, status: int) -> None:
        raise RuntimeError(message)

    assert failures(Options, tmp_path / "sound", 4) == []
    monkeypatch.setattr(main, "_fail", failing)
    assert any("a traceback: RuntimeError" in what for what in failures(Options, tmp_path / "planted", 4))
    monkeypatch.setattr(main, "_fail", lambda message, status: sys.exit(1))
    assert any("no line says why" in what for what in failures(Options, tmp_path / "mute", 4))


@pytest.mark.parametrize(
    ("status", "err", "words"),
    [
        (None, "", "it did not end in time"),
        (-11, LINE, "status -11"),
        (0o77, LINE, "status 63"),
        (2, "", "no line says why"),
        (2, LINE + LINE, "2 lines, expected 1"),
        (2, "Traceback (most recent call last):\nEOFError\n", "a traceback: EOFError"),
        (2, "something is wrong\n", "not a line that was foreseen"),
        (1, "error: EOFError: (FLATPROOF_DEBUG=1 shows where)\n", "not a line that was foreseen"),
    ],
)
def test_a_failure_must_be_said_in_one_line(status: int | None, err: str, words: str) -> None:
    (wrong,) = lines_at_fault(Ended(status, "", err))
    assert words in wrong
    assert lines_at_fault(Ended(2, "", LINE)) == []


def test_a_table_of_a_refused_command_may_be_one_of_fewer_runs_and_says_so(tmp_path: Path) -> None:
    def described(runs: str) -> bytes:
        return json.dumps({"id": "a/table", "provenance": {"runs": runs}, "now": runs}).encode()

    reference = {"a/table.json": described("3"), "a/table.md": b"table"}
    (tmp_path / "a").mkdir()
    (tmp_path / "a/table.md").write_bytes(b"tab")
    for runs, wrong in (("2", []), ("4", ["refused, and altered: a/table.json, a/table.md"])):
        (tmp_path / "a/table.json").write_bytes(described(runs))
        assert judged(Ended(2, "", LINE), tmp_path, reference) == wrong
        assert altered_artifacts(tmp_path, reference, whole=True)
    (tmp_path / "a/table.json").write_bytes(described("3"))
    assert judged(Ended(2, "", LINE), tmp_path, reference) == ["refused, and altered: a/table.md"]


def test_artifacts_must_be_those_of_the_reference(tmp_path: Path) -> None:
    reference = {"index.html": b"page", "a/table.md": b"table"}
    for name, content in reference.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".table.md.123").write_bytes(b"tab")  # what a killed process leaves
    assert judged(Ended(0, "", ""), tmp_path, reference) == []
    (tmp_path / "index.html").write_bytes(
        b"another page"
    )  # a page of fewer artifacts is no fault of a command that says it failed
    assert altered_artifacts(tmp_path, reference, whole=True) == ["altered: index.html"]
    assert judged(Ended(2, "", LINE), tmp_path, reference) == []
    (tmp_path / "a/table.md").write_bytes(b"tablf")
    assert judged(Ended(2, "", LINE), tmp_path, reference) == ["refused, and altered: a/table.md"]
    (tmp_path / "a/table.md").unlink()
    assert judged(Ended(0, "", ""), tmp_path, reference) == [
        "status 0, and altered: index.html",
        "status 0, and missing: a/table.md",
    ]


def test_the_random_stream_of_a_case_is_its_own() -> None:
    """By seed, scenario and number, whatever was drawn before."""
    streams = [kind(None, seed).rng(number).random() for kind in SCENARIOS.values() for seed in (1, 2) for number in (0, 1)]
    assert len(set(streams)) == len(streams)
    assert streams == [
        kind(None, seed).rng(number).random() for kind in SCENARIOS.values() for seed in (1, 2) for number in (0, 1)
    ]
