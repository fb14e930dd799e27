"""Owns wen2023/lemma-A.20, A.21, A.22, A.24, A.25 and corollary-A.1: Rademacher complexity, VC dimension and growth.

R_S(F) = E sup_{f in F} (1/n) sum_i s_i f(x_i) over independent signs s; on n points a {0,1}-valued class is a family of subsets
of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise, product
from math import comb, log

import numpy as np
import numpy.typing as npt
import sympy as sp
from scipy.optimize import linprog

from flatproof.theory.claims import Evidence, claim, require

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Families:
    """Every nonempty family of subsets of n points: sizes, VC dimensions, numbers of shattered sets, and n 2^n R_S (an "
    "integer)."""

    size: Ints
    vc: Ints
    shattered: Ints
    rademacher: Ints


@cache
def all_families(n: int) -> Families:
    """Exhaust the 2^(2^n) - 1 nonempty families; family number f holds subset number s when bit s of f is set. n <= 4."""
    count = 2 ** (2**n)
    f = np.arange(count, dtype=np.int64)
    size = sum(((f >> s) & 1 for s in range(2**n)), np.zeros(count, dtype=np.int64))
    rademacher = np.zeros(count, dtype=np.int64)
    for signs in product((-1, 1), repeat=n):
        best = np.array([-n - 1], dtype=np.int64)
        for s in range(2**n):
            value = sum(sign for i, sign in enumerate(signs) if s >> i & 1)
            best = np.concatenate([best, np.maximum(best, value)])
        rademacher += best
    vc, shattered = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for t in range(2**n):
        whole = np.ones(count, dtype=bool)
        for p in (p for p in range(2**n) if p & ~t == 0):
            group = sum(1 << s for s in range(2**n) if s & t == p)
            whole &= (f & group) != 0
        shattered += whole
        vc = np.where(whole, np.maximum(vc, t.bit_count()), vc)
    return Families(size[1:], vc[1:], shattered[1:], rademacher[1:])


def growth(n: int, vc: int) -> int:
    """Sauer's bound: sum_{i <= vc} C(n, i)."""
    return sum(comb(n, i) for i in range(vc + 1))


@claim("wen2023/lemma-A.20", printed="(Massart) R_S <= sqrt(2 log|A| / n) for {0,1}-valued classes, A the class restricted to S.")
def lemma_a_20() -> Iterator[Evidence]:
    """Massart's lemma.

    exp(l E max_a s.a) <= sum_a prod_i cosh(l a_i) <= |A| exp(l^2 n/2), so n R_S <= log|A|/l + l n/2, least at l = sqrt(2
    log|A|/n). (wen2023, Lemma A.20)
    """
    lam, n, size = sp.symbols("lambda n logA", positive=True)
    objective = size / lam + lam * n / 2
    best = sp.sqrt(2 * size / n)
    require(sp.simplify(sp.diff(objective, lam).subs(lam, best)) == 0, "the optimal lambda is not sqrt(2 log|A|/n)")
    require(sp.simplify(objective.subs(lam, best) / n - sp.sqrt(2 * size / n)) == 0, "the bound is not sqrt(2 log|A|/n)")
    yield Evidence(
        "proved",
        "symbolic; cited: Jensen, cosh t <= exp(t^2/2)",
        "all n, all finite A in {0,1}^n (without an absolute value inside the supremum)",
        "R_S <= min over l of (log|A|/l + l n/2)/n = sqrt(2 log|A|/n); |A| = 1 gives 0 = 0.",
    )
    parts = []
    for points in (1, 2, 3, 4):
        every = all_families(points)
        r = every.rademacher / (points * 2**points)
        bound = np.sqrt(2 * np.log(every.size) / points)
        require(
            np.all(every.rademacher[every.size == 1] == 0) and np.all(r <= bound + 1e-12),
            f"a family of {points} points exceeds it",
        )
        share = float(np.max(r[every.size > 1] / bound[every.size > 1]))
        parts.append(f"n = {points}: {len(r)} families, at most {share:.3f} of the bound")
    yield Evidence("certified", "exhaustive, integer sums", "every nonempty family on n <= 4 points", "; ".join(parts) + ".")


@claim(
    "wen2023/lemma-A.21",
    printed="(Sauer), in its usual form: a class of VC dimension V takes at most sum_{i <= V} C(n, i) values on n points.",
)
def lemma_a_21() -> Iterator[Evidence]:
    """Sauer's lemma, as Pajor's: a family F of subsets of n points shatters at least |F| sets.

    By induction on n: F0 (members without the last point) and F1 (members with it, the point removed) each shatter at least |F0|,
    |F1| sets of the first n-1 points. F shatters every set that either shatters, and T with the last point added for every T that
    both do: at least |F0| + |F1| = |F| sets. None has more than V points. (wen2023, Lemma A.21; the page names it without a
    formula)
    """
    require(all_families(1).shattered.tolist() == all_families(1).size.tolist() == [1, 1, 2], "the base case fails")
    for n in (2, 3):
        for family in range(1, 2 ** (2**n)):
            require(_induction_step(family, n), f"the induction step fails for family {family} on {n} points")
    yield Evidence(
        "proved",
        "induction on n; machine-checked: the base case n = 1 and, for every family on 2 and 3 points, that the step's sets are distinct "
        "and shattered",
        "all n, all V",
        "a family shatters at least as many sets as it has members, and those sets have at most V points.",
    )
    parts = []
    for n in (1, 2, 3, 4):
        every = all_families(n)
        bound = np.array([growth(n, v) for v in range(n + 1)])[every.vc]
        require(np.all(every.shattered >= every.size), f"a family on {n} points shatters fewer sets than it has members")
        require(np.all(every.size <= bound), f"a family on {n} points exceeds Sauer's bound")
        parts.append(f"n = {n}: {len(bound)} families, {int(np.sum(every.size == bound))} attain the bound")
    yield Evidence("certified", "exhaustive, integers", "every nonempty family on n <= 4 points", "; ".join(parts) + ".")


def _shattered(family: int, n: int) -> set[int]:
    """The sets that a family of subsets of n points shatters, as bit masks; the empty one for any nonempty family."""
    members = [s for s in range(2**n) if family >> s & 1]
    return {t for t in range(2**n) if len({s & t for s in members}) == 2 ** t.bit_count()}


def _induction_step(family: int, n: int) -> bool:
    """Whether what Pajor's step builds from the two halves of a family has at least |F| sets and is shattered by it."""
    last = 1 << (n - 1)
    members = [s for s in range(2**n) if family >> s & 1]
    without = sum(1 << s for s in members if not s & last)
    with_it = sum(1 << (s ^ last) for s in members if s & last)
    zero, one = _shattered(without, n - 1), _shattered(with_it, n - 1)
    built = zero | one | {t | last for t in zero & one}
    return len(built) >= len(members) and built <= _shattered(family, n)


@claim(
    "wen2023/corollary-A.1",
    printed="R_S <= sqrt(4 VC log n / n).",
    depends_on=("wen2023/lemma-A.20", "wen2023/lemma-A.21"),
)
def corollary_a_1() -> Iterator[Evidence]:
    """Complexity from the VC dimension.

    |A| <= sum_{i <= V} C(n, i) <= (n+1)^V <= n^(2V) as soon as n >= 2 (n + 1 <= n^2); Massart's bound is then sqrt(4 V log n /
    n). (wen2023, Corollary A.1)
    """
    one = all_families(1)
    full = int(np.argmax(one.size))
    require(one.vc[full] == 1 and one.rademacher[full] * 2 == 1 * 2**1, "the class {0,1} on a point has not VC = 1 and R = 1/2")
    require(sp.sqrt(4 * sp.log(sp.Integer(1))) == 0, "the printed bound is not 0 at n = 1")
    yield Evidence(
        "refuted",
        "exact, the boundary case n = 1",
        "n = 1 only",
        "one point, labels {0, 1}: VC = 1 and R_S = E max(0, s) = 1/2, but the printed bound is sqrt(4 * 1 * log 1) = 0.",
        "R_S <= sqrt(4 VC log n / n) for n >= 2; for every n >= 1, R_S <= sqrt(2 VC log(n+1) / n).",
        target="statement",
        severity="boundary",
    )
    n, k = sp.symbols("n k", nonnegative=True)
    slack = sp.Poly(sp.expand((n**2 - n - 1).subs(n, 2 + k)), k)
    require(all(c > 0 for c in slack.all_coeffs()), "n + 1 <= n^2 fails for some n >= 2")
    require(all(growth(m, v) <= (m + 1) ** v for m in range(1, 40) for v in range(m + 1)), "sum_{i<=V} C(n,i) exceeds (n+1)^V")
    yield Evidence(
        "proved",
        "symbolic, from lemmas A.20 and A.21; sum_{i<=V} C(n,i) <= (n+1)^V counts maps from V slots to the n points and a blank",
        "the corrected statement: all n >= 2 (all n >= 1 with log(n+1)), all V",
        "log|A| <= V log(n+1) <= 2 V log n.",
    )
    parts = []
    for points in (2, 3, 4):
        every = all_families(points)
        r = every.rademacher / (points * 2**points)
        bound = np.sqrt(4 * every.vc * log(points) / points)
        require(np.all(r[every.vc == 0] == 0) and np.all(r <= bound + 1e-12), f"a family on {points} points exceeds the bound")
        share = float(np.max(r[every.vc > 0] / bound[every.vc > 0]))
        parts.append(f"n = {points}: {len(r)} families, at most {share:.3f} of the bound")
    yield Evidence(
        "certified", "exhaustive, integer sums", "corrected: every nonempty family, n = 2, 3, 4", "; ".join(parts) + "."
    )


@claim("wen2023/lemma-A.22", printed="Half-spaces through the origin, {x: w.x > 0} in R^d, have VC dimension d.")
def lemma_a_22() -> Iterator[Evidence]:
    """VC dimension of homogeneous half-spaces.

    w = sum_k b_k e_k, b_k = +-1, gives e_k the label of b_k: d points are shattered. Of d + 1 points take sum_i c_i x_i = 0, c !=
    0, some c_i > 0 (else negate): the label 1 where c_i > 0 and 0 elsewhere would make 0 = sum_i c_i w.x_i > 0. (wen2023, Lemma
    A.22)
    """
    for d in range(1, 9):
        w = np.array(list(product((-1, 1), repeat=d)))
        require(len(np.unique((w @ np.eye(d) > 0), axis=0)) == 2**d, f"e_1..e_{d} are not shattered")
    yield Evidence(
        "proved",
        "exact argument; shattering of e_1..e_d also enumerated for d <= 8",
        "all d >= 1",
        "d points are shattered; any d + 1 are linearly dependent, and the positive part of a dependence is a label set no w "
        "realizes.",
    )
    rng = np.random.default_rng(22)
    tried = 0
    for d in (1, 2, 3, 4, 5):
        for _ in range(8):
            x = rng.integers(-4, 5, (d + 1, d))
            c = np.array(sp.Matrix(x.T).nullspace()[0].tolist(), dtype=float)[:, 0]
            label = c > 0 if np.any(c > 0) else c < 0
            rows = np.vstack([-x[label], x[~label]])
            offsets = np.concatenate([-np.ones(int(label.sum())), np.zeros(int((~label).sum()))])
            status = linprog(np.zeros(d), A_ub=rows, b_ub=offsets, bounds=[(None, None)] * d).status
            require(status == 2, f"{d + 1} points take the forbidden label (solver status {status})")
            tried += 1
    yield Evidence(
        "tested",
        "falsification search: linear programs",
        f"{tried} random integer sets of d + 1 points, d = 1..5",
        "every label set built from an exact dependence is infeasible; no set of d + 1 points is shattered.",
    )


def _signs(n: int) -> Ints:
    return np.array(list(product((1, -1), repeat=n)), dtype=np.int64)


def _cells(x: Floats) -> list[tuple[Floats, Floats]]:
    """Closed arcs (unit end points) between the directions orthogonal to the points of the plane, at most pi long."""
    angles = np.arctan2(x[:, 1], x[:, 0])[np.any(x != 0, axis=1)]
    ends = np.unique(np.round(np.mod(np.concatenate([angles + np.pi / 2, angles - np.pi / 2]), 2 * np.pi), 12))
    ends = np.append(ends, ends[0] + 2 * np.pi)
    return [(np.array([np.cos(a), np.sin(a)]), np.array([np.cos(b), np.sin(b)])) for a, b in pairwise(ends)]


def relu_complexity(x: Floats) -> float:
    """E max_{||w|| = 1} |(1/n) sum_i s_i relu(w.x_i)| for points of the plane, in closed form on each arc: w.g, g = sum_{on} s_i
    x_i."""
    n, signs = len(x), _signs(len(x))
    best = np.zeros(len(signs))
    for a, b in _cells(x):
        middle = a + b if np.linalg.norm(a + b) > 1e-9 else np.array([-a[1], a[0]])
        g = (signs * (x @ middle > 0)) @ x
        norm = np.linalg.norm(g, axis=1)
        for sign in (1.0, -1.0):
            inside = (sign * (a[0] * g[:, 1] - a[1] * g[:, 0]) >= 0) & (sign * (g[:, 0] * b[1] - g[:, 1] * b[0]) >= 0)
            best = np.maximum(best, np.where(inside, norm, 0))
        best = np.maximum(best, np.maximum(np.abs(g @ a), np.abs(g @ b)))
    return float(np.mean(best)) / n


@claim("wen2023/lemma-A.24", printed="R_S(Theta_C) <= 2 C B / sqrt(n) when ||x_i|| <= B.", depends_on=("wen2023/lemma-A.25",))
def lemma_a_24() -> Iterator[Evidence]:
    """Rademacher complexity of bounded-norm two-layer networks.

    f = sum_j a_j ||w_j|| relu(u_j.x), ||u_j|| = 1, sum |a_j| ||w_j|| <= C, so sup_f s.f = C sup_u |s.relu(Xu)|, at most C times
    the sum of the suprema of s.relu(Xu) and -s.relu(Xu) over the unit ball (both >= 0, at u = 0), of equal mean. Contraction: for
    each i, sup_u (A(u) + relu(b(u))) + sup_u (A(u) - relu(b(u))) <= sup_{u,v} (A(u) + A(v) + |b(u) - b(v)|), which is the same
    sum for b itself, as u and v may be exchanged. Lemma A.25 ends it. (wen2023, Lemma A.24)
    """
    b, c = sp.symbols("b c", positive=True)
    gaps = []
    for first, second in product((b, -b), (c, -c)):  # (difference)² - (difference of the relus)², by the signs
        relus = [value if value.is_positive else 0 for value in (first, second)]
        gaps.append(sp.expand((first - second) ** 2 - (relus[0] - relus[1]) ** 2))
    require(
        gaps == [0, *(sp.expand(2 * b * c + v**2) for v in (c, b)), sp.expand((b - c) ** 2)],
        "|relu(b) - relu(c)| <= |b - c| fails",
    )
    yield Evidence(
        "proved",
        "exact argument: homogeneity, symmetry of the signs, contraction one coordinate at a time, lemma A.25",
        "all n, d, widths, C and samples with ||x_i|| <= B",
        "R_S(Theta_C) = C E sup_u |(1/n) s.relu(Xu)| <= 2 C E ||sum s_i x_i|| / n <= 2 C B / sqrt(n).",
    )
    worst_line, lines = 0.0, 0
    for n in range(1, 7):
        for values in product((-2, -1, 1, 2), repeat=n):  # d = 1: u = 1 or -1
            if list(values) != sorted(values):
                continue
            x = np.array(values)
            total = int(np.sum(np.maximum(np.abs(_signs(n) @ np.maximum(x, 0)), np.abs(_signs(n) @ np.maximum(-x, 0)))))
            bound2 = 4 * int(np.max(np.abs(x))) ** 2 * n * 4**n  # (2^n n * 2 B / sqrt n)^2
            require(total**2 <= bound2, f"the sample {values} exceeds the bound")
            worst_line, lines = max(worst_line, total / bound2**0.5), lines + 1
    yield Evidence(
        "certified",
        "exact integers over all signs (C = 1)",
        f"d = 1: all {lines} samples of n <= 6 points of {{-2, -1, 1, 2}}",
        f"no violation; at most {worst_line:.3f} of the bound.",
    )
    rng = np.random.default_rng(24)
    worst, plane = 0.0, 0
    for n in (1, 2, 3, 4, 6, 8):
        for kind in range(12):
            points: Floats = (_signs(2)[rng.integers(0, 4, n)]).astype(float) if kind < 4 else rng.standard_normal((n, 2))
            bound = 2 * float(np.max(np.linalg.norm(points, axis=1))) / n**0.5
            worst, plane = max(worst, relu_complexity(points) / bound), plane + 1
    require(worst <= 1, "a plane sample exceeds the bound")
    yield Evidence(
        "tested",
        "falsification search, closed form on each arc of directions, all signs",
        f"d = 2: {plane} samples, cube points and normal points, n <= 8",
        f"no violation; at most {worst:.3f} of the bound.",
    )


@claim("wen2023/lemma-A.25", printed="Unit-norm linear class: R_S <= C / sqrt(n) when ||x_i||^2 <= C^2.")
def lemma_a_25() -> Iterator[Evidence]:
    """Rademacher complexity of the linear class.

    sup_{||w|| <= 1} w.(sum s_i x_i) = ||sum s_i x_i||; by Jensen its mean is at most sqrt(sum ||x_i||^2) <= C sqrt(n), as E s_i
    s_j = 0 for i != j. (wen2023, Lemma A.25)
    """
    for n in range(1, 7):
        require(np.array_equal(_signs(n).T @ _signs(n), 2**n * np.eye(n)), "the signs are not uncorrelated")
    yield Evidence(
        "proved",
        "exact argument: Cauchy-Schwarz, Jensen, uncorrelated signs",
        "all n, d and samples with ||x_i|| <= C",
        "R_S = E||sum s_i x_i||/n <= sqrt(sum ||x_i||^2)/n <= C/sqrt(n), with equality for orthogonal x_i of norm C.",
    )
    worst, tried = 0.0, 0
    for d, sizes in ((1, range(1, 9)), (2, range(1, 7)), (3, range(1, 6))):
        cube = _signs(d)
        for n in sizes:
            for chosen in combinations(range(2**d), min(n, 2**d)):
                x = cube[list(chosen) + [chosen[0]] * (n - len(chosen))]
                norms = np.linalg.norm(_signs(n) @ x, axis=1)
                worst, tried = max(worst, float(np.mean(norms)) / (n * d) ** 0.5), tried + 1
    require(worst <= 1 + 1e-12, "a sample of the cube exceeds the bound")
    yield Evidence(
        "tested",
        "falsification search over all signs",
        f"{tried} samples of {{-1, 1}}^d, d <= 3",
        f"no violation; the largest ratio to the bound is {worst:.3f}.",
    )
