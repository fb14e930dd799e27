"""Owns the product of Sim-LN, whose samples are divided by the norm of their hidden layer."""

from functools import partial
from typing import Any

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.curvature.two_layer.cpu.lanes import load, start, width, zeros
from flatproof.verify.curvature.two_layer.cpu.layout import (
    SMALL,
    Array,
    Product,
    aligned,
    padded_rows,
    pull_of,
    tangents,
    write_row,
)


@kernel
def layer_norm(
    h: Array, x: Array, x_t: Array, a: Array, e: Array, alpha: Array, beta: Array, psi: Array, slope: Array, pull1: Array,
    pull2: Array, scale: float, d: int, vectors: Array, products: Array,
) -> None:  # fmt: skip
    """Sim-LN: vectors, products (k, P); h (m, n), x (n, wide), x_t its transpose, slope = p psi'."""
    m, n = h.shape
    wide = x.shape[1]
    zero = zeros(h, SMALL)
    for r in range(len(vectors)):
        v, out = vectors[r], products[r]
        dw, da = aligned(m * wide, v), v[len(v) - m :]
        tangents(zero, dw, wide, m, d, 1, v)
        move = np.dot(dw.reshape(m, wide), x_t)
        dp, dq = np.zeros(n, v.dtype), np.zeros(n, v.dtype)
        for j in range(m):
            hj, row, aj, daj = h[j], move[j], a[j], da[j]
            for i in range(n):
                t = row[i] if hj[i] > 0 else v.dtype.type(0)
                row[i] = t
                dp[i] += t * aj + hj[i] * daj
                dq[i] += 2 * (hj[i] * t)
        df = scale * (psi * dp + slope * dq)
        dalpha = df * psi + pull1 * dq
        dbeta = 2 * (df * slope + pull1 * dp + pull2 * dq)
        last = len(v) - m
        for j in range(m):
            hj, row, aj = h[j], move[j], a[j]
            t = v.dtype.type(0)
            for i in range(n):
                t += dalpha[i] * hj[i] + alpha[i] * row[i]
                row[i] = row[i] * beta[i] + dbeta[i] * hj[i] + (dalpha[i] * aj if hj[i] > 0 else v.dtype.type(0))
            out[last + j] = t
        q = np.dot(move, x).reshape(-1)
        layer_norm_rows(zero, q, e, wide, m, d, v, out)


@part
def layer_norm_rows(zero: Any, q: Array, e: Array, wide: int, m: int, d: int, v: Array, out: Array) -> None:
    """d(grad_W) = Q + da E."""
    last = len(v) - m
    q, e, v, out = start(q), start(e), start(v), start(out)
    for j in range(m):
        for column in range(0, wide, width(zero)):
            at = j * wide + column
            write_row(out, load(zero, q, at) + v[last + j] * load(zero, e, at), j, column, m, d, 1)


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def layer_norm_at(w1: Array, b1: Array, a: Array, x: Array, y: Array, scale: float, epsilon: float) -> Product:
    """The same for Sim-LN."""
    d, real = x.shape[1], x.dtype.type
    xs, w = padded_rows(1, x, len(x)), padded_rows(b1, w1, len(w1))
    x_t = np.ascontiguousarray(xs.T)
    h = np.maximum(w @ x_t, 0)
    q, p = np.square(h).sum(0), a @ h
    above = q > epsilon**2
    safe = np.where(above, q, 1)
    psi = np.where(above, 1 / np.sqrt(safe), real(1 / epsilon))
    psi1, psi2 = np.where(above, -(psi**3) / 2, 0), np.where(above, 3 * psi**5 / 4, 0)
    pull = pull_of(p * psi, y, real(scale))[: len(y)]
    alpha, beta = pull * psi, 2 * pull * p * psi1
    e = ((h > 0) * alpha) @ xs
    kept = (alpha, beta, psi, p * psi1, pull * psi1, pull * p * psi2)
    return partial(layer_norm, h, xs, x_t, a.copy(), e.ravel(), *kept, real(scale), d)
