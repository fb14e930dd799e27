"""Owns wen2023/condition-2, lemma-A.4, A.11, A.23, theorem-A.1 and A.3: flat no-bias models generalize under condition 2.

Models are f(x) = sum_j a_j relu(w_j.x). At an interpolating parameter that is differentiable at every sample, Tr = 2 sum_j (a_j^2
(1/n) sum_i ||x_i||^2 1[w_j.x_i > 0] + (1/n) sum_i relu(w_j.x_i)^2) (lemma 4.1 and equation 2); differentiable means w_j.x_i != 0
wherever a_j != 0 and x_i != 0.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import log

import numpy as np
import sympy as sp
from scipy import stats

from flatproof.theory.claims import Evidence, claim, corrected, definition, require
from flatproof.theory.claims.wen2023.appendix_concentration import Ints, hypercube
from flatproof.theory.constructions import Point, dot

definition(
    "wen2023/condition-2",
    "Subgaussian inputs with a bounded fitting model",
    """x symmetric sigma-subgaussian with covariance I_d, and some no-bias model with sum_j ||W1_j|| |W2_j| <= C fits y exactly
    with probability one.""",
)

# On P_xor (sigma = 1): C1, C2 of lemma A.11 = twice the smaller (larger) constants of lemmas A.5 and A.6.
C1, C2 = 2 * min(Fraction(1, 8), Fraction(1, 512)), 2 * max(Fraction(1), Fraction(7, 4))


def witness(eps: sp.Expr) -> tuple[sp.Matrix, sp.Matrix]:
    """The four-neuron no-bias model of theorem A.1 on the first two coordinates: rows of W1, and W2."""
    rows = sp.Matrix([[1 + eps, 1 - eps], [1 + eps, -1 + eps], [-1 - eps, 1 - eps], [-1 - eps, -1 + eps]])
    return rows, sp.Matrix([[1, -1, -1, 1]]) / (2 - 2 * eps)


def check_witness() -> sp.Expr:
    """Check the witness symbolically on 0 < eps < 1 and return sum_j ||W1_j|| |W2_j|."""
    odds = sp.Symbol("odds", positive=True)
    eps = odds / (1 + odds)  # runs over (0, 1)
    w1, w2 = witness(eps)
    for point in product((1, -1), repeat=2):
        z = (w1 * sp.Matrix(point)).applyfunc(sp.factor)
        signs = [1 if v.is_positive else -1 if v.is_negative else 0 for v in z]
        require(0 not in signs, f"a pre-activation of the witness at {point} has no certain sign: {list(z)}")
        value = sum((w2[j] * z[j] for j in range(4) if signs[j] > 0), sp.Integer(0))
        require(sp.simplify(value - point[0] * point[1]) == 0, f"the witness is wrong at {point}")
    e = sp.Symbol("epsilon", positive=True)
    w1, w2 = witness(e)
    weight = sum((sp.sqrt(w1[j, 0] ** 2 + w1[j, 1] ** 2) for j in range(4)), sp.Integer(0)) / (2 - 2 * e)
    require(sp.simplify(weight - 2 * sp.sqrt(2) * sp.sqrt(1 + e**2) / (1 - e)) == 0, "sum ||W1_j|| |W2_j| is another value")
    return weight.subs(e, sp.Rational(1, 10))


def twice_sums(x: Ints, w: Ints) -> tuple[Fraction, Fraction]:
    """Factors of a^2 and of 1 in one neuron's share of the trace, exactly."""
    z = x @ w
    on = z > 0
    n = len(x)
    return Fraction(2 * int(np.sum(x[on] ** 2)), n), Fraction(2 * int(np.sum(z[on] ** 2)), n)


