"""Owns which labels a two-layer ReLU network can fit at all.

With a bias (and for Sim-BN) any labels can be fitted unless a point comes twice with different labels: distinct points lie on
distinct rays of x' = (x, 1), no two of them opposite. Without bias f(c x) = c f(x) for c >= 0, so f(0) = 0 and points of one ray
have proportional labels; and f(x) - f(-x) = sum_j a_j w_j . x is linear, so the odd parts of opposite pairs must be one linear
function of x. Nothing else restricts the labels: functions |w . x| fit any values on distinct lines (their kinks are where we
like), and linear functions the odd parts. So each failure below is a proof, and its absence too.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.setting import Setting

TOLERANCE = 1e-10
NEAR = 1e-9  # of projections of points of size 1 up to which they may be the same
Ray = tuple[Fraction, ...]


class Infeasible(ValueError):
    """No network of the class interpolates the labels; the message names the rows that prove it.

    Attributes:
        rows: counted from 0.
        problem: what is so of them, as a sentence of which they are the subject.
    """

    def __init__(self, rows: Sequence[int], problem: str) -> None:
        names = [str(row) for row in rows]
        super().__init__(f"rows {', '.join(names[:-1])} and {names[-1]} {problem}" if rows[1:] else f"row {names[0]} {problem}")
        self.rows, self.problem = tuple(rows), problem


def check_feasible(setting: Setting) -> None:
    """Raise Infeasible, naming rows (counted from 0), unless some network of the architecture fits y on x exactly."""
    points, labels = setting.x, setting.y
    bias = setting.architecture != "no-bias"
    first: dict[Ray, tuple[int, Fraction]] = {}  # ray -> a row on it, and the label it gives at length 1
    for i in _suspects(setting.points):
        row, label = points[i].tolist(), float(labels[i])
        exact, value = tuple(map(decimal, row)) + ((Fraction(1),) if bias else ()), decimal(label)
        length = max(map(abs, exact))
        if length == 0:
            if value != 0:
                raise Infeasible([i], f"is the zero vector with label {label:g}: without a bias every network is 0 there")
            continue
        ray = tuple(c / length for c in exact)
        j, unit = first.setdefault(ray, (i, value / length))
        if abs(unit * length - value) <= TOLERANCE * max(abs(value), abs(unit * length)):
            continue
        if tuple(points[i]) == tuple(points[j]):
            raise Infeasible([j, i], f"are the same point with labels {labels[j]:g} and {label:g}")
        raise Infeasible(
            [j, i],
            f"lie on one ray with labels {labels[j]:g} and {label:g}, which are not in proportion: without a bias f(c x) = c f(x)",
        )
    pairs = [(ray, j, *first[opposite]) for ray, (j, _) in first.items() if (opposite := tuple(-c for c in ray)) in first]
    pairs = [pair for pair in pairs if pair[1] < pair[2]]
    if pairs and not _linear([ray for ray, *_ in pairs], [first[ray][1] - unit for ray, _, _, unit in pairs]):
        raise Infeasible(
            [row for _, j, k, _ in pairs for row in (j, k)],
            "are pairs of opposite points with labels whose odd parts y(x) - y(-x) are not linear in x: without a bias they are for "
            "every network",
        )


def _suspects(points: Array) -> list[int]:
    """Rows that are 0, or may lie on the ray of another or opposite to it: those alone are looked at exactly, which takes longer."""
    size = np.abs(points).max(axis=1)
    zero = size == 0
    units = points / np.where(zero, 1, size)[:, None]
    along = units @ np.random.default_rng(0).standard_normal(points.shape[1])
    both = np.concatenate([along, -along])
    order = np.argsort(both, kind="stable")
    near = np.diff(both[order]) <= NEAR * np.sqrt(points.shape[1])
    met = np.zeros(len(both), bool)
    met[order[:-1][near]] = met[order[1:][near]] = True
    return np.flatnonzero(zero | met[: len(points)] | met[len(points) :]).tolist()


def _linear(rays: list[Ray], values: list[Fraction]) -> bool:
    """Whether some w has w . ray = value for all."""
    matrix, right = np.array(rays, float), np.array(values, float)
    return bool(np.abs(matrix @ np.linalg.lstsq(matrix, right, rcond=None)[0] - right).max() <= TOLERANCE * np.abs(right).max())
