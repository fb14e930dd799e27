import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from flatproof import synth
from flatproof.verify.two_layer.settings import GENERATORS, DataSpec


def test_parity_is_the_same_on_every_platform() -> None:
    """Golden values: a change of the stream would silently change every experiment."""
    data = synth.parity(d=6, n=4, seed=7)
    assert data.x.astype(int).tolist() == GOLDEN
    assert (data.y == data.x[:, 0] * data.x[:, 1]).all()


GOLDEN = [[-1, 1, -1, -1, -1, 1], [1, -1, -1, 1, 1, -1], [-1, -1, -1, -1, 1, -1], [1, -1, 1, 1, -1, -1]]


def test_parity_is_the_same_in_another_process() -> None:
    code = "import synth; print(synth.parity(5, 9, 3).x.tobytes().hex(), synth.uniform_ball(4, 3, 5).x.tobytes().hex())"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert output == [synth.parity(5, 9, 3).x.tobytes().hex(), synth.uniform_ball(4, 3, 5).x.tobytes().hex()]


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


def test_given_keeps_the_users_points() -> None:
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    data = synth.given(x, y, test_x=x[:1], test_y=y[:1])
    assert (data.x == x).all()
    assert data.enumerate()[0].tolist() == [[1.0, 2.0]]
    assert (data.sample(5, 0)[0] == x[0]).all()


def labelled(*y: float, test: tuple[float, ...] | None = None, labels: str = "auto") -> synth.Data:
    points = np.arange(len(y), dtype=float)[:, None]
    tests = (None, None) if test is None else (np.arange(len(test), dtype=float)[:, None], np.array(test))
    return synth.given(points, np.array(y), *tests, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ((1, -1, 1), "signs"),
        ((1, 1, 1), "signs"),
        ((-1,), "signs"),
        ((-3, 3, 3), "signs"),
        ((0.25, -0.25), "signs"),
        ((2, 2, 2), "real"),  # one class, or a constant: no sign to tell by
        ((0, 0), "real"),
        ((1, 2), "real"),
        ((0.5, -1.25, 3), "real"),
        ((0.1, 0.9), "real"),
        ((0, 1, 2, 3), "real"),
        ((3, 7, 12, 3), "real"),
        ((1, -1, 0.5), "real"),
    ],
)
def test_what_labels_are(y: tuple[float, ...], kind: str) -> None:
    assert labelled(*y).labels == labelled(*y, test=y).labels == kind
    assert labelled(*y, labels="real").labels == "real"


def test_what_the_labels_of_the_distributions_are() -> None:
    for n in (1, 40):
        assert synth.parity(5, n).labels == synth.complete_parity().labels == "signs"
        assert synth.uniform_ball(n=n).labels == synth.unit_circle(n=n).labels == "real"
    for name, make in GENERATORS.items():
        assert DataSpec(name).labels == make().labels


def test_classes_become_signs() -> None:
    data = labelled(4, 2, 4, test=(2, 2), labels="classes")
    assert data.labels == "signs"
    assert data.y.tolist() == [1, -1, 1]
    assert data.enumerate()[1].tolist() == [-1, -1]
    assert (data.settings["negative"], data.settings["positive"]) == (2, 4)
    assert labelled(1, 1, test=(0, 1), labels="classes").y.tolist() == [1, 1]


def test_without_test_points_no_population_is_known() -> None:
    data = labelled(1, -1)
    for call in (data.enumerate, lambda: data.sample(3, 0)):
        with pytest.raises(ValueError, match="no test set was given"):
            call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: labelled(0, 1), "y holds 0 and 1, which look like codes of classes; expected -1 and 1"),
        (lambda: labelled(1, 2, 2), "labels 'classes' takes 1 as -1 and 2 as 1"),
        (lambda: labelled(0, 255, 0), "y holds 0 and 255"),
        (lambda: labelled(0.1, 0.9, 0.9), "y holds 0.1 and 0.9"),
        (lambda: labelled(*range(10), *range(10)), "y holds 0, 1, ..., 9, which look like codes of 10 classes"),
        (lambda: labelled(1, 2, 3, 1, 2, 3), "y holds 1, 2 and 3, which look like codes of 3 classes"),
        (lambda: labelled(-1, 0, 1, 1, 0, -1), "y holds -1, 0 and 1"),
        (lambda: synth.given(np.eye(3), np.array([True, False, True])), "y holds 0 and 1"),
        (lambda: labelled(1, -1, test=(1, 0)), "test_y must hold nothing but -1 and 1, the classes of y, entry 1 is 0"),
        (lambda: labelled(1, -1, test=(2, -2)), "test_y must hold nothing but -1 and 1"),
        (lambda: labelled(0.5, 1.5, 2.25, test=(1, -1, 1)), "test_y holds -1 and 1, which look like classes"),
        (lambda: labelled(0.5, 1.5, 2.25, test=(1, 0, 1)), "test_y holds 0 and 1, which look like classes"),
        (lambda: labelled(1, 1, labels="classes"), "labels 'classes' are two values, one for each class; y has 1"),
        (lambda: labelled(0, 1, 2, labels="classes"), "y has 0, 1 and 2"),
        (lambda: labelled(0, 1, test=(1, 2), labels="classes"), "y has 0, 1 and 2"),
        (lambda: labelled(1, labels="signs"), "labels must be auto, classes or real, got 'signs'"),
        (lambda: synth.Data("mine", np.eye(3), np.array([0.0, 1.0, 1.0]), {}, None), "y holds 0 and 1"),
    ],
)
def test_labels_of_another_kind_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


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
