"""Owns the mini-batch steps (SGD, label-noise SGD, SAM; the full batch included) of all four networks.

A gradient is two products: the pre-activations W x_i, and dL/dW = sum_i s_i x_i^T with s_ij = dL/dz_ij. With
g_i = (2/|B|)(f_i - y_i) on the batch B, and u = h / s for Sim-BN, whose statistics run over the whole training set,

    no-bias, bias   s_ij = g_i a_j A_ij
    sim-ln          s_ij = (g_i / ||h_i||) (a_j - (a . h_i) h_ij / ||h_i||^2) A_ij, without the second term below the floor
    sim-bn          s_ij = (a_j gamma_j / s_j) (g_i A_ij [i in B] - (1/n) (sum_k g_k u_kj) u_ij), for every sample i.

SAM takes the gradient again at theta + rho grad / ||grad||. Every parameter is looked at after every step: v - v is 0 unless v
overflowed.
"""

import numpy as np

from theory.compiled import kernel
from verify.fused.cpu.lanes import load, nought, relu, root, store, total, where_positive
from verify.fused.cpu.products import multiply
from verify.fused.cpu.single_sample import inverse_norm


@kernel
def two_layer(w, a, x, order, targets, size, lr, rho, keep, epsilon):  # type: ignore[no-untyped-def]
    """No-bias, bias (epsilon None) and Sim-LN (epsilon its floor): epochs of `order` (epochs, n) in batches of `size`.

    w (groups, inputs, LANES) and a (groups, LANES) are changed in place; labels `targets` (epochs, n); keep is
    1 - lr weight_decay. Returns the first step after which a parameter is not finite, or -1.
    """
    real, n, step = a.dtype.type, order.shape[1], 0
    gw, ga, w_up, a_up = np.empty_like(w), np.empty_like(a), np.empty_like(w), np.empty_like(a)
    for epoch in range(order.shape[0]):
        for first in range(0, n, size):
            last = min(first + size, n)
            rows, y = x[order[epoch, first:last]], targets[epoch, first:last]
            z = np.empty((a.shape[0], last - first, a.shape[1]), a.dtype)
            _two_layer_gradient(w, a, rows, y, epsilon, z, gw, ga)
            if rho > 0:
                c = _radius(real(rho), _square(gw) + _square(ga))
                _move(w, real(1), c, gw, w_up)
                _move(a, real(1), c, ga, a_up)
                _two_layer_gradient(w_up, a_up, rows, y, epsilon, z, gw, ga)
            if _move(w, real(keep), real(-lr), gw, w) + _move(a, real(keep), real(-lr), ga, a) != 0:
                return step
            step += 1
    return -1


@kernel
def batch_norm(w, a, gamma, x, order, targets, size, lr, rho, keep):  # type: ignore[no-untyped-def]
    """Sim-BN: as `two_layer`, with the scale gamma (groups, LANES), changed in place too."""
    real, n, step = a.dtype.type, order.shape[1], 0
    gw, ga, gg, z = np.empty_like(w), np.empty_like(a), np.empty_like(a), np.empty((a.shape[0], n, a.shape[1]), a.dtype)
    w_up, a_up, g_up = np.empty_like(w), np.empty_like(a), np.empty_like(a)
    for epoch in range(order.shape[0]):
        for first in range(0, n, size):
            last = min(first + size, n)
            batch, y = order[epoch, first:last], targets[epoch, first:last]
            _batch_norm_gradient(w, a, gamma, x, batch, y, z, gw, ga, gg)
            if rho > 0:
                c = _radius(real(rho), _square(gw) + _square(ga) + _square(gg))
                _move(w, real(1), c, gw, w_up)
                _move(a, real(1), c, ga, a_up)
                _move(gamma, real(1), c, gg, g_up)
                _batch_norm_gradient(w_up, a_up, g_up, x, batch, y, z, gw, ga, gg)
            wrong = _move(w, real(keep), real(-lr), gw, w) + _move(a, real(keep), real(-lr), ga, a)
            if wrong + _move(gamma, real(keep), real(-lr), gg, gamma) != 0:
                return step
            step += 1
    return -1


