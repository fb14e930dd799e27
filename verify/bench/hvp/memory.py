"""Owns the memory that a product takes at most: of one implementation on one workload, in a fresh process that this module runs in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import flatproof
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
    home = Path(flatproof.__file__).parent.parent  # not resolved: in a checkout `flatproof/verify` is a link
    folders = os.pathsep.join([str(home), *(p for p in sys.path if p)])
    command = [sys.executable, "-W", "ignore", "-m", __name__, workload, implementation]
    environment = os.environ | {"PYTHONPATH": folders}
    environment = os.environ | {"PYTHONPATH": folders}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment, check=False)
    try:
        return float(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        return None


@contextmanager
def _resident() -> Iterator[list[float]]:
    """Fills the list with the rise of resident memory within the block at its highest, in MB (Linux)."""
    rise: list[float] = []

    def read(field: str) -> float:
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the highest so far
    before = read("VmRSS")
    yield rise
    rise.append(read("VmHWM") - before)


def _measure_memory(workload: str, implementation: str) -> float:
    work = make_workload(workload)
    size = sum(p.numel() for p in work.model.parameters())
    vector = torch.randn(size)
    tiny = Workload(work.name, "", work.model, work.loss, work.x[:1], work.y[:1])
    prepare = implementations(workload)[implementation]
    warm = prepare(tiny)  # imports and compilation are not memory of the method
    warm.product(warm.convert(vector))
    del warm
    with _resident() as rise:
        ready = prepare(work)
        given = ready.convert(vector)
        for _ in range(2):
            ready.product(given)
    return rise[0]


if __name__ == "__main__":
    print(json.dumps(_measure_memory(sys.argv[1], sys.argv[2])))
