"""Owns the networks of wen2023: forward, gradients, Hessian trace, bounds.

Notation, for inputs x_i (rows of X), x' = (x, 1) when the network has a bias and x' = x when it has none:
    z_ij = w_j . x'_i,   h = relu(z),   A = 1[z > 0],   a = w2,   L = (1/n) sum_i l(f(x_i), y_i), l as in `theory.losses`.

    no-bias   f = sum_j a_j h_j
    bias      f = sum_j a_j h_j
    sim-bn    f = sum_j a_j gamma_j h_j / s_j,   s_j = sqrt((1/n) sum_k h_kj^2) over the training set, differentiated through
    sim-ln    f = sum_j a_j h_j / max(||h||_2, epsilon)

"no-bias" and "bias" also with h = softplus(z) = log(1 + e^z); "bias" also with three layers, f = sum_k a_k relu(sum_j v_kj h_j),
the special case D = 3 of `DeepNetwork`.

Conventions at points where the paper is silent: relu'(0) = 0, as torch has it; a Sim-BN neuron that is inactive on the whole
training set (s_j = 0) outputs 0 and has gradient 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.theory.losses import MSE, Loss, sigmoid

Array = NDArray[np.floating]
Architecture = Literal["no-bias", "bias", "sim-bn", "sim-ln"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
ACTIVATIONS = ("relu", "softplus")
PARAMETERS = ("w1", "b1", "gamma", "middle", "w2")


@dataclass(frozen=True)
class Network:
    """A network with m neurons on R^d, two layers (three with `middle`).

    Attributes:
        w1: first layer, (m, d).
        w2: last layer, (m,).
        b1: first-layer bias, (m,); None for "no-bias" only.
        gamma: scale of the normalized activations, (m,); for "sim-bn" only.
        architecture: one of ARCHITECTURES.
        epsilon: the floor of the norm in Sim-LN.
        activation: one of ACTIVATIONS.
        middle: v, the second of three layers, (m, m); None for two layers.
    """

    w1: Array
    w2: Array
    b1: Array | None = None
    gamma: Array | None = None
    architecture: Architecture = "no-bias"
    epsilon: float = 1e-3
    activation: str = "relu"
    middle: Array | None = None

    def __post_init__(self) -> None:
        check_kind(self.architecture, self.activation, self.depth)
        for name in PARAMETERS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _real(name, getattr(self, name)))
        if self.w1.ndim != 2 or 0 in self.w1.shape:
            raise ValueError(f"w1 must have shape (m, d) with m, d >= 1, got {self.w1.shape}")
        for name, value, wanted in (
            ("w2", self.w2, True),
            ("b1", self.b1, self.architecture != "no-bias"),
            ("gamma", self.gamma, self.architecture == "sim-bn"),
        ):
            if (value is not None) != wanted:
                raise ValueError(f"{name} must {'' if wanted else 'not '}be given for {self.architecture!r}")
            if value is not None and value.shape != (self.width,):
                raise ValueError(f"{name} must have shape ({self.width},), got {value.shape}")
        if self.middle is not None and self.middle.shape != (self.width, self.width):
            raise ValueError(f"middle must have shape ({self.width}, {self.width}), got {self.middle.shape}")
        if self.architecture == "sim-ln":
            check_epsilon(self.epsilon)

    @property
    def width(self) -> int:
        """The number m of neurons."""
        return self.w1.shape[0]

    @property
    def depth(self) -> int:
        """The number of layers, 2 or 3."""
        return 2 if self.middle is None else 3

    @property
    def weights(self) -> Array:
        """First layer with the bias folded in as last column, (m, d + 1); (m, d) without bias."""
        return self.w1 if self.b1 is None else np.hstack([self.w1, self.b1[:, None]])

    def astype(self, dtype: str) -> "Network":
        """The same network with its parameters in another precision, copied."""
        arrays = {n: v.astype(dtype) for n in PARAMETERS if (v := getattr(self, n)) is not None}
        return replace(self, **arrays)


def check_architecture(architecture: str) -> Architecture:
    """The architecture itself; ValueError naming the known ones otherwise."""
    for known in ARCHITECTURES:
        if architecture == known:
            return known
    raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")


def check_kind(architecture: str, activation: str, depth: int) -> Architecture:
    """The architecture, if networks of this module combine it with the activation and the depth.

    Args:
        architecture: one of ARCHITECTURES.
        activation: one of ACTIVATIONS.
        depth: 2 or 3.

    Returns:
        The architecture itself.

    Raises:
        ValueError: for a combination that is not among the networks of this module.
    """
    kind = check_architecture(architecture)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if depth not in (2, 3):
        raise ValueError(f"depth must be 2 or 3, got {depth!r}")
    if activation == "softplus" and (kind not in ("no-bias", "bias") or depth != 2):
        raise ValueError(f"activation 'softplus' is for 'no-bias' and 'bias' with two layers, got {kind!r} with {depth}")
    if depth == 3 and kind != "bias":
        raise ValueError(f"depth 3 is for 'bias', got {kind!r}")
    return kind


def check_epsilon(epsilon: float) -> float:
    """Sim-LN's floor itself; ValueError unless it is a positive finite number."""
    if not isinstance(epsilon, (int, float, np.floating)) or not 0 < epsilon < np.inf:
        raise ValueError(f"epsilon must be a finite number above 0, got {epsilon!r}")
    return float(epsilon)


