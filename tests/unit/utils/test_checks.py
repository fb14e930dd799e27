"""The checks of settings: what passes in which form, and what each says of the rest."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flatproof.verify.utils.checks import check_number, check_one_of, check_positive, check_share, check_whole


def test_what_passes() -> None:
    passed: list[tuple[Any, Any]] = [
        (check_whole("k", 3), 3),
        (check_whole("k", np.int64(3), 0, 3), 3),
        (check_number("k", np.float32(0.5), 0.5), 0.5),
        (check_positive("k", 2), 2.0),
        (check_share("k", np.float64(0.25)), 0.25),
        (check_one_of("k", "a", ("a", "b")), "a"),
    ]
    for value, plain in passed:
        assert value == plain
        assert type(value) is type(plain)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: check_whole("k", 0), "k must be a whole number of at least 1, got 0"),
        (lambda: check_whole("k", 2.0), "k must be a whole number of at least 1, got 2.0"),
        (lambda: check_whole("k", True), "k must be a whole number of at least 1, got True"),
        (lambda: check_whole("k", "3", 0), "k must be a whole number of at least 0, got '3'"),
        (lambda: check_whole("k", 5, 1, 4), "k must be a whole number of at most 4, got 5"),
        (lambda: check_number("k", -1, 0), "k must be a finite number of at least 0, got -1"),
        (lambda: check_number("k", float("nan"), 0), "k must be a finite number of at least 0, got nan"),
        (lambda: check_positive("k", 0), "k must be a finite number above 0, got 0"),
        (lambda: check_positive("k", float("inf")), "k must be a finite number above 0, got inf"),
        (lambda: check_share("k", 1.0), "k must lie strictly between 0 and 1, got 1.0"),
        (lambda: check_share("k", 0), "k must lie strictly between 0 and 1, got 0"),
        (lambda: check_one_of("k", "c", ("a", "b")), "k must be one of a, b, got 'c'"),
    ],
)
def test_what_is_refused(check: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        check()
    assert str(caught.value) == words
