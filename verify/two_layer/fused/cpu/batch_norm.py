"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of Sim-BN.

With u = h / s, b = a gamma / s and e_j = x'_i - (u_ij / s_j) (1/n) sum_k h_kj x'_k, the gradient of f_i in w_j is b_j e_j. It
vanishes for neurons inactive on the current sample, so a step gathers the active ones. All pre-activations X w_j on the training
set are kept, and computed anew where w_j changes: two products (active x n x inputs) at the current point, two at SAM's. Here a
neuron is a row, and vectors run along its inputs or along the samples.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, scratch, store, swapped, total
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual
from flatproof.verify.two_layer.fused.cpu.products import multiply


@kernel
def batch_norm(w, a, gamma, x, xt, order, targets, lr, rho, inner, outer, keep, norm, logistic, leave):  # type: ignore[no-untyped-def]
    """Epochs of steps on the samples `order` (epochs, n) with targets alike.

    w (m, groups, LANES), a neuron's inputs filled up with zeros, a and gamma (m,) are changed in place. x (n, groups, LANES) and
    xt (inputs, groups, LANES): the training inputs, with vectors along inputs and along samples. keep: 1 - lr weight_decay.
    norm: what w is scaled to after each step, or 0. logistic: as in `losses`.
    inner, outer: whether SAM moves w, and a and gamma. leave: whether to end at an epoch at which `still` becomes true.
    Returns the first step after which a parameter is not finite, or -1; and the epochs done.
    """
    real, m = a.dtype.type, a.shape[0]
    zero, rate, radius, decay = real(0), real(factor(logistic) * lr), real(rho), real(keep)
    z = scratch((m, xt.shape[1], xt.shape[2]), a)
    z2, h, e, w2 = scratch(z.shape, z), scratch(z.shape, z), scratch(w.shape, w), scratch(w.shape, w)
    neuron, u, b, k = np.empty(m, np.int64), np.empty_like(a), np.empty_like(a), np.empty_like(a)
    a2, g2 = np.empty_like(a), np.empty_like(a)
    entries, scaled, t = _entries(z), keep != 1 or norm > 0, 0
    for epoch in range(order.shape[0]):
        if leave and epoch > 0 and still(a, gamma):
            return -1, epoch
        for position in range(order.shape[1]):
            i, y = order[epoch, position], targets[epoch, position]
            if t == 0 or (scaled and position == 0):  # z is scaled below, which rounds otherwise than the product does
                _preactivations(w, xt, m, z)
            active = 0
            for j in range(m):
                if entries[j, i] > zero:
                    neuron[active], a2[active], g2[active] = j, a[j], gamma[j]
                    _add(z, j, zero, z, j, z2, active)
                    active += 1
            f = _gradient(active, i, x, z2, a2, g2, h, u, b, k, e)
            if rho > 0:
                c = _radius(radius, residual(f, y, logistic), active, inner, outer, a2, g2, u, b, e)
                move, share = c if inner else zero, c if outer else zero
                for r in range(active):
                    j = neuron[r]
                    a2[r], g2[r] = a[j] + share * gamma[j] * u[r], gamma[j] + share * a[j] * u[r]
                    _add(w, j, move * b[r], e, r, w2, r)
                _preactivations(w2, xt, active, z2)
                f = _gradient(active, i, x, z2, a2, g2, h, u, b, k, e)
            step = rate * residual(f, y, logistic)
            if keep != 1:
                _scale(w, decay)
                _scale(z, decay)
                for j in range(m):
                    a[j] *= decay
                    gamma[j] *= decay
            wrong = step - step
            for r in range(active):
                j, change = neuron[r], step * u[r]
                a[j] -= change * g2[r]
                gamma[j] -= change * a2[r]
                wrong += _add(w, j, -step * b[r], e, r, w, j) + (a[j] - a[j]) + (gamma[j] - gamma[j])
                _add(w, j, zero, w, j, w2, r)
            if wrong != zero:
                return t, epoch
            _preactivations(w2, xt, active, z2)
            for r in range(active):
                _add(z2, r, zero, z2, r, z, neuron[r])
            if norm > 0:
                scale = norm / np.sqrt(_square(w))
                if scale - scale != zero:
                    return t, epoch
                _scale(w, scale)
                _scale(z, scale)
            t += 1
    return -1, order.shape[0]


