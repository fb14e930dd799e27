"""Owns wen2023's further flattest networks with bias: proposition-A.1 (equation 16) and proposition-A.2 (equation 17)."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import sympy as sp

from theory.architectures import Network, loss, trace_lower_bound, trace_of_hessian
from theory.claims import Evidence, claim, require


@claim(
    "wen2023/proposition-A.1",
    printed="""If the label depends on the first s coordinates, these take values in a set of extreme points, and ||x|| = R almost surely, a
    flattest bias model with zero generalization error exists. Equation (16): W1_j = r[v_j, 0, ...]/eps, b1_j = r(-w_j.v_j + eps)/eps,
    W2_j = y_j/r, with r² = |y_j|(R²+1).""",
    uses=("wen2023/definition-4.1", "wen2023/equation-4"),
)
def proposition_a1() -> Iterator[Evidence]:
    """A flattest network that sees only the relevant coordinates.

    Neuron j must output y_j on v_j with ||grad f||² = (y_j²/r²)(R²+1) + r², least at r² = |y_j| sqrt(R²+1). (wen2023, Proposition A.1)
    """
    cube = np.array(list(product((1.0, -1.0), repeat=3)))
    y = cube[:, 0]

    def network(square: float) -> Network:
        r, v = np.sqrt(square), np.array([[1.0, 0, 0], [-1.0, 0, 0]])
        return Network(r * v, np.array([1.0, -1.0]) / r, np.zeros(2), architecture="bias")

    bound = trace_lower_bound("bias", cube, y)
    require(loss(network(4), cube, y) == 0 == loss(network(2), cube, y), "the networks do not interpolate")
    require(
        (trace_of_hessian(network(4), cube), trace_of_hessian(network(2), cube), bound) == (10, 8, 8), "traces 10, 8, bound 8"
    )
    yield Evidence(
        "refuted",
        "counterexample (all numbers are dyadic, so exact)",
        "d = 3, the cube (R² = 3), s = 1, y = x[1], v = ±1, w_j = v_j, eps = 1",
        "Equation (16) gives r² = 4 and trace 2 (1 + 4) = 10; with r² = 2 the trace is 8 = 4 sqrt(R²+1), the minimum.",
        corrected="r² = |y_j| sqrt(R²+1).",
    )
    w, v, eps, r = sp.Integer(-1), sp.Integer(1), sp.Symbol("eps", positive=True), sp.Symbol("r", positive=True)
    printed = sp.simplify(r * v * v / eps + r * (-w * v + eps) / eps)
    require(sp.simplify(printed - r * (2 + eps) / eps) == 0, "the printed activation is not r (2 + eps)/eps")
    yield Evidence(
        "refuted",
        "counterexample, symbolic",
        "s = 1, v = 1 and 3: the separating direction of v = 1 is w = -1",
        "With W1 = r v_j/eps and b1 = r(-w_j v_j + eps)/eps the activation at v_j = 1 is r (2 + eps)/eps, not r, so f(v_j) != y_j.",
        corrected="W1_j = r[w_j, 0, ...]/eps with the separating direction w_j.",
    )
    s, norm, label = sp.symbols("s N y", positive=True)  # s = r², N = sqrt(R²+1)
    square_norm = label**2 * norm**2 / s + s
    require(sp.solve(sp.diff(square_norm, s), s) == [label * norm], "the minimum is not at r² = |y| N")
    require(sp.simplify(square_norm.subs(s, label * norm) - 2 * label * norm) == 0, "the minimum is not 2 |y| N")
    yield Evidence(
        "proved",
        "symbolic; cited: separation of a vertex",
        "the corrected statement, nonzero labels, finitely many values v_j",
        "exactly one neuron is active at each x of the population, f = y and ||grad f||² = 2 |y| sqrt(R²+1), equation-3's bound",
    )


@claim(
    "wen2023/proposition-A.2",
    printed="""x[1:2] uniform on the unit circle, label an L-Lipschitz function of it, ||x|| = R: for n = Omega(log(1/delta)/delta), with
    probability 1-delta a flattest width-n bias model has error O(delta²). Equation (17): z_j = midpoint of the arc v_(j-1) v_j; w_j =
    unit vector perpendicular to z_j z_(j+1); W1_j = r[w_j, 0, ...]/(w_j.z_j), b1_j = r(-w_j.v_j + w_j.z_j)/(w_j.z_j), W2_j = y_j/r,
    r² = |y_j| sqrt(R²+1).""",
    uses=("wen2023/equation-4",),
)
def proposition_a2() -> Iterator[Evidence]:
    """A flattest network on the circle.

    Neuron j should be active on the arc (z_j, z_(j+1)) alone, that is where w_j . x > w_j . z_j. The printed one is active where
    w_j . x > w_j . (v_j - z_j), nearly a half plane. (wen2023, Proposition A.2 and Equation 17)
    """
    half, root = sp.Rational(1, 2), sp.sqrt(3) / 2  # hexagon: w.v_j = 1, w.z_j = cos 30°, w.v_(j+1) = cos 60°
    own = (1 - 1 + root) / root
    neighbour = (half - 1 + root) / root
    require(own == 1 and bool(neighbour > 0), "the printed neuron does not reach its neighbour")
    require(sp.simplify(neighbour - (1 - 1 / sp.sqrt(3))) == 0, "the neighbour's activation")
    yield Evidence(
        "refuted",
        "counterexample, exact",
        "d = 2, R = 1, the six points of a regular hexagon, y = 1",
        "Neuron j is active at its neighbours, with (1/2 - 1 + cos 30°)/cos 30° = 1 - 1/sqrt 3 of its value at v_j: f(v_j) = 1 + 2 (1 - "
        "1/sqrt 3) = 1.845 instead of 1: equation (17) does not interpolate. (The square's does; denser regular polygons' do not.)",
        corrected="W1_j = r[w_j, 0, ...]/(w_j.v_j - w_j.z_j), b1_j = -r w_j.z_j/(w_j.v_j - w_j.z_j) interpolates and is flattest.",
    )
    angle = np.sort(np.random.default_rng(0).uniform(0, 2 * np.pi, 40))
    v = np.column_stack([np.cos(angle), np.sin(angle)])
    y = 2 + np.sin(angle)
    before, after = np.roll(angle, 1), np.roll(angle, -1)
    before[0] -= 2 * np.pi
    after[-1] += 2 * np.pi
    start, stop = (angle + before) / 2, (angle + after) / 2
    middle, edge = (start + stop) / 2, np.cos((stop - start) / 2)
    w = np.column_stack([np.cos(middle), np.sin(middle)])
    r = np.sqrt(np.abs(y) * np.sqrt(2))
    gap = np.sum(w * v, axis=1) - edge
    network = Network(r[:, None] * w / gap[:, None], y / r, -r * edge / gap, architecture="bias")
    require(loss(network, v, y) < 1e-12, "the corrected construction does not interpolate")
    bound = trace_lower_bound("bias", v, y)
    require(abs(trace_of_hessian(network, v) - bound) < 1e-6 * bound, "the corrected construction is not flattest")
    yield Evidence(
        "tested",
        "floating point",
        "40 random points, y = 2 + sin",
        "the corrected construction interpolates at the minimal trace",
    )
    theta, phi = sp.symbols("theta phi", positive=True)
    tent = (sp.cos(theta) - sp.cos(phi)) / (1 - sp.cos(phi))  # f/y on an arc of half-width phi with v_j in its middle
    error = sp.integrate(sp.expand((tent - 1) ** 2), (theta, 0, phi)) / phi
    require(sp.limit(error, phi, 0) == sp.Rational(1, 5), "the error does not tend to 1/5")
    yield Evidence(
        "refuted",
        "symbolic limit",
        "the corrected construction on equally spaced points, y = 1",
        "On each arc f/y = (cos t - cos phi)/(1 - cos phi) falls from 1 to 0: E (f - y)² -> 1/5 as the spacing goes to 0, not O(delta²), "
        "however many samples. Whether another flattest width-n network does better is open for general labels.",
        corrected="For this construction the error tends to (1/5) E y² with even spacing, not to 0.",
    )
