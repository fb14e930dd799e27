"""Owns the two products with the 0-1 matrix A and with its transpose, by sums over the subsets of four rows."""

from typing import Any

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.curvature.two_layer.cpu.lanes import load, start, store, total, width, zeros
from flatproof.verify.curvature.two_layer.cpu.layout import GROUP, LARGE, MIDDLE, SMALL, Array, aligned, inlined, tangent

SUBSETS = 2**GROUP
BLOCK = 16  # groups whose tables are in use at a time


@inlined
def tabulate(table: Any, at: int, zero: Any, r0: Any, r1: Any, r2: Any, r3: Any) -> None:
    """The sums of the 16 subsets of four rows, from table[at] on; bit b of a subset's place says whether r_b is in it."""
    step = width(zero)
    store(table, at, zero)
    store(table, at + step, r0)
    # the sums without row b are there already: those with it are one addition each
    for known, row in ((2, r1), (4, r2), (8, r3)):
        for subset in range(known):
            store(table, at + (known + subset) * step, row + load(zero, table, at + subset * step))


@inlined
def gather(s: Any, table: Any, codes: Any, at: int, groups: int) -> Any:
    """s + the sums that codes[at], ..., codes[at + groups - 1] name in the tables of as many groups."""
    step = width(s)
    for g in range(groups):
        s = s + load(s, table, (g * SUBSETS + codes[at + g]) * step)
    return s


@inlined
def change(zero: Any, j: int, column: int, w: Any, c: Any, dc: Any, v: Any, wide: int, m: int, d: int, bias: int) -> Any:
    """u_j = c_j dw_j + dc_j w_j from `column` on; 0 beyond the last neuron."""
    if j >= m:
        return zero
    return c[j] * tangent(zero, v, j, column, m, d, bias) + dc[j] * load(zero, w, j * wide + column)


