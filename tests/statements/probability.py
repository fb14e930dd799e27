"""The ledger's statements on concentration, moments and complexity, each beside wrong variants that must be caught.

Both sides are exact: enumeration of cubes and families, binomial, gamma and chi-square tails, moment generating functions.
"""

from itertools import product
from math import asin, ceil, comb, inf, log, pi

import numpy as np
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.optimize import linprog

from flatproof.theory.claims.wen2023.appendix_complexity import all_families, relu_complexity
from flatproof.theory.claims.wen2023.appendix_concentration import both_tails, hypercube
from tests.statements.harness import Case, Formula, Property

small = st.integers(-2, 2)
direction = st.integers(2, 5).flatmap(lambda d: st.tuples(*[small] * d))
unit = st.floats(0, 1)
size = st.integers(1, 200)
dimension = st.sampled_from([1, 2, 3, 10, 30, 100, 1000])
seed = st.integers(0, 10**6)


# --- half spaces on P_xor ------------------------------------------------------------------------------------------------


def half_space(statement: Formula, case: Case) -> None:
    """lemma-A.5 on P_xor: the share of the cube with w.x > 0 is at least `statement(w)`."""
    w = np.array(case)
    assert np.mean(hypercube(len(w)) @ w > 0) >= statement(w)


def half_sum(statement: Formula, case: Case) -> None:
    """lemma-A.6: E (w.x)² 1[w.x > 0] = `statement(||w||²)`."""
    w = np.array(case)
    assert np.isclose(np.mean(np.maximum(hypercube(len(w)) @ w, 0) ** 2), statement(float(w @ w)))


def full_sum_tail(statement: Formula, case: Case) -> None:
    """lemma-A.7 at w = (1, 1)/sqrt2: Pr(|mean - 1| >= 1/2) <= `statement(n)`."""
    assert sum(both_tails(case[0])) <= statement(case[0])


def half_sum_tail(statement: Formula, case: Case) -> None:
    """lemma-A.8 at w = (1, 1)/sqrt2: Pr(mean Y <= level) <= bound, (level, bound) = `statement(n)`; Y is 2 with probability 1/4."""
    n = case[0]
    level, bound = statement(n)
    assert stats.binom.cdf(np.floor(n * level / 2), n, 0.25) <= bound


def parity_of_a_neuron(statement: Formula, case: Case) -> None:
    """theorem-3.1's lower bound on the cube: |E y relu(u.x)| <= `statement(||u||)`."""
    u = np.array(case)
    x = hypercube(len(u))
    assert abs(np.mean(x[:, 0] * x[:, 1] * np.maximum(x @ u, 0))) <= statement(float(np.linalg.norm(u))) + 1e-12


# --- tails and moments ---------------------------------------------------------------------------------------------------


def squares(statement: Formula, case: Case) -> None:
    """lemma-A.14 for a standard normal X (sigma = 1): log E exp(l (X² - 1)) <= bound, (l, bound) = `statement(share)`, |share| <= 1."""
    lam, bound = statement(2 * case[0] - 1)
    value = -lam - np.log1p(-2 * lam) / 2 if lam < 0.5 else inf
    assert value <= bound + 1e-12


