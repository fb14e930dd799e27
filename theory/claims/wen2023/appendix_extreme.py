"""Owns wen2023/proposition-A.1 (equation 16): a flattest network with bias that sees only the relevant coordinates."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import sympy as sp

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.networks import Network, loss, trace_lower_bound, trace_of_hessian


@claim(
    "wen2023/proposition-A.1",
    printed="""If the label depends on the first s coordinates, these take values in a set of extreme points, and ||x|| = R almost surely, a
    flattest bias model, wide enough for that set, with zero generalization error exists. Equation (16): W1_j = r[v_j, 0,
    ...]/eps, b1_j = r(-w_j.v_j + eps)/eps,
    W2_j = y_j/r, with r² = |y_j|(R²+1).""",
    depends_on=("wen2023/definition-4.1", "wen2023/lemma-4.1", "wen2023/equation-2", "wen2023/equation-3"),
)
def proposition_a1() -> Iterator[Evidence]:
    """A flattest network that sees only the relevant coordinates.

    A point v_j is separated from the others by w_j (it is a vertex), so neuron j is active at v_j alone. It must output y_j on
    v_j with ||grad f||² = (y_j²/r²)(R²+1) + r², least at r² = |y_j| sqrt(R²+1). (wen2023, Proposition A.1)
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
        target="construction",
        severity="constant or sign",
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
        target="construction",
        severity="constant or sign",
    )
    s, norm, label = sp.symbols("s N y", positive=True)  # s = r², N = sqrt(R²+1)
    square_norm = label**2 * norm**2 / s + s
    require(sp.solve(sp.diff(square_norm, s), s) == [label * norm], "the minimum is not at r² = |y| N")
    require(sp.simplify(square_norm.subs(s, label * norm) - 2 * label * norm) == 0, "the minimum is not 2 |y| N")
    yield Evidence(
        "proved",
        "symbolic; cited: separation of a vertex",
        "the statement, by the corrected construction: every label, zero included, and finitely many values v_j, one neuron each",
        "exactly one neuron is active at each x of the population, f = y and ||grad f||² = 2 |y| sqrt(R²+1), equation-3's bound; r = 0 for "
        "a label 0, where no neuron is active, f = 0 and ||grad f||² = 0.",
    )
