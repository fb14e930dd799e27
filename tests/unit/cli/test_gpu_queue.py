"""`flatproof gpu-queue` rehearsed without a GPU, and without cvxpy and clarabel, which a machine with one may lack."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flatproof.verify.cli import gpu_queue
from flatproof.verify.experiments import gpu_queue as queue
from flatproof.verify.experiments.seconds import trained_by
from flatproof.verify.jobs import budget
from flatproof.verify.jobs.budget import Costed, Spent
from flatproof.verify.jobs.job import Outcome, address
from flatproof.verify.jobs.rows import Kept, Row
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.outcomes import NAME, Asked, Build, load, save
from tests.command import Completed, here
from tests.unit.cli.study import Draw

LACKING = ("cvxpy", "clarabel")
BLOCK = f"""
import sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LACKING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Lacking())
"""


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process nor one that it starts can import what the machine lacks."""
    folder = tmp_path / "lacking"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    for name in LACKING:
        monkeypatch.setitem(sys.modules, name, None)
    done = subprocess.run([sys.executable, "-c", "import cvxpy"], capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'cvxpy'" in done.stderr


@pytest.mark.usefixtures("lacking")
def test_the_queue_is_rehearsed_and_its_outcomes_are_merged_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lots = queue.lots
    monkeypatch.setattr(queue, "lots", lambda *arguments: [lot for lot in lots(*arguments) if len(lot) < 9][:3])
    command = ("gpu-queue", "--device", "cpu", "--scale", "smoke", "--seeds", "1", "--budget", "300", "--out", "back")
    done = here(*command, "--stages", "products,trainings", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (tmp_path / "back/products.json").read_text().splitlines()]
    assert {row["implementation"] for row in rows} >= {"ours: linearize", "double backward"}
    assert all(row["note"] == "" and row["disagreement"] < 1e-5 for row in rows)
    assert "a rehearsal, no measurement" in (tmp_path / "back/products.txt").read_text()
    log = (tmp_path / "back/queue.txt").read_text()
    assert "; machine: " in log
    assert "keskar2017 F1 SB sharpness, seed 1: " in log
    assert log.splitlines()[-1].endswith("end; 0 failed")
    merged = here("store", "import", "back/outcomes.jsonl.xz", "--store", "other/runs.sqlite", cwd=tmp_path)
    assert merged.returncode == 0, merged.stdout
    with Store(tmp_path / ".flatproof/runs.sqlite") as there, Store(tmp_path / "other/runs.sqlite") as elsewhere:
        assert there.keys() == elsewhere.keys()
        assert f"{len(there)} new in other/runs.sqlite, 0 known, 0 refused" in merged.stdout
        assert len(there) == 9
    (tmp_path / ".flatproof/runs.sqlite").unlink()  # as on another machine, to which the folder alone has come
    again = here(*command, "--stages", "trainings", cwd=tmp_path)
    assert "9 jobs, 9 of them stored" in again.stdout
    assert "0 outcomes are new" in again.stdout


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("module", ["flatproof.verify.bench.gpu.check", "flatproof.verify.bench.gpu.products"])
def test_the_gpus_benchmarks_need_neither(module: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    done = here("gpu-queue", "--device", "cpu", "--scale", "smoke", "--budget", "1", "--out", "back", cwd=tmp_path)
    assert done.returncode == 0
    assert "gpu-check: not begun: it takes about 90 s" in done.stdout
    assert "products: not begun: it takes about 20 s" in done.stdout
    assert "0 outcomes are new" in done.stdout
    assert "there are none to bring back" in done.stdout
    assert not (tmp_path / "back/outcomes.jsonl.xz").exists()


def drawing(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *seeds: int, out: str = "back", stages: str = "trainings"
) -> Completed:
    """A queue of cheap jobs, one of each seed; those of equal seeds are one job."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])  # the processes that are started import the jobs by their name
    monkeypatch.setattr(queue, "lots", lambda *_: [[Costed(Draw("a", seed), f"draw {seed}", 0.0, "draw")] for seed in seeds])
    return here("gpu-queue", "--device", "cpu", "--scale", "smoke", "--stages", stages, "--out", out, cwd=folder)


def drawn(*seeds: int) -> set[str]:
    return {Draw("a", seed).key for seed in seeds}


def published(folder: Path) -> set[str]:
    return {kept.row.key for build in load(folder / NAME) for kept in build.rows}


def test_the_file_keeps_what_an_earlier_queue_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its jobs are none of this queue's, and where the store refuses them."""
    drawing(monkeypatch, tmp_path, 1, 2)
    (tmp_path / ".flatproof/runs.sqlite").unlink()
    settings = {"job": "a job of tomorrow", "version": 1}
    row = Row(address(settings), json.dumps(settings), None, "{}", 1.0, "{}", "2026-01-01 00:00:00", None)
    (before,) = load(tmp_path / "back" / NAME)
    save(tmp_path / "back" / NAME, [Build(before.asked, (*before.rows, Kept("jobs", row, row.seal("jobs"))))])
    done = drawing(monkeypatch, tmp_path, 3)
    assert "3 outcomes of an earlier queue lie in back, 2 of them new in .flatproof/runs.sqlite; 1 that the store" in done.stdout
    assert f"1 outcomes are new; back/{NAME} holds 4: " in done.stdout
    assert published(tmp_path / "back") == {*drawn(1, 2, 3), row.key}


def test_the_file_keeps_what_another_queue_writes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(tmp_path / "theirs.sqlite") as store:
        store.put(Draw("a", 9), Outcome({"last": 1.0}), {})
        theirs = store.rows({Draw("a", 9).key: True})

    def meanwhile(*arguments: Any) -> Spent:
        save(tmp_path / "back" / NAME, [Build(Asked("smoke", 0, ""), tuple(theirs))])
        return carried_out(*arguments)

    carried_out = budget.carried_out_within
    monkeypatch.setattr(budget, "carried_out_within", meanwhile)
    drawing(monkeypatch, tmp_path, 1)
    assert published(tmp_path / "back") == drawn(1, 9)


def test_what_was_stored_before_is_brought_back_too_and_jobs_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "] 2 jobs, 0 of them stored" in drawing(monkeypatch, tmp_path, 1, 2, 1).stdout
    done = drawing(monkeypatch, tmp_path, 1, 2, 1, out="other")
    assert "] 2 jobs, 2 of them stored" in done.stdout
    assert f"0 outcomes are new; other/{NAME} holds 2: " in done.stdout
    assert published(tmp_path / "other") == drawn(1, 2)


def test_a_damaged_outcome_is_said_and_mended_runs_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing(monkeypatch, tmp_path, 1, 2)
    with closing(sqlite3.connect(tmp_path / ".flatproof/runs.sqlite")) as connection, connection:
        connection.execute("UPDATE jobs SET seconds = -1 WHERE key = ?", (Draw("a", 1).key,))
    done = drawing(monkeypatch, tmp_path, 1, 2, out="other")
    assert "1 of those stored are damaged and not brought back: 'flatproof store mend', then" in done.stdout
    assert published(tmp_path / "other") == drawn(2)
    here("store", "mend", cwd=tmp_path)
    assert "damaged" not in drawing(monkeypatch, tmp_path, 1, 2, out="other").stdout
    assert published(tmp_path / "other") == drawn(1, 2)


def test_a_damaged_file_is_refused_before_any_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = gpu_queue.Stage("gpu-check", 0.0, 1.0, ("data", "list"), ("data", "list"))
    monkeypatch.setattr(gpu_queue, "STAGES", (stage,))
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / NAME).write_bytes(b"no outcomes")
    done = drawing(monkeypatch, tmp_path, 1, stages="gpu-check,trainings")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"back/{NAME} is damaged" in done.stderr
    assert (tmp_path / "back" / NAME).read_bytes() == b"no outcomes"
    assert not (tmp_path / "back/gpu-check.txt").exists()


def test_a_stage_that_fails_or_takes_too_long_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ("bench", "certify", "--repeats", "0")
    stages = (
        gpu_queue.Stage("gpu-check", 0.0, 5.0, wrong, wrong),
        gpu_queue.Stage("products", 0.0, 0.01, ("data", "list"), ("data", "list")),
    )
    monkeypatch.setattr(gpu_queue, "STAGES", stages)
    monkeypatch.setattr(gpu_queue, "OVERRUN", 20.0)
    done = here("gpu-queue", "--device", "cpu", "--scale", "smoke", "--stages", "gpu-check,products", cwd=tmp_path)
    assert done.returncode == 1
    assert "gpu-check: exit status 2" in done.stdout
    assert "products: stopped, what it had measured is kept" in done.stdout
    assert "2 failed: gpu-check; products" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "torch sees no CUDA device on this machine; 'flatproof gpu-queue --device cpu --scale smoke' rehearses the queue"),
        (("--device", "cpu"), "--device cpu only rehearses the queue; expected --scale smoke with it"),
        (("--device", "tpu"), "--device must be one of cuda, cpu, got 'tpu'"),
        (("--scale", "quick"), "--scale must be smoke or paper, got 'quick'"),
        (("--stages", "gpu-check,party"), "--stages must be some of gpu-check,products,trainings, got 'party'"),
        (("--budget", "0"), "--budget must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_input_is_one_line(
    refusal: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert words in refusal(["gpu-queue", *arguments])


def test_a_products_device_is_refused(refusal: Callable[[list[str]], str]) -> None:
    assert "--device must be one of cpu, cuda, cuda-rehearsal, got 'tpu'" in refusal(["bench", "hvp", "--device", "tpu"])


def test_the_cheapest_settings_come_first_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the paper's own scale, as if all data were there."""
    from flatproof.verify import realdata
    from flatproof.verify.deep import ImageData

    def edition(*_: Any) -> str:
        return "0" * 64

    monkeypatch.setattr(ImageData, "available", lambda self: True)
    monkeypatch.setattr(realdata, "edition_of", edition)
    lots = queue.lots("paper", "cuda", 4)
    assert {trained_by(costed.job).device for lot in lots for costed in lot} == {"cuda"}
    assert {lot[0].name.split()[0] for lot in lots} == {*queue.PAPERS}
    seeds = [trained_by(lot[0].job).seed for lot in lots]
    firsts = seeds.index(4)
    assert 4 not in seeds[:firsts]
    assert {1, 2, 3}.isdisjoint(seeds[firsts:])
    an_outcome = [sum(costed.seconds for costed in lot) / len(lot) for lot in lots]
    later = next(i for i, lot in enumerate(lots) if "batch 600" in " ".join(costed.name for costed in lot))
    assert an_outcome[:later] == sorted(an_outcome[:later])
    assert lots[0][0].name.startswith("kaur2023 fully connected")
