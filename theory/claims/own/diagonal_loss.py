"""Owns own/diagonal-1 to diagonal-3: a diagonal network's displaced loss, its mean over any law, its Hessian away from a minimum.

The notation of all own/diagonal statements: f(x) = <u * v, x>, beta = u * v, L = (kappa/n) ||X beta - y||^2, Sigma = X'X/n,
g = X'(X beta - y)/n, a scaling c = (c_u, c_v) >= 0, along_u = c_u |v|, along_v = c_v |u|, both = c_u c_v.
"""

from collections.abc import Iterator

import numpy as np
import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.brute_force import instances
from flatproof.theory.claims.coordinates import (
    A,
    B,
    P,
    Q,
    U,
    V,
    X,
    expectation,
    kappa,
    moved,
    pair_hessian,
    residual,
    rho,
    sizes,
    vanishes,
)
from flatproof.theory.diagonal import Diagonal, average_case


@own_claim(
    "diagonal-1",
    """Diagonal network f(x) = <u * v, x>, L = (kappa/n) ||X(u * v) - y||²: L(u + a, v + b) - L(u, v) = kappa (2 g'e + e' Sigma e) with
    e = a v + u b + a b, Sigma = X'X/n, g = X'(X(u * v) - y)/n; at interpolation kappa e' Sigma e. With c_u, c_v >= 0, a = c_u s and
    b = c_v t, e_i is sign(u_i v_i) (c_u |v| s + c_v |u| t + c_u c_v s t)_i up to the signs of s_i and t_i.""",
)
def diagonal_1() -> Iterator[Evidence]:
    """What a displacement does to a diagonal network's loss.

    Only the product u v enters L, and L is quadratic in it.
    """
    along, terms = sp.symbols("t e", real=True), sp.symbols("e_i e_j o", real=True)
    require(vanishes((residual + along[0]) ** 2 - residual**2 - 2 * residual * along[0] - along[0] ** 2), "one sample's increase")
    square = sp.Poly((X[0] * terms[0] + X[1] * terms[1] + terms[2]) ** 2, *terms)
    require(square.coeff_monomial(terms[0] ** 2) == X[0] ** 2, "the coefficient of e_i² is not x_i²")
    require(square.coeff_monomial(terms[0] * terms[1]) == 2 * X[0] * X[1], "that of e_i e_j is not 2 x_i x_j")
    require(vanishes(moved(U[0], V[0], A[0], B[0]) - (A[0] * V[0] + U[0] * B[0] + A[0] * B[0])), "e is not a v + u b + a b")
    c_u, c_v, s, t = sp.symbols("c_u c_v s t", real=True)
    for u, v, sign_u, sign_v in sizes():
        e = moved(u, v, c_u * sign_u * s, c_v * sign_v * t)
        require(vanishes(e - sign_u * sign_v * (c_u * Q[0] * s + c_v * P[0] * t + c_u * c_v * s * t)), "signs do not come out")
    yield Evidence(
        "proved",
        "symbolic, one sample, one coordinate and a pair",
        "every d, n, X, y, u, v, a, b, on and off interpolation",
        "(r + x'e)² - r² = 2 r x'e + (x'e)², whose mean over samples is 2 g'e + e' Sigma e; r = 0 leaves e' Sigma e. s -> sign(u) s and "
        "t -> sign(v) t take the signs out, and leave every ball and every symmetric law as it is.",
    )


