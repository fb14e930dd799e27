"""Owns what determines one training of a network on images: `TrainingSettings` and its parts, plain data.

Nothing here looks at a file when it is made. Equal settings have equal addresses.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.verify import realdata
from flatproof.verify.deep.registry import address_of, own_code
from flatproof.verify.jobs.job import LATER, OFF_ADDRESS, Addressed, addressed_fields
from flatproof.verify.utils.checks import check_number, check_one_of, check_whole, replace_fields

VERSION = 4  # raised when a change of the harness alters what a training gives
OWN = "arrays"  # the name of data of one's own
CROSS_ENTROPY = "cross-entropy"
DEVICES = ("cpu", "cuda")
OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "triangle")
AUGMENTATIONS = ("shift", "flip", "randaugment")


class OwnArrays(NamedTuple):
    """A user's own inputs and classes, with the SHA-256 of all."""

    train_x: NDArray[Any]
    train_y: NDArray[np.int64]
    test_x: NDArray[Any]
    test_y: NDArray[np.int64]
    digest: str

    @classmethod
    def of(cls, train_x: NDArray[Any], train_y: NDArray[Any], test_x: NDArray[Any], test_y: NDArray[Any]) -> "OwnArrays":
        """As bytes or float32. Errors: ValueError naming the array that cannot be used."""
        inputs = [_inputs(name, x) for name, x in (("train_x", train_x), ("test_x", test_x))]
        if inputs[0].shape[1:] != inputs[1].shape[1:] or inputs[0].dtype != inputs[1].dtype:
            raise ValueError(
                f"test_x must be like train_x, {inputs[0].dtype} of {inputs[0].shape[1:]}, got {inputs[1].dtype} of {inputs[1].shape[1:]}"
            )
        labels = [_classes(name, y, len(x)) for name, y, x in (("train_y", train_y, inputs[0]), ("test_y", test_y, inputs[1]))]
        content = hashlib.sha256()
        for array in (inputs[0], labels[0], inputs[1], labels[1]):
            content.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
        return cls(inputs[0], labels[0], inputs[1], labels[1], content.hexdigest())


def _inputs(name: str, x: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(x)
    if array.ndim < 2 or not array.size:
        raise ValueError(f"{name} must be inputs (n, ...), got the shape {array.shape}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be bytes or floating-point numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return array.astype(np.float32)


def _classes(name: str, y: NDArray[Any], n: int) -> NDArray[np.int64]:
    array = np.asarray(y)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer) or array.min() < 0:
        raise ValueError(f"{name} must be {n} classes, whole numbers from 0, got {array.dtype} of {array.shape}")
    return array.astype(np.int64)


@dataclass(frozen=True, eq=False)
class ImageData:
    """Which images: a data set of `verify.realdata.NAMES`, "synthetic", or one's own arrays (`from_arrays`).

    Construction looks at no file. What tells the files from any others is `edition`, a part of the images' address: found when it is
    first asked for, and the object's own from then on, in worker processes too.

    Attributes:
        name: of the data set; one of another package becomes "module:object".
        train, test: the first so many samples of each split; all of them for None.
        settings: those of "synthetic" (`verify.deep.data.synthetic`); of any other `side` alone, in pixels: larger images are averaged
            to it, smaller ones enlarged (bilinear).
        arrays: one's own; `edition` is their SHA-256.
    """

    name: str
    train: int | None = None
    test: int | None = None
    settings: Mapping[str, int | float] = field(default_factory=dict)
    arrays: OwnArrays | None = field(default=None, repr=False, metadata=OFF_ADDRESS)

    @classmethod
    def from_arrays(
        cls, train_x: NDArray[Any], train_y: NDArray[Any], test_x: NDArray[Any], test_y: NDArray[Any], side: int | None = None
    ) -> "ImageData":
        """One's own images, or other inputs, addressed by their content.

        Args:
            train_x, test_x: inputs, (n, ...); images (n, c, h, w). Bytes are pixels, normalized by the training images' moments as those
                of any data set are; floating-point numbers are taken as they are.
            train_y, test_y: classes from 0, (n,).
            side: of images, in pixels, as in `settings`.

        Raises:
            ValueError: naming the array that cannot be used.
        """
        arrays = OwnArrays.of(train_x, train_y, test_x, test_y)
        return cls(OWN, settings={} if side is None else {"side": side}, arrays=arrays)

    def __post_init__(self) -> None:
        if (self.name == OWN) != (self.arrays is not None):
            raise ValueError(f"data {OWN!r} must come from ImageData.from_arrays")
        address = self.name if self.name in ("synthetic", OWN) else realdata.address_of(self.name)
        if address is None:
            known = ", ".join(("synthetic", *realdata.NAMES))
            raise ValueError(f"data must be one of {known}, or be named module:object, got {self.name!r}")
        for split in realdata.SPLITS:
            if address in realdata.DATASETS:
                realdata.DATASETS[address].check_split(split)
            if getattr(self, split) is not None:
                replace_fields(self, **{split: check_whole(split, getattr(self, split), 1)})
        if self.name != "synthetic" and set(self.settings) - {"side"}:
            raise ValueError(
                f"of real images the one setting is side; expected no other for {self.name}, got {dict(self.settings)}"
            )
        if "side" in self.settings:
            replace_fields(self, settings=dict(self.settings) | {"side": check_whole("side", self.settings["side"], 1)})
        replace_fields(self, name=address, settings=dict(sorted(self.settings.items())))

    @property
    def edition(self) -> str:
        """`edition_of` the files when it was first asked for; "" for synthetic images."""
        if self.name in ("synthetic", OWN):
            return self.edition_now()
        return realdata.edition_by(f"{self.name}, {self.train} and {self.test} images", lambda: self.found_edition)

    @cached_property
    def found_edition(self) -> str:
        """The edition of the files that are on this machine."""
        return self.edition_now()

    def edition_now(self) -> str:
        """The edition of the files as they are now; `edition` may have been found before."""
        if self.arrays is not None:
            return self.arrays.digest
        return "" if self.name == "synthetic" else realdata.edition_of(self.name, self.train, self.test)

    def plain(self) -> dict[str, Any]:
        """Plain JSON values, edition included."""
        return {name: getattr(self, name) for name in (*addressed_fields(self), "edition")}

    def __eq__(self, other: object) -> bool:
        return self.plain() == other.plain() if isinstance(other, ImageData) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.train, self.test, tuple(self.settings.items())))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"found_edition": self.edition}  # a worker's images are those that its parent addressed

    def available(self) -> bool:
        """Whether both splits are on this machine."""
        return self.name in ("synthetic", OWN) or realdata.there(
            self.name, lambda: all(realdata.available(self.name, split=split) for split in realdata.SPLITS)
        )


