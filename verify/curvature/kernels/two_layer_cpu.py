"""Owns the compiled loops of the two-layer closed form on the CPU: the formulas of `two_layer`, one network and one vector a call.

Two matrix products with 30 columns or so go to BLAS; everything between them is one pass over the weights. Arrays are C-contiguous and of
one precision, out is written; nothing is checked. Columns are padded with zeros to a width that BLAS is fast at: d, then the bias if
there is one, then zeros. Names as in `two_layer`: on = A, on_t its transpose, e = E, s = S_j, tq = dq_j / dw_j.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@numba.njit(fastmath=True)
def pull(on: Array, on_t: Array, x: Array, scale: float, u: Array) -> Array:
    """Q = scale A' (df * X), df_i = x_i . (A u)_i; (m, D) -> (m, D)."""
    spread = on @ u
    n, d = x.shape
    for i in range(n):
        t = x.dtype.type(0)
        for k in range(d):
            t += x[i, k] * spread[i, k]
        t *= scale
        for k in range(d):
            spread[i, k] = t * x[i, k]
    return on_t @ spread


@numba.njit(fastmath=True)
def folded(v: Array, m: int, d: int, wide: int) -> Array:
    """The tangent of the first layer with the bias as column d, (m, wide)."""
    out = np.zeros((m, wide), v.dtype)
    first, bias = v[: m * d].reshape(m, d), v[m * d : m * d + m]
    for j in range(m):
        for k in range(d):
            out[j, k] = first[j, k]
        out[j, d] = bias[j]
    return out


@numba.njit(fastmath=True)
def plain(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, e: Array, scale: float, d: int, biased: bool, v: Array, out: Array
) -> None:
    """no-bias and bias: v, out (P,)."""
    m, wide = w.shape
    first, da = v[: m * d].reshape(m, d), v[len(v) - m :]
    u = np.zeros((m, wide), v.dtype)
    for j in range(m):
        c, dc = a[j], da[j]
        for k in range(d):
            u[j, k] = first[j, k] * c + dc * w[j, k]
    if biased:
        for j in range(m):
            u[j, d] = v[m * d + j] * a[j] + da[j] * w[j, d]
    q = pull(on, on_t, x, scale, u)
    out_first, start = out[: m * d].reshape(m, d), len(v) - m
    for j in range(m):
        c, dc = a[j], da[j]
        t = v.dtype.type(0)
        for k in range(d):
            t += w[j, k] * q[j, k] + first[j, k] * e[j, k]
        for k in range(d):
            out_first[j, k] = c * q[j, k] + dc * e[j, k]
        out[start + j] = t
    if biased:
        for j in range(m):
            out[m * d + j] = a[j] * q[j, d] + da[j] * e[j, d]
            out[start + j] += w[j, d] * q[j, d] + v[m * d + j] * e[j, d]


@numba.njit(fastmath=True)
def plain_block(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, e: Array, scale: float, d: int, biased: bool, v: Array, out: Array,
) -> None:  # fmt: skip
    """The same for k vectors side by side in one product, v, out (P, k)."""
    n, m, wide, size = len(x), len(w), d + 1 if biased else d, v.shape[1]
    start = len(v) - m
    u = np.empty((m, wide, size), v.dtype)
    for j in range(m):
        for k in range(wide):
            row = j * d + k if k < d else m * d + j
            for c in range(size):
                u[j, k, c] = v[row, c] * a[j] + v[start + j, c] * w[j, k]
    spread = (on @ u.reshape(m, wide * size)).reshape(n, wide, size)
    df = np.empty(size, v.dtype)
    for i in range(n):
        df[:] = 0
        for k in range(wide):
            for c in range(size):
                df[c] += x[i, k] * spread[i, k, c]
        for c in range(size):
            df[c] *= scale
        for k in range(wide):
            for c in range(size):
                spread[i, k, c] = x[i, k] * df[c]
    q = (on_t @ spread.reshape(n, wide * size)).reshape(m, wide, size)
    for j in range(m):
        df[:] = 0
        for k in range(wide):
            row = j * d + k if k < d else m * d + j
            for c in range(size):
                df[c] += w[j, k] * q[j, k, c] + v[row, c] * e[j, k]
                out[row, c] = a[j] * q[j, k, c] + v[start + j, c] * e[j, k]
        for c in range(size):
            out[start + j, c] = df[c]


