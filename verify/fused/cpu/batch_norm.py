"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of Sim-BN, fused.

With u = h/s, c_j = (1/n) sum_k h_kj x'_k and b = a gamma / s, the gradient of f_i in w_j is b_j (A_ij x'_i - (u_ij/s_j) c_j).
It vanishes for neurons inactive on the current sample, so a step gathers the active ones, and for these only: all pre-activations
Z on the training set are kept up to date through the Gram matrix X X^T and the products X c_j, which also give the perturbed
pre-activations. That is four products (active x n x inputs) a step; Z is recomputed from W once an epoch against drift.
"""

import numpy as np

from theory.compiled import kernel


@kernel
def _products(h, x, xt, c, xc, active):  # type: ignore[no-untyped-def]
    """c_j = (1/n) sum_k h_jk x_k and X c_j, for the gathered neurons."""
    np.dot(h[:active], x, c[:active])
    c[:active] /= h.dtype.type(x.shape[0])
    np.dot(c[:active], xt, xc[:active])


@kernel
def _gather(z, i, mean, a, gamma, neuron, h, u, b, k):  # type: ignore[no-untyped-def]
    """The neurons active on sample i: their indices, relu rows h, u_ij, b_j and k_j = u_ij/s_j. Returns their number and f_i."""
    zero = a.dtype.type(0)
    active, f = 0, zero
    for j in range(z.shape[0]):
        if z[j, i] > zero:
            row, out = z[j], h[active]
            square = zero
            for e in range(row.shape[0]):
                v = max(row[e], zero)
                out[e] = v
                square += v * v
            inverse = 1 / np.sqrt(square * mean)
            neuron[active] = j
            u[active] = row[i] * inverse
            b[active] = a[j] * gamma[j] * inverse
            k[active] = u[active] * inverse
            f += a[j] * gamma[j] * u[active]
            active += 1
    return active, f


@kernel
def _squared_norm(i, length, a, gamma, neuron, active, u, b, k, c, xc):  # type: ignore[no-untyped-def]
    """||grad f_i||^2: u^2 (a^2 + gamma^2) and b^2 ||x_i - k c||^2, summed over the active neurons."""
    total = a.dtype.type(0)
    for r in range(active):
        j = neuron[r]
        square = a.dtype.type(0)
        for e in range(c.shape[1]):
            square += c[r, e] * c[r, e]
        first = length - 2 * k[r] * xc[r, i] + k[r] * k[r] * square
        total += u[r] * u[r] * (a[j] * a[j] + gamma[j] * gamma[j]) + b[r] * b[r] * max(first, a.dtype.type(0))
    return total


@kernel
def _ascend(z, i, gram, up, mean, a, gamma, neuron, active, xc, h, u, b, k, a2, g2):  # type: ignore[no-untyped-def]
    """At theta + up grad f_i: what `_gather` gives, and a, gamma there. Returns the number still active and f_i there."""
    zero = a.dtype.type(0)
    still, f = 0, zero
    for r in range(active):
        j = neuron[r]
        row, shift, out = z[j], xc[r], h[still]
        step, pull = up * b[r], k[r]
        if row[i] + step * (gram[i] - pull * shift[i]) <= zero:
            continue
        square = zero
        for e in range(row.shape[0]):
            v = max(row[e] + step * (gram[e] - pull * shift[e]), zero)
            out[e] = v
            square += v * v
        a_up, g_up = a[j] + up * gamma[j] * u[r], gamma[j] + up * a[j] * u[r]
        inverse = 1 / np.sqrt(square * mean)
        neuron[still] = j
        u[still] = out[i] * inverse
        b[still] = a_up * g_up * inverse
        k[still] = u[still] * inverse
        a2[still] = a_up
        g2[still] = g_up
        f += a_up * g_up * u[still]
        still += 1
    return still, f


@kernel
def _descend(w, z, a, gamma, x, gram, down, neuron, still, c, xc, u, b, k, a2, g2):  # type: ignore[no-untyped-def]
    """theta - down grad f_i(perturbed theta), with the pre-activations that follow."""
    for r in range(still):
        j = neuron[r]
        a[j] -= down * g2[r] * u[r]
        gamma[j] -= down * a2[r] * u[r]
        step, pull = down * b[r], k[r]
        row, shift = z[j], xc[r]
        for e in range(row.shape[0]):
            row[e] -= step * (gram[e] - pull * shift[e])
        row, shift = w[j], c[r]
        for e in range(row.shape[0]):
            row[e] -= step * (x[e] - pull * shift[e])


@kernel
def batch_norm(w, a, gamma, x, order, targets, lr, rho, weight_decay):  # type: ignore[no-untyped-def]
    """Steps on the samples `order` (T,) with labels `targets` (T,); w (m, inputs), a, gamma (m,) are changed in place.

    Returns the index of the step whose residual is not finite, or -1.
    """
    real = a.dtype.type
    m, n = w.shape[0], x.shape[0]
    zero, one, shrink = real(0), real(1), real(1 - lr * weight_decay)
    mean = one / real(n)
    xt = np.ascontiguousarray(x.T)
    gram = np.dot(x, xt)
    z, h, xc, c = np.empty((m, n), a.dtype), np.empty((m, n), a.dtype), np.empty((m, n), a.dtype), np.empty_like(w)
    neuron = np.empty(m, np.int64)
    u, b, k, a2, g2 = np.empty_like(a), np.empty_like(a), np.empty_like(a), np.empty_like(a), np.empty_like(a)
    for t in range(order.shape[0]):
        if t % n == 0:
            np.dot(w, xt, z)
        i = order[t]
        active, f = _gather(z, i, mean, a, gamma, neuron, h, u, b, k)
        _products(h, x, xt, c, xc, active)
        q = _squared_norm(i, gram[i, i], a, gamma, neuron, active, u, b, k, c, xc)
        up = zero
        if q > zero:
            up = real(rho * np.sign(f - targets[t]) / np.sqrt(q))
        still, f = _ascend(z, i, gram[i], up, mean, a, gamma, neuron, active, xc, h, u, b, k, a2, g2)
        _products(h, x, xt, c, xc, still)
        down = real(2 * lr * (f - targets[t]))
        if not np.isfinite(down):
            return t
        if shrink != one:
            a *= shrink
            gamma *= shrink
            z *= shrink
            w *= shrink
        _descend(w, z, a, gamma, x[i], gram[i], down, neuron, still, c, xc, u, b, k, a2, g2)
    return -1
