"""Owns the settings of one training of a network on images: `Training` and its parts. Equal settings have equal addresses."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from flatproof.verify.deep.registry import address
from flatproof.verify.jobs.job import Computation
from flatproof.verify.utils.checks import check_number, check_one_of, check_whole, replace_fields

VERSION = 4  # raised when a change of the harness alters what a training gives
DEVICES = ("cpu", "cuda")
OPTIMIZERS = ("sgd", "adam")
AUGMENTATIONS = ("shift", "flip")


@dataclass(frozen=True)
class ImageData:
    """Which images: a data set of `verify.realdata.NAMES`, or "synthetic".

    train, test: the first so many samples of each split, all of them for None. `settings` are those of "synthetic"
    (`verify.deep.data.synthetic`), and of no other. edition: a checksum that tells the files found now from any others (`edition_of`),
    so that other files are other images, with addresses of their own.
    """

    name: str
    train: int | None = None
    test: int | None = None
    settings: Mapping[str, int | float] = field(default_factory=dict)
    edition: str = field(init=False)

    def __post_init__(self) -> None:
        from flatproof.verify.realdata import NAMES

        check_one_of("data", self.name, ("synthetic", *NAMES))
        for split in ("train", "test"):
            if getattr(self, split) is not None:
                replace_fields(self, **{split: check_whole(split, getattr(self, split), 1)})
        if self.settings and self.name != "synthetic":
            raise ValueError(
                f"data settings belong to synthetic images; expected none for {self.name}, got {dict(self.settings)}"
            )
        replace_fields(self, settings=dict(sorted(self.settings.items())), edition=edition_of(self.name, self.train, self.test))

    def __hash__(self) -> int:
        return hash((self.name, self.train, self.test, tuple(self.settings.items()), self.edition))

    def available(self) -> bool:
        """Whether both splits are on this machine."""
        from flatproof.verify.realdata import available

        return self.name == "synthetic" or all(available(self.name, split=split) for split in ("train", "test"))


ABSENT = "not on this machine"


def edition_of(name: str, train: int | None = None, test: int | None = None) -> str:
    """SHA-256 of what tells a data set's files from any others; ABSENT if a split is not there, "" for synthetic images.

    Where checksums are published, of those (loading compares them with the files); of TIMIT's file, its content; of ImageNet, the
    names, sizes and labels of the images that the limits take.
    """
    from flatproof.verify.realdata import NotAvailable, data_root

    if name == "synthetic":
        return ""
    try:
        told = (_told(name, data_root(), "train", train), _told(name, data_root(), "test", test))
    except NotAvailable:
        return ABSENT
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _told(name: str, root: Path, split: Literal["train", "test"], limit: int | None) -> str:
    """What tells a split's files from any others. Errors: NotAvailable."""
    from flatproof.verify.realdata import NotAvailable
    from flatproof.verify.realdata.loading import find
    from flatproof.verify.realdata.timit import PATH

    if name == "imagenet":
        return _listed(root, split, limit)
    if name != "timit":
        return " ".join(file.digest for batch in find(name, root, split).batches[split] for file in batch.files)
    path = root / PATH
    if not path.is_file():
        raise NotAvailable(f"timit: looked for {path}")
    about = path.stat()
    return _content(path, about.st_size, about.st_mtime_ns)


