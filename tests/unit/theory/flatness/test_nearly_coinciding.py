"""Points that nearly coincide with different labels: flattest networks of a trace of millions, with bounds that meet it."""

from typing import Any

import numpy as np
import pytest

from flatproof.theory.flatness import flattest as module
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.flattest import LIMIT, solved
from flatproof.theory.flatness.neurons import Columns, NotRealized
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


def test_cells_too_thin_for_double_precision_are_refused_in_words() -> None:
    with np.errstate(all="ignore"), pytest.raises(NotRealized, match="points are too nearly dependent"):
        solved(near_pair(2, 40, 2, 1e-8, "bias"), LIMIT)


@pytest.mark.parametrize("seed", [3, 24])
def test_directions_that_no_active_sample_sees_cost_nothing(seed: int) -> None:
    """Neurons of thin cells with few active samples are long there; a small price on that length left gaps of up to a fiftieth."""
    rng = np.random.default_rng(seed)
    assert solved(Setting.of(rng.standard_normal((40, 2)), np.sign(rng.standard_normal(40)), "bias"), LIMIT).gap < 1e-6
