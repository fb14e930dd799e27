"""Points that nearly coincide with different labels: flattest networks of a trace of millions, with bounds that meet it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flatproof.theory.flatness import certificate, column_generation, realize
from flatproof.theory.flatness import flattest as module
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.cone_solver import Master
from flatproof.theory.flatness.flattest import LIMIT, solved
from flatproof.theory.flatness.neurons import Columns, NotRealized
from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.networks import forward


def near_pair(seed: int, n: int, d: int, distance: float, architecture: str = "no-bias") -> Setting:
    """Normal points and labels, the second point near the first."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    x[1] = x[0] + distance * rng.standard_normal(d)
    return Setting.of(x, y, architecture)


def by_rounds(*_: object) -> None:
    raise AssertionError("pattern generation takes minutes here")


@pytest.mark.parametrize(("seed", "n"), [(0, 300), (3, 300), (1, 60), (2, 60)])
def test_steep_networks_in_the_plane_are_solved_all_patterns_at_once(monkeypatch: pytest.MonkeyPatch, seed: int, n: int) -> None:
    """The first gap of the interior-point method is of the order of 1e9 there, and its largest neuron 1e6 times the labels."""
    monkeypatch.setattr(Program, "_by_rounds", by_rounds)
    setting = near_pair(seed, n, 2, 1e-6)
    flattest = solved(setting, LIMIT)
    assert flattest.trace > 1e5
    assert flattest.gap < 1e-3
    assert np.abs(forward(flattest.network, setting.x) - setting.y).max() <= 1e-8 * setting.top


@pytest.mark.parametrize(
    ("seed", "n", "d", "distance", "architecture"),
    [(1, 12, 3, 1e-4, "no-bias"), (2, 40, 2, 1e-6, "no-bias"), (0, 14, 2, 1e-6, "bias"), (2, 12, 3, 1e-6, "no-bias")],
)
def test_the_network_is_as_flat_as_the_bound_between_two_points_that_nearly_coincide(
    seed: int, n: int, d: int, distance: float, architecture: str
) -> None:
    flattest = solved(near_pair(seed, n, d, distance, architecture), LIMIT)
    assert 0 <= flattest.gap < 1e-4


def test_very_short_neurons_outside_their_cells_are_not_made_use_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such ones seem to interpolate for a fifth of a thousandth of the price."""
    seen = list[Columns]()
    realized = module.network_of

    def watched(setting: Setting, choices: Any, *rest: Any) -> Any:
        seen.extend(choices)
        return realized(setting, choices, *rest)

    monkeypatch.setattr(module, "network_of", watched)
    setting = near_pair(1, 12, 3, 1e-4)
    u = setting.coordinates.u
    solved(setting, LIMIT)
    assert len(seen) == 4
    for columns in seen:
        sizes = np.linalg.norm(u, axis=1) * np.linalg.norm(columns.v, axis=1)[:, None]
        assert (columns.signs * (columns.v @ u.T) / sizes).min() > -1e-3


@pytest.mark.parametrize(("seed", "n", "distance"), [(4, 8, 1e-9), (3, 8, 1e-9), (2, 12, 1e-8), (5, 16, 1e-8)])
def test_cells_too_thin_for_double_precision_are_refused_in_words(seed: int, n: int, distance: float) -> None:
    with np.errstate(all="ignore"), pytest.raises(NotRealized, match="points are too nearly dependent"):
        solved(near_pair(seed, n, 2, distance, "bias"), LIMIT)


@pytest.mark.parametrize("seed", [3, 24])
def test_directions_that_no_active_sample_sees_cost_nothing(seed: int) -> None:
    """Neurons of thin cells with few active samples are long there; a small price on that length left gaps of up to a fiftieth."""
    rng = np.random.default_rng(seed)
    assert solved(Setting.of(rng.standard_normal((40, 2)), np.sign(rng.standard_normal(40)), "bias"), LIMIT).gap < 1e-6


@pytest.mark.parametrize(
    ("seed", "n", "distance", "architecture"), [(5, 60, 1e-4, "bias"), (7, 60, 1e-4, "bias"), (3, 24, 1e-5, "sim-bn")]
)
def test_on_a_line_networks_cost_what_the_bound_says(seed: int, n: int, distance: float, architecture: str) -> None:
    """Corrections by neurons far from their kinks had cost up to 1e-4 of the trace."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 1)), np.sign(rng.standard_normal(n))
    x[1] = x[0] + distance * rng.standard_normal(1)
    assert 0 <= solved(Setting.of(x, y, architecture), LIMIT).gap < 2e-6


@pytest.mark.parametrize("seed", [0, 1])
def test_many_samples_take_no_correction_at_a_price_of_its_own(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    def corrected(*_: object) -> None:
        raise AssertionError("corrected by neurons in other places")

    monkeypatch.setattr(realize, "corrected", corrected)
    rng = np.random.default_rng(seed)
    setting = Setting.of(rng.standard_normal((220, 2)), np.sign(rng.standard_normal(220)), "no-bias")
    flattest = solved(setting, LIMIT)
    assert 0 <= flattest.gap < 1e-5
    assert np.abs(forward(flattest.network, setting.x) - setting.y).max() <= 1e-8
    assert flattest.network.width <= 220


def test_what_a_solver_returns_that_does_not_fit_is_not_taken_for_a_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a price of slack of 1e10 the solver of cone programs returns zeros and calls them solved: the last one that fits is kept."""
    given, boxes = column_generation.solve_master, list[float]()

    def failing(u: Any, y: Any, signs: Any, sides: Any, prices: Any, box: float, *rest: Any) -> Master:
        solution = given(u, y, signs, sides, prices, box, *rest)
        if solution.slack <= 1e-9:
            boxes.append(box)
            zeros = box > boxes[0]
            solution = replace(solution, v=solution.v * (not zeros), slack=1e-10 if zeros else 1e-8)
        return solution

    setting = near_pair(1, 12, 3, 1e-2)
    monkeypatch.setattr(column_generation, "solve_master", failing)
    program = Program(setting, np.where(cells(setting.points, LIMIT).signs > 0, 1, -1).astype(np.int8))
    _, bound, _, _, neurons, weights = program.solve()
    assert boxes[-1] > boxes[0]
    assert np.abs(neurons.outputs(setting.coordinates.u) @ weights - setting.y / setting.top).max() < 1e-6
    assert weights @ neurons.prices * setting.top == pytest.approx(bound, rel=1e-6)


def test_an_exact_network_of_hundreds_of_samples_is_not_solved_for_in_numbers_of_as_many_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bumps are taken there whatever they cost: elimination had taken more than an hour at 500 samples."""

    def solve(*_: object) -> None:
        raise AssertionError("elimination in whole numbers")

    rng = np.random.default_rng(2)
    x = np.round(rng.standard_normal((210, 2)), 3)
    flattest = solved(Setting.of(x, np.sign(rng.standard_normal(210)), "no-bias"), LIMIT)
    monkeypatch.setattr(certificate, "solve", solve)
    monkeypatch.setattr(certificate, "ROUNDING", -1.0)  # no cost is low enough
    exact = float(certificate.total(flattest.predictions.flattest))
    assert exact == pytest.approx(flattest.trace, rel=1e-6)
