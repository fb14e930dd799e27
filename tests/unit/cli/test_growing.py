"""The page while a sweep is running: what is written when, what is left alone, and what the terminal says meanwhile."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flatproof.verify.cli import growing, progress
from flatproof.verify.cli.growing import Growing
from flatproof.verify.cli.progress import Display
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import Progress
from tests.unit.cli.study import Draw, Study

STUDY = Study()
JOBS = [Draw(name, seed) for seed in (1, 2) for name in "ab"]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store(tmp_path / "s.sqlite") as opened:
        yield opened


def growing_in(out: Path, store: Store, lines: list[str], force: bool = False) -> Growing:
    chosen = {STUDY: list(STUDY.ARTIFACTS)}
    return Growing(chosen, "smoke", {STUDY: 2}, store, out, "flatproof reproduce", "brief", force, lines.append)


def end(job: Draw, store: Store, grows: Growing) -> None:
    outcome = job.carry_out()
    store.put(job, outcome, {"machine": "m"})
    grows(job.key)


def test_what_has_nothing_on_the_page_is_written_at_once_and_what_is_whole_again(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "SHARE", 1e9)  # no pause
    lines: list[str] = []
    grows, folder = growing_in(tmp_path / "out", store, lines), tmp_path / "out/study/smoke_scale"
    assert grows.first() == {job.key for job in JOBS}
    end(JOBS[0], store, grows)
    assert (folder / "table_1.md").exists()
    assert (tmp_path / "out/index.html").exists()
    assert len(lines) == 1
    assert lines[0].startswith("study/table-1, of the first of its runs is on the page after ")
    assert not (folder / "figure_1.png").exists()
    end(JOBS[1], store, grows)
    first = (folder / "figure_1.png").read_bytes()
    end(JOBS[2], store, grows)
    assert (folder / "figure_1.png").read_bytes() == first
    end(JOBS[3], store, grows)
    assert grows.whole == {"study/table-1"}
    grows(JOBS[3].key)
    assert grows.whole == {*STUDY.ARTIFACTS}
    assert (folder / "figure_1.png").read_bytes() != first
    assert grows.first() == frozenset()


def test_writing_takes_its_share_of_the_time_alone(tmp_path: Path, store: Store) -> None:
    lines: list[str] = []
    grows = growing_in(tmp_path / "out", store, lines)
    began = time.monotonic()
    end(JOBS[0], store, grows)
    assert grows.rest - began > (time.monotonic() - began) * 5
    end(JOBS[1], store, grows)
    assert not (tmp_path / "out/study/smoke_scale/figure_1.png").exists()


def test_fuller_results_are_left_alone(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from flatproof.verify.experiments import abouts, build
    from flatproof.verify.report.write import write

    monkeypatch.setattr(growing, "SHARE", 1e9)
    out = tmp_path / "out"
    for seed in (1, 2, 3):
        for name in "ab":
            store.put(Draw(name, seed), Draw(name, seed).carry_out(), {"machine": "m"})
    write(build(STUDY, STUDY.ARTIFACTS, "smoke", 3, store), out, "flatproof reproduce --seeds 3", abouts([STUDY]))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    lines: list[str] = []
    with Store(tmp_path / "new.sqlite") as new:
        grows = growing_in(out, new, lines)
        for job in JOBS:
            end(job, new, grows)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
        assert lines == []
        assert grows.whole == set()
        forced = growing_in(out, new, lines, force=True)
        for job in JOBS:
            forced(job.key)
        assert forced.whole == {*STUDY.ARTIFACTS}


def test_a_figure_that_was_drawn_of_the_same_outcomes_is_not_drawn_again(tmp_path: Path, store: Store) -> None:
    from flatproof.verify.experiments import abouts, build
    from flatproof.verify.report.write import write

    for job in JOBS:
        store.put(job, job.carry_out(), {"machine": "m"})
    made = build(STUDY, STUDY.ARTIFACTS, "smoke", 2, store)
    files = write(made, tmp_path, "command", abouts([STUDY]))
    whole = {path: path.read_bytes() for path in files}
    png = tmp_path / "study/smoke_scale/figure_1.png"
    png.write_bytes(b"drawn before")
    assert write(made, tmp_path, "command", abouts([STUDY]), drawn={"study/figure-1"}) == files
    assert png.read_bytes() == b"drawn before"
    assert write(made, tmp_path, "another", abouts([STUDY]), drawn={"study/figure-1"}) == files  # its provenance is not the same
    assert png.read_bytes() != b"drawn before"
    write(made, tmp_path, "command", abouts([STUDY]))
    assert {path: path.read_bytes() for path in files} == whole


def test_the_terminal_says_what_is_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BEAT", 0.0)
    console = Console(file=io.StringIO(), width=200)
    with Display(console, 2, {job.key: f"row {job.name}" for job in JOBS}) as display:
        display.begins(JOBS[0])
        display.begins(JOBS[1])
        display.running[JOBS[0].key] = "row a, seed 1", time.monotonic() - 100
        until = time.monotonic() + 30
        while "running" not in console.file.getvalue() and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.05)
        display(Progress(JOBS[0], Outcome({"last": 1.0}), 1, 2, float("nan")))
        assert display.under_way().startswith("row b, seed 1 (")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "running: row a, seed 1 (2 min); row b, seed 1 (" in text
    assert "[1/2] row a, 1.00 (0 s; estimating time left)" in text
