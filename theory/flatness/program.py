"""Owns the convex program of the flattest network as one reads it, in cvxpy: the reference that the fast solver is tested against.

    minimize    sum_{D, +-} c_D ||D X v_{D,+-}||
    subject to  sum_D D X (v_{D,+} - v_{D,-}) = y,   S_i x_i . v_{D,+-} >= 0 for all i,

over all activation patterns, S = 2D - 1. A neuron with weights (w, a), v = |a| w, contributes (2/n)(a^2 t_D + ||D X w||^2) to the
trace at interpolation, t_D = sum_{i in D} ||x_i||^2, and (4/n) sqrt(t_D) ||D X v|| after the best rescaling between its layers
(arithmetic against geometric mean): c_D = (4/n) sqrt(t_D) for "no-bias" and "bias". For "sim-bn" the trace is at least
2 sum_j (a_j^2 + gamma_j^2) >= 4 sum_j |a_j gamma_j|, which is approached as W1 grows, and a_j gamma_j = ||D X v|| / sqrt(n):
c_D = 4 / sqrt(n). Neurons of one pattern and sign may be added up: the norm of the sum is no larger.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.networks import Architecture

Array = NDArray[np.floating]


def prices(architecture: Architecture, points: Array, signs: NDArray[np.int8]) -> Array:
    """c_D of each pattern.

    Args:
        architecture: "no-bias", "bias" or "sim-bn".
        points: with the bias folded in, (n, p).
        signs: patterns, (M, n).

    Returns:
        Prices, (M,).
    """
    n, on = len(points), signs > 0
    if architecture == "sim-bn":
        return np.where(on.any(axis=1), 4 / np.sqrt(n), 0.0)
    return 4 / n * np.sqrt(on @ np.sum(points**2, axis=1))


def reference(architecture: Architecture, points: Array, y: Array, signs: NDArray[np.int8]) -> tuple[float, Array]:
    """The least trace over given patterns, through cvxpy.

    Every pattern gets its variables and its cone; build time and memory grow with M n p.

    Args:
        architecture: "no-bias", "bias" or "sim-bn".
        points: with the bias folded in, (n, p).
        y: labels, (n,).
        signs: patterns, (M, n).

    Returns:
        The trace, and the dual point (n,) of the interpolation constraint.

    Raises:
        ValueError: if the solver does not come to an optimum.
    """
    import cvxpy as cp  # only here: the rest of the project runs without it

    on = signs > 0
    signs, on = signs[on.any(axis=1)], on[on.any(axis=1)]
    n, p, patterns = len(points), points.shape[1], len(signs)
    cost: Any = 0
    output: Any = 0
    constraints: list[Any] = []
    for side in (1, -1):
        v, length = cp.Variable((p, patterns)), cp.Variable(patterns)
        active = cp.multiply(on.T.astype(float), points @ v)
        constraints += [cp.multiply(signs.T.astype(float), points @ v) >= 0, cp.SOC(length, active, axis=0)]
        cost, output = cost + prices(architecture, points, signs) @ length, output + side * cp.sum(active, axis=1)
    interpolation = output == y
    problem = cp.Problem(cp.Minimize(cost), [interpolation, *constraints])
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ValueError(f"the program of {n} points and {patterns} patterns is {problem.status}")
    return float(problem.value), -np.asarray(interpolation.dual_value)
