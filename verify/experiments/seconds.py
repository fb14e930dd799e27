"""Owns what a job of the papers on images is stated to take on the device that it names: its training, and what is measured of it."""

from typing import Any

from flatproof.verify.deep import Training
from flatproof.verify.deep.costs import gradient_seconds, images_of, training_seconds
from flatproof.verify.deep.settings import TrainingSettings
from flatproof.verify.jobs.job import Job

GRADIENT = 1e-4  # seconds that a job's own `cost` states for one image's gradient on a core
BATCH = 1000  # images that measurements take at once


def seconds_of(job: Job[Any]) -> float:
    """As stated by `verify.deep.costs`.

    Args:
        job: a training, or what has one. Its own `TRAINS` says whether its cost contains the training's; else that is another job's.

    Errors:
        TypeError for a job without a training.
    """
    training = trained_by(job)
    trains = job is training or getattr(job, "TRAINS", False)
    measuring = 0.0 if job is training else job.cost - (training.cost if trains else 0.0)
    batch = min(BATCH, images_of(training.data)[1])
    return (training_seconds(training) if trains else 0.0) + measuring / GRADIENT / BATCH * gradient_seconds(training, batch)


def trained_by(job: Any) -> Training:
    """The training that a job carries out or measures. Errors: TypeError for a job without one."""
    training = job if isinstance(job, TrainingSettings) else getattr(job, "training", getattr(job, "small", None))
    if not isinstance(training, Training):
        raise TypeError(f"{type(job).__name__} has no training")
    return training
