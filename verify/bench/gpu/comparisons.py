"""Owns the comparisons of the GPU kernels with the readable reference and the CPU kernels: what `make gpu-check` fails on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from flatproof import synth, theory
from flatproof.theory.networks import Network, check_architecture
from flatproof.verify.two_layer import fused, reference
from flatproof.verify.two_layer.fused.gpu.layout import Layout
from flatproof.verify.two_layer.fused.gpu.measure import measure
from flatproof.verify.two_layer.fused.gpu.stack import Points, Stack, advance
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.many import train_many
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import CURVE, Run, train
from flatproof.verify.two_layer.training import measure as measure_one

ARCHITECTURES = ("no-bias", "bias", "sim-ln")
PHASES = {
    "SGD": Phase(lr=0.003, epochs=1),
    "label-noise SGD, decay": Phase(lr=0.003, epochs=1, weight_decay=0.05, label_noise=0.3),
    "1-SAM": Phase(lr=0.003, epochs=1, rho=0.05),
    "1-SAM, decay, noise": Phase(lr=0.003, epochs=1, rho=0.1, weight_decay=0.05, label_noise=0.3),
}


@dataclass(frozen=True)
class Sizes:
    """d, n, width of the problems; networks side by side; epochs in float64 and in float32."""

    d: int
    n: int
    width: int
    networks: int
    exact_epochs: int
    rounded_epochs: int


FULL = Sizes(d=30, n=100, width=500, networks=4, exact_epochs=1, rounded_epochs=20)
TINY = Sizes(d=5, n=10, width=20, networks=2, exact_epochs=2, rounded_epochs=3)


@dataclass(frozen=True)
class Comparison:
    """A deviation and the most it may be; NaN is too much."""

    what: str
    deviation: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether it is within the limit."""
        return bool(self.deviation <= self.limit)


def comparisons(sizes: Sizes) -> Iterator[partial[Comparison]]:
    """All of them, to be carried out by a call each."""
    for architecture in ARCHITECTURES:
        for name, phase in PHASES.items():
            yield partial(exact, architecture, name, phase, sizes)
        yield partial(rounded, architecture, sizes)
        yield partial(measurements, architecture, sizes)
    yield partial(shared_data, sizes)
    yield partial(divergence, sizes)
    yield partial(whole_runs, sizes)


@dataclass(frozen=True)
class Problem:
    """Networks with their data, order (networks, epochs, n) and label noise alike."""

    start: list[Network]
    data: list[tuple[np.ndarray, np.ndarray]]
    order: np.ndarray
    noise: np.ndarray | None


def problem(
    architecture: str, sizes: Sizes, epochs: int, noise: float = 0.0, dtype: str = "float64", shared: bool = False
) -> Problem:
    """Gaussian inputs and labels, own ones for each network unless shared; its own order for each in any case."""
    rng = np.random.default_rng(0)
    sets = 1 if shared else sizes.networks
    data = [(rng.standard_normal((sizes.n, sizes.d)), rng.standard_normal(sizes.n)) for _ in range(sets)]
    start = [initial_network(architecture, sizes.d, sizes.width, seed).astype(dtype) for seed in range(sizes.networks)]
    order = rng.permuted(np.tile(np.arange(sizes.n), (sizes.networks, epochs, 1)), axis=2)
    return Problem(start, data, order, noise * rng.standard_normal(order.shape) if noise else None)


def on_device(task: Problem, phase: Phase, shape: Layout | None = None) -> tuple[list[Network], list[int]]:
    """The networks after training by the GPU kernels, and the steps of divergence (-1: none)."""
    count, stack = len(task.start), Stack.of(task.start)
    points = Points.of(stack.architecture, task.data, stack.w.dtype)
    noise = None if task.noise is None else task.noise.reshape(count, -1)
    stops = advance(stack, points, task.order.reshape(count, -1), noise, [phase], shape)
    return stack.networks(), stops.tolist()


def one_by_one(task: Problem, phase: Phase, engine: object) -> tuple[list[Network], list[int]]:
    """The same by `verify.two_layer.reference` or `verify.two_layer.fused`."""
    after, stops = [], []
    for s, start in enumerate(task.start):
        x, y = task.data[s % len(task.data)]
        jitter = None if task.noise is None else task.noise[s]
        network, stop = engine.advance(start, x, y, task.order[s], jitter, phase)  # type: ignore[attr-defined]
        after.append(network)
        stops.append(-1 if stop is None else stop)
    return after, stops


def distance(ours: list[Network], theirs: list[Network]) -> float:
    """Largest difference of a parameter array, relative to its largest entry; NaN if there is one."""
    pairs = [(getattr(p, n), getattr(q, n)) for p, q in zip(ours, theirs, strict=True) for n in ("w1", "b1", "w2")]
    return float(np.max([np.abs(p - q).max() / np.abs(q).max() for p, q in pairs if p is not None]))


