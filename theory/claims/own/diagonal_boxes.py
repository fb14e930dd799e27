"""Owns own/diagonal-8 to diagonal-11: the worst case of a diagonal network over a box, exactly in rho, and what it costs to compute."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import sympy as sp

from flatproof.theory import diagonal
from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.brute_force import instances
from flatproof.theory.claims.coordinates import P, X, kappa, vanishes
from flatproof.theory.diagonal import Diagonal

size, reach = sp.symbols("b rho", positive=True)


@own_claim(
    "diagonal-8",
    """For every Sigma the worst case over |s_i|, |t_i| <= rho at interpolation is exactly kappa max e' Sigma e over the 2^d
    vertices e_i in {low_i, high_i} of the range of along_u s + along_v t + both s t: high = rho (along_u + along_v) + rho² both,
    low = min(rho² both - rho (along_u + along_v), -rho |along_u - along_v| - rho² both), each times sign(beta_i). For c = |w| and
    rho <= 1: kappa max over z in {-1, 1}^d of e' Sigma e with e = beta * (2 rho z + rho²), elementwise.""",
    depends_on=("own/diagonal-1",),
)
def diagonal_8() -> Iterator[Evidence]:
    """Worst case over a box for every covariance, exactly in rho.

    Each e_i fills an interval of its own, and e' Sigma e is convex along each axis.
    """
    a, b, c, s, t = sp.symbols("a b c s t", nonnegative=True)
    form = a * s + b * t + c * s * t
    require(sp.diff(form, s, 2) == 0 and sp.diff(form, t, 2) == 0, "the form is not linear along s and along t")
    corners = {
        (i, j): sp.expand(form.subs({s: i * reach, t: j * reach}, simultaneous=True)) for i, j in product((1, -1), repeat=2)
    }
    require(vanishes(corners[1, 1] - reach * (a + b) - reach**2 * c), "the corner (1, 1)")
    require(vanishes(corners[-1, -1] - reach**2 * c + reach * (a + b)), "the corner (-1, -1)")
    for sign in (1, -1):
        require(vanishes(corners[sign, -sign] - sign * reach * (a - b) + reach**2 * c), "the mixed corners")
    for key in ((-1, -1), (1, -1), (-1, 1)):
        for side in (1, -1):  # |corner| <= high
            gap = sp.Poly(sp.expand(corners[1, 1] + side * corners[key]), a, b, c, reach)
            require(all(k >= 0 for k in gap.coeffs()), "another corner is farther out than (1, 1)")
    same = {a: size, b: size, c: size}
    require(vanishes(corners[1, 1].subs(same) - size * (2 * reach + reach**2)), "c = |w|: high is not |beta| (rho² + 2 rho)")
    require(vanishes(corners[-1, -1].subs(same) - size * (reach**2 - 2 * reach)), "c = |w|: low is not |beta| (rho² - 2 rho)")
    less = sp.factor(corners[1, -1].subs(same) - corners[-1, -1].subs(same))
    require(vanishes(less - 2 * size * reach * (1 - reach)), "(-1, -1) is not the lowest corner up to rho = 1 alone")
    yield Evidence(
        "proved",
        "symbolic, one coordinate; a function convex along each axis of a box has its maximum at a vertex",
        "every d, n, X, u, v, c >= 0 and rho; zeros included",
        "the form is linear in s and in t, so its range is that of its four corners, and (rho, rho) is farthest out; along e_i the "
        "second "
        "derivative of e' Sigma e is 2 Sigma_ii >= 0. c = |w|: corners |beta| (rho² ± 2 rho) and -|beta| rho², the last lowest for "
        "rho > 1",
    )
    worst = 0.0
    for number, (instance, radius) in enumerate(instances(40, 11)):
        network = Diagonal(instance.u, instance.v, instance.x, instance.kappa)
        for scaling in ("none", "elementwise"):
            rho = radius * (1, 3)[number % 2]  # on both sides of rho = 1
            exact = instance.over_box(rho, np.concatenate(network.scales(scaling)))
            worst = max(worst, abs(float(diagonal.worst_case_linf(network, rho, scaling)) - exact) / max(exact, 1e-300))
    require(worst < 1e-9, f"the vertices' maximum differs by {worst:.1e}")
    yield Evidence(
        "tested",
        "all 4^d vertices of (s, t) with the loss itself",
        "40 networks, d <= 3, n <= 5, zeros among u and v, rho from 0.02 to 3; c = 1 and |w|; numpy seed 11",
        "agrees to 1e-9",
    )


