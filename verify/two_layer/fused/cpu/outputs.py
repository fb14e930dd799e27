"""Owns the outputs of two-layer ReLU networks on many points, as measurements during training need them: f, and ||h|| for Sim-LN.

`theory.forward` forms the activations of all neurons in memory; here they stay in registers, four points at a time.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import load, relu, scratch, store, total

ROWS = 64  # points whose inputs and sums the first cache holds


@kernel
def outputs(w, b, a, x, squares):  # type: ignore[no-untyped-def]
    """f_i = sum_j a_j relu(w_j . x_i + b_j), (n,), and into `squares` (n,), unless it is empty, ||h_i||^2.

    w (groups, d, LANES), b and a (groups, LANES), x (n, d).
    """
    n, f, sums = x.shape[0], np.empty(x.shape[0], a.dtype), scratch((2, ROWS, a.shape[1]), a)
    normed = squares.shape[0] > 0
    for start in range(0, n, ROWS):
        rows = x[start : start + ROWS]
        count = rows.shape[0]
        fours = count - count % 4
        sums[:] = 0
        for j in range(w.shape[0]):
            v, bias = load(a, j), load(b, j)
            for i in range(0, fours, 4):
                h0, h1, h2, h3 = bias, bias, bias, bias
                for p in range(w.shape[1]):
                    weights = load(w, (j, p))
                    h0 += rows[i, p] * weights
                    h1 += rows[i + 1, p] * weights
                    h2 += rows[i + 2, p] * weights
                    h3 += rows[i + 3, p] * weights
                _add(sums, i, v, h0, normed)
                _add(sums, i + 1, v, h1, normed)
                _add(sums, i + 2, v, h2, normed)
                _add(sums, i + 3, v, h3, normed)
            for i in range(fours, count):
                h = bias
                for p in range(w.shape[1]):
                    h += rows[i, p] * load(w, (j, p))
                _add(sums, i, v, h, normed)
        for i in range(count):
            f[start + i] = total(load(sums, (0, i)))
            if normed:
                squares[start + i] = total(load(sums, (1, i)))
    return f


@part
def _add(sums, i, v, z, normed):  # type: ignore[no-untyped-def]
    """What neurons with pre-activations z and output weights v add to f_i, and to ||h_i||^2 if it is wanted."""
    h = relu(z)
    store(sums, (0, i), load(sums, (0, i)) + v * h)
    if normed:
        store(sums, (1, i), load(sums, (1, i)) + h * h)
