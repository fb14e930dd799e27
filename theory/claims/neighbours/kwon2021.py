"""Owns a statement of Kwon et al. 2021: adaptive sharpness does not see rescalings that leave the loss as it is.

J. Kwon, J. Kim, H. Park, I. K. Choi: ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural
Networks, ICML 2021, arXiv 2102.11600. Adaptive sharpness is max L(w + delta) - L(w) over ||T_w^-1 delta|| <= rho, T_w =
diag|w|, where delta_p = 0 if w_p = 0.
"""

from collections.abc import Iterator
from fractions import Fraction

import sympy as sp

from flatproof.theory.claims import Evidence, claim, require
from flatproof.theory.claims.neighbours.keskar2017 import reached


@claim(
    "kwon2021/adaptive-sharpness",
    printed="We introduce the concept of adaptive sharpness which is scale-invariant.",
    words="quoted from the abstract",
)
def adaptive_sharpness() -> Iterator[Evidence]:
    """Adaptive sharpness under rescaling of single weights.

    With A diagonal, no entry 0, and L(A v) = L(v) for all v, delta -> A delta maps one region onto the other. own/diagonal-6
    has it for every definition of a diagonal network.
    """
    factor, weight, delta = sp.symbols("a w delta", nonzero=True, real=True)
    ratio = sp.Abs(factor * delta) / sp.Abs(factor * weight)
    require(sp.simplify(ratio - sp.Abs(delta) / sp.Abs(weight)) == 0, "the region is another")
    yield Evidence(
        "proved",
        "symbolic, one weight",
        "T_w = diag|w|; every norm that sees sizes alone, rho, L and diagonal A with L(A v) = L(v) for all v",
        "|T_(Aw)^-1 A delta| = |T_w^-1 delta| entry by entry, and L(A w + A delta) = L(w + delta).",
    )
    eps = Fraction(1, 2)
    values = [reached((Fraction(a), Fraction(0)), 1 / Fraction(a), eps) for a in (1, 2)]
    require(values[0] != values[1], "|w| + 1 is invariant")
    yield Evidence(
        "certified",
        "exact rationals",
        "one neuron, x = y = 1, theta = (1, 1) and (2, 1/2), T_w = diag(|w| + 1), rho = 1/2, the maximum norm",
        f"a constant beside |w|, as implementations add, breaks it: maxima {values[0] / 100} and {values[1] / 100} of the loss.",
    )
