"""Owns wen2023's statements on losses: theorem-A.2, lemma-A.13, equation-15, lemma-A.26."""

from collections.abc import Iterator

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, corrected, require
from flatproof.theory.claims.search import try_to_break

a, p = sp.symbols("a p", real=True)


def smoothed(b: int) -> sp.Expr:
    """l(a, b) as printed in definition-A.2."""
    return -p * sp.log(sp.exp(b * a) / (1 + sp.exp(a))) - (1 - p) * sp.log(sp.exp((1 - b) * a) / (1 + sp.exp(a)))


@claim(
    "wen2023/theorem-A.2",
    printed="""With gamma_p = ln((1-p)/p), the minimizers of that loss on {(x_i, y_i)}, y_i in {0,1}, are those of the MSE on
    {(x_i, gamma_p(2y_i - 1))} whenever the latter's minimum is 0.""",
    depends_on=("wen2023/definition-A.2",),
)
def theorem_a2() -> Iterator[Evidence]:
    """Label-smoothed logistic loss as regression.

    d l(a, b)/da = 1/(1+e^-a) - q with q = p for b = 1 and 1 - p for b = 0, so the minimizer is ln(q/(1-q)). (wen2023, Theorem A.2)
    """
    slope = sp.diff(smoothed(1), a)
    at = sp.nsimplify(sp.simplify(slope.subs({p: sp.Rational(1, 5), a: sp.log(4)})))
    require(at == sp.Rational(3, 5), "the slope at the printed minimizer is not 3/5")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "one sample, y = 1, p = 1/5 (the paper's value)",
        "The printed target is gamma_p = ln 4, where the loss has slope 4/5 - 1/5 = 3/5; it is minimal at -ln 4.",
        corrected="The targets are ln(p/(1-p)) (2 y_i - 1), that is -gamma_p (2 y_i - 1).",
        target="statement",
        severity="constant or sign",
    )
    for b, q in ((1, p), (0, 1 - p)):
        derivative = sp.diff(smoothed(b), a)
        require(sp.simplify(derivative - (1 / (1 + sp.exp(-a)) - q)) == 0, f"the slope for b = {b}")
        require(sp.simplify(derivative.subs(a, sp.log(q / (1 - q)))) == 0, f"the minimizer for b = {b}")
        require(sp.simplify(sp.diff(derivative, a) - sp.exp(a) / (1 + sp.exp(a)) ** 2) == 0, f"the curvature for b = {b}")
    yield Evidence(
        "proved",
        "symbolic",
        "the corrected statement, every 0 < p < 1",
        "each sample's loss is strictly convex in a with minimizer ln(p/(1-p)) for y = 1 and its negative for y = 0; if a model attains "
        "all targets, minimizing the sum means attaining each.",
    )


@claim(
    "wen2023/lemma-A.13",
    printed="At such a minimizer Tr Hess L = (1/(p(1-p))) (1/n) sum_i ||grad f(x_i)||².",
    depends_on=(corrected("wen2023/theorem-A.2"), "wen2023/definition-A.2"),
)
def lemma_a13() -> Iterator[Evidence]:
    """Trace of the Hessian of the label-smoothed loss.

    L'' = l''(f) (grad f)(grad f)^T + l'(f) f'' with l' = 0 and l'' = e^a/(1+e^a)² = p (1-p) at the minimizer. (wen2023, Lemma A.13)
    """
    curvature = sp.diff(smoothed(1), a, 2)
    half = sp.simplify(curvature.subs({p: sp.Rational(1, 2), a: 0}))
    require(half == sp.Rational(1, 4), "the curvature at p = 1/2 is not 1/4")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "f(theta) = theta, one sample, p = 1/2",
        "The minimizer is theta = 0, where L'' = 1/4; the printed right side is 4.",
        corrected="Tr Hess L = p(1-p) (1/n) sum_i ||grad f(x_i)||².",
        target="statement",
        severity="constant or sign",
    )
    for b, q in ((1, p), (0, 1 - p)):
        value = sp.simplify(sp.diff(smoothed(b), a, 2).subs(a, sp.log(q / (1 - q))))
        require(sp.simplify(value - p * (1 - p)) == 0, f"the curvature at the minimizer for b = {b}")
    yield Evidence("proved", "symbolic", "the corrected statement, every 0 < p < 1", "l' = 0 and l'' = p(1-p) at both minimizers")


@claim(
    "wen2023/equation-15",
    printed="Truncated square loss: u² for |u| <= c; -u² + 4c|u| - 2c² for c <= |u| <= 2c; 2c² beyond.",
)
def equation_15() -> Iterator[Evidence]:
    """The truncated square loss is continuous, smooth and bounded.

    Pieces and first derivatives agree at c and 2c; the second derivative is 2, -2, 0. (wen2023, Equation 15)
    """
    u, c = sp.symbols("u c", positive=True)
    pieces = (u**2, -(u**2) + 4 * c * u - 2 * c**2, 2 * c**2)
    for left, right, at in ((pieces[0], pieces[1], c), (pieces[1], pieces[2], 2 * c)):
        for order in (0, 1):
            require(sp.simplify((sp.diff(left, u, order) - sp.diff(right, u, order)).subs(u, at)) == 0, f"order {order} at {at}")
    require([sp.diff(q, u, 2) for q in pieces] == [2, -2, 0], "second derivatives")
    require(sp.expand(pieces[2] - pieces[1] - (u - 2 * c) ** 2) == 0, "the middle piece exceeds 2c²")
    require(sp.expand(pieces[0] - pieces[1] - 2 * (u - c) ** 2) == 0, "the middle piece exceeds u²")
    yield Evidence(
        "proved",
        "symbolic",
        "every c > 0",
        "continuously differentiable, |second derivative| <= 2 (2-smooth), at most min(u², 2c²), even in u",
    )


@claim("wen2023/lemma-A.26", printed="|relu(x)² - relu(y)²| <= (|x|+|y|)|x-y|.")
def lemma_a26() -> Iterator[Evidence]:
    """Squared ReLU is locally Lipschitz.

    Both positive: |x² - y²| = (x+y)|x-y|. One positive: x² <= (x + |y|)(x + |y|). None: 0. (wen2023, Lemma A.26)
    """
    x, y = sp.symbols("x y", positive=True)
    require(sp.expand((x + y) * (x - y) - (x**2 - y**2)) == 0, "both positive")
    for first, second in ((x, -y), (-x, y)):  # one positive: |first - second| = x + y
        positive = first if first.is_positive else second
        slack = sp.expand((x + y) ** 2 - positive**2)
        require(slack == 2 * x * y + (x + y - positive) ** 2, "opposite signs")
    yield Evidence(
        "proved",
        "symbolic, by the signs of x and y",
        "all real x and y",
        "equality when both have the same sign and are positive; with opposite signs the gap is 2 x |y| + y² >= 0",
    )

    def gap(v: NDArray[np.float64]) -> float:
        s, t = (float(q) for q in v)
        left = abs(max(s, 0.0) ** 2 - max(t, 0.0) ** 2)
        return ((abs(s) + abs(t)) * abs(s - t) - left) / (1 + left)

    yield try_to_break("the inequality", gap, 2, "x, y real")
