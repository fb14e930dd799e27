"""The table of the trace's coverage: its matrices have the spectra that it names, and a small run makes it."""

import numpy as np
import pytest

from flatproof.verify.experiments.curvature import probing
from flatproof.verify.jobs.job import Stored


@pytest.mark.parametrize("kind", probing.SPECTRA)
def test_the_matrices_have_their_spectra(kind: str) -> None:
    H = probing.matrix(kind)
    expected = probing.SPECTRA[kind][1](np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.eigvalsh(H), np.sort(expected), atol=1e-12)
    if kind == "on two parameters":
        np.testing.assert_allclose(H[:2, :2], np.full((2, 2), 15.0), atol=1.0)


def test_a_small_run_and_its_table() -> None:
    job = probing.Probed("exponential", 12)
    values = job.carry_out()
    auto = [row for row in values["rows"] if row["estimator"] == "auto"]
    assert [row["products"] for row in auto] == list(probing.BUDGETS)
    assert auto[-1]["half"] < auto[0]["half"] / 10  # the decay is found
    assert job.summary(values).startswith("auto ")
    stored = Stored(job.settings(), values, {})
    table = probing.table("curvature/traces", [(job, stored)])
    assert len(table.shown) == len(probing.METHODS) * len(probing.BUDGETS) - 1
    assert "Brackets below the nominal level" in table.notes[1]
