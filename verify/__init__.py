"""What training and measuring show: runs, kernels, sweeps, experiments. Heavy imports happen on first use."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify import curvature, fused
    from verify.many import train_many
    from verify.runs import DataSpec, Phase, Run
    from verify.store import Store
    from verify.training import Result, train

__all__ = ["DataSpec", "Phase", "Result", "Run", "Store", "curvature", "fused", "train", "train_many"]

_HOME = {
    "DataSpec": "verify.runs",
    "Phase": "verify.runs",
    "Run": "verify.runs",
    "Result": "verify.training",
    "train": "verify.training",
    "train_many": "verify.many",
    "Store": "verify.store",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("curvature", "fused"):
        return importlib.import_module(f"verify.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'verify' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
