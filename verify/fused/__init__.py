"""The training steps of `verify.optimizers` as fused kernels, many epochs a call; the kernel is chosen by the settings."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from theory.architectures import Network, with_ones
from verify.runs import Phase

LANES = 16  # neurons are padded to a multiple of a vector register's floats; padded neurons are zero and stay zero

__all__ = ["advance", "supports"]


def supports(phase: Phase) -> bool:
    """Whether a fused kernel exists: all four architectures, SGD at any batch size, SAM at batch size 1."""
    return phase.batch_size == 1 or phase.rho == 0


def advance(
    network: Network,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    order: NDArray[np.int64],
    noise: NDArray[np.floating] | None,
    phase: Phase,
) -> tuple[Network, int | None]:
    """Train for the epochs that `order` lists; arguments and result as for `verify.reference.advance`, same trajectory.

    Errors: ValueError for settings without a kernel (`supports`).
    """
    from verify.fused.cpu import batch, batch_norm  # numba is slow to import

    if not supports(phase):
        raise ValueError(f"no fused kernel for SAM with batch_size {phase.batch_size}; use engine='reference'")
    dtype = network.w1.dtype
    inputs = np.ascontiguousarray(with_ones(network.architecture, np.asarray(x)), dtype=dtype)
    targets = np.asarray(y, dtype=np.float64)[order]
    if noise is not None:
        targets = targets + noise
    targets = np.ascontiguousarray(targets, dtype=dtype)
    order = np.ascontiguousarray(order, dtype=np.int64)
    single = phase.batch_size == 1
    size = min(phase.batch_size, order.shape[1])
    steps = order.shape[0] * -(-order.shape[1] // size)
    floor = network.epsilon if network.architecture == "sim-ln" else 0.0
    if network.gamma is not None and single:
        w, a, gamma = np.array(network.weights, order="C"), network.w2.copy(), network.gamma.copy()
        stop = batch_norm.batch_norm(w, a, gamma, inputs, order.ravel(), targets.ravel(), phase.lr, phase.rho, phase.weight_decay)
        return _finish(network, w.T, a, gamma, stop, steps)
    if single:
        return _single_sample(network, x, y, inputs, targets, order, noise, phase)
    pad = -network.width % LANES
    # np.pad keeps Fortran order, in which the kernels would run over strided neurons
    w, a = np.ascontiguousarray(np.pad(network.weights.T, ((0, 0), (0, pad)))), np.pad(network.w2, (0, pad))
    if network.gamma is not None:
        gamma = np.pad(network.gamma, (0, pad))
        stop = batch.batch_norm(w, a, gamma, inputs, order, targets, size, phase.lr, phase.weight_decay)
        return _finish(network, w, a, gamma, stop, steps)
    stop = batch.two_layer(w, a, inputs, order, targets, size, phase.lr, phase.weight_decay, floor)
    return _finish(network, w, a, None, stop, steps)


def _single_sample(
    network: Network,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    inputs: NDArray[np.floating],
    targets: NDArray[np.floating],
    order: NDArray[np.int64],
    noise: NDArray[np.floating] | None,
    phase: Phase,
) -> tuple[Network, int | None]:
    """Blocks of single-sample steps; those that the kernel hands back, since something may overflow, by the reference."""
    from verify.fused.cpu import lanes, single_sample

    dtype, keep, n = inputs.dtype, 1 - phase.lr * phase.weight_decay, order.shape[1]
    powers = (keep ** np.arange(single_sample.BLOCK + 1)).astype(dtype) if phase.weight_decay else None
    epsilon = dtype.type(network.epsilon) if network.architecture == "sim-ln" else None
    # Where weight decay itself makes parameters grow, nothing bounds them
    limit = dtype.type((1e30 / max(1e15, np.abs(inputs).max())) ** 2 if abs(keep) <= 1 else 0)
    t = 0
    while True:
        w, a = lanes.pack(network.weights), lanes.pack(network.w2)
        u, z = (lanes.zeros((single_sample.BLOCK, *a.shape), dtype) for _ in range(2))
        t = single_sample.steps(w, a, u, z, inputs, order, targets, t, phase.lr, phase.rho, powers, epsilon, limit)
        network = _network(network, lanes.unpack(w, network.width), lanes.unpack(a, network.width))
        if t == order.size:
            return network, None
        from verify import reference  # torch is slow to import

        epoch, first = divmod(t, n)
        block = (slice(epoch, epoch + 1), slice(first, first + single_sample.BLOCK))
        network, stop = reference.advance(network, x, y, order[block], None if noise is None else noise[block], phase)
        if stop is not None:
            return network, t + stop
        t += order[block].size


def _network(before: Network, weights: NDArray[np.floating], a: NDArray[np.floating]) -> Network:
    """The network `before` with other parameters: weights (m, inputs) and a (m,)."""
    d = before.w1.shape[1]
    return replace(before, w1=weights[:, :d].copy(), w2=a, b1=None if before.b1 is None else weights[:, d].copy())


def _finish(
    network: Network,
    w: NDArray[np.floating],
    a: NDArray[np.floating],
    gamma: NDArray[np.floating] | None,
    stop: int,
    steps: int,
) -> tuple[Network, int | None]:
    """The network whose first layer is w (inputs, m or more), without the padding, and the step of divergence.

    Kernels watch residuals; a parameter that overflows in the last step, or to -inf, is found here.
    """
    m, d = network.w1.shape
    if stop < 0 and not all(np.isfinite(part).all() for part in (w, a, gamma) if part is not None):
        stop = steps - 1
    after = Network(
        w1=np.ascontiguousarray(w[:d, :m].T),
        w2=a[:m].copy(),
        b1=None if network.b1 is None else w[d, :m].copy(),
        gamma=None if gamma is None else gamma[:m].copy(),
        architecture=network.architecture,
        epsilon=network.epsilon,
    )
    return after, None if stop < 0 else int(stop)