@part
def forward_panel(
    zero: Any, column: int, on: Array, x: Array, w: Array, c: Array, dc: Array, v: Array, wide: int, d: int, bias: int,
    table: Array, sums: Array, df: Array,
) -> None:  # fmt: skip
    """df_i += x_i . (A U)_i over one panel's columns."""
    m, n, step = len(c), len(df), width(zero)
    groups = -(-m // GROUP)
    on, x, w, c, dc, v = start(on), start(x), start(w), start(c), start(dc), start(v)
    table, sums, df = start(table), start(sums), start(df)
    # tables of BLOCK groups of four neurons, 32 kB, stay in the first cache while all samples pass over them
    for block in range(0, groups, BLOCK):
        size = min(BLOCK, groups - block)
        for g in range(size):
            j = GROUP * (block + g)
            u0 = change(zero, j, column, w, c, dc, v, wide, m, d, bias)
            u1 = change(zero, j + 1, column, w, c, dc, v, wide, m, d, bias)
            u2 = change(zero, j + 2, column, w, c, dc, v, wide, m, d, bias)
            u3 = change(zero, j + 3, column, w, c, dc, v, wide, m, d, bias)
            tabulate(table, g * SUBSETS * step, zero, u0, u1, u2, u3)
        # (A U)_i is spread over the blocks: kept in `sums` between them, multiplied by x_i and summed after the last
        for i in range(n):
            s = zero if block == 0 else load(zero, sums, i * step)
            s = gather(s, table, on, block * n + i * size, size)
            if block + size < groups:
                store(sums, i * step, s)
            else:
                df[i] += total(s * load(zero, x, i * wide + column))


@part
def backward_panel(zero: Any, column: int, on_t: Array, x: Array, t: Array, wide: int, m: int, table: Array, q: Array) -> None:
    """q_j = sum_i A_ij t_i x_i in one panel's columns."""
    step, groups = width(zero), len(t) // GROUP
    on_t, x, t, table, q = start(on_t), start(x), start(t), start(table), start(q)
    for block in range(0, groups, BLOCK):
        size = min(BLOCK, groups - block)
        # the same with samples for neurons: rows t_i x_i are tabulated by fours, and every neuron adds up those it is active on
        for g in range(size):
            i = GROUP * (block + g)
            at = i * wide + column
            r0, r1 = t[i] * load(zero, x, at), t[i + 1] * load(zero, x, at + wide)
            r2, r3 = t[i + 2] * load(zero, x, at + 2 * wide), t[i + 3] * load(zero, x, at + 3 * wide)
            tabulate(table, g * SUBSETS * step, zero, r0, r1, r2, r3)
        for j in range(m):
            at = j * wide + column
            s = zero if block == 0 else load(zero, q, at)
            store(q, at, gather(s, table, on_t, block * m + j * size, size))


@kernel
def forward(on: Array, x: Array, w: Array, c: Array, dc: Array, v: Array, n: int, d: int, bias: int) -> Array:
    """df_i = x_i . (A U)_i, U = c dW + dc W, by panels; with zeros up to whole groups."""
    wide = len(w) // len(c)
    df = np.zeros(len(x) // wide, v.dtype)
    table, sums = aligned(BLOCK * SUBSETS * LARGE // v.itemsize, v), aligned(n * LARGE // v.itemsize, v)
    large, middle, small = zeros(v, LARGE), zeros(v, MIDDLE), zeros(v, SMALL)
    # as many full panels as fit, then one of each smaller width: the width is a type, so each is compiled for its own
    column = 0
    while column + width(large) <= wide:
        forward_panel(large, column, on, x, w, c, dc, v, wide, d, bias, table, sums, df[:n])
        column += width(large)
    if column + width(middle) <= wide:
        forward_panel(middle, column, on, x, w, c, dc, v, wide, d, bias, table, sums, df[:n])
        column += width(middle)
    if column < wide:
        forward_panel(small, column, on, x, w, c, dc, v, wide, d, bias, table, sums, df[:n])
    return df


@kernel
def backward(on_t: Array, x: Array, t: Array, m: int) -> Array:
    """Q = A' (t * X), (m, wide), by panels."""
    wide = len(x) // len(t)
    q, table = aligned(m * wide, x), aligned(BLOCK * SUBSETS * LARGE // x.itemsize, x)
    large, middle, small = zeros(x, LARGE), zeros(x, MIDDLE), zeros(x, SMALL)
    column = 0
    while column + width(large) <= wide:
        backward_panel(large, column, on_t, x, t, wide, m, table, q)
        column += width(large)
    if column + width(middle) <= wide:
        backward_panel(middle, column, on_t, x, t, wide, m, table, q)
        column += width(middle)
    if column < wide:
        backward_panel(small, column, on_t, x, t, wide, m, table, q)
    return q


@kernel
def pack(z: Array, c: Array) -> tuple[Array, Array, Array]:
    """The codes of A = 1[z > 0] and of A', and relu(z) c; z (n, m)."""
    n, m = z.shape
    groups, groups_t = -(-m // GROUP), -(-n // GROUP)
    on, on_t = np.empty(groups * n, np.uint8), np.empty(groups_t * m, np.uint8)
    bits, f = np.zeros(GROUP * groups, np.uint8), np.empty(n, z.dtype)
    for i in range(n):
        zi, t = z[i], z.dtype.type(0)
        for j in range(m):
            t += max(zi[j], z.dtype.type(0)) * c[j]
            bits[j] = np.uint8(zi[j] > 0) << np.uint8(j % GROUP)
        f[i] = t
        for block in range(0, groups, BLOCK):
            size = min(BLOCK, groups - block)
            part, codes = bits[GROUP * block : GROUP * (block + size)], on[block * n + i * size : block * n + (i + 1) * size]
            for g in range(size):
                codes[g] = part[4 * g] + part[4 * g + 1] + part[4 * g + 2] + part[4 * g + 3]
    for g in range(groups_t):
        bits[:] = 0
        for b in range(min(GROUP, n - GROUP * g)):
            zi = z[GROUP * g + b]
            for j in range(m):
                bits[j] |= np.uint8(zi[j] > 0) << np.uint8(b)
        block = g // BLOCK * BLOCK
        size = min(BLOCK, groups_t - block)
        for j in range(m):
            on_t[block * m + j * size + g - block] = bits[j]
    return on, on_t, f
