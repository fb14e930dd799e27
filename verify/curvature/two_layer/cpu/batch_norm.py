"""Owns the product of Sim-BN, whose neurons are divided by their root mean square over the samples."""

from functools import partial
from typing import Any

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.curvature.two_layer.cpu.lanes import load, start, store, total, width, zeros
from flatproof.verify.curvature.two_layer.cpu.layout import (
    LARGE,
    SMALL,
    Array,
    Product,
    aligned,
    padded_rows,
    pull_of,
    tangent,
    tangents,
    whole_groups,
    write_row,
)
from flatproof.verify.curvature.two_layer.cpu.subset_sums import backward, forward, pack


@part
def batch_norm_slopes(zero: Any, tq: Array, wide: int, d: int, v: Array, dq: Array) -> None:
    """dq_j = (dq_j / dw_j) . dw_j."""
    m = len(dq)
    tq, v, dq = start(tq), start(v), start(dq)
    for j in range(m):
        t = zero
        for column in range(0, wide, width(zero)):
            t = t + load(zero, tq, j * wide + column) * tangent(zero, v, j, column, m, d, 1)
        dq[j] = total(t)


@part
def batch_norm_curved(zero: Any, s: Array, wide: int, d: int, v: Array, sdw: Array) -> None:
    """S_j dw_j from S_j (D, wide)."""
    m = len(sdw) // wide
    s, v, sdw = start(s), start(v), start(sdw)
    for j in range(m):
        for column in range(0, wide, width(zero)):
            at = j * (d + 1) * wide + column
            row = v[m * d + j] * load(zero, s, at)
            for i in range(d):
                row = row + v[j * d + i] * load(zero, s, at + (i + 1) * wide)
            store(sdw, j * wide + column, row)


@kernel
def batch_norm_spread(base: Array, weight: Array, d: int, v: Array) -> Array:
    """S_j dw_j = sum_k weight_kj (x_k . dw_j) x_k, where S_j is not kept."""
    m, wide = weight.shape[1], base.shape[1]
    zero = zeros(v, SMALL)
    dw = aligned(m * wide, v)
    tangents(zero, dw, wide, m, d, 1, v)
    z = np.dot(base, dw.reshape(m, wide).T)
    for k in range(len(z)):
        for j in range(m):
            z[k, j] *= weight[k, j]
    return np.dot(z.T, base).reshape(-1)


@part
def batch_norm_rows(
    zero: Any, w: Array, a: Array, gamma: Array, e: Array, tq: Array, g: Array, rho: Array, rho1: Array, rho2: Array,
    dq: Array, dc: Array, dag: Array, q: Array, sdw: Array, wide: int, d: int, v: Array, out: Array,
) -> None:  # fmt: skip
    """All three parts of the product from Q and S_j dw_j."""
    m = len(a)
    at_gamma, at_a = len(v) - 2 * m, len(v) - m
    w, e, tq, q, sdw, v, out = start(w), start(e), start(tq), start(q), start(sdw), start(v), start(out)
    for j in range(m):
        t = zero
        for column in range(0, wide, width(zero)):
            at = j * wide + column
            t = t + load(zero, w, at) * load(zero, q, at) + tangent(zero, v, j, column, m, d, 1) * load(zero, e, at)
        dg, ag = total(t), a[j] * gamma[j]
        kappa = g[j] * ag * rho1[j]
        dkappa = dg * ag * rho1[j] + g[j] * (dag[j] * rho1[j] + ag * rho2[j] * dq[j])
        for column in range(0, wide, width(zero)):
            at = j * wide + column
            row = (ag * rho[j]) * load(zero, q, at) + dc[j] * load(zero, e, at)
            row = row + dkappa * load(zero, tq, at) + kappa * load(zero, sdw, at)
            write_row(out, row, j, column, m, d, 1)
        dgamma, da, drho = v[at_gamma + j], v[at_a + j], rho1[j] * dq[j]
        out[at_gamma + j] = dg * a[j] * rho[j] + g[j] * (da * rho[j] + a[j] * drho)
        out[at_a + j] = dg * gamma[j] * rho[j] + g[j] * (dgamma * rho[j] + gamma[j] * drho)