@claim(
    "wen2023/lemma-A.11",
    printed="C2 (||W1||_F^2 + d ||W2||^2) >= Tr Hess L >= C1 (||W1||_F^2 + d ||W2||^2) for interpolating no-bias models.",
    depends_on=(
        "wen2023/condition-2",
        "wen2023/lemma-4.1",
        "wen2023/equation-2",
        corrected("wen2023/lemma-A.5"),
        "wen2023/lemma-A.6",
    ),
    reading="differentiable parameters",
)
def lemma_a_11() -> Iterator[Evidence]:
    """The trace is comparable with the weight norms.

    Tr = 2 sum_j (a_j^2 S_j + ||w_j||^2 T_j), S_j = (1/n) sum ||x_i||^2 1[w_j.x_i > 0], T_j the half sum of lemma A.6 at
    w_j/||w_j||. For a_j != 0, differentiability puts no sample on w_j.x = 0, so the corrected lemma A.5 bounds S_j between
    multiples of d; lemma A.6 bounds T_j. (wen2023, Lemma A.11)
    """
    a, norm, share, half, d, bound = sp.symbols("a w S T d bound", positive=True)
    first, second, scale = sp.symbols("x1 x2 scale", positive=True)  # one active sample in the plane, w = scale (1, 2)
    z = scale * (first + 2 * second)
    gradient = sp.diff(a * z, a) ** 2 + a**2 * (first**2 + second**2)
    unit = (first + 2 * second) / sp.sqrt(5)
    require(
        sp.simplify(gradient - (a**2 * (first**2 + second**2) + 5 * scale**2 * unit**2)) == 0,
        "the trace is not a^2 S + ||w||^2 T",
    )
    gap = a**2 * share + norm**2 * half - bound * (norm**2 + d * a**2)  # linear in S and T, 0 at S = bound d, T = bound
    require(sp.expand(gap.subs({share: bound * d, half: bound})) == 0, "the bounds of S and T do not give the bound")
    require(sp.diff(gap, share) == a**2 and sp.diff(gap, half) == norm**2, "the trace does not grow with S and T")
    yield Evidence(
        "proved",
        "exact argument from the corrected lemma A.5 and lemma A.6, with their cited Vapnik-Chervonenkis inequality",
        "differentiable interpolating models of any width; condition 2, n >= K d log(d/delta), delta <= 1/2, probability 1 - "
        "delta; the constants depend on sigma",
        f"C1, C2 are twice the least and largest constants there: {C1} and {C2} on P_xor, where they hold with relu'(0) = 0, too, for "
        "neurons with W1_j != 0.",
    )
    yield two_block_law()
    for dim in range(2, 5):
        x = hypercube(dim)
        for w in np.array(list(product(range(-2, 3), repeat=dim)), dtype=np.int64):
            if np.all(x @ w != 0):
                share_w, half_w = twice_sums(x, w)
                require(share_w == dim and half_w == int(np.sum(w**2)), f"w = {w} on the complete sample")
    yield Evidence(
        "certified",
        "exact integers; each pair x, -x activates a neuron once",
        "the complete sample {-1, 1}^d, d = 2, 3, 4, every w in {-2..2}^d off the kinks",
        "Tr Hess L = ||W1||_F^2 + d ||W2||^2 exactly: C1 = C2 = 1 there.",
    )
    rng = np.random.default_rng(11)
    low_ratio, high_ratio, models = np.inf, 0.0, 0
    for dim in (3, 10, 30):
        n = int(np.ceil(32 * dim * log(dim / 0.05)))
        x = rng.integers(0, 2, (n, dim), dtype=np.int64) * 2 - 1
        for _ in range(60):
            width = int(rng.integers(1, 9))
            w = rng.standard_normal((dim, width)) * (rng.random((dim, width)) < rng.choice((1.0, 2 / dim))) + 1e-6 * rng.random(
                (dim, width)
            )
            z = x @ w
            head = rng.standard_normal(width) * 10.0 ** rng.uniform(-2, 2)
            trace = 2 * np.mean(np.sum(head**2 * (z > 0) * dim + np.maximum(z, 0) ** 2, axis=1))
            ratio = float(trace / (np.sum(w**2) + dim * np.sum(head**2)))
            low_ratio, high_ratio, models = min(low_ratio, ratio), max(high_ratio, ratio), models + 1
    require(float(C1) <= low_ratio and high_ratio <= float(C2), f"ratios in [{low_ratio}, {high_ratio}]")
    yield Evidence(
        "tested",
        "falsification search with dense and two-coordinate neurons, balanced and not",
        f"P_xor, d = 3, 10, 30 at n = 32 d ln(20 d), {models} models",
        f"Tr/(||W1||^2 + d ||W2||^2) within [{low_ratio:.3f}, {high_ratio:.3f}].",
    )


