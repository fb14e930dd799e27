"""Owns the product of the architectures without normalization: no-bias and bias."""

from functools import partial
from typing import Any

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.curvature.two_layer.cpu.lanes import load, start, total, width, zeros
from flatproof.verify.curvature.two_layer.cpu.layout import (
    LARGE,
    SMALL,
    Array,
    Product,
    padded_rows,
    pull_of,
    tangent,
    whole_groups,
    write_row,
)
from flatproof.verify.curvature.two_layer.cpu.subset_sums import backward, forward, pack


@part
def plain_rows(zero: Any, w: Array, a: Array, e: Array, q: Array, wide: int, d: int, bias: int, v: Array, out: Array) -> None:
    """d(grad_W) = c Q + dc E and dG_j = w_j . Q_j + dw_j . E_j."""
    m, last = len(a), len(v) - len(a)
    w, a, e, q, v, out = start(w), start(a), start(e), start(q), start(v), start(out)
    for j in range(m):
        dg, c, dc = zero, a[j], v[last + j]
        for column in range(0, wide, width(zero)):
            at = j * wide + column
            qj, ej = load(zero, q, at), load(zero, e, at)
            dg = dg + load(zero, w, at) * qj + tangent(zero, v, j, column, m, d, bias) * ej
            write_row(out, c * qj + dc * ej, j, column, m, d, bias)
        out[last + j] = total(dg)


@kernel
def plain(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, e: Array, scale: float, n: int, d: int, bias: int,
    vectors: Array, products: Array,
) -> None:  # fmt: skip
    """no-bias and bias: vectors, products (k, P)."""
    m = len(a)
    wide = len(w) // m
    for r in range(len(vectors)):
        v, out = vectors[r], products[r]
        t = scale * forward(on, x, w, a, v[len(v) - m :], v, n, d, bias)
        q = backward(on_t, x, t, m)
        if wide % width(zeros(v, LARGE)) == 0:
            plain_rows(zeros(v, LARGE), w, a, e, q, wide, d, bias, v, out)
        else:
            plain_rows(zeros(v, SMALL), w, a, e, q, wide, d, bias, v, out)


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def plain_at(w1: Array, b1: Array | None, a: Array, x: Array, y: Array, scale: float) -> Product:
    """The product with the Hessian of scale/2 sum_i (f_i - y_i)^2 at a no-bias or bias network."""
    n, d = x.shape
    bias = b1 is not None
    xs, w = padded_rows(1 if bias else None, x, whole_groups(n)), padded_rows(b1, w1, len(w1))
    on, on_t, f = pack(xs[:n] @ w.T, a)
    factor = x.dtype.type(scale)
    e = backward(on_t, xs.ravel(), pull_of(f, y, factor), len(w1))
    return partial(plain, on, on_t, xs.ravel(), w.ravel(), a.copy(), e, factor, n, d, int(bias))
