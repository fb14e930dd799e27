"""Owns wen2023/proposition-A.2 (equation 17): flattest networks with bias on the circle, what width n and width 3n can do.

Points are angles t_1 < ... < t_n of x[1:2], gaps g_i = t_(i+1) - t_i; ||x'|| = r is the same for all points. On the circle a neuron is
a relu(w.x + b) = kappa relu(cos(t - m) - cos phi): a bump over an arc, its cap.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from math import pi

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.networks import Network, forward, loss, trace_lower_bound, trace_of_hessian

Angles = NDArray[np.floating]
SLOPE = 5e-3  # of an arc
POINTS = 20_000  # of the grid on which errors over the circle are measured


@claim(
    "wen2023/proposition-A.2",
    printed="""x[1:2] uniform on the unit circle, label an L-Lipschitz function of it, ||x|| = R, 0 < delta < 1/20: for
    n = Omega(log(1/delta)/delta), with probability 1-delta a flattest width-n bias model has error O(delta²). Equation (17): z_j = midpoint
    of the arc v_(j-1) v_j; w_j = unit vector perpendicular to z_j z_(j+1); W1_j = r[w_j, 0, ...]/(w_j.z_j), b1_j = r(-w_j.v_j +
    w_j.z_j)/(w_j.z_j), W2_j = y_j/r, r² = |y_j| sqrt(R²+1).""",
    depends_on=("wen2023/lemma-4.1", "wen2023/equation-3", "wen2023/equation-4"),
    reading="distinct samples",
)
def proposition_a2() -> Iterator[Evidence]:
    """Flattest networks on the circle.

    At width n every flattest network keeps an error that does not fall with n (`floor`); at width 3n the error is O(delta²)
    (`three_neurons_a_sample`). (wen2023, Proposition A.2 and Equation 17)
    """
    yield floor()
    yield printed_construction()
    yield three_neurons_a_sample()
    yield covered_samples()
    yield measured()


def printed_construction() -> Evidence:
    """Equation (17): neuron j should be active on the arc (z_j, z_(j+1)) alone, where w_j.x > w_j.z_j. The printed one is active where
    w_j.x > w_j.(v_j - z_j), nearly a half plane."""
    half, root = sp.Rational(1, 2), sp.sqrt(3) / 2  # hexagon: w.v_j = 1, w.z_j = cos 30°, w.v_(j+1) = cos 60°
    own = (1 - 1 + root) / root
    neighbour = (half - 1 + root) / root
    require(own == 1 and bool(neighbour > 0), "the printed neuron does not reach its neighbour")
    require(sp.simplify(neighbour - (1 - 1 / sp.sqrt(3))) == 0, "the neighbour's activation")
    theta, phi = sp.symbols("theta phi", positive=True)
    tent = (sp.cos(theta) - sp.cos(phi)) / (1 - sp.cos(phi))  # f/y on an arc of half-width phi with v_j in its middle
    error = sp.integrate(sp.expand((tent - 1) ** 2), (theta, 0, phi)) / phi
    require(sp.limit(error, phi, 0) == sp.Rational(1, 5), "the error of the mended construction does not tend to 1/5")
    return Evidence(
        "refuted",
        "counterexample, exact; symbolic limit",
        "d = 2, R = 1, the six points of a regular hexagon, y = 1",
        "Neuron j is active at its neighbours, with (1/2 - 1 + cos 30°)/cos 30° = 1 - 1/sqrt 3 of its value at v_j: f(v_j) = 1 + 2 (1 - "
        "1/sqrt 3) = 1.845 instead of 1: equation (17) does not interpolate. (The square's does; denser regular polygons' do not.)",
        corrected="Equation (17) with W1_j = r[w_j, 0, ...]/(w_j.v_j - w_j.z_j), b1_j = -r w_j.z_j/(w_j.v_j - w_j.z_j) interpolates and is "
        "flattest; on even spacing its error tends to E y²/5.",
        target="construction",
        severity="constant or sign",
    )


def floor() -> Evidence:
    """No flattest width-n network does it: a floor for d = 2, R = 1, y = 2 + sin t, with probability at least 1/3 for all large n.

    1. The bound (4/n) r sum y_i is attained (`printed_construction`), so every flattest network has equality in equation-3 at every
       sample: each neuron that is active there has a > 0 and relu(z) = r a (equation-4, necessary). A neuron with w != 0 thus has one and
       the same z at all the samples in its cap: they lie on a line, so there are at most two of them, and none between these, where z is
       larger. It is a single, a pair of neighbours (its cap centred between them) or dead. w = 0 adds a constant; let c >= 0 be the sum
       of all of these, c <= min y_i.
    2. e dead, s single and q pair neurons: e + s + q <= n. Every sample with y_i > c, all but one, is in the cap of a single or a pair:
       s + 2 q >= n - 1, so e <= (n+1)/2. A dead cap lies in one gap: (n-1)/2 gaps hold none. Caps have at most 2n ends, so at most n/5
       gaps hold ten or more.
    3. Let L_i = g_(i-1) + g_i + g_(i+1). Gaps are exponential variables up to a common factor: Pr(L_i > M g_i) = 1 - (1 - 1/M)² <= 2/M,
       Pr(g_i < 2 pi tau/n) <= tau. By Markov's inequality each of these fails with probability at most 1/6: at most n/20 gaps have
       L_i > 240 g_i; at most n/20 have g_i < 2 pi/(120 n); at most n/40 samples lie within pi/240 of t = -pi/2. At most n/20 gaps
       exceed 40 pi/n. Some sample comes so close to -pi/2 that c <= 1 + v0, 2 v0 = 1 - cos(pi/240), but with probability o(1).
       Of the (n-1)/2 gaps without dead caps at least n/8 - 2 are none of these: good.
    4. On a good gap f = c + u, u a sum of bumps over caps of length at most Lambda = 2 L_i (a single's lies between its neighbours; a
       pair's, by symmetry, reaches no farther than its two gaps doubled), all with positive weight. For Lambda <= 1 each has
       kappa (cos(t-m) - cos phi) <= kappa Lambda²/8 and second derivative at most -kappa cos(1/2): u'' <= -(7/Lambda²) u where no cap
       ends. On a piece of length l >= g_i/10 without ends, with psi = s²(l-s)², v = y - c >= v0, |v''| <= 1 and e = f - y = u - v,
       integration by parts gives ((7/Lambda²) v0 - 1) int psi <= ||e|| (||psi''|| + (7/Lambda²) ||psi||): the mean square of e on the
       piece is at least (v0 (l/Lambda)²/11)² once Lambda² <= 7 v0/2, and l/Lambda >= 1/4800.
    5. n/10 good gaps with pieces of length 2 pi/(1200 n) make E (f - y)² >= (v0/(11 4800²))²/12000, for every n.
    """
    ratio, first, second = sp.symbols("M first second", positive=True)
    tail = sp.integrate(
        sp.integrate(sp.exp(-(first + second) * ratio), (first, 0, sp.oo)), (second, 0, sp.oo)
    )  # ratio = 1 + 1/(M-1)
    require(
        sp.simplify(tail.subs(ratio, ratio / (ratio - 1)) - ((ratio - 1) / ratio) ** 2) == 0, "Pr(L <= M g) is not (1 - 1/M)²"
    )
    left = Fraction(1, 2) - Fraction(1, 5) - 3 * Fraction(1, 20) - Fraction(1, 40)
    require(left == Fraction(1, 8), "n/8 good gaps do not remain")
    expected, allowed = (
        (Fraction(2, 240), Fraction(1, 120), Fraction(1, 240)),
        (Fraction(1, 20), Fraction(1, 20), Fraction(1, 40)),
    )
    for mean, most in zip(expected, allowed, strict=True):  # numbers of gaps or samples, over n
        require(mean / most <= Fraction(1, 6), "one of the three events fails with probability above 1/6")
    require(8 * sp.cos(sp.Rational(1, 2)) > 7, "8 cos(1/2) is not above 7")
    s, length = sp.symbols("s l", positive=True)
    psi = s**2 * (length - s) ** 2
    require(psi.subs(s, 0) == 0 == sp.diff(psi, s).subs(s, length), "psi does not vanish to second order at the ends")
    integral, square, bend = (sp.integrate(sp.expand(f), (s, 0, length)) for f in (psi, psi**2, sp.diff(psi, s, 2) ** 2))
    require((integral, square, bend) == (length**5 / 30, length**9 / 630, 4 * length**5 / 5), "integrals of psi")
    # half of 7 v0 (l/Lambda)²/30 over sqrt(4/5) + 7/sqrt(630), l <= Lambda
    require((sp.sqrt(sp.Rational(4, 5)) + 7 / sp.sqrt(630)) * 30 / sp.Rational(7, 2) < 11, "the constant 11 is too small")
    low = (1 - sp.cos(sp.pi / 240)) / 2
    least = (low / (11 * 4800**2)) ** 2 / 12000
    return Evidence(
        "refuted",
        "argument; symbolic: gap probabilities, counts and the test function's integrals; cited: Markov's inequality, uniform spacings as "
        "normalized exponential variables",
        "d = 2, R = 1, y = 2 + sin t; every flattest network of width n, for all large n with probability at least 1/3",
        "A flattest network's active neurons cover one sample, two neighbours or all, so at least half of the arcs hold no dead neuron; "
        "there f is piecewise concave at the scale of the arc and misses y. E (f - y)² stays above a constant for every n (the proof gives "
        f"{float(least):.0e}, far from tight; the best found is E y²/2205), O(delta²) would fall with n.",
        corrected="At width 3n a flattest model has error at most (4 pi²/3) L² delta² + any small number, for n >= 1 + (4/delta) "
        "log(1/delta); at width n the error keeps a floor (on even spacing E y²/2205 is reached). Between the two widths it is open.",
        target="statement",
        severity="constant or sign",
    )


def three_neurons_a_sample() -> Evidence:
    """At width 3n: a steep single neuron a sample and a trapezoid of two dead ones an arc.

    Single i: cap of half-width eta about t_i, output y_i there, split evenly (a = sign(y_i) (|y_i|/r)^(1/2), z = (r |y_i|)^(1/2)); none for
    y_i = 0. On the arc (t_i, t_(i+1)) two dead neurons kappa relu(cos(t-m) - cos phi) - kappa relu(cos(t-m) - cos psi), psi < phi < half
    the gap, kappa = y_i/(cos psi - cos phi): y_i for |t - m| <= psi. Samples see the singles alone, so the network is flattest. As eta -> 0
    and psi, phi -> g_i/2, f -> y_i on almost all of the arc and |f| <= max |y_i| there: E (f - y)² tends to at most (1/2 pi)
    sum_i int_0^(g_i) L² s² ds <= L² max g²/3. Pr(max g > 2 pi delta) <= n (1-delta)^(n-1) <= n e^(-(n-1) delta) <= delta for
    n - 1 >= (4/delta) log(1/delta): there e^(-(n-1) delta) <= delta^4 and n <= 1 + 4/delta² <= 5/delta² <= delta^(-3).
    """
    s, g, lipschitz, delta, more = sp.symbols("s g L delta more", positive=True)
    require(sp.integrate(lipschitz**2 * s**2, (s, 0, g)) == lipschitz**2 * g**3 / 3, "an arc's error is not L² g³/3")
    require(sp.simplify(lipschitz**2 * (2 * sp.pi * delta) ** 2 / 3 - 4 * sp.pi**2 / 3 * lipschitz**2 * delta**2) == 0, "4 pi²/3")
    require(sp.simplify(sp.exp(-4 * sp.log(1 / delta)) - delta**4) == 0, "the exponent is not delta^4")
    small = 1 / (20 + more)  # delta < 1/20
    require(sp.expand((1 / small) ** 3 - 5 / small**2).subs(more, 0) > 0, "5/delta² exceeds delta^-3 at delta = 1/20")
    require(sp.factor((1 / small) ** 3 - 5 / small**2) == (more + 15) * (more + 20) ** 2, "5/delta² exceeds delta^-3 below 1/20")
    kappa, high, low = sp.symbols("kappa high low", positive=True)  # cos(t-m) >= cos psi = high > cos phi = low
    inner = kappa * ((s - low) - (s - high))
    require(sp.simplify(inner.subs(kappa, g / (high - low)) - g) == 0, "the trapezoid's plateau is not the label")
    return Evidence(
        "proved",
        "construction and argument, symbolic; cited: dominated convergence, the law of the largest of uniform spacings (union bound)",
        "the corrected statement: width 3n, every L-Lipschitz label, every R >= 1 and d >= 2",
        "flattest, with error at most (4 pi²/3) L² delta² + any small number with probability 1 - delta.",
    )


def covered_samples() -> Evidence:
    """Step 1 of `floor` on rational points of the circle: of z = 1 at two samples and z <= 0 at all others, only neighbours allow it."""
    angles = (Fraction(0), Fraction(1, 3), Fraction(1), Fraction(5, 2), Fraction(-4), Fraction(-1), Fraction(-2, 5))  # tan(t/2)
    points = sorted(
        (((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)) for t in angles), key=lambda p: np.arctan2(float(p[1]), float(p[0]))
    )
    n, neighbours, apart = len(points), 0, 0
    for i, k in combinations(range(n), 2):
        rest = [points[j] for j in range(n) if j not in (i, k)]
        normal = (points[i][1] - points[k][1], points[k][0] - points[i][0])  # z = 1 + lambda normal.(x - x_i)
        sides = [normal[0] * (p[0] - points[i][0]) + normal[1] * (p[1] - points[i][1]) for p in rest]
        require(0 not in sides, "three points of a circle on a line")
        possible = all(v < 0 for v in sides) or all(v > 0 for v in sides)
        beside = k - i in (1, n - 1)
        require(possible == beside, f"samples {i} and {k} of the circle")
        neighbours, apart = neighbours + beside, apart + (not beside)
    return Evidence(
        "certified",
        "exact rationals",
        "seven rational points of the circle, all pairs",
        f"a neuron can have equal positive z at two samples and none at the others for the {neighbours} pairs of neighbours, for "
        "none of the "
        f"{apart} others.",
    )


def bump(center: Angles, half: Angles, at: Angles, weight: Angles, norm: float) -> tuple[Angles, Angles, Angles]:
    """w, b and a of neurons kappa relu(cos(t - center) - cos half) that output `weight` at angle `at` from the centre, split evenly."""
    scale = np.sqrt(norm * np.abs(weight)) / (np.cos(at) - np.cos(half))
    w = scale[:, None] * np.column_stack([np.cos(center), np.sin(center)])
    return w, -scale * np.cos(half), np.sign(weight) * np.sqrt(np.abs(weight) / norm)


def bumps(parts: list[tuple[Angles, Angles, Angles]]) -> Network:
    """A network with bias on the plane from several groups of neurons."""
    w, b, a = (np.concatenate(group) for group in zip(*parts, strict=True))
    return Network(w, a, b, architecture="bias")


def mended(t: Angles, y: Angles) -> Network:
    """Equation (17), corrected: one neuron a sample, its cap from the middle of one arc to the middle of the next."""
    before, after = (t + np.roll(t, 1) - 2 * pi * (np.arange(len(t)) == 0)) / 2, (t + np.roll(t, -1)) / 2
    after[-1] += pi
    middle = (before + after) / 2
    return bumps([bump(middle, (after - before) / 2, t - middle, y, 2**0.5)])


def pairs(t: Angles, y: Angles) -> Network:
    """One neuron for each two neighbours of an odd number of evenly spaced samples: p_(i-1) + p_i = y_i, caps of 5/4 gaps each way."""
    n = len(t)
    p = np.linalg.solve(np.eye(n) + np.roll(np.eye(n), -1, axis=1), y)
    gap = 2 * pi / n
    return bumps([bump(t + gap / 2, np.full(n, 1.25 * gap), np.full(n, gap / 2), p, 2**0.5)])


def trapezoids(t: Angles, y: Angles, steep: float) -> Network:
    """Three neurons a sample (`three_neurons_a_sample`), their slopes `steep` of an arc wide."""
    gap = np.append(np.diff(t), t[0] + 2 * pi - t[-1])
    near = np.minimum(gap, np.roll(gap, 1)) * steep
    outer, inner = gap / 2 * (1 - steep), gap / 2 * (1 - 2 * steep)
    kappa = y / (np.cos(inner) - np.cos(outer))
    w = np.column_stack([np.cos(t + gap / 2), np.sin(t + gap / 2)])
    dead = [(w, -np.cos(half), sign * kappa) for half, sign in ((outer, 1), (inner, -1))]
    return bumps([bump(t, near, np.zeros(len(t)), y, 2**0.5), *dead])


def relative_error(network: Network) -> float:
    """E (f - y)² / E y² over the circle for y = 2 + sin t."""
    t = np.linspace(0, 2 * pi, POINTS, endpoint=False)
    y = 2 + np.sin(t)
    f = forward(network, np.column_stack([np.cos(t), np.sin(t)]))
    return float(np.mean((f - y) ** 2) / np.mean(y**2))


def pair_limit() -> sp.Rational:
    """E (f/y - 1)² of `pairs` as n grows: bumps (25/4 - t²)/(21/4), in units of half a gap, at -2, 0 and 2."""
    t = sp.Symbol("t")
    here = [(sp.Rational(25, 4) - (t - at) ** 2) / sp.Rational(21, 4) for at in (0, 2, -2)]
    total = 0
    for start, stop, active in ((0, sp.Rational(1, 2), here), (sp.Rational(1, 2), 1, here[:2])):  # that at -2 ends at t = 1/2
        total += sp.integrate(sp.expand((sum(active) / 2 - 1) ** 2), (t, start, stop))
    return sp.nsimplify(total)


def measured() -> Evidence:
    """The three constructions as networks: each interpolates at the bound on the trace; their errors over the circle."""
    even, rng = np.linspace(-pi, pi, 201, endpoint=False), np.random.default_rng(0)
    scattered = np.sort(rng.uniform(-pi, pi, 61))
    errors = {}
    for name, t, network in (
        ("mended equation (17)", even, mended),
        ("a neuron for each two neighbours, width n", even, pairs),
        ("width 3n, even", even, lambda t, y: trapezoids(t, y, SLOPE)),
        ("width 3n, random", scattered, lambda t, y: trapezoids(t, y, SLOPE)),
    ):
        y = 2 + np.sin(t)
        x = np.column_stack([np.cos(t), np.sin(t)])
        made = network(t, y)
        require(loss(made, x, y) < 1e-10, f"{name}: does not interpolate")
        bound = trace_lower_bound("bias", x, y)
        require(abs(trace_of_hessian(made, x) - bound) < 1e-6 * bound, f"{name}: is not flattest")
        errors[name] = relative_error(made)
    tent, pair, three, random = errors.values()
    limit = pair_limit()
    require(abs(tent - 0.2) < 2e-3, f"the mended construction's error is {tent}")
    require(abs(pair - float(limit)) < 0.05 * float(limit), f"the pairs' error is {pair}, not {float(limit)}")
    gaps = np.diff(np.append(scattered, scattered[0] + 2 * pi))
    allowed = (
        float(np.sum(gaps**3)) / (3 * 2 * pi) / 4.5 + 6 * SLOPE
    )  # L = 1, E y² = 9/2; at most 6 SLOPE of the circle is slopes
    require(three < 6 * SLOPE and random < allowed, f"width 3n has errors {three} and {random}")
    return Evidence(
        "tested",
        "floating point; the limit exact",
        "n = 201 even points and 61 random ones, y = 2 + sin t",
        "all interpolate at the minimal trace. E (f - y)²/E y²: "
        + "; ".join(f"{name} {error:.2g}" for name, error in errors.items())
        + f". The limit of the second is {limit} = {float(limit):.2e}.",
    )
