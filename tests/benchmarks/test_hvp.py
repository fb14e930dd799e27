"""One Hessian-vector product at a fixed point (make bench): two-layer network on one core, MLP on all, every kernel and installed peer."""

from importlib.util import find_spec

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from flatproof.verify.bench.hvp.peers import PEERS, implementations
from flatproof.verify.bench.hvp.workloads import make_workload
from flatproof.verify.bench.timing import one_core


@pytest.mark.parametrize("implementation", ["gradient", *implementations("two-layer")])
def test_two_layer_product(benchmark: BenchmarkFixture, implementation: str) -> None:
    with one_core():
        _product(benchmark, "two-layer", implementation)


@pytest.mark.parametrize("implementation", ["gradient", *implementations("mlp")])
def test_mlp_product(benchmark: BenchmarkFixture, implementation: str) -> None:
    _product(benchmark, "mlp", implementation)


def _product(benchmark: BenchmarkFixture, workload: str, implementation: str) -> None:
    if (package := PEERS.get(implementation)) and not find_spec(package):
        pytest.skip(f"{implementation} is not installed (extra 'peers')")
    work = make_workload(workload)
    benchmark.group = f"Hessian-vector product, {workload}"
    if implementation == "gradient":
        benchmark.pedantic(work.gradient, rounds=10, warmup_rounds=1)
        return
    ready = implementations(workload)[implementation](work)
    given = ready.convert(torch.randn(sum(p.numel() for p in work.model.parameters())))
    benchmark.pedantic(ready.product, args=(given,), rounds=10, warmup_rounds=1)
