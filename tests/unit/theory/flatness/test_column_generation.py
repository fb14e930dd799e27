"""Pattern generation: what it adds, where it starts all at once, and what it has when the time is up."""

import numpy as np
import pytest

from flatproof import theory
from flatproof.theory.flatness.column_generation import NEAR, Program
from flatproof.theory.flatness.flattest import LIMIT, solved
from flatproof.theory.flatness.interior_point import InteriorPoint
from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.setting import Setting
from flatproof.theory.flatness.walls import walls
from flatproof.theory.networks import forward


def random_labels(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)


def program(seed: int, n: int, d: int) -> tuple[Program, np.ndarray]:
    """The program with a bias, and a neuron inside each cell."""
    setting = Setting.of(*random_labels(seed, n, d), "bias")
    listed = cells(setting.points)
    active = (listed.signs > 0).any(axis=1)
    inner = setting.coordinates.neurons(listed.witnesses.astype(float))
    return Program(setting, listed.signs[active], walls(listed.signs)[active]), inner[active]


def test_patterns_added_together_are_not_near_each_other() -> None:
    generated, _ = program(0, 14, 2)
    ratio = generated.price_ratios(generated.start, None)
    chosen = generated._spread(ratio, 20)
    assert chosen[0] == np.argmax(ratio)
    assert 1 < len(chosen) <= 20
    side, pattern = np.divmod(chosen, ratio.shape[1])
    differ = (generated.signs[pattern][:, None] != generated.signs[pattern][None]).sum(axis=2)
    same_side = (side[:, None] == side[None]) & ~np.eye(len(side), dtype=bool)
    assert differ[same_side].min() > NEAR
    near = (generated.signs != generated.signs[pattern[0]]).sum(axis=1) <= NEAR
    assert near.sum() > 1
    alike = np.where(near & (np.arange(2) == side[0])[:, None], ratio, -np.inf)
    assert list(generated._spread(alike, 20)) == [chosen[0]]


@pytest.mark.parametrize("seed", range(4))
def test_the_first_point_of_all_at_once_is_inside_every_cone(seed: int) -> None:
    generated, inner = program(seed, 40, 2)
    start = InteriorPoint(generated, inner)._start()
    assert np.all(np.linalg.norm(start.z, axis=1) < start.t)
    assert np.all(np.linalg.norm(start.w, axis=1) < np.tile(generated.prices, 2))


@pytest.mark.parametrize("late", [False, True])
def test_what_is_known_when_the_time_is_up_holds(late: bool) -> None:
    x, y = random_labels(3, 16, 3)
    exact = theory.flattest(x, y, "bias")
    known = solved(Setting.of(x, y, "bias"), LIMIT, end=-np.inf if late else np.inf)
    np.testing.assert_allclose(forward(known.network, x), y, atol=1e-9)
    assert known.lower_bound <= exact.trace * (1 + 1e-9)
    assert known.trace >= exact.lower_bound * (1 - 1e-9)
    assert (known.gap > 1e-3) == late
    assert known.complete == (not late)