def two_block_law() -> Evidence:
    """Lemma A.5's law: x = (sqrt2 s, 0) or (0, sqrt2 z) with probability 1/2 each, y = |x[1]| = relu(x[1]) + relu(-x[1]).

    Both neurons are on their kink on the second block and see a quarter of the law each, with ||x||^2 = 2.
    """
    d = sp.Symbol("d", positive=True)
    share = half = Fraction(1, 4) * 2
    for dim in range(2, 8):
        first = np.array([[sign, *[0] * (dim - 1)] for sign in (1, -1)] * 2 ** (dim - 2), dtype=np.int64)
        points = np.vstack([first, np.hstack([np.zeros((2 ** (dim - 1), 1), dtype=np.int64), hypercube(dim - 1)])])  # x / sqrt2
        for sign in (1, -1):
            w = np.array([sign, *[0] * (dim - 1)])
            on = points[points @ w > 0]
            exact = Fraction(2 * int(np.sum(on[:, 0] ** 2)), len(points)), Fraction(2 * int(np.sum((on @ w) ** 2)), len(points))
            require(exact == (share, half), "S and T of a neuron are not 1/2")
        fitted = np.maximum(points[:, 0], 0) + np.maximum(-points[:, 0], 0)
        require(np.array_equal(fitted, np.abs(points[:, 0])), "the network does not interpolate")
    ratio = 2 * 2 * (share + half) / (2 * (1 + d))
    require(sp.limit(ratio, d, sp.oo) == 0, "the ratio does not vanish")
    shown = ", ".join(f"{float(ratio.subs(d, dim)):.3f}" for dim in (10, 100, 400))
    return Evidence(
        "refuted",
        "counterexample, exact",
        "condition 2 with sigma^2 = 2: the two-block law of lemma A.5, W1 = (e_1, -e_1), W2 = (1, 1), the whole law as the sample",
        f"Tr = 4 while ||W1||_F^2 + d ||W2||^2 = 2 (1 + d): the ratio 2/(1 + d) is {shown} at d = 10, 100, 400. A neuron with W1_j = 0 and "
        "W2_j != 0 breaks the lower bound as well.",
        corrected="Read it for differentiable parameters.",
        target="statement",
        severity="substance",
        reading="relu'(0) = 0",
    )


def off_kinks(w: Point, a: Fraction, x: Sequence[Point]) -> list[tuple[Point, Fraction]]:
    """Two neurons that no nonzero sample puts on a kink and that together output what (w, a) does on the samples.

    relu(z) = 2 relu(z + eta u) - relu(z + 2 eta u) for every real u where z > 0 or z < 0 and eta is small, and where z = 0: so (w + eta v,
    2a) and (w + 2 eta v, -a), with u_i = v.x_i != 0 for every x_i != 0. Their path norm is at most 3 |a| ||w|| + 4 eta |a| ||v||.
    """
    d = len(w)
    directions = (
        tuple(Fraction(k) ** power for power in range(d)) for k in range(1, d * len(x) + 2)
    )  # each x_i != 0 excludes < d
    v = next(v for v in directions if all(dot(v, p) != 0 for p in x if any(p)))
    eta = min((abs(dot(w, p)) / (3 * abs(dot(v, p))) for p in x if dot(w, p) != 0), default=Fraction(1))
    return [(tuple(s + k * eta * t for s, t in zip(w, v, strict=True)), weight) for k, weight in ((1, 2 * a), (2, -a))]


def check_kinks() -> None:
    """The identity by the sign of z, and `off_kinks` on the two-block law (over sqrt2) at d = 3."""
    z, u, eta = sp.symbols("z u eta", positive=True)
    require(sp.expand(2 * (z + eta * u) - (z + 2 * eta * u) - z) == 0, "the identity fails where z > 0")
    for side in (u, -u):  # z = 0
        value = 2 * sp.Max(0, eta * side) - sp.Max(0, 2 * eta * side)
        require(sp.simplify(value) == 0, "the identity fails where z = 0")
    signs = (Fraction(1), Fraction(-1))
    x = [(s, Fraction(0), Fraction(0)) for s in signs] + [(Fraction(0), s, t) for s in signs for t in signs]
    neurons = [pair for s in signs for pair in off_kinks((s, Fraction(0), Fraction(0)), Fraction(1), x)]
    for p in x:
        values = [sum(s * t for s, t in zip(w, p, strict=True)) for w, _ in neurons]
        require(0 not in values, "a neuron is on a kink")
        output = sum(a * max(value, Fraction(0)) for (_, a), value in zip(neurons, values, strict=True))
        require(output == abs(p[0]), "the network off its kinks does not interpolate")


