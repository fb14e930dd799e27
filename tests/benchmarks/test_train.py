"""1-SAM, d = 30, m = 500, n = 100, one core (make bench): the same 2000 steps fused, as a plain torch loop, as jax.lax.scan."""

from importlib.util import find_spec

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from flatproof.verify.bench.steps import fused_steps, jax_steps, torch_steps
from flatproof.verify.bench.timing import one_core

STEPS = 2000


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
@pytest.mark.parametrize("implementation", ["fused", "torch", "jax"])
def test_sam_step(benchmark: BenchmarkFixture, implementation: str, architecture: str) -> None:
    if implementation == "jax" and not find_spec("jax"):
        pytest.skip("jax is not installed (extra 'peers')")
    maker = {"fused": fused_steps, "torch": torch_steps, "jax": jax_steps}[implementation]
    with one_core():
        run = maker(architecture, STEPS)
        benchmark.group = f"{STEPS} 1-SAM steps, {architecture}"
        benchmark.extra_info["steps"] = STEPS
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["us_per_step"] = benchmark.stats.stats.median / STEPS * 1e6
