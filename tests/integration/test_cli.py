"""The real command line: one clear line and exit status 2 for bad input, never a traceback, results otherwise."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from flatproof.verify.deep.efficientnet_scales import SCALES
from flatproof.verify.report.outcomes import NAME
from tests.command import COMMAND, Completed, here, in_a_process


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("run", "arguments", "words"),
    [
        (in_a_process, ["teleport"], "No such command 'teleport'"),
        (in_a_process, ["reproduce", "--seeds", "many"], "Invalid value for '--seeds'"),
        (
            in_a_process,
            ["train", "--architecture", "bias", "--data", "nan.csv"],
            "nan.csv, line 2, column 1 must be a finite number",
        ),
        (here, ["report", "--store", "absent.sqlite"], "store absent.sqlite does not exist"),
        (here, ["sharpness", "--model", "text:make", "--data", "nan.csv"], "--model text:make: there is no module 'text'"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, run: Callable[..., Completed], arguments: list[str], words: str) -> None:
    """The entry point as a shell calls it; what each command refuses is in tests/unit/cli."""
    write_csv(tmp_path / "nan.csv", "1,2,3\nnan,2,3\n")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["nan.csv"]


def results(folder: Path) -> dict[str, bytes]:
    """All files but the published outcomes, which hold when each row was stored, and how long it took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != NAME)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def check_rebuilt_from_outcomes(folder: Path, environment: dict[str, str] | None = None) -> None:
    """Every file of the results in `folder`, the outcomes too, comes out of these again, byte for byte, without a store."""
    rebuilt = here("report", "--from", str(folder), "--out", "rebuilt", cwd=folder.parent, env=environment)
    assert rebuilt.returncode == 0, rebuilt.stderr
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (folder.parent / "rebuilt" / path.relative_to(folder)).read_bytes() == path.read_bytes(), path
    agreed = here("compare", "rebuilt", "--with", str(folder), cwd=folder.parent)
    assert agreed.returncode == 0, agreed.stdout


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL in the middle, twice; what was stored stays, and every file equals that of a sweep that nobody disturbed."""
    drawn = ("2a", "6a")  # of the six that the table rests on
    figures = [f"wen2023/figure-{f}" for f in drawn]
    arguments = [
        "reproduce",
        "wen2023/table-1",
        *figures,
        "--scale",
        "smoke",
        "--seeds",
        "3",
        "--out",
        "out",
        "--store",
        "s.sqlite",
    ]
    whole = tmp_path / "whole"
    whole.mkdir()
    done = here(*arguments, "--workers", "1", cwd=whole)
    assert done.returncode == 0, done.stderr
    killed = tmp_path / "killed"
    killed.mkdir()
    stored = 0
    for least in (2, 3):
        ended = least
        process = subprocess.Popen(
            [*COMMAND, *arguments, "--workers", "2"], cwd=killed, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        while ended:
            ended -= process.stdout.readline().startswith("[")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with sqlite3.connect(killed / "s.sqlite") as connection:
            now = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        assert stored + least <= now < 26
        stored = now
    last = here(*arguments, "--workers", "1", cwd=killed)
    assert last.returncode == 0, last.stderr
    assert f"26 runs at scale smoke: {stored} stored in s.sqlite, {26 - stored} to do" in last.stdout
    assert results(killed / "out") == results(whole / "out")
    rebuilt = here("report", *arguments[1:-4], "--out", "again", "--store", "s.sqlite", cwd=killed)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert results(killed / "again") == results(whole / "out")
    check_rebuilt_from_outcomes(killed / "out")
    names = set(results(whole / "out"))
    assert {"index.html", *(f"wen2023/smoke_scale/table_1.{suffix}" for suffix in ("md", "tex", "csv"))} <= names
    assert {f"wen2023/smoke_scale/figure_{f}.{e}" for f in drawn for e in ("png", "pdf")} <= names
    raw = pd.read_csv(whole / "out/wen2023/smoke_scale/table_1.csv", comment="#")
    assert list(raw["architecture"]) == ["no-bias", "bias", "sim-bn", "sim-ln"]


@pytest.mark.slow
def test_networks_on_images_without_any_data(tmp_path: Path) -> None:
    """keskar2017 whole: killed in the middle, gone on with, rebuilt from the store; what has no data says so."""
    (tmp_path / "nothing").mkdir()
    environment = {"FLATPROOF_DATA": str(tmp_path / "nothing")}
    arguments = ["keskar2017", "--scale", "smoke", "--seeds", "1"]
    process = subprocess.Popen(
        [*COMMAND, "reproduce", *arguments, "--workers", "1"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for _ in range(8):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = here("reproduce", *arguments, "--workers", "2", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert ": 0 stored" not in done.stdout
    again = here("reproduce", *arguments, "--workers", "1", "--out", "again", cwd=tmp_path, env=environment)
    assert ", 0 to do" in again.stdout
    assert results(tmp_path / "again") == results(tmp_path / "paper_results")
    folder = tmp_path / "paper_results/keskar2017/smoke_scale"
    tables = {*(f"table_{i}" for i in range(1, 5)), "eigenvalues", "distances", "remedies", "claims", "settling", "trainings"}
    assert {p.stem for p in folder.iterdir() if p.name != NAME} == {*tables, *(f"figure_{i}" for i in range(2, 8))}
    said = (folder / "table_2.md").read_text().splitlines()
    assert all("data not available on this machine" in line for line in said if line.startswith(("| F2", "| C3", "| C4")))
    measured = [line for line in said if line.startswith(("| F1", "| C1", "| C2"))]
    assert len(measured) == 3
    assert not any("data not available" in line for line in measured)
    assert "not judged" in (folder / "claims.md").read_text()


def test_tensorboard_is_optional(tmp_path: Path) -> None:
    """Without the package one line says what to install, before anything is run."""
    (tmp_path / "tensorboard.py").write_text("raise ImportError('none here')\n")
    hidden = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    arguments = [
        "reproduce",
        "keskar2017/table-2",
        "--scale",
        "smoke",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--tensorboard",
        "board",
    ]
    done = in_a_process(*arguments, cwd=tmp_path, env=hidden)
    assert done.returncode == 2
    assert "--tensorboard needs the package tensorboard" in done.stderr
    assert not (tmp_path / ".flatproof").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_end_with_a_killed_sweep(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "reproduce", "wen2023/figure-4b", "--workers", "2", "--seeds", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def alive() -> dict[int, float]:
        """The command's processes (its session's), and the seconds that each has computed."""
        seconds = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == process.pid and fields[0] != "Z":
                seconds[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return seconds

    def training() -> int:
        """Workers that have computed for longer than their imports take; a run takes a minute or more."""
        return sum(seconds > 5 for pid, seconds in alive().items() if pid != process.pid)

    deadline = time.monotonic() + 240
    while training() < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert training() >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while alive() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = alive()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.slow
def test_a_wrong_backend_is_one_line(tmp_path: Path) -> None:
    arguments = ["reproduce", "wen2023/figure-6a", "--scale", "smoke", "--workers", "2"]
    for extra in ({"FLATPROOF_BACKEND": "nope"}, {"FLATPROOF_BACKEND_MODULE": "no_such_module"}):
        done = here(*arguments, cwd=tmp_path, env=extra)
        assert done.returncode == 2, done.stderr
        assert "cannot run a sweep" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_figure_alone_writes_its_own_files(tmp_path: Path) -> None:
    """And leaves other people's files in the output folder alone."""
    other = tmp_path / "paper_results/other/package.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"name": 1}')
    done = here("reproduce", "wen2023/figure-6a", "--scale", "smoke", "--seeds", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "paper_results/wen2023/smoke_scale").iterdir()) == [
        "figure_6a.json",
        "figure_6a.pdf",
        "figure_6a.png",
        NAME,
    ]


