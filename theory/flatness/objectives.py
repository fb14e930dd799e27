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
from numpy.typing import NDArray

from flatproof.theory.flatness.neurons import Array
from flatproof.theory.flatness.patterns import decimal
from flatproof.theory.flatness.rational import number


@dataclass(frozen=True)
class Objective:
    """trace * (trace of the Hessian) + lambda_max * (its largest eigenvalue) + squares * (sum of the squares of all parameters).

    Raises:
        ValueError: for weights that are negative or all 0.
    """

    trace: float = 1.0
    lambda_max: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.trace, self.lambda_max, self.squares)
        if not (all(0 <= weight < np.inf for weight in weights) and any(weights)):
            raise ValueError(f"the weights of an objective must be numbers >= 0, not all of them 0, got {weights}")


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
    return out + ridge * np.eye(p), np.trace(out, axis1=1, axis2=2) + ridge


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
