"""Where artifacts lie and what the page shows."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from flatproof.verify import experiments
from flatproof.verify.experiments.wen2023 import EXPERIMENT, _behind_the_claims
from flatproof.verify.experiments.wen2023.grid import ROW, runs
from flatproof.verify.experiments.wen2023.show import TABLE_1
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.write import poorer, write


def table(scale: str, cell: str, **coverage: int) -> Table:
    frame = pd.DataFrame({"row": [cell]})
    return Table("wen2023/table-9", "A table", frame, frame, ("A note.",), {"scale": scale}, ("row",), coverage=coverage)


def sections(page: Path) -> list[str]:
    return re.findall('<section id="([^"]*)"', page.read_text(encoding="utf-8"))


def test_quick_results_leave_those_at_the_papers_scale_alone(tmp_path: Path) -> None:
    write([table("paper", "long run")], tmp_path, "command one")
    write([table("quick", "short run")], tmp_path, "command two")
    assert "long run" in (tmp_path / "wen2023/paper_scale/table_9.md").read_text()
    assert "short run" in (tmp_path / "wen2023/table_9.md").read_text()
    page = (tmp_path / "wen2023/index.html").read_text()
    for text in (
        "long run",
        "short run",
        'href="#wen2023-table-9"',
        'id="wen2023-paper-scale-table-9"',  # under which older pages knew it
        'href="paper_scale/table_9.csv"',
    ):
        assert text in page
    assert "The paper's own scale" in page.replace("&#39;", "'")


def test_other_json_files_are_no_artifacts(tmp_path: Path) -> None:
    folder = tmp_path / "wen2023" / "paper_scale"
    folder.mkdir(parents=True)
    (folder / "rows.json").write_text("[1]")
    write([table("quick", "short run")], tmp_path, "command")
    assert sections(tmp_path / "wen2023/index.html") == ["summary", "wen2023-table-9"]


def test_every_scale_has_its_own_folder(tmp_path: Path) -> None:
    for scale in ("smoke", "quick", "paper"):
        write([table(scale, f"at {scale}")], tmp_path, "command")
    for scale, path in (("quick", "table_9.md"), ("paper", "paper_scale/table_9.md"), ("smoke", "smoke_scale/table_9.md")):
        assert f"at {scale}" in (tmp_path / "wen2023" / path).read_text()
    page = (tmp_path / "wen2023/index.html").read_text()
    assert sections(tmp_path / "wen2023/index.html") == ["summary", "wen2023-table-9", "wen2023-smoke-scale-table-9"]
    assert page.index("at quick") < page.index("at smoke")
    assert "wen2023/table-9, scale smoke" in page


def test_an_artifact_is_fuller_where_a_row_has_more_outcomes(tmp_path: Path) -> None:
    write([table("quick", "old", a=5, b=5)], tmp_path, "command")
    for now, lost in (
        ({"a": 5, "b": 5}, None),
        ({"a": 5, "b": 6}, None),
        ({"a": 5, "b": 5, "c": 0}, None),
        ({"a": 5, "b": 4}, "b: 5 there, 4 here"),
        ({"a": 20}, "b: 5 there, none here"),
        ({"a": 4, "b": 20}, "a: 5 there, 4 here"),
        ({}, "a: 5 there, none here"),
        ({"c": 5, "d": 5}, None),  # of another grid, and not less of it
        ({"c": 5, "d": 4}, "a: 5 there, none here"),
    ):
        assert poorer([table("quick", "new", **now)], tmp_path) == ({} if lost is None else {"wen2023/table-9": lost})
    for scale in ("smoke", "paper"):  # nothing lies there
        assert poorer([table(scale, "new")], tmp_path) == {}


def test_results_written_before_coverage_was_told_are_protected_too(tmp_path: Path) -> None:
    old = replace(table("quick", "0.9"), provenance={"scale": "quick", "runs": "30"})
    write([old], tmp_path, "command")
    assert "coverage" not in json.loads((tmp_path / "wen2023/table_9.json").read_text())
    assert poorer([replace(table("quick", "0.9", a=29), provenance={"scale": "quick", "runs": "29"})], tmp_path)
    assert not poorer([replace(table("quick", "0.9", a=30), provenance={"scale": "quick", "runs": "30"})], tmp_path)
    write([table("quick", "0.9")], tmp_path, "command")
    assert poorer([table("quick", "not yet run: flatproof reproduce")], tmp_path)


def test_coverage_counts_what_is_stored_of_each_row(tmp_path: Path) -> None:
    id = "wen2023/figure-1b"
    with Store(tmp_path / "s.sqlite") as store:
        for run in runs(ROW["1b"], "smoke", 2):
            store.put(run, run.carry_out(), {})
        (figure,) = experiments.build(EXPERIMENT, [id], "smoke", 3, store)
        assert figure.coverage == {"1b no-bias, 1-SAM": 2}
        (first,) = experiments.build(EXPERIMENT, [TABLE_1], "smoke", 1, store)
        assert sum(first.coverage.values()) == 1
        assert len(first.coverage) == 10  # six rows that train, and what is proved of four architectures


def test_nothing_of_scale_smoke_lies_among_the_results(tmp_path: Path) -> None:
    """Whatever the experiments build from an empty store."""
    with Store(tmp_path / "s.sqlite") as store:
        made = {e.ID: experiments.build(e, e.ARTIFACTS, "smoke", 1, store) for e in experiments.EXPERIMENTS.values()}
    assert sum(map(bool, made.values())) >= 7
    assert {a.provenance["scale"] for artifacts in made.values() for a in artifacts} == {"smoke"}


def test_the_ledger_is_of_no_scale_and_counts_the_runs_behind_it(tmp_path: Path) -> None:
    run = runs(ROW["6b"], "smoke", 1)[0]
    with Store(tmp_path / "s.sqlite") as store:
        before = _behind_the_claims(store)
        assert set(before.values()) == {0}
        store.put(runs(ROW["6b"], "paper", 1)[0], run.carry_out(), {})
        after = _behind_the_claims(store)
    row = f"6b {ROW['6b'].name}, scale"
    assert after[f"{row} paper"] == after[f"{row} quick"] == 1  # quick is as printed here
    assert sum(after.values()) == 2
