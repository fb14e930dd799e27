"""Owns the orthonormal polynomials of a Lanczos recurrence: the sum of their squares bounds the largest eigenvalue (`lanczos` says how)."""

import math

import numpy as np
from scipy import special
from scipy.linalg import eigh_tridiagonal

from flatproof.verify.curvature.estimates import Floats


def probability_quantile(confidence: float, columns: int = 1) -> float:
    """t with P(every one of `columns` independent |N(0, 1)| < t) = 1 - confidence."""
    return float(special.ndtri(0.5 + 0.5 * (1 - confidence) ** (1 / columns)))


def jacobi(T: Floats, start: Floats, steps: int) -> tuple[Floats, Floats, Floats]:
    """Lanczos on a small matrix.

    Args:
        T: symmetric, (s, s).
        start: (s,).
        steps: at most so many.

    Returns:
        The diagonal (k,), the off-diagonals after each step (k,) and the last vector (s,), k <= steps.
    """
    alphas, betas, basis = [], [], [start / np.linalg.norm(start)]
    scale = float(np.abs(T).sum(axis=1).max(initial=0.0))
    while True:
        product = T @ basis[-1]
        alphas.append(float(basis[-1] @ product))
        for _ in range(2):
            product = product - np.array(basis).T @ (np.array(basis) @ product)
        betas.append(float(np.linalg.norm(product)))
        if len(alphas) >= steps or betas[-1] <= 1e-13 * scale:
            return np.array(alphas), np.array(betas), basis[-1]
        basis.append(product / betas[-1])


def excluded(alphas: Floats, betas: Floats, ratio: float, value: float) -> bool:
    """Whether value lies beyond the largest Ritz value with sum_{j <= k} p_j(value)^2 > ratio. If so for one, then for all above it.

    Args:
        alphas: of the recurrence beta_{j+1} p_{j+1} = (lambda - alpha_{j+1}) p_j - beta_j p_{j-1} with p_0 = 1, (k,).
        betas: of the same, above 0, (k,).
        ratio: ||g||^2 / t^2.
        value: what may be excluded.
    """
    # q_j = p_j / p_{j-1} is positive beyond the top Ritz value: no overflow, only sums of logarithms
    log_p, log_total, log_ratio, quotient, before = 0.0, 0.0, math.log(ratio), math.inf, 0.0
    beyond = log_total > log_ratio
    for a, b in zip(alphas.tolist(), betas.tolist(), strict=True):
        pull = value - a - before / quotient
        if pull <= 0:  # not beyond the top Ritz value
            return False
        if not beyond:
            log_p += math.log(pull) - math.log(b)
            high, low = max(log_total, 2 * log_p), min(log_total, 2 * log_p)
            log_total = high + math.log1p(math.exp(low - high))
            beyond = log_total > log_ratio
        quotient, before = pull / b, b
    return beyond


def christoffel_bound(alphas: Floats, betas: Floats, ratio: float) -> float:
    """The lambda above the largest Ritz value from which on `excluded` holds; that Ritz value itself for a last beta of 0."""
    top = float(ritz_values(alphas, betas)[-1])
    if betas[-1] <= 0:
        return top
    reach = 1e-3 * max(abs(top), float(betas.max()))
    low = 0.0
    while not excluded(alphas, betas, ratio, top + reach):
        low, reach = reach, 2 * reach
        if not math.isfinite(top + reach):
            return math.inf
    high = reach
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(alphas, betas, ratio, top + middle) else (middle, high)
    return top + high


def ritz_values(alphas: Floats, betas: Floats) -> Floats:
    """Eigenvalues of the tridiagonal matrix, ascending, (k,)."""
    return np.asarray(eigh_tridiagonal(alphas, betas[:-1], eigvals_only=True)) if len(alphas) > 1 else np.asarray(alphas)
