"""Owns andriushchenko2023's grid of image models: sizes and hyper-parameters of each scale, and the models that a seed makes.

A seed makes a ResNet and a ViT. Their SAM radius, mixup and augmentation go round all combinations, so that each has as many models; the
learning rate is drawn log-uniformly from the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.andriushchenko2023.jobs import Cell, Studied
from flatproof.verify.experiments.andriushchenko2023.published import KINDS, LAWS, RADII, SCALINGS, Kind
from flatproof.verify.experiments.andriushchenko2023.shifted import edition
from flatproof.verify.experiments.devices import device_of

RHOS = (0.0, 0.05, 0.1)
MIXUPS = (0.0, 0.5)  # the paper's alpha is not known to us
Augmentation = tuple[str, ...]
NONE: Augmentation = ()
CROPPED: Augmentation = ("shift", "flip")
RANDOM: Augmentation = (*CROPPED, "randaugment")


@dataclass(frozen=True)
class Size:
    """What a scale trains and measures.

    Args:
        data: training and test images, as a training sees them.
        nets: settings of each network.
        rates: the range of learning rates of each network.
        epochs: of each network.
        augmentations: those that models differ in.
        batch_size: samples a step.
        images: training images that sharpness is measured on.
        batch: m, samples a batch of m-sharpness.
        radii: which of the paper's four radii.
        corrupted: corrupted test images on which out-of-distribution error is measured; 0 where the data have none.
    """

    data: ImageData
    nets: dict[Kind, dict[str, Any]]
    rates: dict[Kind, tuple[float, float]]
    epochs: dict[Kind, int]
    augmentations: tuple[Augmentation, Augmentation]
    batch_size: int
    images: int
    batch: int
    radii: tuple[int, ...]
    corrupted: int


VIT_16 = {"side": 16, "patch": 4, "dim": 48, "depth": 4, "heads": 3, "head_dim": 16, "mlp": 96}
SIZES = {
    "smoke": Size(
        ImageData("synthetic", 60, 40, {"channels": 3, "side": 8, "classes": 4, "noise": 1.0}),
        {
            "ResNet": {"width": 2, "blocks": [1, 1], "classes": 4},
            "ViT": {"side": 8, "patch": 4, "dim": 8, "depth": 1, "heads": 2, "head_dim": 4, "mlp": 8, "classes": 4},
        },
        {"ResNet": (0.05, 0.5), "ViT": (0.02, 0.2)},
        {"ResNet": 2, "ViT": 2},
        (NONE, CROPPED),
        20,
        20,
        10,
        (0,),
        0,
    ),
    # Some 78,000 parameters each, 2,000 images at 16 x 16. Half of the models are trained without augmentation, since small networks on
    # augmented images do not reach 1 % training error; small ViTs need larger steps than the paper's.
    "quick": Size(
        ImageData("cifar10", 2000, 10_000, {"side": 16}),
        {"ResNet": {"width": 8, "blocks": [1, 1, 1, 1]}, "ViT": VIT_16},
        {"ResNet": (0.05, 5.0), "ViT": (0.02, 0.5)},
        {"ResNet": 30, "ViT": 30},
        (NONE, CROPPED),
        128,
        256,
        128,
        (0, 3),
        10_000,
    ),
    "paper": Size(
        ImageData("cifar10"),
        {"ResNet": {}, "ViT": {}},
        {"ResNet": (0.05, 5.0), "ViT": (0.005, 0.05)},
        {"ResNet": 200, "ViT": 200},
        (CROPPED, RANDOM),
        128,
        1024,
        128,
        (0, 1, 2, 3),
        10_000,
    ),
}
NETWORKS: dict[Kind, str] = {"ResNet": "preactivation-resnet", "ViT": "simple-vit"}


def cells_of(kind: Kind, radii: tuple[int, ...]) -> tuple[Cell, ...]:
    """What is measured of a network: each law, scaling and radius.

    Args:
        kind: of the network.
        radii: which of the paper's four.
    """
    return tuple(Cell(law, scaling, RADII[kind][scaling][law][i]) for scaling, law, i in product(SCALINGS, LAWS, radii))


def model(kind: Kind, seed: int, scale: str, device: str | None = None) -> Studied:
    """The model of a seed.

    Args:
        kind: of the network.
        seed: from 1; of hyper-parameters, initialization and order.
        scale: smoke, quick or paper.
        device: as for `device_of`.
    """
    size = SIZES[scale]
    combinations = list(product(RHOS, MIXUPS, size.augmentations))
    rho, mixup, augment = combinations[(seed - 1) % len(combinations)]
    low, high = np.log(size.rates[kind])
    lr = float(np.exp(np.random.default_rng([2023, KINDS.index(kind), seed]).uniform(low, high)))
    training = Training(
        size.data,
        Net(NETWORKS[kind], size.nets[kind]),
        Method(lr=lr, momentum=0.9, rho=rho, schedule="triangle", mixup=mixup),
        Stop(size.epochs[kind]),
        batch_size=size.batch_size,
        seed=seed,
        augment=augment,
        measure_every=size.epochs[kind],
        device=device_of(scale, device),
    )
    shifts = (size.corrupted, edition()) if size.corrupted else (0, "")
    return Studied(training, kind, cells_of(kind, size.radii), size.images, size.batch, *shifts)


def models(scale: str, seeds: int, device: str | None = None) -> Iterator[Studied]:
    """The models of seeds 1 to `seeds`, both kinds of each."""
    for seed in range(1, seeds + 1):
        for kind in KINDS:
            yield model(kind, seed, scale, device)
