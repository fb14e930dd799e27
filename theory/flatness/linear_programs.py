"""Owns the linear programs of this room: cheapest combinations of columns, deepest points of cones, half-spaces that few samples are in.

All are solved by HiGHS through scipy; one that has a solution by construction and is not solved raises NotRealized.
"""

from typing import Any

import numpy as np
from scipy.optimize import linprog

from flatproof.theory.flatness.neurons import Array, NotRealized

EXACTLY: Any = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}  # of HiGHS: the least it takes
REWEIGHTED = 6  # linear programs in search of a neuron near a kink that few samples on it see
BOX = 1e3  # bound of each coordinate of a direction sought


def vertex(outputs: Array, prices: Array, y: Array, tolerance: float = 0.0) -> Array | None:
    """The cheapest alpha >= 0 with |outputs @ alpha - y| <= tolerance, a basic solution.

    Args:
        outputs: columns, (n, K).
        prices: of the columns, (K,).
        y: what they add up to, (n,).
        tolerance: of each entry.

    Returns:
        alpha, (K,), at most n entries of which are positive if tolerance is 0; None if there is none.
    """
    if not len(prices):
        return None
    cost = prices / prices.max()  # HiGHS' tolerances are absolute, and it has been seen to corrupt memory on costs of 1e6
    if tolerance == 0:
        solution = linprog(cost, A_eq=outputs, b_eq=y, method="highs-ds", options=EXACTLY)
    else:
        rows, bounds = np.vstack([outputs, -outputs]), np.concatenate([y + tolerance, tolerance - y])
        solution = linprog(cost, A_ub=rows, b_ub=bounds, method="highs-ds", options=EXACTLY)
    return solution.x if solution.status == 0 else None


def deepest(rows: Array, offset: Array) -> Array:
    """z in a box around 0 with the largest smallest entry of rows @ z + offset, that entry capped at 1.

    Args:
        rows: (k, r).
        offset: (k,).

    Returns:
        z, (r,).

    Raises:
        NotRealized: if the solver fails.
    """
    columns = rows.shape[1]
    reach = 10 * max(1.0, float(np.abs(offset).max()))
    solution = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([-rows, np.ones((len(rows), 1))]),
        b_ub=offset,
        bounds=[*[(-reach, reach)] * columns, (None, 1.0)],
        method="highs",
    )
    if solution.x is None:  # it always has a solution: z = 0
        raise NotRealized(f"a linear program was not solved: {solution.message}")
    return solution.x[:-1]


def fewest(rows: Array, weight: Array) -> tuple[Array, Array]:
    """The direction with the least weighted sum of the positive parts of rows @ delta + 1, which few rows see.

    Args:
        rows: (k, r).
        weight: of the rows, (k,).

    Returns:
        delta (r,), and the multipliers of the rows (k,).

    Raises:
        NotRealized: if the solver fails.
    """
    n, r = rows.shape
    solution = linprog(
        np.concatenate([np.zeros(r), weight]),
        A_ub=np.hstack([rows, -np.eye(n)]),
        b_ub=-np.ones(n),
        bounds=[*[(-BOX, BOX)] * r, *[(0, None)] * n],
        method="highs",
    )
    if solution.x is None:  # it always has a solution: delta = 0
        raise NotRealized(f"a linear program was not solved: {solution.message}")
    return solution.x[:r], -solution.ineqlin.marginals


def most_inside(rows: Array) -> tuple[Array, Array] | None:
    """v with rows @ v >= 0, as many rows as possible away from 0 (the sum of min(row . v, 1) is largest).

    Args:
        rows: (k, r).

    Returns:
        v (r,), and min(row . v, 1) of each row (k,): entries are 0 or 1 up to rounding, as v may be scaled; None if the solver fails.
    """
    n, r = rows.shape
    solution = linprog(
        np.concatenate([np.zeros(r), -np.ones(n)]),
        A_ub=np.hstack([-rows, np.eye(n)]),
        b_ub=np.zeros(n),
        bounds=[*[(-BOX, BOX)] * r, *[(0, 1)] * n],
        method="highs",
    )
    return None if solution.x is None else (solution.x[:r], solution.x[r:])


def least_combination(rows: Array, target: Array) -> Array:
    """kappa >= 0 with kappa @ rows = target, of least sum.

    Args:
        rows: (k, r).
        target: (r,).

    Returns:
        kappa, (k,); infinite if there is none.
    """
    size = float(np.abs(target).max())
    if size == 0:
        return np.zeros(len(rows))
    solution = linprog(np.ones(len(rows)), A_eq=rows.T, b_eq=target / size, method="highs")
    return size * np.asarray(solution.x) if solution.status == 0 else np.full(len(rows), np.inf)
