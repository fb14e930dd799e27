"""Owns statements on weights behind a normalization, whose loss does not see their length: Lyu, Li and Arora 2022, Li and Arora 2020.

K. Lyu, Z. Li, S. Arora: Understanding the Generalization Benefit of Normalization Layers: Sharpness Reduction, NeurIPS 2022,
arXiv 2206.07085. Z. Li, S. Arora: An Exponential Learning Rate Schedule for Deep Learning, ICLR 2020, arXiv 1910.07454, has
the gradient's part. L is scale-invariant in w if L(c w) = L(w) for every c > 0 and w != 0.
"""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import RESTATED, Evidence, claim, require
from flatproof.theory.claims.neighbours.jets import before, expansion

c = sp.Symbol("c", positive=True)


@claim(
    "lyu2022/scale-invariance",
    printed="The loss is scale-invariant, a known consequence of normalization.",
    words="quoted from the abstract",
)
def scale_invariance() -> Iterator[Evidence]:
    """Normalization and the length of the weights before it.

    Batch normalization sends a neuron's pre-activations z_i over the batch to (z_i - mean)/sqrt(variance + eps).
    """
    z = sp.symbols("z_1 z_2 z_3", real=True)

    def normalized(values: list[sp.Expr], eps: sp.Expr) -> list[sp.Expr]:
        mean = sp.Rational(1, 3) * sum(values)
        variance = sp.Rational(1, 3) * sum((v - mean) ** 2 for v in values)
        return [(v - mean) ** 2 / (variance + eps) for v in values]  # squared, so rational; the sign is that of v - mean

    eps = sp.Symbol("epsilon", nonnegative=True)
    for value, scaled in zip(normalized(list(z), eps / c**2), normalized([c * v for v in z], eps), strict=True):
        require(sp.cancel(value - scaled) == 0, "the floor does not scale as c²")
    yield Evidence(
        "proved",
        "symbolic, a batch of three, squares",
        "the corrected statement: weights before a normalization, every c > 0 and batch",
        "(c z - c mean)/sqrt(c² variance + eps) = (z - mean)/sqrt(variance + eps/c²), which is the same for all c if eps = 0.",
    )
    one, two = ((w * w) / (w * w + sp.Integer(1)) for w in (sp.Integer(1), sp.Integer(2)))
    require((one, two) == (sp.Rational(1, 2), sp.Rational(4, 5)), "the two squares are others")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "z = (w, -w), eps = 1, w = 1 and 2",
        "the first normalized value is 1/sqrt(2) and 2/sqrt(5). Implementations have such an eps (10^-5 in PyTorch), which a small w sees.",
        corrected="With eps = 0 and a variance that is not 0; a floor eps becomes eps/c².",
        target="statement",
        severity="boundary",
    )


@claim(
    "lyu2022/gradient",
    printed="For a scale-invariant L: the gradient is orthogonal to w, grad L(w) . w = 0, and grad L(c w) = grad L(w)/c for every c > 0.",
    words=RESTATED,
    reading="differentiable parameters",
)
def gradient() -> Iterator[Evidence]:
    """The gradient of a scale-invariant loss.

    L((1 + t) w) = L(w) has the derivative grad L(w) . w in t at 0.
    """
    first, second = expansion(2, "g")
    w, t = sp.Matrix(sp.symbols("w_1 w_2", real=True)), sp.Symbol("t", real=True)
    along = (first.T * (t * w))[0]
    require(sp.expand(along.diff(t) - first.dot(w)) == 0, "the derivative along w is another")
    require(before(first / c, second / c**2, c * sp.eye(2))[0] == first, "the gradient at c w is not the one at w over c")
    yield Evidence(
        "proved",
        "symbolic, second-order expansions; an entry of the gradient sees one weight",
        "every number of weights, every scale-invariant L differentiable at w != 0",
        "L is constant along w; and it is differentiable at w if and only if it is at c w.",
    )


