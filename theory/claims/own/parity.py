"""Owns own/parity-1 to parity-3: what all flattest networks do on parity data, without bias and with simplified BatchNorm.

Labels are 1 or -1, z_ij = w_j . x'_i, h = relu(z), a the second layer, s_j the sign of a_j; theory/check_parity.py has the proof behind
parity-2 in full, and checks its files.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import sympy as sp

from flatproof.theory.check_parity import Invalid, check
from flatproof.theory.claims import Evidence, corrected, own_claim, require
from flatproof.theory.flatness.all_flattest import decide_parity


@own_claim(
    "parity-1",
    """A two-layer ReLU network, no-bias or bias, relu'(0) = 0, that fits labels 1 and -1 has trace minus the bound of (3) equal to (2/n)
    sum_i sum_{j active at i} (|a_j| ||x'_i|| - s_j y_i h_ij)². So one attains the bound exactly if each of its neurons with a_j ≠ 0
    is active on samples of the label s_j alone, with h_ij = |a_j| ||x'_i|| (others are active nowhere). Where all ||x'_i|| are one
    L, its neurons are a_j L times ones that are 1 on a set D_j of samples of one label and at most 0 on all others, and the weights
    a_j² L of the sets that hold a sample sum to 1.""",
    depends_on=("wen2023/lemma-4.1", "wen2023/equation-2", "wen2023/equation-3"),
)
def flattest_4() -> Iterator[Evidence]:
    """The excess trace is a sum of squares.

    A neuron's share of ||grad f(x_i)||² is a² L² + h², L = ||x'_i||, and sum_j s_j |a_j| h_ij = y_i.
    """
    a, h, length = sp.symbols("a h L", positive=True)
    for agrees in (1, -1):
        require(
            sp.expand(a**2 * length**2 + h**2 - (a * length - agrees * h) ** 2 - 2 * length * agrees * a * h) == 0,
            "a neuron's share is not its square and 2 L |a| s y h",
        )
    require(sp.solve(sp.Eq(a * length + h, 0), h) == [], "a neuron of the other sign could attain it")
    weight, value = a**2 * length, h / (a * length)
    require(sp.simplify(weight * value - a * h) == 0, "a neuron's output is not its weight times its value")
    yield Evidence(
        "proved",
        "symbolic, one neuron; summed, 2 L y_i f(x_i) = 2 L is the sample's bound",
        "every width, d, n and training set with labels 1 and -1",
        "the squares vanish exactly where s_j = y_i and h = |a| L; with value u = h/(|a| L), 1 where active, and weight m = a² L the "
        "output is sum s m u",
    )


@own_claim(
    "parity-2",
    """Parity data without bias, relu'(0) = 0. Suppose that every quarter, the samples with one (x[1], x[2]), has a sample i0 such that
    each set D of samples of its label with i0 in D on which some w.x_i = 1, and w.x_i <= 0 at all others, is the quarter itself;
    that the samples positively span R^d; and that for each quarter the span of its samples and the cone of the other label's add up
    to R^d. Then every flattest network of width 4 or more is x[1] x[2] on the cube. Finitely many combinations of samples prove all
    three, and then every network within an explicit excess of the flattest trace 4 sqrt(d), moved off kinks or not, has the sign of
    x[1] x[2] on the cube.""",
    depends_on=("own/parity-1",),
)
def flattest_5() -> Iterator[Evidence]:
    """When all flattest networks without bias generalize, decided on the training set.

    By parity-1 the weights of the sets that hold i0 sum to 1: all of it is the quarter's. So no other set meets a quarter. A neuron
    that is 1 on a quarter and at most 0 on the other label is h.x/2: their difference v has v.x_i = 0 on the quarter and <= 0 on the
    other label, so v.e <= 0 for all e.
    """
    r, beyond = sp.symbols("r u", positive=True)
    root = r + beyond  # sqrt(e) of a neuron with e > r²
    gap = sp.Poly(sp.expand(root**2 * (1 + r) - r**2 * (1 + root)), r, beyond)
    require(min(gap.coeffs()) > 0, "1 + sqrt(e) exceeds e (1/r² + 1/r)")
    yield Evidence(
        "proved",
        "exact argument, told in theory/check_parity.py; symbolic: what neurons far from 1 can add; cited: Cauchy-Schwarz",
        "every width of at least 4, d, n and training set for which the combinations exist",
        "within the excess, neurons are near one that is 1 on a quarter, or add little at every sample and so on the cube",
    )
    proved = refused = 0
    for seed in range(4):
        x = np.random.default_rng([seed, 5]).choice([-1.0, 1.0], (22, 6))
        found = decide_parity(x, x[:, 0] * x[:, 1], "no-bias")
        if found is None:
            refused += 1
            continue
        require(check(found).right == 2**6, "a proof is not of the whole cube")
        proved += 1
        wider = found | {"within": str(1000 * Fraction(found["within"]))}
        try:
            check(wider)
        except Invalid:
            continue
        require(False, "a proof holds at a thousandfold excess")
    require(proved > 0, "no set is proved")
    yield Evidence(
        "certified",
        "whole numbers, theory/check_parity.py",
        f"d = 6, n = 22, {proved + refused} random training sets",
        f"all flattest networks generalize, proved for {proved}; for {refused} no combinations were found. The training sets of table 1, "
        "d = 30, n = 100: wen2023/flattest",
    )


@own_claim(
    "parity-3",
    """Simplified BatchNorm, a training set of {-1, 1}^d, n points, labels x[1] x[2]. If for a head h a v in R^(d-2) is larger at the tail
    of one of its samples than at those of its others, then for every kappa > 0 and width from n + 9 on some interpolating network
    within kappa of the infimum of the trace is wrong at every point of the cube with this head and a larger v.x[3:d]; for all heads
    with such a v at once.""",
    depends_on=("wen2023/lemma-4.1", corrected("wen2023/lemma-A.3")),
)
def flattest_6() -> Iterator[Evidence]:
    """Sim-BN is wrong beyond every half-space that one sample bounds, on any training set.

    n + 1 neurons are as flat as any number: y is a convex combination of normalized activations, times +-sum |q_j| (Caratheodory), and the
    first layer's share vanishes as it grows. So the infimum is that of width n + 1, and two neurons a head are added.
    """
    eta, n, c, z, f = sp.symbols("eta n c z f", positive=True)
    s = eta / sp.sqrt(n)
    require(sp.simplify(eta / s - sp.sqrt(n)) == 0, "a neuron that sees one sample is not sqrt(n) there, whatever eta")
    require(sp.simplify((eta / s) * (1 - (eta / s) * (eta / n) / s)) == 0, "its first-layer gradient does not vanish")
    require(sp.simplify(2 * (c + c) - 4 * c) == 0, "a neuron with a² = gamma² = c does not add 4c")
    require(sp.limit(f - c * (z + eta) / s, eta, 0, "+") == -sp.oo, "y f beyond the half-space is bounded below")
    yield Evidence(
        "proved",
        "symbolic; cited: Caratheodory's theorem on convex hulls",
        "every d >= 3, n, training set of the cube and excess kappa > 0",
        "M (h.x[1:2] - 2) + v.(x - x_0)[3:d] + eta and x_0.x - d + eta see x_0 alone and cancel there; off it y f tends to minus "
        "infinity with eta, at an excess of 8 c a head",
    )
    found = decide_parity(*_samples(12, 40), "sim-bn")
    require(found is not None, "no half-space is found")
    verdict = check(found)
    yield Evidence(
        "certified",
        "whole numbers, theory/check_parity.py",
        "d = 12, n = 40, one random training set",
        f"{verdict.wrong} of the 4096 points are wrong at once; the training sets of table 1: wen2023/flattest",
    )


def _samples(d: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng([d, n]).choice([-1.0, 1.0], (n, d))
    return x, x[:, 0] * x[:, 1]
