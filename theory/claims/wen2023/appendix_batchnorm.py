"""Owns wen2023's statements on simplified BatchNorm: lemma-A.27, lemmas A.1 to A.3, theorem-3.2.

u_ij = relu(z_ij) / s_j has mean square 1 over the training set; f(x_i) = sum_j a_j gamma_j u_ij.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from theory.architectures import Network, forward, loss, trace_of_hessian
from theory.claims import Evidence, claim, require
from theory.claims.search import try_to_break
from theory.constructions import cube, dot, generalizing_network, homogeneous


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
    decided = 0
    for signs in product((1, 0), repeat=4):
        on_a, on_d, on_b, on_c = signs
        if on_a + on_d > 0 and on_b + on_c == 0 and on_a * on_d:
            decided += 1  # a, d > 0 >= b, c contradicts a + d = b + c
            continue
        if on_b * on_c and on_a + on_d == 0:
            decided += 1  # b, c > 0 >= a, d likewise
            continue
        require(_case(signs), f"signs {signs} are not decided")
        decided += 1
    require(decided == 16, "not all 16 sign patterns were decided")
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


def _case(signs: tuple[int, ...]) -> bool:
    """Whether gap = right - left is zero (at most one positive) or a sum of products of positive numbers (otherwise)."""
    p = sp.symbols("p1:4", positive=True)  # the positive ones
    q = sp.symbols("q1:4", nonnegative=True)  # minus the others
    on = sum(signs)
    if on <= 1:
        return True  # left and right are the same single square
    if on == 2:  # one on each side
        return sp.expand(p[0] ** 2 + p[1] ** 2 - (p[0] - p[1]) ** 2 - 2 * p[0] * p[1]) == 0
    if on == 3:  # a, d, b > 0 >= c = -q: p1 + p2 = p3 - q; left = (p1 + p2 - p3)² = q², right >= p3² = (p1 + p2 + q)²
        gap = p[0] ** 2 + p[1] ** 2 + (p[0] + p[1] + q[0]) ** 2 - q[0] ** 2
        return all(c > 0 for c in sp.Poly(sp.expand(gap), *p[:2], q[0]).coeffs())
    return True  # all four: left = (a + d - b - c)² = 0 < right


@claim(
    "wen2023/lemma-A.1",
    printed="""Under condition 1, an interpolating Sim-BN model minimizing ||gamma*W2||_1 has f(x) = x[1]x[2] on the cube and W1_j[3:d] = 0;
    the minimum is 2, attained by W1 = [(-1)^i,(-1)^j,0,...], b1 = -1, W2 = 1/2, gamma = 1; by |sum_i y_i relu(a_i[j])| <=
    (n/2) sqrt((1/n) sum_i relu(a_i[j])²).""",
    uses=("wen2023/condition-1", "wen2023/lemma-A.27"),
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


# Theorem 3.2's counterexample: d = 4, tails S = {(1,1), (1,-1), (-1,1)}. Both extra neurons see the training point
# (1,1,1,-1) alone, with activation eta; the first is active at the unseen point (1,1,-1,-1) as well.
TAILS = ((1, 1), (1, -1), (-1, 1))
SEEN, UNSEEN = (1, 1, 1, -1), (1, 1, -1, -1)


def barely_active(corner: int, delta: float, eta: float) -> Network:
    """Lemma A.1's four neurons, first layer times `corner`, and two barely active neurons with a gamma = delta and -delta."""
    base = generalizing_network(4, "sim-bn", size=corner)
    assert base.gamma is not None
    assert base.b1 is not None
    root = np.sqrt(delta)
    return Network(
        w1=np.vstack([base.w1, [[1, 1, -1, -2]], [SEEN]]),
        b1=np.append(base.b1, [-3 + eta, -4 + eta]),
        w2=np.append(base.w2, [root, -root]),
        gamma=np.append(base.gamma, [root, root]),
        architecture="sim-bn",
    )


def _counterexample(id: str) -> Evidence:
    train = [(*head, *tail) for head in product((1, -1), repeat=2) for tail in TAILS]
    require(len(train) == 12, "12 training points")
    first = [p[0] + p[1] - p[2] - 2 * p[3] for p in train]
    second = [sum(a * b for a, b in zip(SEEN, p, strict=True)) for p in train]
    at = train.index(SEEN)
    require(max(first) == first[at] == 3 and sorted(first)[-2] <= 1, "the first neuron does not see one training point alone")
    require(max(second) == second[at] == 4 and sorted(second)[-2] <= 2, "the second neuron does not see one training point alone")
    outside = (UNSEEN[0] + UNSEEN[1] - UNSEEN[2] - 2 * UNSEEN[3], sum(a * b for a, b in zip(SEEN, UNSEEN, strict=True)))
    require(outside == (5, 2), "pre-activations at the unseen point")
    eta, delta = sp.symbols("eta delta", positive=True)
    s = eta / sp.sqrt(12)
    u, c = eta / s, eta / 12  # u at the seen point; c_j = c x'
    require(sp.simplify(1 - (u / s) * c) == 0, "the first-layer gradient of a neuron active on one point does not vanish")
    added = 2 * 2 * (delta + delta)  # 2 (a² + gamma²) for each of the two neurons
    require(added == 8 * delta, "what the two neurons add to the trace")
    change = delta * (2 + eta) / s
    require(sp.limit(change, eta, 0, "+") == sp.oo, "the change at the unseen point is bounded")
    x = np.array(train, dtype=float)
    y = x[:, 0] * x[:, 1]
    for small in (1e-2, 1e-4):
        network = barely_active(10**4, small, small / 10)
        require(loss(network, x, y) < 1e-18, "the counterexample does not interpolate")
        require(trace_of_hessian(network, x) < 8 + 8 * small + 1e-6, "its trace is not within kappa of 8")
        wrong = forward(network, np.array([UNSEEN], dtype=float), train_x=x)[0]
        require(wrong > 50, f"f at the unseen point is {wrong}, not far from 1")
    return Evidence(
        "refuted",
        "counterexample, symbolic in kappa; checked in floating point by theory.trace_of_hessian",
        "d = 4, S = {(1,1), (1,-1), (-1,1)} (n = 12), width 6",
        f"Add to lemma-A.1's four neurons w = (1,1,-1,-2), b = eta - 3 and w = (1,1,1,-1), b = eta - 4 with a gamma = delta and -delta. "
        "On the training set both are active at (1,1,1,-1) alone, where u = sqrt 12 for both: they cancel, f interpolates, and the trace "
        f"rises by 8 delta. At the unseen (1,1,-1,-1) the first alone is active: f = 1 + delta (2+eta) sqrt 12/eta, unbounded as eta -> 0 "
        f"for every delta = kappa/8. ({id.split('/')[1]})",
        corrected="For every eps there is kappa such that ||W1_j[3:d]|| <= eps ||W1_j|| for every neuron with |gamma_j W2_j| >= eps. Off "
        "the training set f is controlled only with a bound on the normalized weights ||(W1_j, b1_j)|| / s_j of the others.",
    )


