"""Owns statements on Keskar et al. 2017's metric: what it says of the Hessian's largest eigenvalue, and of generalization.

N. S. Keskar, D. Mudigere, J. Nocedal, M. Smelyanskiy, P. T. P. Tang: On Large-Batch Training for Deep Learning: Generalization
Gap and Sharp Minima, ICLR 2017, arXiv 1609.04836. With A = I and c_p = |theta_p| + 1 the box is |z_p| <= eps c_p. That the
metric has no bound under rescaling of the layers is own/rescaling-1; what training finds, the experiment keskar2017 judges.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import sympy as sp

from flatproof.theory.claims import RESTATED, Evidence, claim, definition, require

definition(
    "keskar2017/metric-2.1",
    "The metric of sharpness",
    """phi(eps, A) = 100 (max over z in C of f(theta + A z) - f(theta)) / (1 + f(theta)), C = {z : |z_p| <= eps (|(A^+ theta)_p| + 1)}.""",
    words=RESTATED,
)


def steepest(hessian: sp.Matrix, box: tuple[int, ...]) -> sp.Expr:
    """max z'Hz over |z_p| <= c_p for a positive semidefinite H: convex, so at a vertex."""
    corners = (sp.Matrix([s * c for s, c in zip(signs, box, strict=True)]) for signs in product((1, -1), repeat=len(box)))
    return max((z.T * hessian * z)[0] for z in corners)


@claim(
    "keskar2017/eigenvalue",
    printed="For small eps and A = I the metric at a minimizer is related to the largest eigenvalue of the Hessian.",
    depends_on=("keskar2017/metric-2.1",),
    words=RESTATED,
)
def eigenvalue() -> Iterator[Evidence]:
    """What the metric says of the largest eigenvalue.

    At a minimizer f(theta + z) - f(theta) = z'Hz/2 + o(eps²), so phi/eps² tends to 50 m/(1 + f), m = max z'Hz over |z_p| <= c_p.
    """
    top, gap, c = sp.symbols(
        "lambda g c", nonnegative=True
    )  # eigenvalues lambda along v and lambda - g along u, v and u orthogonal
    v, z = sp.Matrix(sp.symbols("v_1 v_2", real=True)), sp.Matrix(sp.symbols("z_1 z_2", real=True))
    u = sp.Matrix([-v[1], v[0]])
    second = (top * v * v.T + (top - gap) * u * u.T) / v.dot(v)
    inside = c * v / sp.sqrt(v.dot(v))
    require(sp.simplify((inside.T * second * inside)[0] - c**2 * top) == 0, "the eigenvector of length c gives another value")
    require(sp.simplify(top * z.dot(z) - (z.T * second * z)[0] - gap * z.dot(u) ** 2 / v.dot(v)) == 0, "lambda |z|² is no bound")
    yield Evidence(
        "proved",
        "symbolic, the eigenvector and one direction across it",
        "every f twice differentiable at a minimizer, every number of parameters",
        "lambda_max min c_p² <= m <= lambda_max sum c_p²: the eigenvector v times min c_p/||v||_2 lies in the box, whose points "
        "have ||z||² <= sum c_p². A relation up to the factor sum c_p²/min c_p², at least the number of parameters.",
    )
    first, second = sp.diag(1, 0), sp.Rational(9, 10) * sp.eye(2)
    low, high = steepest(first, (1, 1)), steepest(second, (1, 1))
    require((low, high) == (1, sp.Rational(9, 5)), "the two metrics are others")
    require(max(first.eigenvals()) > max(second.eigenvals()), "the eigenvalues are in the other order")
    yield Evidence(
        "certified",
        "exact, all vertices of the box",
        "quadratics z'Hz/2 at theta = 0 in R², H = diag(1, 0) and diag(0.9, 0.9)",
        "the order can be another: lambda_max 1 > 0.9, phi 50 eps² < 90 eps². And that theta is a minimizer cannot be dropped: f "
        "= 1 + z_1 has lambda_max = 0 and phi = 50 eps at 0.",
    )


def reached(weights: tuple[Fraction, Fraction], output: Fraction, eps: Fraction) -> Fraction:
    """phi of a neuron with positive weights, one sample x = (1, 0), y = 1, that it fits: the farthest output is at a corner of
    the box."""
    first = weights[0]
    outputs = [
        (output + s * eps * (output + 1)) * max(first + t * eps * (first + 1), Fraction(0)) for s in (1, -1) for t in (1, -1)
    ]
    return 100 * max((f - 1) * (f - 1) for f in outputs)


@claim(
    "keskar2017/sharp-minima",
    printed="""Large-batch methods tend to converge to sharp minimizers of the training and testing functions - and as is well known,
    sharp minima lead to poorer generalization.""",
    depends_on=("keskar2017/metric-2.1", "own/rescaling-1"),
    reading="every minimum",
    words="quoted from the abstract",
)
def sharp_minima() -> Iterator[Evidence]:
    """Sharp minima and generalization.

    Of every minimum, sharp by the paper's metric, what is said after the dash is examined here; what is said of training is measured.
    """
    eps, one = Fraction(1, 1000), Fraction(1)
    memorizes = reached((one, Fraction(5)), one, eps)
    generalizes = [reached((Fraction(a), Fraction(0)), 1 / Fraction(a), eps) for a in (1, 10, 1000)]
    require(generalizes[0] == memorizes, "at alpha = 1 they are not equally sharp")
    require(memorizes < generalizes[1] < generalizes[2], "the one that generalizes is not sharper")
    require(generalizes[2] > 1000 * memorizes, "the metric grows less")
    yield Evidence(
        "refuted",
        "counterexample, exact rationals",
        "the law of (1, 0) with y = 1 and (0, 1) with y = 0, half each; training set (1, 0); eps = 1/1000, one neuron",
        "w = (alpha, 0), a = 1/alpha is right at both points for every alpha; w = (1, 5), a = 1 fits the sample and is 5 at (0, 1). At "
        f"alpha = 1 they are equally sharp, at alpha = 10 and 1000 the one that generalizes is sharper, by factors of "
        f"{float(generalizes[1] / memorizes):.1f} and {float(generalizes[2] / memorizes):.3g}. By own/rescaling-1 every network with an "
        "active neuron is the same function as some that are sharper than any bound.",
        corrected="Sharpness by this metric bounds no generalization error from below; whether the minima that training finds "
        "show the relation is a matter of measurement (keskar2017/claim-1 and on).",
        target="statement",
        severity="substance",
    )
