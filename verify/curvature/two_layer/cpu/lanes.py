"""Owns explicit vectors for compiled loops on the CPU: a `Lanes` value is a fixed number of floats, added and multiplied as one.

A compiler turns a loop over a short row into vector instructions only where it can prove that nothing it writes is read again, which it
cannot for arrays it is handed: it guards or gives up, and the row is 3 to 10 times slower (measured on the sums of `subset_sums`). Here
the vector is a type of its own, so the loops say what is meant; how many registers hold it is left to the machine. For use within
compiled functions only. Nothing is checked. Arrays are one-dimensional and contiguous, places count their entries.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator, misc"
import operator
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

I32 = ir.IntType(32)
Typed = tuple[Any, Callable[..., Any]] | None


def instruction(function: Callable[..., Typed]) -> Callable[..., Any]:
    """A function of compiled code from one that types a call and names what generates it; its first argument is not the caller's."""
    return cast(Callable[..., Any], intrinsic(function))


class Lanes(types.Type):
    """The type of `count` floats of type `dtype` side by side."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(f"Lanes({dtype}, {count})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        item = ir.FloatType() if lanes.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, lanes, ir.VectorType(item, lanes.count))


def _spread(builder: Any, scalar: Any, count: int) -> Any:
    vector = ir.VectorType(scalar.type, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32, 0))
    places = ir.Constant(ir.VectorType(I32, count), [0] * count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), places)


def _place(builder: Any, pointer: Any, place: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [place]), vector.as_pointer())


def _mask(builder: Any, count: int, low: Any, high: Any) -> Any:
    lane = ir.Constant(ir.VectorType(I32, count), list(range(count)))
    least, bound = (_spread(builder, builder.trunc(t, I32), count) for t in (low, high))
    return builder.and_(builder.icmp_signed(">=", lane, least), builder.icmp_signed("<", lane, bound))


def _masked(builder: Any, what: str, lanes: Lanes, result: Any, arguments: list[Any]) -> Any:
    name = f"llvm.masked.{what}.v{lanes.count}f{lanes.dtype.bitwidth}.p0"
    function = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


@instruction
def zeros(typing: Any, array: Any, size: Any) -> Typed:
    """A vector of zeros of `size` bytes (a literal), of the array's precision."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    lanes = Lanes(array.dtype, size.literal_value * 8 // array.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(lanes), [0.0] * lanes.count)

    return lanes(array, size), generate


@instruction
def width(typing: Any, lanes: Lanes) -> Typed:
    """How many floats the vector holds."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, lanes.count)

    return types.intp(lanes), generate


@instruction
def start(typing: Any, array: Any) -> Typed:
    """Where the array begins. It does not keep the array alive: take it of a function's arguments only."""
    pointer = cast(Any, types).CPointer(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return pointer(array), generate


@instruction
def load(typing: Any, like: Lanes, pointer: Any, place: Any) -> Typed:
    """The entries from `place` on, as many as `like` holds."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place_ = _place(builder, args[1], args[2], args[0].type)
        return builder.load(place_, align=like.dtype.bitwidth // 8)

    return like(like, pointer, types.intp), generate


@instruction
def store(typing: Any, pointer: Any, place: Any, lanes: Lanes) -> Typed:
    """Writes the vector to the entries from `place` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place_ = _place(builder, args[0], args[1], args[2].type)
        builder.store(args[2], place_, align=lanes.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(pointer, types.intp, lanes), generate


@instruction
def load_between(typing: Any, like: Lanes, pointer: Any, place: Any, low: Any, high: Any) -> Typed:
    """Like `load`, but only lanes low <= l < high are read; the others are 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = args[0].type
        place_ = _place(builder, args[1], args[2], vector)
        mask, nothing = _mask(builder, like.count, args[3], args[4]), ir.Constant(vector, [0.0] * like.count)
        return _masked(builder, "load", like, vector, [place_, ir.Constant(I32, like.dtype.bitwidth // 8), mask, nothing])

    return like(like, pointer, types.intp, types.intp, types.intp), generate


@instruction
def store_between(typing: Any, pointer: Any, place: Any, lanes: Lanes, low: Any, high: Any) -> Typed:
    """Like `store`, but only lanes low <= l < high are written."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place_ = _place(builder, args[0], args[1], args[2].type)
        mask = _mask(builder, lanes.count, args[3], args[4])
        _masked(builder, "store", lanes, ir.VoidType(), [args[2], place_, ir.Constant(I32, lanes.dtype.bitwidth // 8), mask])
        return context.get_dummy_value()

    return types.void(pointer, types.intp, lanes, types.intp, types.intp), generate


@instruction
def first(typing: Any, lanes: Lanes) -> Typed:
    """The entry in lane 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], ir.Constant(I32, 0))

    return lanes.dtype(lanes), generate


@instruction
def with_first(typing: Any, lanes: Lanes, value: Any) -> Typed:
    """The same vector with `value` in lane 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.insert_element(args[0], args[1], ir.Constant(I32, 0))

    return lanes(lanes, lanes.dtype), generate


@instruction
def total(typing: Any, lanes: Lanes) -> Typed:
    """The sum of the entries, by halves."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector, count = args[0], lanes.count
        while count > 1:
            count //= 2
            halves = (list(range(count)), list(range(count, 2 * count)))
            nothing = ir.Constant(vector.type, ir.Undefined)
            places = (ir.Constant(ir.VectorType(I32, count), half) for half in halves)
            vector = builder.fadd(*(builder.shuffle_vector(vector, nothing, p) for p in places))
        return builder.extract_element(vector, ir.Constant(I32, 0))

    return lanes.dtype(lanes), generate


@infer_global(operator.add)
class _Sum(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
            return signature(args[0], *args)
        return None


@infer_global(operator.mul)
class _Product(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        """A scalar, on the left, multiplies every lane."""
        if len(args) == 2 and isinstance(args[1], Lanes) and args[0] in (args[1], args[1].dtype):
            return signature(args[1], *args)
        return None


@lower_builtin(operator.add, Lanes, Lanes)
def _add(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fadd(*args)


@lower_builtin(operator.mul, Lanes, Lanes)
def _multiply(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fmul(*args)


@lower_builtin(operator.mul, types.Float, Lanes)
def _scale(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fmul(_spread(builder, args[0], sig.args[1].count), args[1])