@kernel
def _two_layer_gradient(w, a, x, y, epsilon, z, gw, ga):  # type: ignore[no-untyped-def]
    """Gradient of the mean squared error on the rows x (b, inputs) with labels y (b,); z (groups, b, LANES) is scratch."""
    real, b = a.dtype.type, x.shape[0]
    multiply(w, x, z)
    ga[:] = 0
    for i in range(b):
        dot, hh = nought(a), nought(a)
        for j in range(a.shape[0]):
            h = relu(load(z, (j, i)))
            dot += h * load(a, j)
            hh += h * h
        f, square = total(dot), total(hh)
        scale, pull = inverse_norm(f, square, epsilon)
        g = real(2) / real(b) * (f * scale - y[i]) * scale
        for j in range(a.shape[0]):
            h = relu(load(z, (j, i)))
            store(ga, j, load(ga, j) + g * h)
            store(z, (j, i), g * where_positive(h, load(a, j) - pull * h))
    multiply(z, np.ascontiguousarray(x.T), gw)


@kernel
def _batch_norm_gradient(w, a, gamma, x, batch, y, z, gw, ga, gg):  # type: ignore[no-untyped-def]
    """Gradient of the mean squared error on x[batch] with labels y (b,); z (groups, n, LANES) is scratch."""
    real, n, groups = a.dtype.type, x.shape[0], a.shape[0]
    inverse, weight = np.empty_like(a), np.empty_like(a)
    multiply(w, x, z)
    for j in range(groups):
        hh = nought(a)
        for i in range(n):
            h = relu(load(z, (j, i)))
            hh += h * h
        v = where_positive(hh, 1 / root(hh * (real(1) / real(n))))
        store(inverse, j, v)
        store(weight, j, load(a, j) * load(gamma, j) * v)
    r, g = np.empty(batch.shape[0], a.dtype), np.zeros(n, a.dtype)  # dL/df by position in the batch, and by sample
    for k in range(batch.shape[0]):
        dot = nought(a)
        for j in range(groups):
            dot += load(weight, j) * relu(load(z, (j, batch[k])))
        r[k] = real(2) / real(batch.shape[0]) * (total(dot) - y[k])
        g[batch[k]] += r[k]
    for j in range(groups):
        v, gu = load(inverse, j), nought(a)
        for k in range(batch.shape[0]):
            gu += r[k] * relu(load(z, (j, batch[k])))
        gu = gu * v
        store(ga, j, load(gamma, j) * gu)
        store(gg, j, load(a, j) * gu)
        b, shared = load(weight, j), gu * v * (real(1) / real(n))
        for i in range(n):
            h = relu(load(z, (j, i)))
            store(z, (j, i), b * (where_positive(h, nought(a) + g[i]) - shared * h))
    multiply(z, np.ascontiguousarray(x.T), gw)


@kernel
def _move(start, keep, rate, direction, out):  # type: ignore[no-untyped-def]
    """out = keep start + rate direction. Returns 0 if all of it is finite, else NaN."""
    shape = (start.size // start.shape[-1], start.shape[-1])
    start, direction, out = start.reshape(shape), direction.reshape(shape), out.reshape(shape)
    wrong = nought(out)
    for j in range(shape[0]):
        v = keep * load(start, j) + rate * load(direction, j)
        store(out, j, v)
        wrong += v - v
    return total(wrong)


@kernel
def _square(gradient):  # type: ignore[no-untyped-def]
    """The sum of squares of all entries."""
    shape = (gradient.size // gradient.shape[-1], gradient.shape[-1])
    gradient, square = gradient.reshape(shape), nought(gradient)
    for j in range(shape[0]):
        v = load(gradient, j)
        square += v * v
    return total(square)


@kernel
def _radius(rho, square):  # type: ignore[no-untyped-def]
    """rho / ||grad||, and 0 where the gradient is exactly zero."""
    return rho / np.sqrt(square) if square > 0 else 0 * square
