"""Owns sums over the processes that share the data, where there are several."""

import torch
from torch import Tensor


def distributed() -> bool:
    """Whether this process is one of several that share the data."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def reduced(value: Tensor) -> Tensor:
    """The sum over all ranks, in place; the value itself in a single process."""
    if distributed():
        torch.distributed.all_reduce(value)
    return value