def _real(name: str, values: ArrayLike) -> Array:
    """A parameter as an array of floats: its own precision if it has one, float64 for whole numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def check_points(x: ArrayLike, y: ArrayLike | None = None, d: int | None = None) -> tuple[Array, Array]:
    """Points and labels as finite arrays of floats.

    Args:
        x: inputs, (n, d) with n, d >= 1.
        y: labels, (n,), or None.
        d: the number of columns that x must have, if any.

    Returns:
        x (n, d) and y (n,) in float64, copied; zeros for y if None.

    Raises:
        ValueError: naming the culprit.
    """
    points = np.asarray(x)
    if points.dtype.kind not in "fiub":
        raise ValueError(f"x must hold numbers, got dtype {points.dtype}")
    points = points.astype(np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"x must have shape (n, d) with n, d >= 1, got {points.shape}")
    if d is not None and points.shape[1] != d:
        raise ValueError(f"x must have {d} columns like the network's first layer, got {points.shape[1]}")
    if not np.isfinite(points).all():
        raise ValueError(f"x must be finite, row {int(np.argwhere(~np.isfinite(points))[0][0])} is not")
    if y is None:
        return points, np.zeros(len(points))
    labels = np.asarray(y)
    if labels.dtype.kind not in "fiub":
        raise ValueError(f"y must hold numbers, got dtype {labels.dtype}")
    labels = labels.astype(np.float64)
    if labels.shape != (len(points),):
        raise ValueError(f"y must have shape ({len(points)},), one label for each row of x, got {labels.shape}")
    if not np.isfinite(labels).all():
        raise ValueError(f"y must be finite, entry {int(np.argwhere(~np.isfinite(labels))[0][0])} is not")
    return points, labels


def with_ones(architecture: Architecture, x: Array) -> Array:
    """The inputs x' that the first layer sees: x itself for "no-bias", (x, 1) otherwise."""
    return x if architecture == "no-bias" else np.hstack([x, np.ones((len(x), 1), dtype=x.dtype)])


def hidden(network: Network, x: Array) -> Array:
    """The activations of the first layer, (n, m)."""
    z = with_ones(network.architecture, x) @ network.weights.T
    return np.maximum(z, 0, out=z) if network.activation == "relu" else _softplus(z)


def _softplus(z: Array) -> Array:
    """log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), in place; some rows at a time, which caches hold: five times as fast as `logaddexp`."""
    for start in range(0, len(z), 16):
        rows = z[start : start + 16]
        above = np.log1p(np.exp(-np.abs(rows)))
        np.add(np.maximum(rows, 0, out=rows), above, out=rows)
    return z


def normalizer(network: Network, train_x: Array) -> Array:
    """s_j of Sim-BN: the root mean square of neuron j's activation over the training inputs.

    Args:
        network: on R^d, m neurons.
        train_x: training inputs, (n, d).

    Returns:
        s, (m,).
    """
    return np.sqrt(np.mean(hidden(network, train_x) ** 2, axis=0))


def _reciprocal(s: Array) -> Array:
    """1 / s where s > 0 and 0 where s = 0 (a neuron that is dead on the training set outputs 0)."""
    return np.divide(1.0, s, out=np.zeros_like(s), where=s > 0)


