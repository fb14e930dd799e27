"""Owns kaur2023's runs: `Final`, a training with what is measured at its end, and the grids of all scales.

At the end of a training, dropout off:

- test accuracy on the whole test split. (During training a few test images are watched: each measurement would cost more than an epoch.)
- lambda_max of the Hessian of the mean cross-entropy over the first 1000 training images, with its error bound. Networks with batch
  normalization are differentiated through the statistics of these 1000 images, the loss that training minimizes; with running
  statistics it would be that of another function.
- between iterates, for batch normalization: the largest of lambda_max at w - alpha lr g, alpha in the grid's `between`, g the
  gradient on these 1000 images. Small steps of a normalized network can hop over a ridge whose curvature neither end shows; what
  limits the step is the curvature that it passes (Cohen et al. 2021, on batch normalization). The largest over a few points is a
  lower bound of the largest on the segment. The paper does so at small learning rates; here it is done at all, so that the numbers
  that are compared within a network are of one kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.deep.registry import register
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.jobs.job import Computation

if TYPE_CHECKING:
    from torch import nn

    from flatproof.verify.curvature import Estimate

VERSION = 1  # raised when a change here or in verify.curvature alters what is measured
EXAMPLES = 1000  # of the fixed subset that lambda_max is measured on
ACCURACY = 0.99
RHO = 0.05
DROPOUTS = (0.0, 0.1, 0.2, 0.5, 0.6, 0.7)
PLAIN, NORMALIZED, DENSE = "VGG11", "VGG11 + batch norm", "fully connected"
BETWEEN = (0.25, 0.5, 0.75)
register("kaur2023-vgg", "verify.experiments.kaur2023.networks:vgg")


@dataclass(frozen=True)
class Images:
    """A data set of the paper: its name there, ours, training images (None: all), channels and side, the full batch."""

    name: str
    source: str
    train: int | None
    channels: int
    side: int
    size: int


CIFAR, FASHION = Images("cifar10", "cifar10", None, 3, 32, 50_000), Images("fashion_mnist", "fashion-mnist", None, 1, 28, 60_000)
CIFAR_1K, FASHION_1K = (
    Images("cifar10_1k", "cifar10", 1000, 3, 32, 1000),
    Images("fashion_mnist_1k", "fashion-mnist", 1000, 1, 28, 1000),
)
SMALL = Images("synthetic", "synthetic", 60, 1, 8, 60)  # scale smoke


@dataclass(frozen=True)
class Final(Computation):
    """A training, and what is measured at its end.

    network, p: for tables; images: which data set. tolerance: of lambda_max. between: where between iterates, () for at the iterate.
    """

    training: Training
    images: Images
    network: str
    p: float
    tolerance: float
    between: tuple[float, ...] = ()

    @property
    def cost(self) -> float:
        """The training's, and about 40 gradients at each place."""
        return self.training.cost + 2e-4 * EXAMPLES * 40 * (1 + len(self.between))

    @property
    def lr(self) -> float:
        """Learning rate."""
        return self.training.method.lr

    @property
    def setup(self) -> str:
        """Network and data."""
        return f"{self.network}, {self.images.name}"

    def settings(self) -> dict[str, Any]:
        """Everything that determines the values."""
        return {
            "job": "kaur2023",
            "version": VERSION,
            "training": self.training.settings(),
            "normalized": self.network == NORMALIZED,
            "examples": EXAMPLES,
            "tolerance": self.tolerance,
            "between": list(self.between),
            "seed": self.training.seed,
        }

    def carry_out(self) -> dict[str, Any]:
        """status, epochs, train_accuracy; if it is finite: test_accuracy, at (lambda_max at the iterate), between (one a place)."""
        from flatproof.verify.deep import samples, trained
        from flatproof.verify.deep.loop import loss_and_accuracy, reproducible

        model, outcome = trained(self.training)
        curve = outcome["curve"]
        values: dict[str, Any] = {
            "status": outcome["status"],
            "stopped": outcome["stopped"],
            "epochs": outcome["epochs"],
            "steps": outcome["steps"],
            "parameters": outcome["parameters"],
            "edition": outcome["edition"],
            "train_accuracy": curve["train_accuracy"][-1],
            "train_loss": curve["train_loss"][-1],
        }
        if outcome["status"] == "diverged":
            return values
        data, device = self.training.data, self.training.device
        whole = samples(ImageData(data.name, data.train, None, data.settings), device)
        with reproducible(device, self.training.threads):
            values["test_loss"], values["test_accuracy"] = loss_and_accuracy(model, whole.test_x, whole.test_y)
            batch = (whole.train_x[:EXAMPLES], whole.train_y[:EXAMPLES])
            mode = "train" if self.network == NORMALIZED else "eval"
            values["at"] = curvature(model, batch, mode, self.tolerance).as_dict()
            found = [curvature(one, batch, mode, self.tolerance) for one in along(model, batch, mode, self.lr, self.between)]
            values["between"] = [one.as_dict() for one in found]
        return values

    def summary(self, values: dict[str, Any]) -> str:
        """How it ended; network, data and p stand before it."""
        rho = self.training.method.rho
        how = f"batch {self.training.batch_size}, lr {self.lr:g}{f', rho {rho:g}' if rho else ''}, seed {self.training.seed}"
        if values["status"] == "diverged":
            return f"{how}: diverged"
        top = values["at"]["value"]
        return (
            f"{how}: {values['epochs']} epochs, {values['train_accuracy']:.3f} / {values['test_accuracy']:.3f}, λ_max {top:.4g}"
        )


