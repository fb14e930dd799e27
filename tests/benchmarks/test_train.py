"""The 1-SAM step, d = 30, m = 500, n = 100, one core (make bench): fused, plain torch loop, jax.lax.scan if installed."""

from importlib.util import find_spec

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from verify.benchmarks import STEPS, fused_steps, jax_steps, one_core, torch_steps


@pytest.mark.parametrize("architecture", ["no-bias", "bias"])
@pytest.mark.parametrize("implementation", ["fused", "torch", "jax"])
def test_sam_step(benchmark: BenchmarkFixture, implementation: str, architecture: str) -> None:
    if implementation == "jax" and not find_spec("jax"):
        pytest.skip("jax is not installed (extra 'peers')")
    maker = {"fused": fused_steps, "torch": torch_steps, "jax": jax_steps}[implementation]
    steps = STEPS[implementation]
    with one_core():
        run = maker(architecture, steps)
        benchmark.group = f"1-SAM step, {architecture}"
        benchmark.extra_info["steps"] = steps
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["us_per_step"] = benchmark.stats.stats.median / steps * 1e6