@lru_cache
def _content(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; `size` and `changed` (ns) tell the cache that it is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache
def _listed(root: Path, split: Literal["train", "test"], limit: int | None) -> str:
    """SHA-256 of names, sizes and labels; once a process, for there are a million."""
    from flatproof.verify.realdata.imagenet import listing

    lines = (
        f"{path.relative_to(root).as_posix()} {path.stat().st_size} {label}" for path, label in listing(root, split)[0][:limit]
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Net:
    """Which network: a name of the registry or "module:function"; called with `settings` it returns the network at its random start
    (torch's generator is seeded)."""

    build: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        replace_fields(self, build=address(self.build), settings=dict(sorted(self.settings.items())))

    def __hash__(self) -> int:
        return hash((self.build, repr(self.settings)))


@dataclass(frozen=True)
class Method:
    """How a step is made. The gradient g is that of the batch's mean cross-entropy plus `weight_decay` times the parameters.

    optimizer: "sgd", with `momentum`, or "adam" (betas 0.9 and 0.999, epsilon 1e-8).
    lr: step size.
    rho: radius of SAM's perturbation, 0 for none; both passes draw the same masks and start from the same buffers, and what the second
        writes into buffers (running statistics) is dropped.
    proximal: lambda of conservative training, 0 for none: each batch's step is `inner` optimizer steps on
        loss + lambda/2 ||w - w_k||^2 from w_k (Li et al. 2014, as keskar2017 uses it).
    adversarial: epsilon of adversarial training, 0 for none: half of the loss is at inputs + epsilon sign(gradient in the inputs)
        (Goodfellow et al. 2015); in units of the normalized inputs.
    """

    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    rho: float = 0.0
    proximal: float = 0.0
    inner: int = 1
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        replace_fields(self, lr=check_number("lr", self.lr, 0, strictly=True), inner=check_whole("inner", self.inner, 1))
        for name in ("momentum", "weight_decay", "rho", "proximal", "adversarial"):
            replace_fields(self, **{name: check_number(name, getattr(self, name), 0)})
        if self.momentum >= 1:
            raise ValueError(f"momentum must be below 1, got {self.momentum}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum belongs to sgd; expected 0 for {self.optimizer}, got {self.momentum}")
        if sum(map(bool, (self.rho, self.proximal, self.adversarial))) > 1:
            raise ValueError("rho, proximal and adversarial change the step in different ways; expected at most one above 0")
        if self.inner > 1 and not self.proximal:
            raise ValueError(f"inner steps belong to proximal training; expected 1 without it, got {self.inner}")


@dataclass(frozen=True)
class Stop:
    """When training ends, whichever comes first; each rule is examined at the measurements.

    epochs: at most so many. accuracy: training accuracy at least that (1 is perfect; None: never). patience: the training loss has
    not fallen below (1 - improvement) times its best for so many measurements (None: never).
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
class Training(Computation):
    """Everything that determines one training of a network on images.

    batch_size: samples a step; an epoch's last batch holds what is left, and a single left sample joins the batch before.
    augment: of the training images, some of AUGMENTATIONS: "shift" by up to an eighth of their side, "flip" left and right.
    seed: initialization, order, dropout, augmentation. measure_every: epochs between measurements of training and test loss and
    accuracy. keep: epochs whose weights are kept beside the final ones (0: the initial). start: a training from whose weights this
    one starts, at the end (start_epoch None) or at one of its kept epochs. device: "cpu" or "cuda": results are the same to the bit
    on the CPU; of CUDA that is not known. threads: of the CPU.
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
    start: "Training | None" = None
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
        for one in self.augment:
            check_one_of("augment", one, AUGMENTATIONS)
        replace_fields(self, augment=tuple(one for one in AUGMENTATIONS if one in self.augment))
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

    @property
    def cost(self) -> float:
        """Epochs times samples, as if a sample took 0.2 ms; only ratios matter."""
        passes = 1 + bool(self.method.rho) + bool(self.method.adversarial) + self.method.inner * bool(self.method.proximal)
        return 2e-4 * self.stop.epochs * (self.data.train or 60_000) * passes

    def carry_out(self) -> dict[str, Any]:
        """Train, or go on from the last checkpoint; what `loop.train` returns. Errors: NotAvailable, Damaged, ValueError."""
        from flatproof.verify.deep.loop import train

        return train(self)

    def summary(self, values: dict[str, Any]) -> str:
        """How it ended."""
        if values["status"] == "ended":
            return f"seed {self.seed}: not trained ({values['stopped']})"
        if values["status"] == "diverged":
            return f"seed {self.seed}: diverged at step {values['diverged_at']}"
        curve = values["curve"]
        accuracies = f"accuracy {curve['train_accuracy'][-1]:.4f} training, {curve['test_accuracy'][-1]:.4f} test"
        return f"seed {self.seed}: {accuracies}, {curve['epoch'][-1]:.0f} epochs ({values['stopped']})"


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(one) for name, one in asdict(value).items()}
    return list(value) if isinstance(value, tuple) else value
