"""Owns the single-sample steps (SGD, label-noise SGD, 1-SAM) of the no-bias, bias and Sim-LN networks on a GPU.

The mathematics is that of `verify.two_layer.fused.cpu.single_sample`. One program holds one network: W (K, M) in registers, a thread
owning whole columns (all inputs of V neurons), so that pre-activations and the rank-one update need no other thread; only
sums over neurons do. K and M are powers of two; inputs and neurons beyond the network's own are zero and stay zero.

Arguments of both kernels, for S networks:
    w_at (S, K, M), a_at (S, M)      parameters, changed in place
    x_at (., K), y_at (.,), length_at (.,)   inputs, labels and squared lengths of the inputs; network s begins at row s * rows
    order_at (S, steps)              the samples to visit, counted from the network's first row
    noise_at (S, steps)              added to the labels if NOISY
    hyper_at (S, 4)                  2 lr, rho, 1 - lr weight_decay, epsilon
    stop_at (S,)                     becomes the step whose residual is not finite; the network then keeps its parameters
"""

from flatproof.verify.two_layer.fused.gpu.runtime import kernel, tl


@kernel
def _add2(p0, p1, q0, q1):  # type: ignore[no-untyped-def]
    return p0 + q0, p1 + q1


@kernel
def _add3(p0, p1, p2, q0, q1, q2):  # type: ignore[no-untyped-def]
    return p0 + q0, p1 + q1, p2 + q2


@kernel
def _root(q):  # type: ignore[no-untyped-def]
    """The square root, correctly rounded: the fast one flushes the smallest numbers to 0."""
    if q.dtype == tl.float32:
        return tl.sqrt_rn(q)
    else:  # noqa: RET505  (Triton compiles one branch; without the else it would compile both)
        return tl.sqrt(q)


@kernel
def _inverse_norm(dot, square, epsilon):  # type: ignore[no-untyped-def]
    """1 / max(||h||, epsilon), and the multiple (a.h) / ||h||^2 of h that the norm's derivative subtracts from a."""
    above = square > epsilon * epsilon
    safe = tl.where(above, square, 1)
    return tl.where(above, 1 / _root(safe), 1 / epsilon), tl.where(above, dot / safe, 0)


@kernel
def _ascent(residual, square, rho):  # type: ignore[no-untyped-def]
    """rho sign(residual) / sqrt(square), 0 where square is 0: the length of SAM's perturbation a unit of gradient."""
    side = tl.where(residual > 0, rho, tl.where(residual < 0, -rho, 0.0))
    return tl.where(square > 0, side / _root(tl.where(square > 0, square, 1)), 0)


@kernel
def plain(  # type: ignore[no-untyped-def]
    w_at,
    a_at,
    x_at,
    y_at,
    length_at,
    order_at,
    noise_at,
    hyper_at,
    stop_at,
    steps,
    rows,
    K: tl.constexpr,
    M: tl.constexpr,
    V: tl.constexpr,
    SAM: tl.constexpr,
    DECAY: tl.constexpr,
    NOISY: tl.constexpr,
):
    """Steps of f = sum_j a_j relu(z_j)."""
    network = tl.program_id(0).to(tl.int64)
    k, j = tl.arange(0, K), tl.max_contiguous(tl.arange(0, M), V)
    tile = network * K * M + k[:, None] * M + j[None, :]
    rate, rho, shrink = tl.load(hyper_at + 4 * network), tl.load(hyper_at + 4 * network + 1), tl.load(hyper_at + 4 * network + 2)
    w, a, stop = tl.load(w_at + tile), tl.load(a_at + network * M + j), tl.load(stop_at + network)
    order_at += network * steps
    noise_at += network * steps
    row = network * rows + tl.load(order_at)
    for t in range(steps):
        x, y, length = tl.load(x_at + row * K + k), tl.load(y_at + row), tl.load(length_at + row)
        if NOISY:
            y += tl.load(noise_at + t)
        row = network * rows + tl.load(order_at + t + 1, mask=t + 1 < steps, other=0)  # a step ahead: it decides what is read
        z = tl.sum(w * x[:, None], axis=0)
        on = z > 0
        h, v = tl.where(on, z, 0), a
        if SAM:
            f, hh, aa = tl.reduce((a * h, h * h, tl.where(on, a * a, 0)), 0, _add3)
            c = _ascent(f - y, hh + length * aa, rho)
            v = a + c * h
            h = tl.where(on, tl.maximum(z + c * length * a, 0), 0)
        step = rate * (tl.sum(v * h, axis=0) - y)
        stop = tl.where((stop < 0) & ~(tl.abs(step) < float("inf")), t, stop)
        step, h = tl.where(stop < 0, step, 0), tl.where(stop < 0, h, 0)
        u = tl.where(h > 0, step * v, 0)
        if DECAY:
            keep = tl.where(stop < 0, shrink, 1)
            w = keep * w - x[:, None] * u[None, :]
            a = keep * a - step * h
        else:
            w -= x[:, None] * u[None, :]
            a -= step * h
    tl.store(w_at + tile, w)
    tl.store(a_at + network * M + j, a)
    tl.store(stop_at + network, stop)


