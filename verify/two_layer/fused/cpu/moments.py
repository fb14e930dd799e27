"""Owns what the steps of Sim-BN keep of a neuron: second moments, activations, and which samples may flip.

M_j = sum_k 1[z_kj > 0] x_k x_k^T and V_j = M_j w_j. reach[j, k] bounds from below the length of w_j's path at which it can meet
sample k's kink: the path so far and |z_kj| / ||x_k|| when it was last looked at. So only samples within reach are looked at, and
flips are found as if all were. Paths and reach are in units of `1 / per`, which weight decay and projection change.

Functions take `groups`, of any kind and as long as there are vectors of inputs: a tuple's length is known when they are compiled.
"""

from typing import Any, NamedTuple

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.lanes import below, first_bit, load, nought, relu, scratch, store, swapped, total
from flatproof.verify.two_layer.fused.cpu.products import multiply

SURE = 0.99  # of a distance: what is left when distances and paths are rounded
SAME, TOUCHED, NEW = 0, 1, 2  # activations as at the epoch's start, flipped since, found to differ at an epoch's start


class Samples(NamedTuple):
    """x (n, groups, LANES) and xt (inputs, groups, LANES): with vectors along inputs and along samples. lengths: ||x_k||, (n,).
    apart: SURE / ||x_k||, infinite where there is no sample, (groups, LANES), and as distances (groups * LANES,)."""

    x: Any
    xt: Any
    lengths: Any
    apart: Any
    distances: Any


class Kept(NamedTuple):
    """v, M (m, inputs, groups, LANES), on (n, m): activations, reach (m, groups, LANES), and as bounds (m, groups * LANES). Of each
    neuron, (m,): path, size: ||w|| at the epoch's start, trace of M, squares: n s^2, changed: SAME, TOUCHED or NEW."""

    v: Any
    moment: Any
    on: Any
    reach: Any
    bounds: Any
    path: Any
    size: Any
    trace: Any
    squares: Any
    changed: Any


@kernel
def samples_of(x, xt, groups):  # type: ignore[no-untyped-def]
    """`Samples`."""
    apart, lengths = scratch(xt.shape[1:], x), np.empty(x.shape[0], x.dtype)
    distances = apart.reshape(apart.size)
    distances[:] = np.inf
    for k in range(x.shape[0]):
        lengths[k] = np.sqrt(dot(x, k, x, k, groups))
        distances[k] = x.dtype.type(SURE) / lengths[k]
    return Samples(x, xt, lengths, apart, distances)


@kernel
def kept_of(w, samples):  # type: ignore[no-untyped-def]
    """`Kept`, to be filled by `begin`."""
    m, n = w.shape[0], samples.x.shape[0]
    reach, numbers = scratch((m, *samples.apart.shape), w), np.empty((4, m), w.dtype)
    bounds = reach.reshape((m, samples.apart.size))
    moment = scratch((m, samples.xt.shape[0], *w.shape[1:]), w)
    on, changed = np.zeros((n, m), np.uint8), np.full(m, NEW, np.uint8)
    return Kept(scratch(w.shape, w), moment, on, reach, bounds, numbers[0], numbers[1], numbers[2], numbers[3], changed)


@kernel
def begin(w, samples, tiny, exact, h, kept, groups):  # type: ignore[no-untyped-def]
    """All that is kept, from the weights; h (like reach) is scratch. exact: whether sums of second moments have no rounding."""
    x, m = samples.x, w.shape[0]
    multiply(swapped(samples.xt), w.reshape((m, w.shape[1] * w.shape[2])), swapped(kept.reach))
    for j in range(m):
        square = nought(w)
        for g in range(h.shape[1]):
            s = relu(load(kept.reach, (j, g)))
            store(h, (j, g), s)
            square += s * s
        kept.squares[j] = total(square)
    multiply(swapped(x), h.reshape((m, h.shape[1] * h.shape[2])), swapped(kept.v))
    for j in range(m):
        _begin(j, w, samples, tiny, exact, kept, groups)


