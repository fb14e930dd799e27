"""Owns own/diagonal-14 to diagonal-16: which norm of beta each sharpness is, and so for which targets it can track generalization."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import sympy as sp

from flatproof.theory import diagonal
from flatproof.theory.claims import Dependency, Evidence, corrected, own_claim, require
from flatproof.theory.claims.brute_force import Instance
from flatproof.theory.claims.coordinates import vanishes
from flatproof.theory.diagonal import Diagonal

Vector = Sequence[Fraction]
PROVED: tuple[str | Dependency, ...] = (
    *(f"andriushchenko2023/diag-{k}" for k in (3, 4, 5, 6, 7)),
    corrected("andriushchenko2023/diag-2"),
    corrected("andriushchenko2023/diag-10"),
    *(f"own/diagonal-{k}" for k in (2, 4, 7, 8, 12)),
)
size, rho, tau, kappa = sp.symbols("beta rho tau kappa", positive=True)


@own_claim(
    "diagonal-14",
    """With Sigma = I at interpolation, tau = 1 for the Gaussian and 1/3 for the uniform law. c = |w|: trace 4 kappa ||beta||_2²;
    lambda_max 4 kappa ||beta||_inf²; average kappa (2 tau rho² + tau² rho⁴) ||beta||_2²; worst l2 kappa (sqrt 2 rho + rho²/2)²
    ||beta||_inf²; worst linf kappa (2 rho + rho²)² ||beta||_2². c = 1 at the least over u * v = beta, |u| = |v|: trace 4 kappa
    ||beta||_1; lambda_max 4 kappa ||beta||_inf; average kappa (2 tau rho² ||beta||_1 + tau² rho⁴ d); worst l2 kappa (sqrt 2 rho
    ||beta||_inf^(1/2) + rho²/2)²; worst linf kappa (4 rho² ||beta||_1 + 4 rho³ sum_i |beta_i|^(1/2) + rho⁴ d). c_u = |u|^q
    |v|^(q-1): trace 4 kappa ||beta||_2q^2q. For general Sigma traces and averages are weighted by Sigma_ii; lambda_max is 4 kappa
    lambda_max(B Sigma B) or, at |u| = |v|, 4 kappa lambda_max(Sigma^(1/2) B Sigma^(1/2)).""",
    depends_on=PROVED,
)
def diagonal_14() -> Iterator[Evidence]:
    """Which norm of the predictor each definition of sharpness is.

    The closed forms with Sigma_ii = 1 and, for c = 1, u² = v² = |beta|.
    """
    root = sp.sqrt(size)
    standard, adaptive = (root, root, sp.Integer(1)), (size, size, size)  # along_u, along_v, both at balance
    forms: dict[str, tuple[Callable[..., sp.Expr], sp.Expr, sp.Expr]] = {
        "trace": (lambda a, b, c: 2 * (a**2 + b**2), 4 * size, 4 * size**2),
        "average": (
            lambda a, b, c: tau * rho**2 * (a**2 + b**2) + tau**2 * rho**4 * c**2,
            2 * tau * rho**2 * size + tau**2 * rho**4,
            (2 * tau * rho**2 + tau**2 * rho**4) * size**2,
        ),
        "worst l2": (
            lambda a, b, c: (rho * (a + b) / sp.sqrt(2) + rho**2 * c / 2) ** 2,
            (sp.sqrt(2) * rho * root + rho**2 / 2) ** 2,
            (sp.sqrt(2) * rho + rho**2 / 2) ** 2 * size**2,
        ),
        "worst linf": (
            lambda a, b, c: (rho * (a + b) + rho**2 * c) ** 2,
            4 * rho**2 * size + 4 * rho**3 * root + rho**4,
            (2 * rho + rho**2) ** 2 * size**2,
        ),
    }
    for name, (form, at_balance, scaled) in forms.items():
        require(vanishes(form(*standard) - at_balance), f"{name} with c = 1 is another power of |beta_i|")
        require(vanishes(form(*adaptive) - scaled), f"{name} with c = |w| is another power of |beta_i|")
    yield Evidence(
        "proved",
        "symbolic, one coordinate's share; trace, average and worst linf sum the shares, lambda_max and worst l2 take the largest",
        "every d, beta and rho",
        "along_u = along_v = |beta|^(1/2), both = 1 (c = 1, |u| = |v|) or all three |beta| (c = |w|), put into the closed forms "
        "that it rests on",
    )
    rng = np.random.default_rng(0)
    for d in (1, 2, 3):
        beta, t = rng.standard_normal(d), 0.3
        b, x = np.abs(beta), np.linalg.qr(rng.standard_normal((d + 2, d)))[0] * np.sqrt(d + 2)
        flat = Instance(np.sqrt(b), np.sign(beta) * np.sqrt(b), x, 1.0)
        network = Diagonal(flat.u, flat.v, x)
        ones, w = np.ones(2 * d), np.abs(np.concatenate([flat.u, flat.v]))
        pairs = (
            (np.trace(diagonal.hessian(network)), 4 * b.sum()),
            (np.linalg.eigvalsh(diagonal.hessian(network))[-1], 4 * b.max()),
            (np.linalg.eigvalsh(w[:, None] * diagonal.hessian(network) * w)[-1], 4 * b.max() ** 2),
            (flat.mean(t, ones, "linf"), 2 * t**2 / 3 * b.sum() + t**4 / 9 * d),
            (flat.mean(t, w, "l2"), (2 * t**2 + t**4) * b @ b),
            (flat.over_box(t, ones), 4 * t**2 * b.sum() + 4 * t**3 * np.sqrt(b).sum() + t**4 * d),
            (flat.over_box(t, w), (2 * t + t**2) ** 2 * b @ b),
        )
        for computed, closed in pairs:
            require(abs(float(computed) - float(closed)) < 1e-10 * float(closed), f"{computed} is not {closed} in d = {d}")
    yield Evidence(
        "tested",
        "quadrature, vertices, eigenvalues of the Hessian",
        "d = 1, 2, 3, Sigma = I, rho = 0.3; numpy seed 0",
        "agrees to 1e-10",
    )


@own_claim(
    "diagonal-15",
    """No definition of sharpness tracks generalization for every target: a definition sees (u, v, X, y), and of any two predictors
    that fit the data and differ in the population, loss (beta - beta*)' P (beta - beta*), each is the target for which it has test
    loss 0 and the other more, with the same X and y: the order of their test losses is either, that of their sharpness is one.""",
)
def diagonal_15() -> Iterator[Evidence]:
    """No sharpness tracks generalization for every target.

    Both targets give the same labels on the data.
    """
    p11, p12, p22, first, second = sp.symbols("P_11 P_12 P_22 d_1 d_2", real=True)
    form = p11 * first**2 + 2 * p12 * first * second + p22 * second**2
    require(
        vanishes(form - form.subs({first: -first, second: -second}, simultaneous=True)), "the loss is not even in the difference"
    )
    yield Evidence(
        "proved",
        "exact argument",
        "every d, n, X, population P, and any function of (u, v, X, y)",
        "X beta_1 = X beta_2 = y: with beta* = beta_1 the losses are 0 and (beta_2 - beta_1)' P (beta_2 - beta_1) > 0, with beta* = "
        "beta_2 they "
        "are exchanged, and X beta* = y both times",
    )


def _diag_weights(x: Sequence[Vector]) -> list[Fraction]:
    return [sum((row[i] ** 2 for row in x), Fraction(0)) / len(x) for i in range(len(x[0]))]


def _weighted(x: Sequence[Vector], beta: Vector, power: int) -> Fraction:
    """sum_i Sigma_ii |beta_i|^power: the trace over 4 kappa, of c = 1 at |u| = |v| for power 1, of c = |w| for power 2."""
    return sum((s * abs(b) ** power for s, b in zip(_diag_weights(x), beta, strict=True)), Fraction(0))


def _loss(beta: Vector, target: Vector, population: Vector) -> Fraction:
    """E (x'beta - x'target)² for independent entries of variances `population`."""
    return sum((p * (b - t) ** 2 for p, b, t in zip(population, beta, target, strict=True)), Fraction(0))


def _fits(x: Sequence[Vector], *predictors: Vector) -> bool:
    """Whether all predict the same labels."""
    labels = {tuple(sum((a * b for a, b in zip(row, beta, strict=True)), Fraction(0)) for row in x) for beta in predictors}
    return len(labels) == 1


def _vector(*entries: str) -> list[Fraction]:
    return [Fraction(entry) for entry in entries]


@own_claim(
    "diagonal-16",
    """Which definition tracks depends on target and data. Samples (1, 0, 3/5) and (0, 1, 4/5), predictors S = (0, 0, 1) and M =
    (3/10, 2/5, 1/2) of the same labels: by the trace with c = 1 at |u| = |v| (l1) S is flatter, by the trace or average with c =
    |w| (l2), by lambda_max (c = 1 at |u| = |v|, or c = |w|) and by the largest |beta_i| M is; on isotropic data the sparse target
    S is tracked by l1 alone of these, the dense target M by all but l1. One sample (2, 1), Sigma_ii 4 and 1: by l1 too, Sigma_ii-weighted,
    (4/5, 2/5) is flatter than the sparse target (1, 0). One sample (1, 1, 1), target (1, 0, 0): (1/2, 1/2, 0) is flatter than (1,
    -2/3, 2/3) by every norm, and better on isotropic data, worse on data of variances 1, 1/4, 1/16.""",
    depends_on=("own/diagonal-14", "own/diagonal-15"),
)
def diagonal_16() -> Iterator[Evidence]:
    """Pairs of predictors that the definitions order differently.

    Exact rational examples; lambda_max by the roots of a quadratic.
    """
    x = [_vector("1", "0", "3/5"), _vector("0", "1", "4/5")]
    sparse, dense, isotropic = _vector("0", "0", "1"), _vector("3/10", "2/5", "1/2"), _vector("1", "1", "1")
    require(_fits(x, sparse, dense), "S and M give other labels")
    require(len(set(_diag_weights(x))) == 1, "the Sigma_ii differ")
    require(_weighted(x, sparse, 1) < _weighted(x, dense, 1), "by l1 S is not flatter")
    require(_weighted(x, sparse, 2) > _weighted(x, dense, 2), "by l2 M is not flatter")
    require(max(map(abs, sparse)) > max(map(abs, dense)), "by linf M is not flatter")
    rows = sp.Matrix([[sp.Rational(v.numerator, v.denominator) for v in row] for row in x])
    for power in (1, 2):
        top = [
            max((rows * sp.diag(*[sp.Rational(abs(b)) ** power for b in beta]) * rows.T / 2).eigenvals(), key=float)
            for beta in (sparse, dense)
        ]
        require(bool(top[0] > top[1]), f"by lambda_max with |beta|^{power} M is not flatter")
    for target, other in ((sparse, dense), (dense, sparse)):
        require(_loss(target, target, isotropic) == 0 and _loss(other, target, isotropic) == Fraction(1, 2), "test losses")
    skew, corner, slanted = [_vector("2", "1")], _vector("1", "0"), _vector("4/5", "2/5")
    require(_fits(skew, corner, slanted), "other labels")
    require(sum(map(abs, corner)) < sum(map(abs, slanted)), "the plain l1 norm does not prefer the sparse one")
    require((_weighted(skew, corner, 1), _weighted(skew, slanted, 1)) == (Fraction(4), Fraction(18, 5)), "not 4 and 18/5")
    require(_loss(slanted, corner, _vector("1", "1")) == Fraction(1, 5), "its test loss is not 1/5")
    single, target = [_vector("1", "1", "1")], _vector("1", "0", "0")
    near, far, falling = _vector("1/2", "1/2", "0"), _vector("1", "-2/3", "2/3"), _vector("1", "1/4", "1/16")
    require(_fits(single, target, near, far), "other labels")
    for power in (1, 2, 3, 4):
        require(_weighted(single, near, power) < _weighted(single, far, power), f"by power {power} it is not flatter")
    require(max(map(abs, near)) < max(map(abs, far)), "by linf it is not flatter")
    require((_loss(near, target, isotropic), _loss(far, target, isotropic)) == (Fraction(1, 2), Fraction(8, 9)), "isotropic")
    require(
        (_loss(near, target, falling), _loss(far, target, falling)) == (Fraction(5, 16), Fraction(5, 36)), "falling variances"
    )
    yield Evidence(
        "proved",
        "exact rational arithmetic on the pairs that it names",
        "the three data sets of the statement",
        "S, M: l1 1/2 < 3/5 and l2² 1/2 > 1/4 (weights 1/2), test loss 0 and 1/2, exchanged for the target M. (1, 0), (4/5, 2/5): "
        "weighted l1 4 > "
        "18/5, test loss 0 and 1/5. The last pair: test losses 1/2 < 8/9 isotropic, 5/16 > 5/36 at variances 1, 1/4, 1/16; Gaussian "
        "data of either "
        "population can be the sample.",
    )
