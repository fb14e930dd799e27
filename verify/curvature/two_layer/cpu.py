"""Owns the compiled products of the two-layer closed form on the CPU: the formulas of `two_layer`, one network and one vector at a time.

A is a matrix of zeros and ones, so A U sums rows of U. Four neurons have 16 subsets: their sums are tabulated with one addition each, and
every sample then adds one entry for all four (Arlazarov, Dinic, Kronrod, Faradzev 1970); A' (t * X) likewise, by four samples. With D
columns the two products take n m D / 4 additions each and (15/4) (m + n) D for the tables, instead of n m D multiply-adds each.

The floor at m = 500, n = 100, D = 31 in float32: 12 500 additions of a 128-byte row a product, each of them two loads of 64 bytes with an
addition and one of a code; the running sums are loaded and stored once in 16. Table entries: 2 000 and 400 rows stored. One Zen 5 core of
3.8 GHz was measured to do one such load with its addition in 0.93 cycles, whatever the unrolling: 6 us a product, where BLAS takes 32 us.
Tables, the pass over the weights and the call add 6 us, so 19 us for both. Groups of five would save a fifth of the additions, but double
the tables, and a block of them has to stay in 32 kB: no faster. More columns or several vectors at once would share the reading of the
codes, which is hidden already.

Layout: columns are the bias, if there is one, then the d inputs, padded with zeros to panels of 128 bytes, the last one of 32, 64 or 128.
A is kept in 4-bit codes: `on` (blocks, n, groups) has the groups of four neurons, `on_t` (blocks, m, groups) those of four samples, in
blocks of 16 groups, the last shorter. x is padded with zero rows to whole groups. Names as in `two_layer`: e = E, s = S_j, tq = dq_j /
dw_j. Matrices are handed over flat where their rows are read as `Lanes`. Scratch is taken anew in each call: products can be shared by
threads.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from flatproof.theory.compiled import FASTMATH, kernel
from flatproof.verify.curvature.two_layer.lanes import (
    first,
    load,
    load_between,
    start,
    store,
    store_between,
    total,
    width,
    with_first,
    zeros,
)

Array = NDArray[Any]
Product = Callable[[Array, Array], None]  # of vectors (k, P), into products (k, P)
GROUP, SUBSETS = 4, 16  # rows whose subset sums are tabulated, and their number
BLOCK = 16  # groups whose tables are in use at a time
LARGE, MIDDLE, SMALL = 128, 64, 32  # bytes of a panel's row

inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    forceinline=True, fastmath=FASTMATH, nogil=True, error_model="numpy"
)


def panels(columns: int, size: int) -> int:
    """The number of columns padded to panels, for entries of `size` bytes."""
    full, rest = divmod(columns * size, LARGE)
    last = next(panel for panel in (0, SMALL, MIDDLE, LARGE) if rest <= panel)
    return (full * LARGE + last) // size


# ------------------------------------------------------------------------------------------------------------ products with A


@inlined
def aligned(count: int, like: Array) -> Array:
    """(count,) uninitialized, from the start of a cache line on."""
    raw = np.empty(count + LARGE // like.itemsize, like.dtype)
    skip = -raw.ctypes.data % LARGE // like.itemsize
    return raw[skip : skip + count]


@inlined
def tabulate(table: Any, at: int, zero: Any, r0: Any, r1: Any, r2: Any, r3: Any) -> None:
    """The sums of the 16 subsets of four rows, from table[at] on; bit b of a subset's place says whether r_b is in it."""
    step = width(zero)
    store(table, at, zero)
    store(table, at + step, r0)
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
def tangent(zero: Any, v: Any, j: int, column: int, m: int, d: int, bias: int) -> Any:
    """dw_j from `column` on; v is laid out as w1 (m, d), then b1 (m,) if bias = 1."""
    row = load_between(zero, v, j * d + column - bias, bias - column, d + bias - column)
    if bias and column == 0:
        row = with_first(row, v[m * d + j])
    return row


@inlined
def write_row(out: Any, row: Any, j: int, column: int, m: int, d: int, bias: int) -> None:
    """The reverse: row j from `column` on to out, laid out like v."""
    store_between(out, j * d + column - bias, row, bias - column, d + bias - column)
    if bias and column == 0:
        out[m * d + j] = first(row)


@inlined
def change(zero: Any, j: int, column: int, w: Any, c: Any, dc: Any, v: Any, wide: int, m: int, d: int, bias: int) -> Any:
    """u_j = c_j dw_j + dc_j w_j from `column` on; 0 beyond the last neuron."""
    if j >= m:
        return zero
    return c[j] * tangent(zero, v, j, column, m, d, bias) + dc[j] * load(zero, w, j * wide + column)


