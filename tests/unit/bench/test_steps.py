"""What a benchmark's rows are held against."""

from flatproof.verify.bench.steps import WHOLE, Timing, bars


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


def test_sim_bn_is_held_to_its_bar_over_a_whole_run() -> None:
    assert bars([row("moments", 90.0), row(WHOLE, 31.0)]) == ["bias: 31.00 µs, wanted at most 30: missed"]
    assert bars([row(WHOLE, 7.0)]) == ["bias: 7.00 µs, wanted at most 30: met"]
