"""Owns 1-SAM's drift among networks with simplified LayerNorm that are all as flat: jobs, rules and tables.

Every function that fits is as flat as any, in the limit of large activations h: at interpolation the trace is 2 + O(1 / ||h||²)
(own/layernorm-1). A start has activations of norm `size` at every sample, of which memorizing neurons, one a sample, and the four of
parity give shares of the output; spare neurons are 1 % as large. Or it is random, with a first layer of 1 % of the usual size, as in
wen2023's figure 6a.

Rules, written after a pilot on seeds 101 and 102. A run counts if its training loss ends at FITS or less. Intervals are Student's t
over seeds, at 1 - 5 %/k where any of k cells decides.

    stays     from memorizing alone, each radius and size: runs that end with a memorized share of at least KEPT. Supported: the 90 %
              interval of their share above one half in every cell; refuted: below in one.
    shrinks   from half memorizing at the smallest size, each radius: the memorized share, end less start. Supported: every interval
              below 0; refuted: one above.
    fades     the same less that at the largest size, seed by seed: as shrinks.
    grows     log ||h||, end less start, from half memorizing at the smallest size and from random, each radius: every interval above 0.
    enters    from random, each radius: runs that end with a memorized share of at most LITTLE: as stays.

Nothing is judged at scale smoke. These statements are the project's own: no paper prints them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flatproof import synth, theory
from flatproof.theory.constructions import generalizing_network, memorizing_network
from flatproof.theory.networks import Network, hidden
from flatproof.verify.experiments.minimizers.kinds import kind
from flatproof.verify.experiments.selection.jobs import RANDOM, SIZES, TEST, data_without_repeats
from flatproof.verify.experiments.selection.rules import FITS, KEPT, Judgement, judged_at, most_of
from flatproof.verify.experiments.selection.show import interval_of, lines
from flatproof.verify.experiments.vocabulary import (
    Effect,
    consistently_below,
    every_above,
    of_scale,
    provenance_of,
)
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table
from flatproof.verify.two_layer.engine import choose
from flatproof.verify.two_layer.initialization import initial_network
from flatproof.verify.two_layer.settings import Phase

LAYER_NORM, LAYER_NORM_ENDS = "selection/table-4", "selection/table-5"
EPSILON, LR, SMALL, SPARE = 1e-3, 0.1, 0.01, 0.01
RADII, ACTIVATIONS, SHARES = (0.1, 0.2), (1.0, 3.0, 10.0), (1.0, 0.5)
EPOCHS = {"smoke": 200, "quick": 20_000, "paper": 100_000}
LITTLE = 0.05
STATEMENTS = {
    "stays": "A memorizing network stays one, at every size of its activations.",
    "shrinks": "From half memorizing, with small activations, the memorizing part shrinks.",
    "fades": "The larger the activations, the less it shrinks.",
    "grows": "1-SAM makes activations larger.",
    "enters": "From a random start 1-SAM ends with hardly any memorizing neuron.",
}
Pairs = Sequence[tuple["LayerNormDrift", StoredValues]]


@dataclass(frozen=True)
class LayerNormDrift(Computation):
    """A start, 1-SAM and a seed.

    Args:
        d, n, width: of the data and the network.
        memorizing: share of the outputs that memorizing neurons give at the start; None: a random start.
        size: ||h|| at every sample at the start; 0 for a random one.
        rho: 1-SAM's radius.
        epochs: of single samples.
        seed: of data, spare neurons and the order of samples.
    """

    JOB, VERSION = "layer norm drift", 1

    d: int
    n: int
    width: int
    memorizing: float | None
    size: float
    rho: float
    epochs: int
    seed: int

    @property
    def cost(self) -> float:
        """Rough seconds."""
        return self.epochs * self.n * self.width * self.d * 0.8e-10

    @property
    def start(self) -> str:
        """In words."""
        return RANDOM if self.memorizing is None else f"{self.memorizing:g} memorizing, size {self.size:g}"

    @property
    def row(self) -> str:
        """In the progress display."""
        return f"Sim-LN, ρ {self.rho:g}, from {self.start}"

    def carry_out(self) -> dict[str, Any]:
        """Start and end in numbers."""
        data = data_without_repeats(self.d, self.n, self.seed)
        test = data.sample(TEST, self.seed)
        network, phase = start_network(self, data), Phase(LR, self.epochs, rho=self.rho)
        began = described(network, data, test)
        order = np.random.default_rng([self.seed, 5])
        visits = order.permuted(np.tile(np.arange(self.n), (self.epochs, 1)), axis=1)
        network, stop = choose("fused", network, phase)(network, data.x, data.y, visits, None, phase)
        if stop is not None:
            return {"status": "diverged", "start": began}
        return {"status": "finished", "start": began, "end": described(network, data, test)}

    def summary(self, values: dict[str, Any]) -> str:
        """Where it went."""
        if values["status"] != "finished":
            return f"seed {self.seed}: diverged"
        start, end = values["start"], values["end"]
        words = (f"{name} {start[key]:.3g} to {end[key]:.3g}" for name, key in (("memorized", "memorized"), ("‖h‖", "size")))
        return f"seed {self.seed}: {', '.join(words)}"


def layer_norm_drifts(scale: str, seeds: int) -> Iterator[LayerNormDrift]:
    """Seed by seed: every share, size and radius, then random starts."""
    size = SIZES[scale]
    starts: list[tuple[float | None, float]] = [(share, norm) for share in SHARES for norm in ACTIVATIONS]
    for seed in range(1, seeds + 1):
        for share, norm in [*starts, (None, 0.0)]:
            for rho in RADII:
                yield LayerNormDrift(size.d, size.n, size.width, share, norm, rho, EPOCHS[scale], seed)


def start_network(drift: LayerNormDrift, data: synth.Data) -> Network:
    """The network a drift starts from, float32: f = y at every sample, second layer in the direction of h / ||h||."""
    if drift.memorizing is None:
        return initial_network("sim-ln", drift.d, drift.width, drift.seed, SMALL, EPSILON).astype("float32")
    made = (memorizing_network(data.x, data.y, "sim-ln", EPSILON), generalizing_network(drift.d, "sim-ln", EPSILON))
    w1, b1, w2 = [], [], []
    for part, share in zip(made, (drift.memorizing, 1 - drift.memorizing), strict=True):
        h = hidden(part, data.x)  # one neuron is active at each sample, and a neuron's activations are alike
        up = np.sqrt(share) * drift.size / h.max(axis=0, initial=0, where=h > 0)
        if share:
            w1.append(part.w1 * up[:, None])
            b1.append((np.zeros(part.width) if part.b1 is None else part.b1) * up)
            w2.append(np.sign(part.w2) * np.sqrt(share))
    spare = drift.width - sum(map(len, w2))
    if spare < 0:
        raise ValueError(f"width must be at least {drift.width - spare}, got {drift.width}")
    rng = np.random.default_rng([drift.seed, 8])
    w1.append(SPARE * drift.size * rng.standard_normal((spare, drift.d)) / np.sqrt(drift.d))
    b1.append(SPARE * drift.size * rng.standard_normal(spare) / np.sqrt(drift.d))
    w2.append(SPARE * rng.standard_normal(spare))
    first, bias, second = (np.concatenate(parts) for parts in (w1, b1, w2))
    return Network(w1=first, b1=bias, w2=second, architecture="sim-ln", epsilon=EPSILON).astype("float32")


def described(network: Network, data: synth.Data, test: Any) -> dict[str, float]:
    """A network in numbers."""
    made = kind(network, data.x)
    return {
        "loss": theory.loss(network, data.x, data.y),
        "trace": theory.trace_of_hessian(network, data.x),
        "accuracy": float(np.mean(theory.forward(network, test[0]) * test[1] > 0)),
        "memorized": made.memorized,
        "alignment": made.alignment,
        "size": float(np.linalg.norm(hidden(network.astype("float64"), data.x), axis=1).mean()),
    }


def counts(values: Mapping[str, Any]) -> bool:
    """Whether a run ends with a fit."""
    return values["status"] == "finished" and values["end"]["loss"] <= FITS


def cells(pairs: Pairs, memorizing: float | None) -> dict[tuple[float, float], list[tuple[LayerNormDrift, dict[str, Any]]]]:
    """Runs from a share by radius and size."""
    found: dict[tuple[float, float], list[tuple[LayerNormDrift, dict[str, Any]]]] = {}
    for job, stored in pairs:
        if job.memorizing == memorizing:
            found.setdefault((job.rho, job.size), []).append((job, stored.result))
    return dict(sorted(found.items()))


def gained(values: Mapping[str, Any]) -> float:
    """The memorized share at the end less that at the start; NaN for a run that does not count."""
    return float(values["end"]["memorized"] - values["start"]["memorized"]) if counts(values) else float("nan")


def grown(values: Mapping[str, Any]) -> float:
    """log ||h|| at the end less that at the start; NaN for a run that does not count."""
    return float(np.log(values["end"]["size"] / values["start"]["size"])) if counts(values) else float("nan")


def judge_layer_norm(pairs: Pairs, scale: str) -> list[Judgement]:
    """Every statement, from stored runs."""
    half, random = cells(pairs, 0.5), cells(pairs, None)
    least, most = ACTIVATIONS[0], ACTIVATIONS[-1]
    shrinks, fades, grows = list[Effect](), list[Effect](), list[Effect]()
    for (rho, size), runs in half.items():
        if size == least:
            at_most = {job.seed: gained(values) for job, values in half.get((rho, most), ())}
            own = {job.seed: gained(values) for job, values in runs}
            shrinks.append(Effect(f"ρ {rho:g}", "change of the memorized share", tuple(own.values())))
            paired = tuple(value - at_most.get(seed, float("nan")) for seed, value in own.items())
            fades.append(Effect(f"ρ {rho:g}", f"change of the memorized share, size {least:g} less size {most:g}", paired))
            grows.append(Effect(f"half, ρ {rho:g}", "d log ‖h‖", tuple(grown(values) for _, values in runs)))
    for (rho, _), runs in random.items():
        grows.append(Effect(f"random, ρ {rho:g}", "d log ‖h‖", tuple(grown(values) for _, values in runs)))
    return judged_at(
        scale,
        bool(pairs),
        [
            most_of("stays", _ends(cells(pairs, 1.0), lambda end: end["memorized"] >= KEPT)),
            Judgement("shrinks", consistently_below(tuple(shrinks)), tuple(shrinks)),
            Judgement("fades", consistently_below(tuple(fades)), tuple(fades)),
            Judgement("grows", every_above(tuple(grows)), tuple(grows)),
            most_of("enters", _ends(random, lambda end: end["memorized"] <= LITTLE)),
        ],
    )


def _ends(
    runs: Mapping[tuple[float, float], list[tuple[LayerNormDrift, dict[str, Any]]]], holds: Callable[[Mapping[str, float]], bool]
) -> dict[str, list[bool]]:
    """By cell, in words: whether each run ends so."""
    return {
        f"ρ {rho:g}{f', size {size:g}' if size else ''}": [counts(values) and holds(values["end"]) for _, values in cell]
        for (rho, size), cell in runs.items()
    }


def _setting(scale: str) -> str:
    size = SIZES[scale]
    return (
        f"Parity data, simplified LayerNorm (epsilon {EPSILON:g}), d = {size.d}, n = {size.n}, width {size.width}, 1-SAM with lr {LR:g}, "
        f"{EPOCHS[scale]:,} epochs. A start: size is ||h|| at every sample; share: what memorizing neurons give of the output."
    )


def layer_norm_table(pairs: Pairs, scale: str) -> Table:
    """A line a statement."""
    shown, raw = lines(judge_layer_norm(pairs, scale), STATEMENTS)
    notes = (
        "With simplified LayerNorm every network that fits is as flat as any other once its activations are large (own/layernorm-1): the "
        "trace cannot choose among functions. Means over seeds [95 % interval]. Statements of the project's own; the rules stand in "
        "verify/experiments/selection/layer_norm.py and were written after a pilot on seeds 101 and 102, before the runs.",
        _setting(scale),
        *of_scale(scale),
    )
    return Table(
        LAYER_NORM,
        "Simplified LayerNorm: what does 1-SAM choose where all functions are as flat?",
        shown,
        raw,
        notes,
        provenance_of([stored for _, stored in pairs], scale, seeds=True),
        ("id", "statement", "measured", "verdict"),
    )


def layer_norm_ends(pairs: Pairs, scale: str) -> Table:
    """A line a start and radius: where it ends."""
    groups: dict[tuple[str, float], list[tuple[LayerNormDrift, dict[str, Any]]]] = {}
    for job, stored in pairs:
        groups.setdefault((job.start, job.rho), []).append((job, stored.result))
    shown, raw = [], []
    for (start, rho), runs in groups.items():
        fits = [values["end"] for _, values in runs if counts(values)]

        shown.append(
            {
                "start": start,
                "ρ": f"{rho:g}",
                "seeds": f"{len(runs)}",
                "fit at the end": f"{len(fits)}",
                "memorized share": interval_of([end["memorized"] for end in fits], limits=(0, 1)),
                "test accuracy": interval_of([end["accuracy"] for end in fits], limits=(0, 1)),
                "‖h‖": interval_of([end["size"] for end in fits]),
                "trace": interval_of([end["trace"] for end in fits]),
            }
        )
        for job, values in runs:
            raw.append({"start": start, "rho": rho, "seed": job.seed, "status": values["status"]} | values.get("end", {}))
    notes = (
        f"Means over runs whose training loss ends at {FITS:g} or less [95 % interval]; trace: (2/n) sum ||grad f(x_i)||², at least 2 "
        "where ||h|| exceeds epsilon.",
        _setting(scale),
        *of_scale(scale),
    )
    provenance = provenance_of([stored for _, stored in pairs], scale, seeds=True)
    title = "Simplified LayerNorm: where 1-SAM goes from each start"
    frame = pd.DataFrame(shown)
    return Table(LAYER_NORM_ENDS, title, frame, pd.DataFrame(raw), notes, provenance, tuple(map(str, frame)))