def output_weights(network: Network, train_x: Array) -> Array:
    """What a neuron's activation counts for: a_j; for Sim-BN a_j gamma_j / s_j.

    Args:
        network: on R^d, m neurons.
        train_x: training inputs, (n, d); used by Sim-BN alone.

    Returns:
        The weights, (m,).
    """
    if network.gamma is None:
        return network.w2
    return network.w2 * network.gamma * _reciprocal(normalizer(network, train_x))


def forward(network: Network, x: ArrayLike, train_x: ArrayLike | None = None) -> Array:
    """f(x) in float64.

    Args:
        network: on R^d.
        x: inputs, (n, d).
        train_x: whose statistics Sim-BN normalizes with, (k, d); x itself if None.

    Returns:
        Outputs, (n,).

    Raises:
        ValueError: for NaN or wrong shapes.
    """
    points, network = check_points(x, d=network.w1.shape[1])[0], network.astype("float64")
    if network.middle is not None:
        return deep(network).forward(points)
    base = points if train_x is None or network.gamma is None else check_points(train_x, d=network.w1.shape[1])[0]
    output = output_weights(network, base)

    def outputs(block: Array) -> Array:
        h = hidden(network, block)
        f = h @ output
        return f / np.maximum(np.linalg.norm(h, axis=1), network.epsilon) if network.architecture == "sim-ln" else f

    return _by_blocks(outputs, points)


CANCELS = 1e-3  # |e_i|^2 / |x'_i|^2 below which the former is not computed from products
BLOCK = 480  # points whose activations caches hold; whole tiles of a matrix product, whose rounding then stays that of all points at once


def _by_blocks(outputs: Callable[[Array], Array], points: Array) -> Array:
    """Outputs of the points, (n,), BLOCK at a time."""
    return np.concatenate([outputs(points[start : start + BLOCK]) for start in range(0, max(1, len(points)), BLOCK)])


def loss(network: Network, x: ArrayLike, y: ArrayLike, objective: Loss = MSE) -> float:
    """(1/n) sum_i l(f(x_i), y_i) on a training set.

    Args:
        network: on R^d.
        x: inputs, (n, d).
        y: labels, (n,).
        objective: the loss of one sample.

    Returns:
        The mean loss.

    Raises:
        ValueError: for NaN or wrong shapes.
    """
    points, labels = check_points(x, y)
    return float(np.mean(objective.value(forward(network, points), labels)))


def squared_gradient_norms(network: Network, x: ArrayLike) -> Array:
    """||grad_theta f(x_i)||^2 for each training input, all layers together.

    Two layers with or without bias: wen2023/equation-2. Sim-BN: the derivative runs through the statistics over all of x.

    Args:
        network: on R^d.
        x: training inputs, (n, d).

    Returns:
        The squared norms, (n,).

    Raises:
        ValueError: for NaN or wrong shapes.
    """
    return _gradients_and_laplacians(network, check_points(x, d=network.w1.shape[1])[0])[0]


def trace_of_hessian(network: Network, x: ArrayLike, y: ArrayLike | None = None, objective: Loss = MSE) -> float:
    """Trace of the Hessian of the training loss, in all parameters.

    With y: (1/n) sum_i (l''(f_i) ||grad f(x_i)||^2 + l'(f_i, y_i) Laplacian f(x_i)), exact wherever L is twice differentiable.
    Without y the network is taken to fit x perfectly, where l' = 0 and l'' is 2, or p (1 - p) for the logistic loss
    (wen2023/lemma-4.1, lemma-A.13 as corrected in the ledger). The Laplacian vanishes for ReLU networks without normalization,
    which are linear in each single parameter.

    Args:
        network: on R^d.
        x: training inputs, (n, d).
        y: labels, (n,), or None.
        objective: the loss of one sample.

    Returns:
        The trace.

    Raises:
        ValueError: for NaN or wrong shapes.
    """
    points, labels = check_points(x, y, d=network.w1.shape[1])
    norms, laplacians = _gradients_and_laplacians(network, points)
    if y is None:
        return float(objective.curvature_at_targets * np.mean(norms))
    f = forward(network, points)
    return float(np.mean(objective.curvature(f) * norms + objective.slope(f, labels) * laplacians))


