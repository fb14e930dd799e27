"""Owns a drift: a flattest network with a bias, or a random one, trained by one method, and what it is at the start and at the end.

With a bias the flattest networks of parity data form a convex set: the memorizing network (a neuron a sample) and the generalizing one
(four neurons) attain the bound 4 sqrt(d + 1), and so does every mixture, one beside the other with their neurons scaled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from flatproof import synth, theory
from flatproof.theory.constructions import generalizing_network, memorizing_network
from flatproof.theory.networks import Network
from flatproof.verify.experiments.minimizers.kinds import kind
from flatproof.verify.experiments.selection.functionals import functionals_of
from flatproof.verify.jobs.job import Computation
from flatproof.verify.two_layer.engine import choose
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Phase

RANDOM = "random"
SPARE = 3e-3  # standard deviation of the weights of neurons beyond the mixture's
LOOKS = 20  # measurements along the way
TEST = 10_000


@dataclass(frozen=True)
class Drift(Computation):
    """A start, a method and a seed.

    Args:
        d, n, width: of the data and the network.
        memorizing: the memorizing network's share of the start's outputs; None: a random start.
        method: "1-SAM" or "label noise".
        strength: radius, or standard deviation of the noise.
        lr: of steps on single samples.
        epochs: of these; a tenth as many of gradient descent follow.
        seed: of data, spare neurons and the order of samples.
    """

    JOB, VERSION = "drift", 1

    d: int
    n: int
    width: int
    memorizing: float | None
    method: str
    strength: float
    lr: float
    epochs: int
    seed: int

    @property
    def cost(self) -> float:
        """Rough seconds."""
        return self.epochs * self.n * self.width * self.d * 0.8e-10

    @property
    def start(self) -> str:
        """In words."""
        return RANDOM if self.memorizing is None else f"{self.memorizing:g} memorizing"

    @property
    def setting(self) -> str:
        """The method with its strength and step."""
        letter = "ρ" if self.method == "1-SAM" else "σ"
        return f"{self.method}, {letter} {self.strength:g}, lr {self.lr:g}"

    @property
    def row(self) -> str:
        """In the progress display."""
        return f"{self.setting}, from {self.start}"

    def data(self) -> synth.Data:
        """Of the seed."""
        return data_without_repeats(self.d, self.n, self.seed)

    def phases(self) -> Iterator[Phase]:
        """LOOKS stretches of single samples, then gradient descent, which ends their noise."""
        part = max(1, self.epochs // LOOKS)
        sam = self.method == "1-SAM"
        for _ in range(LOOKS):
            yield Phase(self.lr, part, rho=self.strength if sam else 0.0, label_noise=0.0 if sam else self.strength)
        yield Phase(self.lr, max(1, self.epochs // 10), batch_size=self.n)

    def carry_out(self) -> dict[str, Any]:
        """Start and end with their functionals, accuracy and memorized share along the way."""
        data = self.data()
        test = data.sample(TEST, self.seed)
        network = start_network(self, data)
        streams = [np.random.default_rng([self.seed, stream]) for stream in (5, 6)]
        began, looks = described(network, data, test, self.lr), []
        for phase in self.phases():
            visits = streams[0].permuted(np.tile(np.arange(self.n), (phase.epochs, 1)), axis=1)
            noise = phase.label_noise * streams[1].standard_normal(visits.shape) if phase.label_noise else None
            network, stop = choose("fused", network, phase)(network, data.x, data.y, visits, noise, phase)
            if stop is not None:
                return {"status": "diverged", "start": began}
            looks.append(described(network, data, test, self.lr))
        return {"status": "finished", "start": began, "end": looks[-1], "looks": looks[:-1]}

    def summary(self, values: dict[str, Any]) -> str:
        """Where it went."""
        if values["status"] != "finished":
            return f"seed {self.seed}: diverged"
        start, end = values["start"], values["end"]
        return (
            f"seed {self.seed}: memorized {start['memorized']:.2f} to {end['memorized']:.2f}, test accuracy {end['accuracy']:.3f}"
        )


@dataclass(frozen=True)
class Size:
    """Of the data and networks, how long runs are, and seeds at most."""

    d: int
    n: int
    width: int
    epochs: int


SIZES = {"smoke": Size(8, 10, 24, 200), "quick": Size(12, 30, 100, 100_000), "paper": Size(30, 100, 500, 100_000)}
RADII, RATES = (0.1, 0.14, 0.2, 0.28), (0.005, 0.007, 0.01, 0.014)  # of 1-SAM, from HALF
NOISES, NOISY_RATES = (0.25, 0.5), (0.01, 0.02)  # of label-noise SGD, from HALF
HALF = 0.5
STARTS = (0.0, 0.25, 0.75, 0.95, 1.0, None)
METHODS = (("1-SAM", 0.2, 0.01), ("label noise", 0.5, 0.02))  # from every start


def drifts(scale: str, seeds: int) -> Iterator[Drift]:
    """Seed by seed: every radius and step of 1-SAM and of label noise from HALF, then METHODS from every other start."""
    size = SIZES[scale]
    cells = [("1-SAM", rho, lr) for rho in RADII for lr in RATES] + [("label noise", s, lr) for s in NOISES for lr in NOISY_RATES]
    for seed in range(1, seeds + 1):
        for start, over in ((HALF, cells), *((start, METHODS) for start in STARTS)):
            for method, strength, lr in over:
                yield Drift(size.d, size.n, size.width, start, method, strength, lr, size.epochs, seed)


def data_without_repeats(d: int, n: int, seed: int) -> synth.Data:
    """Parity data without repeated points: those of the seed, or of the first of seed + 1000, seed + 2000, ... that has none."""
    sets = (synth.parity(d=d, n=n, seed=k) for k in count(seed, 1000))
    return next(data for data in sets if len(np.unique(data.x, axis=0)) == n)


def start_network(drift: Drift, data: synth.Data) -> Network:
    """The network a drift starts from, float32."""
    if drift.memorizing is None:
        return initial_network("bias", drift.d, drift.width, drift.seed).astype("float32")
    flat = mixture(data, drift.memorizing)
    spare = drift.width - flat.width
    if spare < 0:
        raise ValueError(f"width must be at least {flat.width}, got {drift.width}")
    rng = np.random.default_rng([drift.seed, 8])
    w1, b1, w2 = (SPARE * rng.standard_normal(shape) for shape in ((spare, drift.d), spare, spare))
    return Network(w1=np.vstack([flat.w1, w1]), b1=np.r_[flat.b1, b1], w2=np.r_[flat.w2, w2], architecture="bias").astype(
        "float32"
    )


def mixture(data: synth.Data, memorizing: float) -> Network:
    """A flattest network with a bias: both networks' neurons, scaled in both layers by the root of their share of the outputs."""
    parts = [
        (memorizing_network(data.x, data.y, "bias"), np.sqrt(memorizing)),
        (generalizing_network(data.x.shape[1], "bias"), np.sqrt(1 - memorizing)),
    ]
    w1, b1, w2 = (np.concatenate([scale * getattr(part, name) for part, scale in parts]) for name in ("w1", "b1", "w2"))
    return Network(w1=w1, b1=b1, w2=w2, architecture="bias")


def described(network: Network, data: synth.Data, test: Any, lr: float) -> dict[str, float]:
    """A network in numbers."""
    made, n = kind(network, data.x), len(data.y)
    bound = theory.trace_lower_bound("bias", data.x, data.y)
    f = theory.forward(network, test[0])
    return {
        "loss": theory.loss(network, data.x, data.y),
        "ratio": theory.trace_of_hessian(network, data.x) / bound,
        "accuracy": float(np.mean(f * test[1] > 0)),
        "memorized": made.memorized,
        "alignment": made.alignment,
        **functionals_of(network, data.x, lr, made.neurons),
    } | {"n": n}
