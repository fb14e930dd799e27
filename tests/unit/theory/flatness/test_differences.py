"""Second differences of samples in the plane say what the equations of interpolation do."""

import numpy as np
import pytest

from flatproof.theory.flatness.differences import Equations
from flatproof.theory.flatness.patterns import cells

RNG = np.random.default_rng(5)
POINTS = {
    "plane": RNG.standard_normal((12, 2)),
    "rays twice, the origin, opposite points": np.vstack(
        [RNG.standard_normal((7, 2)), [[1, 1], [2, 2], [0, 0], [-1, -1], [0, 3]]]
    ),
    "space": RNG.standard_normal((6, 3)),
}


@pytest.mark.parametrize("name", POINTS)
def test_neurons_enter_by_what_they_are_at_the_samples(name):
    u = POINTS[name]
    signs = cells(u).signs
    equations = Equations.of(u, signs)
    v = RNG.standard_normal((len(signs), u.shape[1]))
    outputs = (signs > 0) * (v @ u.T)
    entries = np.einsum("mr,mrq->mq", v, equations.activations(u, signs))
    np.testing.assert_allclose(entries, np.array([equations.right(row) for row in outputs]), atol=1e-12)
    multipliers = RNG.standard_normal(entries.shape[1])
    np.testing.assert_allclose(entries @ multipliers, outputs @ equations.dual(multipliers), atol=1e-11)


@pytest.mark.parametrize("name", POINTS)
def test_nothing_is_lost(name):
    u = POINTS[name]
    signs = cells(u).signs
    equations = Equations.of(u, signs)
    rows = np.array([equations.right(unit) for unit in np.eye(len(u))]).T
    rays = {tuple(np.round(row / np.linalg.norm(row), 9)) for row in u if row.any()}
    assert np.linalg.matrix_rank(rows) == len(rows) == len(rays)
