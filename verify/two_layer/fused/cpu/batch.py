"""Owns the mini-batch steps (SGD, label-noise SGD, SAM; the full batch included) of all networks.

A gradient is two products: the pre-activations W x_i, and dL/dW = sum_i s_i x_i^T with s_ij = dL/dz_ij. With
g_i = l'(f_i)/|B| on the batch B, and u = h / s for Sim-BN, whose statistics run over the whole training set,

    no-bias, bias   s_ij = g_i a_j h'(z_ij),  h' = A_ij for relu
    sim-ln          s_ij = (g_i / ||h_i||) (a_j - (a . h_i) h_ij / ||h_i||^2) A_ij, without the second term below the floor
    sim-bn          s_ij = (a_j gamma_j / s_j) (g_i A_ij [i in B] - (1/n) (sum_k g_k u_kj) u_ij), for every sample i
    three layers    s_ij = A_ij sum_k D_ik v_kj,  D_ik = g_i a_k 1[p_ik > 0],  p_ik = sum_j v_kj h_ij,  dL/dV = sum_i D_i h_i^T.

SAM takes the gradient again at theta + rho grad / ||grad||. Every parameter is looked at after every step: v - v is 0 unless v
overflowed.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.activations import softplus
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, root, scratch, store, swapped, total, where_positive
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual
from flatproof.verify.two_layer.fused.cpu.products import multiply
from flatproof.verify.two_layer.fused.cpu.single_sample import inverse_norm


@kernel
def two_layer(w, a, x, order, targets, size, lr, rho, keep, norm, logistic, epsilon, mask):  # type: ignore[no-untyped-def]
    """No-bias, bias (epsilon None) and Sim-LN (epsilon its floor): epochs of `order` (epochs, n) in batches of `size`.

    w (groups, inputs, LANES) and a (groups, LANES) are changed in place; `targets` (epochs, n); keep is 1 - lr weight_decay.
    norm, logistic and mask as in `single_sample.steps`. Returns the first step after which a parameter is not finite, or -1.
    """
    real, n, step = a.dtype.type, order.shape[1], 0
    gw, ga, w_up, a_up = scratch(w.shape, w), scratch(a.shape, a), scratch(w.shape, w), scratch(a.shape, a)
    rows, columns = np.empty((size, x.shape[1]), a.dtype), np.empty((x.shape[1], size), a.dtype)
    z, sums = scratch((a.shape[0], size, a.shape[1]), a), scratch((2, size, a.shape[1]), a)
    for epoch in range(order.shape[0]):
        for first in range(0, n, size):
            b = min(size, n - first)
            y = targets[epoch, first : first + b]
            for i in range(b):
                for p in range(x.shape[1]):
                    rows[i, p] = columns[p, i] = x[order[epoch, first + i], p]
            _two_layer_gradient(w, a, rows[:b], columns, y, logistic, epsilon, mask, z, sums, gw, ga)
            if rho > 0:
                c = _radius(real(rho), _square(gw) + _square(ga))
                _move(w, real(1), c, gw, w_up)
                _move(a, real(1), c, ga, a_up)
                _two_layer_gradient(w_up, a_up, rows[:b], columns, y, logistic, epsilon, mask, z, sums, gw, ga)
            wrong = _move(w, real(keep), real(-lr), gw, w) + _move(a, real(keep), real(-lr), ga, a)
            if norm > 0:
                wrong += _project(w, norm)
            if wrong != 0:
                return step
            step += 1
    return -1


@kernel
def batch_norm(w, a, gamma, x, order, targets, size, lr, rho, keep, norm, logistic):  # type: ignore[no-untyped-def]
    """Sim-BN: as `two_layer`, with the scale gamma (groups, LANES), changed in place too."""
    real, n, step = a.dtype.type, order.shape[1], 0
    gw, ga, gg = scratch(w.shape, w), scratch(a.shape, a), scratch(a.shape, a)
    w_up, a_up, g_up = scratch(w.shape, w), scratch(a.shape, a), scratch(a.shape, a)
    z, sums = scratch((a.shape[0], x.shape[0], a.shape[1]), a), scratch((size, a.shape[1]), a)
    r, g, columns = np.empty(size, a.dtype), np.empty(x.shape[0], a.dtype), np.ascontiguousarray(x.T)
    for epoch in range(order.shape[0]):
        for first in range(0, n, size):
            last = min(first + size, n)
            batch, y = order[epoch, first:last], targets[epoch, first:last]
            _batch_norm_gradient(w, a, gamma, x, columns, batch, y, logistic, z, sums, r, g, gw, ga, gg)
            if rho > 0:
                c = _radius(real(rho), _square(gw) + _square(ga) + _square(gg))
                _move(w, real(1), c, gw, w_up)
                _move(a, real(1), c, ga, a_up)
                _move(gamma, real(1), c, gg, g_up)
                _batch_norm_gradient(w_up, a_up, g_up, x, columns, batch, y, logistic, z, sums, r, g, gw, ga, gg)
            wrong = _move(w, real(keep), real(-lr), gw, w) + _move(a, real(keep), real(-lr), ga, a)
            if norm > 0:
                wrong += _project(w, norm)
            if wrong + _move(gamma, real(keep), real(-lr), gg, gamma) != 0:
                return step
            step += 1
    return -1


@kernel
def three_layer(w, v, a, x, order, targets, size, lr, rho, keep, norm, logistic):  # type: ignore[no-untyped-def]
    """Three layers: as `two_layer`, with the columns v (m, groups, LANES) of the second layer, changed in place too."""
    real, n, step = a.dtype.type, order.shape[1], 0
    gw, gv, ga = scratch(w.shape, w), scratch(v.shape, v), scratch(a.shape, a)
    w_up, v_up, a_up = scratch(w.shape, w), scratch(v.shape, v), scratch(a.shape, a)
    rows, columns = np.empty((size, x.shape[1]), a.dtype), np.empty((x.shape[1], size), a.dtype)
    z, h = scratch((a.shape[0], size, a.shape[1]), a), scratch((size, *a.shape), a)
    p, hidden = scratch(z.shape, z), np.empty((v.shape[0], size), a.dtype)
    for epoch in range(order.shape[0]):
        for first in range(0, n, size):
            b = min(size, n - first)
            y = targets[epoch, first : first + b]
            for i in range(b):
                for q in range(x.shape[1]):
                    rows[i, q] = columns[q, i] = x[order[epoch, first + i], q]
            _three_layer_gradient(w, v, a, rows[:b], columns, y, logistic, z, h, hidden, p, gw, gv, ga)
            if rho > 0:
                c = _radius(real(rho), _square(gw) + _square(gv) + _square(ga))
                _move(w, real(1), c, gw, w_up)
                _move(v, real(1), c, gv, v_up)
                _move(a, real(1), c, ga, a_up)
                _three_layer_gradient(w_up, v_up, a_up, rows[:b], columns, y, logistic, z, h, hidden, p, gw, gv, ga)
            wrong = _move(w, real(keep), real(-lr), gw, w) + _move(a, real(keep), real(-lr), ga, a)
            if norm > 0:
                wrong += _project(w, norm)
            if wrong + _move(v, real(keep), real(-lr), gv, v) != 0:
                return step
            step += 1
    return -1


@part
def _two_layer_gradient(w, a, x, columns, y, logistic, epsilon, mask, z, sums, gw, ga):  # type: ignore[no-untyped-def]
    """Gradient of the loss on the rows x (b, inputs), which `columns` holds transposed, with targets y (b,).

    z (groups, b or more, LANES) and sums (2, b or more, LANES) are scratch.
    """
    real, groups, b = a.dtype.type, a.shape[0], x.shape[0]
    sums[:] = 0
    for j in range(groups):
        multiply(w[j : j + 1], x, z[j : j + 1])
        v = load(a, j)
        for i in range(b):
            h = _activation(load(z, (j, i)), j, mask)
            store(sums, (0, i), load(sums, (0, i)) + v * h)
            if epsilon is not None:
                store(sums, (1, i), load(sums, (1, i)) + h * h)
    for i in range(b):
        f = total(load(sums, (0, i)))
        scale, pull = inverse_norm(f, total(load(sums, (1, i))), epsilon)
        sums[0, i, 0] = real(factor(logistic)) / real(b) * residual(f * scale, y[i], logistic) * scale
        sums[1, i, 0] = pull
    for j in range(groups):
        v, change = load(a, j), nought(a)
        for i in range(b):
            pre, g, pull = load(z, (j, i)), sums[0, i, 0], sums[1, i, 0]
            h = _activation(pre, j, mask)
            change += g * h
            store(z, (j, i), g * _signal(pre, h, v - pull * h, mask))
        store(ga, j, change)
        multiply(z[j : j + 1, :b], columns, gw[j : j + 1])


@part
def _batch_norm_gradient(w, a, gamma, x, columns, batch, y, logistic, z, sums, r, g, gw, ga, gg):  # type: ignore[no-untyped-def]
    """Gradient of the loss on x[batch] with targets y (b,).

    z (groups, n, LANES), sums (b or more, LANES), r (b or more,) and g (n,) are scratch: r and g hold dL/df by position in the
    batch and by sample.
    """
    real, groups, n, b = a.dtype.type, a.shape[0], x.shape[0], batch.shape[0]
    mean = real(1) / real(n)
    sums[:], g[:] = 0, 0
    for j in range(groups):
        multiply(w[j : j + 1], x, z[j : j + 1])
        square = nought(a)
        for i in range(n):
            h = relu(load(z, (j, i)))
            square += h * h
        inverse = where_positive(square, 1 / root(square * mean))
        weight = load(a, j) * load(gamma, j) * inverse
        store(ga, j, inverse)
        for k in range(b):
            store(sums, k, load(sums, k) + weight * relu(load(z, (j, batch[k]))))
    for k in range(b):
        r[k] = real(factor(logistic)) / real(b) * residual(total(load(sums, k)), y[k], logistic)
        g[batch[k]] += r[k]
    for j in range(groups):
        inverse, gu = load(ga, j), nought(a)
        for k in range(b):
            gu += r[k] * relu(load(z, (j, batch[k])))
        gu = gu * inverse
        weight, shared = load(a, j) * load(gamma, j) * inverse, gu * inverse * mean
        store(ga, j, load(gamma, j) * gu)
        store(gg, j, load(a, j) * gu)
        for i in range(n):
            h = relu(load(z, (j, i)))
            store(z, (j, i), weight * (where_positive(h, nought(a) + g[i]) - shared * h))
        multiply(z[j : j + 1], columns, gw[j : j + 1])


@part
def _three_layer_gradient(w, v, a, x, columns, y, logistic, z, h, hidden, p, gw, gv, ga):  # type: ignore[no-untyped-def]
    """Gradient of the loss on the rows x (b, inputs), which `columns` holds transposed, with targets y (b,).

    Scratch: z and p (groups, b or more, LANES), h (b or more, groups, LANES), hidden (m, b or more).
    """
    real, groups, lanes, b, m = a.dtype.type, a.shape[0], a.shape[1], x.shape[0], v.shape[0]
    entries = h.reshape((h.shape[0], groups * lanes))
    multiply(w, x, z)
    for i in range(b):
        for j in range(groups):
            store(h, (i, j), relu(load(z, (j, i))))
        for j in range(m):
            hidden[j, i] = entries[i, j]
    multiply(swapped(v), entries[:b], p)
    for i in range(b):
        f = nought(a)
        for k in range(groups):
            f += load(a, k) * relu(load(p, (k, i)))
        g = real(factor(logistic)) / real(b) * residual(total(f), y[i], logistic)
        for k in range(groups):
            pre = load(p, (k, i))
            store(ga, k, g * relu(pre) + (load(ga, k) if i > 0 else nought(a)))
            store(p, (k, i), where_positive(pre, g * load(a, k)))
    multiply(p[:, :b], hidden, swapped(gv))
    for j in range(m):
        for i in range(b):
            back = nought(a)
            for k in range(groups):
                back += load(p, (k, i)) * load(v, (j, k))
            z[j // lanes, i, j % lanes] = total(back) if entries[i, j] > 0 else real(0)
    multiply(z[:, :b], columns, gw)


@part
def _activation(z, j, mask):  # type: ignore[no-untyped-def]
    """h of the neurons of group j."""
    if mask is None:
        return relu(z)
    return load(mask, j) * softplus(z)[0]


@part
def _signal(z, h, v, mask):  # type: ignore[no-untyped-def]
    """h'(z) v"""
    if mask is None:
        return where_positive(h, v)
    return softplus(z)[1] * v


@part
def _project(w, norm):  # type: ignore[no-untyped-def]
    """w <- norm w / ||w||. Returns 0 if all of it is finite, else NaN."""
    return _move(w, norm / np.sqrt(_square(w)), norm - norm, w, w)


@part
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


@part
def _square(gradient):  # type: ignore[no-untyped-def]
    """The sum of squares of all entries."""
    shape = (gradient.size // gradient.shape[-1], gradient.shape[-1])
    gradient, square = gradient.reshape(shape), nought(gradient)
    for j in range(shape[0]):
        v = load(gradient, j)
        square += v * v
    return total(square)


@part
def _radius(rho, square):  # type: ignore[no-untyped-def]
    """rho / ||grad||, and 0 where the gradient is exactly zero."""
    return rho / np.sqrt(square) if square > 0 else 0 * square
