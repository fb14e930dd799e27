"""Owns the symbols of proofs about diagonal linear networks: one coordinate, and two distinct ones, stand for all of them.

The loss of a sample is kappa r^2 with r = sum_i x_i u_i v_i - y. Every second derivative, and every term of a sum over pairs (i, j),
sees at most two coordinates; the others enter r alone. What holds for the symbols below, i = j and i != j, holds for every d.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import sympy as sp

kappa, rho = sp.symbols("kappa rho", positive=True)
residual = sp.Symbol("r", real=True)
X = sp.symbols("x_i x_j", real=True)  # one sample's entries; their products' mean over samples is Sigma
U = sp.symbols("u_i u_j", real=True)
V = sp.symbols("v_i v_j", real=True)
A = sp.symbols("a_i a_j", real=True)  # displacement of u
B = sp.symbols("b_i b_j", real=True)  # displacement of v
P = sp.symbols("p_i p_j", nonnegative=True)  # |u|
Q = sp.symbols("q_i q_j", nonnegative=True)  # |v|
SIGNS = (1, -1)


def moved(u: sp.Expr, v: sp.Expr, a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """e, by which (u, v) -> (u + a, v + b) moves the product u v."""
    return sp.expand((u + a) * (v + b) - u * v)


def vanishes(expression: sp.Expr) -> bool:
    """Whether a polynomial is 0."""
    return sp.expand(expression) == 0


def pair_hessian() -> sp.Matrix:
    """Second derivatives of one sample's loss in (u_i, u_j, v_i, v_j), the residual as a symbol; from the loss alone."""
    others = sp.Symbol("o", real=True)
    output = X[0] * U[0] * V[0] + X[1] * U[1] * V[1]
    second = sp.hessian(kappa * (output + others) ** 2, (*U, *V))
    return second.subs(others, residual - output).applyfunc(sp.expand)


def sizes(k: int = 0) -> Iterator[tuple[sp.Expr, sp.Expr, int, int]]:
    """u, v and their signs for coordinate k, by cases: |u| = p and |v| = q may be 0, where either sign will do."""
    for sign_u, sign_v in product(SIGNS, SIGNS):
        yield sign_u * P[k], sign_v * Q[k], sign_u, sign_v


def expectation(expression: sp.Expr, moments: Mapping[sp.Symbol, Sequence[sp.Expr]]) -> sp.Expr:
    """The mean of a polynomial in independent variables.

    Args:
        expression: the polynomial.
        moments: of each variable, its mean, mean square, ... as far as powers go.
    """
    variables = list(moments)
    terms = sp.Poly(sp.expand(expression), *variables).terms()
    return sp.expand(
        sum(
            coefficient * sp.prod(moments[z][power - 1] for z, power in zip(variables, powers, strict=True) if power)
            for powers, coefficient in terms
        )
    )