def _gradients_and_laplacians(network: Network, x: Array) -> tuple[Array, Array]:
    """Per training input: squared norm of the gradient of f and Laplacian of f, both over all parameters, (n,) each."""
    inputs, network = with_ones(network.architecture, x), network.astype("float64")
    if network.middle is not None:
        return deep(network).squared_gradient_norms(x), np.zeros(len(x))
    h, a = hidden(network, x), network.w2
    on, length = h > 0, np.sum(inputs**2, axis=1)
    if network.activation == "softplus":
        slope = sigmoid(inputs @ network.weights.T)  # s'(z); s'' = s' (1 - s')
        return length * (slope**2 @ a**2) + np.sum(h**2, axis=1), length * ((slope * (1 - slope)) @ a)
    if network.gamma is not None:
        return _sim_bn(inputs, h, a, network.gamma)
    if network.architecture != "sim-ln":
        return length * (on @ a**2) + np.sum(h**2, axis=1), np.zeros(len(x))
    norm = np.linalg.norm(h, axis=1)
    scale, above = np.maximum(norm, network.epsilon), norm > network.epsilon
    unit = h / scale[:, None]
    f = unit @ a
    # d f / d z_j = A_j (a_j - [||h|| > eps] f h_j / ||h||) / max(||h||, eps)
    signal = on * (a - np.where(above, f, 0.0)[:, None] * unit) / scale[:, None]
    # a linear form divided by the norm is homogeneous of degree 0: Laplacian -(active - 1) f / ||h||^2
    laplacian = np.where(above, -length * (on.sum(axis=1) - 1) * f / scale**2, 0.0)
    return length * np.sum(signal**2, axis=1) + np.sum(unit**2, axis=1), laplacian


def _sim_bn(inputs: Array, h: Array, a: Array, gamma: Array) -> tuple[Array, Array]:
    """Sim-BN: with u = h / s, c = (1/n) sum_k u_k x'_k and e_i = A_i x'_i - u_i c, neuron by neuron,

        grad_w u_i = e_i / s,   Laplacian_w u_i = -(2 e_i . c + u_i (1/n) sum_k ||e_k||^2) / s^2.

    Lengths and products follow from x'_i . c and |c|^2; where an e_i nearly cancels, as in neurons that see few samples, from vectors.
    """
    inverse, on, weight = _reciprocal(np.sqrt(np.mean(h**2, axis=0))), h > 0, a * gamma
    u = h * inverse
    c = u.T @ inputs / len(inputs)
    length, products, own = on * np.sum(inputs**2, axis=1)[:, None], inputs @ c.T, u * np.sum(c**2, axis=1)
    squares, along = np.maximum(length - u * (2 * products - own), 0.0), on * products - own
    for j in np.flatnonzero((squares < CANCELS * length).any(axis=0)):
        sees = on[:, j]
        e = inputs[sees] - u[sees, j, None] * c[j]
        squares[sees, j], along[sees, j] = np.sum(e**2, axis=1), e @ c[j]
    norms = u**2 @ (a**2 + gamma**2) + squares @ (weight * inverse) ** 2
    return norms, -(2 * along + u * squares.mean(axis=0)) @ (weight * inverse**2)


def trace_lower_bound(
    architecture: str,
    x: ArrayLike,
    y: ArrayLike,
    epsilon: float = 1e-3,
    objective: Loss = MSE,
    activation: str = "relu",
    depth: int = 2,
) -> float:
    """A number that the trace of no interpolating network of the architecture goes below; NaN where none is known (softplus).

    For the mean squared error

    no-bias, bias  (4/n) sum_i ||x'_i|| |y_i|                              (wen2023/equation-3 with lemma-4.1)
    three layers   (6/n) sum_i |y_i|^(4/3) ||x'_i||^(2/3)                  (wen2023/theorem-4.1)
    sim-ln         (2/n) sum_i min(1, (2/epsilon) ||x'_i|| |y_i|)          (wen2023/lemma-A.12)
    sim-bn         4 (p + q),  p^2 = mean relu(y)^2,  q^2 = mean relu(-y)^2

    The Sim-BN bound: the trace is at least 2 (||a||^2 + ||gamma||^2) >= 4 ||a * gamma||_1. The normalized activations
    u_j >= 0 have mean square 1, so v = relu(y)/p - relu(-y)/q has |mean_i(v_i u_ij)| <= 1 for every neuron, and interpolation
    gives p + q = mean(v y) = sum_j a_j gamma_j mean_i(v_i u_ij) <= ||a * gamma||_1.

    For the logistic loss the same at its targets in place of y, times p (1 - p)/2 (wen2023/theorem-A.2 and lemma-A.13, corrected).

    Args:
        architecture: one of ARCHITECTURES.
        x: training inputs, (n, d).
        y: labels, (n,).
        epsilon: the floor of the norm in Sim-LN.
        objective: the loss of one sample.
        activation: one of ACTIVATIONS.
        depth: 2 or 3 layers.

    Returns:
        The bound.

    Raises:
        ValueError: for NaN, wrong shapes, or a combination that is not among the networks of this module.
    """
    points, labels = check_points(x, y)
    kind = check_kind(architecture, activation, depth)
    if activation == "softplus":
        return float("nan")
    labels, factor = objective.targets(labels), objective.curvature_at_targets
    length = np.linalg.norm(with_ones(kind, points), axis=1)
    if kind == "sim-bn":
        return float(2 * factor * sum(np.sqrt(np.mean(np.maximum(sign * labels, 0) ** 2)) for sign in (1, -1)))
    if kind == "sim-ln":
        return float(factor * np.mean(np.minimum(1, 2 * length * np.abs(labels) / check_epsilon(epsilon))))
    return float(factor * np.mean(_least_squared_gradient(depth, length, labels)))


