"""The exponents on made-up errors; the grid; the artifacts from real runs at the smallest scale."""

from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.experiments import scaling
from flatproof.verify.experiments.scaling import EXPERIMENT
from flatproof.verify.experiments.vocabulary import Shelf
from flatproof.verify.jobs.store import Store
from flatproof.verify.utils.statistics import Interval

D, R = np.array([10.0, 20.0, 60.0]), np.array([1.0, 2.0, 4.0, 8.0])


def power_law(rate: float, growth: float, seeds: int = 3) -> np.ndarray:
    """Errors (n / d^growth)^-rate, so that alpha = rate at growth = 1, and n grows as d^growth for the same error."""
    n = D[:, None] * R
    return np.broadcast_to((n / D[:, None] ** growth) ** -rate, (seeds, len(D), len(R))).copy()


@pytest.mark.parametrize("rate", [1.0, 3.0])
@pytest.mark.parametrize("growth", [1.0, 0.8])
def test_exponents_of_power_laws_are_found(rate: float, growth: float) -> None:
    loss = scaling.TARGET * 2.9**rate * power_law(rate, growth)  # falls to the target at n = 2.9 d^growth
    assert scaling.alpha(loss, R) == pytest.approx(rate)
    assert scaling.beta(loss, D, R) == pytest.approx(growth)


def test_runs_that_do_not_count_are_left_out() -> None:
    loss = power_law(2, 1)
    loss[0, 1, 2] = loss[2, 0, :] = np.nan
    assert scaling.alpha(loss, R) == pytest.approx(2)
    assert scaling.beta(0.5 * loss, D, R) == pytest.approx(1)


def test_alpha_is_fitted_from_twice_d_on() -> None:
    loss = power_law(2, 1)
    loss[..., 0] = 1e6
    assert scaling.alpha(loss, R) == pytest.approx(2)


def test_needed_n_is_interpolated_and_unknown_outside_the_grid() -> None:
    n = 10 * R
    assert scaling.needed(np.array([1.0, 0.4, 0.1, 0.01]), n) == pytest.approx(40)
    assert scaling.needed(np.array([1.0, 0.4, 0.025, 0.01]), n) == pytest.approx(np.sqrt(20 * 40))
    assert scaling.needed(np.array([1.0, np.nan, 0.1, 0.01]), n) == pytest.approx(40)
    assert np.isnan(scaling.needed(np.array([1.0, 0.9, 0.8, 0.7]), n))
    assert np.isnan(scaling.needed(np.array([0.01, 0.01, 0.01, 0.01]), n))
    assert np.isnan(scaling.beta(np.ones((2, 3, 4)), D, R))


@pytest.mark.parametrize(
    ("alpha", "beta", "says"),
    [
        ((3, 2, 4), (1, 0.9, 1.1), "agrees"),
        ((0.5, 0.4, 0.6), (1, 0.9, 1.1), "inconclusive"),
        ((3, 2, 4), (2, 1.9, 2.1), "inconclusive"),
        ((3, 0.9, 4), (1, 0.9, 1.1), "inconclusive"),
        ((3, 2, 4), (np.nan, -np.inf, np.inf), "inconclusive"),
    ],
)
def test_verdict(alpha: tuple[float, float, float], beta: tuple[float, float, float], says: str) -> None:
    assert scaling.verdict("no-bias", Interval(*alpha), Interval(*beta), "quick") == says
    assert scaling.verdict("bias", Interval(*alpha), Interval(*beta), "quick") == "–"
    assert scaling.verdict("no-bias", Interval(*alpha), Interval(*beta), "smoke") == "not judged"


def test_seeds_that_are_not_there_yet_do_not_narrow_the_interval(tmp_path: Path) -> None:
    """One stored seed of twenty has an exponent and no interval."""
    with Store(tmp_path / "s.sqlite") as store:
        for run in scaling.runs("no-bias", "smoke", 1).values():
            store.put(run, run.carry_out(), {"commit": "c"})
        one, _ = scaling.measure("no-bias", "smoke", 20, Shelf(store))
        assert one.loss.shape[0] == 20
        assert len(one.units) == 1
        (table,) = EXPERIMENT.build([scaling.TABLE], "smoke", 20, store)
        line = table.raw.set_index("architecture").loc["no-bias"]
        assert line["alpha, mean"] == scaling.alpha(one.units, one.ratios)
        assert line["alpha, low"] == -np.inf


def test_dimensions_are_those_asked_for() -> None:
    assert scaling.SIZES["paper"].dimensions == (10, 20, 30, 40, 50, 60)
    assert scaling.SIZES["quick"].dimensions == (10, 20, 30, 40, 60)
    assert len(EXPERIMENT.grid([scaling.TABLE], "quick", 3)) == 3 * (3 * 25 + 15)
    assert EXPERIMENT.grid([], "quick", 3) == []
    for run in scaling.runs("bias", "quick", 1).values():
        assert run.phases[0].epochs + run.phases[1].epochs == 300_000 // run.data.settings["n"]


def test_artifacts_from_real_runs(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        (empty,) = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 2, store)
        assert set(empty.shown["runs"]) == set(empty.shown["theorem-3.1"]) == {"not yet run"}
        for _, run in EXPERIMENT.grid(EXPERIMENT.ARTIFACTS, "smoke", 2):
            if run.architecture != "sim-bn":
                store.put(run, run.carry_out(), {"commit": "c"})
        table, figure = EXPERIMENT.build(EXPERIMENT.ARTIFACTS, "smoke", 2, store)
        by = table.raw.set_index("architecture")
        assert dict(by["runs"]) == {"no-bias": 8, "bias": 8, "sim-bn": 0, "sim-ln": 8}
        assert (by["planned"] == 8).all()
        assert table.shown.set_index("architecture").loc["sim-bn", "runs"] == "not yet run"
        assert table.raw["counted"].max() > 4
        (no_bias,) = table.raw[table.raw["architecture"] == "no-bias"]["alpha, mean"]
        made, _ = scaling.measure("no-bias", "smoke", 2, Shelf(store))
        assert no_bias == scaling.alpha(made.loss, made.ratios)
        assert figure.id == scaling.FIGURE


def test_wide_networks_without_normalization_have_smaller_learning_rates_beyond_a_dimension() -> None:
    paper, quick = scaling.SIZES["paper"], scaling.SIZES["quick"]
    assert [paper.rate("bias", d) for d in (10, 20, 40)] == pytest.approx([0.01, 0.01, 0.005])
    assert paper.rate("sim-ln", 60) == quick.rate("sim-ln", 60) == 0.1
    assert quick.rate("no-bias", 60) == 0.01
