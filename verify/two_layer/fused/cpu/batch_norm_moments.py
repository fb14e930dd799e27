"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of Sim-BN on second moments, for few inputs.

Notation as in `batch_norm`. With M_j = sum_k 1[z_kj > 0] x_k x_k^T and V_j = M_j w_j (`moments`),

    n s_j^2 = w_j . V_j,   e_j = x_i - k_j V_j,   k_j = u_ij / (n s_j)

so a neuron's statistic and gradient need no other sample. SAM's point w + c b e has V + c b M e, the update w - r b e the moments
V - r b M e: two products with M_j for the neurons active on the current sample. Samples whose activation flips on the way are
corrected: |z_k| x_k is added to V, and M changes by x_k x_k^T where the flip stays.

Neurons that stand still. Late in training most b_j are so small that c b e and r b e are below the rounding error of w_j; ||e_j|| is
at most ||x_i|| + u_ij max ||x_k||. Such a neuron takes part with its u, and costs neither product.

Rounding. M w loses twice the digits that z = X w loses where z is small beside ||w|| ||x||: there V is summed over the samples anew.
All of V, reach and the activations is computed anew at each epoch, M where it has changed and is not in exact integers: what an
epoch does depends on the parameters alone.

Floor, d = 30, m = 500, n = 100 in float32, all neurons moving: 225 active ones, 2 products of 31 x 32 each, 0.45 million
multiply-adds, 7 thousand cycles of two registers of 16; and 0.9 MB of M read twice, 28 thousand cycles at a cache line each.
"""

import numpy as np

from flatproof.theory.compiled import kernel, part
from flatproof.verify.two_layer.fused.cpu.batch_norm import still
from flatproof.verify.two_layer.fused.cpu.lanes import load, nought, relu, root, scratch, store, total, where_positive
from flatproof.verify.two_layer.fused.cpu.losses import factor, residual
from flatproof.verify.two_layer.fused.cpu.moments import begin, direct, dot, flip, kept_of, look, product, samples_of, within

DIGITS = 1e-3  # share of ||w||^2 tr M that w . V must be, for w . V to be summed from moments
LOST = 1 / 64  # of the rounding error of ||w_j||: a shorter move of w_j is lost
A, G, DOT, SS, U, B, K, FAR, SIZE = range(
    9
)  # of an active neuron: a, gamma, w . x_i, n s^2, u, b, k, a bound on ||b e||, on ||w||


@kernel
def batch_norm(w, a, gamma, x, xt, order, targets, lr, rho, inner, outer, keep, norm, logistic, exact, groups, leave):  # type: ignore[no-untyped-def]
    """Epochs of steps on the samples `order` (epochs, n) with targets alike.

    w (m, groups, LANES), a neuron's inputs filled up with zeros, a and gamma (m,) are changed in place. x (n, groups, LANES) and
    xt (inputs, groups, LANES): the training inputs, with vectors along inputs and along samples. keep: 1 - lr weight_decay, positive.
    norm: what w is scaled to after each step, or 0. logistic: whether the loss is, else the mean squared error. exact: whether all
    moments are integers that the precision holds. groups: as in `moments`.
    inner, outer: whether SAM moves w, and a and gamma. leave: whether to end at an epoch at which `still` becomes false.
    Returns the first step after which a parameter is not finite, or -1; and the epochs done.
    """
    real, m, n = a.dtype.type, a.shape[0], x.shape[0]
    zero, one, mean, radius, decay, eps = real(0), real(1), real(1 / n), real(rho), real(keep), real(np.finfo(a.dtype).eps)
    rate = real((factor(True) if logistic else factor(None)) * lr)
    samples = samples_of(x, xt, groups)
    kept, longest = kept_of(w, samples), samples.lengths.max()
    tiny, lost, unit, t = real(xt.shape[0] + 8) * eps, real(LOST) * eps, one, 0
    # rows of the active neurons; of those that move to SAM's point, e, w2 and v2; of those that the update moves, e
    blocks, h = scratch((9, (m + w.shape[2] - 1) // w.shape[2], w.shape[2]), w), scratch(kept.reach.shape, w)
    rows, e, w2, v2 = (
        blocks.reshape((9, blocks.shape[1] * blocks.shape[2])),
        scratch(w.shape, w),
        scratch(w.shape, w),
        scratch(w.shape, w),
    )
    columns, (neuron, moving, shifting, j1, j2) = e.reshape((m, w.shape[1] * w.shape[2])), np.empty((5, m + 1), np.uintp)
    slot, (b1, ahead, far) = np.empty(m, np.intp), np.empty((3, m), a.dtype)
    bits, (at, sample), (at2, sample2) = (
        np.empty((m, h.shape[1]), np.uint64),
        np.empty((2, m * n), np.uintp),
        np.empty((2, 2 * m * n), np.uintp),
    )
    every = np.arange(m).astype(np.uintp)
    for epoch in range(order.shape[0]):
        if leave and epoch > 0 and not still(a, gamma):
            return -1, epoch
        for position in range(order.shape[1]):
            i, y = order[epoch, position], targets[epoch, position]
            if position == 0 or not real(1e-6) < unit < real(1e6):
                unit = one
                begin(w, samples, tiny, exact, h, kept, groups)
            per, near, count = one / unit, 0, 0
            active = _active(i, kept.on, neuron, slot)
            _forward(active, i, neuron, w, a, gamma, unit, x, kept, rows, groups)
            f, square = _scalars(active, mean, samples.lengths[i], longest, blocks)
            if rho > 0:
                if not outer:
                    square = zero
                least = square if outer else _largest(active, i, neuron, kept.v, x, rows, groups)
                count = _choose(active, radius / np.sqrt(least), lost, rows, moving, neuron, j1) if inner else 0
                square += _errors(count, i, moving, j1, slot, kept.v, x, rows, b1, e, groups)
                slope = real(residual(f, y, True) if logistic else residual(f, y, None))
                c = real(radius * np.sign(slope) / np.sqrt(square)) if square > zero else zero * square
                if outer:
                    _perturb(active, c, blocks)
                _ascend(count, j1, c, b1, kept, columns, e, w, w2, v2, groups)
                _ahead(count, moving, j1, abs(c) * per, rows, kept.path, ahead)
                near = within(every, j1, ahead, count, kept.reach, bits, 0, at, sample)
                look(near, at, sample, j1, c, b1, w, e, samples, per, tiny, kept, v2, groups)
                _sums(count, i, abs(c), moving, j1, w2, v2, samples, h, kept, rows, groups)
                f = _scalars(active, mean, samples.lengths[i], longest, blocks)[0]
            step = rate * real(residual(f, y, True) if logistic else residual(f, y, None))
            shifts = _choose(active, abs(step), lost, rows, shifting, neuron, j2)
            _second_errors(shifts, i, shifting, j2, slot, kept.v, v2, x, rows, e, groups)
            if keep != 1:
                for j in range(m):
                    a[j] *= decay
                    gamma[j] *= decay
                unit *= _scale(decay, w, kept)
            per = one / unit
            wrong = _outer(active, step, neuron, rows, a, gamma)
            wrong += _descend(shifts, step, per, shifting, j2, kept, columns, rows, e, w, groups)
            if wrong != zero:
                return t, epoch
            flips = _met(near, at, sample, j1, kept, at2, sample2)
            beyond = _beyond(shifts, shifting, j2, slot, kept.path, ahead, j1, far)
            flips = within(j1, j1, far, beyond, kept.reach, bits, flips, at2, sample2)
            flip(flips, at2, sample2, w, samples, per, tiny, kept, groups)
            _settle(shifts, j2, unit, w, samples, h, kept, groups)
            if norm > 0:
                scale = real(norm) / np.sqrt(_square(w))
                if scale - scale != zero:
                    return t, epoch
                unit *= _scale(scale, w, kept)
            t += 1
    return -1, order.shape[0]


@part
def _active(i, on, neuron, slot):  # type: ignore[no-untyped-def]
    """The neurons that are on for sample i into `neuron`, none of them moving; how many."""
    active = 0
    for j in range(on.shape[1]):
        neuron[active] = j
        active += on[i, j]
        slot[j] = -1
    return active


@part
def _scale(scale, w, kept):  # type: ignore[no-untyped-def]
    """Weights and what is proportional to them, times `scale`. Returns it."""
    for j in range(w.shape[0]):
        kept.squares[j] *= scale * scale
        for p in range(w.shape[1]):
            store(w, (j, p), scale * load(w, (j, p)))
            store(kept.v, (j, p), scale * load(kept.v, (j, p)))
    return scale


@part
def _forward(active, i, neuron, w, a, gamma, unit, x, kept, rows, groups):  # type: ignore[no-untyped-def]
    """A, G, DOT, SS and SIZE of the active neurons; 0 in the rest of their last vector."""
    for r in range(active):
        j = neuron[r]
        rows[A, r], rows[G, r], rows[SS, r], rows[SIZE, r] = a[j], gamma[j], kept.squares[j], unit * (kept.size[j] + kept.path[j])
        rows[DOT, r] = dot(w, j, x, i, groups)
    for r in range(active, min(rows.shape[1], active + w.shape[2])):
        rows[A, r], rows[G, r], rows[SS, r], rows[DOT, r] = 0, 0, 0, 0


@part
def _scalars(active, mean, length, longest, blocks):  # type: ignore[no-untyped-def]
    """U, B, K and FAR of the active neurons; b is 0 for one inactive on the sample. Returns f_i and the part of ||grad f_i||^2 that
    a and gamma have."""
    f, square = nought(blocks), nought(blocks)
    for o in range((active + blocks.shape[2] - 1) // blocks.shape[2]):
        ss, on, a, gamma = load(blocks, (SS, o)), load(blocks, (DOT, o)), load(blocks, (A, o)), load(blocks, (G, o))
        inverse, both = where_positive(ss, 1 / root(ss * mean)), a * gamma
        u, b = relu(on) * inverse, where_positive(on, both * inverse)
        store(blocks, (U, o), u)
        store(blocks, (B, o), b)
        store(blocks, (K, o), u * inverse * mean)
        store(blocks, (FAR, o), (relu(b) + relu(0 - b)) * (length + longest * u))
        f += both * u
        square += u * u * (a * a + gamma * gamma)
    return total(f), total(square)


@part
def _choose(active, far, lost, rows, chosen, neuron, j1):  # type: ignore[no-untyped-def]
    """List the active neurons for which far ||b e|| may be more than rounding, by row and by neuron; how many."""
    count = 0
    for r in range(active):
        chosen[count], j1[count] = r, neuron[r]
        count += rows[FAR, r] * far >= lost * rows[SIZE, r]
    return count


@part
def _largest(active, i, neuron, v, x, rows, groups):  # type: ignore[no-untyped-def]
    """||b e||^2 of the active neuron with the largest bound on it, hence no more than the gradient in w has; 0 if none is active."""
    r, ee = 0, nought(x)
    for o in range(active):
        r = o if rows[FAR, o] > rows[FAR, r] else r
    if active == 0:
        return x.dtype.type(0)
    for p in range(len(groups)):
        s = load(x, (i, p)) - rows[K, r] * load(v, (neuron[r], p))
        ee += s * s
    return rows[B, r] * rows[B, r] * total(ee)


@part
def _errors(count, i, moving, j1, slot, v, x, rows, b1, e, groups):  # type: ignore[no-untyped-def]
    """b and e of the moving neurons, and FAR, now exactly. Returns the sum of the ||b e||^2."""
    square = e.dtype.type(0)
    for h in range(count):
        r, ee = moving[h], nought(e)
        slot[r], b1[h] = h, rows[B, r]
        for p in range(len(groups)):
            s = load(x, (i, p)) - rows[K, r] * load(v, (j1[h], p))
            store(e, (h, p), s)
            ee += s * s
        move = b1[h] * b1[h] * total(ee)
        rows[FAR, r] = np.sqrt(move)
        square += move
    return square


@part
def _perturb(active, c, blocks):  # type: ignore[no-untyped-def]
    """A and G to SAM's point."""
    for o in range((active + blocks.shape[2] - 1) // blocks.shape[2]):
        a, gamma, share = load(blocks, (A, o)), load(blocks, (G, o)), c * load(blocks, (U, o))
        store(blocks, (A, o), a + share * gamma)
        store(blocks, (G, o), gamma + share * a)


@part
def _ascend(count, j1, c, b1, kept, columns, e, w, w2, v2, groups):  # type: ignore[no-untyped-def]
    """Weights and moments of the moving neurons at SAM's point, the latter as if no sample flipped."""
    for h in range(count):
        j, shift = j1[h], c * b1[h]
        for g in range(len(groups)):
            store(w2, (h, g), load(w, (j, g)) + shift * load(e, (h, g)))
            store(v2, (h, g), load(kept.v, (j, g)) + shift * product(kept.moment, j, g, columns, h, v2))


@part
def _ahead(count, moving, j1, far, rows, path, ahead):  # type: ignore[no-untyped-def]
    """The paths at SAM's point."""
    for h in range(count):
        ahead[h] = path[j1[h]] + far * rows[FAR, moving[h]]


@part
def _sums(count, i, far, moving, j1, w2, v2, samples, scratch_, kept, rows, groups):  # type: ignore[no-untyped-def]
    """DOT and SS of the moving neurons at SAM's point."""
    for h in range(count):
        r = moving[h]
        rows[DOT, r], rows[SS, r] = dot(w2, h, samples.x, i, groups), dot(w2, h, v2, h, groups)
    for h in range(count):
        r = moving[h]
        length = rows[SIZE, r] + far * rows[FAR, r]
        if rows[SS, r] < w2.dtype.type(DIGITS) * kept.trace[j1[h]] * length * length:
            rows[SS, r] = direct(w2, h, samples, scratch_, v2, h)


@part
def _second_errors(shifts, i, shifting, j2, slot, v, v2, x, rows, e, groups):  # type: ignore[no-untyped-def]
    """As `_errors`, for the neurons that the update moves, where some have moved to SAM's point."""
    for s in range(shifts):
        r, ee = shifting[s], nought(e)
        h = slot[r]
        for p in range(len(groups)):
            moments = load(v, (j2[s], p)) if h < 0 else load(v2, (h, p))
            new = load(x, (i, p)) - rows[K, r] * moments
            store(e, (s, p), new)
            ee += new * new
        rows[FAR, r] = abs(rows[B, r]) * np.sqrt(total(ee))


@part
def _outer(active, step, neuron, rows, a, gamma):  # type: ignore[no-untyped-def]
    """The update of a and gamma. Returns 0 if all is finite, else NaN."""
    wrong = step - step
    for r in range(active):
        j, change = neuron[r], step * rows[U, r]
        a[j] -= change * rows[G, r]
        gamma[j] -= change * rows[A, r]
        wrong += (a[j] - a[j]) + (gamma[j] - gamma[j])
    return wrong


@part
def _descend(shifts, step, per, shifting, j2, kept, columns, rows, e, w, groups):  # type: ignore[no-untyped-def]
    """The update of weights, moments and paths, the moments as if no sample flipped. Returns 0 if all is finite, else NaN."""
    bad, far, v = nought(w), abs(step) * per, kept.v
    for s in range(shifts):
        j, shift = j2[s], -step * rows[B, shifting[s]]
        kept.path[j] += far * rows[FAR, shifting[s]]
        for g in range(len(groups)):
            new = load(w, (j, g)) + shift * load(e, (s, g))
            store(w, (j, g), new)
            store(v, (j, g), load(v, (j, g)) + shift * product(kept.moment, j, g, columns, s, v))
            bad += new - new
    return total(bad)


@part
def _met(near, at, sample, j1, kept, at2, sample2):  # type: ignore[no-untyped-def]
    """List, by neuron, those of the samples near SAM's point that the path may have met; how many."""
    count = 0
    for o in range(near):
        j = j1[at[o]]
        at2[count], sample2[count] = j, sample[o]
        count += kept.bounds[j, sample[o]] < kept.path[j]
    return count


@part
def _beyond(shifts, shifting, j2, slot, path, ahead, chosen, far):  # type: ignore[no-untyped-def]
    """List, by neuron, paths that went where nobody looked ahead; how many."""
    count = 0
    for s in range(shifts):
        j, h = j2[s], slot[shifting[s]]
        chosen[count], far[count] = j, path[j]
        count += h < 0 or path[j] > ahead[h]
    return count


@part
def _settle(shifts, j2, unit, w, samples, scratch_, kept, groups):  # type: ignore[no-untyped-def]
    """n s^2 where w has changed; v is summed over the samples where moments leave too few digits."""
    for s in range(shifts):
        j = j2[s]
        kept.squares[j] = dot(w, j, kept.v, j, groups)
        length = unit * (kept.size[j] + kept.path[j])
        if kept.squares[j] < w.dtype.type(DIGITS) * kept.trace[j] * length * length:
            kept.squares[j] = direct(w, j, samples, scratch_, kept.v, j)


@part
def _square(w):  # type: ignore[no-untyped-def]
    """The sum of squares of all entries."""
    square = nought(w)
    for j in range(w.shape[0]):
        for p in range(w.shape[1]):
            square += load(w, (j, p)) * load(w, (j, p))
    return total(square)