@own_claim(
    "diagonal-2",
    """For independent displacements a_i = rho c_u,i z_i and b_i = rho c_v,i z'_i of mean 0 with E z² = tau: E L(w + delta) - L(w) =
    kappa sum_i Sigma_ii (tau rho² (c_u² v² + c_v² u²)_i + tau² rho⁴ (c_u c_v)_i²), exactly in rho, on and off interpolation, whatever the
    law; tau = 1 for N(0, 1), 1/3 for U[-1, 1].""",
    depends_on=("own/diagonal-1",),
)
def diagonal_2() -> Iterator[Evidence]:
    """Average-case sharpness of a diagonal network for every law.

    E e_i = 0 and E e_i e_j = 0 for i != j, because each of a_i, b_i has mean 0 and they are independent.
    """
    tau = sp.Symbol("tau", positive=True)
    c_u, c_v = sp.symbols("c_u c_v", nonnegative=True)
    laws = dict.fromkeys((*A, *B), (sp.Integer(0), tau))
    e, other = (moved(U[k], V[k], rho * c_u * A[k], rho * c_v * B[k]) for k in range(2))
    require(expectation(e, laws) == 0, "e_i has not mean 0: off interpolation 2 g'e would count")
    require(expectation(e * other, laws) == 0, "e_i and e_j are correlated")
    mean = tau * rho**2 * (c_u**2 * V[0] ** 2 + c_v**2 * U[0] ** 2) + tau**2 * rho**4 * c_u**2 * c_v**2
    require(vanishes(expectation(e**2, laws) - mean), "E e_i² is another")
    z = sp.Symbol("z", real=True)
    require(sp.integrate(z**2 / 2, (z, -1, 1)) == sp.Rational(1, 3), "U[-1, 1] has not variance 1/3")
    yield Evidence(
        "proved",
        "symbolic: moments of one coordinate and of two distinct ones",
        "every d, n, X, y, u, v, c (it may depend on w), rho and law of mean 0",
        "no moment above the second occurs: E e_i² = tau rho² (c_u² v² + c_v² u²) + tau² rho⁴ c_u² c_v², E e_i = E e_i e_j = 0",
    )
    worst = 0.0
    for instance, radius in instances(30, 0):
        network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
        shift = radius * np.sin(np.arange(len(instance.y)) + 1)  # away from interpolation
        instance.y = instance.y + shift
        base = float(network.loss(instance.y))
        for scaling in ("none", "elementwise"):
            for norm in ("l2", "linf"):
                exact = instance.mean(radius, np.concatenate(network.scales(scaling)), norm) - base
                worst = max(worst, abs(float(average_case(network, radius, norm, scaling)) - exact) / (base + exact))
    require(worst < 1e-12, f"quadrature differs by {worst:.1e}")
    yield Evidence(
        "tested",
        "quadrature of the loss itself, exact for its degree, three nodes a parameter",
        "30 networks, d <= 3, n <= 5, zeros among u and v, off interpolation; c = 1 and |w|, both laws",
        "agrees to 1e-12",
    )


@own_claim(
    "diagonal-3",
    """Anywhere, Hess L = 2 kappa [[V Sigma V, V Sigma U + G], [U Sigma V + G, U Sigma U]] with G = diag(g): off interpolation the trace,
    scaled or not, and the average case are as at interpolation; the largest eigenvalue is not.""",
    depends_on=("own/diagonal-1", "own/diagonal-2"),
)
def diagonal_3() -> Iterator[Evidence]:
    """A diagonal network's Hessian off interpolation.

    The residual enters d²L/du_i dv_i alone.
    """
    second = pair_hessian()
    outer = sp.Matrix([X[0] * V[0], X[1] * V[1], X[0] * U[0], X[1] * U[1]])
    rest = (second - 2 * kappa * outer * outer.T).applyfunc(sp.expand)
    g = sp.diag(residual * X[0], residual * X[1])
    expected = 2 * kappa * sp.Matrix(sp.BlockMatrix([[sp.zeros(2), g], [g, sp.zeros(2)]]))
    require(rest == expected, "the residual's part is not 2 kappa [[0, G], [G, 0]]")
    require(all(rest[k, k] == 0 for k in range(4)), "the residual enters the diagonal")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates of one sample; the mean over samples",
        "every d, n, X, y, u, v",
        "the residual's part 2 kappa [[0, G], [G, 0]] has a zero diagonal, so tr(C H C) does not see it for any diagonal C; nor does the "
        "average case (own/diagonal-2)",
    )
    at = {X[0]: 1, U[0]: 1, V[0]: 1, kappa: 1, X[1]: 0, U[1]: 0, V[1]: 0}
    on, off = (sp.Matrix(second.subs({**at, residual: r}))[[0, 2], [0, 2]] for r in (0, 1))
    require((on.trace(), off.trace()) == (4, 4), "the traces differ")
    require((max(on.eigenvals()), max(off.eigenvals())) == (4, 6), "largest eigenvalues are not 4 and 6")
    yield Evidence(
        "certified", "exact", "d = n = 1, x = u = v = kappa = 1, y = 1 and y = 0", "trace 4 for both, largest eigenvalue 4 and 6"
    )
