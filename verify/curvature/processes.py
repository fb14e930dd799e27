"""Owns sums over the processes that share the data, where there are several, and who of them decides.

Equal numbers are computed alike in every process but for a last bit: matrix products may depend on where memory lies. A decision that
rests on such a bit would part the processes, and one would wait for the other for ever. So the first one decides where it matters.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from flatproof.verify.curvature.estimates import Floats

Joint = Callable[[Floats], tuple[float, Floats]]


def distributed() -> bool:
    """Whether this process is one of several that share the data."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def summed(*values: float) -> tuple[float, ...]:
    """Each number's sum over all ranks; the numbers themselves in a single process."""
    if not distributed():
        return values
    return tuple(reduced(_moved(values)).tolist())


def places(count: int) -> tuple[int, int]:
    """Where this rank's `count` things stand among those of all ranks, in their order: the first one's place, and how many there are."""
    if not distributed():
        return 0, count
    rank = torch.distributed.get_rank()
    counts = summed(*(count if r == rank else 0 for r in range(torch.distributed.get_world_size())))
    return round(sum(counts[:rank])), round(sum(counts))


def of_first(numbers: Floats) -> Floats:
    """The numbers of the first process, of as many in the others; the numbers themselves in a single process."""
    if not distributed():
        return numbers
    sent = _moved(numbers)
    torch.distributed.broadcast(sent, 0)
    return sent.cpu().numpy().reshape(numbers.shape)


def told(number: float) -> float:
    """The number of the first process."""
    return float(of_first(np.array(number)))


def led(function: Joint, size: int, search: Callable[[Joint], object]) -> None:
    """Carry out a search whose function all processes compute together: the first one searches, the others compute where it says.

    Args:
        function: of points (size,); what it raises it raises in all processes.
        size: of a point.
        search: calls the function that it is given.
    """
    if not distributed():
        search(function)
        return
    if torch.distributed.get_rank():
        while (told := of_first(np.zeros(1 + size)))[0]:
            function(told[1:])
        return
    raised = False

    def asked(z: Floats) -> tuple[float, Floats]:
        nonlocal raised
        of_first(np.concatenate([[1.0], z]))
        raised = True
        value = function(z)
        raised = False
        return value

    try:
        search(asked)
    finally:
        if not raised:
            of_first(np.zeros(1 + size))


def _moved(values: "Floats | tuple[float, ...]") -> Tensor:
    """As a tensor that the processes can exchange: some move those of the GPU alone."""
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    return torch.tensor(values, dtype=torch.float64, device=device)


def reduced(value: Tensor) -> Tensor:
    """The sum over all ranks, in place; the value itself in a single process."""
    if distributed():
        torch.distributed.all_reduce(value)
    return value
