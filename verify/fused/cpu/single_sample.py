"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of the no-bias, bias and Sim-LN networks, fused.

With one sample x the gradient of the first layer is rank one, g_W = 2 r v x^T with v = d f / d z, so the perturbed
pre-activations are z + c ||x||^2 v with the scalar c = rho sign(r) / sqrt(||v||^2 ||x||^2 + ||d f / d a||^2): the second
forward and backward of SAM cost O(m). The first layer is stored as W (inputs, neurons); a step's rank-one update of W is
applied in the same sweep over W that computes the next step's pre-activations, so each step reads and writes W once.

Only neurons active at the perturbed point change; a neuron inactive at the unperturbed one is not perturbed, so stays inactive.
"""

import numpy as np

from theory.compiled import kernel


@kernel
def _sweep(w, u, z, shrink, old, new):  # type: ignore[no-untyped-def]
    """W <- shrink W - old u^T and z <- new^T W, in one pass."""
    for j in range(z.shape[0]):
        z[j] = 0
    for k in range(w.shape[0]):
        row, p, q = w[k], old[k], new[k]
        for j in range(z.shape[0]):
            v = shrink * row[j] - u[j] * p
            row[j] = v
            z[j] += v * q


@kernel
def plain(w, a, x, order, targets, lr, rho, weight_decay):  # type: ignore[no-untyped-def]
    """Steps of f = sum_j a_j relu(z_j) on the samples `order` (T,) with labels `targets` (T,).

    w (inputs, m) and a (m,) are changed in place. Returns the index of the step whose residual is not finite, or -1.
    """
    real = a.dtype.type
    inputs, m = w.shape
    zero, shrink, one = real(0), real(1 - lr * weight_decay), real(1)
    z, u, h2, a2 = np.zeros(m, a.dtype), np.zeros(m, a.dtype), np.empty(m, a.dtype), np.empty(m, a.dtype)
    lengths = np.sum(x * x, axis=1)
    old, keep = np.zeros(inputs, a.dtype), one
    for t in range(order.shape[0]):
        sample = x[order[t]]
        length = lengths[order[t]]
        _sweep(w, u, z, keep, old, sample)
        f, hh, aa = zero, zero, zero
        for j in range(m):
            h = max(z[j], zero)
            f += a[j] * h
            hh += h * h
            aa += a[j] * a[j] if z[j] > zero else zero
        q = hh + length * aa
        c = zero
        if q > zero:
            c = real(rho * np.sign(f - targets[t]) / np.sqrt(q))
        reach = c * length
        f = zero
        for j in range(m):
            h = z[j] + reach * a[j]
            h = h if (z[j] > zero) & (h > zero) else zero
            v = a[j] + c * max(z[j], zero)
            h2[j] = h
            a2[j] = v
            f += v * h
        step = real(2 * lr * (f - targets[t]))
        if not np.isfinite(step):
            return t
        for j in range(m):
            u[j] = step * a2[j] if h2[j] > zero else zero
            a[j] = shrink * a[j] - step * h2[j]
        old, keep = sample, shrink
    _sweep(w, u, z, keep, old, old)
    return -1


@kernel
def layer_norm(w, a, x, order, targets, lr, rho, weight_decay, epsilon):  # type: ignore[no-untyped-def]
    """Steps of f = sum_j a_j relu(z_j) / max(||relu(z)||, epsilon); arguments and result as in `plain`."""
    real = a.dtype.type
    inputs, m = w.shape
    zero, shrink, one = real(0), real(1 - lr * weight_decay), real(1)
    z, u, h2, a2 = np.zeros(m, a.dtype), np.zeros(m, a.dtype), np.empty(m, a.dtype), np.empty(m, a.dtype)
    lengths = np.sum(x * x, axis=1)
    old, keep = np.zeros(inputs, a.dtype), one
    for t in range(order.shape[0]):
        sample = x[order[t]]
        length = lengths[order[t]]
        _sweep(w, u, z, keep, old, sample)
        f, hh = zero, zero
        for j in range(m):
            h = max(z[j], zero)
            f += a[j] * h
            hh += h * h
        scale, pull = _inverse_norm(f, hh, real(epsilon))
        f *= scale
        vv = zero
        for j in range(m):
            v = (a[j] - pull * z[j]) * scale if z[j] > zero else zero  # d f / d z_j
            h2[j] = v
            vv += v * v
        q = hh * scale * scale + length * vv
        c = zero
        if q > zero:
            c = real(rho * np.sign(f - targets[t]) / np.sqrt(q))
        reach, tilt = c * length, c * scale
        f, hh = zero, zero
        for j in range(m):
            h = z[j] + reach * h2[j]
            h = h if (z[j] > zero) & (h > zero) else zero
            v = a[j] + tilt * max(z[j], zero)
            h2[j] = h
            a2[j] = v
            f += v * h
            hh += h * h
        scale, pull = _inverse_norm(f, hh, real(epsilon))
        step = real(2 * lr * (f * scale - targets[t]) * scale)
        if not np.isfinite(step):
            return t
        for j in range(m):
            u[j] = step * (a2[j] - pull * h2[j]) if h2[j] > zero else zero
            a[j] = shrink * a[j] - step * h2[j]
        old, keep = sample, shrink
    _sweep(w, u, z, keep, old, old)
    return -1


@kernel
def _inverse_norm(dot, square, epsilon):  # type: ignore[no-untyped-def]
    """1 / max(||h||, epsilon), and the multiple (a.h) / ||h||^2 of h that the norm's derivative subtracts from a."""
    if square > epsilon * epsilon:
        return 1 / np.sqrt(square), dot / square
    return 1 / epsilon, 0 * dot