BALANCED = (
    "Balance the competitor (||w_j||^2 = d a_j^2 for each j): lemma A.11 gives Tr <= 2 C2 sqrt(d) P at path norm P = sum |a_j| ||w_j||, "
    "and 2 C1 sqrt(d) sum |a_j| ||w_j|| <= Tr for every differentiable interpolating model."
)


def check_balance() -> None:
    """||w||^2 + d a^2 >= 2 sqrt(d) |a| ||w||, with equality after scaling between the layers."""
    d, a, norm, c = sp.symbols("d a w c", positive=True)
    require(sp.expand((norm - sp.sqrt(d) * a) ** 2 - (norm**2 + d * a**2 - 2 * sp.sqrt(d) * a * norm)) == 0, "AM-GM fails")
    balanced = (norm**2 * c**2 + d * a**2 / c**2).subs(c, sp.sqrt(sp.sqrt(d) * a / norm))
    require(sp.simplify(balanced - 2 * sp.sqrt(d) * a * norm) == 0, "balancing does not attain AM-GM")


@claim(
    "wen2023/lemma-A.4",
    printed="""Lemma 3.1 under condition 2: the flattest interpolating models lie in Theta_C', and R_S(Theta_C') <= O~(sqrt(d/n)); its proof
    uses max_i ||x_i||^2 = O~(sqrt(d)).""",
    depends_on=("wen2023/condition-2", "wen2023/lemma-A.11", "wen2023/lemma-A.17", "wen2023/lemma-A.24"),
    reading="differentiable parameters",
)
def lemma_a_4() -> Iterator[Evidence]:
    """Flattest models under condition 2 have bounded weight and complexity.

    The fitting model (width m*, path norm at most C) interpolates every sample; `off_kinks` makes it differentiable there with at most 4C
    and one neuron more for each on a kink. Balanced, it bounds the trace of the flattest models, hence their path norm. Lemma A.17 at
    t = log(n/delta) and a union bound give max ||x_i||^2 <= B^2 = 32 sigma^2 d + 8 sigma^2 log(n/delta), which is what lemma A.24 needs.
    (wen2023, Lemma A.4)
    """
    for dim in range(2, 9):
        require(np.all(np.sum(hypercube(dim) ** 2, axis=1) == dim), f"||x||^2 is not d for d = {dim}")
    u, k = sp.symbols("u k", positive=True)  # d = e^u: sqrt(d)/log^k d = exp(u/2)/u^k >= (u/2)^(k+1)/((k+1)! u^k), linear in u
    term = (u / 2) ** (k + 1) / sp.factorial(k + 1) / u**k
    require(
        sp.simplify(term / u - sp.Rational(1, 2) ** (k + 1) / sp.factorial(k + 1)) == 0, "the lower bound is not linear in log d"
    )
    check_witness()
    yield Evidence(
        "refuted",
        "exact; one term of the exponential series bounds sqrt(d)/log^k d below by a multiple of log d, for every k",
        "the printed step of the proof, max_i ||x_i||^2 = O~(sqrt(d)); both conclusions stand (next evidence)",
        "P_xor satisfies condition 2 (sigma = 1, covariance I, the witness of theorem A.1) and ||x_i||^2 = d for every sample: "
        "at d = 4, ||x||^2 = 4 against sqrt(d) = 2, and d/sqrt(d) = sqrt(d) outgrows every power of log d.",
        "With probability 1 - delta, max_i ||x_i||^2 <= 32 sigma^2 d + 8 sigma^2 log(n/delta) = O~(d).",
        target="proof step",
        severity="constant or sign",
    )
    n, delta = sp.symbols("n delta", positive=True)
    require(sp.simplify(n * sp.exp(-sp.log(n / delta)) - delta) == 0, "the union bound is not delta")
    check_balance()
    check_kinks()
    yield Evidence(
        "proved",
        "symbolic: union bound over lemma A.17, balance, the identity at kinks; then lemmas A.11 and A.24",
        "condition 2, width at least m* + the number of the fitting model's neurons on kinks (no width is printed); all d, sigma, delta",
        f"{BALANCED} Every differentiable model with a trace of at most the competitor's, so every flattest one, lies in Theta_C' "
        "with C' = "
        "4 C C2/C1, and R_S(Theta_C') <= 2 C' sqrt((32 sigma^2 d + 8 sigma^2 log(n/delta))/n) = O~(sqrt(d/n)).",
    )
    tails = [
        size * float(stats.chi2.sf(32 * dim + 8 * log(size / delta_), dim)) / delta_
        for dim in (1, 2, 10, 100)
        for size in (1, 10, 10**4)
        for delta_ in (0.5, 0.01)
    ]
    require(max(tails) <= 1, "a normal sample exceeds the corrected bound")
    yield Evidence(
        "tested",
        "falsification search, exact tails",
        f"standard normal samples, {len(tails)} triples (d, n, delta)",
        f"no violation; largest share of delta {max(tails):.2g}.",
    )


