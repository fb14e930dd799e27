"""All distributions: what their labels are, and bad settings, refused by name."""

import numpy as np
import pytest

from flatproof import synth
from flatproof.verify.two_layer.settings import GENERATORS, DataSpec


def test_what_the_labels_of_the_distributions_are() -> None:
    for n in (1, 40):
        assert synth.parity(5, n).labels == synth.complete_parity().labels == "signs"
        assert synth.uniform_ball(n=n).labels == synth.unit_circle(n=n).labels == "real"
    for name, make in GENERATORS.items():
        assert DataSpec(name).labels == make().labels


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: synth.parity(d=0), "d must be a whole number of at least 1, got 0"),
        (lambda: synth.parity(n=-3), "n must be a whole number of at least 1, got -3"),
        (lambda: synth.parity(n=2.5), "n must be a whole number of at least 1, got 2.5"),
        (lambda: synth.parity(seed=-1), "seed must be a whole number of at least 0"),
        (lambda: synth.parity(d=3, k=4), "d must be at least k = 4, the number of relevant coordinates, got 3"),
        (lambda: synth.complete_parity(d=2), "d must be a whole number of at least 3"),
        (lambda: synth.complete_parity(d=5, n=12), "multiple of 4 between 4"),
        (lambda: synth.complete_parity(d=5, n=18), "multiple of 4 between 4"),
        (lambda: synth.uniform_ball(d=1), "d must be a whole number of at least 2"),
        (lambda: synth.uniform_ball(radius=float("nan")), "radius must be a number above 0"),
        (lambda: synth.unit_circle(radius=0.5), "radius must be a number above 1"),
        (lambda: synth.unit_circle(d=2, radius=2.0), "radius must be 1 when d = 2"),
        (lambda: synth.unit_circle(label=lambda x: x), "label must return shape"),
        (lambda: synth.parity(seed=2**32), "seed must be a whole number of at least 0 and below"),
        (lambda: synth.uniform_ball(radius="a"), "radius must be a number above 0"),
        (lambda: synth.uniform_ball(radius=True), "radius must be a number above 0"),
        (lambda: synth.unit_circle(label=3), "label must be a function"),
        (lambda: synth.unit_circle(label=lambda x: x[:, 0] / 0 if False else np.full(len(x), np.nan)), "finite numbers"),
        (lambda: synth.given([["1", "2"]], ["1"]), "x must hold real numbers"),
        (lambda: synth.parity().sample(0, 0), "k must be a whole number of at least 1"),
        (lambda: synth.given(np.zeros((2, 2)), np.zeros(3)), r"y must have shape \(2,\)"),
        (lambda: synth.given(np.array([[1.0, np.nan]]), np.zeros(1)), "x must be finite, row 0 is not"),
        (lambda: synth.given(np.zeros((2, 2)), np.zeros(2), np.zeros((1, 3)), np.zeros(1)), "test_x must have 2 columns"),
        (lambda: synth.given(np.zeros((2, 2)), np.zeros(2), np.zeros((1, 2))), "given together"),
    ],
)
def test_bad_settings_name_the_culprit(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