@claim(
    "lyu2022/hessian",
    printed="""For a scale-invariant L: Hess L(c w) = Hess L(w)/c² for every c > 0, so lambda_max(c w) = lambda_max(w)/c²; and Hess L(w)
    w = -grad L(w).""",
    depends_on=("lyu2022/gradient",),
    words=RESTATED,
    reading="differentiable parameters",
)
def hessian() -> Iterator[Evidence]:
    """The Hessian of a scale-invariant loss.

    The second identity is the coefficient of t delta_i in L((1 + t)(w + delta)) = L(w + delta).
    """
    first, second = expansion(2, "g")
    w = sp.Matrix(sp.symbols("w_1 w_2", real=True))
    require(before(first / c, second / c**2, c * sp.eye(2))[1] == second, "the Hessian at c w is not the one at w over c²")
    t, delta = sp.Symbol("t", real=True), sp.Matrix(sp.symbols("delta_1 delta_2", real=True))
    moved = t * w + delta + t * delta
    series = sp.expand((first.T * moved)[0] + (moved.T * second * moved)[0] / 2)
    mixed = sp.Matrix([series.coeff(t, 1).coeff(d, 1).subs(dict.fromkeys(delta, 0)) for d in delta])
    require((mixed - first - second * w).applyfunc(sp.expand) == sp.zeros(2, 1), "the mixed coefficient is not g + H w")
    yield Evidence(
        "proved",
        "symbolic, second-order expansions, two weights; entries see two at most",
        "every number of weights, every scale-invariant L twice differentiable at w != 0",
        "c² Hess L(c w) = Hess L(w) and grad L(w) + Hess L(w) w = 0. All eigenvalues and the trace go as 1/c²: to 0 as c grows, "
        "beyond every bound as it falls, if Hess L(w) != 0; ||w||² lambda_max does not see the length.",
    )
    at = sp.symbols("w_1 w_2 w_3", real=True)
    samples = sp.Matrix([[1, 2, 0], [-1, 1, 1], [3, 0, -2], [0, 1, 2]])
    mean = sp.ones(1, 4) * samples / 4
    seen = (samples - sp.ones(4, 1) * mean) * sp.Matrix(at)
    loss = (seen[0] - 2 * seen[1]) ** 2 / seen.dot(seen)  # of batch-normalized values without a floor
    here = dict(zip(at, (1, -2, 3), strict=True))
    there = {symbol: 3 * value for symbol, value in here.items()}
    slope, curve = sp.Matrix([loss.diff(s) for s in at]), sp.hessian(loss, at)
    point = sp.Matrix(list(here.values()))
    require(slope.subs(here).dot(point) == 0, "the gradient is not orthogonal to w")
    require(slope.subs(here) != sp.zeros(3, 1), "the gradient is 0: nothing is seen")
    require(slope.subs(there) == slope.subs(here) / 3, "the gradient does not go as 1/c")
    require(curve.subs(there) == curve.subs(here) / 9, "the Hessian does not go as 1/c²")
    require(curve.subs(here) * point == -slope.subs(here), "Hess L(w) w is not -grad L(w)")
    yield Evidence(
        "certified",
        "exact: the whole loss differentiated",
        "a quotient of batch-normalized values of four samples in R³, w = (1, -2, 3), c = 3",
        "all four identities hold",
    )
    ratio = sp.Symbol("w", positive=True) ** 2 / (sp.Symbol("w", positive=True) ** 2 + 1)
    second_at = [ratio.diff(sp.Symbol("w", positive=True), 2).subs(sp.Symbol("w", positive=True), value) for value in (1, 2)]
    require(second_at == [sp.Rational(-1, 2), sp.Rational(-22, 125)], "the second derivatives are others")
    yield Evidence(
        "certified",
        "exact",
        "w²/(w² + eps), eps = 1, w = 1 and 2",
        "that eps = 0 cannot be dropped: the second derivatives are -1/2 and -22/125, not -1/2 and -1/8.",
    )
