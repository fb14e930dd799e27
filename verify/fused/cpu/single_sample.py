"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of the no-bias, bias and Sim-LN networks, BLOCK of them at a time.

With one sample x the gradient of the first layer is rank one, g_W = 2 r v x^T with v = d f / d z, so the perturbed
pre-activations are z + c ||x||^2 v with the scalar c = rho sign(r) / sqrt(||v||^2 ||x||^2 + ||d f / d a||^2): the second
forward and backward of SAM cost O(m). Step s changes W by -u_s x_s^T with a vector u_s that is zero on inactive neurons. Hence,
with k = 1 - lr weight_decay, the pre-activations of the steps s = 0, 1, ... of a block that begins at W are

    z_s = k^s W x_s - sum_{r<s} k^(s-1-r) (x_r . x_s) u_r

and one sweep over W applies a block's updates and multiplies by the next block's samples: 4 m d flops a step, in registers.
Blocks begin anew with each epoch, so that cutting epochs into calls changes no rounding.

Only neurons active at the perturbed point change; a neuron inactive at the unperturbed one is not perturbed, so stays inactive.

Overflow. Half a unit in the last place of the largest float32 is 1e31: adding less cannot make a finite parameter overflow. A block
whose steps add more than 1e30 somewhere, or NaN, is handed back as if it had not begun, for steps that look at every parameter.
"""

import numpy as np

from theory.compiled import kernel
from verify.fused.cpu.lanes import load, nought, relu, scratch, store, total, where_positive

BLOCK = 4  # a block's updates and products, two registers each, just fit in 32 registers; 8 was slower (0.35 µs a step for 0.28)


@kernel
def steps(w, a, x, order, targets, begin, lr, rho, powers, epsilon, limit):  # type: ignore[no-untyped-def]
    """Steps begin, begin + 1, ... of those on the samples `order` (epochs, n) with labels `targets` alike.

    w (groups, inputs, LANES) and a (groups, LANES) are changed in place; x (n, groups of inputs, LANES). powers: k^0, ..., k^BLOCK,
    None without weight decay. epsilon: Sim-LN's floor, None for the plain networks. limit: of the sum of squares of all u and of
    what is added to a, over a block. Returns the first step not carried out: that of a block beyond the limit, or the number of
    steps.
    """
    real = a.dtype.type
    zero, rate, radius, n = real(0), real(2 * lr), real(rho), order.shape[1]
    u, z = scratch((BLOCK, *a.shape), a), scratch((BLOCK, *a.shape), a)
    last, new = np.zeros((w.shape[1], BLOCK), a.dtype), np.zeros((w.shape[1], BLOCK), a.dtype)
    gram, lengths, before = np.zeros((BLOCK, BLOCK), a.dtype), np.empty(BLOCK, a.dtype), scratch(a.shape, a)
    entries = x.reshape((x.shape[0], x.shape[1] * x.shape[2]))
    u[:] = 0
    done, t = 0, begin  # steps of the last block, and before the next
    while t < order.size:
        epoch, first = divmod(t, n)
        count = min(BLOCK, n - first)
        _take(x, entries, order[epoch, first : first + count], powers, new, gram, lengths)
        _sweep(w, u, z, _power(powers, done), last, new)
        before[:] = a
        added = nought(a)
        for s in range(count):
            length, y = lengths[s], targets[epoch, first + s]
            dot, hh, vv = _forward(s, z, u, a, _power(powers, s), gram)
            scale, pull = inverse_norm(dot, hh, epsilon)
            if epsilon is not None:
                vv = _slope(s, z, a, pull)
            q = (hh + length * vv) * scale * scale
            c = radius * np.sign(dot * scale - y) / np.sqrt(q) if q > zero else zero
            c, reach = c * scale, c * scale * length
            pull2 = pull
            if rho > 0:
                dot, hh = _ascend(s, z, a, pull, reach, c)
                scale, pull2 = inverse_norm(dot, hh, epsilon)
            step = rate * (dot * scale - y) * scale
            added += _descend(s, z, u, a, _power(powers, 1), pull, reach, c, step, pull2)
        if not total(added) < limit:
            a[:] = before
            return t
        for s in range(count):
            for p in range(w.shape[1]):
                last[p, s] = _scaled(_power(powers, count - 1 - s), new[p, s])
        last[:, count:] = 0
        done, t = count, t + count
    _sweep(w, u, z, _power(powers, done), last, new)
    return t


@kernel
def _power(powers, s):  # type: ignore[no-untyped-def]
    """k^s, or None without weight decay."""
    if powers is None:
        return None
    return powers[s]


@kernel
def _scaled(keep, v):  # type: ignore[no-untyped-def]
    """keep v; v itself where keep is None, which is known when the kernel is compiled and saves the product."""
    if keep is None:
        return v
    return keep * v


@kernel
def _take(x, entries, samples, powers, new, gram, lengths):  # type: ignore[no-untyped-def]
    """The samples as columns of `new`, their squared lengths, and k^(s-1-r) (x_r . x_s) as gram[s, r] for r < s.

    x (n, groups, LANES) and entries (n, groups * LANES) are the same numbers.
    """
    for s in range(samples.shape[0]):
        i = samples[s]
        for p in range(new.shape[0]):
            new[p, s] = entries[i, p]
        lengths[s] = _dot(x, i, i)
        for r in range(s):
            gram[s, r] = _scaled(_power(powers, s - 1 - r), _dot(x, samples[r], i))


@kernel
def _dot(x, i, k):  # type: ignore[no-untyped-def]
    """x_i . x_k"""
    dot = nought(x)
    for q in range(x.shape[1]):
        dot += load(x, (i, q)) * load(x, (k, q))
    return total(dot)


@kernel
def _sweep(w, u, z, keep, last, new):  # type: ignore[no-untyped-def]
    """W <- keep W - sum_r u_r last_r^T and z_r <- W new_r, in one pass."""
    for j in range(w.shape[0]):
        u0, u1, u2, u3 = load(u, (0, j)), load(u, (1, j)), load(u, (2, j)), load(u, (3, j))
        z0, z1, z2, z3 = nought(w), nought(w), nought(w), nought(w)
        for p in range(w.shape[1]):
            v = _scaled(keep, load(w, (j, p))) - u0 * last[p, 0] - u1 * last[p, 1] - u2 * last[p, 2] - u3 * last[p, 3]
            store(w, (j, p), v)
            z0 += v * new[p, 0]
            z1 += v * new[p, 1]
            z2 += v * new[p, 2]
            z3 += v * new[p, 3]
        store(z, (0, j), z0)
        store(z, (1, j), z1)
        store(z, (2, j), z2)
        store(z, (3, j), z3)


@kernel
def _forward(s, z, u, a, keep, gram):  # type: ignore[no-untyped-def]
    """z_s with the corrections for the block's earlier steps; a . h, ||h||^2 and the squared length of a's active part."""
    f, hh, aa = nought(a), nought(a), nought(a)
    g0, g1, g2 = gram[s, 0], gram[s, 1], gram[s, 2]
    for j in range(a.shape[0]):
        v = _scaled(keep, load(z, (s, j))) - g0 * load(u, (0, j)) - g1 * load(u, (1, j)) - g2 * load(u, (2, j))
        store(z, (s, j), v)
        h, active = relu(v), where_positive(v, load(a, j))
        f += h * active
        hh += h * h
        aa += active * active
    return total(f), total(hh), total(aa)


@kernel
def _slope(s, z, a, pull):  # type: ignore[no-untyped-def]
    """||a - pull h||^2 over active neurons: d f / d z up to the norm. Not from the sums of `_forward`, which would cancel."""
    vv = nought(a)
    for j in range(a.shape[0]):
        h = load(z, (s, j))
        v = where_positive(h, load(a, j) - pull * h)
        vv += v * v
    return total(vv)


@kernel
def _perturbed(z, a, pull, reach, c):  # type: ignore[no-untyped-def]
    """Activation and second layer at the perturbed point: relu(z + reach (a - pull h)) where z > 0, and a + c h."""
    h = relu(z)
    return where_positive(z, relu(z + reach * (a - pull * h))), a + c * h


@kernel
def _ascend(s, z, a, pull, reach, c):  # type: ignore[no-untyped-def]
    """a . h and ||h||^2 at the perturbed point."""
    f, hh = nought(a), nought(a)
    for j in range(a.shape[0]):
        h, b = _perturbed(load(z, (s, j)), load(a, j), pull, reach, c)
        f += b * h
        hh += h * h
    return total(f), total(hh)


@kernel
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


@kernel
def inverse_norm(dot, square, epsilon):  # type: ignore[no-untyped-def]
    """Sim-LN: 1 / max(||h||, epsilon), and the multiple (a.h) / ||h||^2 of h that the norm's derivative subtracts from a."""
    if epsilon is None:
        return 0 * dot + 1, 0 * dot
    if square > epsilon * epsilon:
        return 1 / np.sqrt(square), dot / square
    return 1 / epsilon, 0 * dot
