"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of the no-bias, bias and Sim-LN networks, BLOCK of them at a time.

With one sample x the gradient of the first layer is rank one, g_W = l'(f) v x^T with v = d f / d z, so the perturbed
pre-activations are z + c ||x||^2 v with the scalar c = rho sign(l') / sqrt(||v||^2 ||x||^2 + ||d f / d a||^2): the second
forward and backward of SAM cost O(m). Step s changes W to k_s (k W - u_s x_s^T), with k = 1 - lr weight_decay and k_s = 1, or
what the projection scales by. Hence the pre-activations of the steps s = 0, 1, ... of a block that begins at W are

    z_s = p_s W x_s - sum_{r<s} p_sr (x_r . x_s) u_r,   p_s = (k k_0) ... (k k_(s-1)),   p_sr = k_r (k k_(r+1)) ... (k k_(s-1))

and one sweep over W applies a block's updates and multiplies by the next block's samples: 4 m d flops a step, in registers.
Blocks begin anew with each epoch, so that cutting epochs into calls changes no rounding. The projection's norm follows by

    ||k W - u x^T||^2 = k^2 ||W||^2 - 2 k u . z + ||u||^2 ||x||^2

from ||W||^2, which each sweep sums anew.

Of a relu network only neurons active at the perturbed point change: u is 0 elsewhere. A neuron inactive at the unperturbed point
is not perturbed, so stays inactive. With softplus all are active.

Overflow. Half a unit in the last place of the largest float32 is 1e31: adding less cannot make a finite parameter overflow. A block
whose steps add more than 1e30 somewhere, or NaN, or leave too little of W to know its norm, is handed back as if it had not begun,
for steps that look at every parameter.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.activations import softplus
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, scratch, store, total, where_positive
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual

BLOCK = 4  # a block's updates and products, two registers each, just fit in 32 registers; 8 was slower
KEPT = 0.01  # share of the squares that must be left after a step, for a projection's norm to have lost no more than two digits


@kernel
def steps(w, a, x, order, targets, begin, lr, rho, keep, norm, epsilon, logistic, mask, limit):  # type: ignore[no-untyped-def]
    """Steps begin, begin + 1, ... of those on the samples `order` (epochs, n) with targets alike.

    w (groups, inputs, LANES) and a (groups, LANES) are changed in place; x (n, groups of inputs, LANES). keep: k, None where
    neither weight decay nor projection shrinks W. norm: what W is scaled to after each step, or 0. epsilon: Sim-LN's floor,
    None for the plain networks. logistic: as in `losses`. mask (groups, LANES): 1 for neurons and 0 for what fills the last group,
    for softplus; None for relu. limit: of the sum of squares of all u and of what is added to a, over a block.
    Returns the first step not carried out: that of a block beyond the limit, or the number of steps.
    """
    real = a.dtype.type
    rate, radius, one, n = real(factor(logistic) * lr), real(rho), real(1), order.shape[1]
    u, z, h, v = scratch((BLOCK, *a.shape), a), scratch((BLOCK, *a.shape), a), scratch(a.shape, a), scratch(a.shape, a)
    last, new = np.zeros((w.shape[1], BLOCK), a.dtype), np.zeros((w.shape[1], BLOCK), a.dtype)
    gram, lengths, before = np.zeros((BLOCK, BLOCK), a.dtype), np.empty(BLOCK, a.dtype), scratch(a.shape, a)
    exact, shares = np.ones(BLOCK + 1), np.ones(BLOCK + 1, a.dtype)
    entries = x.reshape((x.shape[0], x.shape[1] * x.shape[2]))
    u[:] = 0
    t = begin
    while t < order.size:
        epoch, first = divmod(t, n)
        count = min(BLOCK, n - first)
        _take(x, entries, order[epoch, first : first + count], new, gram, lengths)
        square = _sweep(w, u, z, _share(keep, shares, BLOCK), norm, last, new)
        _copy(a, before)
        exact[:], shares[:], added = 1, one, nought(a)
        for s in range(count):
            target, length = targets[epoch, first + s], lengths[s]
            parts = _shares_at(s, keep, shares, gram)
            if mask is None:
                added += _relu_step(s, z, u, a, parts, target, length, rate, radius, keep, epsilon, logistic)
            else:
                added += _softplus_step(s, z, u, a, parts, h, v, mask, target, length, rate, radius, keep, logistic)
            if keep is not None and norm > 0:
                exact[s] = _projection(s, z, u, keep, norm, square, length)
                square = norm * norm
                added += 0 * exact[s]  # NaN where the projection is
            if keep is not None:
                scale = keep * exact[s]
                for r in range(s):
                    exact[r] *= scale
                exact[BLOCK] *= scale
                for r in range(BLOCK + 1):
                    shares[r] = exact[r]
        if not total(added) < limit:
            _copy(before, a)
            return t
        for s in range(count):
            for p in range(w.shape[1]):
                last[p, s] = _scaled(_share(keep, shares, s), new[p, s])
        last[:, count:] = 0
        t += count
    _sweep(w, u, z, _share(keep, shares, BLOCK), norm, last, new)
    return t


@part
def _relu_step(s, z, u, a, parts, target, length, rate, radius, keep, epsilon, logistic):  # type: ignore[no-untyped-def]
    """z_s corrected, u_s and the new a. Returns the squares of what the step adds, neuron by neuron."""
    zero = a.dtype.type(0)
    dot, hh, vv = _forward(s, z, u, a, parts)
    scale, pull = inverse_norm(dot, hh, epsilon)
    if epsilon is not None:
        vv = _slope(s, z, a, pull)
    q = (hh + length * vv) * scale * scale
    c = radius * np.sign(residual(dot * scale, target, logistic)) / np.sqrt(q) if q > zero else zero
    c, reach = c * scale, c * scale * length
    pull2 = pull
    if radius > 0:
        dot, hh = _ascend(s, z, a, pull, reach, c)
        scale, pull2 = inverse_norm(dot, hh, epsilon)
    step = rate * residual(dot * scale, target, logistic) * scale
    return _descend(s, z, u, a, keep, pull, reach, c, step, pull2)


@part
def _softplus_step(s, z, u, a, parts, h, v, mask, target, length, rate, radius, keep, logistic):  # type: ignore[no-untyped-def]
    """The same for softplus; h and v (groups, LANES) are scratch: the activations, and d f / d z."""
    zero = a.dtype.type(0)
    f, hh, vv = _softplus_forward(s, z, u, a, parts, h, v, mask)
    if radius > 0:
        q = hh + length * vv
        c = radius * np.sign(residual(f, target, logistic)) / np.sqrt(q) if q > zero else zero
        f = _softplus_ascend(s, z, a, h, v, mask, c * length, c)
    return _softplus_descend(s, u, a, h, v, keep, rate * residual(f, target, logistic))


@part
def _copy(a, out):  # type: ignore[no-untyped-def]
    """out <- a, (groups, LANES). An assignment to `out[:]` takes seconds to compile: it could have to say that shapes differ."""
    for j in range(a.shape[0]):
        store(out, j, load(a, j))


@part
def _share(keep, shares, s):  # type: ignore[no-untyped-def]
    """What the block's steps have scaled u_s by, or W for s = BLOCK; None where nothing scales."""
    if keep is None:
        return None
    return shares[s]


@part
def _scaled(keep, v):  # type: ignore[no-untyped-def]
    """keep v; v itself where keep is None, which is known when the kernel is compiled and saves the product."""
    if keep is None:
        return v
    return keep * v


@part
def _projection(s, z, u, keep, norm, square, length):  # type: ignore[no-untyped-def]
    """What scales keep W - u_s x_s^T to the norm, where ||W||^2 is `square` and W x_s is z_s; NaN where too little of W is left to
    know its norm from these numbers."""
    uz, uu = nought(u), nought(u)
    for j in range(u.shape[1]):
        v = load(u, (s, j))
        uz += v * load(z, (s, j))
        uu += v * v
    parts = keep * keep * square + length * total(uu)
    left = parts - 2 * keep * total(uz)
    return norm / np.sqrt(left) if left > KEPT * parts else np.nan


@part
def _take(x, entries, samples, new, gram, lengths):  # type: ignore[no-untyped-def]
    """The samples as columns of `new`, their squared lengths, and x_r . x_s as gram[s, r] for r < s.

    x (n, groups, LANES) and entries (n, groups * LANES) are the same numbers.
    """
    for s in range(samples.shape[0]):
        i = samples[s]
        for p in range(new.shape[0]):
            new[p, s] = entries[i, p]
        lengths[s] = _dot(x, i, i)
        for r in range(s):
            gram[s, r] = _dot(x, samples[r], i)


@part
def _dot(x, i, k):  # type: ignore[no-untyped-def]
    """x_i . x_k"""
    dot = nought(x)
    for q in range(x.shape[1]):
        dot += load(x, (i, q)) * load(x, (k, q))
    return total(dot)


@part
def _sweep(w, u, z, keep, norm, last, new):  # type: ignore[no-untyped-def]
    """W <- keep W - sum_r u_r last_r^T and z_r <- W new_r, in one pass. Returns ||W||^2 where there is a norm to keep, else 0."""
    square = nought(w)
    for j in range(w.shape[0]):
        u0, u1, u2, u3 = load(u, (0, j)), load(u, (1, j)), load(u, (2, j)), load(u, (3, j))
        z0, z1, z2, z3 = nought(w), nought(w), nought(w), nought(w)
        for p in range(w.shape[1]):
            v = _scaled(keep, load(w, (j, p))) - u0 * last[p, 0] - u1 * last[p, 1] - u2 * last[p, 2] - u3 * last[p, 3]
            store(w, (j, p), v)
            if keep is not None and norm > 0:
                square += v * v
            z0 += v * new[p, 0]
            z1 += v * new[p, 1]
            z2 += v * new[p, 2]
            z3 += v * new[p, 3]
        store(z, (0, j), z0)
        store(z, (1, j), z1)
        store(z, (2, j), z2)
        store(z, (3, j), z3)
    return np.float64(total(square))


@part
def _shares_at(s, keep, shares, gram):  # type: ignore[no-untyped-def]
    """What z_s is made of: the multiples of W x_s, and of u_0, u_1, u_2."""
    g0, g1, g2 = gram[s, 0], gram[s, 1], gram[s, 2]
    own = _share(keep, shares, BLOCK)
    return own, _scaled(_share(keep, shares, 0), g0), _scaled(_share(keep, shares, 1), g1), _scaled(_share(keep, shares, 2), g2)


@part
def _corrected(s, j, z, u, parts):  # type: ignore[no-untyped-def]
    """z_s, with the corrections for the block's earlier steps."""
    own, g0, g1, g2 = parts
    return _scaled(own, load(z, (s, j))) - g0 * load(u, (0, j)) - g1 * load(u, (1, j)) - g2 * load(u, (2, j))


@part
def _forward(s, z, u, a, parts):  # type: ignore[no-untyped-def]
    """z_s corrected; a . h, ||h||^2 and the squared length of a's active part."""
    f, hh, aa = nought(a), nought(a), nought(a)
    for j in range(a.shape[0]):
        v = _corrected(s, j, z, u, parts)
        store(z, (s, j), v)
        h, active = relu(v), where_positive(v, load(a, j))
        f += h * active
        hh += h * h
        aa += active * active
    return total(f), total(hh), total(aa)


@part
def _slope(s, z, a, pull):  # type: ignore[no-untyped-def]
    """||a - pull h||^2 over active neurons: d f / d z up to the norm. Not from the sums of `_forward`, which would cancel."""
    vv = nought(a)
    for j in range(a.shape[0]):
        h = load(z, (s, j))
        v = where_positive(h, load(a, j) - pull * h)
        vv += v * v
    return total(vv)


@part
def _perturbed(z, a, pull, reach, c):  # type: ignore[no-untyped-def]
    """Activation and second layer at the perturbed point: relu(z + reach (a - pull h)) where z > 0, and a + c h."""
    h = relu(z)
    return where_positive(z, relu(z + reach * (a - pull * h))), a + c * h


@part
def _ascend(s, z, a, pull, reach, c):  # type: ignore[no-untyped-def]
    """a . h and ||h||^2 at the perturbed point."""
    f, hh = nought(a), nought(a)
    for j in range(a.shape[0]):
        h, b = _perturbed(load(z, (s, j)), load(a, j), pull, reach, c)
        f += b * h
        hh += h * h
    return total(f), total(hh)


@part
def _descend(s, z, u, a, shrink, pull, reach, c, step, pull2):  # type: ignore[no-untyped-def]
    """u_s and the new second layer. Returns the squares of what the step adds, neuron by neuron."""
    added = nought(a)
    for j in range(a.shape[0]):
        old = load(a, j)
        h, b = _perturbed(load(z, (s, j)), old, pull, reach, c)
        v, change = step * where_positive(h, b - pull2 * h), step * h
        store(u, (s, j), v)
        store(a, j, _scaled(shrink, old) - change)
        added += v * v + change * change
    return added


@part
def _softplus_forward(s, z, u, a, parts, h, v, mask):  # type: ignore[no-untyped-def]
    """z_s corrected, h and v; a . h, ||h||^2 and ||v||^2."""
    f, hh, vv = nought(a), nought(a), nought(a)
    for j in range(a.shape[0]):
        pre = _corrected(s, j, z, u, parts)
        store(z, (s, j), pre)
        on, slope = softplus(pre)
        on, slope = load(mask, j) * on, load(a, j) * slope
        store(h, j, on)
        store(v, j, slope)
        f += on * load(a, j)
        hh += on * on
        vv += slope * slope
    return total(f), total(hh), total(vv)


@part
def _softplus_ascend(s, z, a, h, v, mask, reach, c):  # type: ignore[no-untyped-def]
    """h and v at the perturbed point, in place of those at the unperturbed one; a . h there."""
    f = nought(a)
    for j in range(a.shape[0]):
        b = load(a, j) + c * load(h, j)
        on, slope = softplus(load(z, (s, j)) + reach * load(v, j))
        on = load(mask, j) * on
        store(h, j, on)
        store(v, j, b * slope)
        f += b * on
    return total(f)


@part
def _softplus_descend(s, u, a, h, v, keep, step):  # type: ignore[no-untyped-def]
    """As `_descend`."""
    added = nought(a)
    for j in range(a.shape[0]):
        first, change = step * load(v, j), step * load(h, j)
        store(u, (s, j), first)
        store(a, j, _scaled(keep, load(a, j)) - change)
        added += first * first + change * change
    return added


@part
def inverse_norm(dot, square, epsilon):  # type: ignore[no-untyped-def]
    """Sim-LN: 1 / max(||h||, epsilon), and the multiple (a.h) / ||h||^2 of h that the norm's derivative subtracts from a."""
    if epsilon is None:
        return 0 * dot + 1, 0 * dot
    if square > epsilon * epsilon:
        return 1 / np.sqrt(square), dot / square
    return 1 / epsilon, 0 * dot