def _least_squared_gradient(depth: int, length: Array, f: Array) -> Array:
    """D |f|^(2(D-1)/D) ||x'||^(2/D): with D layers ||grad f(x)||^2 is no smaller (wen2023/theorem-4.1)."""
    if depth == 2:
        return 2 * length * np.abs(f)
    return depth * np.abs(f) ** (2 * (depth - 1) / depth) * length ** (2 / depth)


@dataclass(frozen=True)
class DeepNetwork:
    """MLP-Bias of depth D: W_D relu(... W_2 relu(W_1 x + b_1)), bias in the first layer only (wen2023, Setting), or nowhere.

    Attributes: layers, [W_1 (m_1, d), ..., W_D (1, m_{D-1})]; b1, (m_1,), None without bias.
    """

    layers: tuple[Array, ...]
    b1: Array | None

    def forward(self, x: ArrayLike) -> Array:
        """f(x), (n,)."""
        return _by_blocks(lambda block: self._activations(block)[-1][:, 0], check_points(x, d=self.layers[0].shape[1])[0])

    def squared_gradient_norms(self, x: ArrayLike) -> Array:
        """||grad_theta f(x_i)||^2 over all layers and the bias if there is one, (n,)."""
        points, _ = check_points(x, d=self.layers[0].shape[1])
        activations = self._activations(points)
        signal, total = np.ones((len(points), 1)), np.zeros(len(points))
        for level in range(len(self.layers) - 1, -1, -1):
            below = activations[level]
            total += np.sum(signal**2, axis=1) * np.sum(below**2, axis=1)
            if level > 0:
                signal = (signal @ self.layers[level]) * (below > 0)
        return total

    def trace_of_hessian(self, x: ArrayLike) -> float:
        """(2/n) sum_i ||grad f(x_i)||^2, the trace of the Hessian of the mean squared error at interpolation (lemma-4.1)."""
        return float(2 * np.mean(self.squared_gradient_norms(x)))

    def trace_lower_bound(self, x: ArrayLike, y: ArrayLike) -> float:
        """(2/n) sum_i D |y_i|^(2(D-1)/D) ||x'_i||^(2/D), which no interpolating network goes below (wen2023/theorem-4.1)."""
        points, labels = check_points(x, y)
        length = np.linalg.norm(self._seen(points), axis=1)
        return float(2 * np.mean(_least_squared_gradient(len(self.layers), length, labels)))

    def _seen(self, x: Array) -> Array:
        """x', what the first layer sees."""
        return x if self.b1 is None else with_ones("bias", x)

    def _activations(self, x: Array) -> list[Array]:
        """x' and the activations of every layer; the last is f, (n, 1)."""
        first = self.layers[0] if self.b1 is None else np.hstack([self.layers[0], self.b1[:, None]])
        out = [self._seen(x)]
        for level, weights in enumerate((first, *self.layers[1:])):
            z = out[-1] @ weights.T
            out.append(z if level == len(self.layers) - 1 else np.maximum(z, 0, out=z))
        return out


def deep(network: Network) -> DeepNetwork:
    """A network with a bias as one of any depth."""
    if network.b1 is None or network.architecture != "bias":
        raise ValueError(f"network must be of the architecture 'bias', got {network.architecture!r}")
    middle = () if network.middle is None else (network.middle,)
    return DeepNetwork((network.w1, *middle, network.w2[None]), network.b1)