@dataclass(frozen=True)
class Net:
    """Which network.

    Attributes:
        build: a name of the registry or "module:function"; kept as its stored address (`registry.address_of`). Called with `settings`
            it returns the network at its random start: torch's generator is seeded. Of a file of one's own the code is part of the
            training's address.
        settings: keyword arguments, plain JSON values.
    """

    build: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        replace_fields(self, build=address_of(self.build), settings=dict(sorted(self.settings.items())))

    def __hash__(self) -> int:
        return hash((self.build, repr(self.settings)))


@dataclass(frozen=True)
class Method:
    """How a step is made. The gradient g is that of the batch's mean loss plus `weight_decay` times the parameters.

    Attributes:
        optimizer: "sgd", with `momentum`, or "adam" (betas 0.9 and 0.999, epsilon 1e-8).
        lr: step size.
        momentum: of SGD.
        weight_decay: as above.
        rho: radius of SAM's perturbation, 0 for none; both passes draw the same masks and start from the same buffers, and what the
            second writes into buffers (running statistics) is dropped.
        proximal: lambda of conservative training, 0 for none: each batch's step is `inner` optimizer steps on
            loss + lambda/2 ||w - w_k||^2 from w_k (Li et al. 2014, as keskar2017 uses it).
        inner: those steps.
        adversarial: epsilon of adversarial training, 0 for none: half of the loss is at inputs + epsilon sign(gradient in the inputs)
            (Goodfellow et al. 2015); in units of the normalized inputs.
        schedule: of the step size: "constant", or "triangle", from 0 to lr over the first 0.4 of all steps and back to 0.
        mixup: alpha of mixup, 0 for none: a batch becomes lambda (x, y) + (1 - lambda) (x', y') with a shuffled copy of itself,
            lambda ~ Beta(alpha, alpha) (Zhang et al. 2018).
        smoothing: share of the labels that is spread evenly over all classes in the loss of a step; measured losses have none.
        loss: "cross-entropy", or one's own as "module:function": called with scores (n, classes) and classes (n,), or with shares of the
            classes (n, classes) under mixup, it returns the mean over the n samples.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    rho: float = 0.0
    proximal: float = 0.0
    inner: int = 1
    adversarial: float = 0.0
    schedule: str = field(default="constant", metadata=LATER)
    mixup: float = field(default=0.0, metadata=LATER)
    smoothing: float = field(default=0.0, metadata=LATER)
    loss: str = field(default=CROSS_ENTROPY, metadata=LATER)

    def __post_init__(self) -> None:
        check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        replace_fields(self, lr=check_number("lr", self.lr, 0, strictly=True), inner=check_whole("inner", self.inner, 1))
        check_one_of("schedule", self.schedule, SCHEDULES)
        if self.loss != CROSS_ENTROPY and (not isinstance(self.loss, str) or self.loss.count(":") != 1):
            raise ValueError(f"loss must be {CROSS_ENTROPY!r} or module:function, got {self.loss!r}")
        if self.loss != CROSS_ENTROPY and self.smoothing:
            raise ValueError(f"smoothing belongs to {CROSS_ENTROPY}; expected 0 for {self.loss}, got {self.smoothing}")
        for name in ("momentum", "weight_decay", "rho", "proximal", "adversarial", "mixup", "smoothing"):
            replace_fields(self, **{name: check_number(name, getattr(self, name), 0)})
        for name in ("momentum", "smoothing"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} must be below 1, got {getattr(self, name)}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum belongs to sgd; expected 0 for {self.optimizer}, got {self.momentum}")
        if sum(map(bool, (self.rho, self.proximal, self.adversarial))) > 1:
            raise ValueError("rho, proximal and adversarial change the step in different ways; expected at most one above 0")
        if self.inner > 1 and not self.proximal:
            raise ValueError(f"inner steps belong to proximal training; expected 1 without it, got {self.inner}")


@dataclass(frozen=True)
class Stop:
    """When training ends, whichever comes first; each rule is examined at the measurements.

    Attributes:
        epochs: at most so many.
        accuracy: training accuracy at least that (1 is perfect; None: never).
        patience: the training loss has not fallen below (1 - improvement) times its best for so many measurements (None: never).
        improvement: a share.
    """

    epochs: int
    accuracy: float | None = None
    patience: int | None = None
    improvement: float = 0.01

    def __post_init__(self) -> None:
        replace_fields(self, epochs=check_whole("epochs", self.epochs, 1))
        if self.accuracy is not None:
            replace_fields(self, accuracy=check_number("accuracy", self.accuracy, 0, strictly=True))
            if self.accuracy > 1:
                raise ValueError(f"accuracy is a share; expected at most 1, got {self.accuracy}")
        if self.patience is not None:
            replace_fields(self, patience=check_whole("patience", self.patience, 1))
        replace_fields(self, improvement=check_number("improvement", self.improvement, 0))


@dataclass(frozen=True)
class TrainingSettings(Addressed):
    """Everything that determines one training of a network on images; `training.Training` carries it out.

    Attributes:
        data, net, method, stop: images, network, step, end.
        batch_size: samples a step; an epoch's last batch holds what is left, and a single left sample joins the batch before.
        seed: of initialization, order, dropout, augmentation.
        augment: of the training images, some of AUGMENTATIONS: "shift" by up to an eighth of their side, "flip" left and right,
            "randaugment" (`verify.deep.randaugment`).
        measure_every: epochs between measurements of training and test loss and accuracy.
        keep: epochs whose weights are kept beside the final ones (0: the initial).
        start: a training from whose weights this one starts.
        start_epoch: the epoch kept by `start` whose weights these are; None for its end.
        device: "cpu" or "cuda"; results are the same to the bit on the CPU, of CUDA that is not known.
        threads: of the CPU.
    """

    data: ImageData
    net: Net
    method: Method
    stop: Stop
    batch_size: int = 128
    seed: int = 0
    augment: tuple[str, ...] = ()
    measure_every: int = 1
    keep: tuple[int, ...] = ()
    start: "TrainingSettings | None" = None
    start_epoch: int | None = None
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, kind in (("data", ImageData), ("net", Net), ("method", Method), ("stop", Stop)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}")
        for name, least in (("batch_size", 1), ("measure_every", 1), ("threads", 1)):
            replace_fields(self, **{name: check_whole(name, getattr(self, name), least)})
        replace_fields(self, seed=check_whole("seed", self.seed, 0, 2**32 - 1))
        for change in self.augment:
            check_one_of("augment", change, AUGMENTATIONS)
        replace_fields(self, augment=tuple(change for change in AUGMENTATIONS if change in self.augment))
        replace_fields(self, keep=tuple(sorted({check_whole("keep", epoch, 0, self.stop.epochs) for epoch in self.keep})))
        check_one_of("device", self.device, DEVICES)
        if self.start_epoch is not None and (self.start is None or self.start_epoch not in self.start.keep):
            kept = self.start.keep if self.start else ()
            raise ValueError(f"start_epoch must be an epoch that `start` keeps, one of {kept}, got {self.start_epoch!r}")

    def __hash__(self) -> int:
        return hash(self.key)

    def settings(self) -> dict[str, Any]:
        """Plain JSON values, with the harness's version; of a training to start from, its address."""
        plain = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__ if name != "start"}
        return plain | {"job": "training", "version": VERSION, "start": self.start.key if self.start else None}


def _plain(value: Any) -> Any:
    if isinstance(value, ImageData):
        return value.plain()
    if isinstance(value, Method):
        own = {} if value.loss == CROSS_ENTROPY else own_code(value.loss, "loss_code", "loss")
        return {name: getattr(value, name) for name in addressed_fields(value)} | own
    if isinstance(value, Net):
        return asdict(value) | own_code(value.build, "code")
    if isinstance(value, Stop):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value
