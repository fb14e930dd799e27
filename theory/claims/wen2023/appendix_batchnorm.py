"""Owns wen2023/lemma-A.27, A.1 and A.3: the least norms and traces of simplified BatchNorm.

u_ij = relu(z_ij) / s_j has mean square 1 over the training set; f(x_i) = sum_j a_j gamma_j u_ij.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.claims.search import try_to_break
from flatproof.theory.constructions import cube, dot, generalizing_network, homogeneous
from flatproof.theory.networks import Network, loss, trace_of_hessian


@claim(
    "wen2023/lemma-A.27",
    printed="""If a + d = b + c then |relu(a)+relu(d)-relu(b)-relu(c)|² <= relu(a)²+relu(b)²+relu(c)²+relu(d)², with equality iff three of
    the four are not positive.""",
)
def lemma_a27() -> Iterator[Evidence]:
    """Four neurons of a parity pair.

    By the signs of (a, d, b, c): with P the positive part of the left sum and N that of the right, (P - N)² <= a+² + d+² + b+² + c+².
    (wen2023, Lemma A.27)
    """
    for signs in product((1, 0), repeat=4):
        require(_case(signs), f"signs {signs} are not decided")
    yield Evidence(
        "proved",
        "by cases, symbolic: 16 sign patterns, each side's gap written as a sum of products of positive numbers",
        "all real a, b, c, d with a + d = b + c",
        "at most one positive: equality. Two positive on opposite sides: gap 2 a b > 0. Two on one side alone: impossible. Three or four: "
        "the constraint rewrites the gap as a positive number.",
    )
    grid = range(-4, 5)
    for a, b, c in product(grid, repeat=3):
        d = b + c - a
        pa, pb, pc, pd = (max(v, 0) for v in (a, b, c, d))
        left, right = (pa + pd - pb - pc) ** 2, pa**2 + pb**2 + pc**2 + pd**2
        require(left <= right, f"violated at {(a, b, c, d)}")
        require((left == right) == (sum(v > 0 for v in (a, b, c, d)) <= 1), f"equality case fails at {(a, b, c, d)}")

    def gap(v: NDArray[np.float64]) -> float:
        a, b, c = v
        pa, pb, pc, pd = (max(float(t), 0.0) for t in (a, b, c, b + c - a))
        left = (pa + pd - pb - pc) ** 2
        return (pa**2 + pb**2 + pc**2 + pd**2 - left) / (1 + left)

    yield try_to_break("the inequality", gap, 3, "a, b, c real")
    yield Evidence(
        "certified", "enumeration in integers", "a, b, c in -4..4, d = b + c - a (729 cases)", "inequality and equality case hold"
    )


def _case(positive: tuple[int, ...]) -> bool:
    """Whether the constraint decides the sign pattern of (a, d, b, c): equality for at most one positive, a gap above 0 for more.

    Positive numbers are p > 0, the others -q <= 0. Where the constraint is a sum of one sign with some p in it, the pattern cannot
    be. Else it is solved for a positive number that is alone on its side (for any, if none is); the gap must then be a polynomial in
    the rest with positive coefficients and a square of some p among its terms, or the sum of all four squares.
    """
    p, q = sp.symbols("p0:4", positive=True), sp.symbols("q0:4", nonnegative=True)
    values = [p[k] if on else -q[k] for k, on in enumerate(positive)]
    sides, active = (1, 1, -1, -1), [k for k in range(4) if positive[k]]
    constraint = sp.expand(sum(side * value for side, value in zip(sides, values, strict=True)))
    gap = sp.expand(sum(p[k] ** 2 for k in active) - sum(sides[k] * p[k] for k in active) ** 2)
    if len(active) <= 1:
        return gap == 0
    coefficients = {sp.sign(c) for c in sp.Poly(constraint, *p, *q).coeffs()}
    if len(coefficients) == 1:
        return constraint.free_symbols & set(p) != set()  # no zero with some p > 0
    if len(active) == 2:
        return sp.expand(gap - 2 * p[active[0]] * p[active[1]]) == 0
    alone = [k for k in active if sum(sides[j] == sides[k] for j in active) == 1]
    last = (alone or active)[0]
    solved = sp.solve(constraint, p[last])[0]
    reduced = sp.expand(gap.subs(p[last], solved))
    if len(active) == 4:  # both sides cancel: the gap is the sum of the four squares
        return sp.expand(reduced - solved**2 - sum(p[k] ** 2 for k in active if k != last)) == 0
    terms = sp.Poly(reduced, *p, *q)
    return all(c > 0 for c in terms.coeffs()) and any(terms.coeff_monomial(p[k] ** 2) > 0 for k in active if k != last)


@claim(
    "wen2023/lemma-A.1",
    printed="""Under condition 1, an interpolating Sim-BN model minimizing ||gamma*W2||_1 has f(x) = x[1]x[2] on the cube and W1_j[3:d] = 0;
    the minimum is 2, attained by W1 = [(-1)^i,(-1)^j,0,...], b1 = -1, W2 = 1/2, gamma = 1; by |sum_i y_i relu(a_i[j])| <=
    (n/2) sqrt((1/n) sum_i relu(a_i[j])²).""",
    depends_on=("wen2023/condition-1", "wen2023/lemma-A.27"),
)
def lemma_a1() -> Iterator[Evidence]:
    """The l1-minimal simplified BatchNorm networks.

    n = sum_i y_i f(x_i) <= ||a gamma||_1 max_j |sum_i y_i u_ij| <= ||a gamma||_1 n/2: lemma A.27 on the four heads of each tail and
    Cauchy-Schwarz over the n/4 tails. (wen2023, Lemma A.1)
    """
    x = np.array(list(product((1.0, -1.0), repeat=3)))
    base = generalizing_network(3, "sim-bn")
    assert base.gamma is not None
    assert base.b1 is not None
    extra = Network(
        w1=np.vstack([base.w1, [[0, 0, 1]]]),
        w2=np.append(base.w2, 0),
        b1=np.append(base.b1, 0),
        gamma=np.append(base.gamma, 0),
        architecture="sim-bn",
    )
    y = x[:, 0] * x[:, 1]
    require(loss(extra, x, y) < 1e-28, "the counterexample does not interpolate")
    assert extra.gamma is not None
    require(abs(np.abs(extra.gamma * extra.w2).sum() - 2) < 1e-15, "its l1 norm is not 2")
    yield Evidence(
        "refuted",
        "counterexample",
        "d = 3, all eight points, width 5: the printed four neurons and one with W1 = (0, 0, 1), W2 = gamma = 0",
        "It interpolates with ||gamma*W2||_1 = 2, the minimum, but W1_5[3] = 1.",
        corrected="W1_j[3:d] = 0 holds for the neurons with gamma_j W2_j != 0; the rest of the lemma stands.",
        target="statement",
        severity="boundary",
    )
    n, q = sp.symbols("n q", positive=True)
    # (sum over n/4 tails of sqrt(q_g)) <= sqrt(n/4) sqrt(sum q_g), and sum q_g = sum_i relu² = n m for mean square m
    require(sp.simplify(sp.sqrt(n / 4) * sp.sqrt(n * q) - n / 2 * sp.sqrt(q)) == 0, "the constant is not n/2")
    heads, tail, tail2, bias = sp.symbols("alpha beta_s beta_t b", real=True)
    same = (heads + tail + bias) + (-heads + tail2 + bias)  # head (1,1) active at tail s, head (-1,-1) at tail t
    other = (-heads + tail + bias) + (heads + tail2 + bias)  # the two that must be inactive
    require(sp.simplify(same - other) == 0, "the two sums differ")
    yield Evidence(
        "proved",
        "symbolic; cited: Cauchy-Schwarz and its equality case, lemma-A.27",
        "the corrected statement, every width and every set satisfying condition 1",
        "|sum_i y_i u_ij| <= n/2 gives minimum >= 2. Equality for a neuron that counts: at each tail one head alone is active, of the same "
        "value v > 0. Opposite heads at two tails would make 2v = (sum of two inactive pre-activations) <= 0, so it is one "
        "head; then W1[3:d] . (s - t) = 0 for all tails, and S spans: W1[3:d] = 0.",
    )
    points = list(cube(4))
    four = [tuple(Fraction(v) for v in (i, j, 0, 0, -1)) for i, j in product((1, -1), repeat=2)]
    for p in four:
        h = [max(Fraction(0), dot(p, homogeneous(v))) for v in points]
        require(sum(v * v for v in h) * 4 == len(points), "mean square of the printed neuron is not 1/4")
    yield Evidence(
        "certified", "exact", "d = 4, the printed neurons", "s = 1/2, so u = 2 where active, f = x[1]x[2], ||gamma*W2||_1 = 2"
    )


@claim(
    "wen2023/lemma-A.3",
    printed="""For Sim-BN with L = 0: Tr Hess L >= ||W2||² + ||gamma||², and the infimum of the trace equals the infimum of
    ||W2||² + ||gamma||².""",
    depends_on=("wen2023/lemma-4.1",),
)
def lemma_a3() -> Iterator[Evidence]:
    """Trace and norms of simplified BatchNorm.

    sum_i (df_i/da_j)² + (df_i/dgamma_j)² = (gamma_j² + a_j²) sum_i u_ij² = n (gamma_j² + a_j²), so Tr = 2 (||a||² + ||gamma||²) + T1 with
    T1 >= 0 from W1, and W1 -> t W1 divides T1 by t² without changing f. (wen2023, Lemma A.3)
    """
    a, g = sp.symbols("a gamma", positive=True)
    second = sp.hessian((a * g - 1) ** 2, (a, g))
    trace = sp.simplify(second.trace().subs(g, 1 / a))
    require(sp.simplify(trace - 2 * (a**2 + 1 / a**2)) == 0, "the Hessian's trace is not 2 (a² + gamma²)")
    require(trace.subs(a, 1) == 4 and sp.solve(sp.diff(trace, a), a) == [1], "the least trace is not 4")
    yield Evidence(
        "refuted",
        "counterexample, symbolic",
        "n = 1, x = 1, y = 1, one neuron",
        "u = relu(z)/|relu(z)| = 1, so f = W2 gamma and L = (W2 gamma - 1)²: the trace is 2 (W2² + gamma²), least 4, while the infimum of "
        "W2² + gamma² is 2.",
        corrected="Tr Hess L >= 2 (||W2||² + ||gamma||²), and the infimum of the trace is twice the infimum of ||W2||² + ||gamma||².",
        target="statement",
        severity="constant or sign",
    )
    n, scale = sp.symbols("n t", positive=True)
    u = sp.Symbol("u", positive=True)
    require(sp.simplify((sp.diff(a * g * u, a) ** 2 + sp.diff(a * g * u, g) ** 2) - (a**2 + g**2) * u**2) == 0, "derivatives")
    z, s = sp.symbols("z s", positive=True)
    require(sp.simplify((scale * z) / (scale * s) - z / s) == 0, "u is not invariant to the scale of W1")
    require(sp.simplify(2 / n * n * (a**2 + g**2) - 2 * (a**2 + g**2)) == 0, "the factor is not 2")
    yield Evidence(
        "proved",
        "symbolic",
        "the corrected statement, all widths and data",
        "the layers behind W1 give exactly 2 (||W2||² + ||gamma||²); u is invariant and its derivative homogeneous of degree -1 in W1, so "
        "the first layer's part goes to 0 along t W1 and the infimum is not attained unless it vanishes.",
    )
    x = np.random.default_rng(0).standard_normal((6, 3))

    def gap(v: NDArray[np.float64]) -> float:
        lift = 1 + 4 * np.linalg.norm(v[:6].reshape(2, 3), axis=1) + v[8:10] ** 2  # every neuron is active somewhere
        network = Network(v[:6].reshape(2, 3), v[6:8], lift, v[10:], "sim-bn")
        floor = 2 * float(np.sum(v[6:8] ** 2 + v[10:] ** 2))
        return (trace_of_hessian(network, x) - floor) / (1 + floor)

    yield try_to_break("Tr >= 2 (||W2||² + ||gamma||²)", gap, 12, "n = 6, d = 3, width 2")
    w1, b1, w2, gamma = (np.random.default_rng(1).standard_normal(shape) for shape in ((4, 3), 4, 4, 4))
    b1 = np.abs(b1) + 1  # no neuron is dead on the whole set, where s_j = 0 leaves f undefined
    flat = [trace_of_hessian(Network(t * w1, w2, t * b1, gamma, "sim-bn"), x) for t in (1.0, 10.0)]
    floor = 2 * float(np.sum(w2**2 + gamma**2))
    require(abs((flat[0] - floor) / (flat[1] - floor) - 100) < 1e-6, "the first-layer part does not scale as 1/t²")
    yield Evidence(
        "tested", "floating point", "one random network, t = 1 and 10", "the part above 2 (||W2||² + ||gamma||²) falls 100-fold"
    )