@kernel
def forward_panel(
    zero: Any, column: int, on: Array, x: Array, w: Array, c: Array, dc: Array, v: Array, wide: int, d: int, bias: int,
    table: Array, sums: Array, df: Array,
) -> None:  # fmt: skip
    """df_i += x_i . (A U)_i over one panel's columns."""
    m, n, step = len(c), len(df), width(zero)
    groups = -(-m // GROUP)
    on, x, w, c, dc, v = start(on), start(x), start(w), start(c), start(dc), start(v)
    table, sums, df = start(table), start(sums), start(df)
    for block in range(0, groups, BLOCK):
        size = min(BLOCK, groups - block)
        for g in range(size):
            j = GROUP * (block + g)
            u0 = change(zero, j, column, w, c, dc, v, wide, m, d, bias)
            u1 = change(zero, j + 1, column, w, c, dc, v, wide, m, d, bias)
            u2 = change(zero, j + 2, column, w, c, dc, v, wide, m, d, bias)
            u3 = change(zero, j + 3, column, w, c, dc, v, wide, m, d, bias)
            tabulate(table, g * SUBSETS * step, zero, u0, u1, u2, u3)
        for i in range(n):
            s = zero if block == 0 else load(zero, sums, i * step)
            s = gather(s, table, on, block * n + i * size, size)
            if block + size < groups:
                store(sums, i * step, s)
            else:
                df[i] += total(s * load(zero, x, i * wide + column))


@kernel
def backward_panel(zero: Any, column: int, on_t: Array, x: Array, t: Array, wide: int, m: int, table: Array, q: Array) -> None:
    """q_j = sum_i A_ij t_i x_i in one panel's columns."""
    step, groups = width(zero), len(t) // GROUP
    on_t, x, t, table, q = start(on_t), start(x), start(t), start(table), start(q)
    for block in range(0, groups, BLOCK):
        size = min(BLOCK, groups - block)
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
def tangents(zero: Any, dw: Array, wide: int, m: int, d: int, bias: int, v: Array) -> None:
    """dW in rows, (m, wide)."""
    dw, v = start(dw), start(v)
    for j in range(m):
        for column in range(0, wide, width(zero)):
            store(dw, j * wide + column, tangent(zero, v, j, column, m, d, bias))


@kernel
def transpose(block: Array, rows: Array) -> None:
    """rows (k, P) = the columns of block (P, k), by tiles that stay in the cache."""
    size, count = block.shape
    for c in range(0, count, 16):
        for i in range(0, size, 128):
            tile, turned = block[i : i + 128, c : c + 16], rows[c : c + 16, i : i + 128]
            for column in range(tile.shape[1]):
                for row in range(tile.shape[0]):
                    turned[column, row] = tile[row, column]


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


# ---------------------------------------------------------------------------------------------------------- no-bias and bias


@kernel
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


# -------------------------------------------------------------------------------------------------------------------- Sim-BN


@kernel
def batch_norm_slopes(zero: Any, tq: Array, wide: int, d: int, v: Array, dq: Array) -> None:
    """dq_j = (dq_j / dw_j) . dw_j."""
    m = len(dq)
    tq, v, dq = start(tq), start(v), start(dq)
    for j in range(m):
        t = zero
        for column in range(0, wide, width(zero)):
            t = t + load(zero, tq, j * wide + column) * tangent(zero, v, j, column, m, d, 1)
        dq[j] = total(t)


@kernel
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


@kernel
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
def batch_norm_vector(
    zero: Any, on: Array, on_t: Array, x: Array, w: Array, a: Array, gamma: Array, c: Array, e: Array, tq: Array, s: Array,
    base: Array, weight: Array, g: Array, rho: Array, rho1: Array, rho2: Array, scale: float, n: int, d: int, v: Array, out: Array,
) -> None:  # fmt: skip
    """One vector, (P,) each."""
    m = len(a)
    wide = len(w) // m
    dgamma, da = v[len(v) - 2 * m : len(v) - m], v[len(v) - m :]
    dq = np.empty(m, v.dtype)
    batch_norm_slopes(zero, tq, wide, d, v, dq)
    if len(s) > 0:
        sdw = aligned(m * wide, v)
        batch_norm_curved(zero, s, wide, d, v, sdw)
    else:
        sdw = batch_norm_spread(base, weight, d, v)
    dag = da * gamma + a * dgamma
    dc = dag * rho + a * gamma * rho1 * dq
    q = backward(on_t, x, scale * forward(on, x, w, c, dc, v, n, d, 1), m)
    batch_norm_rows(zero, w, a, gamma, e, tq, g, rho, rho1, rho2, dq, dc, dag, q, sdw, wide, d, v, out)


@kernel
def batch_norm(
    on: Array, on_t: Array, x: Array, w: Array, a: Array, gamma: Array, c: Array, e: Array, tq: Array, s: Array,
    base: Array, weight: Array, g: Array, rho: Array, rho1: Array, rho2: Array, scale: float, n: int, d: int,
    vectors: Array, products: Array,
) -> None:  # fmt: skip
    """Sim-BN: vectors, products (k, P); by S_j unless s is empty."""
    large, small = zeros(w, LARGE), zeros(w, SMALL)
    for r in range(len(vectors)):
        v, out = vectors[r], products[r]
        if len(w) // len(a) % width(large) == 0:
            batch_norm_vector(large, on, on_t, x, w, a, gamma, c, e, tq, s, base, weight, g, rho, rho1, rho2, scale, n, d, v, out)
        else:
            batch_norm_vector(small, on, on_t, x, w, a, gamma, c, e, tq, s, base, weight, g, rho, rho1, rho2, scale, n, d, v, out)


# -------------------------------------------------------------------------------------------------------------------- Sim-LN


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


@kernel
def layer_norm_rows(zero: Any, q: Array, e: Array, wide: int, m: int, d: int, v: Array, out: Array) -> None:
    """d(grad_W) = Q + da E."""
    last = len(v) - m
    q, e, v, out = start(q), start(e), start(v), start(out)
    for j in range(m):
        for column in range(0, wide, width(zero)):
            at = j * wide + column
            write_row(out, load(zero, q, at) + v[last + j] * load(zero, e, at), j, column, m, d, 1)


# --------------------------------------------------------------------------------------------------------------- preparation


def _aligned_zeros(rows: int, columns: int, dtype: Any) -> Array:
    raw = np.zeros(rows * columns + LARGE, dtype)
    skip = -raw.ctypes.data % LARGE // raw.itemsize
    return raw[skip : skip + rows * columns].reshape(rows, columns)


def _rows(first: Any, rest: Array, count: int) -> Array:
    """`first` (None: no bias) and `rest` side by side, padded to panels and with zero rows up to `count`."""
    bias = first is not None
    out = _aligned_zeros(count, panels(rest.shape[1] + bias, rest.itemsize), rest.dtype)
    if bias:
        out[: len(rest), 0] = first
    out[: len(rest), bias : bias + rest.shape[1]] = rest
    return out


def _whole(n: int) -> int:
    return -(-n // GROUP) * GROUP


def _pull(f: Array, y: Array, scale: float) -> Array:
    """scale (f - y), with zeros up to whole groups."""
    residual = f - y
    if not np.isfinite(residual).all():
        raise ValueError("loss must be finite, the network's outputs or the labels are not")
    out = np.zeros(_whole(len(y)), f.dtype)
    np.multiply(residual, scale, out=out[: len(y)])
    return out


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def plain_at(w1: Array, b1: Array | None, a: Array, x: Array, y: Array, scale: float) -> Product:
    """The product with the Hessian of scale/2 sum_i (f_i - y_i)^2 at a no-bias or bias network."""
    n, d = x.shape
    bias = b1 is not None
    xs, w = _rows(1 if bias else None, x, _whole(n)), _rows(b1, w1, len(w1))
    on, on_t, f = pack(xs[:n] @ w.T, a)
    factor = x.dtype.type(scale)
    e = backward(on_t, xs.ravel(), _pull(f, y, factor), len(w1))
    return partial(plain, on, on_t, xs.ravel(), w.ravel(), a.copy(), e, factor, n, d, int(bias))


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def batch_norm_at(w1: Array, b1: Array, gamma: Array, a: Array, x: Array, y: Array, base: Array, scale: float) -> Product:
    """The same for Sim-BN; base (N, d) is what its statistics are taken over.

    S_j, m D^2 numbers, is kept where multiplying by it is cheaper than passing through the N samples, measured: 2 d < N, d < 64. Its
    rows are sums of x_k x_k' over the active samples, so `backward` makes them.
    """
    (n, d), m, real = x.shape, len(w1), x.dtype.type
    xs, w, bases = _rows(1, x, _whole(n)), _rows(b1, w1, m), _rows(1, base, _whole(len(base)))
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
    e = backward(on_t, xs.ravel(), _pull(f, y, factor), m)
    g = (w * e.reshape(m, wide)).sum(1)
    kept = (a.copy(), gamma.copy(), c, e, tq.ravel(), s, bases, weight, g, rho, rho1, rho2)
    return partial(batch_norm, on, on_t, xs.ravel(), w.ravel(), *kept, factor, n, d)


@np.errstate(all="ignore")  # what is not finite is refused, not warned of
def layer_norm_at(w1: Array, b1: Array, a: Array, x: Array, y: Array, scale: float, epsilon: float) -> Product:
    """The same for Sim-LN."""
    d, real = x.shape[1], x.dtype.type
    xs, w = _rows(1, x, len(x)), _rows(b1, w1, len(w1))
    x_t = np.ascontiguousarray(xs.T)
    h = np.maximum(w @ x_t, 0)
    q, p = np.square(h).sum(0), a @ h
    above = q > epsilon**2
    safe = np.where(above, q, 1)
    psi = np.where(above, 1 / np.sqrt(safe), real(1 / epsilon))
    psi1, psi2 = np.where(above, -(psi**3) / 2, 0), np.where(above, 3 * psi**5 / 4, 0)
    pull = _pull(p * psi, y, real(scale))[: len(y)]
    alpha, beta = pull * psi, 2 * pull * p * psi1
    e = ((h > 0) * alpha) @ xs
    kept = (alpha, beta, psi, p * psi1, pull * psi1, pull * p * psi2)
    return partial(layer_norm, h, xs, x_t, a.copy(), e.ravel(), *kept, real(scale), d)
