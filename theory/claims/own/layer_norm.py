"""Owns own/layernorm-1: with simplified LayerNorm every function that fits is as flat as any, in the limit of a large first layer."""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import Evidence, own_claim, require


@own_claim(
    "layernorm-1",
    """Simplified LayerNorm, a network that interpolates with ||h(x_i)|| > epsilon at every sample: with the first layer times s >= 1 it
    still does, f(x) is the same wherever ||h(x)|| >= epsilon, and the trace is 2 + (T - 2)/s², T the trace before. It is always at least
    2, so that of such networks 2 is the infimum for every function that fits: the trace does not choose among functions, and the gap to
    2 is a matter of the size of activations.""",
    depends_on=("wen2023/lemma-4.1",),
)
def layernorm_1() -> Iterator[Evidence]:
    """What the trace sees of a function with LayerNorm.

    f = a . u, u = h / ||h||, so the gradient in a is u, of length 1, and f is of degree 0 in the first layer.
    """
    a, b, w, v, c, x, q, s = sp.symbols("a b w v c x q s", positive=True)
    first, second = w * x + c * q, v * x  # two active neurons of one sample
    norm = sp.sqrt(first**2 + second**2)
    f = (a * first + b * second) / norm
    up = {w: s * w, v: s * v, c: s * c}
    require(sp.simplify(f.subs(up, simultaneous=True) - f) == 0, "the output keeps")
    require(sp.simplify(sp.diff(f, a) ** 2 + sp.diff(f, b) ** 2 - 1) == 0, "the second layer's gradient has length 1")
    for weight in (w, v, c):
        slope = sp.diff(f, weight)
        require(sp.simplify(s * slope.subs(up, simultaneous=True) - slope) == 0, "the first layer's is divided by s")
    t = sp.Symbol("T", positive=True)
    require(
        sp.simplify(2 * (1 + (t / 2 - 1) / s**2) - (2 + (t - 2) / s**2)) == 0, "twice the mean of 1 and the first layer's share"
    )
    yield Evidence(
        "proved",
        "symbolic, two neurons of one sample; homogeneity",
        "every width, bias or none, training set and epsilon > 0, mean squared error",
        "at interpolation the trace is twice the mean of ||grad f(x_i)||²: 1 from a, and the first layer's part, which s divides by s². "
        "Where ||h(x)|| >= epsilon before, it is so after, and h/||h|| is unchanged; patterns and kinks are",
    )
