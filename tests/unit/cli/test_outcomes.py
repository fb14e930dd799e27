"""`flatproof report --from`: every file again from the outcomes that are published beside them, without a store."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.experiments.vocabulary import Shelf, provenance_of
from flatproof.verify.jobs.store import Store
from flatproof.verify.report import outcomes
from flatproof.verify.report.artifacts import Artifact, Table
from tests.unit.cli.conftest import Command
from tests.unit.cli.study import Study

NAME = f"study/{outcomes.NAME}"
PAGES = ("index.html", "study/index.html", "assets/entries.js")


@pytest.fixture
def reproduced(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of the study; the store that they were made from is gone."""
    monkeypatch.setitem(EXPERIMENTS._loaded, "study", Study())
    done = command("reproduce", "study", "--workers", "1")
    assert done.status == 0, done.err
    (tmp_path / ".flatproof/runs.sqlite").unlink()
    return tmp_path / "paper_results"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_comes_out_again(command: Command, reproduced: Path) -> None:
    before = files(reproduced)
    assert {NAME, "study/table_1.csv", "study/figure_1.png", "index.html"} <= {*before}
    assert before["study/index.html"].count(b'<a href="outcomes.jsonl.xz">') == 2  # of the table and of the figure
    done = command("report", "--from", "paper_results", "--out", "again")
    assert done.status == 0, done.err
    assert "2 tables and figures rebuilt from 1 files of outcomes" in done.out
    assert files(reproduced.parent / "again") == before
    assert command("report", "--from", "paper_results").status == 0  # in place
    assert files(reproduced) == before
    assert not (reproduced.parent / ".flatproof/runs.sqlite").exists()


def test_files_of_which_nothing_was_asked_do_not_count(command: Command, reproduced: Path) -> None:
    (reproduced / "other").mkdir()
    outcomes.save(reproduced / "other" / outcomes.NAME, outcomes.load(reproduced / NAME))
    done = command("report", "--from", "paper_results", "study/table-1", "--out", "again")
    assert done.status == 0, done.err
    assert "1 tables and figures rebuilt from 1 files of outcomes" in done.out


def test_what_has_a_damaged_descriptor_is_left_and_said_so(command: Command, reproduced: Path) -> None:
    (reproduced / "study/table_1.json").write_text("{")
    done = command("report", "--from", "paper_results", "--out", "again")
    assert done.status == 0, done.err
    assert "left as they are, their descriptors are damaged: study/table-1\n" in done.out
    assert "asks for other runs" not in done.out
    assert "1 tables and figures rebuilt" in done.out


def test_a_report_of_one_artifact_leaves_the_outcomes_of_the_others(command: Command, reproduced: Path) -> None:
    """Each is built again as it was made: with its own seeds, by its own command."""
    assert command("reproduce", "study/table-1", "--seeds", "5", "--workers", "1").status == 0
    before = files(reproduced)
    done = command("report", "--from", "paper_results", "--out", "again")
    assert done.status == 0, done.err
    assert files(reproduced.parent / "again") == before
    assert {(build.asked.seeds, *build.artifacts) for build in outcomes.load(reproduced / NAME)} == {
        (5, "study/table-1"),
        (3, "study/figure-1"),
    }


def test_arrays_that_are_too_large_are_left_out(command: Command, reproduced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "ARRAYS", 100)
    done = command("reproduce", "study", "--workers", "1")
    assert done.status == 0, done.err
    before = files(reproduced)
    done = command("report", "--from", "paper_results", "--out", "again")
    assert done.status == 0, done.err
    assert "left as they are, the arrays that they are made from are too large to be published: study/figure-1" in done.out
    again = files(reproduced.parent / "again")
    assert {name: text for name, text in before.items() if name.startswith("study/table_1")} == {
        name: text for name, text in again.items() if name.startswith("study/table_1")
    }


class Peaks(Study):
    """Its table is made of one number of each job's array."""

    ARTIFACTS = ("study/table-1",)

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        shelf = Shelf(store)
        jobs = [job for _, job in self.grid(only, scale, seeds)]
        peaks = [shelf.reading(job, "peak", lambda result: {"largest": float(result["drawn"].max())}) for job in jobs]
        raw = pd.DataFrame([peak for peak in peaks if peak is not None])
        provenance = provenance_of(shelf.outcomes(jobs, arrays=False), scale)
        return [Table("study/table-1", "Peaks", raw.map("{:.2f}".format), raw, ("Of 6 draws.",), provenance, ("largest",))]


