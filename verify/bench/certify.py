"""Owns the comparison behind `flatproof bench certify`: the flattest network by pattern generation and by the program as one writes it.

Ours lists the patterns, solves, and builds and checks the network; with a range, both ends of the prediction at one point too; with a
proof, the certificate in rational numbers is made, written, read and checked; refusals are of points with too many patterns. The
reference is theory/flatness/program.py: every pattern with its own variables and cones, through cvxpy to the same solver, the value alone.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from rich.table import Table as Grid

from flatproof import theory
from flatproof.theory.flatness.certificate import check, text
from flatproof.theory.flatness.counts import cover_bound
from flatproof.theory.flatness.flattest import LIMIT
from flatproof.theory.flatness.neurons import Coordinates
from flatproof.theory.flatness.patterns import TooManyPatterns, cells
from flatproof.theory.flatness.program import reference
from flatproof.theory.networks import Architecture
from flatproof.verify.bench.timing import in_turn, one_core

OURS, CVXPY = "flatproof", "cvxpy, all patterns"


@dataclass(frozen=True)
class Workload:
    """n points of the cube in dimension d with parity labels, or Gaussian ones; with a range at one new point or not."""

    name: str
    architecture: Architecture
    d: int
    n: int
    range: bool = False
    gaussian: bool = False
    compare: bool = True  # whether the reference is run too: at most a minute a run
    proof: bool = False
    refused: bool = False

    def data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x (n, d), y (n,) and a point (1, d) in the hull of x."""
        rng = np.random.default_rng(self.n)
        if self.gaussian:
            x, y = rng.standard_normal((self.n, self.d)), rng.standard_normal(self.n)
        else:
            cube = np.array(list(product((1.0, -1.0), repeat=self.d)))
            x = cube[rng.permutation(len(cube))[: self.n]]
            y = x[:, 0] * x[:, 1]
        return x, y, x.mean(axis=0, keepdims=True)


SCALE: tuple[tuple[Architecture, int, int], ...] = (
    ("no-bias", 2, 500),
    ("no-bias", 3, 60),
    ("bias", 2, 80),
    ("bias", 4, 20),
    ("no-bias", 5, 20),
)
REFUSED: tuple[tuple[Architecture, int, int], ...] = (("no-bias", 3, 500), ("bias", 10, 100), ("no-bias", 30, 100))
WORKLOADS = (
    Workload("cube d=4 n=16 no-bias", "no-bias", 4, 16),
    Workload("cube d=4 n=14 bias, range", "bias", 4, 14, range=True),
    Workload("cube d=4 n=14 sim-bn, range", "sim-bn", 4, 14, range=True),
    Workload("normal d=4 n=14 bias, range", "bias", 4, 14, range=True, gaussian=True),
    Workload("cube d=5 n=32 no-bias", "no-bias", 5, 32, compare=False),
    Workload("cube d=5 n=24 bias", "bias", 5, 24, compare=False),
    *(
        Workload(f"normal d={d} n={n} {architecture}, proof", architecture, d, n, gaussian=True, compare=False, proof=True)
        for architecture, d, n in SCALE
    ),
    *(
        Workload(f"normal d={d} n={n} {architecture}, refused", architecture, d, n, gaussian=True, compare=False, refused=True)
        for architecture, d, n in REFUSED
    ),
)


@dataclass(frozen=True)
class Timing:
    """Seconds a data set: median, smallest and largest over the repeats of one run; the trace is 0 where points are refused."""

    workload: str
    implementation: str
    n: int
    patterns: int
    seconds: float
    low: float
    high: float
    repeats: int
    trace: float


def certify_timings(repeats: int = 5) -> list[Timing]:
    """All workloads on one core, implementations in turn.

    Args:
        repeats: timed runs of each, one of those with a proof; kernels are compiled beforehand.

    Returns:
        A row for each workload and implementation.
    """
    out = []
    with one_core(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # cvxpy's "may be inaccurate": the tests compare the values
        theory.flattest(np.eye(2), np.ones(2))
        for workload in WORKLOADS:
            x, y, new = workload.data()
            points = Coordinates.of(workload.architecture, x).points
            patterns = cover_bound(*points.shape) if workload.refused else len(cells(points).signs)
            makers = {OURS: _ours(workload, x, y, new)} | ({CVXPY: _reference(workload, x, y)} if workload.compare else {})
            count = 1 if workload.proof else repeats
            for name, timed in in_turn(makers, count).items():
                assert timed.value is not None
                spread = timed.median, timed.low, timed.high
                out.append(Timing(workload.name, name, len(y), patterns, *spread, count, timed.value))
    return out


def grid(rows: Sequence[Timing]) -> Grid:
    """The rows for a terminal, a line a data set."""
    out = Grid(title="Flattest networks, seconds a data set, one core", title_justify="left")
    for column in ("data", "patterns", "flatproof", "cvxpy", "ratio"):
        out.add_column(column, justify="left" if column == "data" else "right")
    peers = {row.workload: row for row in rows if row.implementation != OURS}
    for row in (row for row in rows if row.implementation == OURS):
        peer = peers.get(row.workload)
        compared = ("not run", "") if peer is None else (_spread(peer), f"{peer.seconds / row.seconds:.1f}")
        out.add_row(row.workload, f"{row.patterns}", _spread(row), *compared)
    return out


def _spread(row: Timing) -> str:
    return f"{row.seconds:.3f} ({row.low:.2f}–{row.high:.2f})"


def _ours(workload: Workload, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Callable[[], float]:
    def run() -> float:
        if workload.refused:
            try:
                cells(Coordinates.of(workload.architecture, x).points, LIMIT)
            except TooManyPatterns:
                return 0.0
            raise AssertionError(f"{workload.name} was not refused")
        solution = theory.flattest(x, y, workload.architecture)
        if workload.range:
            solution.prediction_range(new)
        if workload.proof:
            return float(check(json.loads(text(solution.certificate()))).upper)
        return solution.trace

    return run


def _reference(workload: Workload, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    def run() -> float:
        points = Coordinates.of(workload.architecture, x).points
        return reference(workload.architecture, points, y, cells(points).signs)[0]

    return run
