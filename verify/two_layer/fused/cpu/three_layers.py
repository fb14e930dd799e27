"""Owns the single-sample steps (SGD, 1-SAM) of three layers, f = a . relu(V h), h = relu(z), z = W x.

All gradients of one sample are rank one: with g = relu(V h), delta = a 1[V h > 0] and d = (V^T delta) 1[z > 0],

    grad f = (g, delta h^T, d x^T) in (a, V, W)

SAM's other point is (a + c g, V + c delta h^T, W + c d x^T), c = rho sign(l') / ||grad f||. Its activations are
h' = relu(z + c ||x||^2 d): a neuron inactive in the first layer is not perturbed, so stays inactive. Hence

    V h' = V h + c ||x||^2 V d + sum over neurons turned off of (h'_j - z'_j) v_j,   V' h' = V h' + c (h . h') delta
    V'^T delta' = V^T delta' + c (delta . delta') h

Columns v_j of V lie one after the other, and a step touches only those of active neurons, three times: for V h; for v_j . delta
and V d together; for v_j . delta' and the update of v_j together. V does not fit beside anything else in the second cache (1 MB of
float32 for 500 neurons), its active half does. V is `scale` times the stored columns, so that weight decay changes one number.

Overflow: a step that may add more than 1e15 somewhere, or NaN, is handed back before it begins, for steps that look at every
parameter; ||d|| is bounded by ||V|| ||delta||, and ||V|| by what the steps have added to it. So is one after which less than half of
||W|| may be left, where W is then projected: its norm is never 0.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, scratch, store, total, where_positive
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual

LIMIT = 1e30  # of the sum of squares that a step adds


@kernel
def steps(w, v, a, x, order, targets, begin, lr, rho, keep, norm, logistic):  # type: ignore[no-untyped-def]
    """Steps begin, begin + 1, ... of those on the samples `order` (epochs, n) with targets alike.

    w (groups, inputs, LANES), v (m, groups, LANES), which are the columns of V, and a (groups, LANES) are changed in place;
    x (n, inputs). keep: 1 - lr weight_decay, between 1/2 and 1. norm: what W is scaled to after each step, or 0. logistic: as in
    `losses`. Returns the first step not carried out: one beyond the limit, or the number of steps.
    """
    n, m = order.shape[1], v.shape[0]
    rate, last, shrink, scale, bound = factor(logistic) * lr, x[0], 1.0, 1.0, 0.0
    u, z, h, p = scratch(a.shape, a), scratch(a.shape, a), scratch(a.shape, a), scratch(a.shape, a)
    delta, back, vd, clipped = scratch(a.shape, a), scratch(a.shape, a), scratch(a.shape, a), scratch(a.shape, a)
    everyone, on, off = np.arange(m), np.empty(m, np.int64), np.empty(m, np.int64)
    h_up, delta_up, a_up, on_up = h, delta, a, on
    if rho > 0:
        h_up, delta_up, a_up, on_up = scratch(a.shape, a), scratch(a.shape, a), scratch(a.shape, a), np.empty(m, np.int64)
    lengths = _lengths(x)
    u[:], t = 0, begin
    while t < order.size:
        epoch, first = divmod(t, n)
        i, target = order[epoch, first], targets[epoch, first]
        if first == 0 or t == begin:
            bound, scale = _rescale(v, scale), 1.0
        length, square = lengths[i], _sweep(w, u, shrink, last, x[i], norm, z)
        hh = _relu(z, h)
        count = _select(h, everyone, m, on, off)
        p[:] = 0
        _add_columns(v, on, count, h, p)
        f, gg, dd = _second_layer(p, a, scale, delta)
        hh_up, count_up, dd_up, both, spread = hh, count, dd, 0.0, 0.0
        if rho > 0:
            back[:], vd[:] = 0, 0
            _backward(v, on, count, delta, back, vd)
            q = gg + dd * hh + length * scale * scale * _dot(back, back)
            c = 0.0 if q == 0 else rho * np.sign(residual(f, target, logistic)) / np.sqrt(q)
            reach = c * length * scale
            hh_up, cross = _ascend(z, h, back, reach, h_up, clipped)
            count_up = _select(h_up, on, count, on_up, off)
            _ascend_second(p, a, vd, delta, reach, c * cross / scale, c * scale, a_up)
            _add_columns(v, off, count - count_up, clipped, p)
            f, gg, dd_up = _second_layer(p, a_up, scale, delta_up)
            both, spread = c * _dot(delta, delta_up), np.abs(c) * np.sqrt(dd * hh)
        step = rate * residual(f, target, logistic)
        first_layer = step * step * dd_up * (bound + spread) ** 2 * length
        shrinks = norm > 0 and not 4 * first_layer < keep * keep * square
        if shrinks or not step * step * (gg + dd_up * hh_up) + first_layer < LIMIT:
            _rescale(v, scale)
            return t  # the sweep has already brought W up to date
        _descend_columns(v, on_up, count_up, delta_up, h_up, step / (keep * scale), back)
        _descend(p, a, keep, step * scale, h, h_up, back, step * both, u)
        bound = keep * bound + np.abs(step) * np.sqrt(dd_up * hh_up)
        last, shrink, scale = x[i], keep, keep * scale
        if norm > 0:
            shrink = norm / np.sqrt(_sweep(w, u, keep, last, last, norm, z))
            u[:] = 0
        if scale < 0.5:
            bound, scale = _rescale(v, scale), 1.0
        t += 1
    _sweep(w, u, shrink, last, last, norm, z)
    _rescale(v, scale)
    return t


@part
def _rescale(v, scale):  # type: ignore[no-untyped-def]
    """v <- scale v. Returns its norm."""
    square = nought(v)
    for j in range(v.shape[0]):
        for q in range(v.shape[1]):
            column = scale * load(v, (j, q))
            store(v, (j, q), column)
            square += column * column
    return np.sqrt(np.float64(total(square)))


@kernel
def _lengths(x):  # type: ignore[no-untyped-def]
    """||x_i||^2, (n,)."""
    lengths = np.zeros(x.shape[0])
    for i in range(x.shape[0]):
        for p in range(x.shape[1]):
            lengths[i] += x[i, p] * x[i, p]
    return lengths


@part
def _sweep(w, u, shrink, last, new, norm, z):  # type: ignore[no-untyped-def]
    """W <- shrink W - u last^T and z <- W new, in one pass. Returns ||W||^2 where there is a norm to keep, else 0."""
    square = nought(w)
    for j in range(w.shape[0]):
        old, product = load(u, j), nought(w)
        for p in range(w.shape[1]):
            row = shrink * load(w, (j, p)) - old * last[p]
            store(w, (j, p), row)
            if norm > 0:
                square += row * row
            product += row * new[p]
        store(z, j, product)
    return np.float64(total(square))


@part
def _relu(z, h):  # type: ignore[no-untyped-def]
    """h <- relu(z). Returns ||h||^2, NaN if a z is."""
    hh = nought(h)
    for j in range(h.shape[0]):
        active = relu(load(z, j))
        store(h, j, active)
        hh += active * active
    return total(hh)


@part
def _select(h, among, count, on, off):  # type: ignore[no-untyped-def]
    """Of the first `count` neurons in `among`, those with h > 0 into `on` and the others into `off`; how many are on. No branch to
    be mispredicted."""
    entries, k = h.reshape(h.size), 0
    for r in range(count):
        j = among[r]
        on[k], off[r - k] = j, j
        k += entries[j] > 0
    return k


@part
def _dot(u, v):  # type: ignore[no-untyped-def]
    """u . v"""
    product = nought(u)
    for j in range(u.shape[0]):
        product += load(u, j) * load(v, j)
    return total(product)


@part
def _add_columns(v, active, count, h, p):  # type: ignore[no-untyped-def]
    """p <- p + sum of h_j v_j over the first `count` neurons j of `active`."""
    entries, fours = h.reshape(h.size), count - count % 4
    for r in range(0, fours, 4):
        i, j, k, o = active[r], active[r + 1], active[r + 2], active[r + 3]
        hi, hj, hk, ho = entries[i], entries[j], entries[k], entries[o]
        for q in range(p.shape[0]):
            store(p, q, load(p, q) + hi * load(v, (i, q)) + hj * load(v, (j, q)) + hk * load(v, (k, q)) + ho * load(v, (o, q)))
    for r in range(fours, count):
        i = active[r]
        for q in range(p.shape[0]):
            store(p, q, load(p, q) + entries[i] * load(v, (i, q)))


@part
def _backward(v, active, count, delta, back, vd):  # type: ignore[no-untyped-def]
    """back_j <- v_j . delta for the first `count` neurons j of `active`, and vd <- vd + sum of back_j v_j."""
    entries, fours = back.reshape(back.size), count - count % 4
    for r in range(0, fours, 4):
        i, j, k, o = active[r], active[r + 1], active[r + 2], active[r + 3]
        si, sj, sk, so = nought(vd), nought(vd), nought(vd), nought(vd)
        for q in range(vd.shape[0]):
            d = load(delta, q)
            si += d * load(v, (i, q))
            sj += d * load(v, (j, q))
            sk += d * load(v, (k, q))
            so += d * load(v, (o, q))
        entries[i], entries[j], entries[k], entries[o] = total(si), total(sj), total(sk), total(so)
        _add_columns(v, active[r : r + 4], 4, back, vd)
    for r in range(fours, count):
        i, si = active[r], nought(vd)
        for q in range(vd.shape[0]):
            si += load(delta, q) * load(v, (i, q))
        entries[i] = total(si)
        _add_columns(v, active[r : r + 1], 1, back, vd)


@part
def _descend_columns(v, active, count, delta, h, step, back):  # type: ignore[no-untyped-def]
    """back_j <- v_j . delta, and v_j <- v_j - step h_j delta after it, for the first `count` neurons j of `active`."""
    entries, sums, fours = h.reshape(h.size), back.reshape(back.size), count - count % 4
    for r in range(0, fours, 4):
        i, j, k, o = active[r], active[r + 1], active[r + 2], active[r + 3]
        hi, hj, hk, ho = step * entries[i], step * entries[j], step * entries[k], step * entries[o]
        si, sj, sk, so = nought(v), nought(v), nought(v), nought(v)
        for q in range(delta.shape[0]):
            d, vi, vj, vk, vo = load(delta, q), load(v, (i, q)), load(v, (j, q)), load(v, (k, q)), load(v, (o, q))
            si += d * vi
            sj += d * vj
            sk += d * vk
            so += d * vo
            store(v, (i, q), vi - hi * d)
            store(v, (j, q), vj - hj * d)
            store(v, (k, q), vk - hk * d)
            store(v, (o, q), vo - ho * d)
        sums[i], sums[j], sums[k], sums[o] = total(si), total(sj), total(sk), total(so)
    for r in range(fours, count):
        i, si = active[r], nought(v)
        for q in range(delta.shape[0]):
            d, vi = load(delta, q), load(v, (i, q))
            si += d * vi
            store(v, (i, q), vi - step * entries[i] * d)
        sums[i] = total(si)


@part
def _second_layer(p, a, scale, delta):  # type: ignore[no-untyped-def]
    """delta <- a 1[p > 0]. Returns a . g, ||g||^2 and ||delta||^2, with g = scale relu(p)."""
    f, gg, dd = nought(a), nought(a), nought(a)
    for j in range(a.shape[0]):
        v = load(p, j)
        g, active = scale * relu(v), where_positive(v, load(a, j))
        store(delta, j, active)
        f += g * active
        gg += g * g
        dd += active * active
    return total(f), total(gg), total(dd)


@part
def _ascend(z, h, back, reach, h_up, clipped):  # type: ignore[no-untyped-def]
    """h' = relu(z') with z' = z + reach back where h > 0, and h' - z' there. Returns ||h'||^2 and h . h'."""
    hh, cross = nought(h), nought(h)
    for j in range(h.shape[0]):
        old, v = load(h, j), load(z, j) + reach * load(back, j)
        up = where_positive(old, relu(v))
        store(h_up, j, up)
        store(clipped, j, up - v)
        hh += up * up
        cross += old * up
    return total(hh), total(cross)


@part
def _ascend_second(p, a, vd, delta, along, across, c, a_up):  # type: ignore[no-untyped-def]
    """a' = a + c relu(p), then p <- p + along vd + across delta."""
    for j in range(a.shape[0]):
        v = load(p, j)
        store(a_up, j, load(a, j) + c * relu(v))
        store(p, j, v + along * load(vd, j) + across * load(delta, j))


@part
def _descend(p, a, keep, step, h, h_up, back, both, u):  # type: ignore[no-untyped-def]
    """a <- keep a - step relu(p), and u = step back + both h where h' > 0."""
    for j in range(a.shape[0]):
        store(a, j, keep * load(a, j) - step * relu(load(p, j)))
        store(u, j, where_positive(load(h_up, j), step * load(back, j) + both * load(h, j)))
