"""A sweep on a real Dask scheduler with worker processes on loopback: what is lost and what is not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.utils.errors import SweepError, UserError
from flatproof.verify.utils.plugins import users_module

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")]
ROOT = Path(__file__).parents[2]
STUDY = """
import os, pathlib, time
import numpy as np
from flatproof import Study

FOLDER = pathlib.Path(__file__).parent

def measure(rate: float, seed: int) -> dict[str, float]:
    (FOLDER / "begun" / f"{rate}-{seed}-{os.getpid()}").touch()
    time.sleep(0.2)
    if rate == 0.4 and (FOLDER / "poison").exists():
        os.kill(os.getpid(), 9)
    return {"x": float(np.random.default_rng(seed).normal(rate)), "draw": float(np.random.rand())}

experiment = Study("clustered", measure, {"rate": [0.1, 0.2, 0.4]}, seeds=6)
"""


class Processes:
    """A scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
        )
        until(self.file.exists)

    @property
    def engine(self) -> str:
        return str(json.loads(self.file.read_text())["address"]).replace("tcp://", "dask://")

    def workers(self, count: int, threads: int = 1) -> list[subprocess.Popen[bytes]]:
        options = ("--scheduler-file", str(self.file), "--nthreads", str(threads), "--no-nanny", "--no-dashboard")
        started = [self._start("worker", *options) for _ in range(count)]
        with distributed.Client(scheduler_file=str(self.file), set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        return started

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        }
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", what, *options], cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        self.running.append(process)
        return process

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.end()


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[ModuleType]:
    folder = tmp_path / "study"
    (folder / "begun").mkdir(parents=True)
    (folder / "clustered_study.py").write_text(STUDY)
    yield users_module(str(folder / "clustered_study.py"), "study")
    sys.modules.pop("clustered_study")
    sys.path.remove(str(folder))


def begun(study: ModuleType) -> list[str]:
    return [file.name for file in (study.FOLDER / "begun").iterdir()]


def test_a_killed_worker_loses_nothing_and_a_lost_scheduler_is_one_line(
    processes: Processes, mine: ModuleType, tmp_path: Path
) -> None:
    workers = processes.workers(2)
    jobs, notes = list(mine.experiment.jobs()), list[str]()

    def kill_one() -> None:
        until(lambda: len({name.rpartition("-")[2] for name in begun(mine)}) == 2 and len(begun(mine)) >= 5)
        workers[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    with Store(tmp_path / "cluster.sqlite") as store:
        assert sweep(jobs, store, note=notes.append, engine=processes.engine) == 18
        rows = mine.experiment.rows(store)
    killer.join()
    assert workers[0].wait() == -signal.SIGKILL
    assert len(begun(mine)) > 18  # what the killed worker had begun was begun again
    with Store(tmp_path / "local.sqlite") as store:
        sweep(jobs, store)
        assert mine.experiment.rows(store).equals(rows)

    for mark in (mine.FOLDER / "begun").iterdir():
        mark.unlink()

    def kill_scheduler() -> None:
        until(lambda: len(begun(mine)) >= 4)
        processes.scheduler.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_scheduler, daemon=True)
    with Store(tmp_path / "lost.sqlite") as store:
        killer.start()
        with pytest.raises(
            SweepError, match=r"is lost, with . runs under way; what was done is stored, and the same command goes on"
        ):
            sweep(jobs, store, engine=processes.engine)
        kept = len(store)
        assert 0 < kept < 18
        assert sweep(jobs, store) == 18 - kept
        assert mine.experiment.rows(store).equals(rows)
    killer.join()


def test_a_run_that_kills_its_workers_is_given_up_and_the_others_end(
    processes: Processes, mine: ModuleType, tmp_path: Path
) -> None:
    (mine.FOLDER / "poison").touch()
    processes.workers(3)
    notes: list[str] = []
    jobs = [job for job in mine.experiment.jobs(2) if job.arguments["rate"] != 0.4 or job.seed == 1]
    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(SweepError, match=r"1 of 5 runs failed(.|\n)*rate 0.4: its worker was lost again \(KilledWorker\)"):
            sweep(jobs, store, name=lambda job: job.row, note=notes.append, engine=processes.engine)  # type: ignore[attr-defined]
        assert len(store) == 4
    assert notes == ["lost the worker (KilledWorker) of rate 0.4: trying it once more at the end"]


def test_workers_with_several_threads_are_refused(processes: Processes, mine: ModuleType, tmp_path: Path) -> None:
    processes.workers(1, threads=2)
    with (
        Store(tmp_path / "s.sqlite") as store,
        pytest.raises(SweepError, match="its worker has 2 threads; expected one, as 'dask worker --nthreads 1' has"),
    ):
        sweep(list(mine.experiment.jobs(1))[:1], store, engine=processes.engine)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("ray://somewhere", "--engine must be local, dask://host:port or a YAML file of dask-jobqueue, got 'ray://somewhere'"),
        ("dask://", "--engine must be local"),
        ("dask://127.0.0.1:1", "no scheduler answers there"),
        ("absent.yaml", "absent.yaml cannot be read: No such file"),
    ],
)
def test_an_engine_that_cannot_be_used_is_one_line(
    engine: str, words: str, mine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flatproof.verify.jobs.cluster.CONNECTING", 0.5)
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(UserError) as caught:
        sweep(mine.experiment.jobs(1), store, engine=engine)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cluster: [", "is no YAML file"),
        ("workers: 2", "must name its `cluster`, one of "),
        ("cluster: NoCluster\nworkers: 2", "must name its `cluster`, one of "),
        ("cluster: SLURMCluster", "workers must be a whole number of at least 1, got None"),
        ("cluster: SLURMCluster\nworkers: 2\nmemory: 1GB\nno_such_setting: 1", "SLURMCluster cannot be made of these settings"),
    ],
)
def test_a_file_of_a_batch_system_that_cannot_be_used_is_one_line(
    text: str, words: str, mine: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("dask_jobqueue")
    file = tmp_path / "slurm.yaml"
    file.write_text(text)
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(UserError, match=words):
        sweep(mine.experiment.jobs(1), store, engine=str(file))


def test_a_batch_system_s_workers_carry_out_a_sweep(mine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scripts run here: sbatch runs a copy of the script at once, as a cluster's would on a node.

    A copy, since the script's file is removed as soon as sbatch has answered.
    """
    pytest.importorskip("dask_jobqueue")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {
        "sbatch": '#!/bin/sh\ncp "$1" "$JOBS.$$"\nsetsid sh "$JOBS.$$" >"$JOBS.$$.log" 2>&1 &\n'
        'echo $! >> "$JOBS"\necho "Submitted batch job $!"\n',
        "scancel": '#!/bin/sh\nkill -- "-$1"\n',
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    file = tmp_path / "slurm.yaml"
    file.write_text("cluster: SLURMCluster\nworkers: 2\nmemory: 1GB\nwalltime: '00:10:00'\ninterface: lo\n")
    with Store(tmp_path / "s.sqlite") as store:
        assert sweep(mine.experiment.jobs(2), store, engine=str(file)) == 6
    assert len((tmp_path / "jobs").read_text().split()) == 2
    assert {name.rpartition("-")[2] for name in begun(mine)} - {str(os.getpid())}
