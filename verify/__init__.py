"""What training and measuring show: runs, kernels, sweeps, experiments. Heavy imports happen on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof.verify import bench, cli, curvature, deep, experiments, jobs, realdata, report, two_layer, utils
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.two_layer.many import train_many
    from flatproof.verify.two_layer.settings import DataSpec, Phase
    from flatproof.verify.two_layer.training import Result, Run, train

__all__ = [
    "DataSpec",
    "Phase",
    "Result",
    "Run",
    "Store",
    "bench",
    "cli",
    "curvature",
    "deep",
    "experiments",
    "jobs",
    "realdata",
    "report",
    "train",
    "train_many",
    "two_layer",
    "utils",
]

_HOME = {
    "DataSpec": "flatproof.verify.two_layer.settings",
    "Phase": "flatproof.verify.two_layer.settings",
    "Run": "flatproof.verify.two_layer.training",
    "Result": "flatproof.verify.two_layer.training",
    "train": "flatproof.verify.two_layer.training",
    "train_many": "flatproof.verify.two_layer.many",
    "Store": "flatproof.verify.jobs.store",
}
_ROOMS = ("bench", "cli", "curvature", "deep", "experiments", "jobs", "realdata", "report", "two_layer", "utils")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"flatproof.verify.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'flatproof.verify' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