@kernel
def batch_norm(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, gamma: Array, c: Array, e: Array, tq: Array, s: Array,
    base: Array, weight: Array, g: Array, rho: Array, rho1: Array, rho2: Array, scale: float, n: int, d: int,
    vectors: Array, products: Array,
) -> None:  # fmt: skip
    """Sim-BN: vectors, products (k, P); by S_j unless s is empty."""
    m = len(a)
    wide = len(w) // m
    large, small = zeros(w, LARGE), zeros(w, SMALL)
    whole = wide % width(large) == 0
    dq = np.empty(m, w.dtype)
    for r in range(len(vectors)):
        v, out = vectors[r], products[r]
        dgamma, da = v[len(v) - 2 * m : len(v) - m], v[len(v) - m :]
        if whole:
            batch_norm_slopes(large, tq, wide, d, v, dq)
        else:
            batch_norm_slopes(small, tq, wide, d, v, dq)
        if len(s) == 0:
            sdw = batch_norm_spread(base, weight, d, v)
        else:
            sdw = aligned(m * wide, v)
            if whole:
                batch_norm_curved(large, s, wide, d, v, sdw)
            else:
                batch_norm_curved(small, s, wide, d, v, sdw)
        dag = da * gamma + a * dgamma
        dc = dag * rho + a * gamma * rho1 * dq
        q = backward(on_t, x, scale * forward(on, x, w, c, dc, v, n, d, 1), m)
        if whole:
            batch_norm_rows(large, w, a, gamma, e, tq, g, rho, rho1, rho2, dq, dc, dag, q, sdw, wide, d, v, out)
        else:
            batch_norm_rows(small, w, a, gamma, e, tq, g, rho, rho1, rho2, dq, dc, dag, q, sdw, wide, d, v, out)


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def batch_norm_at(w1: Array, b1: Array, gamma: Array, a: Array, x: Array, y: Array, base: Array, scale: float) -> Product:
    """The same for Sim-BN; base (N, d) is what its statistics are taken over.

    S_j, m D^2 numbers, is kept where multiplying by it is cheaper than passing through the N samples, measured: 2 d < N, d < 64. Its
    rows are sums of x_k x_k' over the active samples, so `backward` makes them.
    """
    (n, d), m, real = x.shape, len(w1), x.dtype.type
    xs, w, bases = padded_rows(1, x, whole_groups(n)), padded_rows(b1, w1, m), padded_rows(1, base, whole_groups(len(base)))
    wide = w.shape[1]
    t = np.maximum(bases @ w.T, 0)
    q = np.square(t).sum(0) / real(len(base))
    root = 1 / np.sqrt(np.where(q > 0, q, np.inf), dtype=x.dtype)
    rho, rho1, rho2 = root, -(root**3) / 2, 3 * root**5 / 4
    tq = real(2 / len(base)) * (t.T @ bases)
    nothing = np.zeros(0, x.dtype)
    s, weight = nothing, nothing.reshape(0, 0)
    if d < 64 and 2 * d < len(base):
        squares = (bases[:, : d + 1, None] * bases[:, None, :]).reshape(-1)
        s = backward(pack(t, a)[1], squares, np.full(len(bases), 2 / len(base), x.dtype), m)
    else:
        weight = real(2 / len(base)) * (t > 0)
    c, factor = a * gamma * rho, real(scale)
    on, on_t, f = pack(xs[:n] @ w.T, c)
    e = backward(on_t, xs.ravel(), pull_of(f, y, factor), m)
    g = (w * e.reshape(m, wide)).sum(1)
    kept = (a.copy(), gamma.copy(), c, e, tq.ravel(), s, bases, weight, g, rho, rho1, rho2)
    return partial(batch_norm, on, on_t, xs.ravel(), w.ravel(), *kept, factor, n, d)
