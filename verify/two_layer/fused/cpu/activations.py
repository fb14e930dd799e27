"""Owns softplus on vectors of neurons: h = log(1 + e^z) and h' = 1/(1 + e^-z), from t = e^-|z|, which lies in [0, 1].

    t = 2^k e^r,  k the whole number nearest to -|z| / ln 2,  |r| <= (ln 2)/2,  e^r by its Taylor polynomial
    h = max(z, 0) + log(1 + t),  log(1 + t) = t + t^2 Q(t),  Q the polynomial that interpolates at Chebyshev's nodes of [0, 1]
    h' = 1/(1 + t) for z > 0, else t/(1 + t)

Errors are below 2.5 units in the last place. Where z is so small that e^z is about to be no normal number (below -87 in float32,
-708 in float64), h and h' are 0. NaN stays NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import factorial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LN2 = Fraction("0.69314718055994530941723212145817656807550013436026")


@dataclass(frozen=True)
class _Precision:
    """mantissa: its bits. short: bits that ln 2 is rounded to so that k ln 2 is exact. least: e^least is a normal number.
    taylor: degree for e^r. q: the coefficients of Q, constant first."""

    mantissa: int
    short: int
    least: float
    taylor: int
    q: tuple[float, ...]


_FLOAT32 = _Precision(
    23,
    16,
    -87.0,
    7,
    (-0.5, 0.33333236, -0.2499676, 0.19956708, -0.16365153, 0.13033365, -0.09139414, 0.049309973, -0.017184267, 0.002801642),
)
_FLOAT64 = _Precision(
    52,
    40,
    -708.0,
    13,
    (
        *(-0.5, 0.33333333333332466, -0.2499999999987205, 0.1999999999247163, -0.1666666643097834, 0.14285709745445543),
        *(-0.12499941281507687, 0.11110571142855806, -0.09996324347550137, 0.09071835292534261, -0.0825618541627825),
        *(0.07444817019942226, -0.06504010366036855, 0.053223522460321214, -0.03912505115233944, 0.024682950191684934),
        *(-0.012732150528247672, 0.005081090478548994, -0.0014569248473329174, 0.000265295970542531, -2.2938856818471438e-05),
    ),
)


class _Vectors:
    """Arithmetic of the builder's vectors, with numbers as constants."""

    def __init__(self, builder: ir.IRBuilder, kind: ir.VectorType) -> None:
        self.builder, self.kind, self.flags = builder, kind, ("contract", "nsz")
        self.whole = ir.VectorType(ir.IntType(32 if kind.element == ir.FloatType() else 64), kind.count)

    def constant(self, number: float) -> Any:
        return ir.Constant(self.kind, [number] * self.kind.count)

    def add(self, x: Any, y: Any) -> Any:
        return self.builder.fadd(x, y, flags=self.flags)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """x y + z, which becomes one instruction where the machine has it."""
        return self.add(self.builder.fmul(x, y, flags=self.flags), z)

    def polynomial(self, coefficients: Sequence[float], x: Any) -> Any:
        """The constant first, by Horner's rule."""
        value = self.constant(coefficients[-1])
        for number in coefficients[-2::-1]:
            value = self.multiply_add(value, x, self.constant(number))
        return value

    def exponential(self, x: Any, precision: _Precision) -> Any:
        """e^x for x <= 0."""
        builder = self.builder
        high = Fraction(round(LN2 * 2**precision.short), 2**precision.short)
        magic = self.constant(1.5 * 2.0**precision.mantissa)  # numbers of this size have no fraction: adding it rounds
        shifted = self.multiply_add(x, self.constant(float(1 / LN2)), magic)
        k = builder.fsub(shifted, magic, flags=self.flags)
        r = self.multiply_add(k, self.constant(-float(high)), x)
        r = self.multiply_add(k, self.constant(-float(LN2 - high)), r)
        rest = self.polynomial([1 / factorial(i) for i in range(2, precision.taylor + 1)], r)
        e = self.add(self.multiply_add(builder.fmul(r, r, flags=self.flags), rest, r), self.constant(1.0))
        exponent = builder.shl(  # k stands in the last bits of shifted, and goes to where e has its exponent
            builder.bitcast(shifted, self.whole), ir.Constant(self.whole, [precision.mantissa] * self.kind.count)
        )
        scaled = builder.bitcast(builder.add(builder.bitcast(e, self.whole), exponent), self.kind)
        tiny = builder.fcmp_ordered("<", x, self.constant(precision.least))
        return builder.select(tiny, ir.Constant(self.kind, None), scaled)


@intrinsic  # type: ignore[untyped-decorator]
def softplus(_context: Any, z: Any) -> Any:
    """(h, h') neuron by neuron."""

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        vectors, v = _Vectors(builder, values[0].type), values[0]
        precision = _FLOAT32 if z.dtype == types.float32 else _FLOAT64
        nil, one = ir.Constant(v.type, None), vectors.constant(1.0)
        positive = builder.fcmp_ordered(">", v, nil)
        t = vectors.exponential(builder.select(positive, builder.fneg(v), v), precision)
        square = builder.fmul(t, t, flags=vectors.flags)
        log = vectors.multiply_add(square, vectors.polynomial(precision.q, t), t)
        h = vectors.add(builder.select(positive, v, nil), log)
        slope = builder.fdiv(builder.select(positive, one, t), vectors.add(one, t), flags=vectors.flags)
        return context.make_tuple(builder, signature.return_type, (h, slope))

    return types.UniTuple(z, 2)(z), generate
