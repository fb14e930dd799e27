"""Owns own/flattest-11: flattest networks of three and more layers without bias.

f = W_D relu(.. relu(W_1 x)), h_l the activations of layer l, g_l the gradient of f in what enters layer l's ReLU (1 for l = D), so that
||grad f||^2 = sum over l of |g_l|^2 |h_{l-1}|^2, h_0 = x.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.own.flattest_beyond import QUARTERS
from flatproof.theory.constructions import cube, deep_generalizing, deep_memorizing, dot


@own_claim(
    "flattest-11",
    """D >= 3 layers without bias. A network that interpolates has a trace of at least (2 D/n) sum_i (|y_i|^(2(D-1)) |x_i|²)^(1/D), whatever
    the lengths and labels: 2 D (y^(2(D-1)) r²)^(1/D) for distinct samples of one length r and labels of one size y > 0, whatever their
    signs, and 2 D d^(1/D) for labels ±1 on {-1, 1}^d. There it is the least trace, and where sizes are in one ratio to lengths, samples of
    one direction having labels of one sign; of other lengths and labels nothing more is said. Networks attain it with no sample on a kink
    that take any values at further points of other directions. So from no training set but the whole cube do all flattest networks of three
    layers without bias generalize, on parity or other labels ±1: that is so of two layers alone (own/parity-2). With relu'(0) = 0
    parity by four quarters (x1, x2) attains it as well, on every training subset of the cube, and off the kinks approaches it.""",
)
def flattest_11() -> Iterator[Evidence]:
    """Deeper networks without bias memorize at no cost.

    f = g_l . h_l for every l < D, as ReLUs are homogeneous: the bound is that of theorem-4.1, with x for x'.
    """
    depth = sp.symbols("D", positive=True, integer=True)
    r, y, b = sp.symbols("r y b", positive=True)
    first = y / b ** (depth - 1)  # |h_1|; each later layer multiplies by b
    require(sp.simplify(first * b ** (depth - 1) - y) == 0, "the output of a path")
    share = (y / r) ** (1 / depth)
    terms = (y / first * r) ** 2, (y / b) ** 2  # the first layer's part of ||grad f||^2, and that of each other
    bound = (y ** (2 * (depth - 1)) * r**2) ** (1 / depth)
    for term in terms:
        require(
            sp.simplify(sp.expand_log(sp.log(term.subs(b, share) / bound), force=True)) == 0, "a layer's part is the bound / D"
        )
    length, ratio = sp.symbols("l k", positive=True)  # x = l u, |u| = 1, |y| = k l: f and its gradient are l times those at u
    at_unit = (ratio ** (2 * (depth - 1))) ** (1 / depth)
    apart = sp.log(length**2 * at_unit) - sp.log(((ratio * length) ** (2 * (depth - 1)) * length**2) ** (1 / depth))
    require(sp.simplify(sp.expand_log(apart, force=True)) == 0, "sizes in one ratio to lengths are those of one length")
    circle = [(Fraction(a), Fraction(b)) for a, b in ((3, 4), (4, 3), (5, 0), (0, 5), (-3, 4), (-3, -4), (4, -3))]
    frames = [(p[0] - q[0], p[1] - q[1]) for p in circle for q in circle if p != q]
    first_layer = [turned for u, v in frames for turned in ((u, v), (-u, -v), (v, -u), (-v, u))]
    seen = [tuple(max(Fraction(0), dot(w, point)) for w in first_layer) for point in circle]
    require(len({dot(h, h) for h in seen}) == 1, "frames see points of one length alike")
    for h, other in product(seen, seen):
        require(h is other or any(a == 0 < c for a, c in zip(h, other, strict=True)), "a point has no neuron that another lacks")
    yield Evidence(
        "proved",
        "symbolic; arithmetic against geometric mean, the inequality of Cauchy and Schwarz; frames of seven points, exactly",
        "the bound: every depth D >= 3, dimension, training set and labels; that it is attained: distinct samples of one length, labels of "
        "one size, and sizes in one ratio to lengths",
        "At a sample the D parts have the product |x|² times that of |g_l|² |h_l|² over l < D, each at least y²: whence the bound. "
        "f(c x) = c f(x) for c > 0, so a network for the directions and labels of one size is one for all lengths. Memorizing: the first "
        "layer has, for each ordered pair of points, an orthogonal basis and its negative, times one factor, the first vector near x' - x, "
        "turned so that no point is on a kink: w.x' > 0 > w.x as lengths are equal, and sum_j h_j² is the same at all points, as "
        "max(t, 0)² + max(-t, 0)² = t². Neuron k of the second layer has weights b h_1(x_k)/|h_1| where these are not 0 and -M elsewhere: "
        "b |h_1| at x_k, and with M large below 0 at every other point, which has a neuron that x_k has not. Then one path a point. At "
        "x_k g_1 is along h_1, one path is active, and all parts are equal. Paths of further points are silent at the samples and cost "
        "nothing",
    )
    d, apart = sp.symbols("d m", positive=True)  # m of d coordinates differ
    others = (d - apart) - d * apart
    require(
        sp.expand(others.subs(apart, 1)) == -1 and sp.diff(others, apart).is_negative is True, "a neighbour is the nearest to 0"
    )
    for dimension in (2, 3, 4):
        vertices = list(cube(dimension))
        codes = [tuple(Fraction(int(s * c > 0)) for s in (1, -1) for c in v) for v in vertices]
        weights = [tuple(c if c else Fraction(-dimension) for c in code) for code in codes]
        for (i, code), (k, row) in product(enumerate(codes), enumerate(weights)):
            value = dot(row, code)
            require(value == dimension if i == k else value < 0, "a path sees another vertex")
    yield Evidence(
        "proved",
        "symbolic; exact patterns for d = 2, 3, 4",
        "the cube, d >= 2, first layer relu(x_k) and relu(-x_k): no frames are needed",
        "Weights 1 on the d signs of the vertex and -d on the others: d there, at most -1 elsewhere, nowhere 0",
    )
    for point in cube(2):
        quarter = [max(Fraction(0), (s * point[0] + t * point[1]) / 2) for s, t in QUARTERS]
        require(sorted(quarter) == [0, 0, 0, 1], "one quarter sees a vertex")
    yield Evidence(
        "proved",
        "symbolic; one quarter sees each vertex",
        "every D >= 3, d >= 2 and training subset",
        "With relu'(0) = 0 one quarter is active at each vertex and then the path of its sign: one neuron a layer, so all parts can be "
        "equal. Off the kinks a vertex has quarters of the other sign at activations e; weights -M between quarters and paths of unlike "
        "signs, e small beside M, keep the other path silent, and what they add is of order M² + e²: nothing as e << M -> 0",
    )
    worst = 0.0
    for layers, dimension in product((3, 4, 6), (2, 3, 4)):
        points = np.array([[float(c) for c in v] for v in cube(dimension)])
        parity = points[:, 0] * points[:, 1]
        wanted = np.where(np.arange(len(points)) < 2, -3 * parity, parity)
        memorizing, generalizing = deep_memorizing(points, wanted, depth=layers), deep_generalizing(dimension, layers)
        require(np.allclose(memorizing.forward(points), wanted) and np.allclose(generalizing.forward(points), parity), "outputs")
        least = 2 * layers * dimension ** (1 / layers)
        for network in (memorizing, generalizing):
            worst = max(worst, abs(network.trace_of_hessian(points[2:]) / least - 1))
    require(worst < 1e-12, "a trace is not the bound")
    yield Evidence(
        "tested",
        "floating point, by the closed form of the trace",
        "D = 3, 4, 6, d = 2, 3, 4, all vertices but two",
        f"two networks of the least trace to {1e-12:g}: x1 x2 everywhere, and one with -3 x1 x2 at the two vertices left out",
    )
