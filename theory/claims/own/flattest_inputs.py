"""Owns own/flattest-7 and flattest-8: flattest networks under another loss, and on inputs under a linear map.

h are a neuron's activations at the samples, D those where they are above 0, a its second layer, T(X) the smallest trace.
"""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import Evidence, corrected, own_claim, require


@own_claim(
    "flattest-7",
    """Labels ±1, the logistic loss with smoothing p, t = ln((1 - p)/p), two layers (no bias, bias, Sim-BN): all weights times sqrt(t) take
    the networks that interpolate to those of a perfect fit, and the trace of the mean squared error to that of the logistic loss by the
    factor t p (1 - p)/2. So the flattest of one loss are those of the other, and predict the same signs everywhere. Of three layers: all
    weights times t^(1/3), factor t^(4/3) p (1 - p)/2. Not of Sim-LN, whose outputs the first layer does not scale.""",
    depends_on=(corrected("wen2023/theorem-A.2"), corrected("wen2023/lemma-A.13"), "wen2023/lemma-4.1"),
)
def flattest_7() -> Iterator[Evidence]:
    """One set of flattest networks for two losses.

    A perfect fit is f(x_i) = t y_i; its trace is p (1 - p) the mean of ||grad f||², for the mean squared error it is 2.
    """
    a, b, c, w, v, t, p = sp.symbols("a b c w v t p", positive=True)
    x = sp.symbols("x1:5", positive=True)
    first, second = w * x[0] + v * x[1], w * x[2] + v * x[3]  # what a neuron sees of two samples
    for f, names, degree in (
        (a * first, (a, w, v), 2),  # one active path of two layers; a bias is a v of x2 = 1
        (a * c * first / sp.sqrt((first**2 + second**2) / 2), (a, c, w, v), 2),  # Sim-BN with gamma = c
        (a * b * first, (a, b, w, v), 3),  # one of three layers
    ):
        up = {name: t ** sp.Rational(1, degree) * name for name in names}
        require(sp.simplify(f.subs(up, simultaneous=True) - t * f) == 0, "the output is scaled by t")
        for name in names:
            slope = sp.diff(f, name)
            power = sp.Rational(degree - 1, degree)
            require(sp.simplify(slope.subs(up, simultaneous=True) - t**power * slope) == 0, "and its gradient alike")
    target = sp.log((1 - p) / p)
    require(sp.simplify(1 / (1 + sp.exp(-target)) - (1 - p)) == 0, "the smoothed loss of label 1 is least at t")
    require(sp.simplify(sp.exp(-target) / (1 + sp.exp(-target)) ** 2 - p * (1 - p)) == 0, "its curvature there")
    yield Evidence(
        "proved",
        "symbolic, one path; homogeneity",
        "every width, training set with labels ±1 and 0 < p < 1/2; infima where they are not attained",
        "f is homogeneous of degree 2 in (W1, b1, W2), and in (W1, gamma, W2) with degrees 0, 1, 1 and a gradient in W1 of degree -1: "
        "with all weights times sqrt(t) every ||grad f(x_i)||² is multiplied by t. Three layers with a bias in the first: degree 3, "
        "gradients of degree 2. The map is one to one and leaves patterns and kinks where they are",
    )


@own_claim(
    "flattest-8",
    """Two layers without bias, A invertible, inputs Ax: f(x) -> f(A⁻¹x) takes the networks that interpolate on X to those on XA', with
    all activations. Least over balances the trace of a function is (4/n) sum_j |a_j| |h_j| (sum over D_j of |A x_i|²)^(1/2): a linear map
    changes the lengths of inputs and nothing else. So if m <= |A x_i| / |x_i| <= M at all samples, m T(X) <= T(XA') <= M T(X), and where
    one ratio c is common to all samples T(XA') = c T(X), with the same flattest functions. Whitening, A = (X'X/n)^(-1/2), makes the
    squared lengths n times the leverages: it leaves the flattest functions alone if |x_i|² is proportional to these.""",
    depends_on=("wen2023/equation-2",),
)
def flattest_8() -> Iterator[Evidence]:
    """What a linear map of the inputs does.

    A neuron's part of the trace is (2/n) (a² sum_D |x_i|² + |h|²), by equation (2).
    """
    a, h, lengths, k = sp.symbols("a h S k", positive=True)
    part = (a / k) ** 2 * lengths + (k * h) ** 2  # k: the balance between the layers
    best = sp.sqrt(a * sp.sqrt(lengths) / h)
    require(sp.simplify(sp.diff(part, k).subs(k, best)) == 0, "the best balance")
    require(sp.simplify(part.subs(k, best) - 2 * a * h * sp.sqrt(lengths)) == 0, "a neuron's cost")
    gram = sp.Matrix(2, 2, sp.symbols("g11 g12 g12 g22", positive=True))
    point = sp.Matrix(sp.symbols("u v", real=True))
    n = sp.Symbol("n", positive=True)
    # |A x|² = x' A'A x, and A'A = (X'X/n)^(-1) whatever root A is
    require(sp.simplify((point.T * (gram / n).inv() * point - n * point.T * gram.inv() * point)[0]) == 0, "leverages")
    yield Evidence(
        "proved",
        "symbolic, one neuron; a change of variables",
        "every width, training set and invertible A; infima where they are not attained",
        "Weights w become A'⁻¹ w: w . x is unchanged at every x, so are patterns, activations, outputs and kinks. The cost of a neuron "
        "is (4/n) |a| |h| (sum_D |x_i|²)^(1/2), where sums of squares over D change by a factor in [m², M²]; sums over neurons of "
        "one function by one in [m, M]. If all ratios are c, all costs change by c. A enters by A'A alone, which is "
        "rational for whitening: certificates of whitened inputs are exact",
    )
