"""Owns how flat networks without bias can be on parity data of any dimension: the generalizing ones, moved off their kinks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.theory.flatness.linear_programs import REWEIGHTED, fewest
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.setting import Setting

EXACT = 2  # samples that stay on at most where their number is proved to be least


@dataclass(frozen=True)
class Generalizing:
    """The flattest networks without bias that put one neuron on each quarter of a parity's data, in the limit of small moves off the kinks.

    Attributes:
        infimum: of their traces.
        pinned: whether that is the flattest trace of all, 4 sqrt(d), in exact arithmetic.
        signs: (4, 2), the quarters. active: (4,), how many samples on the kink of each neuron the move leaves active.
        moves: (4, d), whole numbers: neuron signs + eps * move, for any small eps > 0, sees its quarter and these samples.
    """

    infimum: float
    pinned: bool
    signs: Array
    active: NDArray[np.integer]
    moves: Array


def generalizing_infimum(x: ArrayLike, y: ArrayLike) -> Generalizing:
    """The infimum over networks without bias f = sum_s s1 s2 relu(w_s . x) / 2, w_s near (s1, s2, 0, .., 0), for y = x[1] x[2] on the cube.

    Neuron s is 1 on its quarter {x[1] = s1, x[2] = s2} and sees no other sample but on its kink {s1 x[1] + s2 x[2] = 0}. A move with
    negative products with all k samples of the kink turns them off. Then its price is (4/n) sqrt(d) k_s, k_s the size of the quarter:
    4 sqrt(d) altogether, which is the bound of theory.trace_lower_bound. It is found by a linear program and checked in whole numbers.
    Otherwise few samples stay on, k'_s of them: (4/n) sqrt(d k_s (k_s + k'_s)). With relu'(0) = 0 nothing need move.

    Args:
        x: distinct or repeated points of {-1, 1}^d, (n, d).
        y: x[:, 0] * x[:, 1], (n,).

    Returns:
        The infimum, whether it is pinned, and the moves off the kinks behind it.

    Raises:
        ValueError: for other data.
    """
    setting = Setting.of(x, y)
    points, labels = setting.x, setting.y
    n, d = points.shape
    if d < 2 or (np.abs(points) != 1).any() or (labels != points[:, 0] * points[:, 1]).any():
        raise ValueError("x must be in {-1, 1}^d, d >= 2, and y = x[:, 0] * x[:, 1]")
    signs = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], float)
    active, moves, total = np.zeros(4, int), np.zeros((4, d)), 0.0
    for k, pair in enumerate(signs):
        side = points[:, :2] @ pair
        quarter = int((side == 2).sum())
        if quarter:
            moves[k] = _move(points[side == 0])
            active[k] = int((points[side == 0] @ moves[k] >= 0).sum())
            total += 4 / n * float(np.sqrt(d * quarter * (quarter + active[k])))
    return Generalizing(total, not active.any(), signs, active, moves)


def _move(rows: Array) -> Array:
    """A whole-number vector with negative products with all rows but as few as possible, the fewest if these are at most EXACT.

    Where there is none for all rows, some positive combination of rows vanishes, and one of its rows must be given up: which one is
    tried in turn.
    """
    if not len(rows):
        return np.zeros(rows.shape[1])
    for given_up in range(EXACT + 1):
        delta = _without(rows, given_up)
        if delta is not None:
            return delta
    options, weight = [], np.ones(len(rows))
    for _ in range(10 * REWEIGHTED):
        delta = fewest(rows, weight)[0]
        options.append(_whole(delta))
        weight = 1 / (np.maximum(rows @ delta + 1, 0) + 0.1)
    return min(options, key=lambda delta: int((rows @ delta >= 0).sum()))


def _without(rows: Array, given_up: int) -> Array | None:
    """A whole-number vector with negative products with all rows but this many; None if there is none."""
    delta, multipliers = fewest(rows, np.ones(len(rows)))
    if (rows @ _whole(delta) < 0).all():
        return _whole(delta)
    if given_up == 0:
        return None
    for i in np.argsort(-multipliers):
        if multipliers[i] <= 1e-9:
            return None
        rest = _without(np.delete(rows, i, axis=0), given_up - 1)
        if rest is not None:
            return rest
    return None


def _whole(delta: Array) -> Array:
    return np.round(delta / max(float(np.abs(delta).max()), 1e-300) * 2**24)
