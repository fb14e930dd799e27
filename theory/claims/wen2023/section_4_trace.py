"""Owns wen2023/lemma-4.1 and equation-2: the trace of the Hessian at interpolation and the gradient norm of two layers."""

from collections.abc import Iterator

import sympy as sp

from flatproof.theory.claims import Evidence, claim, require


@claim(
    "wen2023/lemma-4.1",
    printed="For MSE and an interpolating differentiable model, Tr Hess L = (2/n) sum_i ||grad f(x_i)||^2.",
)
def lemma_4_1() -> Iterator[Evidence]:
    """Trace of the Hessian at interpolation.

    L = (1/n) sum_i (f_i - y_i)^2 gives d²L/dt² = (2/n) sum_i ((df_i/dt)² + (f_i - y_i) d²f_i/dt²) for every parameter t; at
    f_i = y_i the second term vanishes, and summing over the parameters gives the trace. (wen2023, Lemma 4.1)
    """
    t, y = sp.symbols("t y", real=True)
    f = sp.Function("f")(t)
    second = sp.expand(sp.diff((f - y) ** 2, t, 2))
    claimed = 2 * sp.diff(f, t) ** 2 + 2 * (f - y) * sp.diff(f, t, 2)
    require(sp.simplify(second - claimed) == 0, "d²(f-y)²/dt² is not 2 f'² + 2 (f-y) f''")
    require(sp.simplify(claimed.subs(y, f) - 2 * sp.diff(f, t) ** 2) == 0, "the residual term does not vanish at interpolation")
    yield Evidence(
        "proved",
        "symbolic",
        "any twice differentiable f, any parameter t, any y",
        "d²(f-y)²/dt² = 2 f'² + 2 (f-y) f'' = 2 f'² where f = y; the trace sums it over parameters and averages over samples.",
    )


@claim(
    "wen2023/equation-2",
    printed="||grad f(x_i)||^2 = ||W2 * 1[W1'x'_i > 0]||^2 ||x'_i||^2 + ||relu(W1'x'_i)||^2 (two layers, bias folded in).",
)
def equation_2() -> Iterator[Evidence]:
    """Gradient norm of a two-layer ReLU network.

    f = sum_j a_j relu(z_j), z_j = w_j . x'. For one coordinate, z = w xi + s with s the rest of the pre-activation. Off the kink
    df/dw = a A xi and df/da = relu(z); squares summed over coordinates and neurons give the identity. (wen2023, Equation 2)
    """
    a, w, xi, s = sp.symbols("a w xi s", real=True)
    for active, relu in ((1, w * xi + s), (0, sp.Integer(0))):
        require(sp.diff(a * relu, w) == a * active * xi, f"df/dw is not a A xi for A = {active}")
        require(sp.diff(a * relu, a) == relu, f"df/da is not relu(z) for A = {active}")
    yield Evidence(
        "proved",
        "symbolic, by the two cases of each neuron",
        "all widths, dimensions and parameters with no pre-activation at 0",
        "df/dw_jk = a_j A_j x'_k and df/da_j = relu(z_j); the identity sums the squares over k and j.",
    )