def curvature(model: "nn.Module", batch: Any, mode: str, tolerance: float) -> "Estimate":
    """lambda_max of the mean cross-entropy's Hessian on one batch. mode: "train" for batch normalization's own statistics."""
    from torch.nn.functional import cross_entropy

    from flatproof.verify.curvature import Problem, measures

    problem = Problem(model, cross_entropy, batch, mode="train" if mode == "train" else "eval")
    return measures()["lambda-max"](problem, tolerance=tolerance)


def along(model: "nn.Module", batch: Any, mode: str, lr: float, places: Sequence[float]) -> "list[nn.Module]":
    """Copies of the model at w - alpha lr g, g the gradient on the batch, for each alpha in `places`."""
    import copy

    import torch
    from torch.nn.functional import cross_entropy

    from flatproof.verify.curvature import Problem

    if not places:
        return []
    problem = Problem(model, cross_entropy, batch, mode="train" if mode == "train" else "eval")
    step = problem.unflatten(-lr * problem.gradient())
    out = []
    for alpha in places:
        moved = copy.deepcopy(model)
        named = dict(moved.named_parameters())
        with torch.no_grad():
            for name, piece in zip(problem.names, step, strict=True):
                named[name].add_(piece, alpha=alpha)
        out.append(moved)
    return out


# ------------------------------------------------------------------------------------------------------------------------- grids


Rates = Mapping[int, tuple[float, ...]]  # learning rates by batch size


@dataclass(frozen=True)
class Grid:
    """The settings of one scale.

    rates: learning rates by VGG and batch size. sam: those of them that SAM is run at too. dense: (batch, lr) of the fully connected
    network. narrow: what VGG's widths are divided by; width: of the fully connected layers. epochs: at most so many by batch size.
    watched: test images measured during training. every: epochs between measurements. between: where between iterates batch
    normalization is measured.
    """

    images: tuple[Images, ...]
    rates: Mapping[str, Rates]
    sam: Mapping[str, Rates]
    dense: tuple[tuple[int, float], ...]
    dropouts: tuple[float, ...]
    narrow: int
    width: int
    epochs: dict[int, int]
    dense_epochs: int
    watched: int
    every: int
    tolerance: float
    between: tuple[float, ...]
    device: str = "cpu"  # at scale paper see `grid_of`


def both(rates: Rates) -> dict[str, Rates]:
    """The same learning rates for VGG with and without normalization."""
    return {PLAIN: rates, NORMALIZED: rates}


_ALL_BATCHES = dict.fromkeys((100, 250, 500, 1000, 2500, 10_000), (0.01, 0.02, 0.05, 0.1, 0.2, 0.5))