def exact(architecture: str, name: str, phase: Phase, sizes: Sizes) -> Comparison:
    """Parameters in float64 against the readable reference, each network on data of its own."""
    task = problem(architecture, sizes, sizes.exact_epochs, phase.label_noise)
    ours, theirs = on_device(task, phase)[0], one_by_one(task, phase, reference)[0]
    return Comparison(f"{architecture}, {name}: float64 parameters, reference", distance(ours, theirs), 1e-9)


def rounded(architecture: str, sizes: Sizes, shape: Layout | None = None) -> Comparison:
    """1-SAM in float32: the loss, evaluated in float64, as near to that of float64 training as the CPU kernels' is, tenfold.

    Training multiplies rounding errors, so no fixed number bounds them; sums in another order multiply others by as much.
    """
    phase = PHASES["1-SAM"]
    task = problem(architecture, sizes, sizes.rounded_epochs)
    narrow = replace(task, start=[network.astype("float32") for network in task.start])
    ours, cpu = on_device(narrow, phase, shape)[0], one_by_one(narrow, phase, fused)[0]
    truth = one_by_one(task, phase, fused)[0]

    def deviation(networks: list[Network]) -> float:
        pairs = [(_loss(a, task, s), _loss(b, task, s)) for s, (a, b) in enumerate(zip(networks, truth, strict=True))]
        return float(np.max([abs(p - q) / q for p, q in pairs]))

    layout = "" if shape is None else f", {shape.per_thread} neurons a thread, {shape.programs} programs"
    return Comparison(f"{architecture}, 1-SAM{layout}: float32 loss, CPU kernels", deviation(ours), 10 * deviation(cpu) + 1e-5)


def _loss(network: Network, task: Problem, s: int) -> float:
    x, y = task.data[s % len(task.data)]
    return theory.loss(network.astype("float64"), x, y)


def shared_data(sizes: Sizes) -> Comparison:
    """One training set for all networks."""
    phase = PHASES["1-SAM"]
    task = problem("bias", sizes, sizes.exact_epochs, shared=True)
    ours, theirs = on_device(task, phase)[0], one_by_one(task, phase, fused)[0]
    return Comparison("bias, 1-SAM, shared data: float64 parameters, CPU kernels", distance(ours, theirs), 1e-9)


def divergence(sizes: Sizes) -> Comparison:
    """Every other network gets a label that overflows: the steps at which they stop, and the others unharmed."""
    phase = PHASES["1-SAM"]
    task = problem("no-bias", sizes, sizes.exact_epochs)
    for _, y in task.data[::2]:
        y[0] = 1e300
    ours, stops = on_device(task, phase)
    theirs, expected = one_by_one(task, phase, fused)
    if stops != expected or expected[0] < 0:
        return Comparison(f"divergence: stops {stops}, expected {expected}", float("nan"), 0)
    return Comparison("divergence: same steps, others unharmed, CPU kernels", distance(ours[1::2], theirs[1::2]), 1e-9)


def measurements(architecture: str, sizes: Sizes) -> Comparison:
    """Loss, accuracy and trace of all networks at once against those of one at a time."""
    task = problem(architecture, sizes, 1)
    kind = check_architecture(architecture)
    points = Points.of(kind, task.data, torch.float64)
    ours = measure(Stack.of(task.start), points, points)
    worst = 0.0
    for s, network in enumerate(task.start):
        x, y = task.data[s]
        theirs = measure_one(network, synth.given(x, y, labels="real"), (x, y)).values()
        worst = max(worst, *(float(abs(o[s] - value) / abs(value)) for o, value in zip(ours.values(), theirs, strict=True)))
    return Comparison(f"{architecture}: measurements, one network at a time", worst, 1e-10)


def whole_runs(sizes: Sizes) -> Comparison:
    """`train_many` against `verify.train`, float64: curves and final networks, in two phases with label noise."""
    first = Run(
        "bias",
        (Phase(0.01, sizes.exact_epochs, rho=0.05, label_noise=0.1), Phase(0.005, 1)),
        DataSpec("parity", 1, {"d": sizes.d, "n": sizes.n}),
        width=sizes.width,
        dtype="float64",
        test_points=200,
    )
    runs = [replace(first, seed=s, data=replace(first.data, seed=s)) for s in range(sizes.networks)]
    worst = 0.0
    for ours, theirs in zip(train_many(runs), map(train, runs), strict=True):
        if ours.network is None or theirs.network is None:
            return Comparison("train_many: a run diverged", float("nan"), 0)
        curves = [np.abs(np.subtract(ours.curve[n], theirs.curve[n])).max() / np.abs(theirs.curve[n]).max() for n in CURVE]
        worst = max(worst, distance([ours.network], [theirs.network]), *map(float, curves))
    return Comparison("train_many: float64 curves and networks, verify.train", worst, 1e-9)
