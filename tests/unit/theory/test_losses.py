"""The losses against the papers' definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.theory import Loss


@given(st.floats(0.01, 0.49), st.sampled_from([-1.0, 1.0]), st.floats(-30, 30))
def test_logistic_loss_is_the_papers_in_excess_of_its_smallest_value(p: float, y: float, a: float) -> None:
    """definition-A.2 with b = (1 - y)/2; its slope and curvature by central differences; 0 at the target, which has y's sign."""
    loss, f, labels, b, h = Loss("logistic", p), np.array([a]), np.array([y]), (1 - y) / 2, 1e-4

    def printed(a: float) -> float:
        normal = np.logaddexp(0, a)
        return -p * (b * a - normal) - (1 - p) * ((1 - b) * a - normal)

    target = loss.targets(labels)
    assert np.sign(target) == y
    assert loss.value(target, labels) == pytest.approx(0, abs=1e-12)
    assert loss.slope(target, labels) == pytest.approx(0, abs=1e-12)
    assert loss.curvature(target) == pytest.approx(loss.curvature_at_targets)
    assert loss.value(f, labels) == pytest.approx(printed(a) - printed(target[0]), abs=1e-10)
    assert loss.slope(f, labels) == pytest.approx((printed(a + h) - printed(a - h)) / (2 * h), abs=1e-6)
    assert loss.curvature(f) == pytest.approx((loss.slope(f + h, labels) - loss.slope(f - h, labels)) / (2 * h), abs=1e-6)
