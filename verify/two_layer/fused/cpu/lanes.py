"""Owns arithmetic on groups of neurons side by side: arrays of the kernels end in an axis of LANES neurons, taken as one vector.

    v = load(w, (j, p))          the neurons w[j, p, :]
    store(w, (j, p), 2 * v + v)  operators act neuron by neuron; plain numbers stand for all neurons alike
    total(v)                     their sum, always in the same order

Written-out vectors, not loops left to the compiler, for two reasons. A sum over neurons always has the same rounding: a compiler
that vectorizes a sum guards it with a test of where the arrays lie in memory, and falls back to another order of summation. And
vectors kept in registers across a loop over inputs take a matrix product near the machine's peak.

A vector is two of the machine's widest registers, so that each number that is broadcast serves two multiplications. How wide it
is decides the order of sums: results have the same bits on machines of one kind.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import populate_array
from numpy.typing import DTypeLike, NDArray

from flatproof.theory.compiled import kernel

BYTES = 128 if "+avx512f" in get_host_cpu_features() else 64  # 128 in registers of 32 bytes: 1.3 µs a step for 0.83
LINE = 64  # a vector that straddles cache lines costs two loads

_int32 = ir.IntType(32)


def width(dtype: DTypeLike) -> int:
    """Numbers in a vector: 32 of float32 where registers hold 64 bytes."""
    return BYTES // np.dtype(dtype).itemsize


def zeros(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros of the shape, beginning at a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


@kernel
def scratch(shape, like):  # type: ignore[no-untyped-def]
    """Within a kernel: an uninitialized array of the shape, beginning at a cache line, of the precision of `like`."""
    size, count = 1, LINE // like.itemsize
    for length in shape:
        size *= length
    memory = np.empty(size + count, like.dtype)
    start = -(memory.ctypes.data // like.itemsize) % count
    return memory[start : start + size].reshape(shape)


def stretch(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rows (m, k) to (m, groups, LANES), vectors along each row, filled up with zeros."""
    (m, k), lanes = rows.shape, width(rows.dtype)
    stretched = zeros((m, -(-k // lanes), lanes), rows.dtype)
    stretched.reshape(m, -1)[:, :k] = rows
    return stretched


def pack(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Neurons (m, ...) to (groups, ..., LANES); those that fill the last group are zero."""
    lanes, m = width(rows.dtype), len(rows)
    packed = zeros((-(-m // lanes), *rows.shape[1:], lanes), rows.dtype)
    for lane in range(lanes):
        part = rows[lane::lanes]
        packed[: len(part), ..., lane] = part
    return packed


def unpack(packed: NDArray[np.floating], m: int) -> NDArray[np.floating]:
    """The first m neurons of `pack`, (m, ...)."""
    rows = np.moveaxis(packed, -1, 1)
    return np.ascontiguousarray(rows.reshape(-1, *rows.shape[2:])[:m])


class Lanes(types.Type):  # type: ignore[misc]
    """The compiler's type of such a vector."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.dtype).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, BYTES * 8 // lanes.dtype.bitwidth))


def _pointer(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
    """Address of array[index, :], by the array's strides."""
    array_type, index_type = signature.args[:2]
    array = context.make_array(array_type)(context, builder, values[0])
    strides = cgutils.unpack_tuple(builder, array.strides)
    many = isinstance(index_type, types.BaseTuple)
    indices = cgutils.unpack_tuple(builder, values[1]) if many else [values[1]]
    if array_type.layout == "C" and len(indices) == array_type.ndim - 1:  # known when the kernel is compiled
        strides = [*strides[: len(indices) - 1], ir.Constant(ir.IntType(64), BYTES)]
    offset = ir.Constant(ir.IntType(64), 0)
    for stride, index, kind in zip(strides, indices, index_type if many else [index_type], strict=False):
        offset = builder.add(offset, builder.mul(stride, context.cast(builder, index, kind, types.intp)))
    vector = context.get_value_type(Lanes(array_type.dtype))
    return cgutils.pointer_add(builder, array.data, offset, vector.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load(_context: Any, array: Any, index: Any) -> Any:
    """The vector array[index] of an array whose last axis is LANES, contiguous; the others may be strided."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        return builder.load(_pointer(context, builder, signature, values), align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, index), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(_context: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] = value."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        builder.store(values[2], _pointer(context, builder, signature, values), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def swapped(_context: Any, array: Any) -> Any:
    """The array with its first two axes exchanged, a view. numba's own `transpose` takes a second to compile."""
    view = array.copy(layout="A")

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        old, new = context.make_array(array)(context, builder, values[0]), context.make_array(view)(context, builder)
        shape, strides = (cgutils.unpack_tuple(builder, part) for part in (old.shape, old.strides))
        populate_array(
            new,
            data=old.data,
            shape=[shape[1], shape[0], *shape[2:]],
            strides=[strides[1], strides[0], *strides[2:]],
            itemsize=old.itemsize,
            meminfo=old.meminfo,
        )
        return impl_ret_borrowed(context, builder, view, new._getvalue())

    return view(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def nought(_context: Any, array: Any) -> Any:
    """The zero vector of an array's precision."""
    lanes = Lanes(array.dtype)
    return lanes(array), lambda context, builder, signature, values: ir.Constant(context.get_value_type(lanes), None)


def _splat(builder: Any, vector: Any, number: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, _int32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_int32, vector.count), None))


def _elementwise(name: str) -> Any:
    """The instruction on two vectors, or on a vector and a number. A product and a sum may become one fused instruction."""

    @intrinsic  # type: ignore[untyped-decorator]
    def operation(_context: Any, x: Any, y: Any) -> Any:
        lanes = x if isinstance(x, Lanes) else y

        def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
            vector = context.get_value_type(lanes)
            sides = [
                value if isinstance(kind, Lanes) else _splat(builder, vector, context.cast(builder, value, kind, lanes.dtype))
                for kind, value in zip(signature.args, values, strict=True)
            ]
            return getattr(builder, name)(*sides, flags=("contract", "nsz"))

        return lanes(x, y), generate

    return operation


def _define(function: Callable[..., Any], operation: Any) -> None:
    @overload(function)
    def implementation(x, y):  # type: ignore[no-untyped-def]  # its signature must be the inner function's
        return (lambda x, y: operation(x, y)) if isinstance(x, Lanes) or isinstance(y, Lanes) else None


for _operators, _name in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _operator in _operators:
        _define(_operator, _elementwise(_name))


@intrinsic  # type: ignore[untyped-decorator]
def relu(_context: Any, z: Any) -> Any:
    """max(z, 0) neuron by neuron; NaN stays NaN, so that it reaches the residual."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        nil = ir.Constant(values[0].type, None)
        return builder.select(builder.fcmp_ordered(">", nil, values[0]), nil, values[0])

    return z(z), generate


@intrinsic  # type: ignore[untyped-decorator]
def root(_context: Any, v: Any) -> Any:
    """The square root neuron by neuron."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        vector = values[0].type
        name = f"llvm.sqrt.v{vector.count}f{v.dtype.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name), values)

    return v(v), generate


@intrinsic  # type: ignore[untyped-decorator]
def where_positive(_context: Any, z: Any, v: Any) -> Any:
    """v where z > 0, else 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        nil = ir.Constant(values[1].type, None)
        return builder.select(builder.fcmp_ordered(">", values[0], nil), values[1], nil)

    return v(z, v), generate


@intrinsic  # type: ignore[untyped-decorator]
def total(_context: Any, v: Any) -> Any:
    """The sum over a vector's neurons, by halves."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        part = values[0]
        while part.type.count > 1:
            half = part.type.count // 2
            kind = ir.VectorType(_int32, half)
            low, high = (ir.Constant(kind, list(range(start, start + half))) for start in (0, half))
            part = builder.fadd(builder.shuffle_vector(part, part, low), builder.shuffle_vector(part, part, high))
        return builder.extract_element(part, _int32(0))

    return v.dtype(v), generate


@intrinsic  # type: ignore[untyped-decorator]
def below(_context: Any, v: Any, bound: Any) -> Any:
    """The neurons in which v < bound, as the bits of an integer."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        vector = values[0].type
        limit = _splat(builder, vector, context.cast(builder, values[1], signature.args[1], v.dtype))
        bits = builder.bitcast(builder.fcmp_ordered("<", values[0], limit), ir.IntType(vector.count))
        return builder.zext(bits, ir.IntType(64))

    return types.uint64(v, bound), generate


@intrinsic  # type: ignore[untyped-decorator]
def first_bit(_context: Any, bits: Any) -> Any:
    """The place of an integer's lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
