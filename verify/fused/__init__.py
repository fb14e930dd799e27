"""The training steps of `verify.optimizers` as fused kernels, many epochs a call; the kernel is chosen by the settings."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from theory.architectures import Network, with_ones
from theory.losses import MSE, Loss
from verify.runs import Phase

__all__ = ["advance", "supports"]

Array = NDArray[np.floating]
Order = NDArray[np.int64]


def supports(phase: Phase, loss: Loss = MSE, activation: str = "relu", depth: int = 2) -> bool:
    """Whether there are kernels for these settings, of all four architectures; the rest is left to the reference."""
    return loss == MSE and activation == "relu" and depth == 2 and phase.first_layer_norm is None and not phase.trace_penalty


def advance(
    network: Network,
    x: Array,
    y: Array,
    order: Order,
    noise: Array | None,
    phase: Phase,
    loss: Loss = MSE,
) -> tuple[Network, int | None]:
    """Train for the epochs that `order` lists; arguments and result as for `verify.reference.advance`, same trajectory.

    The result has the same bits wherever the arrays lie in memory and however epochs are cut into calls.
    """
    if not supports(phase, loss, network.activation, network.depth):
        from verify import reference  # torch is slow to import

        return reference.advance(network, x, y, order, noise, phase, loss)
    dtype = network.w1.dtype
    inputs = np.ascontiguousarray(with_ones(network.architecture, np.asarray(x)), dtype=dtype)
    targets = np.asarray(y, dtype=np.float64)[order]
    if noise is not None:
        targets = targets + noise
    order, targets = np.ascontiguousarray(order, dtype=np.int64), np.ascontiguousarray(targets, dtype=dtype)
    if abs(_keep(phase)) > 1:  # weight decay that makes parameters grow, which the kernels do not watch
        from verify import reference  # torch is slow to import

        return reference.advance(network, x, y, order, noise, phase)
    if phase.batch_size > 1:
        return _batch(network, inputs, order, targets, phase)
    if network.gamma is not None:
        return _batch_norm(network, network.gamma, inputs, order, targets, phase)
    done = 0
    while True:
        network, done, block = _single_sample(network, inputs, order, targets, phase, done)
        if done == order.size:
            return network, None
        from verify import reference

        network, stop = reference.advance(network, x, y, order[block], None if noise is None else noise[block], phase)
        if stop is not None:
            return network, done + stop
        done += order[block].size


def _keep(phase: Phase) -> float:
    """What a step of weight decay multiplies parameters by."""
    return 1 - phase.lr * phase.weight_decay


def _single_sample(
    network: Network, x: Array, order: Order, targets: Array, phase: Phase, begin: int
) -> tuple[Network, int, tuple[slice, slice]]:
    """Steps from `begin` on, up to a block in which something may overflow: its first step, and where in `order` it is."""
    from verify.fused.cpu import lanes, single_sample  # numba is slow to import

    powers = (_keep(phase) ** np.arange(single_sample.BLOCK + 1)).astype(x.dtype) if phase.weight_decay else None
    epsilon = x.dtype.type(network.epsilon) if network.architecture == "sim-ln" else None
    limit = x.dtype.type((1e30 / max(1e15, np.abs(x).max())) ** 2)  # then no product of a u and an input is beyond 1e30
    w, a = lanes.pack(network.weights), lanes.pack(network.w2)
    done = single_sample.steps(w, a, lanes.stretch(x), order, targets, begin, phase.lr, phase.rho, powers, epsilon, limit)
    epoch, first = divmod(done, order.shape[1])
    block = (slice(epoch, epoch + 1), slice(first, first + single_sample.BLOCK))
    return _network(network, lanes.unpack(w, network.width), lanes.unpack(a, network.width)), done, block


def _batch(network: Network, x: Array, order: Order, targets: Array, phase: Phase) -> tuple[Network, int | None]:
    """Mini-batch steps of all four networks."""
    from verify.fused.cpu import batch, lanes

    settings = min(phase.batch_size, order.shape[1]), phase.lr, phase.rho, _keep(phase)
    w, a, gamma = lanes.pack(network.weights), lanes.pack(network.w2), None
    if network.gamma is None:
        epsilon = x.dtype.type(network.epsilon) if network.architecture == "sim-ln" else None
        stop = batch.two_layer(w, a, x, order, targets, *settings, epsilon)
    else:
        gamma = lanes.pack(network.gamma)
        stop = batch.batch_norm(w, a, gamma, x, order, targets, *settings)
        gamma = lanes.unpack(gamma, network.width)
    after = _network(network, lanes.unpack(w, network.width), lanes.unpack(a, network.width), gamma)
    return after, None if stop < 0 else stop


def _batch_norm(
    network: Network, gamma: Array, x: Array, order: Order, targets: Array, phase: Phase
) -> tuple[Network, int | None]:
    """Single-sample steps of Sim-BN."""
    from verify.fused.cpu import batch_norm, lanes

    w, a, gamma = lanes.stretch(network.weights), network.w2.copy(), gamma.copy()
    settings = phase.lr, phase.rho, _keep(phase)
    stop = batch_norm.batch_norm(w, a, gamma, lanes.stretch(x), lanes.stretch(x.T), order, targets, *settings)
    return _network(network, w.reshape(len(w), -1), a, gamma), None if stop < 0 else stop


def _network(before: Network, weights: Array, a: Array, gamma: Array | None = None) -> Network:
    """The network `before` with other parameters: weights (m, inputs or more), a and gamma (m,)."""
    d = before.w1.shape[1]
    return replace(before, w1=weights[:, :d].copy(), w2=a, b1=None if before.b1 is None else weights[:, d].copy(), gamma=gamma)
