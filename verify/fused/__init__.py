"""The training steps of `verify.optimizers` as fused kernels, many epochs a call; the kernel is chosen by the settings."""

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
    from verify.fused.cpu import batch, batch_norm, single_sample  # numba is slow to import

    if not supports(phase):
        raise ValueError(f"no fused kernel for SAM with batch_size {phase.batch_size}; use engine='reference'")
    dtype = network.w1.dtype
    inputs = np.ascontiguousarray(with_ones(network.architecture, np.asarray(x)), dtype=dtype)
    targets = np.asarray(y, dtype=np.float64)[order]
    if noise is not None:
        targets = targets + noise
    targets = targets.astype(dtype)
    order = np.ascontiguousarray(order, dtype=np.int64)
    single = phase.batch_size == 1
    size = min(phase.batch_size, order.shape[1])
    steps = order.shape[0] * -(-order.shape[1] // size)
    floor = network.epsilon if network.architecture == "sim-ln" else 0.0
    if network.gamma is not None and single:
        w, a, gamma = np.array(network.weights, order="C"), network.w2.copy(), network.gamma.copy()
        stop = batch_norm.batch_norm(w, a, gamma, inputs, order.ravel(), targets.ravel(), phase.lr, phase.rho, phase.weight_decay)
        return _finish(network, w.T, a, gamma, stop, steps)
    pad = -network.width % LANES
    # np.pad keeps Fortran order, in which the kernels would run over strided neurons
    w, a = np.ascontiguousarray(np.pad(network.weights.T, ((0, 0), (0, pad)))), np.pad(network.w2, (0, pad))
    if network.gamma is not None:
        gamma = np.pad(network.gamma, (0, pad))
        stop = batch.batch_norm(w, a, gamma, inputs, order, targets, size, phase.lr, phase.weight_decay)
        return _finish(network, w, a, gamma, stop, steps)
    if not single:
        stop = batch.two_layer(w, a, inputs, order, targets, size, phase.lr, phase.weight_decay, floor)
    elif floor:
        stop = single_sample.layer_norm(
            w, a, inputs, order.ravel(), targets.ravel(), phase.lr, phase.rho, phase.weight_decay, floor
        )
    else:
        stop = single_sample.plain(w, a, inputs, order.ravel(), targets.ravel(), phase.lr, phase.rho, phase.weight_decay)
    return _finish(network, w, a, None, stop, steps)


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