def test_what_was_read_of_arrays_stands_in_for_them(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS._loaded, "study", Peaks())
    assert command("reproduce", "study", "--workers", "1").status == 0
    (tmp_path / ".flatproof/runs.sqlite").unlink()
    (build,) = outcomes.load(tmp_path / "paper_results" / NAME)
    assert all(kept.row.arrays is None for kept in build.rows)
    assert len(build.readings) == 6
    before = files(tmp_path / "paper_results")
    for _ in range(2):  # what was rebuilt can be rebuilt
        done = command("report", "--from", "paper_results")
        assert done.status == 0, done.err
        assert "left as they are" not in done.out
        assert files(tmp_path / "paper_results") == before


def test_what_has_no_outcomes_is_named_and_left(command: Command, reproduced: Path) -> None:
    (reproduced / "old").mkdir()
    table = (reproduced / "study/table_1.json").read_text().replace("study/table-1", "old/table-1")
    (reproduced / "old/table_1.json").write_text("".join(line for line in table.splitlines(True) if '"digest"' not in line))
    text = (reproduced / "old/table_1.json").read_text().rstrip().removesuffix("}").rstrip().rstrip(",")
    (reproduced / "old/table_1.json").write_text(text + "}")
    before = files(reproduced)
    done = command("report", "--from", "paper_results")
    assert done.status == 0, done.err
    assert "left as they are, no outcomes are published: old/table-1" in done.out
    after = files(reproduced)
    assert {name for name in before if before[name] != after[name]} <= {*PAGES}


def test_outcomes_of_other_runs_replace_nothing(command: Command, reproduced: Path) -> None:
    kept = (reproduced / NAME).read_bytes()
    assert command("reproduce", "study/table-1", "--seeds", "5", "--workers", "1").status == 0
    (reproduced / NAME).write_bytes(kept)
    before = (reproduced / "study/table_1.csv").read_bytes()
    done = command("report", "--from", "paper_results")
    assert "left as they are, their outcomes are those of another version: study/table-1" in done.out
    assert (reproduced / "study/table_1.csv").read_bytes() == before
    assert (reproduced / "study/index.html").read_text().count('<a href="outcomes.jsonl.xz">') == 1  # of the figure alone


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda content: content[:-40], "is damaged: "),
        (lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:], "is damaged: "),
        (lambda content: b"nothing that was packed by anybody", "is damaged: Input format not supported by decoder"),
    ],
)
def test_a_damaged_file_is_one_line(command: Command, reproduced: Path, alter: Callable[[bytes], bytes], reason: str) -> None:
    """Its tables are left, and a report beside it does not replace it unless forced to."""
    sound = (reproduced / NAME).read_bytes()
    (reproduced / NAME).write_bytes(alter(sound))
    before = files(reproduced)
    done = command("report", "--from", "paper_results")
    assert done.status == 1
    assert done.err.startswith(f"error: paper_results/{NAME} {reason}")
    assert done.err.count("\n") == 1
    assert "left as they are, their outcomes are damaged: study/figure-1, study/table-1" in done.out
    assert {name for name, text in files(reproduced).items() if text != before[name]} <= {*PAGES}
    done = command("reproduce", "study", "--workers", "1")
    assert done.status == 1
    assert "it is left alone unless --force" in done.err
    assert (reproduced / NAME).read_bytes() == before[NAME]
    assert command("reproduce", "study", "--workers", "1", "--force").status == 0
    assert command("report", "--from", "paper_results").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "--from", "nowhere"], "no outcomes below nowhere; expected a folder of results"),
        (["report", "--from", ".", "--seeds", "3"], "--from takes no --seeds"),
        (["report", "--from", ".", "--store", "s.sqlite"], "--from takes no --store"),
        (["report", "--from", ".", "--scale", "huge"], "scale must be one of smoke, quick, paper"),
        (["report", "--from", ".", "wen2024"], "unknown id 'wen2024'"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)
