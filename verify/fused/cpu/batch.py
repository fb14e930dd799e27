"""Owns SGD with weight decay on batches of any size, full batch included, for all four networks: the paper's baseline.

Per batch B, dL/df_i = (2/|B|)(f_i - y_i); the two layers' gradients are three matrix products. Sim-BN takes its statistics
over the whole training set, so its first layer sees every sample: with g_i = dL/df_i, u = h/s and c_j = (1/n) sum_k h_kj x'_k,
    dL/dw_j = (a_j gamma_j / s_j) ( sum_{i in B} g_i A_ij x'_i - (sum_{i in B} g_i u_ij) c_j / s_j ).
"""

import numpy as np

from theory.compiled import kernel


@kernel
def two_layer(w, a, x, order, targets, batch, lr, weight_decay, epsilon):  # type: ignore[no-untyped-def]
    """No-bias and bias (epsilon = 0) and Sim-LN (epsilon > 0): epochs of SGD on `order` (epochs, n), labels `targets` alike.

    w (inputs, m) and a (m,) are changed in place. Returns the index of the step that is not finite, or -1.
    """
    real = a.dtype.type
    inputs, m = w.shape
    zero, shrink, rate = real(0), real(1 - lr * weight_decay), real(lr)
    n, step = order.shape[1], 0
    xb, h = np.empty((batch, inputs), a.dtype), np.empty((batch, m), a.dtype)
    f, g = np.empty(batch, a.dtype), np.empty(batch, a.dtype)
    gw, ga = np.empty((inputs, m), a.dtype), np.empty(m, a.dtype)
    for epoch in range(order.shape[0]):
        for start in range(0, n, batch):
            b = min(batch, n - start)
            for i in range(b):
                xb[i] = x[order[epoch, start + i]]
            np.dot(xb[:b], w, h[:b])
            for i in range(b):
                row = h[i]
                dot, square = zero, zero
                for j in range(m):
                    v = max(row[j], zero)
                    row[j] = v
                    dot += v * a[j]
                    square += v * v
                scale, pull = real(1), zero
                if epsilon > 0:
                    above = square > real(epsilon) * real(epsilon)
                    scale = 1 / np.sqrt(square) if above else real(1) / real(epsilon)
                    pull = dot / square if above else zero
                g[i] = real(2) * (dot * scale - targets[epoch, start + i]) / real(b) * scale
                f[i] = pull
                if not np.isfinite(g[i]):
                    return step
            np.dot(g[:b], h[:b], ga)
            for i in range(b):
                row = h[i]
                gi, pull = g[i], f[i]
                for j in range(m):
                    row[j] = gi * (a[j] - pull * row[j]) if row[j] > zero else zero
            np.dot(xb[:b].T, h[:b], gw)
            for k in range(inputs):
                row, change = w[k], gw[k]
                for j in range(m):
                    row[j] = shrink * row[j] - rate * change[j]
            for j in range(m):
                a[j] = shrink * a[j] - rate * ga[j]
            step += 1
    return -1


@kernel
def batch_norm(w, a, gamma, x, order, targets, batch, lr, weight_decay):  # type: ignore[no-untyped-def]
    """Sim-BN: as `two_layer`, with the scale gamma (m,), changed in place too."""
    real = a.dtype.type
    inputs, m = w.shape
    n, step = x.shape[0], 0
    zero, shrink, rate = real(0), real(1 - lr * weight_decay), real(lr)
    h, signal = np.empty((n, m), a.dtype), np.zeros((n, m), a.dtype)
    inverse, gu, weight = np.empty(m, a.dtype), np.empty(m, a.dtype), np.empty(m, a.dtype)
    gw, c = np.empty((inputs, m), a.dtype), np.empty((inputs, m), a.dtype)
    for epoch in range(order.shape[0]):
        for start in range(0, n, batch):
            stop = min(start + batch, n)
            np.dot(x, w, h)
            inverse[:] = 0
            for i in range(n):
                for j in range(m):
                    v = max(h[i, j], zero)
                    h[i, j] = v
                    inverse[j] += v * v
            for j in range(m):
                inverse[j] = 1 / np.sqrt(inverse[j] / real(n)) if inverse[j] > zero else zero
                weight[j] = a[j] * gamma[j] * inverse[j]
            np.dot(x.T, h, c)
            signal[:] = 0
            gu[:] = 0
            for position in range(start, stop):
                i = order[epoch, position]
                g = zero
                for j in range(m):
                    g += weight[j] * h[i, j]
                g = real(2) * (g - targets[epoch, position]) / real(stop - start)
                if not np.isfinite(g):
                    return step
                for j in range(m):
                    signal[i, j] = g if h[i, j] > zero else zero
                    gu[j] += g * h[i, j] * inverse[j]
            np.dot(x.T, signal, gw)
            for k in range(inputs):
                for j in range(m):
                    change = weight[j] * (gw[k, j] - gu[j] * inverse[j] * c[k, j] / real(n))
                    w[k, j] = shrink * w[k, j] - rate * change
            for j in range(m):
                da, dg = gamma[j] * gu[j], a[j] * gu[j]
                a[j] = shrink * a[j] - rate * da
                gamma[j] = shrink * gamma[j] - rate * dg
            step += 1
    return -1
