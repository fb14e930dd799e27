"""Owns second-order expansions of a loss that a linear map of the parameters leaves unchanged.

If L(T theta) = L(theta) for all theta and a fixed invertible T, and L is twice differentiable at one of theta and T theta, it
is so at both,
and with gradient G and Hessian K at T theta,
    L(theta + delta) = L(T theta + T delta) = L(T theta) + G.T delta + delta'T'K T delta / 2 + o(|delta|²).
An expansion of second order is unique, so the gradient at theta is T'G and the Hessian T'K T. Two parameters of a kind stand for all.
"""

import sympy as sp


def expansion(size: int, name: str) -> tuple[sp.Matrix, sp.Matrix]:
    """Gradient and Hessian, (size, 1) and (size, size), with free symbols as entries; the Hessian is symmetric."""
    gradient = sp.Matrix(size, 1, lambda i, _: sp.Symbol(f"{name}_{i}", real=True))
    hessian = sp.Matrix(size, size, lambda i, j: sp.Symbol(f"{name}_{min(i, j)}{max(i, j)}", real=True))
    return gradient, hessian


def before(gradient: sp.Matrix, hessian: sp.Matrix, map_: sp.Matrix) -> tuple[sp.Matrix, sp.Matrix]:
    """Gradient and Hessian at theta of a loss that has the given ones at T theta; read off the expansion, coefficient by coefficient."""
    size = len(gradient)
    delta = sp.Matrix(sp.symbols(f"delta_:{size}", real=True))
    moved = map_ * delta
    series = sp.Poly(sp.expand((gradient.T * moved)[0] + (moved.T * hessian * moved)[0] / 2), *delta)
    first = sp.Matrix([series.coeff_monomial(d) for d in delta])
    second = sp.Matrix(size, size, lambda i, j: series.coeff_monomial(delta[i] * delta[j]) * (2 if i == j else 1))
    return first, second
