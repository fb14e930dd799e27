"""Owns the settings of one training run: `Run`, `Phase`, `DataSpec`. A run is addressed by the content of its settings."""

import hashlib
import json
import math
import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import synth
from theory.architectures import check_architecture

# Raised whenever a change alters what a stored run would contain, so that old results are not taken for new ones.
ENGINE_VERSION = 2

GENERATORS: dict[str, Callable[..., synth.Data]] = {
    "parity": synth.parity,
    "complete_parity": synth.complete_parity,
    "uniform_ball": synth.uniform_ball,
    "unit_circle": synth.unit_circle,
}
DTYPES = ("float32", "float64")
ENGINES = ("fused", "reference")


def _whole(name: str, value: object, least: int, most: int = 10**12) -> int:
    """`value` as an int in range (numpy's integers too); ValueError names the setting otherwise."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        bounds = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name} must be a whole number of {bounds}, got {value!r}")
    return number


def _number(name: str, value: object, least: float, strictly: bool = False) -> float:
    """`value` as a finite float in range; ValueError names the setting otherwise."""
    ok = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and math.isfinite(value)
    if not ok or value < least or (strictly and value == least):  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number {'above' if strictly else 'of at least'} {least:g}, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _set(frozen: object, /, **values: object) -> None:
    """Replace fields of frozen settings by their checked form, so that equal settings have equal addresses."""
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


@dataclass(frozen=True)
class DataSpec:
    """Which training set: a generator of `synth`, its seed, and its settings other than the defaults (d, n, ...)."""

    name: str = "parity"
    seed: int = 0
    settings: dict[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("data", self.name, tuple(GENERATORS))
        _set(self, seed=_whole("seed", self.seed, 0, 2**32 - 1))
        if not isinstance(self.settings, dict):
            raise ValueError(f"data settings must be a dictionary, got {self.settings!r}")
        _set(self, settings={k: v.item() if isinstance(v, np.generic) else v for k, v in self.settings.items()})

    def build(self) -> synth.Data:
        """The data set; ValueError when the generator refuses its settings."""
        try:
            return GENERATORS[self.name](seed=self.seed, **self.settings)
        except TypeError as error:
            raise ValueError(f"data settings of {self.name}: {error}") from None


@dataclass(frozen=True)
class Phase:
    """Constant hyper-parameters for a number of epochs.

    lr: step size. rho: radius of SAM's perturbation, 0 for SGD. batch_size: samples a step, the whole set gives gradient
    descent. weight_decay: adds weight_decay * theta to the gradient. label_noise: standard deviation of fresh Gaussian noise
    on each label.
    """

    lr: float
    epochs: int
    rho: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        _set(self, lr=_number("lr", self.lr, 0, strictly=True))
        for name in ("epochs", "batch_size"):
            _set(self, **{name: _whole(name, getattr(self, name), 1)})
        for name in ("rho", "weight_decay", "label_noise"):
            _set(self, **{name: _number(name, getattr(self, name), 0)})


@dataclass(frozen=True)
class Run:
    """Everything that determines one training run and its measurements.

    data: training set and population. architecture: one of `theory.ARCHITECTURES`. width: neurons. phases: run in order.
    seed: initialization, sample order and label noise. first_layer_scale: multiplies the initial w1 and b1. epsilon: Sim-LN's
    floor. dtype: of the trained parameters (measurements are always float64). engine: "fused" kernels, or the readable
    "reference". test_points: fresh samples for test error; all points instead where the population has at most as many.
    """

    architecture: str
    phases: tuple[Phase, ...]
    data: DataSpec = DataSpec()
    width: int = 500
    seed: int = 0
    first_layer_scale: float = 1.0
    epsilon: float = 1e-3
    dtype: str = "float32"
    engine: str = "fused"
    test_points: int = 10_000

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        if not isinstance(self.phases, (tuple, list)) or not self.phases or not all(isinstance(p, Phase) for p in self.phases):
            raise ValueError(f"phases must hold at least one Phase and nothing else, got {self.phases!r}")
        if not isinstance(self.data, DataSpec):
            raise ValueError(f"data must be a DataSpec, got {self.data!r}")
        _set(self, phases=tuple(self.phases))
        for name, least, most in (("width", 1, 10**7), ("seed", 0, 2**32 - 1), ("test_points", 1, 10**9)):
            _set(self, **{name: _whole(name, getattr(self, name), least, most)})
        _set(self, first_layer_scale=_number("first_layer_scale", self.first_layer_scale, 0))
        _set(self, epsilon=_number("epsilon", self.epsilon, 0, strictly=True))
        _one_of("dtype", self.dtype, DTYPES)
        _one_of("engine", self.engine, ENGINES)

    def __hash__(self) -> int:
        return hash(self.key)

    def settings(self) -> dict[str, Any]:
        """The settings as plain JSON values, with the engine's version."""
        return json.loads(json.dumps(asdict(self) | {"engine_version": ENGINE_VERSION}))

    @property
    def key(self) -> str:
        """Address of the run: SHA-256 of its settings."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)
