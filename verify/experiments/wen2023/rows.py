"""Owns the rows of wen2023's Table 2: what each of the figures 1 to 11 trains, at each scale, and where its runs are judged."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import Architecture, Network
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Result, Run, StoredRun, closing, enumerated

ID = "wen2023"
INTERPOLATES = 0.05


@dataclass(frozen=True)
class Row:
    """One row of the paper's Table 2: a figure, its settings as printed, and its epochs at the scale 'quick'.

    quick_epochs: epochs of each phase at 'quick', None for those printed; fewer for Sim-BN, whose steps cost most, and the appendix.
    data: its generator and size, smaller at 'smoke'.
    """

    figure: str
    architecture: Architecture
    method: str
    phases: tuple[Phase, ...]
    quick_epochs: tuple[int, ...] | None = None
    first_layer_scale: float = 1.0
    loss: Loss = MSE
    activation: str = "relu"
    depth: int = 2
    data: str = "parity"
    size: dict[str, int | float] = field(default_factory=lambda: {"d": 30, "n": 100})
    keep_networks: bool = False

    @property
    def id(self) -> str:
        """The artifact of its training curves."""
        return f"{ID}/figure-{self.figure}"

    @property
    def name(self) -> str:
        """What is trained, in words."""
        more = (
            "uniform ball" if self.data == "uniform_ball" else "",
            "three layers" if self.depth == 3 else "",
            self.activation if self.activation != "relu" else "",
            self.loss.name if self.loss != MSE else "",
            "projected" if self.phases[0].first_layer_norm else "",
        )
        return ", ".join([self.architecture, *filter(None, more), self.method])

    @property
    def interpolates(self) -> float:
        """The largest training loss of a run that counts as interpolating: INTERPOLATES for labels 1 and -1 and the mean squared error,
        for the logistic loss that of the same relative error of the outputs, to second order."""
        target = float(self.loss.targets(np.ones(1))[0])
        return INTERPOLATES * self.loss.curvature_at_targets / 2 * target**2


SMOOTHED = Loss("logistic", smoothing=0.2)
DECAY, SAM = "weight decay", "1-SAM"
FULL_BATCH = Phase(lr=0.01, epochs=100_000, batch_size=100, weight_decay=0.05)
SINGLE = Phase(lr=0.01, epochs=100_000, weight_decay=0.05)
LOGISTIC_SAM = Phase(lr=0.1, epochs=100_000, rho=0.2)
BALL_SAM = Phase(lr=0.01, epochs=100_000, rho=0.2)
BALL: dict[str, int | float] = {"d": 10, "n": 100}


def _sim_ln(*rhos: float) -> tuple[Phase, ...]:
    """Figure 6b. "First-layer weight and bias norm kept at 10" is read as sqrt(||W1||^2 + ||b1||^2) = 10: the network does not change
    when both are scaled together."""
    return tuple(Phase(lr=0.01, epochs=500, rho=rho, first_layer_norm=10.0) for rho in rhos)


ROWS = (
    Row("1a", "no-bias", DECAY, (FULL_BATCH,)),
    Row("1b", "no-bias", SAM, (Phase(lr=0.01, epochs=100_000, rho=0.05),)),
    Row(
        "2a",
        "sim-bn",
        SAM,
        (Phase(lr=0.005, epochs=100_000, rho=0.1), Phase(lr=0.003, epochs=100_000, rho=1.0)),
        quick_epochs=(4_000, 1_000),
        keep_networks=True,  # figure 2b looks at them
    ),
    Row("4a", "bias", DECAY, (FULL_BATCH,)),
    Row("4b", "bias", SAM, (Phase(lr=0.01, epochs=200_000, rho=0.05), Phase(lr=0.01, epochs=400_000, rho=0.1))),
    Row(
        "5a",
        "bias",
        DECAY,
        (Phase(lr=0.001, epochs=100_000, weight_decay=0.05),),
        quick_epochs=(20_000,),
        activation="softplus",
    ),
    Row(
        "5b",
        "bias",
        SAM,
        (
            Phase(lr=0.0005, epochs=100_000, rho=0.05),
            Phase(lr=0.001, epochs=100_000, rho=0.1),
            Phase(lr=0.005, epochs=5_000, rho=1.0),
        ),
        quick_epochs=(10_000, 10_000, 5_000),
        activation="softplus",
    ),
    Row("6a", "sim-ln", SAM, (Phase(lr=0.1, epochs=100_000, rho=0.1),), first_layer_scale=0.01),
    Row("6b", "sim-ln", SAM, _sim_ln(0.1, 0.5, 1.0)),
    Row("7a", "no-bias", SAM, (BALL_SAM,), data="uniform_ball", size=BALL),
    Row("7b", "bias", SAM, (BALL_SAM,), data="uniform_ball", size=BALL),
    Row(
        "8a",
        "no-bias",
        DECAY,
        (Phase(lr=0.1, epochs=100_000, batch_size=10, weight_decay=0.01),),
        quick_epochs=(20_000,),
        loss=SMOOTHED,
    ),
    Row("8b", "no-bias", SAM, (LOGISTIC_SAM,), quick_epochs=(20_000,), loss=SMOOTHED),
    Row("9a", "bias", DECAY, (SINGLE,), quick_epochs=(20_000,), loss=SMOOTHED),
    Row("9b", "bias", SAM, (LOGISTIC_SAM,), quick_epochs=(20_000,), loss=SMOOTHED),
    Row("10a", "sim-bn", SAM, (replace(LOGISTIC_SAM, epochs=40_000),), quick_epochs=(500,), loss=SMOOTHED),
    Row(
        "10b",
        "sim-ln",
        SAM,
        (Phase(lr=1.0, epochs=1_000, rho=0.5), Phase(lr=1.0, epochs=100_000, rho=1.0)),
        quick_epochs=(1_000, 20_000),
        first_layer_scale=0.01,
        loss=SMOOTHED,
    ),
    Row("11a", "bias", DECAY, (SINGLE,), quick_epochs=(2_000,), depth=3),
    Row("11b", "bias", SAM, (Phase(lr=0.01, epochs=100_000, rho=0.05),), quick_epochs=(2_000,), depth=3),
)
ROW = {row.figure: row for row in ROWS}


def phases(row: Row, scale: str) -> tuple[Phase, ...]:
    """The phases of a row at a scale: as printed at 'paper', as printed unless shortened at 'quick', a token at 'smoke'."""
    if scale == "smoke":
        return tuple(replace(p, epochs=max(2, p.epochs // 5_000), batch_size=min(p.batch_size, 40)) for p in row.phases)
    if scale == "quick" and row.quick_epochs:
        return tuple(replace(p, epochs=e) for p, e in zip(row.phases, row.quick_epochs, strict=True))
    return row.phases


def shortened(row: Row, scale: str) -> bool:
    """Whether a row's runs are shorter at a scale than printed."""
    return phases(row, scale) != row.phases


