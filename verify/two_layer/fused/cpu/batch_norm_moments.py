"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of Sim-BN on second moments, for few inputs.

Notation as in `batch_norm`. With M_j = sum_k 1[z_kj > 0] x'_k x'_k^T and V_j = M_j w_j,

    n s_j^2 = w_j . V_j,   e_j = x'_i - k_j V_j,   k_j = u_ij / (n s_j)

so a neuron's statistic and gradient need no other sample. SAM's point w + c b e has V + c b M e, the update w - r b e the moments
V - r b M e: two products with M_j, which stays in the nearest cache between them, for the neurons active on the current sample.
Samples whose activation flips on the way are corrected: |z_k| x'_k is added to V, and M changes by x'_k x'_k^T where the flip stays.

Which samples may flip. `reach[j, k]` bounds from below the length of w_j's path at which it can meet sample k's kink: the path so
far and |z_kj| / ||x'_k|| when it was last looked at. Only samples within reach are looked at, so flips are found as if all were.

Rounding. M w loses twice the digits that z = X w loses where z is small beside ||w|| ||x||: there V is summed over the samples anew.
All of V, reach and the activations is computed anew at each epoch, M where it has changed and is not in exact integers: what an
epoch does depends on the parameters alone.

Floor, d = 30, m = 500, n = 100 in float32: 225 active neurons, 2 products of 31 x 32 each, 0.45 million multiply-adds, 7 thousand
cycles of two registers of 16; and 0.9 MB of M read once, 14 thousand cycles at a cache line each.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import (
    below,
    first_bit,
    load,
    nought,
    relu,
    root,
    scratch,
    store,
    total,
    where_positive,
)
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual

TOGETHER = 8  # neurons whose moments fit into the nearest cache together; at most LANES
DIGITS = 1e-3  # share of ||w||^2 tr M that w . V must be, for w . V to be summed from moments
SURE = 0.99  # of a distance: what is left when distances and paths are rounded
SAME, TOUCHED, NEW = 0, 1, 2  # activations as at the epoch's start, flipped since, found to differ at an epoch's start