@numba.njit(fastmath=True)
def batch_norm(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, gamma: Array, e: Array, tq: Array, s: Array,
    g: Array, rho: Array, rho1: Array, rho2: Array, scale: float, d: int, v: Array, out: Array,
) -> None:  # fmt: skip
    """Sim-BN: v, out (P,)."""
    m, wide = w.shape
    dw = folded(v, m, d, wide)
    dgamma, da = v[len(v) - 2 * m : len(v) - m], v[len(v) - m :]
    u, dq, dc, dag = np.empty((m, wide), v.dtype), np.empty(m, v.dtype), np.empty(m, v.dtype), np.empty(m, v.dtype)
    for j in range(m):
        t = v.dtype.type(0)
        for k in range(wide):
            t += dw[j, k] * tq[j, k]
        dq[j] = t
        dag[j] = da[j] * gamma[j] + a[j] * dgamma[j]
        dc[j] = dag[j] * rho[j] + a[j] * gamma[j] * rho1[j] * t
        c = a[j] * gamma[j] * rho[j]
        for k in range(wide):
            u[j, k] = dw[j, k] * c + dc[j] * w[j, k]
    q = pull(on, on_t, x, scale, u)
    row = np.empty(wide, v.dtype)
    start = len(v) - 2 * m
    for j in range(m):
        dg = v.dtype.type(0)
        for k in range(wide):
            dg += w[j, k] * q[j, k] + dw[j, k] * e[j, k]
        ag = a[j] * gamma[j]
        kappa = g[j] * ag * rho1[j]
        dkappa = dg * ag * rho1[j] + g[j] * (dag[j] * rho1[j] + ag * rho2[j] * dq[j])
        c = ag * rho[j]
        for k in range(wide):
            t = v.dtype.type(0)
            for i in range(wide):
                t += s[j, k, i] * dw[j, i]
            row[k] = c * q[j, k] + dc[j] * e[j, k] + dkappa * tq[j, k] + kappa * t
        for k in range(d):
            out[j * d + k] = row[k]
        out[m * d + j] = row[d]
        drho = rho1[j] * dq[j]
        out[start + j] = dg * a[j] * rho[j] + g[j] * (da[j] * rho[j] + a[j] * drho)
        out[start + m + j] = dg * gamma[j] * rho[j] + g[j] * (dgamma[j] * rho[j] + gamma[j] * drho)


@numba.njit(fastmath=True)
def layer_norm(
    on: Array, h: Array, x: Array, x_t: Array, w: Array, a: Array, e: Array, alpha: Array, beta: Array,
    psi: Array, slope: Array, pull1: Array, pull2: Array, scale: float, d: int, v: Array, out: Array,
) -> None:  # fmt: skip
    """Sim-LN: v, out (P,); slope = p psi'."""
    m, wide = w.shape
    n = x.shape[0]
    dw, da = folded(v, m, d, wide), v[len(v) - m :]
    move = np.dot(x, np.ascontiguousarray(dw.T))
    ga = np.zeros(m, v.dtype)
    for i in range(n):
        dp, dq = v.dtype.type(0), v.dtype.type(0)
        for j in range(m):
            t = move[i, j] * on[i, j]
            move[i, j] = t
            dp += t * a[j] + h[i, j] * da[j]
            dq += h[i, j] * t
        dq *= 2
        df = scale * (psi[i] * dp + slope[i] * dq)
        dalpha = df * psi[i] + pull1[i] * dq
        dbeta = 2 * (df * slope[i] + pull1[i] * dp + pull2[i] * dq)
        for j in range(m):
            ga[j] += dalpha * h[i, j] + alpha[i] * move[i, j]
            move[i, j] = move[i, j] * beta[i] + dbeta * h[i, j] + dalpha * on[i, j] * a[j]
    gw = np.dot(x_t, move)
    start = len(v) - m
    for j in range(m):
        for k in range(d):
            out[j * d + k] = gw[k, j] + da[j] * e[j, k]
        out[m * d + j] = gw[d, j] + da[j] * e[j, d]
        out[start + j] = ga[j]
