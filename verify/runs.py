"""Owns the settings of one training run: `Run`, `Phase`, `DataSpec`. A run is addressed by the content of its settings."""

import hashlib
import json
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

import synth
from theory.architectures import check_kind
from theory.losses import MSE, Loss

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
# Marks a setting that came after runs had been stored: at its default it is no part of the address, so that theirs stay.
LATER = {"later": True}


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
    on each label. first_layer_norm: after each step w1 and b1 are scaled together so that sqrt(||w1||^2 + ||b1||^2) is this
    (figure 6b keeps it at 10); None leaves them. trace_penalty: adds this multiple of l'' (1/|B|) sum_i ||grad f(x_i)||^2 to the
    loss of a batch B, with l'' at a perfect fit: the trace of the Hessian of an interpolating network.
    """

    lr: float
    epochs: int
    rho: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0
    label_noise: float = 0.0
    first_layer_norm: float | None = field(default=None, metadata=LATER)
    trace_penalty: float = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        _set(self, lr=_number("lr", self.lr, 0, strictly=True))
        for name in ("epochs", "batch_size"):
            _set(self, **{name: _whole(name, getattr(self, name), 1)})
        for name in ("rho", "weight_decay", "label_noise", "trace_penalty"):
            _set(self, **{name: _number(name, getattr(self, name), 0)})
        if self.first_layer_norm is not None:
            _set(self, first_layer_norm=_number("first_layer_norm", self.first_layer_norm, 0, strictly=True))


@dataclass(frozen=True)
class Run:
    """Everything that determines one training run and its measurements.

    data: training set and population. architecture: one of `theory.ARCHITECTURES`. width: neurons. phases: run in order.
    seed: initialization, sample order and label noise. first_layer_scale: multiplies the initial w1 and b1. epsilon: Sim-LN's
    floor. dtype: of the trained parameters (measurements are always float64). engine: "fused" kernels, or the readable
    "reference". test_points: fresh samples for test error; all points instead where the population has at most as many.
    loss: mean squared error, or logistic with label smoothing. activation: "relu" or "softplus". depth: 2 layers or 3, hidden
    ones of equal width. Softplus and three layers are for some architectures alone (`theory.architectures.check_kind`).
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
    loss: Loss = field(default=MSE, metadata=LATER)
    activation: str = field(default="relu", metadata=LATER)
    depth: int = field(default=2, metadata=LATER)

    def __post_init__(self) -> None:
        check_kind(self.architecture, self.activation, self.depth)
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
        if not isinstance(self.loss, Loss):
            raise ValueError(f"loss must be a Loss, got {self.loss!r}")
        if self.loss.name != "mse" and any(phase.label_noise for phase in self.phases):
            raise ValueError(f"label_noise must be 0 for the loss {self.loss.name!r}: its labels are classes")

    def __hash__(self) -> int:
        return hash(self.key)

    def settings(self) -> dict[str, Any]:
        """The settings as plain JSON values, with the engine's version."""
        return json.loads(json.dumps(_plain(self) | {"engine_version": ENGINE_VERSION}))

    @property
    def key(self) -> str:
        """Address of the run: SHA-256 of its settings."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


def _plain(settings: Any) -> Any:
    """Settings as dictionaries, lists and numbers, without the later ones (LATER) that are at their default."""
    if isinstance(settings, tuple):
        return [_plain(one) for one in settings]
    if not is_dataclass(settings):
        return settings
    kept = [one for one in fields(settings) if not one.metadata.get("later") or getattr(settings, one.name) != one.default]
    return {one.name: _plain(getattr(settings, one.name)) for one in kept}
