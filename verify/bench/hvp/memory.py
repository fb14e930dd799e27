"""Owns the memory that a product takes at most: of one implementation on one workload, in a fresh process that this module runs in."""

import json
import sys

import torch

from flatproof.verify.bench.fresh import answer_of, resident
from flatproof.verify.bench.hvp.peers import implementations
from flatproof.verify.bench.hvp.workloads import Workload, make_workload


def peak_memory(workload: str, implementation: str) -> float | None:
    """Resident memory above model and data that preparing and two products take at most, in a fresh process.

    Args:
        workload: its name.
        implementation: its name.

    Returns:
        Megabytes; None where the system does not tell.
    """
    answer, _ = answer_of(__name__, workload, implementation)
    return float(answer) if isinstance(answer, (int, float)) else None


def _measure_memory(workload: str, implementation: str) -> float:
    work = make_workload(workload)
    size = sum(p.numel() for p in work.model.parameters())
    vector = torch.randn(size)
    tiny = Workload(work.name, "", work.model, work.loss, work.x[:1], work.y[:1])
    prepare = implementations(workload)[implementation]
    warm = prepare(tiny)  # imports and compilation are not memory of the method
    warm.product(warm.convert(vector))
    del warm
    with resident() as rise:
        ready = prepare(work)
        given = ready.convert(vector)
        for _ in range(2):
            ready.product(given)
    return rise[0]


if __name__ == "__main__":
    print(json.dumps(_measure_memory(sys.argv[1], sys.argv[2])))
