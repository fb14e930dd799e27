"""Owns `train_many`: runs that differ in seeds and step sizes, all at once on a GPU; each is what `verify.train` would give."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from flatproof import synth, theory
from flatproof.verify.two_layer.fused.gpu.layout import missing
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Phase
from flatproof.verify.two_layer.training import (
    CURVE,
    NOISE,
    ORDER,
    TOO_LARGE,
    Result,
    Run,
    enumerated,
    measured,
    segments,
    test_set,
)

if TYPE_CHECKING:
    from flatproof.verify.two_layer.fused.gpu.stack import Points

LARGEST_LAUNCH = 2**25  # samples visited in one launch by all networks together: 128 MB of order, as much again of label noise

Drawn = tuple[NDArray[np.int32], NDArray[np.float64] | None]


def train_many(runs: Sequence[Run]) -> list[Result]:
    """Carry out runs of equal shape together: the Results of `verify.train` up to the rounding of the steps, in the runs' order.

    Divergence is seen in a step's residual, or after a launch in its parameters: the step told is then the launch's last.

    Needs a GPU for other than tiny sizes: without one the kernels are interpreted.

    Args:
        runs: they may differ in seeds, data of equal size, first_layer_scale, epsilon and the settings of their phases other than
            epochs.

    Returns:
        Their results; `seconds` is the time that all took, divided by their number.

    Raises:
        ValueError: for runs of different shapes, or without a GPU kernel (`fused.gpu.layout.missing`, a network beyond a
            multiprocessor's registers), and as for `verify.train`.
    """
    began = time.perf_counter()
    if not runs:
        return []
    _check(runs)
    from flatproof.verify.two_layer.fused.gpu.measure import measure  # Triton is an extra
    from flatproof.verify.two_layer.fused.gpu.stack import Stack, advance

    seeds, points, test = _start(runs)
    stack = Stack.of([_initial(seed) for seed in seeds])
    n, count, alive, epoch = points.x.shape[1], len(runs), seeds, 0
    narrow = points.to(stack.w.dtype)

    def keep(stays: NDArray[np.bool_]) -> None:
        nonlocal alive, stack, points, narrow, test
        rows = torch.as_tensor(np.flatnonzero(stays), device=stack.w.device)
        alive = [seed for seed, stay in zip(alive, stays, strict=True) if stay]
        stack = stack.select(rows)
        points, narrow, test = (part.select(rows) for part in (points, narrow, test))

    def record() -> None:
        """Append to every curve; a network whose measurements are not finite has diverged in the epoch before."""
        values = measure(stack, points, test)
        finite = np.logical_and.reduce([np.isfinite(v) for v in values.values()])
        if epoch == 0 and not finite.all():
            raise ValueError(TOO_LARGE)
        for seed, row, good in zip(alive, np.transpose([values[name] for name in CURVE[1:]]), finite, strict=True):
            if not good:
                seed.diverged_at, seed.diverged_step = epoch - 1, epoch * n - 1
                continue
            for values_so_far, value in zip(seed.curve.values(), (epoch, *row), strict=True):  # in the order of CURVE
                values_so_far.append(float(value))
        if not finite.all():
            keep(finite)

    record()
    plan = segments(runs[0], max(1, LARGEST_LAUNCH // (n * count)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = _draw(pool, alive, n, *plan[0][:2])
        for position, (index, epochs, due) in enumerate(plan):
            if position and index > plan[position - 1][0]:
                for seed, network in zip(alive, stack.networks(), strict=True):
                    seed.earlier += (network,) * seed.run.keep_networks
            drawn = [ahead[id(seed)].result() for seed in alive]
            if position + 1 < len(plan):  # while this launch runs, the next one's order is drawn
                ahead = _draw(pool, alive, n, *plan[position + 1][:2])
            order, noise = _stacked(drawn)
            stops = advance(stack, narrow, order, noise, [seed.run.phases[index] for seed in alive])
            for seed, stop in zip(alive, stops, strict=True):
                if stop >= 0:
                    seed.diverged_at, seed.diverged_step = epoch + int(stop) // n, epoch * n + int(stop)
            if (stops >= 0).any():
                keep(stops < 0)
            epoch += epochs
            if due and alive:
                record()
            if not alive:
                break
    for seed, network in zip(alive, stack.networks(), strict=True):
        seed.network = network
    share = (time.perf_counter() - began) / count
    return [replace(seed.result(), seconds=share) for seed in seeds]


@dataclass
class _Seed:
    """One run under way: its streams, and what is known of its result."""

    run: Run
    data: synth.Data
    bound: float
    order: np.random.Generator
    noise: np.random.Generator
    curve: dict[str, list[float]]
    network: theory.Network | None = None
    earlier: tuple[theory.Network, ...] = ()
    diverged_at: int | None = None
    diverged_step: int | None = None

    def result(self) -> Result:
        status = "finished" if self.diverged_at is None else "diverged"
        return Result(status, self.curve, self.bound, self.network, self.diverged_at, 0.0, self.diverged_step, self.earlier)

    def draw(self, n: int, epochs: int, phase: Phase) -> Drawn:
        """Order and label noise of the next epochs, (epochs * n,) each: the same numbers that `verify.train` draws."""
        order = self.order.permuted(np.tile(np.arange(n), (epochs, 1)), axis=1).astype(np.int32)
        noise = phase.label_noise * self.noise.standard_normal(order.size) if phase.label_noise else None
        return order.ravel(), noise


def _draw(pool: ThreadPoolExecutor, seeds: Sequence[_Seed], n: int, index: int, epochs: int) -> dict[int, Future[Drawn]]:
    """The next draws of every seed, under way: numpy draws without the interpreter lock."""
    return {id(seed): pool.submit(seed.draw, n, epochs, seed.run.phases[index]) for seed in seeds}


def _stacked(drawn: Sequence[Drawn]) -> tuple[NDArray[np.int32], NDArray[np.float64] | None]:
    """Order and label noise, (S, steps) each; zeros for the runs without noise, None when none has any."""
    order = np.stack([visits for visits, _ in drawn])
    if all(jitter is None for _, jitter in drawn):
        return order, None
    return order, np.stack([np.zeros(order.shape[1]) if jitter is None else jitter for _, jitter in drawn])


def _check(runs: Sequence[Run]) -> None:
    """ValueError unless the runs are of one shape and have a GPU kernel."""
    shapes: dict[str, Callable[[Run], object]] = {
        "architecture": lambda run: run.architecture,
        "width": lambda run: run.width,
        "dtype": lambda run: run.dtype,
        "test_points": lambda run: run.test_points,
        "epochs of the phases": lambda run: tuple(phase.epochs for phase in run.phases),
    }
    for name, of in shapes.items():
        found = {of(run) for run in runs}
        if len(found) > 1:
            raise ValueError(f"runs must have one {name}, got {', '.join(sorted(map(str, found)))}")
    for run in runs:
        if run.engine != "fused":
            raise ValueError(f"engine must be 'fused' to run on a GPU, got {run.engine!r}")
        for phase in run.phases:
            if lacking := missing(run.architecture, phase, run.loss, run.activation, run.depth):
                raise ValueError(f"no GPU kernel for {lacking}; use verify.train")


def _initial(seed: _Seed) -> theory.Network:
    run = seed.run
    start = initial_network(run.architecture, seed.data.x.shape[1], run.width, run.seed, run.first_layer_scale, run.epsilon)
    return start.astype(run.dtype)


def _start(runs: Sequence[Run]) -> tuple[list[_Seed], "Points", "Points"]:
    """The runs with their streams, the training points and the test points, both in float64; shared where all are the same."""
    from flatproof.verify.two_layer.fused.gpu.stack import Points

    specs = [run.data for run in runs]
    shared = all(spec == specs[0] for spec in specs)
    data = [specs[0].build()] * len(runs) if shared else [spec.build() for spec in specs]
    seeds = []
    for run, one in zip(runs, data, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            bound = theory.trace_lower_bound(run.architecture, one.x, one.y, run.epsilon)
        if not np.isfinite(bound):
            raise ValueError(TOO_LARGE)
        order, noise = (np.random.default_rng(np.random.SeedSequence([run.seed, s])) for s in (ORDER, NOISE))
        seeds.append(_Seed(run, one, bound, order, noise, {name: [] for name in measured(one)}))
    architecture = theory.networks.check_architecture(runs[0].architecture)
    train = data[:1] if shared else data
    same_test = shared and enumerated(data[0], runs[0])
    tests = [test_set(one, run) or (one.x, one.y) for one, run in list(zip(data, runs, strict=True))[: 1 if same_test else None]]
    return seeds, Points.of(architecture, [(one.x, one.y) for one in train]), Points.of(architecture, tests)
