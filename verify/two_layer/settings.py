"""Owns the settings of one training run: `RunSettings`, `Phase`, `DataSpec`. A run is addressed by the content of its settings."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof import synth
from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import check_kind
from flatproof.verify.jobs.job import LATER, OFF_ADDRESS, Addressed, addressed_fields
from flatproof.verify.utils.checks import check_number, check_one_of, check_whole, replace_fields

# Raised whenever a change alters what a stored run would contain, so that old results are not taken for new ones.
ENGINE_VERSION = 3

GENERATORS: dict[str, Callable[..., synth.Data]] = {
    "parity": synth.parity,
    "complete_parity": synth.complete_parity,
    "uniform_ball": synth.uniform_ball,
    "unit_circle": synth.unit_circle,
}
REAL_LABELS = ("uniform_ball", "unit_circle")  # the generators whose labels are real numbers; those of the others are -1 and 1
OWN = "arrays"  # the name of data of one's own
DTYPES = ("float32", "float64")
ENGINES = ("fused", "reference")
Perturbed = Literal["all", "first layer", "above it"]
PERTURBED: tuple[Perturbed, ...] = ("all", "first layer", "above it")


class OwnPoints(NamedTuple):
    """A user's own points and labels, as `synth.given` takes them."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    test_x: NDArray[np.float64] | None
    test_y: NDArray[np.float64] | None
    labels: Literal["auto", "classes", "real"]


