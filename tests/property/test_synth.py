"""Invariants of the distributions, over random settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof import synth
from tests.networks import seeds


@given(st.integers(1, 40), st.integers(1, 200), seeds, st.data())
def test_parity(d: int, n: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, d))
    drawn = synth.parity(d, n, seed, k)
    again = synth.parity(d, n, seed, k)
    assert drawn.x.shape == (n, d)
    assert (np.abs(drawn.x) == 1).all()
    assert (drawn.y == np.prod(drawn.x[:, :k], axis=1)).all()
    assert (drawn.x == again.x).all()
    fresh_x, fresh_y = drawn.sample(n, seed)
    assert (fresh_y == np.prod(fresh_x[:, :k], axis=1)).all()
    if n * d > 64:
        assert (fresh_x != drawn.x).any()
        assert (synth.parity(d, n, seed + 1, k).x != drawn.x).any()


@given(st.integers(3, 12), seeds, st.data())
def test_complete_parity_satisfies_condition_1(d: int, seed: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(d - 1, min(2 ** (d - 2), 64)) if 2 ** (d - 2) >= d - 1 else st.nothing())
    x = synth.complete_parity(d, 4 * size, seed).x
    rest = np.unique(x[:, 2:], axis=0)
    assert len(rest) == size
    assert np.linalg.matrix_rank(rest[1:] - rest[0]) == d - 2
    assert len(np.unique(x, axis=0)) == len(x) == 4 * size  # all four heads with every tail


@given(st.integers(2, 20), st.integers(1, 100), seeds, st.floats(1e-3, 1e3))
def test_uniform_ball(d: int, n: int, seed: int, radius: float) -> None:
    data = synth.uniform_ball(d, n, seed, radius)
    assert (np.linalg.norm(data.x, axis=1) <= radius * (1 + 1e-12)).all()
    assert np.allclose(data.y, np.abs(data.x[:, 0]) - np.abs(data.x[:, 1]))


def test_uniform_ball_radius_has_the_right_law() -> None:
    """(||x||/r)^d is uniform on [0, 1]: its mean over 20000 samples is within 5 standard errors of 1/2."""
    x, _ = synth.uniform_ball(7, 1, 0).sample(20_000, 1)
    u = (np.linalg.norm(x, axis=1) / np.sqrt(7)) ** 7
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * 20_000)


@given(st.integers(2, 20), st.integers(1, 100), seeds, st.floats(1.01, 1e3))
def test_unit_circle(d: int, n: int, seed: int, radius: float) -> None:
    data = synth.unit_circle(d, n, seed, radius if d > 2 else None)
    assert np.allclose(np.linalg.norm(data.x[:, :2], axis=1), 1)
    assert np.allclose(np.linalg.norm(data.x, axis=1), radius if d > 2 else 1)
    assert np.allclose(data.y, 2 * data.x[:, 0] * data.x[:, 1])


labels_of = st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-6 or value == 0)


@given(st.lists(labels_of, min_size=2, max_size=2, unique=True), st.lists(st.booleans(), min_size=3, max_size=20))
def test_two_repeated_values_are_signs_or_refused_and_map_when_asked(values: list[float], upper: list[bool]) -> None:
    """Whatever stands for the two classes, they are never taken for real numbers without a word."""
    low, high = sorted(values)
    upper = [*upper, True, False]
    y, x = np.where(upper, high, low), np.arange(len(upper), dtype=float)[:, None]
    if low == -high:
        assert synth.given(x, y).labels == "signs"
    else:
        with pytest.raises(ValueError, match="look like codes of classes"):
            synth.given(x, y)
    mapped = synth.given(x, y, labels="classes")
    assert mapped.labels == "signs"
    assert mapped.y.tolist() == [1.0 if positive else -1.0 for positive in upper]
    assert synth.given(x, y, labels="real").labels == "real"


@given(st.lists(labels_of, min_size=1, max_size=12, unique=True))
def test_values_that_do_not_repeat_are_numbers_unless_they_are_signs(values: list[float]) -> None:
    if set(values) != {0.0, 1.0}:
        signs = set(values) <= {1.0, -1.0} or (len(values) == 2 and values[0] == -values[1])
        x = np.arange(len(values), dtype=float)[:, None]
        assert synth.given(x, np.array(values)).labels == ("signs" if signs else "real")