@claim(
    "wen2023/theorem-A.1",
    printed="""Theorem 3.1 for any distribution satisfying condition 2; the four-neuron witness for P_xor is W1 rows (1+eps, 1-eps),
    (1+eps, -1+eps), (-1-eps, 1-eps), (-1-eps, -1+eps) on the first two coordinates, W2 = (1/(2-2 eps)) [1, -1, -1, 1].""",
    depends_on=("wen2023/condition-2", "wen2023/lemma-A.4", "wen2023/lemma-A.18", "wen2023/lemma-A.24", "wen2023/theorem-A.3"),
    reading="differentiable parameters",
)
def theorem_a_1() -> Iterator[Evidence]:
    """Flat no-bias models generalize under condition 2.

    By lemma A.4 every differentiable model with a trace of at most the competitor's, so every flattest one, is in Theta_C', as is the
    fitting model. On ||x|| <= c, c of lemma A.18, the loss (f - y)^2 1[||x|| <= c] is 2-smooth, at most ((C + C') c)^2 = O~(d) and zero on
    the sample, and R_n <= 2 C' c/sqrt(n): theorem A.3 bounds its mean by O~(d/n). Beyond, (f - y)^2 <= (C + C')^2 ||x||^2, and lemma A.18
    leaves O(d/n). (wen2023, Theorem A.1)
    """
    weight = check_witness()
    c, big, d, n, ell, logn = sp.symbols("C K d n ell logn", positive=True)
    radius = sp.sqrt(d * ell)  # c of lemma A.18, up to a constant and sigma
    bound = big * (2 * logn**3 * (2 * c * radius / sp.sqrt(n)) ** 2 + (2 * c * radius) ** 2 * ell / n) + (2 * c) ** 2 * d / n
    factor = sp.simplify(bound * n / d)
    require(not factor.has(d) and not factor.has(n), "the bound is not d/n times logarithms")
    yield Evidence(
        "proved",
        "exact argument from lemmas A.4, A.18 and A.24; symbolic witness; cited: theorem A.3 (Srebro et al.)",
        "condition 2, width at least m* + the number of the fitting model's neurons on kinks at the sample (no width is printed; below it "
        "nothing is claimed); every differentiable interpolating model with a trace of at most the competitor's",
        "relu(z) = 2 relu(z + eta u) - relu(z + 2 eta u) on the sample moves each kinked neuron off its kink at three times its "
        "path norm, so "
        "the fitting model bounds the least trace. E (f - y)^2 <= (d/n) times logarithms. The witness has f = x[1]x[2] for 0 < eps < 1, no "
        f"pre-activation at 0 and path norm 2 sqrt(2) sqrt(1 + eps^2)/(1 - eps), {float(weight):.4f} at eps = 1/10.",
    )


