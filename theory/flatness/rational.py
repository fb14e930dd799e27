"""Owns exact arithmetic: linear systems and projections on cones in rational numbers, and how such numbers are shortened and written."""

from collections.abc import Sequence
from fractions import Fraction
from math import frexp, isqrt, lcm
from operator import mul
from typing import Any

Rationals = list[Fraction]
Whole = list[list[int]]
BITS = 48  # significant bits kept of the dual point's entries and of multipliers
ZERO, ONE = Fraction(0), Fraction(1)


def nearest(gram: Whole, target: Rationals, cone: Whole) -> tuple[Rationals, dict[int, Fraction]] | None:
    """The point of a cone nearest a target in the metric of a matrix, in exact arithmetic.

    The active-set method with Bland's rule, from 0.

    Args:
        gram: the matrix, positive semidefinite, (p, p).
        target: (p,).
        cone: rows, (k, p): the cone is {v : row . v >= 0 for all}.

    Returns:
        v minimizing v' gram v / 2 - target . v in the cone, and multipliers mu with gram v - target = sum_i mu_i row_i; None if it cycles
        or there is no minimum.
    """
    p = len(gram)
    v, working = [ZERO] * p, list[int]()
    for _ in range(50 * len(cone)):
        matrix = [row + [-cone[i][k] for i in working] for k, row in enumerate(gram)]
        matrix += [cone[i] + [0] * len(working) for i in working]
        right = [t - dot(row, v) for t, row in zip(target, gram, strict=True)] + [ZERO] * len(working)
        solution = solve(matrix, right, [ZERO] * (p + len(working)))
        if solution is None:  # gram is singular where the working constraints meet: far along a direction that it does not see
            (whole,), unit = common(target)
            matrix, right = [*gram, *(cone[i] for i in working), whole], [ZERO] * (p + len(working)) + [Fraction(unit)]
            step, mu, length = solve(matrix, right, [ZERO] * p), dict.fromkeys(working, ZERO), None
            if step is None:
                return None
        else:
            step, mu, length = solution[:p], dict(zip(working, solution[p:], strict=True)), ONE
        blocking = -1
        for i, row in enumerate(cone):
            slope = dot(row, step)
            if i not in mu and slope < 0 and (length is None or dot(row, v) / -slope < length):
                length, blocking = dot(row, v) / -slope, i
        if length is None:
            return None
        v = [a + length * b for a, b in zip(v, step, strict=True)]
        if blocking >= 0:
            working.append(blocking)
        elif leaving := [i for i in working if mu[i] < 0]:
            working.remove(min(leaving))
        else:
            return v, mu
    return None


def solve(matrix: Whole, right: Rationals, free: Rationals) -> Rationals | None:
    """Solve a linear system that may have too many or too few unknowns.

    Gauss-Jordan elimination in whole numbers (Bareiss 1968): every entry is a minor of the matrix, so that divisions leave nothing.

    Args:
        matrix: (k, m), whole numbers.
        right: (k,).
        free: what unknowns are where the system leaves them open, (m,).

    Returns:
        z with matrix z = right, z_j = free_j except at the pivots, the first independent columns; None if there is none.
    """
    (given, start), denominator = common(right, free)
    rows = [[*row, b - sum(map(mul, row, start))] for row, b in zip(matrix, given, strict=True)]
    pivots, last = list[int](), 1
    for j in range(len(free)):
        k = len(pivots)
        if k == len(rows):
            break
        candidates = [i for i in range(k, len(rows)) if rows[i][j]]
        if not candidates:
            continue
        chosen = min(candidates, key=lambda i: abs(rows[i][j]))
        rows[k], rows[chosen] = rows[chosen], rows[k]
        top = rows[k]
        for i, row in enumerate(rows):
            if i != k:
                rows[i] = [(top[j] * a - row[j] * b) // last for a, b in zip(row, top, strict=True)]
        last = top[j]
        pivots.append(j)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    out = list(free)
    for j, row in zip(pivots, rows, strict=False):
        out[j] += Fraction(row[-1], last * denominator)
    return out


def short(value: float) -> Fraction:
    """The first BITS significant bits."""
    mantissa, exponent = frexp(value)
    return Fraction(int(mantissa * 2**BITS)) * Fraction(2) ** (exponent - BITS)


def common(*rows: Sequence[Fraction | int]) -> tuple[list[list[int]], int]:
    """Numbers as whole multiples of one unit fraction 1 / denominator, and that denominator."""
    denominator = lcm(*(value.denominator for row in rows for value in row))
    return [[value.numerator * (denominator // value.denominator) for value in row] for row in rows], denominator


def as_whole(row: Sequence[float | Fraction]) -> list[int]:
    """A positive multiple of numbers, exactly, in whole numbers."""
    exact = [Fraction(value) for value in row]
    factor = lcm(*(value.denominator for value in exact))
    return [int(value * factor) for value in exact]


def root(square: Fraction) -> Fraction:
    """A short number whose square is at least the one given, closely."""
    if not square:
        return ZERO
    bits = max(0, BITS + 8 - (square.numerator.bit_length() - square.denominator.bit_length()) // 2)
    return Fraction(isqrt(int(square * 4**bits)) + 1, 2**bits)


def dot(u: Sequence[Any], v: Sequence[Fraction]) -> Fraction:
    """u . v."""
    return sum((a * b for a, b in zip(u, v, strict=True)), ZERO)


def number(value: Fraction | int) -> int | str:
    """A whole number where it is one that any reader of JSON keeps, "a/b" otherwise."""
    return value.numerator if value.denominator == 1 and abs(value.numerator) < 2**53 else str(value)


def numbers(values: Sequence[Fraction] | Sequence[int]) -> list[int | str]:
    """`number` of each."""
    return [number(value) for value in values]
