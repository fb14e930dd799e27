"""Owns andriushchenko2023/diag-1, diag-2, diag-5 and diag-10: a diagonal network's Hessian, its trace, scaled or not, its spectrum."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.claims.brute_force import instances
from flatproof.theory.claims.coordinates import P, Q, U, V, X, kappa, pair_hessian, residual, sizes, vanishes
from flatproof.theory.claims.search import try_to_break

NETWORK = "andriushchenko2023/diagonal-network"


def rational_instances() -> list[tuple[sp.Matrix, sp.Matrix, sp.Matrix]]:
    """u, v and X with n < d, n = d and n > d; zeros in u, in v, in both, and a column of zeros."""
    return [
        (sp.Matrix([2, -1, 3]), sp.Matrix([1, 4, -2]), sp.Matrix([[1, 2, -1], [0, 1, 3]])),
        (sp.Matrix([0, -1, 3]), sp.Matrix([5, 0, 1]), sp.Matrix([[1, 2, -1], [2, 0, 1], [1, 1, 1]])),
        (sp.Matrix([0, -2]), sp.Matrix([0, sp.Rational(1, 3)]), sp.Matrix([[1, 2], [0, 1], [-1, 3]])),
        (sp.Matrix([1, 2]), sp.Matrix([-3, 1]), sp.Matrix([[0, 2]])),
    ]


def printed_hessian(u: sp.Matrix, v: sp.Matrix, sigma: sp.Matrix) -> sp.Matrix:
    """2 [[V Sigma V, V Sigma U], [U Sigma V, U Sigma U]]."""
    u, v = sp.diag(*u), sp.diag(*v)
    return 2 * sp.Matrix(sp.BlockMatrix([[v * sigma * v, v * sigma * u], [u * sigma * v, u * sigma * u]]))


@claim(
    "andriushchenko2023/diag-1",
    printed="H = 2 kappa [[V Sigma V, V Sigma U], [U Sigma V, U Sigma U]], U = diag(u), V = diag(v), at interpolation.",
    depends_on=(NETWORK,),
)
def diag_1() -> Iterator[Evidence]:
    """The Hessian of a diagonal network.

    A sample's loss kappa r² has the second derivatives 2 kappa (dr/ds dr/dt + r d²r/ds dt), and r = 0. (andriushchenko2023, diagonal
    network)
    """
    second = pair_hessian().subs(residual, 0)
    for i in range(2):
        for j in range(2):
            entry = 2 * kappa * X[i] * X[j]
            require(vanishes(second[i, j] - entry * V[i] * V[j]), "d²L/du_i du_j is not 2 kappa v_i Sigma_ij v_j")
            require(vanishes(second[i, 2 + j] - entry * V[i] * U[j]), "d²L/du_i dv_j is not 2 kappa v_i Sigma_ij u_j")
            require(vanishes(second[2 + i, 2 + j] - entry * U[i] * U[j]), "d²L/dv_i dv_j is not 2 kappa u_i Sigma_ij u_j")
    yield Evidence(
        "proved",
        "symbolic, i = j and i != j of one sample, the other coordinates in the residual alone; the mean over samples",
        "every d, n, X, u, v and kappa at interpolation; own/diagonal-3 has it elsewhere",
        "x_i x_j times v_i v_j, v_i u_j, u_i u_j; their means have Sigma_ij in place of x_i x_j",
    )
    for u, v, x in rational_instances():
        d, n = len(u), x.rows
        at_u, at_v = sp.symbols(f"s:{d}"), sp.symbols(f"t:{d}")
        residuals = x * sp.Matrix([s * t - p * q for s, t, p, q in zip(at_u, at_v, u, v, strict=True)])
        whole = sp.hessian(sum(r**2 for r in residuals) / n, (*at_u, *at_v))
        here = whole.subs(dict(zip((*at_u, *at_v), (*u, *v), strict=True)))
        require(here == printed_hessian(u, v, x.T * x / n), f"differs at u = {list(u)}")
    yield Evidence(
        "certified",
        "exact: the whole loss differentiated",
        "4 rational networks, d = 2 and 3, n = 1 to 3, with zeros, kappa = 1",
        "agrees entry by entry",
    )


@claim(
    "andriushchenko2023/diag-2",
    printed="tr H = 2 kappa sum_i Sigma_ii (u_i² + v_i²) >= 4 kappa sum_i Sigma_ii |beta_i|, equality iff |u| = |v|.",
    depends_on=("andriushchenko2023/diag-1",),
)
def diag_2() -> Iterator[Evidence]:
    """The trace of the Hessian, and its least value.

    u_i² + v_i² - 2 |u_i v_i| = (|u_i| - |v_i|)². (andriushchenko2023, diagonal network)
    """
    second = pair_hessian()
    require(vanishes(second[0, 0] + second[2, 2] - 2 * kappa * X[0] ** 2 * (U[0] ** 2 + V[0] ** 2)), "a coordinate's share")
    for u, v, sign_u, sign_v in sizes():
        require(vanishes(u**2 + v**2 - 2 * sign_u * sign_v * u * v - (P[0] - Q[0]) ** 2), "the gap is not (|u| - |v|)²")
    yield Evidence(
        "proved",
        "symbolic, one coordinate by the signs of u and v",
        "the corrected statement, every d, n, X, u, v; zeros included, and off interpolation too (own/diagonal-3)",
        "the gap is 2 kappa sum_i Sigma_ii (|u_i| - |v_i|)²: a sum of terms >= 0, 0 iff each is",
    )
    u, v, x = sp.Matrix([1, 1]), sp.Matrix([1, 0]), sp.Matrix([[1, 0]])
    require(printed_hessian(u, v, x.T * x).trace() == 4, "the counterexample's trace is not 4")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "d = 2, n = 1, kappa = 1: x = (1, 0), y = 1, u = (1, 1), v = (1, 0)",
        "tr H = 2 (1 + 1) = 4 = 4 sum_i Sigma_ii |beta_i|, though |u_2| = 1 and |v_2| = 0: Sigma_22 = 0, no sample sees coordinate 2.",
        corrected="Equality iff |u_i| = |v_i| for every i with Sigma_ii > 0; where all are positive, iff |u| = |v|.",
        target="statement",
        severity="boundary",
    )
    points = np.random.default_rng(0).standard_normal((2, 3))

    def gap(w: NDArray[np.float64]) -> float:
        floor = 4 * float(np.mean(points**2, axis=0) @ np.abs(w[:3] * w[3:]))
        gradients = np.hstack([points * w[3:], points * w[:3]])  # of f at each sample: Tr = (2/n) sum of their squares
        return (2 * float(np.sum(gradients**2)) / len(points) - floor) / (1 + floor)

    yield try_to_break("tr H >= 4 kappa sum_i Sigma_ii |beta_i|", gap, 6, "d = 3, n = 2, kappa = 1")


@claim(
    "andriushchenko2023/diag-5",
    printed="|w| H |w| has the nonzero spectrum of 4 kappa B Sigma B, B = diag|beta|.",
    depends_on=("andriushchenko2023/diag-1",),
)
def diag_5() -> Iterator[Evidence]:
    """The spectrum of the adaptive Hessian.

    |w| H |w| = Q (4 kappa B Sigma B) Q' with Q'Q = I, Q = [diag(sign v); diag(sign u)]/sqrt 2. (andriushchenko2023, diagonal network)
    """
    second = pair_hessian().subs(residual, 0)
    scale = (*P, *Q)
    for u_i, v_i, su_i, sv_i in sizes(0):
        for u_j, v_j, su_j, sv_j in sizes(1):
            here = second.subs(dict(zip((*U, *V), (u_i, u_j, v_i, v_j), strict=True)), simultaneous=True)
            signs = (sv_i, sv_j, su_i, su_j)  # of u's rows those of v, and the reverse
            for a in range(4):
                for b in range(4):
                    i, j = a % 2, b % 2
                    core = 4 * kappa * P[i] * Q[i] * X[i] * X[j] * P[j] * Q[j]
                    entry = scale[a] * here[a, b] * scale[b]
                    require(
                        vanishes(entry - sp.Rational(signs[a] * signs[b], 2) * core), "an entry is not Q (4 kappa B Sigma B) Q'"
                    )
            require(sv_i**2 + su_i**2 == 2, "Q'Q is not I")
    yield Evidence(
        "proved",
        "symbolic, i = j and i != j by the signs of u and v; cited: M Q'Q and Q M Q' have the same nonzero eigenvalues, with "
        "multiplicity",
        "every d, n, X, u, v at interpolation; with sign(0) = 1 zeros need no exception",
        "|w| H |w| = Q (4 kappa B Sigma B) Q' with orthonormal columns of Q: the spectrum of 4 kappa B Sigma B and d zeros",
    )
    t = sp.Symbol("t")
    for u, v, x in rational_instances():
        sigma, w = x.T * x / x.rows, sp.diag(*[abs(z) for z in (*u, *v)])
        b = sp.diag(*[abs(p * q) for p, q in zip(u, v, strict=True)])
        left = (w * printed_hessian(u, v, sigma) * w).charpoly(t).as_expr()
        require(vanishes(left - t ** len(u) * (4 * b * sigma * b).charpoly(t).as_expr()), f"another spectrum at u = {list(u)}")
    yield Evidence(
        "certified",
        "exact characteristic polynomials",
        "4 rational networks, d = 2 and 3, n = 1 to 3, with zeros in u, in v and in both, kappa = 1",
        "det(t - |w|H|w|) = t^d det(t - 4 B Sigma B)",
    )


@claim(
    "andriushchenko2023/diag-10",
    printed="""c_u = |u|^q |v|^(q-1), c_v likewise: trace 4 kappa sum_i Sigma_ii |beta_i|^(2q), unchanged by u -> alpha u, v ->
    v/alpha for every q: every lp^p of beta is an invariant average sharpness.""",
    depends_on=("andriushchenko2023/diag-1", "andriushchenko2023/average-case", "own/diagonal-1"),
)
def diag_10() -> Iterator[Evidence]:
    """Scalings whose average sharpness is any power of beta.

    c_u |v| = c_v |u| = |beta|^q. (andriushchenko2023, diagonal network)
    """
    p, q, size = sp.symbols("p_i q_i alpha", positive=True)
    power = sp.Symbol("q", real=True)
    c_u, c_v = p**power * q ** (power - 1), q**power * p ** (power - 1)
    require(sp.powsimp(c_u * q - (p * q) ** power) == 0, "c_u |v| is not |beta|^q")
    require(sp.powsimp(c_v * p - (p * q) ** power) == 0, "c_v |u| is not |beta|^q")
    require(sp.powsimp(sp.expand(c_u * c_v), force=True).equals((p * q) ** (2 * power - 1)), "c_u c_v is not |beta|^(2q-1)")
    scaled = c_u.subs({p: size * p, q: q / size}, simultaneous=True)
    require(sp.simplify(sp.expand_power_base(scaled, force=True) / c_u) == size, "c_u does not become alpha c_u")
    second = pair_hessian()
    share = second[0, 0].subs(V[0], q) * c_u**2 + second[2, 2].subs(U[0], p) * c_v**2
    require(sp.simplify(share - 4 * kappa * X[0] ** 2 * (p * q) ** (2 * power)) == 0, "a coordinate's share is another")
    for exponent in (sp.Integer(1), sp.Rational(3, 2), sp.Integer(2)):  # a zero at q >= 1: 0^0 = 1, or 0 to a power above 0
        for zero in ({p: 0}, {q: 0}, {p: 0, q: 0}):
            at = share.subs(power, exponent).subs(zero)
            require(at == 0, f"with zeros the share is {at} at q = {exponent}")
    yield Evidence(
        "proved",
        "symbolic, one coordinate, q a symbol",
        "the corrected statement, every d, n, X; per-coordinate alpha_i != 0 too (own/diagonal-6)",
        "c_u |v| = c_v |u| = |beta|^q and c_u c_v = |beta|^(2q-1), which alpha leaves alone. The whole average is kappa sum_i Sigma_ii "
        "(2 rho² |beta_i|^(2q) + rho⁴ |beta_i|^(4q-2)), its leading term rho²/2 times the trace: Sigma_ii-weighted lp^p with p = 2q.",
    )
    trace = {beta: 4 * (1 * abs(Fraction(beta[0])) + 4 * abs(Fraction(beta[1]))) for beta in ((4, 0), (0, 1))}
    require(len(set(trace.values())) == 1, "the weighted traces differ")
    require(sp.zoo == sp.Integer(0) ** sp.Rational(-1, 2), "0^(-1/2) is a number")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "d = n = 1, x = kappa = 1, y = 0, q = 1/2, u = 1, v = 0",
        "c_u = |u|^(1/2) |v|^(-1/2) is infinite at v = 0: the scaling, its trace and its average are undefined for q < 1 where a "
        "coordinate "
        "of u or v is 0, which sparse beta has. And the norm is Sigma_ii-weighted: with q = 1/2, Sigma = diag(1, 4), beta = (4, 0) and "
        "(0, 1) have one trace, 16 kappa, and l1 norms 4 and 1.",
        corrected="For q >= 1 always, for q < 1 where no u_i or v_i is 0 (the trace extends to 0 there by continuity for q > 0): every "
        "Sigma_ii-weighted lp^p of beta, p = 2q > 0, is an invariant average sharpness; lp^p itself where all Sigma_ii are equal.",
        target="statement",
        severity="boundary",
    )
    worst = 0.0
    for k, (instance, radius) in enumerate(instances(40, 5)):
        u, v, exponent = np.abs(instance.u), np.abs(instance.v), (0.5, 0.75, 1.5)[k % 3]
        beta, variances = u * v, np.mean(instance.x**2, axis=0)
        if beta.all():
            c = np.concatenate([u**exponent * v ** (exponent - 1), v**exponent * u ** (exponent - 1)])
            closed = (
                instance.kappa * variances @ (2 * radius**2 * beta ** (2 * exponent) + radius**4 * beta ** (4 * exponent - 2))
            )
            worst = max(worst, abs(float(closed) / instance.mean(radius, c, "l2") - 1))
    require(worst < 1e-10, f"quadrature differs by {worst:.1e}")
    yield Evidence(
        "tested",
        "quadrature of the loss itself, exact for its degree, three nodes a parameter",
        "the networks without zeros among 40, d <= 3, n <= 5; q = 1/2, 3/4 and 3/2",
        "the whole average agrees to 1e-10",
    )
