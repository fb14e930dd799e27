"""Owns how the kernels round the smallest numbers: to 0, which costs nothing, where a processor of the x86 family can.

A neuron that dies out shrinks by a factor a step until its weights are below the smallest normal number, 1e-38 in single precision.
There Intel's processors take many cycles for a product: most of the time of figures 7a and 9a of wen2023 went there.
Sim-BN's single-sample steps, of which none was seen to suffer, round as always.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from flatproof.theory.compiled import literal_kernel

ZERO = 0x8040  # bits of the control word: results that are subnormal become 0, and so do operands
HERE = platform.machine().lower() in ("x86_64", "amd64")

_word = ir.IntType(32)
_instruction = ir.FunctionType(ir.VoidType(), [ir.PointerType(ir.IntType(8))])


@intrinsic
def _stored(context):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, _word)
        store = cgutils.get_or_insert_function(builder.module, _instruction, "llvm.x86.sse.stmxcsr")
        builder.call(store, [builder.bitcast(place, _instruction.args[0])])
        return builder.load(place)

    return types.uint32(), generate


@intrinsic
def _loaded(context, word):  # type: ignore[no-untyped-def]
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once_value(builder, args[0])
        load = cgutils.get_or_insert_function(builder.module, _instruction, "llvm.x86.sse.ldmxcsr")
        builder.call(load, [builder.bitcast(place, _instruction.args[0])])
        return context.get_dummy_value()

    return types.void(types.uint32), generate


@literal_kernel
def _control():  # type: ignore[no-untyped-def]
    """The control word of this thread."""
    return _stored()


@literal_kernel
def _set_control(word):  # type: ignore[no-untyped-def]
    _loaded(word)


@contextmanager
def flushed() -> Iterator[None]:
    """In this thread subnormal numbers are 0."""
    if not HERE:
        yield
        return
    before = np.uint32(_control())
    _set_control(before | np.uint32(ZERO))
    try:
        yield
    finally:
        _set_control(before)
