"""Beyond the trace: data sets, what jobs store, tables and figures from stored jobs alone, the certificates beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof.theory.check_certificate import check
from flatproof.theory.networks import trace_lower_bound
from flatproof.verify.experiments.beyond import EXPERIMENT, jobs, show
from flatproof.verify.experiments.beyond.jobs import (
    DIFFERENTIABLE,
    NORMAL,
    SEVEN,
    TEN,
    WRONG,
    Constant,
    Eigenvalue,
    Fit,
    constants,
    eigenvalues,
    fits,
    training_set,
)
from flatproof.verify.jobs.job import Outcome
from flatproof.verify.jobs.store import Store


@pytest.mark.parametrize(
    ("data", "n", "asked"), [(SEVEN, 7, 1), (WRONG, 12, 1), (NORMAL, 12, 0), (TEN, 10, 0), ("cube d=3", 8, 0)]
)
def test_training_sets(data: str, n: int, asked: int) -> None:
    x, y, at, labels = training_set(data)
    assert (len(x), len(y), len(at), len(labels)) == (n, n, asked, asked)
    assert len(np.unique(x, axis=0)) == n
    assert not asked or not (x[:, None] == at).all(axis=2).any()
    if data != NORMAL:
        assert (y != x[:, 0] * x[:, 1]).sum() == (data == WRONG)
        assert (labels == at[:, 0] * at[:, 1]).all()


def test_files_have_names_of_their_own() -> None:
    every = [*fits("quick"), *constants("quick"), *eigenvalues("quick")]
    assert len({(type(job), job.file) for job in every}) == len({job.key for job in every}) == len(every)
    assert all(job.file.isascii() and " " not in job.file for job in every)


def test_the_constant_decides_whether_the_flattest_generalize() -> None:
    """own/flattest-6 and a price on weights, as the jobs store them."""
    without, small, price = (Constant(*case).carry_out() for case in ((0.0, 0.0), (0.01, 0.0), (0.01, 0.1)))
    x, y, _, _ = training_set(SEVEN)
    assert without["answer"] == price["answer"] == "all"
    assert small["answer"] == "not all"
    assert small["low"] is None
    assert small["upper"] == pytest.approx(4 * (3 + 1e-4) ** 0.5, rel=1e-8)
    assert without["lower"] > trace_lower_bound("no-bias", x, y) > 0.7 * without["lower"]
    for values in (without, small, price):
        verdict = check(json.loads(values["certificate"]))
        assert float(verdict.lower) == values["lower"]
        assert verdict.decision is not None
        assert verdict.decision.startswith(values["answer"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What smoke needs, and two lines of the trade-off at d = 3."""
    store = Store(tmp_path_factory.mktemp("beyond") / "runs.sqlite")
    every: list[Any] = [*fits("smoke"), *constants("smoke"), *eigenvalues("smoke")]
    for job in every:
        store.put(job, Outcome(job.carry_out()), {})
    return store


def test_tables_and_figures_are_made_from_what_is_stored(stored: Store) -> None:
    made = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 1, stored)
    assert [artifact.id for artifact in made] == list(EXPERIMENT.ARTIFACTS)
    tables = [artifact for artifact in made if isinstance(artifact, show.Table)]
    assert [len(table.shown) for table in tables] == [2, 4, 8]
    for table in tables:
        assert set(table.files) == set(table.shown["certificate"])
        for text in table.files.values():
            check(json.loads(text))
    assert list(tables[0].raw.columns[:3]) == ["data", "each", "rms"]
    eigenvalue = tables[2].shown
    flattest = eigenvalue[eigenvalue.objective == "trace"]["λ_max of the trace-flattest"].tolist()
    assert flattest == [">= 2.00000", ">= 1.41421"]  # on the square networks are the flattest in both


def test_nothing_stored_makes_nothing(tmp_path: Path) -> None:
    assert EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "quick", 1, Store(tmp_path / "runs.sqlite")) == []
    assert {name for name, _ in EXPERIMENT.grid([show.FITS], "quick", 1)} == {"fits within a tolerance"}
    assert len(EXPERIMENT.grid([show.FITS, show.FITS_DRAWN], "quick", 1)) == len(fits("quick"))


def test_a_fit_and_an_eigenvalue_say_what_they_are() -> None:
    fit, eigenvalue = Fit(SEVEN, 0.5, 0.0), Eigenvalue("square", "no-bias", DIFFERENTIABLE, 0.25, 1.0)
    assert fit.file in fit.summary({"upper": 1.0, "gap": 1e-9})
    assert eigenvalue.file == "square_no-bias_0.25_1.json"
    assert jobs.Fit(SEVEN, 0.0, 0.5).file == "7_of_cube_d3_rms_0.5.json"
