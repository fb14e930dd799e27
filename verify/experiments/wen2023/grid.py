"""Owns the rows of wen2023's Table 2: what each of the figures 1 to 11 trains, at each scale."""

from dataclasses import dataclass, field, replace

import numpy as np

from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import Architecture
from flatproof.verify.experiments.wen2023.published import ID
from flatproof.verify.two_layer.settings import DataSpec, Phase
from flatproof.verify.two_layer.training import Run, enumerated

INTERPOLATES = 0.05


@dataclass(frozen=True)
class Row:
    """One row of the paper's Table 2: a figure, its settings as printed, and its epochs at the scale 'quick'.

    quick_epochs: epochs of each phase at 'quick', None for those printed: a quarter where medians change little after
        that, fewer for softplus and the logistic loss, fewest for Sim-BN and three layers, whose steps cost most.
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
    Row("1a", "no-bias", DECAY, (FULL_BATCH,), quick_epochs=(25_000,)),
    Row("1b", "no-bias", SAM, (Phase(lr=0.01, epochs=100_000, rho=0.05),), quick_epochs=(25_000,)),
    Row(
        "2a",
        "sim-bn",
        SAM,
        (Phase(lr=0.005, epochs=100_000, rho=0.1), Phase(lr=0.003, epochs=100_000, rho=1.0)),
        quick_epochs=(1_500, 250),
        keep_networks=True,  # figure 2b looks at them
    ),
    Row("4a", "bias", DECAY, (FULL_BATCH,), quick_epochs=(25_000,)),
    Row(
        "4b",
        "bias",
        SAM,
        (Phase(lr=0.01, epochs=200_000, rho=0.05), Phase(lr=0.01, epochs=400_000, rho=0.1)),
        quick_epochs=(50_000, 100_000),
    ),
    Row(
        "5a",
        "bias",
        DECAY,
        (Phase(lr=0.001, epochs=100_000, weight_decay=0.05),),
        quick_epochs=(5_000,),
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
    Row("6a", "sim-ln", SAM, (Phase(lr=0.1, epochs=100_000, rho=0.1),), quick_epochs=(25_000,), first_layer_scale=0.01),
    Row("6b", "sim-ln", SAM, _sim_ln(0.1, 0.5, 1.0)),
    Row("7a", "no-bias", SAM, (BALL_SAM,), quick_epochs=(25_000,), data="uniform_ball", size=BALL),
    Row("7b", "bias", SAM, (BALL_SAM,), quick_epochs=(25_000,), data="uniform_ball", size=BALL),
    Row(
        "8a",
        "no-bias",
        DECAY,
        (Phase(lr=0.1, epochs=100_000, batch_size=10, weight_decay=0.01),),
        quick_epochs=(10_000,),
        loss=SMOOTHED,
    ),
    Row("8b", "no-bias", SAM, (LOGISTIC_SAM,), quick_epochs=(10_000,), loss=SMOOTHED),
    Row("9a", "bias", DECAY, (SINGLE,), quick_epochs=(10_000,), loss=SMOOTHED),
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
    Row("11a", "bias", DECAY, (SINGLE,), quick_epochs=(1_000,), depth=3),
    Row("11b", "bias", SAM, (Phase(lr=0.01, epochs=100_000, rho=0.05),), quick_epochs=(1_000,), depth=3),
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
    test_points = 2_000 if scale == "quick" and row.depth == 3 else Run.test_points  # measuring took longer than training
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
            test_points=test_points,
        )
        for seed in range(1, seeds + 1)
    ]


def points(row: Row, scale: str) -> int | None:
    """On how many fresh samples a run's test accuracy is counted; None when it is the whole population."""
    run = runs(row, scale, 1)[0]
    return None if enumerated(run.data.build(), run) else run.test_points
