"""Owns andriushchenko2023/logit-normalization: what normalizing the logits makes of the scale of a network's output."""

from collections.abc import Iterator
from fractions import Fraction

import sympy as sp

from flatproof.theory.claims import RESTATED, Evidence, claim, require

FLOOR = Fraction(1, 10**10)  # of the norm, in the authors' code


@claim(
    "andriushchenko2023/logit-normalization",
    printed="""With logits z replaced by (z - mean z)/||z - mean z||_2 before the loss, where that norm is at least 10^-10, sharpness
    does not change when the last layer is multiplied by a positive number, if the perturbation is scaled by the weights.""",
    depends_on=("lyu2022/hessian",),
    words=RESTATED,
)
def logit_normalization() -> Iterator[Evidence]:
    """Normalized logits and the scale of the last layer.

    The map is that of the authors' code (github.com/tml-epfl/sharpness-vs-generalization, models.py). A perturbation scaled by
    the weights is W (1 + xi) entry by entry, xi in a region that does not depend on W.
    """
    c = sp.Symbol("c", positive=True)
    for classes in (2, 3, 4):
        z = sp.Matrix(sp.symbols(f"z_:{classes}", real=True))
        centred, scaled = (v - sp.ones(classes, 1) * sum(v) / classes for v in (z, c * z))
        require((scaled - c * centred).applyfunc(sp.expand) == sp.zeros(classes, 1), "centring is not linear")
        require(sp.expand(scaled.dot(scaled) - c**2 * centred.dot(centred)) == 0, "the norm is not c times")
    weight, shift = sp.symbols("w xi", real=True)
    require(sp.expand(c * weight * (1 + shift) - c * (weight * (1 + shift))) == 0, "the perturbed weight is not c times")
    yield Evidence(
        "proved",
        "symbolic, 2 to 4 classes: centring is linear, the norm of degree one; one weight",
        "every network whose last layer, bias included, is W -> c W; every loss, norm and rho; average and worst case",
        "logits of c W (1 + xi) are c times those of W (1 + xi), so the same once normalized.",
    )
    small, factor = FLOOR / 10, 100
    below, above = small / FLOOR, 1  # first of the normalized (s, -s), times sqrt(2) where the norm is above the floor
    require(2 * small * small < FLOOR * FLOOR < 2 * (factor * small) ** 2, "the floor lies elsewhere")
    require(2 * below * below != above, "the floor changes nothing")
    yield Evidence(
        "certified",
        "exact rationals",
        "two classes, logits (s, -s) and 100 (s, -s), s = 10^-11",
        "the floor cannot be dropped: 1/10 before and 1/sqrt(2) after.",
    )
    w = sp.symbols("w_1 w_2 w_3", real=True)
    mean = sum(w) / 3
    norm = sp.sqrt(sum((v - mean) ** 2 for v in w))
    loss = -(w[0] - mean) / norm  # the part of cross-entropy that sees the label
    trace = sum(loss.diff(v, 2) for v in w)
    once, twice = (sp.simplify(trace.subs(dict(zip(w, (k, 0, -k), strict=True)))) for k in (1, 2))
    require(once != 0 and sp.simplify(twice - once / 4) == 0, "the trace does not go as 1/c²")
    yield Evidence(
        "certified",
        "exact: the loss differentiated",
        "three classes, one feature, last layer (1, 0, -1) and (2, 0, -2), loss -(first normalized logit)",
        f"a perturbation that is not scaled still sees it: the trace of the Hessian is {once} and {twice}, a fourth (lyu2022/hessian).",
    )
