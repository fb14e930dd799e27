"""Trainings as jobs of a sweep."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flatproof.verify.deep import Method, Net, Stop, checkpoints, loop, trained
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.sweep import sweep
from flatproof.verify.jobs.workspace import working_in
from tests.unit.deep.trainings import NET, job


def test_running_again_is_no_work_and_workers_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(seed=seed, stop=Stop(2)) for seed in (1, 2)]
    values = []
    for workers in (1, 2):
        with Store(tmp_path / f"{workers}" / "runs.sqlite") as store:
            assert sweep(jobs, store, workers) == 2
            assert sweep(jobs, store, workers) == 0
            values.append([stored.result for stored in map(store.get, jobs) if stored])
        assert (tmp_path / f"{workers}" / "files" / jobs[0].key / "final.pt").exists()
    assert values[0] == values[1]
    monkeypatch.setattr(loop, "_train", None)
    with working_in(tmp_path / "1" / "files"):
        assert trained(jobs[0])[1] == values[0][0]  # read, not trained


def test_a_training_without_a_start_is_not_trained_and_says_why(tmp_path: Path) -> None:
    """The training to start from stopped before the epoch, or diverged; the sweep goes on, and so do trainings that start from this."""
    early = job(stop=Stop(4, accuracy=0.01), keep=(1, 3), seed=5)  # stops at once
    plain = Net(NET.build, {**NET.settings, "batch_norm": False})
    wild = job(net=plain, method=Method(lr=1e6), stop=Stop(50), seed=0)
    never = job(start=early, start_epoch=3, keep=(0,))
    cases = {
        never: "the training to start from ended after epoch 0, before 3",
        job(net=plain, start=wild): "the training to start from diverged",
        job(start=never): "the training to start from ended after epoch 0, before 3",
    }
    with Store(tmp_path / "runs.sqlite") as store:
        assert sweep(cases, store) == 3
        for training, reason in cases.items():
            stored = store.get(training)
            assert stored is not None
            assert stored.result == {"status": "ended", "stopped": reason}
            assert training.summary(stored.result) == f"seed 3: not trained ({reason})"
    begun, start = trained(never)[0].state_dict(), loop.build(NET, 3).state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in start.items())
    assert not (checkpoints.folder(never) / "final.pt").exists()
    with pytest.raises(ValueError, match="the training never began, before epoch 0"):
        trained(never, 0)


def test_settings_and_jobs_need_no_torch() -> None:
    script = "import sys; from flatproof.verify import deep; deep.Training; print('torch' in sys.modules); "
    script += "deep.trained; print('torch' in sys.modules, set(deep.__all__) <= set(dir(deep)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
