"""Owns the grid of fine-tuned models: EfficientNet-Lite0 from its ImageNet weights on a few CIFAR-10 images, in place of the paper's CLIP.

The paper takes 72 CLIP models that others fine-tuned with random hyper-parameters ("model soups"). Here too a seed draws them: learning
rate and weight decay log-uniformly, mixup (none by a coin) and label smoothing uniformly. Epochs and augmentation go round all
combinations, so that each has as many models. Adam trains all layers; the last one starts at random.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training
from flatproof.verify.experiments.andriushchenko2023.grid import CROPPED, NONE
from flatproof.verify.experiments.andriushchenko2023.jobs import Cell, Studied
from flatproof.verify.experiments.andriushchenko2023.published import TUNED, Law, Scaling
from flatproof.verify.experiments.andriushchenko2023.shifted import edition
from flatproof.verify.realdata import NotAvailable, there, weights_file
from flatproof.verify.realdata.weights import WEIGHTS

NETWORK = "efficientnet-lite0"
AUGMENTATIONS = (NONE, CROPPED)
DECAYS = (1e-6, 1e-3)
MIXUP, SMOOTHING = 0.88, 0.23  # the largest, as in "model soups"
ALIKE = ("epochs", "augmentation")  # hyper-parameters that are equal inside a group


@dataclass(frozen=True)
class Size:
    """What a scale fine-tunes and measures.

    Args:
        data: training and test images, as a training sees them.
        net: the network, with the weights it starts from.
        rates: the range of learning rates.
        epochs: those that models differ in.
        batch_size: samples a step.
        cells: definitions and radii of sharpness.
        images: training images that it is measured on.
        batch: m, samples a batch of m-sharpness.
        corrupted: corrupted test images; 0 where the data have none.
        models: how many at most.
    """

    data: ImageData
    net: Net
    rates: tuple[float, float]
    epochs: tuple[int, ...]
    batch_size: int
    cells: tuple[Cell, ...]
    images: int
    batch: int
    corrupted: int
    models: int


# Of the paper's adaptive radii for ResNets, which like this network are convolutional and batch-normalized.
RADII: dict[Law, float] = {"average-l2": 0.05, "worst-linf": 0.001}
ADAPTIVE: tuple[Scaling, ...] = ("c = |w|", "c = |w|, logits normalized")
CELLS = tuple(Cell(law, scaling, rho) for scaling, (law, rho) in product(ADAPTIVE, RADII.items()))
SIZES = {
    "smoke": Size(
        ImageData("synthetic", 60, 40, {"channels": 3, "side": 8, "classes": 4, "noise": 1.0}),
        Net("preactivation-resnet", {"width": 2, "blocks": [1, 1], "classes": 4}),  # needs no weights
        (2e-3, 2e-2),
        (1, 2),
        20,
        CELLS,
        20,
        10,
        0,
        4,
    ),
    # Some 70 seconds of one slow core each: epochs, images and definitions are as few as that asks for.
    "quick": Size(
        ImageData("cifar10", 1000, 1000, {"side": 64}),
        Net("efficientnet-lite", {"name": NETWORK, "weights": WEIGHTS[NETWORK].digest, "contrast": 0.5}),
        (3e-4, 6e-3),
        (2, 3, 4),
        32,
        CELLS,
        64,
        64,
        1000,
        72,
    ),
}


def available(scale: str) -> bool:
    """Whether the scale has fine-tuned models, and their images and weights are there."""
    if scale not in SIZES or not SIZES[scale].data.available():
        return False
    return "weights" not in SIZES[scale].net.settings or there(f"{NETWORK}'s weights", _have_weights)


def _have_weights() -> bool:
    try:
        return weights_file(NETWORK).is_file()
    except NotAvailable:
        return False


def model(seed: int, scale: str) -> Studied:
    """The model of a seed.

    Args:
        seed: from 1; of hyper-parameters, the last layer's start and the order of the images.
        scale: smoke or quick.
    """
    size = SIZES[scale]
    combinations = list(product(size.epochs, AUGMENTATIONS))
    epochs, augment = combinations[(seed - 1) % len(combinations)]
    stream = np.random.default_rng([2023, len(NETWORK), seed])
    lr, decay = (float(np.exp(stream.uniform(*np.log(ends)))) for ends in (size.rates, DECAYS))
    mixup, smoothing = float(stream.uniform(0, MIXUP)), float(stream.uniform(0, SMOOTHING))
    mixed = bool(stream.integers(2))
    method = Method(
        "adam",
        lr=lr,
        weight_decay=decay,
        schedule="triangle",
        mixup=mixup if mixed else 0.0,
        smoothing=smoothing,
    )
    training = Training(
        size.data,
        size.net,
        method,
        Stop(epochs),
        batch_size=size.batch_size,
        seed=seed,
        augment=augment,
        measure_every=epochs,
    )
    shifts = (size.corrupted, edition()) if size.corrupted else (0, "")
    return Studied(training, TUNED, size.cells, size.images, size.batch, *shifts)


def models(scale: str, seeds: int) -> Iterator[Studied]:
    """The models of seeds 1 to `seeds`, at most as many as the scale has; none at a scale without any."""
    if scale in SIZES:
        for seed in range(1, min(seeds, SIZES[scale].models) + 1):
            yield model(seed, scale)
