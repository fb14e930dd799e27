"""Owns where runs end: their traces against the flattest known, by architecture and method."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from flatproof import synth, theory
from flatproof.theory.networks import ARCHITECTURES, Architecture
from flatproof.verify.experiments.certified import Pin
from flatproof.verify.experiments.minimizers.kinds import Kind, kind
from flatproof.verify.experiments.minimizers.methods import METHODS, SIZES, Method, Setting, run, tuned
from flatproof.verify.experiments.vocabulary import Shelf
from flatproof.verify.two_layer.training import Result, Run, StoredRun

FITS = 1e-3  # training loss
NEAR = 0.05  # of the flattest trace
NOT_LOOKED_AT = Kind(0, 0, 0.0, 0.0)
KIND = "kind"


def pin(scale: str, seed: int) -> Pin:
    """The flattest trace without bias on the same data."""
    return Pin(SIZES[scale].d, SIZES[scale].n, seed)


def flattest(architecture: Architecture, data: synth.Data, infimum: float) -> tuple[float, float]:
    """The flattest trace as far as it is known.

    Args:
        architecture: of the networks.
        data: what they fit.
        infimum: of the generalizing networks without bias, as `Pin` finds it; other architectures do not need it.

    Returns:
        A certified lower bound, and the trace that networks attain or tend to.
    """
    bound = theory.trace_lower_bound(architecture, data.x, data.y)
    if architecture == "no-bias":
        return bound, infimum
    if architecture != "sim-bn":
        return bound, bound
    quarters = np.unique(data.x[:, :2], axis=0, return_counts=True)[1] / len(data.y)
    return bound, float(4 * np.sqrt(quarters).sum())


@dataclass(frozen=True)
class End:
    """Where one run ended; kind: NOT_LOOKED_AT where its network was not read."""

    seed: int
    trace: float
    ratio: float
    loss: float
    accuracy: float
    kind: Kind

    @property
    def reaches(self) -> bool:
        """Whether it is as flat as networks get, by RULE."""
        return self.loss <= FITS and self.ratio <= 1 + NEAR


@dataclass(frozen=True)
class Group:
    """The runs of one architecture and method with one setting."""

    architecture: Architecture
    method: Method
    setting: Setting
    stored: tuple[StoredRun, ...]
    ends: tuple[End, ...]
    bound: tuple[float, ...]
    known: tuple[float, ...]


Limits = dict[Architecture, dict[int, tuple[float, float]]]


def limits(scale: str, seeds: Iterable[int], shelf: Shelf) -> Limits:
    """Bound and flattest trace known, by architecture and seed; without bias, of the seeds whose flattest trace is stored.

    Args:
        scale: one of SIZES.
        seeds: of the data.
        shelf: where the flattest traces are.
    """
    data = {seed: run("bias", METHODS[0], METHODS[0].settings[0], scale, seed).data.build() for seed in seeds}
    infimum = {seed: pinned.result["infimum"] for seed in data if (pinned := shelf.get(pin(scale, seed)))}
    return {
        architecture: {
            seed: flattest(architecture, data[seed], infimum.get(seed, np.nan))
            for seed in (infimum if architecture == "no-bias" else data)
        }
        for architecture in ARCHITECTURES
    }


def group(
    architecture: Architecture,
    method: Method,
    setting: Setting,
    scale: str,
    known: Limits,
    shelf: Shelf,
    networks: bool = True,
) -> Group:
    """What is stored of a method with a setting, on the seeds of `limits`; networks: whether they are read, too."""
    traces = known[architecture]
    jobs = {seed: run(architecture, method, setting, scale, seed) for seed in traces}
    stored = {seed: ended for seed, job in jobs.items() if (ended := shelf.get(job, arrays=False))}
    ends = tuple(
        End(
            seed,
            ended.result.final("trace"),
            ended.result.final("trace") / traces[seed][1],
            ended.result.final("train_loss"),
            ended.result.final("test_accuracy"),
            _kind(jobs[seed], shelf) if networks else NOT_LOOKED_AT,
        )
        for seed, ended in stored.items()
        if ended.result.status == "finished"
    )
    bounds, least = zip(*(traces[seed] for seed in stored), strict=True) if stored else ((), ())
    return Group(architecture, method, setting, tuple(stored.values()), ends, bounds, least)


def _kind(job: Run, shelf: Shelf) -> Kind:
    """Of the network that a run has ended with."""

    def read(result: Result) -> dict[str, float]:
        return asdict(kind(result.network, job.data.build().x)) if result.network else asdict(NOT_LOOKED_AT)

    return Kind(**(shelf.reading(job, KIND, read) or {}))


def groups(scale: str, seeds: int, shelf: Shelf) -> list[Group]:
    """What is stored of each architecture and method with the setting that it is judged by; without bias a seed counts where its
    flattest trace is stored, too."""
    known = limits(scale, range(1, seeds + 1), shelf)
    return [group(a, method, tuned(a, method, scale), scale, known, shelf) for a in ARCHITECTURES for method in METHODS]
