"""What a benchmark's rows are held against."""

from flatproof.verify.bench.steps import Timing, bars


def row(implementation: str, us: float) -> Timing:
    return Timing(implementation, "bias", us, us, us, 1, 1)


def test_a_slow_step_misses_its_bars() -> None:
    assert bars([row("fused", 0.5), row("torch", 200.0), row("jax", 10.0)]) == [
        "bias: 0.50 µs, wanted at most 1: met; 20x jax.lax.scan, wanted 15x: met"
    ]
    assert bars([row("fused", 1.1), row("jax", 10.0)]) == [
        "bias: 1.10 µs, wanted at most 1: missed; 9x jax.lax.scan, wanted 15x: missed"
    ]
    assert bars([row("fused", 0.9)]) == ["bias: 0.90 µs, wanted at most 1: met"]