@pytest.mark.slow
def test_a_report_replaces_no_fuller_result(tmp_path: Path) -> None:
    """Two seeds stay where one would take their place; --force replaces them; the page shows what lies there."""
    (tmp_path / "paper_results/wen2023").mkdir(parents=True)
    committed = tmp_path / "paper_results/wen2023/figure_6a.png"
    committed.write_bytes(b"committed")
    arguments = ["wen2023/figure-6a", "--scale", "smoke"]
    done = here("reproduce", *arguments, "--seeds", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before = results(tmp_path / "paper_results")
    again = here("report", *arguments, "--seeds", "2", cwd=tmp_path)
    assert "kept" not in again.stdout
    fewer = here("report", *arguments, "--seeds", "1", cwd=tmp_path)
    assert fewer.returncode == 0, fewer.stderr
    (line,) = (line for line in fewer.stdout.splitlines() if line.startswith("kept"))
    assert "wen2023/figure-6a, 6a sim-ln, 1-SAM: 2 there, 1 here" in line
    assert "--force" in line
    after = results(tmp_path / "paper_results")
    assert after == before
    assert "2 seeds" in (tmp_path / "paper_results/wen2023/index.html").read_text()
    forced = here("report", *arguments, "--seeds", "1", "--force", cwd=tmp_path)
    assert "kept" not in forced.stdout
    assert "1 of 1 seeds" in (tmp_path / "paper_results/wen2023/index.html").read_text()
    assert committed.read_bytes() == b"committed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "runs", "tables", "figures"),
    [("imagenet", 6, 2, 1), ("kaur2023", 15, 3, 4)],
)
def test_an_experiment_at_scale_smoke_needs_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, runs: int, tables: int, figures: int
) -> None:
    lite = "efficientnet-lite0"  # at its own width, products with its 4.7 million weights take half a minute
    monkeypatch.setitem(SCALES, lite, SCALES[lite]._replace(width=0.25))
    arguments = [
        "reproduce",
        experiment,
        "--scale",
        "smoke",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--store",
        "s.sqlite",
        "--out",
        "out",
    ]
    empty = {"HOME": str(tmp_path), "FLATPROOF_DATA": str(tmp_path / "nothing")}
    done = here(*arguments, cwd=tmp_path, env=empty)
    assert done.returncode == 0, done.stderr
    assert f"{runs} runs at scale smoke: 0 stored in s.sqlite, {runs} to do" in done.stdout
    written = {p.name for p in (tmp_path / "out" / experiment / "smoke_scale").iterdir()}
    for suffix in ("md", "tex", "csv", "json"):
        assert {f"table_{i}.{suffix}" for i in range(1, tables + 1)} <= written
    assert {f"figure_{i}.{suffix}" for i in range(1, figures + 1) for suffix in ("pdf", "png")} <= written
    before = results(tmp_path / "out")
    again = here(*arguments, cwd=tmp_path, env=empty)
    assert f"{runs} runs at scale smoke: {runs} stored in s.sqlite, 0 to do" in again.stdout
    assert results(tmp_path / "out") == before
    check_rebuilt_from_outcomes(tmp_path / "out", empty)
