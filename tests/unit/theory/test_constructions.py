"""The paper's networks in exact numbers and in floating point."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof import theory
from flatproof.theory.constructions import (
    cube,
    deep_generalizing,
    exact_points,
    four_corners,
    generalizing,
    generalizing_network,
    memorizing,
    memorizing_network,
    separating_direction,
    zero_one_errors,
)
from flatproof.theory.networks import DeepNetwork
from tests.certificates import CUBE
from tests.networks import seeds


@given(st.integers(1, 5), st.integers(1, 7), seeds, st.sampled_from([1e-6, 1.0, 1e6]), st.integers(0, 7))
def test_memorizing_networks_interpolate_and_are_flattest(d: int, n: int, seed: int, scale: float, zeros: int) -> None:
    """Points on a sphere are in convex position; some labels are zero."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n if d > 1 else min(n, 2), d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    if d == 1:
        x = np.array([[1.0], [-1.0]])[: len(x)]
    y = scale * rng.standard_normal(len(x))
    y[:zeros] = 0
    for architecture in ("bias", "sim-ln"):
        network = memorizing_network(x, y, architecture)
        assert np.allclose(theory.forward(network, x), y, rtol=1e-6, atol=1e-9 * scale)
        bound = theory.trace_lower_bound(architecture, x, y)
        assert theory.trace_of_hessian(network, x) == pytest.approx(bound, rel=1e-6)


def test_exact_and_floating_networks_agree() -> None:
    x = np.array([[0.0, 0.0], [2.0, 0.5], [0.25, 3.0]])
    y = np.array([1.0, -2.0, 0.5])
    points, labels = exact_points(x, y)
    exact = memorizing(points, labels)
    assert exact.interpolates(points, labels)
    assert exact.memorizes(points)
    assert float(exact.trace(points)) == pytest.approx(theory.trace_of_hessian(exact.numeric(), x))
    probe = np.random.default_rng(0).standard_normal((5, 2))
    for row, f in zip(exact_points(probe, np.zeros(5))[0], theory.forward(exact.numeric(), probe), strict=True):
        assert float(exact.output(row)) == pytest.approx(f)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("architecture", theory.ARCHITECTURES)
def test_generalizing_networks_compute_parity(architecture: str, d: int) -> None:
    x = np.array([[float(v) for v in p] for p in cube(d)])
    network = generalizing_network(d, architecture)
    assert theory.forward(network, x) == pytest.approx(x[:, 0] * x[:, 1])
    if architecture in ("bias", "sim-ln"):
        y = x[:, 0] * x[:, 1]
        assert theory.trace_of_hessian(network, x) == pytest.approx(theory.trace_lower_bound(architecture, x, y))


def test_exact_witnesses_have_no_errors() -> None:
    assert zero_one_errors(generalizing(4), 4) == 0
    assert zero_one_errors(four_corners(3, Fraction(1, 3)), 3) == 0


def test_points_that_are_no_vertices_are_refused() -> None:
    x = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="row 2 is no vertex"):
        memorizing_network(x, np.ones(3))
    twice = [(Fraction(1),), (Fraction(1),)]
    assert separating_direction(twice, 0) is None
    with pytest.raises(ValueError, match="is known for 'bias' and 'sim-ln', not for 'no-bias'"):
        memorizing_network(x, np.ones(3), "no-bias")
    with pytest.raises(ValueError, match="d must be a whole number of at least 2"):
        generalizing_network(1)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_four_quarters_of_three_layers_off_their_kinks(d: int) -> None:
    """own/flattest-11: moved by e << M, with weights -M between quarters and paths of unlike signs, the trace tends to the bound."""
    network, x = deep_generalizing(d), CUBE[d]
    first, second, last = network.layers
    turn = np.random.default_rng(d).standard_normal(first.shape)
    excess = []
    for m in (1e-1, 1e-2, 1e-3):
        moved = DeepNetwork((first + m**2 * 0.1 * turn, np.where(second > 0, second, -m), last), None)
        z = x @ moved.layers[0].T
        assert (z != 0).all()
        assert (np.abs(np.maximum(z, 0) @ moved.layers[1].T) > 1e-9).all()
        assert moved.forward(x) == pytest.approx(x[:, 0] * x[:, 1], abs=10 * m)
        excess.append(moved.trace_of_hessian(x) / (6 * d ** (1 / 3)) - 1)
    assert abs(excess[2]) < 1e-3
    assert abs(excess[2]) < abs(excess[1]) < abs(excess[0])
    unguarded = DeepNetwork((first + 1e-7 * turn, second, last), None)
    assert unguarded.trace_of_hessian(x) > 1.2 * 6 * d ** (1 / 3)
