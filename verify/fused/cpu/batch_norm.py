"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of Sim-BN, fused.

With u = h/s, c_j = (1/n) sum_k h_kj x'_k and b = a gamma / s, the gradient of f_i in w_j is b_j (A_ij x'_i - (u_ij/s_j) c_j).
It vanishes for neurons inactive on the current sample, so a step gathers the active ones, and for these only: all pre-activations
Z on the training set are kept up to date through the Gram matrix X X^T and the products X c_j, which also give the perturbed
pre-activations. That is four products (active x n x inputs) a step; Z is recomputed from W once an epoch against drift.
"""

import numpy as np

from verify.fused.cpu.compile import kernel


@kernel
def _products(h, x, xt, c, xc, active):  # type: ignore[no-untyped-def]
    """c_j = (1/n) sum_k h_jk x_k and X c_j, for the gathered neurons."""
    np.dot(h[:active], x, c[:active])
    c[:active] /= h.dtype.type(x.shape[0])
    np.dot(c[:active], xt, xc[:active])


@kernel
def batch_norm(w, a, gamma, x, order, targets, lr, rho, weight_decay):  # type: ignore[no-untyped-def]
    """Steps on the samples `order` (T,) with labels `targets` (T,); w (m, inputs), a, gamma (m,) are changed in place.

    Returns the index of the step whose residual is not finite, or -1.
    """
    real = a.dtype.type
    m, inputs = w.shape
    n = x.shape[0]
    zero, one, shrink = real(0), real(1), real(1 - lr * weight_decay)
    mean = one / real(n)
    xt = np.ascontiguousarray(x.T)
    gram = np.dot(x, xt)
    z, h = np.empty((m, n), a.dtype), np.empty((m, n), a.dtype)
    c, xc = np.empty((m, inputs), a.dtype), np.empty((m, n), a.dtype)
    neuron = np.empty(m, np.int64)
    u, b, k, a2, g2 = (
        np.empty(m, a.dtype),
        np.empty(m, a.dtype),
        np.empty(m, a.dtype),
        np.empty(m, a.dtype),
        np.empty(m, a.dtype),
    )
    for t in range(order.shape[0]):
        if t % n == 0:
            np.dot(w, xt, z)
        i = order[t]
        active = 0
        for j in range(m):
            if z[j, i] > zero:
                neuron[active] = j
                active += 1
        f = zero
        for r in range(active):
            j = neuron[r]
            row, out = z[j], h[r]
            square = zero
            for e in range(n):
                v = max(row[e], zero)
                out[e] = v
                square += v * v
            inverse = one / np.sqrt(square * mean)
            u[r] = row[i] * inverse
            b[r] = a[j] * gamma[j] * inverse
            k[r] = u[r] * inverse
            f += a[j] * gamma[j] * u[r]
        _products(h, x, xt, c, xc, active)
        q = zero
        for r in range(active):
            j = neuron[r]
            cc = zero
            for e in range(inputs):
                cc += c[r, e] * c[r, e]
            first = gram[i, i] - 2 * k[r] * xc[r, i] + k[r] * k[r] * cc
            q += u[r] * u[r] * (a[j] * a[j] + gamma[j] * gamma[j]) + b[r] * b[r] * max(first, zero)
        up = zero
        if q > zero:
            up = real(rho * np.sign(f - targets[t]) / np.sqrt(q))
        f = zero
        still = 0
        for r in range(active):
            j = neuron[r]
            row, shift, out, g = z[j], xc[r], h[still], gram[i]
            step, pull = up * b[r], k[r]
            if row[i] + step * (g[i] - pull * shift[i]) <= zero:
                continue
            square = zero
            for e in range(n):
                v = max(row[e] + step * (g[e] - pull * shift[e]), zero)
                out[e] = v
                square += v * v
            a_up, g_up = a[j] + up * gamma[j] * u[r], gamma[j] + up * a[j] * u[r]
            inverse = one / np.sqrt(square * mean)
            neuron[still] = j
            u[still] = out[i] * inverse
            b[still] = a_up * g_up * inverse
            k[still] = u[still] * inverse
            a2[still] = a_up
            g2[still] = g_up
            f += a_up * g_up * u[still]
            still += 1
        _products(h, x, xt, c, xc, still)
        down = real(2 * lr * (f - targets[t]))
        if not np.isfinite(down):
            return t
        if shrink != one:
            for j in range(m):
                a[j] *= shrink
                gamma[j] *= shrink
                for e in range(n):
                    z[j, e] *= shrink
                for e in range(inputs):
                    w[j, e] *= shrink
        for r in range(still):
            j = neuron[r]
            a[j] -= down * g2[r] * u[r]
            gamma[j] -= down * a2[r] * u[r]
            step, pull = down * b[r], k[r]
            row, shift, g = z[j], xc[r], gram[i]
            for e in range(n):
                row[e] -= step * (g[e] - pull * shift[e])
            row, shift, g = w[j], c[r], x[i]
            for e in range(inputs):
                row[e] -= step * (g[e] - pull * shift[e])
    return -1
