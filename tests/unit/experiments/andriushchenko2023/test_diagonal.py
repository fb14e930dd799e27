"""Diagonal networks: trained together as one by one, the data and errors as defined, and the rule of claim-5."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from flatproof.verify.experiments.andriushchenko2023 import diagonal, rules
from flatproof.verify.experiments.andriushchenko2023.diagonal import DEFINITIONS, LOSS, Panel, descend, jobs
from flatproof.verify.experiments.andriushchenko2023.diagonal_show import panels_of
from flatproof.verify.experiments.vocabulary import Verdict
from flatproof.verify.jobs.job import Stored

SMALL = Panel("isotropic", "sparse", 12, 6, 20, 2_000, 3)


def alone(
    u: np.ndarray, v: np.ndarray, x: np.ndarray, y: np.ndarray, step: float, most: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Gradient descent as one writes it, on L = mean (x . (u v) - y)^2."""
    for taken in range(most + 1):
        r = x @ (u * v) - y
        if not np.mean(r**2) > LOSS or taken == most:
            break
        g = 2 / len(y) * x.T @ r
        u, v = u - step * g * v, v - step * g * u
    return u, v, taken


def test_networks_are_trained_together_as_alone() -> None:
    stream, data = np.random.default_rng(0), SMALL.data()
    u, v = stream.uniform(0, 0.5, (2, 7, 12))
    step = stream.uniform(0.02, 0.3, 7)
    ends = descend(u, v, data.x, data.y, step, 100)
    assert 100 in ends[3]
    assert min(ends[3]) < 100
    for i in range(7):
        a, b, taken = alone(u[i], v[i], data.x, data.y, step[i], 100)
        assert taken == ends[3][i]
        assert ends[0][i] == pytest.approx(a, rel=1e-9)
        assert ends[1][i] == pytest.approx(b, rel=1e-9)
        assert ends[2][i] == pytest.approx(np.mean((data.x @ (a * b) - data.y) ** 2), rel=1e-6)


def test_a_network_that_diverges_is_counted_and_has_no_error() -> None:
    panel = replace(SMALL, networks=40)
    wild = descend(np.full((1, 12), 5.0), np.full((1, 12), 5.0), *panel.data()[:2], np.array([10.0]), 100)
    assert np.isnan(wild[2]).all()
    outcome = panel.carry_out()
    values, arrays = outcome.values, outcome.arrays
    assert values["finished"] == (arrays["loss"] <= LOSS).sum() == len(arrays["error"]) == len(arrays["sharpness"])
    assert values["diverged"] == np.isnan(arrays["loss"]).sum()


@pytest.mark.parametrize("covariance", diagonal.COVARIANCES)
@pytest.mark.parametrize("target", diagonal.TARGETS)
def test_data_are_as_said(covariance: str, target: str) -> None:
    data = Panel(covariance, target, 50, 4_000, 1, 1, 5).data()
    assert np.var(data.x, axis=0) == pytest.approx(data.variances, rel=0.15)
    assert data.variances @ data.target**2 == pytest.approx(1)
    assert np.mean((data.x @ data.target) ** 2) == pytest.approx(1, rel=0.1)  # the test loss of beta = 0
    assert (data.target != 0).sum() == (5 if target == "sparse" else 50)


def test_every_definition_has_its_column() -> None:
    """Against the definitions by their Hessian, network by network."""
    arrays, data = SMALL.carry_out().arrays, SMALL.data()
    stream = np.random.default_rng(1)
    u, v = stream.standard_normal((2, 4, 12))
    table = diagonal.sharpness(diagonal.Diagonal(u, v, data.x))
    assert table.shape[1] == arrays["sharpness"].shape[1] == len(DEFINITIONS)
    sigma = data.x.T @ data.x / len(data.x)
    for i in range(4):
        w, jacobian = np.concatenate([u[i], v[i]]), np.hstack([np.diag(v[i]), np.diag(u[i])])
        for offset, c in ((0, np.ones(24)), (1, np.abs(w))):
            hessian = 2 * (jacobian * c).T @ sigma @ (jacobian * c)
            assert table[i, offset] == pytest.approx(np.trace(hessian))
            assert table[i, 2 + offset] == pytest.approx(np.linalg.eigvalsh(hessian)[-1])


def test_jobs_are_told_apart_and_come_back() -> None:
    panels = list(jobs("quick"))
    assert len({job.key for job in panels}) == len(panels) == 12
    outcome = SMALL.carry_out()
    assert panels_of([(SMALL, Stored(SMALL.settings(), SMALL.result(outcome), {}))])["isotropic, sparse"].test_error.tolist() == (
        outcome.arrays["error"].tolist()
    )


def panel(tau: float, seed: int) -> pd.DataFrame:
    stream = np.random.default_rng(seed)
    x, z = stream.standard_normal((2, 150))
    return pd.DataFrame(
        {"sharp": x, "flat": z, "test_error": tau * x + np.sqrt(1 - tau**2) * z, "group": stream.integers(0, 3, 150)}
    )


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (0.97, 0.0, Verdict.SUPPORTED),
        (0.97, 0.97, Verdict.REFUTED),
        (0.0, 0.1, Verdict.REFUTED),
        (0.72, 0.72, Verdict.INCONCLUSIVE),
    ],
)
def test_claim_5_is_judged_by_its_rule(first: float, second: float, verdict: Verdict) -> None:
    judged = rules.judge_diagonal({"a": panel(first, 1), "b": panel(second, 2)}, ["sharp"])
    assert judged.verdict == verdict


def test_claim_5_needs_networks() -> None:
    assert rules.judge_diagonal({"a": panel(0.9, 1)}, ["sharp"]).verdict == Verdict.NOT_RUN
    assert rules.judge_diagonal({"a": panel(0.9, 1), "b": panel(0.9, 1)[:5]}, ["sharp"]).verdict == Verdict.NOT_RUN
