"""Owns the attempt to break an inequality: random starts, then descent on the gap between its two sides."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from flatproof.theory.claims import Evidence, require

Gap = Callable[[NDArray[np.float64]], float]


def try_to_break(
    statement: str, gap: Gap, dimension: int, scope: str, starts: int = 12, steps: int = 150, seed: int = 0
) -> Evidence:
    """Look for a negative relative gap (right - left) / (1 + |left|) by quasi-Newton descent from random starts.

    Args:
        statement: what is tried, for the message.
        gap: of a vector of `dimension` parameters.
        dimension: of that vector.
        scope: of the evidence.
        starts: how many, of sizes 10^-2 to 10^2.
        steps: iterations of L-BFGS a start.
        seed: of the starts.

    Returns:
        Evidence "tested" with the budget and the smallest gap seen.

    Raises:
        EvidenceFailed: at a violation.
    """
    rng = np.random.default_rng(seed)
    smallest, evaluations = np.inf, 0

    def counted(point: NDArray[np.float64]) -> float:
        nonlocal smallest, evaluations
        evaluations += 1
        value = gap(point)
        smallest = min(smallest, value)
        return value

    for _ in range(starts):
        start = 10.0 ** rng.uniform(-2, 2) * rng.standard_normal(dimension)
        minimize(counted, start, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 40 * steps})
    require(smallest > -1e-9, f"{statement} is violated by {-smallest:.3g}")
    return Evidence(
        "tested",
        "falsification search: random starts, then descent on the gap",
        f"{scope}; {starts} starts, {evaluations} evaluations, numpy seed {seed}",
        f"no violation of {statement}; smallest relative gap {max(smallest, 0.0):.1e}",
    )
