"""Cells found one at a time against the list of all of them; patterns, their values and prices against their definitions."""

import numpy as np
import pytest

from flatproof import theory
from flatproof.theory.flatness.known_patterns import KnownPatterns
from flatproof.theory.flatness.patterns import cells, positive_sets
from flatproof.theory.flatness.program import prices
from flatproof.theory.flatness.setting import KINKS, Setting
from tests.networks import random_points

SIGNS = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)])


def known(x, kinks="differentiable", architecture="no-bias"):
    return KnownPatterns(Setting.of(x, np.ones(len(x)), architecture, kinks), 1.0)


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
def test_a_sign_vector_has_a_neuron_inside_just_where_it_is_a_cell(architecture):
    x, _ = random_points(2, 6, 0)
    patterns = known(x, architecture=architecture)
    listed = {row.tobytes() for row in cells(patterns.setting.points).signs}
    rng = np.random.default_rng(0)
    for signs in cells(patterns.setting.points).signs:
        inside = patterns.inside(signs, rng.standard_normal(patterns.u.shape[1]))
        assert inside is not None
        assert (np.sign(patterns.u @ inside) == signs).all()
    for signs in rng.choice(np.array([-1, 1], np.int8), (40, 6)):
        assert (patterns.inside(signs, patterns.u[0]) is not None) == (signs.tobytes() in listed)


def test_beside_a_kink_as_few_samples_are_active_as_can_be():
    x = np.array([[1.0, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 1, 1]])
    patterns = known(x)
    v = patterns.u[0] / patterns.lengths[0]  # sees sample 0 alone; all others are on its kink, of 1 and 2 one must be active
    options = patterns.beside(v)
    assert (options[0] > 0).sum() == 2
    assert options[0][0] == 1
    assert options[0][1] == -options[0][2]
    inside = patterns.inside(options[0], v)
    assert inside is not None
    assert (np.sign(patterns.u @ inside) == options[0]).all()


def test_neurons_may_stay_on_kinks_of_whole_points_where_the_notion_allows_it():
    for kinks in KINKS:
        patterns = known(SIGNS, kinks)
        listed = positive_sets(patterns.setting.points, None)[0].signs
        faces = {np.where(row > 0, 1, -1).astype(np.int8).tobytes() for row in listed}
        quarter = np.where((SIGNS[:, 0] == 1) & (SIGNS[:, 1] == 1), 1, -1).astype(np.int8)
        assert quarter.tobytes() in faces
        inside = patterns.inside(quarter, patterns.u.sum(axis=0) + 1)
        assert (inside is not None) == (kinks != "differentiable")
    assert (patterns.u @ inside > 1e-9).tolist() == (quarter > 0).tolist()
    assert patterns.flats[quarter.tobytes()].shape[0] == 3
    assert not known(SIGNS + 0.5, KINKS[1]).may_stay


def test_patterns_are_numbered_once_and_their_ratios_are_value_over_price():
    x, y = random_points(3, 8, 1)
    patterns = known(x)
    signs, witness = next(patterns.at(np.random.default_rng(0).standard_normal((1, 3))))
    assert patterns.add(signs, witness) == patterns.add(signs, 2 * witness) == 0
    assert patterns.add(-np.ones(8, np.int8), witness) is None
    assert len(patterns.signs) == 1
    ratios, neurons, _ = patterns.ratios(signs[None], y)
    on = signs > 0
    activation = np.where(on, patterns.u @ neurons[0], 0)
    price = prices("no-bias", x, signs[None])[0]
    assert (signs * (patterns.u @ neurons[0]) >= -1e-9).all()
    assert ratios[0] == pytest.approx(np.linalg.norm(activation) / price)
    assert ratios[0] == pytest.approx(activation @ y / np.linalg.norm(activation) / price)
    rays = patterns.rays()
    np.testing.assert_allclose(np.linalg.norm(rays.outputs(patterns.u), axis=0), 1)
    assert rays.sides.tolist() == [1, -1]


@pytest.mark.parametrize("architecture", ["no-bias", "bias", "sim-bn"])
def test_a_networks_neurons_have_their_patterns(architecture):
    x, y = random_points(3, 7, 2)
    network = theory.flattest(x, y, architecture).network
    patterns = known(x, architecture=architecture)
    entries = list(patterns.of_network(network))
    assert len(entries) == network.width
    on = patterns.setting.points @ network.weights.T > 0
    for (index, side), column, weight in zip(entries, on.T, network.w2, strict=True):
        assert ((patterns.signs[index] > 0) == column).all()
        assert side == (weight < 0)
