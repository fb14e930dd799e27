"""Owns own/flattest-9 and flattest-10: flattest networks of several outputs, in general and on the cube.

f = sum_j a_j relu(w_j . x) with a_j in R^K, h_j = relu(X w_j), D_j the samples where h_j > 0; Y is (n, K). The trace is that of the
Hessian of (1/n) sum_i |f(x_i) - y_i|^2, T_K(Y) the least over networks that interpolate; the mean over outputs too is 1/K of it.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp

from flatproof.theory.check_certificate import check
from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.own.flattest_beyond import QUARTERS
from flatproof.theory.constructions import cube
from flatproof.theory.flatness.flattest import flattest
from flatproof.theory.flatness.outputs import flattest_outputs

SIX = (0, 1, 2, 3, 4, 7)  # vertices of the cube, d = 3, -1 before 1, the last coordinate fastest


@own_claim(
    "flattest-9",
    """Networks of K outputs, no bias or bias, that interpolate Y. A neuron's part of the trace is (2/n)(K |h|² + |a|² S), S = sum_D
    |x_i|², and (4/n) sqrt(K S) |a| |h| at the best balance: sqrt(K) times that of one output, with |a| the length of a vector. So
    T_K(Y O) = T_K(Y) for orthogonal O; T_K(Y) >= sqrt(K) T_1(Y b) for every unit vector b; and T_K(y b') = sqrt(K) |b| T_1(y), where the
    networks that attain it are those of y, times b: outputs y and -y cost 2 T_1(y), and flattest networks predict what those of y do.
    T_K(Y) >= (4/n) sqrt(K) sum_i |x_i| |y_i|, with equality if a neuron can see each sample alone, as on the cube with a bias.""",
    depends_on=("wen2023/equation-2", "wen2023/equation-3"),
)
def flattest_9() -> Iterator[Evidence]:
    """Several outputs.

    The nonzero eigenvalues of the Hessian are those of (2/n) sum_ik grad f_k(x_i) grad f_k(x_i)'; a_jk moves output k alone.
    """
    a, h, seen, t, k = sp.symbols("a h S t K", positive=True)
    part = k * (t * h) ** 2 + (a / t) ** 2 * seen  # t: the balance between the layers
    best = sp.sqrt(a * sp.sqrt(seen) / (h * sp.sqrt(k)))
    require(sp.simplify(sp.diff(part, t).subs(t, best)) == 0, "the best balance")
    require(sp.simplify(part.subs(t, best) - 2 * sp.sqrt(k * seen) * a * h) == 0, "a neuron's cost")
    first, second, one, two, angle = sp.symbols("a1 a2 b1 b2 phi", real=True)
    vector, unit = sp.Matrix([first, second]), sp.Matrix([one, two])
    turn = sp.Matrix([[sp.cos(angle), -sp.sin(angle)], [sp.sin(angle), sp.cos(angle)]])
    require(sp.simplify((turn * vector).dot(turn * vector) - vector.dot(vector)) == 0, "orthogonal maps keep |a|")
    across = first * two - second * one
    require(sp.expand(vector.dot(vector) * unit.dot(unit) - vector.dot(unit) ** 2 - across**2) == 0, "|a . b| is at most |a| |b|")
    require(sp.sqrt(2) * sp.sqrt(1 + 1) == 2, "outputs y and -y")
    yield Evidence(
        "proved",
        "symbolic, one neuron; the inequality of Cauchy and Schwarz",
        "every width, K, n and training set, both notions at kinks; infima where they are not attained",
        "f b has the neurons (w_j, a_j . b), one output and the labels Y b: its cost, with |a_j . b| <= |a_j| for |a_j|, is at least T_1(Y "
        "b). For Y = y b', |b| = 1, the flattest network of y with a_j b for a_j costs sqrt(K) T_1(y); where that is attained |a_j . b| "
        "= |a_j| for every neuron that is active on some sample: a_j = (a_j . b) b, and f b is flattest for y. sqrt(S) |h| >= sum_i |x_i| "
        "h_i, so the cost is at least (4/n) sqrt(K) sum_i |x_i| sum_j |a_j| h_ij, and sum_j |a_j| h_ij >= |y_i|; a neuron that is active "
        "on one sample has equality in both",
    )


@own_claim(
    "flattest-10",
    """All points of {-1, 1}^d, d >= 2, no bias, one-hot labels of the two classes x1 x2 = 1 and -1. With relu'(0) = 0 the least trace
    is 4 sqrt(2 d), and the networks that attain it are quarters (x1, x2) = (s1, s2), each writing its own class alone; on every training
    subset it is 4 sqrt(2 d) too. With no sample on a kink it is 8 sqrt(d), which quarters approach. One output with labels ±1 has
    1/sqrt(2) of these, 4 sqrt(d) and 4 sqrt(2 d), on the cube; not on every subset. For all labels Y, no sample on a kink:
    T_K(Y) >= 4 sqrt(d K / N) |Y_even|_*, Y_even = (Y(x) + Y(-x))/2, N = 2^d, |.|_* the sum of the singular values.""",
    depends_on=("own/flattest-9", "own/flattest-4"),
)
def flattest_10() -> Iterator[Evidence]:
    """One-hot parity without bias.

    E is the mean over the cube; with no sample on a kink D has one of x and -x, so that S = N d / 2 and |h|² = N |w|² / 2 = sum_D (w.x)².
    """
    d, n, k, size, c = sp.symbols("d N K s c", positive=True)
    price = 4 / n * sp.sqrt(k * n * d / 2)
    # |dual_D' h|² = c² (N/2)² (sum over columns of (E phi |w.x|)²) <= c² (N/2)² |w|²: the columns are orthonormal, E (w.x)² = |w|²
    scale = sp.solve(sp.Eq(c * n / 2 * size, price * sp.sqrt(n / 2) * size), c)[0]
    require(sp.simplify(scale - 4 * sp.sqrt(d * k) / n) == 0, "the dual point of orthonormal even columns")
    require(sp.simplify(scale.subs(k, 2) * n * sp.sqrt(2) - 8 * sp.sqrt(d)) == 0, "one-hot labels, (1, y)/sqrt(2) when turned")
    single = sp.solve(sp.Eq(c * n / 2 * size / sp.sqrt(2), price.subs(k, 1) * sp.sqrt(n / 2) * size), c)[0]
    require(sp.simplify(single * n - 4 * sp.sqrt(2 * d)) == 0, "one output, by E|w.x| >= |w|/sqrt(2)")
    turn = sp.Matrix([[1, 1], [1, -1]]) / sp.sqrt(2)
    require(turn * turn.T == sp.eye(2), "the turn is orthogonal")
    for y, label in ((1, (1, 0)), (-1, (0, 1))):
        require(sp.Matrix([label]) * turn == sp.Matrix([[1, y]]) / sp.sqrt(2), "one-hot labels turned")
    yield Evidence(
        "proved",
        "symbolic; Bessel's inequality, duality of the spectral and the nuclear norm",
        "every d >= 2 and K, no sample on a kink",
        "A dual point is feasible if |sum_D (w.x) dual_x|² <= K c_D² |h|² for every w with pattern D. For dual = c U, U even, E U'U = 1, "
        "the sum is c (N/2) E U |w.x|, whose squared length is at most (c N/2)² E (w.x)². <dual, Y> with U sqrt(N) times the polar "
        "factor of Y_even, which is even, is c sqrt(N) |Y_even|_*. One-hot labels turned by an orthogonal map are (1, y)/sqrt(2), of "
        "nuclear norm sqrt(2 N). For one output and dual = c y: (E y|w.x|)² <= |w|² - (E|w.x|)² <= |w|²/2 (flattest-4)",
    )
    kinks = 4 * 4 / n * sp.sqrt(2 * d * n / 4) * sp.sqrt(n / 4)
    off = 4 * 4 / n * sp.sqrt(2 * d * n / 2) * sp.sqrt(n / 4)
    require(sp.simplify(kinks - 4 * sp.sqrt(2 * d)) == 0 and sp.simplify(off - 8 * sp.sqrt(d)) == 0, "the costs of four quarters")
    require(sp.simplify(4 / n * sp.sqrt(2) * n * sp.sqrt(d) - kinks) == 0, "they attain the bound of flattest-9")
    share = sp.symbols("m", positive=True)  # of the training samples in a quarter
    require(sp.simplify(4 / n * sp.sqrt(2 * share * d) * sp.sqrt(share) - 4 / n * sp.sqrt(2 * d) * share) == 0, "on a subset")
    for dimension in (2, 3, 4):
        for x in cube(dimension):
            seen = [max(Fraction(0), (s * x[0] + t * x[1]) / 2) for s, t in QUARTERS]
            sums = [sum(h for h, (s, t) in zip(seen, QUARTERS, strict=True) if s * t == label) for label in (1, -1)]
            require(sums == [int(x[0] * x[1] == label) for label in (1, -1)], "quarters do not fit one-hot labels")
    yield Evidence(
        "proved",
        "symbolic costs; exact outputs for d = 2, 3, 4",
        "every d >= 2, relu'(0) = 0, every training subset; quarters for no sample on a kink",
        "A quarter's samples have h = 1. Equality in flattest-9's bound needs |x_i| / h_i to be constant on D and a_j to be along y_i for "
        "every i in D: one label a neuron, and on the whole cube w.x in {c, 0, -c}, so a quarter, as in flattest-4, whose a is its class "
        "alone. Moved off the kinks by next to nothing, with outputs corrected by next to nothing, a quarter has S = N d / 2",
    )
    points = np.array([[float(c) for c in row] for row in product((-1, 1), repeat=3)])[list(SIX)]
    y = points[:, 0] * points[:, 1]
    several = check(flattest_outputs(points, np.stack([y > 0, y < 0], axis=1).astype(float)).certificate())
    single_output = check(flattest(points, y).certificate())
    require(several.upper**2 < 2 * single_output.lower**2, "one-hot labels cost sqrt(2) times one output there")
    require(several.lower > single_output.upper, "one-hot labels cost no more than one output there")
    yield Evidence(
        "certified",
        "two certificates, checked in rational numbers",
        "the vertices other than (1, -1, 1) and (1, 1, -1), d = 3, no sample on a kink",
        f"{float(several.lower):.6f} <= T_2 <= {float(several.upper):.6f}, and sqrt(2) T_1 >= {2**0.5 * float(single_output.lower):.6f}",
    )
