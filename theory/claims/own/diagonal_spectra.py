"""Owns own/diagonal-4 and diagonal-5: eigenvalues of a diagonal network's scaled Hessian, and its Fisher-Rao norm."""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.andriushchenko2023.diagonal_hessian import printed_hessian
from flatproof.theory.claims.coordinates import U, V, X, kappa, pair_hessian, residual, vanishes


@own_claim(
    "diagonal-4",
    """At interpolation C H C has the nonzero spectrum of 2 kappa R Sigma R, R = diag(r), r_i² = along_u,i² + along_v,i²: the
    largest eigenvalue of H is 2 kappa lambda_max(R Sigma R) with r_i² = u_i² + v_i², and that of |w| H |w| is 4 kappa lambda_max(B
    Sigma B); for diagonal Sigma these are 2 kappa max_i Sigma_ii (u_i² + v_i²) and 4 kappa max_i Sigma_ii beta_i².""",
    depends_on=("andriushchenko2023/diag-1",),
)
def diagonal_4() -> Iterator[Evidence]:
    """Spectrum of a diagonal network's Hessian under any scaling.

    C H C = 2 kappa J' Sigma J with J = [diag(c_u v), diag(c_v u)], and J J' = R².
    """
    second = pair_hessian().subs(residual, 0)
    c = sp.symbols("c_ui c_uj c_vi c_vj", nonnegative=True)
    row = [c[0] * V[0], c[1] * V[1], c[2] * U[0], c[3] * U[1]]  # of J, column a in row a % 2
    for a in range(4):
        for b in range(4):
            entry = c[a] * second[a, b] * c[b]
            require(vanishes(entry - 2 * kappa * row[a] * X[a % 2] * X[b % 2] * row[b]), "C H C is not 2 kappa J' Sigma J")
    crossed = sp.Matrix([[row[0], 0, row[2], 0], [0, row[1], 0, row[3]]])
    require((crossed * crossed.T).is_diagonal(), "J J' is not diagonal")
    require(vanishes((crossed * crossed.T)[0, 0] - c[0] ** 2 * V[0] ** 2 - c[2] ** 2 * U[0] ** 2), "J J' is not R²")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates; cited: M N and N M have the same nonzero eigenvalues, with multiplicity",
        "every d, n, X, u, v, c >= 0 at interpolation",
        "J' Sigma J, Sigma^(1/2) J J' Sigma^(1/2) and R Sigma R share their nonzero eigenvalues; a diagonal matrix shows its own",
    )
    t, half = sp.Symbol("t"), sp.Rational(1, 2)
    (u, v), (c_u, c_v), x = ((1, -1, 2), (3, 0, -2)), ((1, 2, 0), (3, half, 1)), sp.Matrix([[1, 2, -1], [2, 0, 1]])
    scaled = sp.diag(*c_u, *c_v) * printed_hessian(sp.Matrix(u), sp.Matrix(v), x.T * x / 2) * sp.diag(*c_u, *c_v)
    square = sp.diag(*[(a * q) ** 2 + (b * p) ** 2 for a, b, p, q in zip(c_u, c_v, u, v, strict=True)])
    small = (x.T * x * square).charpoly(t).as_expr()
    require(vanishes(scaled.charpoly(t).as_expr() - t**3 * small), "the characteristic polynomials differ")
    yield Evidence(
        "certified",
        "exact characteristic polynomials",
        "d = 3, n = 2, a zero in v and in c",
        "det(t - C H C) = t^d det(t - 2 Sigma R²)",
    )


@own_claim(
    "diagonal-5",
    """The Fisher-Rao norm of the model's own Fisher matrix is w'Gw = 8 kappa beta' Sigma beta; at interpolation 8 kappa ||y||²/n,
    the same for every network that fits the data, and the empirical one is 0: neither says anything of generalization.""",
)
def diagonal_5() -> Iterator[Evidence]:
    """Fisher-Rao norm of a diagonal network.

    f is homogeneous of degree 2 in w, so (df/dw) w = 2 f (Euler).
    """
    output = sum(X[k] * U[k] * V[k] for k in range(2))
    along = sum(w * sp.diff(output, w) for w in (*U, *V))
    require(vanishes(along - 2 * output), "(df/dw) w is not 2 f")
    slope, second = (sp.diff(kappa * residual**2, residual, k) for k in (1, 2))
    require(vanishes(second * along**2 - 8 * kappa * output**2), "a sample's share is not 8 kappa f²")
    require((slope * along).subs(residual, 0) == 0, "the empirical norm does not vanish")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates of one sample; the mean over samples",
        "every d, n, X, u, v",
        "(1/n) sum_k 2 kappa (2 f_k)² = 8 kappa beta' Sigma beta, and f_k = y_k; the empirical norm has r_k² as a factor",
    )
