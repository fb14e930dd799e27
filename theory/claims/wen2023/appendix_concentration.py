"""Owns wen2023/lemma-A.5 to A.8 and A.10: half-space sums over a sample, uniformly over directions.

Throughout x is symmetric, sigma-subgaussian, with covariance I_d (so sigma >= 1), delta <= 1/2 and L = ln(d/delta) >= ln 2.
Cited: Pr(sup |P_n - P| > eta) <= 8 S(n) exp(-n eta^2/32) over a class of growth S (Vapnik and Chervonenkis; Devroye, Gyorfi and
Lugosi 1996, Theorem 12.5), and S(n) <= (n+1)^V (lemma A.21).
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import log

import numpy as np
import numpy.typing as npt
import sympy as sp
from scipy import stats

from flatproof.theory.claims import Evidence, claim, require

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def hypercube(d: int) -> Ints:
    """The 2^d points of {-1, 1}^d."""
    return np.array(list(product((1, -1), repeat=d)), dtype=np.int64)


def vc_factor(eta: Fraction, per_dimension: int = 1) -> int:
    """The power of two K for which n >= K d L gives 8 (n+1)^V exp(-n eta^2/32) <= delta/2, V <= per_dimension * d, delta <= 1/2.

    With a = 32/eta^2 and n = K d L: ln(n+1) <= ln 2K + ln d + ln L <= ln 2K + 2 L, so n/a >= V ln(n+1) + ln(16/delta) follows
    from K/a >= per_dimension (log2(2K) + 2) + 5, using 1/L <= 1/ln 2, d >= 1; n/a - V ln(n+1) increases beyond that n.
    """
    a = 32 / eta**2
    k = 1
    while k < a * (per_dimension * (log(2 * k, 2) + 2) + 5):
        k *= 2
    return k


@cache
def directions(d: int) -> Ints:
    """Integer w != 0 among which min over all w != 0 of #{x: w.x > 0} is attained, for any sample of {-1, 1}^d that spans R^d; d
    <= 5.

    The minimum is attained on a ray of the arrangement of the sample's hyperplanes: a ray r in the closure of a cell has {r.x >
    0} within {w.x > 0}. A ray is orthogonal to d-1 cube points; its entries are minors of order d-1 of a +-1 matrix, which
    divided by 2^(d-2) are 0, +-1 for d <= 4, and 0, +-1, +-2 for d = 5 (Hadamard's bound).
    """
    size = 1 if d <= 4 else 2
    grid = np.array(list(product(range(-size, size + 1), repeat=d)), dtype=np.int64)
    return grid[np.any(grid != 0, axis=1)]


def least_share(x: Ints) -> Fraction:
    """The exact min over w != 0 of the share of the sample with w.x > 0 (0 if the sample does not span R^d), d <= 5."""
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return Fraction(0)
    return Fraction(int(np.min(np.sum(x @ directions(x.shape[1]).T > 0, axis=0))), len(x))


def _sample(rng: np.random.Generator, n: int, d: int) -> Ints:
    return rng.integers(0, 2, (n, d), dtype=np.int64) * 2 - 1


def _failures(failed: int, trials: int) -> str:
    interval = stats.binomtest(failed, trials).proportion_ci(confidence_level=0.99, method="exact")
    return (
        f"{failed} failures in {trials} samples (99% Clopper-Pearson: failure rate in [{interval.low:.4f}, {interval.high:.4f}])"
    )


@claim(
    "wen2023/lemma-A.5",
    printed="For n = Omega(d log(d/delta)), for all w: C2 d >= (1/n) sum ||x_i||^2 1[w.x_i > 0] >= C1 d.",
    depends_on=("wen2023/condition-2", "wen2023/lemma-A.17", "wen2023/lemma-A.19", "wen2023/lemma-A.21", "wen2023/lemma-A.22"),
)
def lemma_a_5() -> Iterator[Evidence]:
    """Half-space sums of the squared norm.

    Upper: 1/n sum ||x_i||^2 <= 64 sigma^2 d, from Pr(||x||^2 >= 32 sigma^2 d + 8 sigma^2 t) <= e^-t and Chernoff. Lower: let B =
    {||x||^2 > eps d}, Pr(B) > zeta (lemma A.19), and |P_n - P| <= eta on B and on all {w.x > 0} within B. By symmetry, if no
    sample in B lies on w.x = 0, P_n(+) >= P(+) - eta = P(-) - eta >= P_n(-) - 2 eta = P_n(B) - P_n(+) - 2 eta, so P_n(+) >= (zeta
    - 3 eta)/2. On P_xor Pr(w.x > 0) = (1 - Pr(w.x = 0))/2 >= 1/4 for every w != 0: given all coordinates but one with w_k != 0,
    w.x = 0 has probability <= 1/2. (wen2023, Lemma A.5)
    """
    cube = hypercube(2)
    require(int(np.sum(cube @ np.zeros(2, dtype=np.int64) > 0)) == 0, "w = 0 activates a point")
    for d in range(2, 8):  # x = sqrt2 p with p in {-1, 0, 1}^d: the points p of the law, each block with half the weight
        first = np.array([[s] + [0] * (d - 1) for s in (1, -1)] * 2 ** (d - 2), dtype=np.int64)
        points = np.vstack([first, np.hstack([np.zeros((2 ** (d - 1), 1), dtype=np.int64), hypercube(d - 1)])])
        require(np.array_equal(2 * points.T @ points, len(points) * np.eye(d)), "the two-block law has not the covariance I")
        on = points[points[:, 0] > 0]
        require(2 * 2 * int(np.sum(on * on)) == len(points), "the two-block law's half sum at w = e_1 is not 1/2")
    # E exp(v.x) = cosh(sqrt2 v_1)/2 + prod_k cosh(sqrt2 v_k)/2 <= exp(||v||^2): sigma^2 = 2 for every d.
    yield Evidence(
        "refuted",
        "exact; w = 0 for any sample, and w = e_1 on a two-block law",
        "'for all w' in the lower bound; the upper bound stands",
        "w = 0: every 1[w.x_i > 0] is 0, so the sum is 0 < C1 d. Excluding w = 0 is enough on P_xor but not under condition 2: "
        "let x = (sqrt2 s, 0) or (0, sqrt2 z) with probability 1/2 each, s and the d-1 entries of z independent signs, y = "
        "|x[1]|. x is symmetric, sqrt2-subgaussian, with covariance I, and y = relu(x[1]) + relu(-x[1]); w = e_1 has E ||x||^2 "
        "1[w.x > 0] = 1/2 in every dimension, below C1 d for large d.",
        "For n >= K d log(d/delta), delta <= 1/2, with probability 1 - delta: the upper bound for all w, and the lower bound "
        "for all w with w.x_i != 0 at every sample x_i != 0 (those at which a neuron is differentiable); on P_xor for all w != "
        "0, with C1 = 1/8, C2 = 1.",
        target="statement",
        severity="boundary",
    )
    t = sp.Symbol("t", positive=True)
    require(sp.integrate(sp.exp(t / 2) * sp.exp(-t), (t, 0, sp.oo)) == 2, "E exp(Y/2) of an exponential Y is not 2")
    require(16 * (2 + sp.log(2) + 1) < 64, "64 sigma^2 is not enough")  # 16 sigma^2 (2 d + ln 2 + s), s = ln(2/delta)/n <= 1
    k_xor, eta = vc_factor(Fraction(1, 8)), sp.Symbol("eta", positive=True)
    zeta = Fraction(1, 7)
    require((zeta - 3 * zeta / 6) / 2 == zeta / 4, "eta = zeta/6 does not leave zeta/4")
    plus, share = sp.symbols("P_plus zeta")
    solved = sp.solve(sp.Eq(plus, share - eta - plus - 2 * eta), plus)[0]
    require(sp.simplify(solved - (share - 3 * eta) / 2) == 0, "the symmetric argument does not give (zeta - 3 eta)/2")
    yield Evidence(
        "proved",
        "exact argument; cited: the Vapnik-Chervonenkis inequality, Chernoff",
        "the corrected statement; symmetric sigma-subgaussian x with covariance I_d, all d, delta <= 1/2",
        f"C2 = 64 sigma^2, C1 = eps zeta/4 (eta = zeta/6); on P_xor C2 = 1, C1 = 1/8 for n >= {k_xor} d ln(d/delta), far from "
        "tight.",
    )
    least = {d_: least_share(hypercube(d_)) for d_ in range(2, 6)}
    require(all(v == Fraction(1, 4) for v in least.values()), f"the population minimum is not 1/4: {least}")
    rng = np.random.default_rng(5)
    parts = []
    for dim, trials in ((2, 200), (3, 200), (4, 150), (5, 40)):
        n = int(np.ceil(32 * dim * log(dim / 0.05)))
        worst = [least_share(_sample(rng, n, dim)) for _ in range(trials)]
        require(sum(w < Fraction(1, 8) for w in worst) <= 0.05 * trials, f"too many samples below 1/8 at d = {dim}")
        parts.append(
            f"d = {dim}, n = {n}: {_failures(sum(w < Fraction(1, 8) for w in worst), trials)}, least {float(min(worst)):.3f}"
        )
    x = _sample(rng, 1000, 30)
    pairs = min(
        float(np.mean(x[:, i] * a + x[:, j] * b > 0)) for i, j in combinations(range(30), 2) for a in (1, -1) for b in (1, -1)
    )
    require(pairs >= 1 / 8, "a pair of coordinates activates under 1/8 of a sample")
    yield Evidence(
        "tested",
        "exact minimum over all w != 0 of each sample (finitely many rays), delta = 0.05, C1 = 1/8",
        "P_xor, d = 2..5 at n = 32 d ln(d/delta); the population minimum over w is exactly 1/4 there",
        f"{'; '.join(parts)}; d = 30, n = 1000: the least of the 1740 directions +-e_i +- e_j has {pairs:.3f}.",
    )


@claim(
    "wen2023/lemma-A.6",
    printed="For n = Omega(d log(d/delta)), for unit w: C2 >= (1/n) sum |w.x_i|^2 1[w.x_i > 0] >= C1.",
    depends_on=("wen2023/lemma-A.10", "wen2023/lemma-A.21", "wen2023/lemma-A.22"),
)
def lemma_a_6() -> Iterator[Evidence]:
    """Half-space sums of the squared projection.

    By symmetry E (w.x)^2 1[w.x > 0] = 1/2. Upper: at most the full sum, lemma A.10. Lower: (w.x)^2 1[w.x > 0] >= 1/2 1[w.x >
    sqrt(1/2)], and Pr(w.x > sqrt(1/2)) = Pr((w.x)^2 > 1/2)/2 >= (1/4)/(2 E(w.x)^4) >= 1/(128 sigma^4) (Paley-Zygmund, E(w.x)^4 <=
    16 sigma^4); uniform over affine half-spaces (VC dimension d + 1 <= 2 d) with eta = 1/(256 sigma^4). (wen2023, Lemma A.6)
    """
    s = sp.Symbol("sigma", positive=True)
    mass = (1 - sp.Rational(1, 2)) ** 2 / (2 * 16 * s**4)
    require(sp.simplify(mass - 1 / (128 * s**4)) == 0, "Paley-Zygmund does not give 1/(128 sigma^4)")
    lower = sp.Rational(1, 2) * (mass - 1 / (256 * s**4))
    require(sp.simplify(lower - 1 / (512 * s**4)) == 0, "C1 is not 1/(512 sigma^4)")
    factor = vc_factor(Fraction(1, 256), 2)
    yield Evidence(
        "proved",
        "exact argument; cited: Paley-Zygmund, the Vapnik-Chervonenkis inequality",
        "symmetric sigma-subgaussian x with covariance I_d, all d, delta <= 1/2; the constants depend on sigma",
        f"C1 = 1/(512 sigma^4), C2 = 7/4 (lemma A.10) for n >= K d ln(d/delta), K depending on sigma only (K = {factor} at "
        "sigma = 1).",
    )
    rng = np.random.default_rng(6)
    low, high, starts = 1.0, 0.0, 0
    for dim in (3, 10, 20):
        for _ in range(2):
            x = _sample(rng, int(np.ceil(32 * dim * log(dim / 0.05))), dim).astype(np.float64)
            w: Floats = rng.standard_normal((24, dim))
            w[:6] = np.sign(w[:6]) * (np.argsort(np.argsort(-np.abs(w[:6]), axis=1), axis=1) < 2)  # +-e_i +- e_j
            for direction in (-1.0, 1.0):
                v = w / np.linalg.norm(w, axis=1, keepdims=True)
                for _step in range(15):
                    v = v + direction * (np.maximum(v @ x.T, 0) @ x) / len(x)
                    v /= np.linalg.norm(v, axis=1, keepdims=True)
                values = np.mean(np.maximum(v @ x.T, 0) ** 2, axis=1)
                low, high, starts = min(low, float(values.min())), max(high, float(values.max())), starts + len(v)
    require(low >= 1 / 8 and high <= 3 / 2, f"half sums in [{low}, {high}] leave [1/8, 3/2]")
    yield Evidence(
        "tested",
        "falsification search: projected gradient on the sphere, down and up, from random and two-coordinate starts",
        f"P_xor, d = 3, 10, 20 at n = 32 d ln(20 d), {starts} searches of 15 steps",
        f"half sums within [{low:.3f}, {high:.3f}]; no violation of [1/8, 3/2].",
    )


@claim(
    "wen2023/lemma-A.7",
    printed="Under condition 2, for unit w and n >= C log(2/delta), with probability >= 1-delta: 3/2 >= (1/n) sum |w.x_i|^2 >= 1/2.",
    depends_on=("wen2023/condition-2", "wen2023/lemma-A.14", "wen2023/lemma-A.16"),
)
def lemma_a_7() -> Iterator[Evidence]:
    """The full sum for one direction.

    Z = w.x is sigma-subgaussian with E Z^2 = 1, so Z^2 is (4 sqrt2 sigma^2, 4 sigma^2)-subexponential (lemma A.14) and lemma A.16 at
    t = 1/2, for Z^2 and for -Z^2, gives Pr(|mean Z^2 - 1| >= 1/2) <= 2 exp(-n/(256 sigma^4)). (wen2023, Lemma A.7)
    """
    s, t = sp.Symbol("sigma", positive=True), sp.Rational(1, 2)
    nu, b = 4 * sp.sqrt(2) * s**2, 4 * s**2
    quadratic, linear = t**2 / (2 * nu**2), t / (2 * b)
    require(sp.simplify(quadratic - 1 / (256 * s**4)) == 0, "the exponent is not 1/(256 sigma^4)")
    require(sp.simplify(linear / quadratic) == 16 * s**2, "t = 1/2 is not in the Gaussian range for sigma >= 1/4")
    yield Evidence(
        "proved",
        "symbolic exponents, from lemmas A.14 and A.16",
        "sigma-subgaussian x with covariance I_d (so sigma >= 1), any unit w, all delta; C = 256 sigma^4",
        "Pr(|mean - 1| >= 1/2) <= 2 exp(-n/(256 sigma^4)) <= delta for n >= 256 sigma^4 log(2/delta).",
    )
    share = max(sum(both_tails(n)) * np.exp(n / 256) / 2 for n in range(1, 400))
    require(share <= 1, "an exact tail exceeds its bound")
    yield Evidence(
        "tested",
        "falsification search, exact binomial tails",
        "P_xor, w = (1, 1)/sqrt2, n = 1..399",
        f"no violation; largest share of 2 exp(-n/256): {share:.3f}.",
    )


def both_tails(n: int) -> tuple[float, float]:
    """Pr(mean Z^2 <= 1/2) and Pr(mean Z^2 >= 3/2) on P_xor for w = (1, 1)/sqrt2, where Z^2 is 2 or 0 with probability 1/2."""
    return float(stats.binom.cdf(np.floor(n / 4), n, 0.5)), float(stats.binom.sf(np.ceil(3 * n / 4) - 1, n, 0.5))


@claim(
    "wen2023/lemma-A.8",
    printed="""Pointwise: 3/2 >= (1/n) sum |w.x_i|^2 1[w.x_i > 0] >= 1/8 for n >= C log(4/delta), where the upper bound is that of the
    full sum.""",
    depends_on=("wen2023/lemma-A.14",),
)
def lemma_a_8() -> Iterator[Evidence]:
    """Half-space sums for one direction.

    Z = w.x, E Z^2 = 1, E Z^2 1[Z > 0] = 1/2 and E Z^4 1[Z > 0] <= 8 sigma^4 by symmetry. Upper: lemma A.14 and Chernoff give
    Pr(mean Z^2 >= 3/2) <= exp(-n/(256 sigma^4)). Lower: Y = Z^2 1[Z > 0] >= 0, so E exp(-lY) <= exp(-l EY + l^2 EY^2/2) and
    Pr(mean Y <= 1/8) <= exp(-n (3/8)^2/(16 sigma^4)). The printed proof conditions on n/4 signs in {0, 1}, which it calls Rademacher
    variables; that is not needed. (wen2023, Lemma A.8)
    """
    s = sp.Symbol("sigma", positive=True)
    lam = sp.Symbol("lambda", positive=True)
    upper = sp.Rational(1, 2) ** 2 / (2 * (4 * sp.sqrt(2) * s**2) ** 2)
    require(sp.simplify(upper - 1 / (256 * s**4)) == 0, "the upper exponent is not 1/(256 sigma^4)")
    require(sp.Rational(1, 2) <= 32 / 4, "t = 1/2 lies beyond the Gaussian range nu^2/b = 8 sigma^2 (sigma >= 1)")
    exponent = -lam * sp.Rational(3, 8) + lam**2 * 8 * s**4 / 2
    best = sp.solve(sp.diff(exponent, lam), lam)[0]
    lower = -sp.simplify(exponent.subs(lam, best))
    require(sp.simplify(lower - sp.Rational(9, 1024) / s**4) == 0, "the lower exponent is not 9/(1024 sigma^4)")
    require(sp.Rational(9, 1024) >= sp.Rational(1, 256), "the lower tail is not the lighter one")
    yield Evidence(
        "proved",
        "symbolic exponents; cited: Chernoff's method",
        "symmetric sigma-subgaussian x with covariance I_d, any unit w, all delta; C = 256 sigma^4",
        "both tails are at most exp(-n/(256 sigma^4)) <= delta/2 for n >= 256 sigma^4 ln(2/delta), and ln(2/delta) <= "
        "ln(4/delta).",
    )
    trials, tightest = 0, 0.0
    for size in range(1, 400):  # w = (1, 1)/sqrt2 on P_xor: Y = 2 1[x = (1, 1)], Z^2 = 2 1[x1 = x2]
        low = float(stats.binom.cdf(np.ceil(size / 16) - 1, size, 0.25))
        high = float(stats.binom.sf(np.floor(3 * size / 4), size, 0.5))
        tightest = max(tightest, low * np.exp(9 * size / 1024), high * np.exp(size / 256))
        trials += 2
    require(tightest <= 1, "an exact binomial tail exceeds its bound")
    yield Evidence(
        "tested",
        "falsification search, exact binomial tails",
        f"P_xor, w = (1, 1)/sqrt2, n = 1..399 ({trials} tails)",
        f"no violation; largest ratio of a tail to its bound {tightest:.3f}.",
    )


@claim(
    "wen2023/lemma-A.10",
    printed="For unit w: 2 >= (1/n) sum |w.x_i|^2 >= 1/4, uniformly in w.",
    depends_on=("wen2023/lemma-A.9", "wen2023/lemma-A.14"),
)
def lemma_a_10() -> Iterator[Evidence]:
    """The empirical covariance.

    The extremes over unit w are the eigenvalues of M = (1/n) X'X. For symmetric A and a 1/4-net, ||A|| <= 2 max_net |v'Av|. Lemma
    A.14 gives Pr(|v'(M - I)v| >= 3/8) <= 2 exp(-9 n/(4096 sigma^4)); over 9^d net points this is at most delta for n >= (4096/9)
    sigma^4 (d ln 9 + ln(2/delta)), and then M has eigenvalues in [1/4, 7/4]. (wen2023, Lemma A.10)
    """
    eps, dev = sp.Rational(1, 4), sp.Rational(3, 8)
    spread = dev / (1 - 2 * eps)
    require(1 - spread == sp.Rational(1, 4) and 1 + spread <= 2, "the eigenvalues are not in [1/4, 2]")
    require(2 / eps + 1 == 9, "the net has not 9^d points")
    require(dev**2 / (2 * 32) == sp.Rational(9, 4096) and dev <= 8, "the exponent is not 9/4096")
    yield Evidence(
        "proved",
        "exact argument from lemmas A.9 and A.14; cited: Chernoff's method",
        "sigma-subgaussian x with covariance I_d, n >= (4096/9) sigma^4 (d ln 9 + ln(2/delta)), probability 1 - delta",
        "all eigenvalues of (1/n) X'X lie in [1/4, 7/4]; that n is O(sigma^4 d log(d/delta)) for delta <= 1/2.",
    )
    rng = np.random.default_rng(10)
    parts = []
    for dim, trials in ((2, 400), (10, 200), (30, 60)):
        size = int(np.ceil(8 * dim * log(dim / 0.05)))
        failed, low, high = 0, 1.0, 1.0
        for _ in range(trials):
            x = _sample(rng, size, dim)
            values = np.linalg.eigvalsh((x.T @ x) / size)
            low, high = min(low, float(values[0])), max(high, float(values[-1]))
            failed += bool(values[0] < 0.25 or values[-1] > 2)
        require(failed <= 0.05 * trials, f"too many failures at d = {dim}")
        parts.append(f"d = {dim}, n = {size}: {_failures(failed, trials)}, eigenvalues in [{low:.2f}, {high:.2f}]")
    yield Evidence(
        "tested",
        "eigenvalues of each sample, uniform in w; delta = 0.05",
        "P_xor at n = 8 d ln(d/delta), 660 samples",
        "; ".join(parts) + ".",
    )
