"""Owns how networks, vectors and data lie in memory for the compiled products.

Columns are the bias, if there is one, then the d inputs, padded with zeros to panels of 128 bytes, the last one of 32, 64 or 128.
A is kept in 4-bit codes: `on` (blocks, n, groups) has the groups of four neurons, `on_t` (blocks, m, groups) those of four samples, in
blocks of 16 groups, the last shorter. x is padded with zero rows to whole groups. Names as in `two_layer`: e = E, s = S_j, tq = dq_j /
dw_j. Matrices are handed over flat where their rows are read as `Lanes`. Scratch is taken anew in each call: products can be shared by
threads.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from flatproof.theory.compiled import FASTMATH, kernel, part
from flatproof.verify.curvature.two_layer.cpu.lanes import first, load_between, start, store, store_between, width, with_first

Array = NDArray[Any]
Product = Callable[[Array, Array], None]  # of vectors (k, P), into products (k, P)
GROUP = 4  # rows whose subset sums are tabulated
LARGE, MIDDLE, SMALL = 128, 64, 32  # bytes of a panel's row

inlined: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    forceinline=True, fastmath=FASTMATH, nogil=True, error_model="numpy"
)


def panels(columns: int, size: int) -> int:
    """The number of columns padded to panels, for entries of `size` bytes."""
    full, rest = divmod(columns * size, LARGE)
    last = next(panel for panel in (0, SMALL, MIDDLE, LARGE) if rest <= panel)
    return (full * LARGE + last) // size


@inlined
def aligned(count: int, like: Array) -> Array:
    """(count,) uninitialized, from the start of a cache line on."""
    raw = np.empty(count + LARGE // like.itemsize, like.dtype)
    skip = -raw.ctypes.data % LARGE // like.itemsize
    return raw[skip : skip + count]


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


@part
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


def _aligned_zeros(rows: int, columns: int, dtype: Any) -> Array:
    raw = np.zeros(rows * columns + LARGE, dtype)
    skip = -raw.ctypes.data % LARGE // raw.itemsize
    return raw[skip : skip + rows * columns].reshape(rows, columns)


def padded_rows(first: Any, rest: Array, count: int) -> Array:
    """`first`, a column or a number (None: no bias), and `rest` side by side, padded to panels and with zero rows up to `count`."""
    bias = first is not None
    out = _aligned_zeros(count, panels(rest.shape[1] + bias, rest.itemsize), rest.dtype)
    if bias:
        out[: len(rest), 0] = first
    out[: len(rest), bias : bias + rest.shape[1]] = rest
    return out


def whole_groups(n: int) -> int:
    """n rounded up to whole groups."""
    return -(-n // GROUP) * GROUP


def pull_of(f: Array, y: Array, scale: float) -> Array:
    """scale (f - y), with zeros up to whole groups."""
    residual = f - y
    if not np.isfinite(residual).all():
        raise ValueError("loss must be finite, the network's outputs or the labels are not")
    out = np.zeros(whole_groups(len(y)), f.dtype)
    np.multiply(residual, scale, out=out[: len(y)])
    return out