@kernel
def layer_norm(  # type: ignore[no-untyped-def]
    w_at,
    a_at,
    x_at,
    y_at,
    length_at,
    order_at,
    noise_at,
    hyper_at,
    stop_at,
    steps,
    rows,
    K: tl.constexpr,
    M: tl.constexpr,
    V: tl.constexpr,
    SAM: tl.constexpr,
    DECAY: tl.constexpr,
    NOISY: tl.constexpr,
):
    """Steps of f = sum_j a_j relu(z_j) / max(||relu(z)||, epsilon)."""
    network = tl.program_id(0).to(tl.int64)
    k, j = tl.arange(0, K), tl.max_contiguous(tl.arange(0, M), V)
    tile = network * K * M + k[:, None] * M + j[None, :]
    rate, rho, shrink = tl.load(hyper_at + 4 * network), tl.load(hyper_at + 4 * network + 1), tl.load(hyper_at + 4 * network + 2)
    epsilon = tl.load(hyper_at + 4 * network + 3)
    w, a, stop = tl.load(w_at + tile), tl.load(a_at + network * M + j), tl.load(stop_at + network)
    order_at += network * steps
    noise_at += network * steps
    row = network * rows + tl.load(order_at)
    for t in range(steps):
        x, y, length = tl.load(x_at + row * K + k), tl.load(y_at + row), tl.load(length_at + row)
        if NOISY:
            y += tl.load(noise_at + t)
        row = network * rows + tl.load(order_at + t + 1, mask=t + 1 < steps, other=0)
        z = tl.sum(w * x[:, None], axis=0)
        on = z > 0
        h, b = tl.where(on, z, 0), a
        f, hh = tl.reduce((a * h, h * h), 0, _add2)
        scale, pull = _inverse_norm(f, hh, epsilon)
        if SAM:
            v = tl.where(on, (a - pull * z) * scale, 0)  # d f / d z
            c = _ascent(f * scale - y, hh * scale * scale + length * tl.sum(v * v, axis=0), rho)
            b = a + c * scale * h
            h = tl.where(on, tl.maximum(z + c * length * v, 0), 0)
            f, hh = tl.reduce((b * h, h * h), 0, _add2)
            scale, pull = _inverse_norm(f, hh, epsilon)
        step = rate * (f * scale - y) * scale
        stop = tl.where((stop < 0) & ~(tl.abs(step) < float("inf")), t, stop)
        step, h = tl.where(stop < 0, step, 0), tl.where(stop < 0, h, 0)
        u = tl.where(h > 0, step * (b - pull * h), 0)
        if DECAY:
            keep = tl.where(stop < 0, shrink, 1)
            w = keep * w - x[:, None] * u[None, :]
            a = keep * a - step * h
        else:
            w -= x[:, None] * u[None, :]
            a -= step * h
    tl.store(w_at + tile, w)
    tl.store(a_at + network * M + j, a)
    tl.store(stop_at + network, stop)