def hoeffding(statement: Formula, case: Case) -> None:
    """lemma-A.15 for the mean of n signs (sigma = 1): Pr(mean >= t) <= `statement(n, t)`, t >= 0."""
    n = case[0]
    k = n - round(case[1] * (n // 2))
    assert stats.binom.sf(k - 1, n, 0.5) <= statement(n, 2 * k / n - 1)


def subexponential(statement: Formula, case: Case) -> None:
    """lemma-A.16 for exponential variables (sigma² = alpha = 2): Pr(mean - 1 >= t) <= `statement(n, t)`."""
    n, t = case[0], 12 * case[1]
    assert stats.gamma.sf(n * (1 + t), n) <= statement(n, t)


def norm_tail(statement: Formula, case: Case) -> None:
    """lemma-A.17 for standard normal x: Pr(||x||² >= `statement(d, t)`) <= e^-t."""
    d, t = case[0], 10 * case[1]
    assert stats.chi2.sf(statement(d, t), d) <= np.exp(-t)


def fourth_moment(statement: Formula, case: Case) -> None:
    """lemma-A.17: E||x||⁴ = d (d + 2) of a standard normal x is at most `statement(d)`."""
    assert case[0] * (case[0] + 2) <= statement(case[0])


def truncation(statement: Formula, case: Case) -> None:
    """lemma-A.18 for standard normal x: E||x||² 1(||x||² > c²) = d Pr(chi²_(d+2) > c²) <= d/n, c² = `statement(d, n)`."""
    d, n = case[0], 10 ** case[1]
    assert stats.chi2.sf(statement(d, n), d + 2) <= 1 / n * (1 + 1e-9)


def sphere(statement: Formula, case: Case) -> None:
    """lemma-A.19: E v[1]⁴ on the sphere in R^d, by quadrature over the angle, is `statement(d)`."""
    d = case[0]
    weight = [integrate.quad(lambda s, p=p: np.cos(s) ** p * np.sin(s) ** (d - 2), 0, pi)[0] for p in (4, 0)]
    assert np.isclose(weight[0] / weight[1], statement(d))


# --- coverings and complexity --------------------------------------------------------------------------------------------


def covering(statement: Formula, case: Case) -> None:
    """lemma-A.9: the exact covering numbers of the sphere of R (2 points) and of the circle are at most `statement(eps, d)`."""
    eps = 0.01 + 0.99 * case[0]
    for d, points in ((1, 2), (2, ceil(pi / (2 * asin(eps / 2))))):
        assert points <= statement(eps, d)


def on_a_net(statement: Formula, case: Case) -> None:
    """lemma-A.10: ||A|| <= `statement(eps)` times the largest |v'Av| over an eps-net of the circle."""
    rng, eps = np.random.default_rng(case[1]), 0.05 + 0.4 * case[0]
    points = ceil(pi / (2 * asin(eps / 2)))
    angles = rng.uniform(0, 2 * pi) + 2 * pi * np.arange(points) / points
    v, a = np.column_stack([np.cos(angles), np.sin(angles)]), rng.standard_normal((2, 2))
    a = a + a.T
    largest = np.max(np.abs(np.einsum("ki,ij,kj->k", v, a, v)))
    assert np.max(np.abs(np.linalg.eigvalsh(a))) <= statement(eps) * largest * (1 + 1e-12)


def families(case: Case) -> tuple[int, int, int, float]:
    """Points, members, VC dimension and Rademacher complexity of a drawn family of subsets."""
    n = case[0]
    every = all_families(n)
    pick = min(int(case[1] * len(every.size)), len(every.size) - 1)
    return n, int(every.size[pick]), int(every.vc[pick]), float(every.rademacher[pick]) / (n * 2**n)


def massart(statement: Formula, case: Case) -> None:
    """lemma-A.20: R_S <= `statement(|A|, n)`."""
    n, members, _, complexity = families(case)
    assert complexity <= statement(members, n) + 1e-12


def sauer(statement: Formula, case: Case) -> None:
    """lemma-A.21: |F| <= `statement(n, V)`."""
    n, members, vc, _ = families(case)
    assert members <= statement(n, vc)


def from_vc(statement: Formula, case: Case) -> None:
    """corollary-A.1: R_S <= `statement(V, n)`."""
    n, _, vc, complexity = families(case)
    assert complexity <= statement(vc, n) + 1e-12


def shatters(points: np.ndarray) -> bool:
    """Whether half-spaces through the origin give the points every label, by linear programs."""
    for label in product((1, -1), repeat=len(points)):
        rows, offsets = -np.array(label)[:, None] * points, [-1.0 if sign > 0 else 0.0 for sign in label]
        if linprog(np.zeros(points.shape[1]), A_ub=rows, b_ub=offsets, bounds=[(None, None)] * points.shape[1]).status != 0:
            return False
    return True


def half_space_dimension(statement: Formula, case: Case) -> None:
    """lemma-A.22: `statement(d)` points are shattered, one more are not."""
    d, rng = case[0], np.random.default_rng(case[1])
    v = statement(d)
    general = np.vstack([np.eye(d), rng.integers(-3, 4, (2, d))])
    assert shatters(general[:v])
    assert not shatters(general[: v + 1])


def sample(case: Case) -> np.ndarray:
    """n points of the plane: one repeated, corners of the square, or normal."""
    rng, n = np.random.default_rng(case[1]), case[0]
    kind = case[1] % 3
    if kind == 0:
        return np.tile([[1.0, 0.5]], (n, 1))
    return rng.choice([-1.0, 1.0], (n, 2)) if kind == 1 else rng.standard_normal((n, 2))


def two_layers(statement: Formula, case: Case) -> None:
    """lemma-A.24 with C = 1, in closed form on each arc: R_S <= `statement(B, n)`."""
    x = sample(case)
    assert relu_complexity(x) <= statement(float(np.max(np.linalg.norm(x, axis=1))), len(x)) + 1e-12


def linear(statement: Formula, case: Case) -> None:
    """lemma-A.25 over all signs: R_S <= `statement(C, n)`."""
    x = sample(case)
    signs = np.array(list(product((1, -1), repeat=len(x))))
    complexity = float(np.mean(np.linalg.norm(signs @ x, axis=1))) / len(x)
    assert complexity <= statement(float(np.max(np.linalg.norm(x, axis=1))), len(x)) + 1e-12


def uniform_deviation(statement: Formula, case: Case) -> None:
    """lemma-A.23's first step on P_xor, d = 2: E sup_w (P - P_n)(w.x > 0) <= `statement(E R_S)`, over all samples and signs."""
    n, cube = case[0], hypercube(2)
    sets = np.unique((cube @ np.array(list(product(range(-2, 3), repeat=2))).T > 0).T, axis=0).astype(float)
    signs = np.array(list(product((1, -1), repeat=n)))
    chosen = [sets[:, list(points)] for points in product(range(4), repeat=n)]
    gap = np.mean([np.max(sets.mean(axis=1) - seen.mean(axis=1)) for seen in chosen])
    assert gap <= statement(np.mean([np.mean(np.max(seen @ signs.T, axis=0)) / n for seen in chosen])) + 1e-12


drawn_family = st.tuples(st.integers(1, 4), unit)
drawn_sample = st.tuples(st.integers(1, 8), seed)
PROPERTIES = {
    "lemma-A.5": Property(
        half_space,
        direction,
        lambda w: 0.25 if w.any() else 0,
        {"as printed, for all w": lambda w: 0.25, "1/3": lambda w: 0.34 if w.any() else 0},
        cheap=True,
    ),
    "lemma-A.6": Property(
        half_sum,
        direction,
        lambda s: s / 2,
        {"whole": lambda s: s, "a quarter": lambda s: s / 4, "not squared": lambda s: s**0.5 / 2},
    ),
    "lemma-A.7": Property(
        full_sum_tail,
        st.tuples(size),
        lambda n: 2 * np.exp(-n / 256),
        {
            "one tail": lambda n: np.exp(-n / 256),
            "a rate of 1/2": lambda n: 2 * np.exp(-n / 2),
            "n²": lambda n: 2 * np.exp(-(n**2) / 256),
        },
        cheap=True,
    ),
    "lemma-A.8": Property(
        half_sum_tail,
        st.tuples(size),
        lambda n: (1 / 8, np.exp(-n / 256)),
        {"the mean 1/2": lambda n: (1 / 2, np.exp(-n / 256)), "a rate of 1/2": lambda n: (1 / 8, np.exp(-n / 2))},
        cheap=True,
    ),
    "theorem-3.1, lower bound": Property(
        parity_of_a_neuron,
        direction,
        lambda s: s / 8**0.5,
        {"1/3": lambda s: s / 3, "squared": lambda s: s**2 / 8},
        cheap=True,
    ),
    "lemma-A.14": Property(
        squares,
        st.tuples(unit),
        lambda share: (share / 4, 16 * (share / 4) ** 2),
        {
            "sigma² in place of its constant": lambda share: (share / 4, (share / 4) ** 2),
            "|l| <= 1/sigma²": lambda share: (share, 16 * share**2),
            "linear": lambda share: (share / 4, 0.01 * abs(share)),
        },
        cheap=True,
    ),
    "lemma-A.15": Property(
        hoeffding,
        st.tuples(size, unit),
        lambda n, t: 2 * np.exp(-n * t**2 / 2),
        {"C = 2": lambda n, t: 2 * np.exp(-2 * n * t**2), "t for t²": lambda n, t: 2 * np.exp(-n * t / 2)},
        cheap=True,
    ),
    "lemma-A.16": Property(
        subexponential,
        st.tuples(st.integers(1, 40), unit),
        lambda n, t: 2 * np.exp(-n * min(t, t**2) / 4),
        {"t² alone": lambda n, t: 2 * np.exp(-n * t**2 / 4), "C = 2": lambda n, t: 2 * np.exp(-2 * n * min(t, t**2))},
        cheap=True,
    ),
    "lemma-A.17": Property(
        norm_tail,
        st.tuples(dimension, unit),
        lambda d, t: 32 * d + 8 * t,
        {"d not times 32": lambda d, t: d + 8 * t, "d dropped": lambda d, t: 8 * t, "t dropped": lambda d, t: 2 * d},
        cheap=True,
    ),
    "lemma-A.17, moment": Property(
        fourth_moment, st.tuples(dimension), lambda d: 2048 * d**2, {"d²": lambda d: d**2, "2 d": lambda d: 2 * d}
    ),
    "lemma-A.18": Property(
        truncation,
        st.tuples(dimension, st.integers(0, 8)),
        lambda d, n: 32 * d + 80 + 16 * log(n) if n > 1 else 0,
        {"no logarithm": lambda d, n: 32 * d if n > 1 else 0, "d": lambda d, n: d if n > 1 else 0},
        cheap=True,
    ),
    "lemma-A.19": Property(
        sphere,
        st.tuples(st.integers(2, 40)),
        lambda d: 3 / (d * (d + 2)),
        {"as printed": lambda d: 3 / ((d + 2) * (d + 4)), "1/d²": lambda d: 1 / d**2},
    ),
    "lemma-A.9": Property(
        covering,
        st.tuples(unit),
        lambda eps, d: (2 / eps + 1) ** d,
        {"d - 1": lambda eps, d: (2 / eps + 1) ** (d - 1), "1/eps": lambda eps, d: (1 / eps) ** d},
        cheap=True,
    ),
    "lemma-A.10, net": Property(
        on_a_net,
        st.tuples(unit, seed),
        lambda eps: 1 / (1 - 2 * eps),
        {"1": lambda eps: 1, "1 - 2 eps": lambda eps: 1 - 2 * eps},
        cheap=True,
    ),
    "lemma-A.20": Property(
        massart,
        drawn_family,
        lambda a, n: (2 * log(a) / n) ** 0.5,
        {"1/4": lambda a, n: (log(a) / (4 * n)) ** 0.5, "no root": lambda a, n: log(a) / (2 * n)},
        cheap=True,
    ),
    "lemma-A.21": Property(
        sauer,
        drawn_family,
        lambda n, v: sum(comb(n, i) for i in range(v + 1)),
        {"i < V": lambda n, v: sum(comb(n, i) for i in range(v)), "n^V": lambda n, v: n**v, "C(n, V)": comb},
        cheap=True,
    ),
    "corollary-A.1": Property(
        from_vc,
        drawn_family,
        lambda v, n: (2 * v * log(n + 1) / n) ** 0.5,
        {"as printed, at n = 1": lambda v, n: (4 * v * log(n) / n) ** 0.5, "V/n": lambda v, n: v / (2.5 * n)},
        cheap=True,
    ),
    "lemma-A.22": Property(
        half_space_dimension,
        st.tuples(st.integers(1, 4), seed),
        lambda d: d,
        {"d + 1": lambda d: d + 1, "d - 1": lambda d: d - 1},
    ),
    "lemma-A.23": Property(uniform_deviation, st.tuples(st.integers(1, 4)), lambda r: 2 * r, {"not twice": lambda r: r}),
    "lemma-A.24": Property(
        two_layers,
        drawn_sample,
        lambda b, n: 2 * b / n**0.5,
        {"B/2": lambda b, n: b / (2 * n**0.5), "1/n": lambda b, n: 2 * b / n, "B not there": lambda b, n: 2 / n**0.5 / 3},
    ),
    "lemma-A.25": Property(
        linear, drawn_sample, lambda c, n: c / n**0.5, {"C/2": lambda c, n: c / (2 * n**0.5), "1/n": lambda c, n: c / n}
    ),
}
