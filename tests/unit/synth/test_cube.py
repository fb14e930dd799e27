"""Parity data: the same on every platform and in every process, and their populations."""

import subprocess
import sys

import numpy as np
import pytest

from flatproof import synth


def test_parity_is_the_same_on_every_platform() -> None:
    """Golden values: a change of the stream would silently change every experiment."""
    data = synth.parity(d=6, n=4, seed=7)
    assert data.x.astype(int).tolist() == GOLDEN
    assert (data.y == data.x[:, 0] * data.x[:, 1]).all()


GOLDEN = [[-1, 1, -1, -1, -1, 1], [1, -1, -1, 1, 1, -1], [-1, -1, -1, -1, 1, -1], [1, -1, 1, 1, -1, -1]]


def test_parity_is_the_same_in_another_process() -> None:
    code = "from flatproof import synth; print(synth.parity(5, 9, 3).x.tobytes().hex(), synth.uniform_ball(4, 3, 5).x.tobytes().hex())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == [synth.parity(5, 9, 3).x.tobytes().hex(), synth.uniform_ball(4, 3, 5).x.tobytes().hex()]


def test_enumeration_lists_the_cube_once() -> None:
    x, y = synth.parity(d=5, n=1, k=3).enumerate()
    assert len(np.unique(x, axis=0)) == len(x) == 32
    assert (np.abs(x) == 1).all()
    assert (y == x[:, 0] * x[:, 1] * x[:, 2]).all()


def test_large_population_cannot_be_listed() -> None:
    data = synth.parity(d=30, n=3)
    assert data.size is None
    with pytest.raises(ValueError, match="too large to list"):
        data.enumerate()
