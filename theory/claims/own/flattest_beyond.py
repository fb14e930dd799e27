"""Owns own/flattest-4 to flattest-6: least eigenvalues on the cube, least traces of fits within a tolerance, and constants of any size.

z = w . x, h = relu(z), a the second layer; K = (2/n) J J', whose eigenvalues at interpolation are the Hessian's nonzero ones.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require
from flatproof.theory.claims.own.flattest_sets import gram
from flatproof.theory.constructions import ExactNetwork, Neuron, cube, dot

QUARTERS = tuple(product((1, -1), repeat=2))


@own_claim(
    "flattest-4",
    """All points of {-1, 1}^d, d >= 2, labels x1 x2, no bias, interpolation: λ_max >= sqrt(2), whatever the notion at kinks. With relu'(0)
    = 0 four neurons, one a quarter (x1, x2), attain it at trace sqrt(2) (d + 2); the networks of the smallest trace, 4 sqrt(d), are
    four quarters too, balanced otherwise, and all have λ_max = (d + 2) / (2 sqrt(d)). So for d >= 3 no network is the flattest in both,
    and the flattest in trace have a λ_max that grows as sqrt(d) / 2.""",
    depends_on=("wen2023/equation-3",),
)
def flattest_4() -> Iterator[Evidence]:
    """The smallest largest eigenvalue of parity without bias.

    λ_max >= <P, K> for P = (11' + yy') / (2N), N = 2^d, which is a sum over neurons. E is the mean over the cube.
    """
    a, d, r = sp.symbols("a d r", positive=True)
    require(sp.simplify((1 + r**2) / r - 2 - (1 - r) ** 2 / r) == 0, "(1 + r²)/r is at least 2")
    mean, rest = sp.symbols("f0 f", nonnegative=True)  # squares of E f and of f less its mean
    flips = d * mean + (d - 4) * rest - (d - 2) * (mean + rest)
    require(sp.expand(flips - 2 * (mean - rest)) == 0, "Khintchine's inequality from flips of coordinates")
    yield Evidence(
        "proved",
        "symbolic steps; Cauchy-Schwarz, the inequality of the two means, flips of coordinates",
        "every width, d >= 2, both notions at kinks",
        "A neuron's D, X = sum_D x, Y = sum_D y x: <P, K_j> = (a² (|X|² + |Y|²) + (w.X)² + (w.Y)²) / N² >= 2 |a| (|X|² + |Y|²)^(1/2) "
        "((w.X)² + (w.Y)²)^(1/2) / N² >= 2 |a| ((w.X)² + (w.Y)²) / (|w| N²). As y is even, w.X = N E|w.x| / 2, w.Y = N E y|w.x| / 2, "
        "at most w.X in size: with their ratio r this is |a w.Y| (1 + r²)/r E|w.x| / (|w| N) >= sqrt(2) |a w.Y| / N, and the sum of a "
        "w.Y over neurons is sum y f = N. E|w.x| >= |w|/sqrt(2): f = |w.x| is even, and sum_i f(x with x_i turned) >= |sum_i w.(..)| ="
        " (d - 2) f; times f, in Fourier coefficients, d f0 + (d - 4) rest >= (d - 2)(f0 + rest), f0 = (E f)², f0 + rest = |w|²",
    )
    top, other, trace = a**2 + 1 / (2 * a**2), a**2 / 2, 2 * (d * a**2 + 1 / a**2)
    require(sp.solve(sp.diff(top, a), a) == [2 ** sp.Rational(-1, 4)], "the best balance")
    best = {a: 2 ** sp.Rational(-1, 4)}
    require(sp.simplify(top.subs(best) - sp.sqrt(2)) == 0, "the least eigenvalue of four quarters")
    require(sp.simplify(trace.subs(best) - sp.sqrt(2) * (d + 2)) == 0, "its trace")
    flat = {a: d ** sp.Rational(-1, 4)}
    require(sp.simplify(trace.subs(flat) - 4 * sp.sqrt(d)) == 0, "the least trace")
    require(sp.simplify(top.subs(flat) - (d + 2) / (2 * sp.sqrt(d))) == 0, "the eigenvalue of the trace-flattest")
    require(sp.simplify(top - other - (a**2 / 2 + 1 / (2 * a**2))) == 0, "the other eigenvalues are smaller")
    require(sp.factor(((d + 2) / (2 * sp.sqrt(d))) ** 2 - 2) == (d - 2) ** 2 / (4 * d), "they agree for d = 2 alone")
    for size in (2, 3, 4):
        points = list(cube(size))
        for scale, least in ((sp.sqrt(2), sp.sqrt(2)), (sp.sqrt(size), sp.Rational(size + 2, 2) / sp.sqrt(size))):
            network = quarters(size, scale)
            require(network.interpolates(points, [p[0] * p[1] for p in points]), "four quarters do not fit parity")
            values = (gram(network, points) * sp.Rational(2, len(points))).eigenvals()
            require(sp.simplify(max(values) - least) == 0, f"d = {size}: the largest eigenvalue of four quarters")
    yield Evidence(
        "proved",
        "symbolic in d and the balance; exact kernels for d = 2, 3, 4",
        "every d >= 2, relu'(0) = 0",
        "A quarter's block of K, (2/N)(a² x.x' + 1/a²), has the eigenvalues a² + 1/(2a²) on 1 and at most a²/2 elsewhere. Where (3) is"
        " attained, every active h = |a| sqrt(d) and sign(a) = y: w.x takes the values c, 0, -c alone, so w has one coordinate c, "
        "whose D has both labels, or two of c/2, whose D is a quarter of one label, so they are x1 and x2: nothing but quarters, with "
        "sum a² = 1/sqrt(d) each",
    )


@own_claim(
    "flattest-5",
    """T(e), the smallest trace over networks (no-bias or bias) with |f(x_i) - y_i| <= e at every sample: the trace is (2/n) sum ||grad
    f(x_i)||² though they do not interpolate; T is convex and does not increase; T(e) >= lambda . y - e sum |lambda_i| for every dual
    point lambda, and at an optimal one minus sum |lambda_i| is a slope of T. For labels of ±1, T(e) <= (1 - e) T(0), e <= 1; with
    equality if an optimal lambda at e = 0 has lambda_i y_i >= 0 for all i, and if all are > 0 networks that attain it for e < 1 are
    those that attain T(0), times 1 - e: their signs are the same everywhere.""",
    depends_on=("own/flattest-3",),
)
def flattest_5() -> Iterator[Evidence]:
    """Near-interpolating flattest networks.

    A dual point has s <lambda, Xv>_D <= c_D |Xv|_D for all patterns, so that lambda . f(X) <= trace.
    """
    a, w, x, e, t, tt = sp.symbols("a w x e t u", real=True)
    require(sp.diff(a * w * x, a, 2) == 0 and sp.diff(a * w * x, w, 2) == 0, "f'' has a diagonal")
    first, second, slope = sp.symbols("T1 T2 L", real=True)
    require(sp.expand((first - tt * slope) - (first - t * slope) + (tt - t) * slope) == 0, "the slope")
    require(sp.expand((t * e + (1 - t) * e) - e) == 0, "mixtures keep the tolerance")
    require(sp.expand(t * first + (1 - t) * second - second - t * (first - second)) == 0, "mixtures of traces")
    yield Evidence(
        "proved",
        "symbolic steps; duality",
        "every width, training set and e >= 0; infima where they are not attained",
        "f is linear in a and, off kinks, in w: trace f'' = 0. sum lambda_i f(x_i) >= sum (lambda_i y_i - |lambda_i| e); at the "
        "optimal lambda of e this reads T(e') >= T(e) - (e' - e) sum |lambda_i|. Networks of e and e', mixed with shares t and 1 - t "
        "(own/flattest-3), miss by at most t e + (1 - t) e': T is convex. For ±1 labels (1 - e) f, both layers times sqrt(1 - e), "
        "misses by e: T(e) <= (1 - e) T(0); if lambda_i y_i = |lambda_i|, T(e) >= (1 - e) lambda . y; where all are > 0, equality "
        "makes f(x_i) = (1 - e) y_i",
    )


@own_claim(
    "flattest-6",
    """n points of one length r with a constant s > 0 appended, networks without bias on them: the trace of every function, least over the
    balance between layers, is proportional to sqrt(r² + s²). So the flattest networks are the same functions for every s > 0. For
    distinct points of {-1, 1}^d and labels ±1 the smallest trace is 4 sqrt(d + s²), and networks that memorize attain it; without the
    constant it is at least 4 sqrt(d). The memorizing neuron of x_i has the weights (x_i, -(d - 1)/s) up to a factor: alone a price on
    weights makes it dear for small s.""",
    depends_on=("wen2023/equation-3",),
)
def flattest_6() -> Iterator[Evidence]:
    """From no bias (s = 0) to bias (s = 1) and beyond.

    The cost of a neuron a relu(w . x + b s) at the best balance is (4/n) |a| |Xw + b s|_D sqrt(sum_D (|x_i|² + s²)).
    """
    r, s, t, count, length, b, wx = sp.symbols("r s t k L b z", positive=True)
    cost = sp.sqrt(count * (r**2 + s**2)) * length
    require(sp.simplify(cost / cost.subs(s, t) - sp.sqrt((r**2 + s**2) / (r**2 + t**2))) == 0, "the ratio of costs")
    require(sp.simplify((wx + (b * t / s) * s) - (wx + b * t)) == 0, "biases of another constant")
    d = sp.symbols("d", positive=True, integer=True)
    require(sp.simplify(d + s * (-(d - 1) / s) - 1) == 0, "the memorizing neuron at its own point")
    require(sp.simplify((d - 2) + s * (-(d - 1) / s) + 1) == 0, "the memorizing neuron at a neighbour")
    yield Evidence(
        "proved",
        "symbolic, one neuron",
        "every width, n, s > 0 and set of points of one length",
        "b -> b t / s keeps every activation, at samples and elsewhere, and sum_D (|x_i|² + s²) = |D| (r² + s²): all costs change by "
        "one factor. (3) gives (4/n) sum ||x'_i|| |y_i| = 4 sqrt(d + s²), and a neuron that is active at one sample costs (4/n) "
        "||x'_i|| |y_i|. x_k . x_i <= d - 2 for other vertices, so (x_i, -(d - 1)/s) is 1 at x_i and at most -1 there",
    )
    for size in (2, 3):
        points = list(cube(size))
        for i, k in product(range(len(points)), repeat=2):
            value = dot(points[i], points[k]) - (size - 1)
            require(value == 1 if i == k else value <= -1, "a memorizing neuron sees another vertex")


def quarters(d: int, scale: sp.Expr) -> ExactNetwork:
    """Four neurons a relu(w . x), w = (s1, s2, 0, ..) / (2 |a|) and a = s1 s2 |a|, of a² = 1 / scale."""
    neurons = []
    for s1, s2 in QUARTERS:
        direction = (Fraction(s1, 2), Fraction(s2, 2), *[Fraction(0)] * (d - 2))
        neurons.append(Neuron(direction, Fraction(s1 * s2), scale))
    return ExactNetwork(tuple(neurons), bias=False)