@dataclass(frozen=True)
class DataSpec:
    """Which training set: a generator of `synth`, its seed, and its settings other than the defaults (d, n, ...); or `from_arrays`.

    points: of one's own; in the address stands their SHA-256.
    """

    name: str = "parity"
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    points: OwnPoints | None = field(default=None, compare=False, repr=False, metadata=OFF_ADDRESS)

    @classmethod
    def from_arrays(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        test_x: ArrayLike | None = None,
        test_y: ArrayLike | None = None,
        labels: Literal["auto", "classes", "real"] = "auto",
    ) -> "DataSpec":
        """One's own points, addressed by their content.

        Args:
            x: training inputs, (n, d).
            y: training labels, (n,).
            test_x: test inputs, (k, d), the population; None: no test error is measured.
            test_y: test labels, (k,).
            labels: "auto", "classes" or "real", as for `synth.given`.

        Raises:
            ValueError: naming the array that cannot be used.
        """
        tests = [None if array is None else np.array(array, dtype=np.float64) for array in (test_x, test_y)]
        points = OwnPoints(np.array(x, dtype=np.float64), np.array(y, dtype=np.float64), tests[0], tests[1], labels)
        data = synth.given(*points)
        content = hashlib.sha256()
        for array in points[:4]:
            content.update(b"none" if array is None else str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        n, d = data.x.shape
        settings = {"sha256": content.hexdigest(), "n": n, "d": d, "coded": labels, "labels": data.labels}
        return cls(OWN, 0, settings, points)

    def __post_init__(self) -> None:
        check_one_of("data", self.name, (*GENERATORS, OWN))
        if self.name == OWN and "sha256" not in self.settings:
            raise ValueError(f"data {OWN!r} must come from DataSpec.from_arrays")
        replace_fields(self, seed=check_whole("seed", self.seed, 0, 2**32 - 1))
        if not isinstance(self.settings, dict):
            raise ValueError(f"data settings must be a dictionary, got {self.settings!r}")
        replace_fields(self, settings={k: v.item() if isinstance(v, np.generic) else v for k, v in self.settings.items()})

    @property
    def labels(self) -> synth.Labels:
        """What the labels are: two classes, or real numbers, for which there is no accuracy."""
        if self.name == OWN:
            return self.settings["labels"]
        return "real" if self.name in REAL_LABELS else "signs"

    def build(self) -> synth.Data:
        """The data set. Errors: ValueError when the generator refuses its settings, or own points are not here."""
        if self.name == OWN:
            if self.points is None:
                raise ValueError(f"the points with SHA-256 {self.settings['sha256']} are not here; expected DataSpec.from_arrays")
            return synth.given(*self.points)
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
    loss of a batch B, with l'' at a perfect fit: the trace of the Hessian of an interpolating network. perturbed: what SAM moves to its
    point, by rho along the gradient in these parameters: "all", "first layer" (w1 and b1), or "above it", all others.
    """

    lr: float
    epochs: int
    rho: float = 0.0
    batch_size: int = 1
    weight_decay: float = 0.0
    label_noise: float = 0.0
    first_layer_norm: float | None = field(default=None, metadata=LATER)
    trace_penalty: float = field(default=0.0, metadata=LATER)
    perturbed: Perturbed = field(default="all", metadata=LATER)

    def __post_init__(self) -> None:
        replace_fields(self, lr=check_number("lr", self.lr, 0, strictly=True))
        for name in ("epochs", "batch_size"):
            replace_fields(self, **{name: check_whole(name, getattr(self, name), 1)})
        for name in ("rho", "weight_decay", "label_noise", "trace_penalty"):
            replace_fields(self, **{name: check_number(name, getattr(self, name), 0)})
        check_one_of("perturbed", self.perturbed, PERTURBED)
        if self.first_layer_norm is not None:
            replace_fields(self, first_layer_norm=check_number("first_layer_norm", self.first_layer_norm, 0, strictly=True))


@dataclass(frozen=True)
class RunSettings(Addressed):
    """Everything that determines one training run and its measurements.

    data: training set and population. architecture: one of `theory.ARCHITECTURES`. width: neurons. phases: run in order.
    seed: initialization, sample order and label noise. first_layer_scale: multiplies the initial w1 and b1. epsilon: Sim-LN's
    floor. dtype: of the trained parameters (measurements are always float64). engine: "fused" kernels, or the readable
    "reference". test_points: fresh samples for test error; all points instead where the population has at most as many.
    loss: mean squared error, or logistic with label smoothing. activation: "relu" or "softplus". depth: 2 layers or 3, hidden
    ones of equal width. Softplus and three layers are for some architectures alone (`theory.networks.check_kind`).
    keep_networks: keep the network after every phase, not only after the last.
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
    keep_networks: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        check_kind(self.architecture, self.activation, self.depth)
        if not isinstance(self.phases, (tuple, list)) or not self.phases or not all(isinstance(p, Phase) for p in self.phases):
            raise ValueError(f"phases must hold at least one Phase and nothing else, got {self.phases!r}")
        if not isinstance(self.data, DataSpec):
            raise ValueError(f"data must be a DataSpec, got {self.data!r}")
        replace_fields(self, phases=tuple(self.phases))
        for name, least, most in (("width", 1, 10**7), ("seed", 0, 2**32 - 1), ("test_points", 1, 10**9)):
            replace_fields(self, **{name: check_whole(name, getattr(self, name), least, most)})
        replace_fields(self, first_layer_scale=check_number("first_layer_scale", self.first_layer_scale, 0))
        replace_fields(self, epsilon=check_number("epsilon", self.epsilon, 0, strictly=True))
        check_one_of("dtype", self.dtype, DTYPES)
        check_one_of("engine", self.engine, ENGINES)
        if not isinstance(self.keep_networks, bool):
            raise ValueError(f"keep_networks must be True or False, got {self.keep_networks!r}")
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
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


def supports(phase: Phase, architecture: str) -> bool:
    """Whether there are fused kernels for these settings, of networks of any size and loss; the rest is left to the reference."""
    ascends = phase.perturbed == "all" or not phase.rho or (architecture == "sim-bn" and phase.batch_size == 1)
    return ascends and not phase.trace_penalty


def _plain(settings: Any) -> Any:
    """Settings as dictionaries, lists and numbers, without the later ones (LATER) that are at their default."""
    if isinstance(settings, tuple):
        return [_plain(one) for one in settings]
    if not is_dataclass(settings):
        return settings
    return {name: _plain(getattr(settings, name)) for name in addressed_fields(settings)}
