"""Measures that are not the paper's: the job against the measures called by hand, its table from stored outcomes, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from flatproof.verify.curvature import HessianOperator, Problem
from flatproof.verify.curvature.sharpness import worst_case_sharpness
from flatproof.verify.curvature.sharpness.registry import measures
from flatproof.verify.deep import samples, trained
from flatproof.verify.experiments.andriushchenko2023 import EXPERIMENT, later
from flatproof.verify.experiments.andriushchenko2023.grid import model, models
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.jobs.workspace import working_in
from flatproof.verify.utils.statistics import kendall_tau


def test_every_definition_is_a_measure() -> None:
    assert {d.measure for definitions in later.DEFINITIONS.values() for d in definitions} <= set(measures())


def test_a_job_holds_what_the_measures_give(tmp_path: Path) -> None:
    *_, job = later.jobs("smoke", 1)
    with working_in(tmp_path):
        values = job.carry_out()
        network, _ = trained(job.training)
    assert job.kind == "ViT"
    data = samples(job.training.data)
    problem = Problem(network, cross_entropy, (data.train_x[: job.images], data.train_y[: job.images]), mode="eval")
    by_name = dict(zip(map(str, job.definitions), values["values"], strict=True))
    expected = worst_case_sharpness(problem, rho=0.05, scaling="layer", batch_size=job.batch, starts=1)
    assert by_name["layer-worst-l2, rho 0.05"] == pytest.approx(expected.value, rel=1e-4)
    operator = HessianOperator.of(problem)
    hessian = operator.matmat(torch.eye(operator.shape[0], dtype=operator.dtype))
    assert by_name["lambda-max"] == pytest.approx(float(torch.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]), rel=0.06)
    assert set(values["refusals"]) == {None}


def test_a_measure_that_cannot_be_had_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        later.DEFINITIONS, "ResNet", (later.Definition("geodesic", 0.1), later.Definition("filter-worst-l2", 0.05))
    )
    job = next(later.jobs("smoke", 1))
    with working_in(tmp_path):
        values = job.carry_out()
    assert values["values"][0] is None
    assert "geodesic sharpness is defined here for attention layers" in values["refusals"][0]
    assert values["values"][1] > 0


def test_the_table_correlates_with_the_models_errors(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    errors, sharpness = stream.random(6), stream.random(6)
    with Store(tmp_path / "s.sqlite") as store:
        for i in range(6):
            studied = model("ResNet", i + 1, "smoke")
            values = {"status": "finished", "train_error": 0.0, "test_error": errors[i], "train_loss": 0.0, "test_loss": 0.0}
            store.put(studied, Outcome(values | {"sharpness": [0.0] * 12, "half_width": [None] * 12}), {})
            job = later.Remeasured(studied.training, "ResNet", later.DEFINITIONS["ResNet"], 20, 10)
            measured = [sharpness[i], *[None] * (len(job.definitions) - 1)]
            store.put(
                job, Outcome({"status": "finished", "values": measured, "ends": [[None, None]] * 7, "refusals": [None] * 7}), {}
            )
        (table,) = EXPERIMENT.build([later.TABLE], "smoke", 6, store)
    assert table.raw["tau test_error"][0] == pytest.approx(kendall_tau(sharpness.tolist(), errors.tolist()))  # type: ignore[union-attr]
    assert table.raw.models.tolist() == [6, *[0] * 6]  # type: ignore[union-attr]
    assert "36 values could not be had" in table.notes[1]


def test_the_jobs_share_the_trainings_of_the_study() -> None:
    assert [job.training.key for job in later.jobs("quick", 2)] == [job.training.key for job in models("quick", 2)]
