"""The training steps of `verify.two_layer.reference` as fused kernels, many epochs a call; the kernel is chosen by the settings."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flatproof.theory.losses import MSE, Loss
from flatproof.theory.networks import Network, forward, output_weights, with_ones
from flatproof.verify.two_layer.settings import Phase, supports

__all__ = ["advance", "carries_out", "outputs"]

Array = NDArray[np.floating]
Order = NDArray[np.int64]


def carries_out(network: Network, phase: Phase) -> bool:
    """Whether kernels carry out these steps. Weight decay or a norm so large that they would have to watch for overflow by them is
    left to the reference, as is what no kernel is written for."""
    keep, least = 1 - phase.lr * phase.weight_decay, 0.5 if network.middle is not None and phase.batch_size == 1 else -1
    return supports(phase, network.architecture) and least <= keep <= 1 and (phase.first_layer_norm or 0) <= 1e15


def advance(
    network: Network,
    x: Array,
    y: Array,
    order: Order,
    noise: Array | None,
    phase: Phase,
    loss: Loss = MSE,
    kernel: str | None = None,
) -> tuple[Network, int | None]:
    """Train for the epochs that `order` lists; arguments and result as for `verify.two_layer.reference.advance`, same trajectory.

    kernel: "moments" or "pre-activations" for single-sample steps of Sim-BN, chosen at each epoch if None.

    Steps that `carries_out` says yes to; a block of them in which something may overflow is handed to the reference. The result has the
    same bits wherever the arrays lie in memory and however epochs are cut into calls.
    """
    dtype, at = network.w1.dtype, _Settings(phase, loss, network)
    inputs = np.ascontiguousarray(with_ones(network.architecture, np.asarray(x)), dtype=dtype)
    labels = np.asarray(y, dtype=np.float64)
    targets = (labels if at.logistic is None else loss.probabilities(labels))[order]
    if noise is not None:
        targets = targets + noise
    order, targets = np.ascontiguousarray(order, dtype=np.int64), np.ascontiguousarray(targets, dtype=dtype)
    if phase.batch_size > 1:
        return _batch(network, inputs, order, targets, at)
    if network.gamma is not None:
        return _batch_norm(network, network.gamma, inputs, order, targets, at, kernel)
    done = 0
    while True:
        if network.middle is None:
            network, done = _single_sample(network, inputs, order, targets, at, done)
        else:
            network, done = _three_layers(network, network.middle, inputs, order, targets, at, done)
        if done == order.size:
            return network, None
        from flatproof.verify.two_layer import reference

        epoch, first = divmod(done, order.shape[1])
        block = slice(epoch, epoch + 1), slice(first, first + HANDED_BACK)
        network, stop = reference.advance(network, x, y, order[block], None if noise is None else noise[block], phase, loss)
        if stop is not None:
            return network, done + stop
        done += order[block].size


def outputs(network: Network, x: Array, train_x: Array) -> Array:
    """`theory.forward`, up to rounding, in less time.

    Args:
        network: of any dtype, on R^d.
        x: points, (n, d), finite.
        train_x: training inputs, (k, d), which Sim-BN normalizes with.

    Returns:
        Outputs in float64, (n,).
    """
    if network.middle is not None or network.activation != "relu":
        return forward(network, x, train_x=train_x)
    from flatproof.verify.two_layer.fused.cpu import lanes  # numba is slow to import
    from flatproof.verify.two_layer.fused.cpu.outputs import outputs as kernel

    network, points = network.astype("float64"), np.ascontiguousarray(x, dtype=np.float64)
    bias = np.zeros(network.width) if network.b1 is None else network.b1
    squares = np.empty(len(points) if network.architecture == "sim-ln" else 0)
    a = output_weights(network, np.asarray(train_x, dtype=np.float64))
    f = kernel(lanes.pack(network.w1), lanes.pack(bias), lanes.pack(a), points, squares)
    return f / np.maximum(np.sqrt(squares), network.epsilon) if len(squares) else f


MOMENTS = 2**23  # bytes of Sim-BN's second moments that a core's caches hold about as fast as it multiplies
HANDED_BACK = 4  # steps that the reference does where a kernel stops: at least the block of `single_sample`


class _Settings:
    """A phase's settings as the kernels take them.

    keep: what a step of weight decay multiplies parameters by. norm: of the first layer, or 0. inner, outer: whether SAM moves the
    first layer, and the rest. logistic: True, or None for the mean squared error. epsilon: Sim-LN's floor, or None. mask: packed like
    w2, for softplus, or None.
    """

    def __init__(self, phase: Phase, loss: Loss, network: Network) -> None:
        from flatproof.verify.two_layer.fused.cpu import lanes  # numba is slow to import

        real = network.w1.dtype.type
        self.lr, self.rho, self.batch_size, self.keep = phase.lr, phase.rho, phase.batch_size, 1 - phase.lr * phase.weight_decay
        self.norm, self.inner, self.outer = (
            phase.first_layer_norm or 0.0,
            phase.perturbed != "above it",
            phase.perturbed != "first layer",
        )
        self.logistic = True if loss.name == "logistic" else None
        self.epsilon = real(network.epsilon) if network.architecture == "sim-ln" else None
        self.mask = lanes.pack(np.ones_like(network.w2)) if network.activation == "softplus" else None


def _single_sample(network: Network, x: Array, order: Order, targets: Array, at: _Settings, begin: int) -> tuple[Network, int]:
    """Steps from `begin` on, up to a block in which something may overflow; its first step."""
    from flatproof.verify.two_layer.fused.cpu import lanes, single_sample, subnormals  # numba is slow to import

    keep = None if at.keep == 1 and at.norm == 0 else at.keep
    limit = x.dtype.type((1e30 / max(1e15, np.abs(x).max())) ** 2)  # then no product of a u and an input is beyond 1e30
    w, a = lanes.pack(network.weights), lanes.pack(network.w2)
    kind = keep, at.norm, at.epsilon, at.logistic, at.mask
    with subnormals.flushed():
        done = single_sample.steps(w, a, lanes.stretch(x), order, targets, begin, at.lr, at.rho, *kind, limit)
    return _network(network, lanes.unpack(w, network.width), lanes.unpack(a, network.width)), done


def _three_layers(
    network: Network, middle: Array, x: Array, order: Order, targets: Array, at: _Settings, begin: int
) -> tuple[Network, int]:
    """As `_single_sample`, up to a step in which something may overflow."""
    from flatproof.verify.two_layer.fused.cpu import lanes, subnormals, three_layers  # numba is slow to import

    m = network.width
    w, v, a = lanes.pack(network.weights), lanes.stretch(middle.T), lanes.pack(network.w2)
    with subnormals.flushed():
        done = three_layers.steps(w, v, a, x, order, targets, begin, at.lr, at.rho, at.keep, at.norm, at.logistic)
    return _network(network, lanes.unpack(w, m), lanes.unpack(a, m), middle=_rows(v)), done


def _batch(network: Network, x: Array, order: Order, targets: Array, at: _Settings) -> tuple[Network, int | None]:
    """Mini-batch steps of all networks."""
    from flatproof.verify.two_layer.fused.cpu import batch, lanes, subnormals

    settings = min(at.batch_size, order.shape[1]), at.lr, at.rho, at.keep, at.norm, at.logistic
    w, a, gamma, middle = lanes.pack(network.weights), lanes.pack(network.w2), None, None
    with subnormals.flushed():
        if network.middle is not None:
            v = lanes.stretch(network.middle.T)
            stop = batch.three_layer(w, v, a, x, order, targets, *settings)
            middle = _rows(v)
        elif network.gamma is not None:
            gamma = lanes.pack(network.gamma)
            stop = batch.batch_norm(w, a, gamma, x, order, targets, *settings)
            gamma = lanes.unpack(gamma, network.width)
        else:
            stop = batch.two_layer(w, a, x, order, targets, *settings, at.epsilon, at.mask)
    after = _network(network, lanes.unpack(w, network.width), lanes.unpack(a, network.width), gamma, middle)
    return after, None if stop < 0 else stop


def _batch_norm(
    network: Network, gamma: Array, x: Array, order: Order, targets: Array, at: _Settings, kernel: str | None
) -> tuple[Network, int | None]:
    """Single-sample steps of Sim-BN: on second moments while many neurons stand still. What an epoch's steps do depends on the
    parameters at its start alone."""
    from flatproof.verify.two_layer.fused.cpu import batch_norm, batch_norm_moments, lanes

    w, a, gamma, rows, columns = (
        lanes.stretch(network.weights),
        network.w2.copy(),
        gamma.copy(),
        lanes.stretch(x),
        lanes.stretch(x.T),
    )
    small = at.keep >= 0.5 and x.shape[1] <= len(x) and x.shape[1] * w.nbytes <= MOMENTS
    exact = bool((x == x.round()).all()) and len(x) * float(np.abs(x).max()) ** 2 < 2 / np.finfo(x.dtype).eps
    groups = (0,) if rows.shape[1] == 1 else np.zeros(rows.shape[1])
    done, stop = 0, -1
    while stop < 0 and done < len(order):
        steps = w, a, gamma, rows, columns, order[done:], targets[done:], at.lr, at.rho, at.inner, at.outer, at.keep
        if kernel == "moments" or (kernel is None and small and batch_norm.still(a, gamma)):
            kind = at.norm, at.logistic is not None, exact, groups
            stop, epochs = batch_norm_moments.batch_norm(*steps, *kind, kernel is None)
        else:
            stop, epochs = batch_norm.batch_norm(*steps, at.norm, at.logistic, kernel is None and small)
        before, done = done, done + epochs
    if stop >= 0:
        stop += before * order.shape[1]
    return _network(network, w.reshape(len(w), -1), a, gamma), None if stop < 0 else stop


def _rows(columns: Array) -> Array:
    """A square matrix from its columns, (m, groups, LANES)."""
    m = len(columns)
    return np.ascontiguousarray(columns.reshape(m, -1)[:, :m].T)


def _network(before: Network, weights: Array, a: Array, gamma: Array | None = None, middle: Array | None = None) -> Network:
    """The network `before` with other parameters: weights (m, inputs or more), a and gamma (m,), middle (m, m)."""
    d = before.w1.shape[1]
    b1 = None if before.b1 is None else weights[:, d].copy()
    return replace(before, w1=weights[:, :d].copy(), w2=a, b1=b1, gamma=gamma, middle=middle)