@kernel
def batch_norm(w, a, gamma, x, xt, order, targets, lr, rho, keep, norm, logistic, exact, groups):  # type: ignore[no-untyped-def]
    """Epochs of steps on the samples `order` (epochs, n) with targets alike.

    w (m, groups, LANES), a neuron's inputs filled up with zeros, a and gamma (m,) are changed in place. x (n, groups, LANES) and
    xt (inputs, groups, LANES): the training inputs, with vectors along inputs and along samples. keep: 1 - lr weight_decay, positive.
    norm: what w is scaled to after each step, or 0. logistic: whether the loss is, else the mean squared error. exact: whether all
    moments are integers that the precision holds. groups: of any kind and as long as there are groups of inputs; a tuple's length
    is known when the kernel is compiled.
    Returns the first step after which a parameter is not finite, or -1.
    """
    real, m, n, inputs = a.dtype.type, a.shape[0], x.shape[0], xt.shape[0]
    zero, one, mean, radius, decay = real(0), real(1), real(1 / n), real(rho), real(keep)
    rate = real((factor(True) if logistic else factor(None)) * lr)
    v, moment = scratch(w.shape, w), scratch((m, inputs, w.shape[1], w.shape[2]), w)
    reach, z, apart = scratch((m, xt.shape[1], xt.shape[2]), w), scratch((1, xt.shape[1], xt.shape[2]), w), scratch(xt.shape[1:], w)
    e, w2, v2, q = scratch(w.shape, w), scratch(w.shape, w), scratch(w.shape, w), scratch(w.shape, w)
    scalars = scratch((8, (m + TOGETHER - 1) // TOGETHER, w.shape[2]), w)
    scalars[:] = 0
    a2, g2, u, b, k, move, square, least = scalars
    path, size, trace = np.zeros_like(a), np.empty_like(a), np.empty_like(a)
    on, changed, neuron = np.zeros((n, m), np.uint8), np.full(m, NEW, np.uint8), np.empty(m + 1, np.uintp)
    bounds, columns = reach.reshape((m, reach.shape[1] * reach.shape[2])), e.reshape((m, w.shape[1] * w.shape[2]))
    at, sample = np.empty(TOGETHER * n, np.uintp), np.empty(TOGETHER * n, np.uintp)
    lengths, distances = _lengths(x, apart, groups), apart.reshape(apart.size)
    tiny, unit, t = real((inputs + 8) * np.finfo(a.dtype).eps), one, 0
    for epoch in range(order.shape[0]):
        for position in range(order.shape[1]):
            i, y = order[epoch, position], targets[epoch, position]
            if position == 0 or not real(1e-6) < unit < real(1e6):
                unit = one
                for j in range(m):
                    _begin(j, w, x, xt, apart, lengths, tiny, exact, z, v, on, reach, path, size, trace, changed, moment, groups)
            per, active, f, c = one / unit, _active(i, on, neuron), zero, zero
            squares = zero
            for start in range(0, active, TOGETHER):
                stop = min(start + TOGETHER, active)
                _gather(start, stop, neuron, w, v, a, gamma, path, size, trace, unit, w2, v2, a2, g2, least, groups)
                fs, ss = _gradient(start, stop, i, w2, v2, a2, g2, least, mean, x, xt, z, square, u, b, k, e, move, groups)
                f += fs
                squares += ss
            if rho > 0:
                slope = real(residual(f, y, True) if logistic else residual(f, y, None))
                c = real(radius * np.sign(slope) / np.sqrt(squares)) if squares > zero else zero * squares
                f = zero
            for start in range(0, active, TOGETHER):
                stop = min(start + TOGETHER, active)
                if rho > 0:
                    _ascend(start, stop, neuron, c, moment, columns, u, b, e, w2, v2, a2, g2, groups)
                    near = _near(start, stop, neuron, abs(c), per, move, path, reach, at, sample)
                    _look(start, near, at, sample, neuron, c, b, w, e, x, distances, on, per, tiny, path, size, bounds, v2, groups)
                    f += _gradient(start, stop, i, w2, v2, a2, g2, least, mean, x, xt, z, square, u, b, k, e, move, groups)[0]
                for r in range(start, stop):
                    _multiply(moment, neuron[r], columns, r, q, groups)
            step = rate * real(residual(f, y, True) if logistic else residual(f, y, None))
            if keep != 1:
                w *= decay
                v *= decay
                a *= decay
                gamma *= decay
                unit *= decay
                per = one / unit
            if _descend(active, neuron, step, per, u, b, e, q, move, a2, g2, a, gamma, w, v, path, groups) != zero:
                return t
            for start in range(0, active, TOGETHER):
                near = _near(start, min(start + TOGETHER, active), neuron, abs(step), zero, move, path, reach, at, sample)
                _flip(
                    start, near, at, sample, neuron, w, x, lengths, distances, on, per, tiny, path, size, bounds, v, trace, changed,
                    moment, groups,
                )  # fmt: skip
            if norm > 0:
                scale = real(norm) / np.sqrt(_square(w))
                if scale - scale != zero:
                    return t
                w *= scale
                v *= scale
                unit *= scale
            t += 1
    return -1


@kernel
def _lengths(x, apart, groups):  # type: ignore[no-untyped-def]
    """||x_k||, (n,); SURE / ||x_k|| into `apart` (groups, LANES), infinite where there is no sample."""
    entries, lengths = apart.reshape(apart.size), np.empty(x.shape[0], x.dtype)
    entries[:] = np.inf
    for k in range(x.shape[0]):
        lengths[k] = np.sqrt(_dot(x, k, x, k, groups))
        entries[k] = x.dtype.type(SURE) / lengths[k]
    return lengths


@part
def _begin(j, w, x, xt, apart, lengths, tiny, exact, z, v, on, reach, path, size, trace, changed, moment, groups):  # type: ignore[no-untyped-def]
    """All that is kept of a neuron, from its weights."""
    path[j], size[j], trace[j] = 0, np.sqrt(_dot(w, j, w, j, groups)), 0
    _direct(w, j, x, xt, z, v, j)
    for g in range(apart.shape[0]):
        s = load(z, (0, g))
        store(reach, (j, g), load(apart, g) * (relu(s) + relu(0 - s)) - tiny * size[j])
        for k in range(g * z.shape[2], min(x.shape[0], (g + 1) * z.shape[2])):
            now = np.uint8(z[0, g, k - g * z.shape[2]] > 0)
            if now != on[k, j]:
                on[k, j], changed[j] = now, NEW
            if now:
                trace[j] += lengths[k] * lengths[k]
    if changed[j] == NEW or (changed[j] == TOUCHED and not exact):
        _moments(j, x, on, moment)
    changed[j] = SAME


@part
def _direct(w, j, x, xt, z, v, r):  # type: ignore[no-untyped-def]
    """Pre-activations of the weights w_j into z, sum_k h_k x_k into v_r. Returns sum_k h_k^2."""
    square, lanes = nought(w), z.shape[2]
    for g in range(xt.shape[1]):
        s = nought(w)
        for p in range(xt.shape[0]):
            s += w[j, p // lanes, p % lanes] * load(xt, (p, g))
        store(z, (0, g), s)
        h = relu(s)
        square += h * h
    for p in range(x.shape[1]):
        s = nought(w)
        for g in range(z.shape[1]):
            for k in range(g * lanes, min(x.shape[0], (g + 1) * lanes)):
                s += max(z[0, g, k - g * lanes], x.dtype.type(0)) * load(x, (k, p))
        store(v, (r, p), s)
    return total(square)


@part
def _moments(j, x, on, moment):  # type: ignore[no-untyped-def]
    """M_j of the samples that are on, in their order."""
    lanes = x.shape[2]
    for p in range(moment.shape[1]):
        for g in range(moment.shape[2]):
            s = nought(x)
            for k in range(x.shape[0]):
                if on[k, j]:
                    s += x[k, p // lanes, p % lanes] * load(x, (k, g))
            store(moment, (j, p, g), s)


@part
def _active(i, on, neuron):  # type: ignore[no-untyped-def]
    """The neurons that are on for sample i into `neuron`; how many."""
    active = 0
    for j in range(on.shape[1]):
        neuron[active] = j
        active += on[i, j]
    return active


@part
def _gather(start, stop, neuron, w, v, a, gamma, path, size, trace, unit, w2, v2, a2, g2, least, groups):  # type: ignore[no-untyped-def]
    """Parameters and moments of some active neurons, side by side, and the least w . V that moments may give."""
    c = start // TOGETHER
    for r in range(start, stop):
        j, o = neuron[r], r - start
        far = unit * (size[j] + path[j])
        a2[c, o], g2[c, o], least[c, o] = a[j], gamma[j], a.dtype.type(DIGITS) * trace[j] * far * far
        for p in range(len(groups)):
            store(w2, (r, p), load(w, (j, p)))
            store(v2, (r, p), load(v, (j, p)))


@part
def _square(w):  # type: ignore[no-untyped-def]
    """The sum of squares of all entries."""
    square = nought(w)
    for j in range(w.shape[0]):
        for p in range(w.shape[1]):
            square += load(w, (j, p)) * load(w, (j, p))
    return total(square)


@part
def _dot(rows, j, others, k, groups):  # type: ignore[no-untyped-def]
    """Row j of `rows` times row k of `others`."""
    s = nought(rows)
    for p in range(len(groups)):
        s += load(rows, (j, p)) * load(others, (k, p))
    return total(s)


@part
def _product(moment, j, g, columns, r, out):  # type: ignore[no-untyped-def]
    """Vector g of M_j times row r of `columns`; M is symmetric."""
    fours = moment.shape[1] - moment.shape[1] % 4
    s0, s1, s2, s3 = nought(out), nought(out), nought(out), nought(out)
    for p in range(0, fours, 4):
        s0 += columns[r, p] * load(moment, (j, p, g))
        s1 += columns[r, p + 1] * load(moment, (j, p + 1, g))
        s2 += columns[r, p + 2] * load(moment, (j, p + 2, g))
        s3 += columns[r, p + 3] * load(moment, (j, p + 3, g))
    for p in range(fours, moment.shape[1]):
        s0 += columns[r, p] * load(moment, (j, p, g))
    return (s0 + s1) + (s2 + s3)


@part
def _multiply(moment, j, columns, r, q, groups):  # type: ignore[no-untyped-def]
    """Row r of q <- M_j e_r."""
    for g in range(len(groups)):
        store(q, (r, g), _product(moment, j, g, columns, r, q))


@part
def _ascend(start, stop, neuron, far, moment, columns, u, b, e, w2, v2, a2, g2, groups):  # type: ignore[no-untyped-def]
    """Parameters and moments to SAM's point, the latter as if no sample flipped."""
    c = start // TOGETHER
    old, other, share = load(a2, c), load(g2, c), far * load(u, c)
    store(a2, c, old + share * other)
    store(g2, c, other + share * old)
    for r in range(start, stop):
        j, shift = neuron[r], far * b[c, r - start]
        for g in range(len(groups)):
            store(w2, (r, g), load(w2, (r, g)) + shift * load(e, (r, g)))
            store(v2, (r, g), load(v2, (r, g)) + shift * _product(moment, j, g, columns, r, v2))


@part
def _gradient(start, stop, i, w, v, a, gamma, least, mean, x, xt, z, square, u, b, k, e, move, groups):  # type: ignore[no-untyped-def]
    """u_i, b, e and ||b e|| of rows start to stop; b is 0 for a neuron inactive on sample i. Returns their parts of f_i and of
    ||grad f_i||^2. v is summed over the samples where w . v is below `least`."""
    c = start // TOGETHER
    for r in range(start, stop):
        s, dot = nought(w), nought(w)
        for p in range(len(groups)):
            s += load(w, (r, p)) * load(v, (r, p))
            dot += load(w, (r, p)) * load(x, (i, p))
        square[c, r - start], u[c, r - start] = total(s), total(dot)
    for o in range(stop - start, w.shape[2]):
        square[c, o] = 0
    bits = below(load(square, c) - load(least, c), 0)
    while bits:
        o = first_bit(bits)
        bits &= bits - np.uint64(1)
        if o < stop - start:
            square[c, o] = _direct(w, start + o, x, xt, z, v, start + o)
    ss, dots, product = load(square, c), load(u, c), load(a, c) * load(gamma, c)
    inverse = where_positive(ss, 1 / root(ss * mean))
    us = relu(dots) * inverse
    bs = where_positive(dots, product * inverse)
    store(u, c, us)
    store(b, c, bs)
    store(k, c, us * inverse * mean)
    for r in range(start, stop):
        s = nought(e)
        for p in range(len(groups)):
            new = load(x, (i, p)) - k[c, r - start] * load(v, (r, p))
            store(e, (r, p), new)
            s += new * new
        move[c, r - start] = total(s)
    moves = load(move, c) * bs * bs
    store(move, c, root(moves))
    return total(product * us), total(us * us * (load(a, c) * load(a, c) + load(gamma, c) * load(gamma, c)) + moves)


@part
def _descend(active, neuron, step, per, u, b, e, q, move, a2, g2, a, gamma, w, v, path, groups):  # type: ignore[no-untyped-def]
    """The update of parameters, moments and paths. Returns 0 if all is finite, else NaN."""
    bad, wrong, far = nought(w), step - step, abs(step) * per
    for start in range(0, active, TOGETHER):
        c = start // TOGETHER
        for r in range(start, min(start + TOGETHER, active)):
            o, j = r - start, neuron[r]
            change, shift = step * u[c, o], -step * b[c, o]
            a[j] -= change * g2[c, o]
            gamma[j] -= change * a2[c, o]
            path[j] += far * move[c, o]
            wrong += (a[j] - a[j]) + (gamma[j] - gamma[j])
            for p in range(len(groups)):
                new = load(w, (j, p)) + shift * load(e, (r, p))
                store(w, (j, p), new)
                store(v, (j, p), load(v, (j, p)) + shift * load(q, (r, p)))
                bad += new - new
    return wrong + total(bad)


@part
def _near(start, stop, neuron, far, per, move, path, reach, at, sample):  # type: ignore[no-untyped-def]
    """The samples that rows start to stop can meet within far * `move` more of their path, as `at` (row) and `sample`; how many."""
    count, lanes, c = 0, reach.shape[2], start // TOGETHER
    for r in range(start, stop):
        j = neuron[r]
        ahead = far * move[c, r - start]
        if ahead > 0:
            for g in range(reach.shape[1]):
                bits = below(load(reach, (j, g)), path[j] + ahead * per)
                while bits:
                    at[count], sample[count] = r - start, g * lanes + first_bit(bits)
                    bits &= bits - np.uint64(1)
                    count += 1
    return count


@part
def _look(start, count, at, sample, neuron, far, b, w, e, x, distances, on, per, tiny, path, size, bounds, v2, groups):  # type: ignore[no-untyped-def]
    """Correct rows of v2 for the samples that flip between w_j and w_j + far b e."""
    c = start // TOGETHER
    for h in range(count):
        o, k = at[h], sample[h]
        r = np.uintp(start) + o
        j = neuron[r]
        s = _dot(w, j, x, k, groups)
        bounds[j, k] = path[j] + (distances[k] * abs(s) * per - tiny * (size[j] + path[j]))
        s += far * b[c, o] * _dot(e, r, x, k, groups)
        if (s > 0) != (on[k, j] > 0):
            for p in range(len(groups)):
                store(v2, (r, p), load(v2, (r, p)) + abs(s) * load(x, (k, p)))


@part
def _flip(start, count, at, sample, neuron, w, x, lengths, distances, on, per, tiny, path, size, bounds, v, trace, changed, moment, groups):  # type: ignore[no-untyped-def]  # noqa: E501
    """Turn the samples that have flipped on the way to w_j on or off."""
    for h in range(count):
        k, j = sample[h], neuron[np.uintp(start) + at[h]]
        s = _dot(w, j, x, k, groups)
        bounds[j, k] = path[j] + (distances[k] * abs(s) * per - tiny * (size[j] + path[j]))
        if (s > 0) != (on[k, j] > 0):
            sign = x.dtype.type(1 - 2 * np.int64(on[k, j]))
            on[k, j], changed[j] = 1 - on[k, j], TOUCHED
            trace[j] += sign * lengths[k] * lengths[k]
            for p in range(len(groups)):
                store(v, (j, p), load(v, (j, p)) + abs(s) * load(x, (k, p)))
            for p in range(moment.shape[1]):
                for g in range(len(groups)):
                    entry = x[k, p // x.shape[2], p % x.shape[2]]
                    store(moment, (j, p, g), load(moment, (j, p, g)) + (sign * entry) * load(x, (k, g)))
