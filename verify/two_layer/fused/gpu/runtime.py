"""Owns how the GPU kernels run: compiled by Triton, or, on a machine without a GPU, in Triton's interpreter (slow, for checks)."""

import os
from collections.abc import Callable
from typing import Any

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

try:
    import triton  # after the lines above: its own functions are made compiled or interpreted at import
    import triton.language as tl
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("the GPU kernels need Triton; expected the extra gpu: flatproof[gpu]") from missing

__all__ = ["COMPILED", "DEVICE", "kernel", "tl"]

COMPILED = os.environ.get("TRITON_INTERPRET", "0") != "1"
if not COMPILED and isinstance(tl.sum, triton.JITFunction):
    raise RuntimeError(
        "triton was imported before TRITON_INTERPRET=1 was set; expected it set from the start where there is no GPU"
    )
DEVICE = torch.device("cuda" if torch.cuda.is_available() and COMPILED else "cpu")


def kernel(function: Callable[..., Any]) -> Any:
    """A kernel, or a function that kernels call. Loop bounds are no constants: one compilation serves every number of steps."""
    counts = [name for name in ("steps", "rows") if name in function.__code__.co_varnames[: function.__code__.co_argcount]]
    return triton.jit(function, do_not_specialize=counts)
