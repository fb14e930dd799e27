"""The flattest network of one data set (make bench): pattern generation and all patterns at once through cvxpy."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import theory
from theory.columns import Coordinates
from theory.patterns import cells
from theory.program import reference
from verify.benchmarks import one_core
from verify.benchmarks_certify import WORKLOADS, Workload


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
