"""Owns the timings of the GPU kernels and the floors that they are judged by. A GPU is needed: the interpreter's time says nothing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from flatproof import synth
from flatproof.theory.networks import check_architecture
from flatproof.verify.two_layer.fused.gpu.layout import Layout, bytes_per_step, cycles_per_step, layout
from flatproof.verify.two_layer.fused.gpu.runtime import DEVICE
from flatproof.verify.two_layer.fused.gpu.stack import Points, Stack, advance
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.many import train_many
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run

D, N, WIDTH = 30, 100, 500
SAM, SGD = Phase(lr=0.01, epochs=1, rho=0.05), Phase(lr=0.01, epochs=1, label_noise=0.1)
REPEATS = 5


@dataclass(frozen=True)
class Device:
    """A GPU: multiprocessors, their highest clock in Hz and the memory's bytes a second as the driver states them, or None."""

    name: str
    multiprocessors: int
    clock: float | None
    bandwidth: float | None

    def arithmetic_floor(self, inputs: int) -> float | None:
        """Steps a second that multiply-adds alone would allow: no padding, no sums over neurons, no waiting."""
        return None if self.clock is None else self.multiprocessors * self.clock / cycles_per_step(inputs, WIDTH)

    def traffic_floor(self, noisy: bool) -> float | None:
        """Steps a second that the traffic to memory alone would allow."""
        return None if self.bandwidth is None else self.bandwidth / bytes_per_step(noisy)


@dataclass(frozen=True)
class Timing:
    """Steps a second of all networks together: median, least and most over the repeats of one run.

    latency: microseconds that a step of one network took. floor: share of the arithmetic floor.
    """

    what: str
    networks: int
    shape: Layout
    steps: int
    steps_per_second: float
    low: float
    high: float
    latency: float
    floor: float | None


def device() -> Device:
    """The GPU that the kernels run on."""
    import triton

    properties = triton.runtime.driver.active.utils.get_device_properties(torch.cuda.current_device())
    clock, memory, bits = (properties.get(name) for name in ("sm_clock_rate", "mem_clock_rate", "mem_bus_width"))
    return Device(
        torch.cuda.get_device_name(),
        torch.cuda.get_device_properties(DEVICE).multi_processor_count,
        1e3 * clock if clock else None,
        2e3 * memory * bits / 8 if memory and bits else None,  # two transfers a clock
    )


def timings(gpu: Device) -> Iterator[partial[Timing]]:
    """Layouts, numbers of networks and of steps a launch for 1-SAM; then the other kernels. Each is timed by a call."""
    layouts = [
        layout(D, WIDTH),
        layout(D, WIDTH, per_thread=4, programs=2),
        layout(D, WIDTH, per_thread=4, programs=3),
    ]
    cases: list[tuple[str, Phase, Layout, int, int]] = [("no-bias", SAM, shape, 1, 20_000) for shape in layouts]
    for count in (2, 4, 8):
        cases += [("no-bias", SAM, shape, gpu.multiprocessors * count, 10_000) for shape in layouts]
    for shape in layouts:  # as many networks as are resident at once, for the cost of a launch and of a last, uneven wave
        cases += [("no-bias", SAM, shape, gpu.multiprocessors * shape.programs, steps) for steps in (1_000, 50_000)]
    others = (("bias", SAM), ("sim-ln", SAM), ("no-bias", SGD), ("no-bias", replace(SAM, weight_decay=0.05)))
    cases += [(architecture, phase, layouts[0], gpu.multiprocessors * 4, 10_000) for architecture, phase in others]
    for case in cases:
        yield partial(timed, gpu, *case)


def timed(gpu: Device, architecture: str, phase: Phase, shape: Layout, networks: int, steps: int) -> Timing:
    """One setting, order and label noise already on the device; compilation and one launch are not timed."""
    kind, data, rng = check_architecture(architecture), synth.parity(D, N, seed=0), np.random.default_rng(0)
    start = [initial_network(architecture, D, WIDTH, seed).astype("float32") for seed in range(min(networks, 64))]
    first = Stack.of(start)
    rows = torch.arange(networks, device=DEVICE) % len(start)
    points = Points.of(kind, [(data.x, data.y)], torch.float32)
    order = torch.as_tensor(rng.integers(0, N, (networks, steps), dtype=np.int32), device=DEVICE)
    noise = phase.label_noise * torch.randn(order.shape, device=DEVICE) if phase.label_noise else None
    stack, seconds = first.select(rows), []
    for _ in range(REPEATS + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        advance(stack, points, order, noise, [phase], shape)
        seconds.append(time.perf_counter() - began)
    rates = networks * steps / np.array(seconds[1:])
    middle = float(np.median(rates))
    floor = gpu.arithmetic_floor(D + (kind != "no-bias"))
    label = f"{architecture} " + ("1-SAM" if phase.rho else "SGD") + (" noise" if noise is not None else "")
    label += " decay" if phase.weight_decay else ""
    latency = float(np.median(seconds[1:])) / steps * 1e6 / max(1, networks / (gpu.multiprocessors * shape.programs))
    return Timing(
        label, networks, shape, steps, middle, float(rates.min()), float(rates.max()), latency, floor and middle / floor
    )


@dataclass(frozen=True)
class WholeRun:
    """`train_many`, drawing of orders and measurements included: steps a second of all runs together."""

    runs: int
    epochs: int
    seconds: float
    steps_per_second: float


def whole_runs(gpu: Device) -> WholeRun:
    """Two seeds a multiprocessor for 2000 epochs, each on data of its own, after a first short call that compiles."""
    epochs, count = 2000, 2 * gpu.multiprocessors

    def runs(epochs: int) -> list[Run]:
        phase = replace(SAM, epochs=epochs)
        return [Run("no-bias", (phase,), DataSpec("parity", s, {"d": D, "n": N}), width=WIDTH, seed=s) for s in range(count)]

    train_many(runs(1))
    began = time.perf_counter()
    train_many(runs(epochs))
    seconds = time.perf_counter() - began
    return WholeRun(count, epochs, seconds, count * epochs * N / seconds)


def drawing() -> float:
    """Seconds that one core takes to draw the order of one sample."""
    return _best(lambda: np.random.default_rng(0).permuted(np.tile(np.arange(N), (5_000, 1)), axis=1)) / (5_000 * N)


def _best(work: Callable[[], NDArray[np.int64]]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
