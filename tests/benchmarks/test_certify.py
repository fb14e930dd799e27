"""The flattest network of one data set (make bench): pattern generation and all patterns at once through cvxpy."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flatproof import theory
from flatproof.theory.flatness.neurons import Coordinates
from flatproof.theory.flatness.patterns import cells
from flatproof.theory.flatness.program import reference
from flatproof.verify.bench.certify import WORKLOADS, Workload
from flatproof.verify.bench.timing import one_core


@pytest.mark.parametrize("implementation", ["flatproof", "cvxpy"])
@pytest.mark.parametrize("workload", [w for w in WORKLOADS if w.compare], ids=lambda w: w.name)
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_flattest(benchmark: BenchmarkFixture, workload: Workload, implementation: str) -> None:
    x, y, _ = workload.data()
    points = Coordinates.of(workload.architecture, x).points

    def run() -> float:
        if implementation == "flatproof":
            return theory.flattest(x, y, workload.architecture).trace
        return reference(workload.architecture, points, y, cells(points).signs)[0]

    benchmark.group = workload.name
    with one_core():
        benchmark.pedantic(run, rounds=3, warmup_rounds=1)