@own_claim(
    "diagonal-9",
    """The worst case over a box with c = |w| is NP-hard to compute, to second order and exactly for any rho <= 1: for a graph with
    edges E, u = v = 1 and the samples e_i - e_j, (i, j) in E, with labels 0, it is 16 kappa rho² maxcut/|E|.""",
    depends_on=("own/diagonal-8", "andriushchenko2023/diag-8"),
)
def diagonal_9() -> Iterator[Evidence]:
    """The adaptive worst case over a box holds MAX-CUT.

    x'e = 2 rho (z_i - z_j), whose square is 16 rho² for an edge that is cut, else 0.
    """
    for z_i, z_j in product((1, -1), repeat=2):
        difference = (2 * reach * z_i + reach**2) - (2 * reach * z_j + reach**2)
        require(vanishes(difference**2 - 16 * reach**2 * int(z_i != z_j)), "an edge counts something else")
    yield Evidence(
        "proved",
        "symbolic, one edge; cited: MAX-CUT is NP-hard (Karp 1972)",
        "every graph, every rho <= 1; the network interpolates: (e_i - e_j)'1 = 0",
        "by own/diagonal-8 the maximum over z of the mean of (x_k'e)² is 16 rho² times the largest share of edges cut; rho² drops out",
    )
    edges = list(combinations(range(4), 2))
    graphs = [chosen for count in range(1, 7) for chosen in combinations(edges, count)]
    for graph in graphs:
        cut = max(sum(side[i] != side[j] for i, j in graph) for side in product((0, 1), repeat=4))
        x = np.zeros((len(graph), 4))
        for k, (i, j) in enumerate(graph):
            x[k, i], x[k, j] = 1, -1
        network = Diagonal(np.ones(4), np.ones(4), x)
        for value in (diagonal.worst_case_linf(network, 0.5), diagonal.second_order_linf(network, 0.5)):
            require(abs(float(value) - 4 * cut / len(graph)) < 1e-12, f"another cut for {graph}")
    yield Evidence(
        "certified", "enumeration", f"all {len(graphs)} graphs on 4 vertices with an edge, rho = 1/2", "16 rho² maxcut/|E|"
    )


@own_claim(
    "diagonal-10",
    """sum_i Sigma_ii beta_i² <= max over s in {-1, 1}^d of s' B Sigma B s <= (sum_i Sigma_ii^(1/2) |beta_i|)²: the adaptive worst
    case over a box lies, to second order, between a weighted squared l2 norm, which it is for Sigma diagonal, and a weighted
    squared l1 norm, which it is for a single sample.""",
    depends_on=("andriushchenko2023/diag-8",),
)
def diagonal_10() -> Iterator[Evidence]:
    """The adaptive worst case over a box is between l2 and l1.

    The mean over signs is the trace; |Sigma_ij| <= (Sigma_ii Sigma_jj)^(1/2).
    """
    root, other = sp.symbols("sigma_i sigma_j", nonnegative=True)  # square roots of Sigma_ii, Sigma_jj
    mean = sum(s * t for s, t in product((1, -1), repeat=2))
    require(mean == 0, "the mean of s_i s_j is not 0")
    require(
        vanishes((root * P[0] + other * P[1]) ** 2 - root**2 * P[0] ** 2 - other**2 * P[1] ** 2 - 2 * root * other * P[0] * P[1]),
        "square",
    )
    single = (X[0] * P[0] + X[1] * P[1]) ** 2
    require(vanishes(single - X[0] ** 2 * P[0] ** 2 - X[1] ** 2 * P[1] ** 2 - 2 * X[0] * X[1] * P[0] * P[1]), "one sample")
    yield Evidence(
        "proved",
        "symbolic, a pair of coordinates; cited: Cauchy-Schwarz",
        "every d, Sigma and beta",
        "the maximum is at least the mean over independent signs, where pairs i != j drop out; and at most the sum of absolute values. "
        "Equal to the first where Sigma_ij = 0, to the second for Sigma = x x', s_i = sign(x_i)",
    )
    lowest, highest = np.inf, 0.0
    for instance, _ in instances(200, 12):
        network = Diagonal(instance.u, instance.v, instance.x)
        value = float(diagonal.second_order_linf(network, 0.5))  # 4 rho² = 1
        beta, deviation = np.abs(network.beta), np.sqrt(network.variances)
        square, whole = float(np.sum((deviation * beta) ** 2)), float(np.sum(deviation * beta) ** 2)
        if square > 0:
            lowest, highest = min(lowest, value / square), max(highest, value / whole)
    require(lowest > 1 - 1e-12 and highest < 1 + 1e-12, f"outside: {lowest}, {highest}")
    yield Evidence(
        "tested",
        "enumeration of signs",
        "200 networks, d <= 3, n <= 5; numpy seed 12",
        f"least share of the lower bound {lowest:.6f}, largest of the upper one {highest:.6f}",
    )