def runs(row: Row, scale: str, seeds: int) -> list[Run]:
    """A row's runs, seeds 1 to `seeds`; sizes as printed, smaller at 'smoke'."""
    small = scale == "smoke"
    return [
        Run(
            architecture=row.architecture,
            phases=phases(row, scale),
            data=DataSpec(row.data, seed, {"d": 10, "n": 40} if small else row.size),
            width=32 if small else 500,
            seed=seed,
            first_layer_scale=row.first_layer_scale,
            loss=row.loss,
            activation=row.activation,
            depth=row.depth,
            keep_networks=row.keep_networks,
        )
        for seed in range(1, seeds + 1)
    ]


def points(row: Row, scale: str) -> int | None:
    """On how many fresh samples a run's test accuracy is counted; None when it is the whole population."""
    run = runs(row, scale, 1)[0]
    return None if enumerated(run.data.build(), run) else run.test_points


@dataclass(frozen=True)
class Ending:
    """Where a finished run is judged. values: of each curve the median over the last quarter of the last phase in which it
    interpolates, of the last phase if it does in none. network: after that phase, None where that is not stored. fits: whether it
    interpolates in any phase. off: whether it does not in the last.
    """

    values: dict[str, float]
    network: Network | None
    fits: bool
    off: bool


def ending(row: Row, result: Result, scale: str) -> Ending:
    """Of a finished run. A median, since trace and loss fluctuate from step to step where single samples perturb (Sim-LN's most)."""
    ends = np.cumsum([0, *(p.epochs for p in phases(row, scale))])
    epochs = np.array(result.curve["epoch"])
    medians = [
        {
            name: float(np.median(np.array(curve)[(epochs >= closing(start, end)) & (epochs <= end)]))
            for name, curve in result.curve.items()
        }
        for start, end in itertools.pairwise(ends)
    ]
    fits = [values["train_loss"] <= row.interpolates for values in medians]
    at = max((i for i, fit in enumerate(fits) if fit), default=len(fits) - 1)
    return Ending(medians[at], dict(networks(row, result)).get(at), any(fits), not fits[-1])


def networks(row: Row, result: Result) -> list[tuple[int, Network]]:
    """The stored networks, each with the index of the phase that it ends."""
    kept = list(enumerate(result.earlier))
    return kept if result.network is None else [*kept, (len(row.phases) - 1, result.network)]


def excess(end: Ending, result: Result) -> float | None:
    """The trace over its lower bound; None for a run that interpolates in no phase, of which the bound says nothing."""
    return end.values["trace"] / result.lower_bound if end.fits else None


@dataclass(frozen=True)
class Judged:
    """A row's finished runs where they are judged; accuracy: of none where labels are real numbers, excess: of those that interpolate."""

    accuracy: list[float]
    trace: list[float]
    excess: list[float]
    diverged: int
    off: int


def judge(row: Row, stored: Sequence[StoredRun], scale: str) -> Judged:
    """Each finished run where it is judged; how many diverged, and how many end off interpolation."""
    finished = [s.result for s in stored if s.result.status == "finished"]
    ends = [ending(row, result, scale) for result in finished]
    ratios = [excess(end, result) for end, result in zip(ends, finished, strict=True)]
    return Judged(
        accuracy=[end.values["test_accuracy"] for end in ends if "test_accuracy" in end.values],
        trace=[end.values["trace"] for end in ends],
        excess=[ratio for ratio in ratios if ratio is not None],
        diverged=len(stored) - len(finished),
        off=sum(end.off for end in ends),
    )
