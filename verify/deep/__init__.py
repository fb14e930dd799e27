"""Training of networks on images that are held in memory, by stored settings: a `Training` is a job like any other.

    job = Training(ImageData("cifar10", train=10_000), Net("vgg11"), Method(lr=0.05, rho=0.05), seed=1)
    job.carry_out()                    # curves, why it stopped; what `flatproof reproduce` stores
    model, outcome = trained(job)      # the network itself, trained now or read from its files

`settings` says what determines a training, `training` is the job, `registry` names networks, `data` holds the images, `steps` makes
the steps, `loop` the epochs, `checkpoints` what is kept in files.
"""

import importlib
from typing import TYPE_CHECKING, Any

from flatproof.verify.deep.settings import ImageData, Method, Net, Stop
from flatproof.verify.deep.training import Training

if TYPE_CHECKING:
    from flatproof.verify.deep.data import Samples, samples
    from flatproof.verify.deep.loop import trained

__all__ = ["ImageData", "Method", "Net", "Samples", "Stop", "Training", "samples", "trained"]

_HOME = {
    "Samples": "flatproof.verify.deep.data",
    "samples": "flatproof.verify.deep.data",
    "trained": "flatproof.verify.deep.loop",
}  # these import torch


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
