"""Our split of Fashion-MNIST's early release."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify.realdata.mnist import by_digest
from tests.unit.realdata.formats import pixels


@given(seed=st.integers(0, 2**32 - 1), repeats=st.integers(1, 3))
def test_our_split_is_balanced_and_keeps_equal_images_together(seed: int, repeats: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.repeat(pixels(seed, 12, 784), repeats, axis=0)
    y = np.repeat(np.repeat([0, 1], 6), repeats)
    order = rng.permutation(len(x))
    train, test = by_digest(x[order], y[order], 2 * repeats)
    assert sorted([*train, *test]) == list(range(len(x)))
    assert y[order][test].tolist() == [0, 1] * (2 * repeats)  # in turns
    assert not {r.tobytes() for r in x[order][train]} & {r.tobytes() for r in x[order][test]}
    assert [r.tobytes() for r in x[order][test]] == [r.tobytes() for r in x[by_digest(x, y, 2 * repeats)[1]]]