@own_claim(
    "diagonal-11",
    """One sample a batch, m = 1, at interpolation: over boxes with c = |w| exactly kappa mean_k (2 rho sum_i |beta_i x_ki| + rho²
    |y_k|)² for rho <= 1, which is at least kappa (2 rho + rho²)² mean y², attained where all beta_i x_ki of a sample have one
    sign; over balls to second order rho²/2 tr(C H C): with c = |w| the average case's leading term 2 kappa rho² sum_i Sigma_ii
    beta_i².""",
    depends_on=("own/diagonal-8", "andriushchenko2023/diag-1", "andriushchenko2023/diag-4"),
)
def diagonal_11() -> Iterator[Evidence]:
    """Worst cases with one sample a batch.

    x_k'e is linear in e, and a Hessian of rank 1 has its trace for its largest eigenvalue.
    """
    whole, label = sp.symbols("l y", nonnegative=True)
    up, down = 2 * reach * whole + reach**2 * label, -2 * reach * whole + reach**2 * label
    require(vanishes(up - (-down) - 2 * reach**2 * label), "the upper end is not the farther one for y >= 0")
    require(vanishes(up.subs(whole, label) - (2 * reach + reach**2) * label), "sum |beta x| = |y| gives another value")
    a, b = sp.symbols("a b", real=True)
    rank_one = 2 * kappa * sp.Matrix([a, b]) * sp.Matrix([[a, b]])
    require(rank_one.det() == 0 and vanishes(rank_one.trace() - 2 * kappa * (a**2 + b**2)), "rank 1")
    yield Evidence(
        "proved",
        "symbolic; the triangle inequality",
        "every d, n, X, u, v; rho <= 1 for the exact form",
        "e_i = beta_i (2 rho z_i + rho²), so x_k'e = 2 rho sum_i z_i beta_i x_ki + rho² y_k is farthest out at ±(2 rho sum_i "
        "|beta_i x_ki| + rho² "
        "|y_k|), and sum_i |beta_i x_ki| >= |y_k|; each sample's Hessian is 2 kappa times an outer product",
    )
    worst = 0.0
    for instance, rho in instances(24, 13):
        w = np.abs(np.concatenate([instance.u, instance.v]))
        samples = [slice(k, k + 1) for k in range(len(instance.x))]
        exact = float(np.mean([instance.over_box(rho, w, k) for k in samples]))
        reached = 2 * rho * np.abs(instance.x) @ np.abs(instance.u * instance.v) + rho**2 * np.abs(instance.y)
        worst = max(worst, abs(instance.kappa * float(np.mean(reached**2)) - exact) / max(exact, 1e-300))
    require(worst < 1e-9, f"the vertices' maximum differs by {worst:.1e}")
    yield Evidence(
        "tested",
        "all 4^d vertices for each sample",
        "24 networks, d <= 3, n <= 5, zeros among u and v; numpy seed 13",
        "the exact form agrees to 1e-9",
    )