@claim(
    "wen2023/lemma-A.23",
    printed="With probability >= 1 - delta, sup_f |P_n f - P f| <= 2 R_S(F) + 3 sqrt(log(4/delta)/n) (equation 23), f in [0, 1].",
)
def lemma_a_23() -> Iterator[Evidence]:
    """Uniform convergence.

    A second sample and random signs that exchange the two: E sup (P f - P_n f) <= 2 E R_S, and the same with the sign changed, as s and -s
    have one law. One sample moves sup (P f - P_n f) and R_S by at most 1/n, so by McDiarmid's inequality each of four quantities exceeds
    its mean (R_S: falls below it) by t with probability at most exp(-2 n t^2) = delta/4, t = sqrt(log(4/delta)/(2n)). (wen2023, Lemma A.23)
    """
    n, delta = sp.symbols("n delta", positive=True)
    t = sp.sqrt(sp.log(4 / delta) / (2 * n))
    require(sp.simplify(4 * sp.exp(-2 * n * t**2) - delta) == 0, "four events do not sum to delta")
    ell = sp.Symbol("ell", positive=True)  # log(4/delta)
    ratio = sp.simplify(3 * sp.sqrt(ell / (2 * n)) / (3 * sp.sqrt(ell / n)))
    require(ratio <= 1, "2 R_S + 3 t is not within the printed bound")
    yield Evidence(
        "proved",
        "exact argument; cited: symmetrization by a second sample, McDiarmid's inequality",
        "every class of functions into [0, 1], all n and delta",
        "sup <= 2 E R_S + t <= 2 R_S + 3 t with t = sqrt(log(4/delta)/(2n)): sqrt2 less than printed.",
    )
    cube = hypercube(2)
    directions = np.array(list(product(range(-2, 3), repeat=2)))
    sets: Ints = np.unique((cube @ directions.T > 0).T.astype(np.int64), axis=0)
    require(len(sets) == 9, "half-spaces through the origin pick not 9 sets of the square's corners")
    parts, worst = [], 0.0
    for n in (1, 2, 3, 4):
        signs = np.array(list(product((1, -1), repeat=n)))
        gaps, deviations, complexities = [], [], []
        for sample in product(range(4), repeat=n):
            chosen = sets[:, list(sample)]
            difference = n * np.sum(sets, axis=1) - 4 * np.sum(chosen, axis=1)
            gaps.append(int(np.max(difference)))  # 4 n sup (P - P_n)
            deviations.append(int(np.max(np.abs(difference))))
            complexities.append(int(np.sum(np.max(chosen @ signs.T, axis=0))))  # n 2^n R_S
        gap, complexity = Fraction(sum(gaps), 4 * n * len(gaps)), Fraction(sum(complexities), n * 2**n * len(gaps))
        require(gap <= 2 * complexity, f"E sup (P - P_n) = {gap} exceeds 2 E R_S = {2 * complexity} at n = {n}")
        parts.append(f"n = {n}: {gap} <= {2 * complexity}")
        for delta in (0.9, 0.5, 0.2, 0.05):
            limit = 2 * np.array(complexities) / (n * 2**n) + 3 * (log(4 / delta) / n) ** 0.5
            rate = float(np.mean(np.array(deviations) / (4 * n) > limit))
            require(rate <= delta, f"the deviation bound fails with probability {rate} > {delta} at n = {n}")
            worst = max(worst, rate / delta)
    yield Evidence(
        "certified",
        "exhaustive enumeration of all samples and signs",
        "half-spaces through the origin on P_xor, d = 2, n <= 4; delta = 0.9, 0.5, 0.2, 0.05",
        f"E sup (P - P_n) <= 2 E R_S: {'; '.join(parts)}; equation 23 fails with at most {worst:.2f} delta.",
    )


@claim(
    "wen2023/theorem-A.3",
    printed="""(Srebro et al. 2010), as used: for an H-smooth loss bounded by b and zero training error, L(h) <= O(H log^3(n) R_n^2(F) +
    b log(1/delta)/n), R_n the worst-case Rademacher complexity.""",
)
def theorem_a_3() -> Iterator[Evidence]:
    """Fast rates for smooth losses.

    With probability 1 - delta, every h with zero training error has E loss <= K (H log^3(n) R_n^2 + b log(1/delta)/n). (wen2023, Theorem
    A.3; Srebro, Sridharan and Tewari 2010, Theorem 1)
    """
    yield Evidence(
        "cited",
        "a published theorem: Srebro, Sridharan and Tewari 2010, Theorem 1",
        "-",
        "not proved again here; the page gives no constant to check. Theorems 3.1 and A.1 rest on it.",
    )
