"""A user's own points: kept as they are, their labels told apart or refused."""

from collections.abc import Callable

import numpy as np
import pytest

from flatproof import synth


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