@part
def _begin(j, w, samples, tiny, exact, kept, groups):  # type: ignore[no-untyped-def]
    """What is left to do for a neuron of which `reach` has the pre-activations."""
    kept.path[j], kept.size[j], kept.trace[j] = 0, np.sqrt(dot(w, j, w, j, groups)), 0
    for k in range(samples.lengths.shape[0]):
        now = np.uint8(kept.bounds[j, k] > 0)
        if now != kept.on[k, j]:
            kept.on[k, j], kept.changed[j] = now, NEW
        if now:
            kept.trace[j] += samples.lengths[k] * samples.lengths[k]
    for g in range(kept.reach.shape[1]):
        s = load(kept.reach, (j, g))
        store(kept.reach, (j, g), load(samples.apart, g) * (relu(s) + relu(0 - s)) - tiny * kept.size[j])
    if kept.changed[j] == NEW or (kept.changed[j] == TOUCHED and not exact):
        _second_moments(j, samples.x, kept.on, kept.moment)
    kept.changed[j] = SAME


@part
def _second_moments(j, x, on, moment):  # type: ignore[no-untyped-def]
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
def direct(w, j, samples, h, v, r):  # type: ignore[no-untyped-def]
    """v_r <- sum_k h_k x_k for the activations h of the weights w_j. Returns sum_k h_k^2. h (1 or more, groups, LANES) is scratch."""
    x, square, lanes = samples.x, nought(w), h.shape[2]
    for g in range(h.shape[1]):
        s = nought(w)
        for p in range(samples.xt.shape[0]):
            s += w[j, p // lanes, p % lanes] * load(samples.xt, (p, g))
        s = relu(s)
        store(h, (0, g), s)
        square += s * s
    for p in range(x.shape[1]):
        s = nought(w)
        for k in range(x.shape[0]):
            s += h[0, k // lanes, k % lanes] * load(x, (k, p))
        store(v, (r, p), s)
    return total(square)


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
def within(rows, neurons, far, many, reach, bits, count, at, sample):  # type: ignore[no-untyped-def]
    """List the samples within far[o] of neuron neurons[o], o < many, as `at` (rows[o]) and `sample`, from entry `count` on. Returns
    the number of entries. bits (m, groups) is scratch: first all is read, then listed, which no wrong guess at a branch delays."""
    for o in range(many):
        for g in range(reach.shape[1]):
            bits[o, g] = below(load(reach, (neurons[o], g)), far[o])
    for o in range(many):
        for g in range(reach.shape[1]):
            left = bits[o, g]
            while left:
                at[count], sample[count] = rows[o], g * reach.shape[2] + first_bit(left)
                left &= left - np.uint64(1)
                count += 1
    return count


@part
def _distance(j, k, s, samples, per, tiny, kept):  # type: ignore[no-untyped-def]
    """Note that w_j . x_k is s where the path is now."""
    kept.bounds[j, k] = kept.path[j] + (samples.distances[k] * abs(s) * per - tiny * (kept.size[j] + kept.path[j]))


@part
def look(count, at, sample, neurons, far, b, w, e, samples, per, tiny, kept, v2, groups):  # type: ignore[no-untyped-def]
    """Correct rows h of v2 for those of the listed samples that flip between w_j and w_j + far b_h e_h, for j = neurons[h]."""
    x = samples.x
    for o in range(count):
        h, k = at[o], sample[o]
        j = neurons[h]
        s = dot(w, j, x, k, groups)
        _distance(j, k, s, samples, per, tiny, kept)
        s += far * b[h] * dot(e, h, x, k, groups)
        if (s > 0) != (kept.on[k, j] > 0):
            for p in range(len(groups)):
                store(v2, (h, p), load(v2, (h, p)) + abs(s) * load(x, (k, p)))


@part
def flip(count, at, sample, w, samples, per, tiny, kept, groups):  # type: ignore[no-untyped-def]
    """Turn those of the listed samples that have flipped on the way to w_j on or off, j = at."""
    x, v, moment = samples.x, kept.v, kept.moment
    for o in range(count):
        j, k = at[o], sample[o]
        s = dot(w, j, x, k, groups)
        _distance(j, k, s, samples, per, tiny, kept)
        if (s > 0) != (kept.on[k, j] > 0):
            sign = x.dtype.type(1 - 2 * np.int64(kept.on[k, j]))
            kept.on[k, j], kept.changed[j] = 1 - kept.on[k, j], TOUCHED
            kept.trace[j] += sign * samples.lengths[k] * samples.lengths[k]
            for p in range(len(groups)):
                store(v, (j, p), load(v, (j, p)) + abs(s) * load(x, (k, p)))
            for p in range(moment.shape[1]):
                entry = sign * x[k, p // x.shape[2], p % x.shape[2]]
                for g in range(len(groups)):
                    store(moment, (j, p, g), load(moment, (j, p, g)) + entry * load(x, (k, g)))
