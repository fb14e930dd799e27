"""The order in which a sweep carries out its runs, what it keeps, and that workers do not matter."""

import gc
import os
import re
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof.verify import Phase, Store
from flatproof.verify.experiments import EXPERIMENTS
from flatproof.verify.jobs.job import Computation
from flatproof.verify.jobs.sweep import SweepError, sweep
from tests.unit.jobs.dying import Dying, Unreadable, Unsendable
from tests.unit.two_layer.test_training import small


def test_every_rows_first_seed_comes_before_any_rows_second(tmp_path: Path) -> None:
    """And the longest of a seed comes first: what is left at the end is short."""
    runs = [small(seed=seed, phases=(Phase(0.01, epochs),)) for epochs in (1, 3, 2) for seed in (1, 2, 3)]
    done = []
    with Store(tmp_path / "s.sqlite") as store:
        store.put(runs[1], runs[1].carry_out(), {})
        assert sweep(runs, store, on_done=lambda progress: done.append((progress.job.seed, progress.job.epochs))) == 8
    assert done == [(1, 3), (1, 2), (1, 1), (2, 3), (2, 2), (3, 3), (3, 2), (3, 1)]


def test_work_of_every_experiment_has_a_place_in_the_order() -> None:
    for experiment in EXPERIMENTS.values():
        for _, work in experiment.grid(experiment.ARTIFACTS, "smoke", 2):
            assert work.cost > 0
            assert getattr(work, "seed", 1) == max(1, work.settings().get("seed", 1)), (
                work
            )  # what is measured of a seed comes with it


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    runs = [small(seed=seed, architecture=a, phases=(Phase(0.01, 20, rho=0.05),)) for seed in (1, 2) for a in ("bias", "sim-bn")]
    curves = []
    for workers in (1, 2):
        with Store(tmp_path / f"{workers}.sqlite") as store:
            sweep(runs, store, workers)
            curves.append([store.get(run).result.curve for run in runs])
    assert curves[0] == curves[1]


def test_a_sweep_keeps_nothing_of_the_runs_it_stored(tmp_path: Path) -> None:
    """A hundred runs more leave less than a tenth of one network behind for each."""

    def carry_out(seeds: range) -> int:
        sweep([small(seed=seed, width=200, phases=(Phase(0.01, 1),)) for seed in seeds], store)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    network = 200 * (6 + 2) * 4
    with Store(tmp_path / "s.sqlite") as store:
        carry_out(range(1, 20))
        tracemalloc.start()
        try:
            before = carry_out(range(20, 40))
            after = carry_out(range(40, 140))
        finally:
            tracemalloc.stop()
    assert after - before < 100 * network / 10


@dataclass(frozen=True)
class Giving(Computation):
    """Gives what it is told to."""

    given: str
    cost = 1.0

    def settings(self) -> dict[str, Any]:
        return {"given": self.given}

    def carry_out(self) -> dict[str, Any]:
        return {"plain": {"x": 1}, "numpy": {"x": np.float32(0.5)}, "foreign": {"x": {1}}}[self.given]

    def summary(self, values: dict[str, Any]) -> str:
        return str(values)


def test_a_job_that_gives_no_plain_values_is_named_and_the_others_are_stored(tmp_path: Path) -> None:
    jobs = [Giving(given) for given in ("foreign", "numpy", "plain")]
    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(SweepError, match=r"1 of 3 runs failed(.|\n)*given='foreign'(.|\n)*values\['x'\] is of the type set"):
            sweep(jobs, store)
        assert [store.get(job).result for job in jobs[1:]] == [{"x": 0.5}, {"x": 1}]


@pytest.fixture(autouse=True)
def _workers_find_the_jobs_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[3])


def name(job: Dying) -> str:
    return f"run {job.number}"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_lost_worker_costs_nothing(tmp_path: Path, deaths: int) -> None:
    """Its run is tried again alone, with its memory told, and at the end; no other is held responsible."""
    jobs = [Dying(number, deaths * (number == 1), str(tmp_path)) for number in range(5)]
    notes: list[str] = []
    with Store(tmp_path / "s.sqlite") as store:
        assert sweep(jobs, store, 2, name=name, note=notes.append) == 5
        assert [store.get(job).result["number"] for job in jobs] == list(range(5))
    again = [
        r"lost the worker \(SIGKILL\) of run 1: trying it once more, alone",
        r"lost the worker \(SIGKILL\) of run 1 again, peak memory of any worker so far [\d,]+ MB: trying it a last time at the end",
    ]
    expected = [*again[:deaths], r"run 1: ended, peak memory [\d,]+ MB"]
    assert len(notes) == len(expected)
    for note, line in zip(notes, expected, strict=True):
        assert re.fullmatch(line, note), note


def test_all_that_failed_is_listed_and_the_others_are_stored(tmp_path: Path) -> None:
    bad = [
        Dying(0, 99, str(tmp_path)),
        Unreadable(1, 0, str(tmp_path)),
        Unsendable(2, 0, str(tmp_path)),
        Dying(3, -1, str(tmp_path)),
    ]
    good = [Dying(number, 0, str(tmp_path)) for number in range(10, 15)]
    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(SweepError) as failed:
            sweep([*good[:2], *bad, *good[2:]], store, 2, name=name)
        assert not store.missing(good)
        assert store.missing(bad) == bad
    first, *lines = str(failed.value).splitlines()
    assert first == "4 of 9 runs failed, the others are stored:"
    assert sorted(lines) == [
        "  run 0: its worker was lost three times (SIGKILL)",
        "  run 1: 8 workers ended before they began it (SIGKILL)",
        "  run 2: PicklingError: Could not pickle the task to send it to the workers.",
        "  run 3: ValueError: -1 deaths",
    ]
    assert any("stays here" in trace for trace in failed.value.tracebacks)
    assert any("carried_out" in trace for trace in failed.value.tracebacks)


@pytest.mark.skipif(sys.platform == "win32", reason="processes there have no parent to lose")
@pytest.mark.parametrize("gone", [True, False])
def test_a_worker_ends_with_its_parent(gone: bool) -> None:
    """Also one whose parent had gone before it could look, or that has nothing to do yet."""
    worker = "import os, time; from flatproof.verify.jobs.worker import end_with; end_with({}); print(os.getpid(), flush=True)"
    if gone:
        done = subprocess.run([sys.executable, "-c", worker.format(os.getppid())], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        return
    starting = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker.format('os.getppid()')!r} + '; time.sleep(60)'])"
    )
    parent = subprocess.Popen([sys.executable, "-c", starting], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert parent.stdout.read() == ""  # no process holds the pipe any more
    parent.stdout.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_some_come_first_and_each_is_said_to_begin(tmp_path: Path, workers: int) -> None:
    """An estimate of the time that is left is given once it says something."""
    runs = [small(seed=seed, phases=(Phase(0.01, epochs),)) for epochs in (1, 300, 200) for seed in (1, 2)]
    first, begun, left = {runs[0].key, runs[1].key}, list[str](), list[float]()
    with Store(tmp_path / "s.sqlite") as store:
        sweep(
            runs,
            store,
            workers,
            lambda progress: left.append(progress.seconds_left),
            first=first,
            begun=lambda job: begun.append(job.key),
        )
    assert set(begun[:2]) == first
    assert begun[2:] == [runs[n].key for n in (2, 4, 3, 5)]
    assert np.isnan(left[0])
    assert left[-1] == 0
