"""Owns andriushchenko2023's definitions, and diag-3 and diag-4: the average case on a diagonal network, exactly in rho."""

from collections.abc import Iterator

import numpy as np
import sympy as sp

from flatproof.theory.claims import Evidence, claim, definition, require
from flatproof.theory.claims.brute_force import instances
from flatproof.theory.claims.coordinates import A, B, P, Q, U, V, expectation, moved, rho, sizes, vanishes
from flatproof.theory.diagonal import VARIANCES, Diagonal, average_case

definition(
    "andriushchenko2023/diagonal-network",
    "Diagonal linear network",
    "f(x) = <u * v, x>, L = (kappa/n) ||X(u * v) - y||², beta = u * v, Sigma = X'X/n, at interpolation, X beta = y.",
)
definition(
    "andriushchenko2023/average-case",
    "Average-case sharpness",
    """S_avg = E_S E_delta L_S(w + delta) - L_S(w), delta = rho c * N(0, 1) ("l2") or rho c * U[-1, 1] ("linf"), elementwise; c = 1 or
    c = |w|, over all parameters; batches S of size m.""",
)
definition(
    "andriushchenko2023/worst-case",
    "Worst-case sharpness",
    "S_max = E_S max over ||delta * c^-1||_p <= rho of L_S(w + delta) - L_S(w), p = 2 or infinity; c and S as for the average case.",
)
NORMAL = (sp.Integer(0), sp.Integer(1))  # mean and mean square of N(0, 1); no higher moment occurs
UNIFORM = (sp.Integer(0), sp.Rational(1, 3))
RESTS_ON = ("own/diagonal-1", "andriushchenko2023/diagonal-network", "andriushchenko2023/average-case")


def quadrature(scaling: str, norm: str) -> Evidence:
    """The closed form beside an exact quadrature of the loss itself."""
    worst = 0.0
    for instance, radius in instances(24, 3):
        network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
        w = np.concatenate([instance.u, instance.v])
        exact = instance.mean(radius, np.abs(w) if scaling == "elementwise" else np.ones_like(w), norm)
        worst = max(worst, abs(float(average_case(network, radius, norm, scaling)) - exact) / max(exact, 1e-12))
    require(worst < 1e-10, f"quadrature differs by {worst:.1e}")
    return Evidence(
        "tested",
        "quadrature of the loss itself, exact for its degree, three nodes a parameter",
        f"24 networks, d <= 3, n <= 5, zeros among u and v; variance {VARIANCES[norm]:.3g} rho²",
        "agrees to 1e-10",
        reading="Gaussian displacements" if norm == "l2" else "uniform displacements",
    )


@claim(
    "andriushchenko2023/diag-3",
    printed="Average case, c = 1, exactly in rho: kappa sum_i Sigma_ii (rho² (u_i² + v_i²) + rho⁴).",
    depends_on=RESTS_ON,
    reading="Gaussian displacements",
)
def diag_3() -> Iterator[Evidence]:
    """Average case with c = 1.

    E e_i² = rho² (u_i² + v_i²) + rho⁴ and E e_i e_j = 0. (andriushchenko2023, diagonal network)
    """
    e, other = (moved(U[k], V[k], rho * A[k], rho * B[k]) for k in range(2))
    for law, square in ((NORMAL, rho**2), (UNIFORM, rho**2 / 3)):
        laws = dict.fromkeys((*A, *B), law)
        require(expectation(e * other, laws) == 0, "e_i and e_j are correlated")
        require(vanishes(expectation(e**2, laws) - square * (U[0] ** 2 + V[0] ** 2) - square**2), "E e_i² is another")
    yield Evidence(
        "proved",
        "symbolic: moments of one coordinate and of two distinct ones",
        "every d, n, X, u, v and rho; zeros included",
        "E e_i e_j = 0 for i != j and E e_i² = rho² (u_i² + v_i²) + rho⁴; it holds off interpolation too (own/diagonal-2)",
        reading="Gaussian displacements",
    )
    yield quadrature("none", "l2")
    yield Evidence(
        "refuted",
        "counterexample, symbolic",
        "d = n = 1, x = u = v = kappa = rho = 1",
        "E e² = 1/3 + 1/3 + 1/9 = 7/9, not 3: the variance of U[-1, 1] is 1/3, and with rho²/3 in place of rho² the form holds.",
        corrected="kappa sum_i Sigma_ii ((rho²/3) (u_i² + v_i²) + rho⁴/9) for the linf law.",
        target="statement",
        severity="constant or sign",
        reading="uniform displacements",
    )
    yield quadrature("none", "linf")


@claim(
    "andriushchenko2023/diag-4",
    printed="Average, c = |w|, exactly: kappa (2 rho² + rho⁴) sum_i Sigma_ii beta_i².",
    depends_on=RESTS_ON,
    reading="Gaussian displacements",
)
def diag_4() -> Iterator[Evidence]:
    """Average case with c = |w|.

    a = rho |u| z, b = rho |v| z': E e_i² = (2 rho² + rho⁴) beta_i². (andriushchenko2023, diagonal network)
    """
    for law, square in ((NORMAL, rho**2), (UNIFORM, rho**2 / 3)):
        laws = dict.fromkeys((*A, *B), law)
        for u, v, _, _ in sizes(0):
            e = moved(u, v, rho * P[0] * A[0], rho * Q[0] * B[0])
            require(vanishes(expectation(e**2, laws) - (2 * square + square**2) * (u * v) ** 2), "E e_i² is another")
            for u_j, v_j, _, _ in sizes(1):
                other = moved(u_j, v_j, rho * P[1] * A[1], rho * Q[1] * B[1])
                require(expectation(e * other, laws) == 0, "e_i and e_j are correlated")
    yield Evidence(
        "proved",
        "symbolic: moments of one coordinate and of two distinct ones, by the signs of u and v",
        "every d, n, X, u, v and rho; a parameter that is 0 is not moved, and its term is 0 on both sides",
        "E e_i e_j = 0 for i != j and E e_i² = (2 rho² + rho⁴) beta_i²; it holds off interpolation too (own/diagonal-2)",
        reading="Gaussian displacements",
    )
    yield quadrature("elementwise", "l2")
    yield Evidence(
        "refuted",
        "counterexample, symbolic",
        "d = n = 1, x = u = v = kappa = rho = 1",
        "E e² = 2/3 + 1/9 = 7/9, not 3: the variance of U[-1, 1] is 1/3, and with rho²/3 in place of rho² the form holds.",
        corrected="kappa (2 rho²/3 + rho⁴/9) sum_i Sigma_ii beta_i² for the linf law.",
        target="statement",
        severity="constant or sign",
        reading="uniform displacements",
    )
    yield quadrature("elementwise", "linf")
