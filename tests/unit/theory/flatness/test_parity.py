"""How flat generalizing networks without bias are on parity data: pinned to the bound, or just above it."""

import numpy as np
import pytest

from flatproof import synth
from flatproof.theory.flatness.parity import generalizing_infimum
from flatproof.theory.networks import trace_lower_bound


@pytest.mark.parametrize(("seed", "pinned"), [(0, True), (1, False)])
def test_parity_at_the_size_of_the_paper(seed, pinned):
    data = synth.parity(d=30, n=100, seed=seed)
    family = generalizing_infimum(data.x, data.y)
    bound = trace_lower_bound("no-bias", data.x, data.y)
    assert family.pinned == pinned
    assert bound == pytest.approx(4 * np.sqrt(30))
    assert bound * (1 - 1e-12) <= family.infimum <= (1 + 1e-12 if pinned else 1.1) * bound
    for signs, move, active in zip(family.signs, family.moves, family.active, strict=True):
        kink = data.x[data.x[:, :2] @ signs == 0].astype(int)
        assert sum(int(product) >= 0 for product in kink @ move.astype(int)) == active


def test_generalizing_infimum_refuses_other_data():
    data = synth.parity(d=5, n=10, seed=0)
    for x, y in ((2 * data.x, data.y), (data.x, -data.y), (data.x[:, :1], data.y)):
        with pytest.raises(ValueError, match="must be"):
            generalizing_infimum(x, y)