GRIDS = {
    "smoke": Grid(
        images=(SMALL,),
        rates=both({20: (0.03, 0.1), 60: (0.1, 0.3)}),
        sam=both({20: (0.03,), 60: (0.1,)}),
        dense=((20, 0.1),),
        dropouts=(0.0, 0.2, 0.7),
        narrow=16,
        width=16,
        epochs={20: 10, 60: 20},
        dense_epochs=10,
        watched=20,
        every=2,
        tolerance=0.5,
        between=(0.5,),
    ),
    # To stay within 17 minutes on 2 cores: without normalization, descent on the full batch takes a minute a run, so that its largest
    # batch is 500, there at one learning rate (a second one, 0.05, took a seventh of all time; slopes at that batch are not judged);
    # at batch 100 the ends of the range alone, from which slopes are as precise as with a third rate between.
    "quick": Grid(
        images=(CIFAR_1K, FASHION_1K),
        rates={
            PLAIN: {100: (0.02, 0.1), 500: (0.1,)},
            NORMALIZED: {100: (0.02, 0.1), 500: (0.1,), 1000: (0.1, 0.2)},
        },
        sam={PLAIN: {100: (0.02,), 500: (0.1,)}, NORMALIZED: {100: (0.02,), 1000: (0.1,)}},
        dense=((100, 0.1),),
        dropouts=DROPOUTS,
        narrow=8,
        width=256,
        epochs={100: 120, 500: 320, 1000: 320},
        dense_epochs=400,
        watched=100,
        every=5,
        tolerance=0.1,
        between=(0.5,),
    ),
    "paper": Grid(
        images=(CIFAR_1K, FASHION_1K, CIFAR, FASHION),
        rates=both(_ALL_BATCHES),
        sam=both(_ALL_BATCHES),
        dense=tuple((b, lr) for b in (100, 1000) for lr in (0.02, 0.1, 0.5)),
        dropouts=DROPOUTS,
        narrow=1,
        width=512,
        epochs={100: 1000, 250: 2000, 500: 4000, 1000: 10_000, 2500: 10_000, 10_000: 20_000},
        dense_epochs=5000,
        watched=1000,
        every=5,
        tolerance=0.01,
        between=BETWEEN,
    ),
}


def grid_of(scale: str, device: str | None = None) -> Grid:
    """The grid of a scale; at 'paper' on the given device, by default a GPU if this machine has one."""
    return replace(GRIDS[scale], device=device_of(scale, device))


def grid(scale: str, seeds: int, device: str | None = None) -> list[Final]:
    """The runs of a scale, seeds 1 to `seeds`; device: as for `grid_of`."""
    g = grid_of(scale, device)
    out: list[Final] = []
    for images in g.images:
        for network, batches in g.rates.items():
            for batch, lr in ((batch, lr) for batch, rates in batches.items() for lr in rates if batch <= images.size):
                for rho in (0.0, RHO) if lr in g.sam[network].get(batch, ()) else (0.0,):
                    out += [vgg_run(g, images, network, batch, lr, rho, seed) for seed in range(1, seeds + 1)]
        for batch, lr in g.dense:
            out += [dense_run(g, images, batch, lr, p, seed) for p in g.dropouts for seed in range(1, seeds + 1)]
    return out


def image_data(g: Grid, images: Images) -> ImageData:
    """What a training sees."""
    synthetic = {"channels": images.channels, "side": images.side, "classes": 2, "noise": 0.3}
    settings = synthetic if images.source == "synthetic" else {}
    return ImageData(images.source, images.train, g.watched, settings)


def vgg_run(g: Grid, images: Images, network: str, batch: int, lr: float, rho: float, seed: int) -> Final:
    """One training of a VGG."""
    settings = {"channels": images.channels, "side": images.side, "narrow": g.narrow, "normalized": network == NORMALIZED}
    one = training(g, images, Net("kaur2023-vgg", settings), Method(lr=lr, rho=rho), g.epochs[batch], batch, seed)
    return Final(one, images, network, 0.0, g.tolerance, g.between if network == NORMALIZED else ())


def dense_run(g: Grid, images: Images, batch: int, lr: float, p: float, seed: int) -> Final:
    """One training of the fully connected network."""
    settings = {"inputs": images.channels * images.side**2, "width": g.width, "depth": 2, "batch_norm": False, "dropout": p}
    net = Net("fully-connected", settings)
    return Final(training(g, images, net, Method(lr=lr), g.dense_epochs, batch, seed), images, DENSE, p, g.tolerance)


def training(g: Grid, images: Images, net: Net, method: Method, epochs: int, batch: int, seed: int) -> Training:
    """Until 99 % training accuracy or so many epochs."""
    return Training(
        image_data(g, images),
        net,
        method,
        Stop(epochs, accuracy=ACCURACY),
        batch_size=batch,
        seed=seed,
        measure_every=g.every,
        device=g.device,
    )
