"""Several outputs on any data: what comes out is a proof, no lower than the bound sample by sample, and the network is no flatter."""

from contextlib import suppress

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flatproof.theory.check_certificate import check
from flatproof.theory.flatness.feasibility import Infeasible
from flatproof.theory.flatness.outputs import flattest_outputs
from flatproof.theory.networks import with_ones


@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["no-bias", "bias"]),
    st.sampled_from(["differentiable", "relu'(0)=0"]),
    st.sampled_from([0.001, 1.0, 1000.0]),
    st.integers(0, 10**6),
)
def test_whatever_is_given_becomes_a_proof(n, d, outputs, architecture, kinks, scale, seed):
    """Few whole points: duplicates, opposite and collinear points and zero rows are common; some less than full rank."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (n, d)).astype(float)
    points = with_ones(architecture, x)
    w, a = rng.integers(-3, 4, (3, points.shape[1])), rng.integers(-3, 4, (3, outputs))
    y = np.maximum(points @ w.T, 0) @ a
    x = x if architecture == "bias" else np.round(x * scale, 3)
    with suppress(Infeasible):
        answer = flattest_outputs(x, y, architecture, kinks)
        verdict = check(answer.certificate())
        lengths, sizes = np.linalg.norm(with_ones(architecture, x), axis=1), np.linalg.norm(y, axis=1)
        assert float(verdict.lower) >= 4 / n * np.sqrt(outputs) * float(lengths @ sizes) * (1 - 1e-5)  # own/flattest-9
        assert verdict.lower <= verdict.upper
