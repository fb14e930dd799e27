"""Owns the setting of wen2023: its definitions and its zero-one loss."""

from collections.abc import Iterator

from flatproof.theory.claims import Evidence, claim, definition, require
from flatproof.theory.constructions import cube

definition(
    "wen2023/definition-4.1",
    "Extreme points",
    "S is a set of extreme points when every x in S is a vertex of conv(S).",
)
definition(
    "wen2023/definition-4.2",
    "Memorizing solution",
    "A memorizing solution interpolates and, in every hidden layer, each training input activates exactly one neuron of its own.",
)
definition(
    "wen2023/condition-1",
    "Complete training set",
    """There is S in {-1,1}^(d-2) with rank(span(S - S)) = d-2, and the training set is {x : x[3:d] in S, x[1], x[2] in {-1,1}},
    y = x[1] x[2].""",
)
definition(
    "wen2023/definition-A.2",
    "Logistic loss with label smoothing",
    "l(a,b) = -p log(e^(ba)/(1+e^a)) - (1-p) log(e^((1-b)a)/(1+e^a)), b in {0,1}.",
)


@claim("wen2023/zero-one-loss", printed="The zero-one loss is Pr(y f(x) > 0).")
def zero_one_loss() -> Iterator[Evidence]:
    """Zero-one loss.

    A loss must vanish for f = y; Pr(y f > 0) is the accuracy. (wen2023, Setting)
    """
    right = sum((x[0] * x[1]) * (x[0] * x[1]) > 0 for x in cube(2))
    require(right == 4, "f = y does not have y f > 0 on all four points")
    yield Evidence(
        "proved",
        "definition of an error",
        "the corrected form, |y| = 1",
        "sign(f) differs from y exactly where y f <= 0, f = 0 counted as an error.",
    )
    yield Evidence(
        "refuted",
        "counterexample",
        "P_xor, d = 2, f(x) = x[1] x[2]",
        "y f(x) = 1 > 0 on all four points, so a network without a single error has the printed loss 1.",
        corrected="The zero-one loss is Pr(y f(x) <= 0).",
        target="statement",
        severity="constant or sign",
    )
