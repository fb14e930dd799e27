"""`flatproof compare`: what it prints, and how it ends."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flatproof.verify.cli.compare import _extract
from flatproof.verify.experiments import EXPERIMENTS
from tests.unit.cli.conftest import Command
from tests.unit.cli.study import Study


@pytest.fixture
def reproduced(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of the study in `paper_results`, and the same as they were committed in `committed`."""
    monkeypatch.setitem(EXPERIMENTS._loaded, "study", Study())
    for out in ("committed", "paper_results"):
        done = command("reproduce", "study", "--workers", "1", "--out", out)
        assert done.status == 0, done.err
    return tmp_path / "paper_results"


def altered(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_agrees(command: Command, reproduced: Path) -> None:
    done = command("compare", "--with", "committed")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == "agrees: every number is equal or within rounding"
    assert "2 of 2 tables and figures are the committed ones, provenance included: not made anew" in done.out


def test_what_differs_is_listed_verdicts_first(command: Command, reproduced: Path) -> None:
    csv = reproduced / "study/table_1.csv"
    altered(csv, "a,-", "a,5")
    altered(csv, "agrees", "differs")
    done = command("compare", "--with", "committed")
    assert done.status == 1
    lines = done.out.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("verdict:"))
    assert lines[first] == "verdict: study/table-1 | a | verdict: agrees -> differs"
    assert lines[first + 2].startswith("differs: study/table-1 | a | mean: -")
    assert lines[-1].startswith("does not agree: of ")
    assert lines[-1].endswith("2 verdicts and 1 others differ (0 inside the committed interval), 0 are missing, 0 extra")
    said = json.loads(command("compare", "--with", "committed", "--json").out)
    assert said["agrees"] is False
    assert [(cell["column"], cell["state"], cell["verdict"]) for cell in said["cells"]] == [
        ("verdict", "differs", True),
        ("verdict", "differs", True),
        ("mean", "differs", False),
    ]
    assert said["not compared"]["columns of times"] == ["seconds"]
    assert said["papers"][0]["paper"] == "study"
    assert said["not made anew"] == ["study/figure-1"]
    assert not any("2 of 2 tables and figures are the committed ones" in line for line in lines)


def test_where_nothing_can_be_compared_nothing_agrees(command: Command, reproduced: Path) -> None:
    (reproduced / "study").rename(reproduced / "elsewhere")
    for path in (reproduced / "elsewhere").glob("*.json"):
        path.unlink()
    done = command("compare", "--with", "committed")
    assert done.status == 2
    assert "paper_results holds no results" in done.err
    (reproduced.parent / "committed/study/table_1.json").unlink()
    (reproduced / "elsewhere").rename(reproduced / "study")
    done = command("report", "study/table-1", "--out", "paper_results")
    assert done.status == 0, done.err
    done = command("compare", "--with", "committed")
    assert done.status == 2
    assert "no table or figure that 'flatproof reproduce' writes lies both in paper_results and in committed" in done.err


def test_only_so_many_are_listed(command: Command, reproduced: Path) -> None:
    csv = reproduced / "study/table_1.csv"
    csv.write_text(csv.read_text().replace("name,", "name," + "".join(f"c{i}," for i in range(20))))
    lines = csv.read_text().splitlines()
    csv.write_text(
        "\n".join(line.replace(",", "," + "1," * 20, 1) if line[:2] in ("a,", "b,") else line for line in lines) + "\n"
    )
    few, every = (command("compare", "--with", "committed", *more).out for more in ((), ("--all",)))
    assert sum(line.startswith("extra:") for line in few.splitlines()) == 20
    assert "... and 20 more: --all lists them" in few
    assert sum(line.startswith("extra:") for line in every.splitlines()) == 40


def test_runs_are_compared_where_both_have_published_them(command: Command, reproduced: Path) -> None:
    """A figure has no numbers beside it but these."""
    before = json.loads(command("compare", "--with", "committed", "--json").out)
    assert before["papers"][0]["equal"] > 6
    (reproduced / "study/outcomes.jsonl.xz").unlink()
    after = json.loads(command("compare", "--with", "committed", "--json").out)
    assert before["papers"][0]["equal"] - after["papers"][0]["equal"] == 6


def test_what_a_revision_holds(tmp_path: Path) -> None:
    root, into = tmp_path / "tree", tmp_path / "into"
    (root / "paper_results").mkdir(parents=True)
    (root / "paper_results/a.json").write_text("1")
    assert not _extract(root, "HEAD", into)  # no repository
    named = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], [*named, "commit", "-qm", "one"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    (root / "paper_results/a.json").write_text("2")
    assert _extract(root, "HEAD", into)
    assert (into / "paper_results/a.json").read_text() == "1"
    assert not _extract(root, "nothing", into)
    assert not _extract(root / "paper_results", "HEAD", into)  # a part of another's repository


def test_a_revision_is_called_by_its_name(command: Command, reproduced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the temporary folder that it was written to."""

    def extract(root: Path, revision: str, into: Path) -> bool:
        shutil.copytree(reproduced.parent / "committed", into / "paper_results")
        return True

    monkeypatch.setattr("flatproof.verify.cli.compare._extract", extract)
    done = command("compare", "--only", "nosuch")
    words = "neither paper_results nor paper_results of the revision HEAD has results of 'nosuch'"
    assert (done.status, done.err) == (2, f"error: {words}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "nowhere"], "nowhere is no folder; expected one that 'flatproof reproduce' has written"),
        (["compare", ".", "--with", "nowhere"], "--with must be a folder of results, or a revision of the repository"),
        (["compare", ".", "--with", "."], ". holds no results; expected a folder that 'flatproof reproduce' has written"),
        (["compare", ".", "--tolerance", "2"], "--tolerance must be a number from 0 to below 1, got 2.0"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)
