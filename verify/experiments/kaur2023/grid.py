"""Owns kaur2023's grids: data sets, networks, learning rates and batch sizes of each scale, and the runs that they make."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.devices import device_of
from flatproof.verify.experiments.kaur2023.jobs import DENSE, NORMALIZED, PLAIN, Final, Images

ACCURACY = 0.99
RHO = 0.05
DROPOUTS = (0.0, 0.1, 0.2, 0.5, 0.6, 0.7)
BETWEEN = (0.25, 0.5, 0.75)

CIFAR, FASHION = Images("cifar10", "cifar10", None, 3, 32, 50_000), Images("fashion_mnist", "fashion-mnist", None, 1, 28, 60_000)
CIFAR_1K, FASHION_1K = (
    Images("cifar10_1k", "cifar10", 1000, 3, 32, 1000),
    Images("fashion_mnist_1k", "fashion-mnist", 1000, 1, 28, 1000),
)
SMALL = Images("synthetic", "synthetic", 60, 1, 8, 60)  # scale smoke

Rates = Mapping[int, tuple[float, ...]]  # learning rates by batch size


@dataclass(frozen=True)
class Grid:
    """The settings of one scale.

    Args:
        images: data sets.
        rates: learning rates by VGG and batch size.
        sam: those of them that SAM is run at too.
        dense: (batch, lr) of the fully connected network.
        dropouts: its p.
        narrow: what VGG's widths are divided by.
        width: of the fully connected layers.
        epochs: at most so many by batch size.
        dense_epochs: likewise, of the fully connected network.
        watched: test images measured during training.
        every: epochs between measurements.
        tolerance: of lambda_max.
        between: where between iterates batch normalization is measured.
        device: "cpu" or "cuda"; at scale paper see `grid_of`.
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
    device: str = "cpu"


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


def runs_of(scale: str, seeds: int, device: str | None = None) -> list[Final]:
    """The runs of a scale.

    Args:
        scale: smoke, quick or paper.
        seeds: 1 to this.
        device: as for `grid_of`.
    """
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
    net = Net("kaur2023-vgg", settings)
    until = training(g, images, net, Method(lr=lr, rho=rho), g.epochs[batch], batch, seed)
    return Final(until, images, network, 0.0, g.tolerance, g.between if network == NORMALIZED else ())


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
