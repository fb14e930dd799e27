"""Owns what a measurement leaves as it was beyond the model itself: random states, autocast, and what iterating over data draws from.

Parameters, buffers, gradients and modes are `Problem`'s to keep (`isolation`).
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from flatproof.verify.curvature.batches import brief, is_pair
from flatproof.verify.curvature.tree import mapped


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Within the block random numbers may be drawn: torch's generators on all devices, numpy's and Python's are put back.

    Autocast is off: what is measured has the precision of the parameters. Work queued on a GPU is waited for at both ends, so that
    seconds are those of the block.
    """
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 the global one is what trainings draw from
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    _wait(device)
    try:
        with torch.random.fork_rng(devices=devices), torch.autocast(device.type, enabled=False):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002
        _wait(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def collected(data: Any) -> list[Any]:
    """The data's batches, gone through once; a loader's own generators are put back.

    Args:
        data: one pair of inputs and targets, or an iterable of pairs.

    Raises:
        TypeError: data of another form.
        ValueError: a loader whose workers are kept from one pass to the next, and would go on elsewhere in the training.
    """
    if is_pair(data):
        return [data]
    if not isinstance(data, DataLoader):
        if not isinstance(data, Iterable):
            raise TypeError(f"data must be an (inputs, targets) pair or an iterable of them, got {brief(data)}")
        return list(data)
    if data.persistent_workers:
        raise ValueError(
            "data: a DataLoader with persistent_workers=True would disturb a training that uses it; expected a list of batches"
        )
    places = (data, data.sampler, data.batch_sampler, getattr(data.batch_sampler, "sampler", None))
    generators = [g for place in places if isinstance(g := getattr(place, "generator", None), torch.Generator)]
    states = [generator.get_state() for generator in generators]
    try:
        return list(data)
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def on_device(value: Any, device: torch.device) -> Any:
    """The tensors in a batch on that device."""
    return mapped(lambda t: t.to(device), value)
