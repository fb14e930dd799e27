"""Owns wen2023's statements on simplified LayerNorm: lemma-A.12, theorem-5.1, propositions 5.1 and 5.2.

With t_i = ||x'_i|| |y_i| / epsilon, a sample's least squared gradient norm is min(1, 2 t_i).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.claims.search import try_to_break
from flatproof.theory.claims.wen2023.section_4 import REPEATED, three_neurons, two_neurons
from flatproof.theory.constructions import generalizing_network, memorizing_network
from flatproof.theory.networks import Network, forward, trace_lower_bound, trace_of_hessian

t, eps, norm, label = sp.symbols("t epsilon N y", positive=True)


def memorized(height: sp.Expr, output_weight: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """f and ||grad f||² of one active neuron of Sim-LN below the floor: h / eps scales, W1 sees a / eps."""
    return output_weight * height / eps, (height / eps) ** 2 + (output_weight * norm / eps) ** 2


@claim(
    "wen2023/lemma-A.12",
    printed="Sim-LN: inf Tr Hess L >= (2/n) sum_i min(1, (2/eps) sqrt(||x_i||²+1) |y_i|).",
    depends_on=("wen2023/lemma-4.1",),
)
def lemma_a12() -> Iterator[Evidence]:
    """Lower bound for simplified LayerNorm.

    ||h|| > eps: df/da = h/||h|| is a unit vector, so ||grad f||² >= 1. ||h|| < eps: f = a.h/eps and ||grad f||² =
    ||h||²/eps² + ||a 1[z>0]||² ||x'||²/eps² >= (2/eps) ||x'|| |y|, by (u - v)² >= 0 and Cauchy-Schwarz. (wen2023, Lemma A.12)
    """
    h, a = sp.symbols("h a", nonnegative=True)
    excess = (h / eps) ** 2 + (a * norm / eps) ** 2 - (2 / eps) * norm * (a * h / eps)
    require(sp.simplify(excess - ((h - a * norm) / eps) ** 2) == 0, "the gap is not a square")
    yield Evidence(
        "proved",
        "symbolic, by cases on ||h|| against eps; cited: Cauchy-Schwarz",
        "all widths, inputs, labels and eps > 0, at differentiable points",
        "below the floor the gap is ((||h|| - ||a|| ||x'||)/eps)² with ||a|| ||h|| >= eps |y|; above it the norm is at least 1",
    )
    x = np.array([[0.5, -1.0]])

    def gap(v: NDArray[np.float64]) -> float:
        network = Network(v[:6].reshape(3, 2), v[6:9], v[9:], architecture="sim-ln", epsilon=0.7)
        bound = trace_lower_bound("sim-ln", x, forward(network, x), 0.7)
        return (trace_of_hessian(network, x) - bound) / (1 + bound)

    yield try_to_break("lemma-A.12's bound", gap, 12, "d = 2, width 3, eps = 0.7")


@claim(
    "wen2023/theorem-5.1",
    printed="""For extreme points and sufficiently small eps, a width-n memorizing Sim-LN model with minimal sharpness exists. W1
    = [u_i w_i/delta],
    b1 = [u_i(-w_i.x_i + delta)/delta], W2 = [r_i y_i]; (1) r_i = 1, u_i = 2 eps when ||x'_i|| |y_i| > eps; (2) r_i =
    (eps/(||x'_i|| |y_i|))^(1/2), u_i = eps (||x'_i|| |y_i|/eps)^(1/2) when 0 < ||x'_i|| |y_i| <= eps; (3) r_i = 0, u_i = 2 eps when
    y_i = 0.""",
    depends_on=("wen2023/lemma-A.12", "wen2023/definition-4.1", "wen2023/definition-4.2", "wen2023/lemma-4.1"),
    reading="distinct samples",
)
def theorem_5_1() -> Iterator[Evidence]:
    """A memorizing flattest network with simplified LayerNorm.

    Case 1 has ||grad f||² = 1, case 2 has 2t, so the cases meet at t = 1/2, not at t = 1. (wen2023, Theorem 5.1)
    """
    f, square = memorized(eps * sp.sqrt(t), label / sp.sqrt(t))
    at = {norm: t * eps / label}
    require(sp.simplify(f - label) == 0, "case 2 does not interpolate")
    require(sp.simplify(square.subs(at) - 2 * t) == 0, "case 2's squared gradient norm is not 2t")
    x = np.zeros((1, 1))
    case_2 = Network(np.zeros((1, 1)), np.array([0.75 / np.sqrt(0.75)]), np.array([np.sqrt(0.75)]), None, "sim-ln", 1.0)
    case_1 = Network(np.zeros((1, 1)), np.array([0.75]), np.array([2.0]), None, "sim-ln", 1.0)
    for network in (case_1, case_2):
        require(abs(forward(network, x)[0] - 0.75) < 1e-15, "the counterexample does not interpolate")
    require(abs(trace_of_hessian(case_2, x) - 3) < 1e-12, "case 2's trace is not 3")
    require(abs(trace_of_hessian(case_1, x) - 2) < 1e-12, "case 1's trace is not 2")
    yield Evidence(
        "refuted",
        "counterexample, symbolic and by theory.trace_of_hessian",
        "n = 1, x = 0 (||x'|| = 1), y = 3/4 eps, any eps",
        "||x'|| |y| = 3/4 eps <= eps, so case (2) applies: trace 2 (2 · 3/4) = 3, while case (1)'s network interpolates with trace 2. The "
        "label depends on eps: for given nonzero labels and eps small enough case (1) alone is used, and the construction is flattest.",
        corrected="Case (1) when ||x'_i|| |y_i| > eps/2, case (2) when 0 < ||x'_i|| |y_i| <= eps/2.",
        target="construction",
        severity="constant or sign",
    )
    yield REPEATED
    yield Evidence(
        "refuted",
        "counterexample",
        "n = 1, x = 0, y = 0, any eps",
        "Case (3) activates its neuron with h = 2 eps, so ||df/dW2|| = 1 and the trace is 2; the zero network has trace 0. A memorizing "
        "network must activate a neuron, and h < eps gives 2 h²/eps² > 0: the minimum 0 is not attained by any.",
        corrected="No label may be zero (a sample with label 0 must activate no neuron).",
        target="statement",
        severity="boundary",
    )
    require(sp.solve(sp.Eq(2 * t, 1), t) == [sp.Rational(1, 2)], "the cases do not meet at t = 1/2")
    yield Evidence(
        "proved",
        "symbolic",
        "the corrected statement: nonzero labels, every eps > 0",
        "Above the floor (h = 2 eps, a = y) the W1 gradient a - f h/||h|| vanishes and ||grad f||² = 1; below it 2t. Both equal "
        "lemma-A.12's min(1, 2t) exactly when the cases meet at t = 1/2.",
    )
    rng = np.random.default_rng(0)
    for trial in range(10):
        points = rng.standard_normal((5, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        y = rng.choice([-1, 1], 5) * 10.0 ** rng.uniform(-5, 1, 5)
        network = memorizing_network(points, y, "sim-ln", epsilon=1e-2)
        bound = trace_lower_bound("sim-ln", points, y, 1e-2)
        require(np.allclose(forward(network, points), y, rtol=1e-9), f"trial {trial}: does not interpolate")
        require(abs(trace_of_hessian(network, points) - bound) <= 1e-9 * bound, f"trial {trial}: trace is not the bound")
    yield Evidence(
        "tested",
        "floating point, corrected construction",
        "10 random sets of 5 points in R^3, |y| from 1e-5 to 10, eps = 0.01",
        "interpolates, and the trace equals lemma-A.12's bound to 1e-9 relative",
    )


def _minimal_sharpness(scope: str) -> Evidence:
    d = sp.symbols("d", positive=True)
    ratio = sp.symbols("q", positive=True)  # eps = sqrt(d+1)/q, q > 1
    value = sp.simplify((2 / (sp.sqrt(d + 1) / ratio)) * sp.sqrt(d + 1))
    require(value == 2 * ratio, "the bound's argument is not 2 sqrt(d+1)/eps")
    return Evidence(
        "proved",
        "symbolic",
        f"{scope}; every d >= 2 and eps < sqrt(d+1)",
        "lemma-A.12 gives (2/n) sum_i min(1, 2 sqrt(d+1)/eps) = 2; the network has one active neuron a sample, h = 2 eps > eps and "
        "a = y, so f = y, the W1 gradient a - f vanishes and ||grad f||² = 1.",
    )


@claim(
    "wen2023/proposition-5.1",
    printed="""On P_xor, for every number of samples n and sufficiently small eps (eps < sqrt(d+1)), the minimal Sim-LN sharpness
    is 2, attained by a memorizing
    model of width n (W1 = 2 eps x_i/delta, b1 = 2 eps (-d+delta)/delta, W2 = y_i).""",
    depends_on=("wen2023/lemma-A.12", "wen2023/lemma-4.1", "wen2023/definition-4.2"),
    reading="distinct samples",
)
def proposition_5_1() -> Iterator[Evidence]:
    """Simplified LayerNorm memorizes with sharpness 2.

    Neuron i has pre-activation 2 eps (delta - 2k)/delta at a point differing in k coordinates: 2 eps at x_i, not positive elsewhere for
    delta <= 2. (wen2023, Proposition 5.1)
    """
    d, delta, k = sp.symbols("d delta k", positive=True)
    z = 2 * eps * (d - 2 * k) / delta + 2 * eps * (-d + delta) / delta
    require(sp.simplify(z - 2 * eps * (delta - 2 * k) / delta) == 0, "the pre-activation is not 2 eps (delta - 2k)/delta")
    yield _minimal_sharpness("every n distinct samples")
    yield REPEATED
    yield _enumerated(memorize=True)


@claim(
    "wen2023/proposition-5.2",
    printed="""On P_xor, for every number of samples n and sufficiently small eps (eps < sqrt(d+1)), a perfectly generalizing
    model of width n
    (W1 = 2 eps [(-1)^i,(-1)^j,0,...], b1 = -2 eps, W2 = (-1)^(i+j)) attains the minimal Sim-LN sharpness 2.""",
    depends_on=("wen2023/lemma-A.12", "wen2023/lemma-4.1"),
)
def proposition_5_2() -> Iterator[Evidence]:
    """Simplified LayerNorm generalizes with sharpness 2.

    Pre-activations are 2 eps (±1 ±1 - 1): 2 eps for the neuron of the point's own head, at most -2 eps for the other three. The
    normalization does not change the sign of sum_j W2_j h_j, so two neurons cannot classify XOR here either.
    (wen2023, Proposition 5.2)
    """
    for head in product((1, -1), repeat=2):
        z = sorted(i * head[0] + j * head[1] - 1 for i, j in product((1, -1), repeat=2))
        require(z == [-3, -1, -1, 1], f"head {head}: not exactly one active neuron")
    yield two_neurons()
    three_neurons()
    yield _minimal_sharpness(
        "the corrected statement, every n >= 3 (n = 3: proposition-4.2's three neurons, normalized, keep its signs)"
    )
    yield _enumerated(memorize=False)


def _enumerated(memorize: bool) -> Evidence:
    errors = {}
    for d in range(2, 12):
        cube = np.array(list(product((1.0, -1.0), repeat=d)))
        y = cube[:, 0] * cube[:, 1]
        train = np.arange(0, len(cube), 3)
        if memorize:
            w1, b1, w2 = 2 * 0.5 * cube[train], np.full(len(train), 2 * 0.5 * (-d + 1)), y[train]
            network = Network(w1, w2, b1, None, "sim-ln", 0.5)
        else:
            network = generalizing_network(d, "sim-ln", 0.5)
        require(trace_of_hessian(network, cube[train], y[train]) == 2, f"d = {d}: the trace is not exactly 2")
        errors[d] = int(np.sum(forward(network, cube) * y <= 0))
        require(errors[d] == (len(cube) - len(train) if memorize else 0), f"d = {d}: {errors[d]} errors")
    outcome = "every unseen point is an error" if memorize else "no error"
    return Evidence(
        "certified", "enumeration of the cube (all numbers are dyadic, so exact)", "d = 2..11, eps = 1/2", f"trace 2; {outcome}"
    )
