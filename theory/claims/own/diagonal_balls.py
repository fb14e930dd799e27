"""Owns own/diagonal-12 and diagonal-13: the worst case of a diagonal network over a ball, exact or bracketed."""

from collections.abc import Iterator

import numpy as np
import sympy as sp

from flatproof.theory import diagonal
from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.brute_force import instances
from flatproof.theory.claims.coordinates import vanishes
from flatproof.theory.diagonal import Diagonal

a, b, c, root, top = sp.symbols("a b c s S", nonnegative=True)  # along_u, along_v, both; square roots of budgets
cosine, sine = sp.symbols("cos sin", nonnegative=True)


@own_claim(
    "diagonal-12",
    """For diagonal Sigma the worst case over ||(s, t)||_2 <= rho at interpolation is exactly kappa max_i Sigma_ii m_i², m_i = max
    over an angle of rho (along_u cos + along_v sin) + rho² both cos sin in coordinate i alone: kappa max_i Sigma_ii beta_i² (sqrt
    2 rho + rho²/2)² for c = |w|; kappa max_i Sigma_ii (sqrt 2 rho |beta_i|^(1/2) + rho²/2)² for c = 1 and |u| = |v|; a root of a
    quartic for c = 1 else.""",
    depends_on=("own/diagonal-1",),
)
def diagonal_12() -> Iterator[Evidence]:
    """Worst case over a ball for diagonal covariance, exactly in rho.

    At each angle the reach over the root of its budget increases, so all of the budget goes to one coordinate.
    """
    value = root * (a * cosine + b * sine) + root**2 * c * cosine * sine
    ratio = sp.expand(value / root)
    gap = sp.Poly(sp.expand(ratio.subs(root, root + top) - ratio), root, top, a, b, c, cosine, sine)
    require(all(k >= 0 for k in gap.coeffs()), "m(s)/s does not increase at a fixed angle")
    half = 1 / sp.sqrt(2)
    for terms, closed in (
        ({a: root, b: root, c: root}, root * (sp.sqrt(2) * top + top**2 / 2)),
        ({a: root, b: root, c: 1}, root * sp.sqrt(2) * top + top**2 / 2),
    ):
        reached = (top * (a * cosine + b * sine) + top**2 * c * cosine * sine).subs({cosine: half, sine: half}).subs(terms)
        require(vanishes(reached - closed), "at 45 degrees another value")
    angle = sp.Symbol("theta", real=True)
    square = sp.expand(2 * (cosine**2 + sine**2) - (cosine + sine) ** 2)
    require(vanishes(square - (cosine - sine) ** 2), "cos + sin <= sqrt 2 has another gap")
    require(sp.simplify(sp.cos(angle) * sp.sin(angle) - sp.sin(2 * angle) / 2) == 0, "cos sin is not sin(2 theta)/2")
    lam, s, t = sp.symbols("lambda s t", positive=True)
    solved = sp.solve([a + c * t - lam * s, b + c * s - lam * t], [s, t], dict=True)[0]
    plus, minus = (solved[s] + solved[t]) / sp.sqrt(2), (solved[s] - solved[t]) / sp.sqrt(2)
    require(sp.simplify(plus - (a + b) / sp.sqrt(2) / (lam - c)) == 0, "the part along (1, 1) is another")
    require(sp.simplify(minus - (a - b) / sp.sqrt(2) / (lam + c)) == 0, "the part along (1, -1) is another")
    yield Evidence(
        "proved",
        "symbolic, one coordinate; then sum_i Sigma_ii m_i(r_i)² <= sum_i Sigma_ii m_i(rho)² r_i/rho² <= max_i Sigma_ii m_i(rho)²",
        "every d, n, u, v, c >= 0 and rho with diagonal Sigma; zeros included",
        "m(s)/s is a maximum of increasing functions; with equal linear terms the angle is 45 degrees; else (a + b)²/2/(lambda - c)² + "
        "(a - b)²/2/(lambda + c)² = rho², whose one root lambda >= c bisection finds (the sphere's Lagrange condition)",
    )
    rng, least, most = np.random.default_rng(2), np.inf, 0.0
    for instance, rho in instances(24, 14, uncorrelated=True):
        network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
        exact = float(diagonal.worst_case_l2(network, rho, "none")[1])
        reached = instance.over_ball(rho, np.ones(2 * len(instance.u)), rng) / exact
        least, most = min(least, reached), max(most, reached)
    require(most < 1 + 1e-9 and least > 1 - 1e-5, f"ascents find {least} to {most} of the maximum")
    yield Evidence(
        "tested",
        "ascents from 64 random points a network, the best one finished by quasi-Newton steps, c = 1",
        "24 networks with Sigma = I, d <= 3, zeros among u and v; numpy seeds 14 and 2",
        f"the largest value found is {least:.6f} to {most:.6f} of it",
    )


@own_claim(
    "diagonal-13",
    """For every Sigma the worst case S over ||(s, t)||_2 <= rho at interpolation lies between kappa max_i Sigma_ii m_i² and kappa
    lambda_max(M Sigma M), M = diag(m), m as in own/diagonal-12: for c = |w| at most kappa (sqrt 2 rho + rho²/2)² lambda_max(B
    Sigma B), and S/rho² tends to 2 kappa lambda_max(B Sigma B) as rho -> 0.""",
    depends_on=("own/diagonal-12", "own/diagonal-4"),
)
def diagonal_13() -> Iterator[Evidence]:
    """Worst case over a ball for every covariance, bracketed.

    |e_i| <= m_i(rho) (r_i)^(1/2)/rho with budgets r_i that sum to rho².
    """
    rho = sp.Symbol("rho", positive=True)
    bound = (sp.sqrt(2) * rho + rho**2 / 2) ** 2 / rho**2
    require(sp.limit(bound, rho, 0) == 2, "the bound over rho² does not tend to 2")
    yield Evidence(
        "proved",
        "exact argument from own/diagonal-12, symbolic limit",
        "every d, n, X, u, v, c >= 0 and rho",
        "m(s)/s increases, so |e_i| <= m_i f_i with f_i = (r_i)^(1/2)/rho and ||f||_2 <= 1: e' Sigma e <= lambda_max(M Sigma M) "
        "||f||². One "
        "coordinate alone attains the lower bound. S >= rho²/2 lambda_max(|w| H |w|) - O(rho³), and the upper bound has the same limit",
    )
    rng, inside = np.random.default_rng(3), []
    for instance, radius in instances(24, 15):
        network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
        for scaling in ("none", "elementwise"):
            low, high = map(float, diagonal.worst_case_l2(network, radius, scaling))
            if high > 0:
                reached = instance.over_ball(radius, np.concatenate(network.scales(scaling)), rng)
                require(low * (1 - 1e-5) <= reached <= high * (1 + 1e-9), f"an ascent reaches {reached}, outside [{low}, {high}]")
                inside.append(low / high)
    yield Evidence(
        "tested",
        "ascents from 64 random points a network, the best one finished by quasi-Newton steps",
        f"24 networks, d <= 3, n <= 5, zeros among u and v, c = 1 and |w|; numpy seeds 15 and 3; {len(inside)} brackets",
        f"inside every bracket; its lower end is {min(inside):.3f} to {max(inside):.3f} of the upper one",
    )
