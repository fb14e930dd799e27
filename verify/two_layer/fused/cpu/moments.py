"""Owns what the steps of Sim-BN keep of a neuron: second moments, activations, and which samples may flip.

M_j = sum_k 1[z_kj > 0] x_k x_k^T and V_j = M_j w_j. reach[j, k] bounds from below the length of w_j's path at which it can meet
sample k's kink: the path so far and |z_kj| / ||x_k|| when it was last looked at. So only samples within reach are looked at, and
flips are found as if all were. Lengths of paths and reach are in units of `1 / per`, which weight decay and projection change.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import below, first_bit, load, nought, relu, store, total

SURE = 0.99  # of a distance: what is left when distances and paths are rounded
SAME, TOUCHED, NEW = 0, 1, 2  # activations as at the epoch's start, flipped since, found to differ at an epoch's start


@kernel
def norms(x, apart, groups):  # type: ignore[no-untyped-def]
    """||x_k||, (n,); SURE / ||x_k|| into `apart` (groups, LANES), infinite where there is no sample."""
    entries, lengths = apart.reshape(apart.size), np.empty(x.shape[0], x.dtype)
    entries[:] = np.inf
    for k in range(x.shape[0]):
        lengths[k] = np.sqrt(dot(x, k, x, k, groups))
        entries[k] = x.dtype.type(SURE) / lengths[k]
    return lengths


@part
def begin(j, w, x, xt, apart, lengths, tiny, exact, z, v, on, reach, path, size, trace, squares, changed, moment, groups):  # type: ignore[no-untyped-def]
    """All that is kept of a neuron, from its weights."""
    path[j], size[j], trace[j] = 0, np.sqrt(dot(w, j, w, j, groups)), 0
    squares[j] = direct(w, j, x, xt, z, v, j)
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
        second_moments(j, x, on, moment)
    changed[j] = SAME


@part
def direct(w, j, x, xt, z, v, r):  # type: ignore[no-untyped-def]
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
def second_moments(j, x, on, moment):  # type: ignore[no-untyped-def]
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
def dot(rows, j, others, k, groups):  # type: ignore[no-untyped-def]
    """Row j of `rows` times row k of `others`."""
    s = nought(rows)
    for p in range(len(groups)):
        s += load(rows, (j, p)) * load(others, (k, p))
    return total(s)


@part
def product(moment, j, g, columns, r, out):  # type: ignore[no-untyped-def]
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
def within(r, j, far, count, reach, at, sample):  # type: ignore[no-untyped-def]
    """List the samples within `far` of neuron j under r, from entry `count` on. Returns the number of entries."""
    for g in range(reach.shape[1]):
        bits = below(load(reach, (j, g)), far)
        while bits:
            at[count], sample[count] = r, g * reach.shape[2] + first_bit(bits)
            bits &= bits - np.uint64(1)
            count += 1
    return count


@part
def look(count, at, sample, moving, neuron, c, b, w, e, x, distances, on, per, tiny, path, size, bounds, v2, groups):  # type: ignore[no-untyped-def]
    """Correct rows h of v2 for those of the listed samples that flip between w_j and w_j + c b e."""
    for o in range(count):
        h, k = at[o], sample[o]
        j = neuron[moving[h]]
        s = dot(w, j, x, k, groups)
        bounds[j, k] = path[j] + (distances[k] * abs(s) * per - tiny * (size[j] + path[j]))
        s += c * b[moving[h]] * dot(e, h, x, k, groups)
        if (s > 0) != (on[k, j] > 0):
            for p in range(len(groups)):
                store(v2, (h, p), load(v2, (h, p)) + abs(s) * load(x, (k, p)))


@part
def flip(count, at, sample, w, x, lengths, distances, on, per, tiny, path, size, bounds, v, trace, changed, moment, groups):  # type: ignore[no-untyped-def]
    """Turn those of the listed samples that have flipped on the way to w_j on or off."""
    for o in range(count):
        j, k = at[o], sample[o]
        s = dot(w, j, x, k, groups)
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
