"""Owns the room that a model is run in: what its forward, the loss and the backward pass do to it is undone when the block ends.

Parameters and buffers are replaced, not written, and stay replaced until the block ends, so that what a backward pass recomputes
(checkpointing) and what a loss reads of the model (a penalty over `model.parameters()`) meet the tensors that are differentiated.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OWN = ("_parameters", "_buffers", "_modules")


class Room:
    """A module within `isolated`.

    Attributes:
        parameters: the module's own, by name.
        buffers: the module's own, by name.
        written: names of the replacements that were written in place.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters, self.buffers = dict(module.named_parameters()), dict(module.named_buffers())
        self._own: dict[str, Tensor] = {**self.parameters, **self.buffers}
        self._kept = [(m, dict(m.__dict__), [dict(m.__dict__[name]) for name in _OWN]) for m in module.modules()]
        self._given: dict[str, tuple[Tensor, int]] = {}
        self.written: set[str] = set()

    def substitute(self, tensors: Mapping[str, Tensor]) -> None:
        """Put tensors in the place of the parameters and buffers of these names, wherever in the module they stand."""
        self.look()
        self._given = {name: (t, _version(t)) for name, t in tensors.items()}
        places = {id(self._own[name]): t for name, t in tensors.items()}
        for module, _, (parameters, buffers, _) in self._kept:
            for into, kept in ((module.__dict__["_parameters"], parameters), (module.__dict__["_buffers"], buffers)):
                for key, value in kept.items():
                    if id(value) in places:
                        into[key] = places[id(value)]

    def look(self) -> None:
        """Notice which replacements were written."""
        self.written |= {name for name, (t, version) in self._given.items() if _version(t) != version}

    def restore(self) -> None:
        """Every attribute of every submodule is what it was."""
        self.look()
        for module, attributes, contents in self._kept:
            _put_back(module.__dict__, attributes)
            for name, kept in zip(_OWN, contents, strict=True):
                _put_back(module.__dict__[name], kept)


def _version(tensor: Tensor) -> int:
    try:
        return tensor._version
    except RuntimeError:  # a wrapper of torch.func
        return -1


def _put_back(now: dict[str, Any], then: dict[str, Any]) -> None:
    if len(now) == len(then) and all(now.get(k) is v for k, v in then.items()):
        return
    now.clear()
    now.update(then)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module within what torch.compile and data parallelism put around it: it is run as it is written, in this process."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


@contextmanager
def plain(device: torch.device) -> Iterator[None]:
    """Within the block neither inference mode nor autocast of the caller holds: operations are recorded, in the tensors' precision."""
    recording = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
    precise = torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()
    with recording, precise:
        yield


@contextmanager
def isolated(model: nn.Module, *, training: bool, seed: int, device: torch.device) -> Iterator[Room]:
    """Within the block the model is in training mode or not, and random numbers are those of `seed`: torch's, numpy's and Python's.

    In training mode normalizations do not track running statistics: they use each batch's own. In evaluation mode attention takes
    torch's general path with gradients or without: its fast path zeroes padded outputs. Inference mode and autocast are the model's
    own to enter.

    Args:
        model: what is run.
        training: its mode within the block.
        seed: of the random numbers.
        device: whose generator is put back too.
    """
    room = Room(model)
    fast, python = torch.backends.mha.get_fastpath_enabled(), random.getstate()
    numbers = np.random.get_state()  # noqa: NPY002 the global one is what models draw from
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for module in model.modules():
            module.training = training
            if training and getattr(module, "track_running_stats", False) is True:
                module.track_running_stats = False  # type: ignore[assignment]
        with plain(device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            seeded(seed, device)
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            yield room
    finally:
        room.restore()
        torch.backends.mha.set_fastpath_enabled(fast)
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002


def seeded(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, of the generators that a model on the device draws from alone: the others cost a millisecond a call."""
    if device.type not in ("cpu", "cuda"):
        torch.manual_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
