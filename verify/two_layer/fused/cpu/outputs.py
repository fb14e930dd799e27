"""Owns the outputs of two-layer ReLU networks on many points, as measurements during training need them: f, and ||h|| for Sim-LN.

`theory.forward` forms the activations of all neurons in memory; here they stay in registers, four points at a time.
"""

import numpy as np

from flatproof.theory.compiled import kernel
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
                h0, h1, h2, h3 = relu(h0), relu(h1), relu(h2), relu(h3)
                store(sums, (0, i), load(sums, (0, i)) + v * h0)
                store(sums, (0, i + 1), load(sums, (0, i + 1)) + v * h1)
                store(sums, (0, i + 2), load(sums, (0, i + 2)) + v * h2)
                store(sums, (0, i + 3), load(sums, (0, i + 3)) + v * h3)
                if normed:
                    store(sums, (1, i), load(sums, (1, i)) + h0 * h0)
                    store(sums, (1, i + 1), load(sums, (1, i + 1)) + h1 * h1)
                    store(sums, (1, i + 2), load(sums, (1, i + 2)) + h2 * h2)
                    store(sums, (1, i + 3), load(sums, (1, i + 3)) + h3 * h3)
            for i in range(fours, count):
                h = bias
                for p in range(w.shape[1]):
                    h += rows[i, p] * load(w, (j, p))
                h = relu(h)
                store(sums, (0, i), load(sums, (0, i)) + v * h)
                if normed:
                    store(sums, (1, i), load(sums, (1, i)) + h * h)
        for i in range(count):
            f[start + i] = total(load(sums, (0, i)))
            if normed:
                squares[start + i] = total(load(sums, (1, i)))
    return f
