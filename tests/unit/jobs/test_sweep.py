"""The order in which a sweep carries out its runs, what it keeps, and that workers do not matter."""

import gc
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
            assert getattr(work, "seed", 1) >= 1


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
