"""An epoch of training on images (make bench): our harness and the usual DataLoader loop, on one core or a GPU."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flatproof.verify.bench.images import OURS, WORKERS, Workload, makers, place, selected


@pytest.mark.parametrize("workload", selected(None), ids=lambda w: w.name)
@pytest.mark.parametrize("implementation", [OURS, *(f"DataLoader, {k} workers" for k in WORKERS)])
def test_epoch(benchmark: BenchmarkFixture, implementation: str, workload: Workload) -> None:
    with place(workload):
        run = makers(workload)[implementation]
        benchmark.group = f"an epoch of {workload.n} images: {workload.name}"
        benchmark.extra_info["images"] = workload.n
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["images_per_second"] = workload.n / benchmark.stats.stats.median
