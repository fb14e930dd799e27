"""Numbers below the smallest normal one are 0 in the kernels, and nowhere else."""

import numpy as np
import pytest

from flatproof.theory.networks import Network
from flatproof.verify.two_layer import fused, reference
from flatproof.verify.two_layer.fused.cpu import subnormals
from flatproof.verify.two_layer.settings import Phase

pytestmark = pytest.mark.skipif(not subnormals.HERE, reason="the processor has no such switch")
TINY = np.finfo(np.float32).tiny


def product() -> float:
    return float(np.array([TINY])[0] * np.float32(0.1))


def test_the_thread_rounds_as_before_afterwards() -> None:
    assert product() > 0
    with subnormals.flushed():
        assert product() == 0
    assert product() > 0
    with pytest.raises(ZeroDivisionError), subnormals.flushed():
        raise ZeroDivisionError
    assert product() > 0


def test_neurons_that_die_out_end_at_zero() -> None:
    """Two neurons of which one has weights that are hardly normal: with weight decay it is 0 after a while, the other as it would be."""
    w1 = np.array([[1.0, 0.5], [TINY, 2 * TINY]], np.float32)
    start = Network(w1, np.array([1.0, TINY], np.float32))
    x, y, order = np.array([[1.0, 1.0]]), np.array([1.0]), np.zeros((40, 1), int)
    phase = Phase(lr=0.1, epochs=40, weight_decay=1.0)
    ours, _ = fused.advance(start, x, y, order, None, phase)
    assert not ours.w1[1].any()
    assert ours.w2[1] == 0
    expected, _ = reference.advance(start.astype("float64"), x, y, order, None, phase)
    np.testing.assert_allclose(ours.w1[0], expected.w1[0], rtol=1e-5)
    assert 0 < np.abs(expected.w1[1]).max() < TINY