def _nearly() -> Evidence:
    """The corrected statement: what trace within kappa of 8 forces on a neuron that counts."""
    n, kappa, eps, b = sp.symbols("n kappa epsilon b", positive=True)
    # 2 (||a||² + ||gamma||²) <= 8 + kappa gives ||a gamma||_1 <= 2 + kappa/4; with rho_j = |sum_i y_i u_ij| <= n/2 and
    # n <= sum_j |a_j gamma_j| rho_j, the deficit sum_j |a_j gamma_j| (n/2 - rho_j) is at most
    deficit = (2 + kappa / 4) * n / 2 - n
    require(sp.simplify(deficit - kappa * n / 8) == 0, "the total deficit is not kappa n / 8")
    require(sp.limit(deficit / eps, kappa, 0) == 0, "a neuron's deficit does not vanish with kappa")
    h, s, t = sp.symbols("alpha beta_s beta_t", real=True)
    active, silent = (h + s + b) + (-h + t + b), (-h + s + b) + (h + t + b)
    require(sp.simplify(active - silent) == 0, "opposite heads: the two sums differ")
    return Evidence(
        "proved",
        "argument; machine-checked: the deficit and the sum identity; cited: compactness, equality case of Cauchy-Schwarz, lemma-A.27",
        "the corrected statement, every width and every set satisfying condition 1",
        "A neuron with |gamma_j W2_j| >= eps has n/2 - |sum_i y_i u_ij| <= kappa n/(8 eps). As that tends to 0 its u_j, which lies in a "
        "compact set, tends to one active head of value 2 on every tail (opposite heads are excluded as in lemma-A.1): with w = W1_j/s_j, "
        "w[3:d].(s - t) -> 0 for all tails while flipping a head coordinate changes w.x by at least 2 - o(1): ||w[3:d]||/||w|| -> 0.",
    )


def _spans() -> bool:
    differences = np.array([np.subtract(a, b) for a, b in combinations(TAILS, 2)])
    return int(np.linalg.matrix_rank(differences)) == 2


@claim(
    "wen2023/theorem-3.2",
    printed="""Under condition 1, for every width and eps > 0 there is kappa > 0 such that any interpolating Sim-BN model with trace within
    kappa of the infimum satisfies |x[1]x[2] - f(x)| <= eps on the whole cube and ||W1_j[3:d]|| <= eps ||W1_j|| for all neurons j.""",
    uses=("wen2023/condition-1", "wen2023/lemma-A.2", "wen2023/lemma-A.3"),
)
def theorem_3_2() -> Iterator[Evidence]:
    """Nearly flattest simplified BatchNorm networks.

    Normalization magnifies a neuron that is barely active on the training set: its normalized training activations stay of order one
    while its activation elsewhere, divided by the same tiny s_j, has no bound. (wen2023, Theorem 3.2)
    """
    require(_spans(), "S - S does not span R²")
    yield _counterexample("wen2023/theorem-3.2")
    yield _nearly()


@claim(
    "wen2023/lemma-A.2",
    printed="Approximate version of A.1 for ||gamma||² + ||W2||²: near the minimum, f is near x[1]x[2] on the cube and W1_j[3:d] near 0.",
    uses=("wen2023/lemma-A.1",),
)
def lemma_a2() -> Iterator[Evidence]:
    """Nearly l2-minimal simplified BatchNorm networks.

    The network of theorem-3.2's counterexample has ||gamma||² + ||W2||² = 4 + 4 delta, and 4 is the minimum. (wen2023, Lemma A.2)
    """
    delta = 1e-4
    network = barely_active(10**4, delta, delta / 10)
    assert network.gamma is not None
    require(abs(np.sum(network.gamma**2 + network.w2**2) - 4 - 4 * delta) < 1e-12, "the squared norms are not 4 + 4 delta")
    yield _counterexample("wen2023/lemma-A.2")
    yield _nearly()


@claim(
    "wen2023/lemma-A.3",
    printed="""For Sim-BN with L = 0: Tr Hess L >= ||W2||² + ||gamma||², and the infimum of the trace equals the infimum of
    ||W2||² + ||gamma||².""",
    uses=("wen2023/lemma-4.1",),
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
