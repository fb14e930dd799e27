"""Owns what may be minimized besides the trace, and how well networks may have to fit.

At interpolation the Hessian's nonzero eigenvalues are those of K = (2/n) (g_i . g_k), g_i the gradient of f(x_i). A neuron a relu(w . x)
that is active on D adds (2/n) (a^2 x_i . x_k + (w . x_i)(w . x_k)) to K_ik for i, k in D. For t, l, r >= 0 and P >= 0 of trace l,

    t trace + l lambda_max + r |parameters|^2  >=  t tr K + <P, K> + r |parameters|^2  =  sum over neurons of (2/n) (a^2 h_D + w' M_D w),
    M_D = t X_D' X_D + X_D' P X_D + (n/2) r I,   h_D = t |X_D|^2 + tr X_D' P X_D + (n/2) r,

at least (4/n) sqrt(h_D) sqrt(v' M_D v) for v = |a| w; with equality in the first place for the best P. Without lambda_max the trace is
(2/n) sum_i |g_i|^2 for networks that do not interpolate, too: off kinks f'' has no diagonal.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.theory.check_certificate import in_whole, semidefinite
from flatproof.theory.flatness.arrangement import decimal
from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.rational import ONE, ZERO, common, number, solve
from flatproof.theory.networks import Architecture

Inner = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True)
class Objective:
    """trace * (trace of the Hessian) + lambda_max * (its largest eigenvalue) + squares * (sum of the squares of all parameters).

    Attributes:
        trace, lambda_max, squares: the weights.
        inner: M = A'A, (p, p), where networks have the inputs A x in place of x, A (x, 1) with a bias (own/flattest-8): patterns and
            outputs are the same, h_D is the sum of x_i' M x_i in place of |x_i|^2. The trace alone; None for A = I.

    Raises:
        ValueError: for weights that are negative or all 0, and for an M that is not positive definite or stands beside other weights.
    """

    trace: float = 1.0
    lambda_max: float = 0.0
    squares: float = 0.0
    inner: Inner | None = None

    def __post_init__(self) -> None:
        weights = (self.trace, self.lambda_max, self.squares)
        if not (all(0 <= weight < np.inf for weight in weights) and any(weights)):
            raise ValueError(f"the weights of an objective must be numbers >= 0, not all of them 0, got {weights}")
        if self.inner is None:
            return
        if self.lambda_max or self.squares:
            raise ValueError(f"a map of the inputs goes with the trace alone, got weights {weights}")
        size = len(self.inner)
        square = all(len(row) == size for row in self.inner)
        if not (square and all(self.inner[i][k] == self.inner[k][i] for i in range(size) for k in range(i))):
            raise ValueError(f"inner must be a symmetric matrix, got {size} rows of {[len(row) for row in self.inner]} entries")
        if not (semidefinite(in_whole(self.inner)) and np.linalg.matrix_rank(np.array(self.inner, float)) == size):
            raise ValueError("inner must be positive definite")


@dataclass(frozen=True)
class Tolerance:
    """|f(x_i) - y_i| <= each at every sample, or the mean of (f(x_i) - y_i)^2 at most `mean_square`; 0 and 0: interpolation.

    Raises:
        ValueError: for a tolerance that is negative, and for both at once.
    """

    each: float = 0.0
    mean_square: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.each < np.inf and 0 <= self.mean_square < np.inf):
            raise ValueError(f"a tolerance must be a number >= 0, got {self.each}, {self.mean_square}")
        if self.each and self.mean_square:
            raise ValueError("expected a tolerance of each sample or of the mean square, got both")

    @property
    def exact(self) -> bool:
        """Whether networks have to interpolate."""
        return not (self.each or self.mean_square)

    def written(self) -> dict[str, Any]:
        """For JSON."""
        if self.mean_square:
            return {"mean_square": number(decimal(self.mean_square))}
        return {"each": number(decimal(self.each))}


def metrics(points: Array, on: NDArray[np.bool_], objective: Objective, metric: Array | None) -> tuple[Array, Array]:
    """M_D and h_D of each pattern.

    Args:
        points: with the constant appended where there is a bias, (n, p).
        on: on-sets, (M, n).
        objective: the weights.
        metric: P, (n, n); None for 0.

    Returns:
        M_D (M, p, p) and h_D (M,).
    """
    n, p = points.shape
    active = on[:, :, None] * points
    out = objective.trace * np.einsum("mik,mil->mkl", active, active, optimize=True)
    if metric is not None:
        out = out + np.einsum("mik,ij,mjl->mkl", active, metric, active, optimize=True)
    ridge = n / 2 * objective.squares
    inner = np.eye(p) if objective.inner is None else np.array(objective.inner, float)
    return out + ridge * np.eye(p), np.einsum("mkl,kl->m", out, inner) + ridge


def whitening(architecture: Architecture, x: ArrayLike) -> Inner:
    """M of the map that whitens inputs, (X'X / n)^(-1), exactly, and 1 for the constant where there is a bias.

    Args:
        architecture: "no-bias" or "bias".
        x: inputs, (n, d), of rank d, taken as the decimal fractions that they print as.

    Returns:
        M, (p, p).

    Raises:
        ValueError: for inputs that do not span the space.
    """
    rows, unit = common(*[[decimal(c) for c in row] for row in np.asarray(x, float).tolist()])
    d = len(rows[0])
    moments = [[sum(row[a] * row[b] for row in rows) for b in range(d)] for a in range(d)]
    ones, size, out = int(architecture == "bias"), len(rows) * unit**2, list[tuple[Fraction, ...]]()
    for b in range(d):
        column = solve(moments, [Fraction(size * (a == b)) for a in range(d)], [ZERO] * d)
        if column is None:
            raise ValueError(f"inputs that do not span their space of dimension {d} cannot be whitened")
        out.append((*column, *[ZERO] * ones))
    return tuple(out + [(*[ZERO] * d, ONE)] * ones)


def exact_metric(metric: Array, weight: Fraction, digits: int) -> list[list[Fraction]]:
    """P in rational numbers, semidefinite and of the trace that it has to have: its entries to so many binary digits, moved towards I.

    Args:
        metric: P up to rounding, (n, n).
        weight: its trace.
        digits: kept of each entry behind the point.
    """
    n, unit = len(metric), 2**digits
    whole = [[Fraction(round(float(metric[max(i, k), min(i, k)]) * unit), unit) for k in range(n)] for i in range(n)]
    below = Fraction(n, unit) - Fraction(min(0.0, float(np.linalg.eigvalsh(metric)[0]))).limit_denominator(unit)
    for i in range(n):
        whole[i][i] += below
    total = sum(whole[i][i] for i in range(n))
    return [[entry * weight / total for entry in row] for row in whole]
