"""Which labels a network can fit: the rows that prove it where none can."""

import numpy as np
import pytest

from flatproof import theory


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1, 2], [3, 1], [1, 2]], [1, 2, 3], "rows 0 and 2 are the same point with labels 1 and 3"),
        ([[1, 2], [0, 0]], [1, 1], "row 1 is the zero vector with label 1"),
        ([[1, 2], [2, 4]], [1, 1], "rows 0 and 1 lie on one ray with labels 1 and 1, which are not in proportion"),
        (
            [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]],
            [1, 0, 1, 0, 1, 0],
            "rows 0, 1, 2, 3, 4 and 5 are pairs of opposite points",
        ),
        ([[1, 2], [np.nan, 4]], [1, 1], "x must be finite, row 1 is not"),
    ],
)
def test_labels_that_no_network_fits_are_named(x: list, y: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        theory.flattest(x, y, "no-bias")