@kernel
def still(a, gamma):  # type: ignore[no-untyped-def]
    """Whether a quarter of the neurons have an a gamma, hence a gradient in w, beside which that of another is all but rounding."""
    largest, count, eps = a.dtype.type(0), 0, np.finfo(a.dtype).eps
    for j in range(a.shape[0]):
        largest = max(largest, abs(a[j] * gamma[j]))
    for j in range(a.shape[0]):
        count += abs(a[j] * gamma[j]) <= eps * largest
    return 4 * count >= a.shape[0]


@kernel
def _entries(rows):  # type: ignore[no-untyped-def]
    """Rows (m, groups, LANES) as (m, groups * LANES)."""
    return rows.reshape((rows.shape[0], rows.shape[1] * rows.shape[2]))


@part
def _preactivations(w, xt, count, z):  # type: ignore[no-untyped-def]
    """z <- w X^T for the first `count` rows."""
    multiply(swapped(xt), _entries(w)[:count], swapped(z))


@part
def _add(start, i, factor, direction, r, out, k):  # type: ignore[no-untyped-def]
    """Row k of out <- row i of start + factor * row r of direction. Returns 0 if the row is finite, else NaN."""
    wrong = nought(out)
    for q in range(out.shape[1]):
        v = load(start, (i, q)) + factor * load(direction, (r, q))
        store(out, (k, q), v)
        wrong += v - v
    return total(wrong)


@part
def _scale(rows, factor):  # type: ignore[no-untyped-def]
    """rows <- factor * rows, in the precision of the more precise of the two."""
    for j in range(rows.shape[0]):
        for q in range(rows.shape[1]):
            for lane in range(rows.shape[2]):
                rows[j, q, lane] *= factor


@part
def _square(w):  # type: ignore[no-untyped-def]
    """The sum of squares of all entries."""
    square = nought(w)
    for j in range(w.shape[0]):
        for q in range(w.shape[1]):
            square += load(w, (j, q)) * load(w, (j, q))
    return total(square)


@part
def _gradient(active, i, x, z, a, gamma, h, u, b, k, e):  # type: ignore[no-untyped-def]
    """For the neurons of the first `active` rows: u_i, b and e; b is 0 for one inactive on sample i. Returns f_i.

    h (rows like z) and k (m,) are scratch.
    """
    zero, mean, f = a.dtype.type(0), 1 / a.dtype.type(x.shape[0]), a.dtype.type(0)
    entries = _entries(h)
    for r in range(active):
        square = nought(a)
        for q in range(z.shape[1]):
            v = relu(load(z, (r, q)))
            store(h, (r, q), v)
            square += v * v
        s2, on = total(square) * mean, entries[r, i]
        inverse = 1 / np.sqrt(s2) if s2 > zero else zero
        u[r] = on * inverse
        k[r] = u[r] * inverse * mean
        b[r] = a[r] * gamma[r] * inverse if on > zero else zero
        f += a[r] * gamma[r] * u[r]
    multiply(swapped(x), entries[:active], swapped(e))
    for r in range(active):
        for q in range(e.shape[1]):
            store(e, (r, q), load(x, (i, q)) - k[r] * load(e, (r, q)))
    return f


@part
def _radius(rho, residual, active, inner, outer, a, gamma, u, b, e):  # type: ignore[no-untyped-def]
    """rho sign(f_i - y) / ||grad f_i||, the gradient in what moves, and 0 where it is exactly zero."""
    square = 0 * rho
    for r in range(active):
        ee = nought(e)
        for q in range(e.shape[1]):
            ee += load(e, (r, q)) * load(e, (r, q))
        if outer:
            square += u[r] * u[r] * (a[r] * a[r] + gamma[r] * gamma[r])
        if inner:
            square += b[r] * b[r] * total(ee)
    return rho * np.sign(residual) / np.sqrt(square) if square > 0 else 0 * rho
