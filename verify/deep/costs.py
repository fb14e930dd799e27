"""Owns what a training costs before it is run: its steps, the operations of each, and the seconds that these come to by a stated rate.

The rates are stated, not measured: of float32 products without TF32 on an H100-class GPU (its peak is 67e12), and of one core of a CPU;
beside them the time that a layer's forward pass, backward pass and update take however small they are. Whoever has measured the seconds
of some trainings scales what is stated by theirs.
"""

import json
import math
from dataclasses import dataclass
from functools import cache

from flatproof.verify.deep.registry import builder
from flatproof.verify.deep.settings import ImageData, Net, TrainingSettings

RATES = {"cuda": 20e12, "cpu": 2e10}  # operations a second
LAYER = {"cuda": 80e-6, "cpu": 100e-6}  # seconds of a layer at least, of a step
BACK = 3  # operations of a gradient over those of a forward pass
MEASURED_AT_ONCE = 1000
SHAPES = {  # of images, and how many there are for training and test
    "mnist": ((1, 28, 28), 60_000, 10_000),
    "fashion-mnist": ((1, 28, 28), 60_000, 10_000),
    "cifar10": ((3, 32, 32), 50_000, 10_000),
    "cifar100": ((3, 32, 32), 50_000, 10_000),
    "timit": ((360,), 721_329, 180_000),
    "synthetic": ((1, 8, 8), 512, 512),
}


@dataclass(frozen=True)
class Size:
    """A network on one input: operations of a forward pass (a multiply-add is two), and how many layers it has."""

    operations: int
    layers: int


def images_of(data: ImageData) -> tuple[tuple[int, ...], int, int]:
    """The shape of an image, and how many there are for training and test. Errors: ValueError for data of which it is not known."""
    if data.arrays is not None:
        return data.arrays.train_x.shape[1:], len(data.arrays.train_x), len(data.arrays.test_x)
    if data.name not in SHAPES:
        raise ValueError(f"the shape of {data.name}'s samples is not known here; expected one of {', '.join(SHAPES)}")
    shape, train, test = SHAPES[data.name]
    if len(shape) == 3:
        side = int(data.settings.get("side", shape[1]))
        shape = (int(data.settings.get("channels", shape[0])), side, side)
    return shape, data.train or train, data.test or test


def size_of(net: Net, shape: tuple[int, ...]) -> Size:
    """Counted on an input of that shape without computing anything. Errors: what building the network raises."""
    return _size(net.build, json.dumps(dict(net.settings), sort_keys=True), shape)


@cache
def _size(build: str, settings: str, shape: tuple[int, ...]) -> Size:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.no_grad():
        model = builder(build)(**json.loads(settings)).eval()
        with FlopCounterMode(display=False) as counted:
            model(torch.zeros(1, *shape))
    return Size(counted.get_total_flops(), sum(not list(module.children()) for module in model.modules()))


def steps_of(job: TrainingSettings) -> int:
    """How many steps it takes at most."""
    return job.stop.epochs * math.ceil(images_of(job.data)[1] / job.batch_size)


def passes_of(job: TrainingSettings) -> int:
    """Gradients a step."""
    method = job.method
    return 1 + bool(method.rho) + bool(method.adversarial) + method.inner * bool(method.proximal)


def gradient_seconds(job: TrainingSettings, batch: int) -> float:
    """One gradient on a batch of the training's images, on its device, as stated."""
    size = size_of(job.net, images_of(job.data)[0])
    return max(LAYER[job.device] * size.layers, BACK * size.operations * batch / RATES[job.device])


def training_seconds(job: TrainingSettings) -> float:
    """The whole training as stated: all steps that it may take, and its measurements."""
    _, train, test = images_of(job.data)
    measurements = job.stop.epochs / job.measure_every
    measuring = measurements * math.ceil((train + test) / MEASURED_AT_ONCE) * gradient_seconds(job, MEASURED_AT_ONCE) / BACK
    return steps_of(job) * passes_of(job) * gradient_seconds(job, min(job.batch_size, train)) + measuring
