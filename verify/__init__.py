"""What training and measuring show: runs, kernels, sweeps, experiments. Heavy imports happen on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatproof.verify import curvature, deep, realdata
    from flatproof.verify.jobs.store import Store
    from flatproof.verify.two_layer.many import train_many
    from flatproof.verify.two_layer.settings import DataSpec, Phase
    from flatproof.verify.two_layer.training import Result, Run, train

__all__ = ["DataSpec", "Phase", "Result", "Run", "Store", "curvature", "deep", "realdata", "train", "train_many"]

_HOME = {
    "DataSpec": "flatproof.verify.two_layer.settings",
    "Phase": "flatproof.verify.two_layer.settings",
    "Run": "flatproof.verify.two_layer.training",
    "Result": "flatproof.verify.two_layer.training",
    "train": "flatproof.verify.two_layer.training",
    "train_many": "flatproof.verify.two_layer.many",
    "Store": "flatproof.verify.jobs.store",
}
_ROOMS = ("curvature", "deep", "realdata")


def __getattr__(name: str) -> Any:
    import importlib

    if name in _ROOMS:
        return importlib.import_module(f"flatproof.verify.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'flatproof.verify' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
