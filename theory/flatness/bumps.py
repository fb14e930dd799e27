"""Owns exact interpolation of many points in short numbers: weights improved digit by digit, and bumps for what is left.

Solving n equations exactly takes numbers of n times as many digits. Instead coefficients are refined: the residual is known exactly, its
correction in floating point, and each round adds digits. What is left after a few rounds, next to nothing, three neurons take at each
point: with w . x_i = 0 and N so large that N w + t x_i has the signs of w at all other points for |t| <= 3,

    relu((N w - x_i) . x) - 2 relu((N w + x_i) . x) + relu((N w + 3 x_i) . x)

is |x_i|^2 at x_i and 0 at all points on other lines: where w . x > 0 the three add up to 0, the second difference of a linear function.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from flatproof.theory.flatness.rational import ZERO, Rationals, Whole, common, short

Objects = NDArray[Any]
ROUNDS = 5  # of refinement; each gives what double precision has of the correction, 1e-5 to 1e-12 of the residual
INDEPENDENT = 1e-12  # columns whose pivot is smaller, relative, are left as they are
TRIES = 40  # directions w tried at a point


def refined(active: Objects, start: Rationals, right: Rationals) -> tuple[Rationals, Rationals]:
    """Short coefficients that fit nearly, and what they leave.

    Args:
        active: activations in whole numbers, (n, K).
        start: coefficients that fit to rounding, (K,).
        right: what they fit, (n,).

    Returns:
        Coefficients and the residual, exactly.
    """
    sizes = [1 << max(int(c) for c in column).bit_length() for column in active.T]  # powers of two: no rounding comes from them
    unit = np.array([[int(c) / size for c, size in zip(row, sizes, strict=True)] for row in active])
    q, r, order = qr(unit, mode="economic", pivoting=True)
    rank = int(np.sum(np.abs(np.diag(r)) > INDEPENDENT * abs(r[0, 0])))
    coefficients = list(start)
    for k in range(ROUNDS + 1):
        (given,), denominator = common(coefficients)
        outputs = active @ np.array(given, object)
        residual = [b - Fraction(int(z), denominator) for b, z in zip(right, outputs, strict=True)]
        largest = max(map(abs, residual))
        if not largest or k == ROUNDS:
            break
        scale = _power(largest)
        scaled = np.array([float(c / scale) for c in residual])
        change = solve_triangular(r[:rank, :rank], (q.T @ scaled)[:rank])
        for j, value in zip(order[:rank].tolist(), change.tolist(), strict=True):
            coefficients[j] += short(value) * scale / sizes[j]
    return coefficients, residual


def _power(value: Fraction) -> Fraction:
    """A power of two within a factor of 2 of a positive number."""
    return Fraction(2) ** (value.numerator.bit_length() - value.denominator.bit_length())


def bumps(points: Whole, residual: Rationals) -> list[tuple[list[int], Fraction]] | None:
    """Neurons, in whole weights with their coefficients, whose outputs at the points are the residual.

    Args:
        points: in whole numbers, (n, p).
        residual: (n,), what sum_j coefficient_j relu(w_j . x_i) is to be.

    Returns:
        The neurons; None where points of one line ask for what no bump gives, or no direction is found.
    """
    random = np.random.default_rng(0)
    array, out = np.array(points, object), list[tuple[list[int], Fraction]]()
    done = np.zeros(len(points), bool)
    for i, row in enumerate(points):
        if done[i] or not any(row):
            if not any(row) and residual[i]:
                return None
            continue
        pivot = max(range(len(row)), key=lambda k: abs(row[k]))
        line = np.array([all(a * row[pivot] == other[pivot] * b for a, b in zip(other, row, strict=True)) for other in points])
        line &= array.any(axis=1)
        for k in np.flatnonzero(line):
            if residual[k] * abs(row[pivot]) != residual[i] * abs(points[k][pivot]):
                return None
        done |= line
        if not residual[i]:
            continue
        w = _across(array, row, pivot, line, random)
        if w is None:
            return None
        z, own = array @ np.array(w, object), array @ np.array(row, object)
        times = 1 + max(
            (3 * abs(b) // abs(a) + 1 for a, b, on in zip(z, own, line, strict=True) if not on and any((a, b))), default=0
        )
        share = residual[i] / sum(c * c for c in row)
        out += [([times * a + t * b for a, b in zip(w, row, strict=True)], f * share) for t, f in ((-1, 1), (1, -2), (3, 1))]
    return out


def _across(array: Objects, row: list[int], pivot: int, line: NDArray[np.bool_], random: np.random.Generator) -> list[int] | None:
    """A direction on whose hyperplane just one line of points lies, the best of a few random ones; None if none is found."""
    others = array[~line & array.any(axis=1)]
    lengths = np.array([float(max(map(abs, other))) for other in others.tolist()])
    best, widest = None, 0.0
    for _ in range(1 if len(row) <= 2 else TRIES):
        w = [abs(row[pivot]) * int(g) for g in random.integers(1, 64, len(row)) * random.choice([-1, 1], len(row))]
        w[pivot] = 0
        rest = sum(a * b for a, b in zip(w, row, strict=True))
        w[pivot] = -(rest // row[pivot])  # every other entry is a multiple of |row[pivot]|, so that this leaves nothing
        z = np.abs((others @ np.array(w, object)).astype(float)) / lengths if len(others) else np.ones(1)
        size = float(max(map(abs, w), default=0))
        if len(row) == 1:
            return [0] if not len(others) else None
        if size and float(z.min()) / size > widest:
            best, widest = w, float(z.min()) / size
    return best


def fitted(
    active: Objects, points: Whole, start: Rationals, right: Rationals
) -> tuple[Rationals, list[tuple[list[int], Fraction]]] | None:
    """Coefficients and bumps that interpolate exactly.

    Args:
        active: activations of the neurons in whole numbers, (n, K).
        points: in whole numbers, (n, p).
        start: coefficients that fit to rounding, (K,).
        right: what sum_j coefficient_j active_ij is to be, (n,).

    Returns:
        Coefficients (K,) and further neurons; None if bumps do not do.
    """
    if not active.shape[1]:
        coefficients, residual = [ZERO] * 0, list(right)
    else:
        coefficients, residual = refined(active, start, right)
    more = bumps(points, residual)
    return None if more is None else (coefficients, more)
