"""Owns the exact whole spectrum of the Hessian of the mean squared error of the two-layer networks, in all parameters.

L = (1/n) sum_i (f(x_i) - y_i)^2 has, with residuals r_i = f(x_i) - y_i and J (n, P) the gradients of the f(x_i),

    H = (2/n) (J'J + R),   R = sum_i r_i Hess f(x_i)

wherever L is twice differentiable (no pre-activation is 0). Notation of `theory.networks`; F_j (n, d') holds the rows A_ij x'_i.

1. Interpolation, R = 0 (method "gram"): the nonzero eigenvalues are those of (2/n) J J', an n x n matrix in closed form,
   with K = X'X'^T and * entrywise:
       no-bias, bias  K * (A diag(a^2) A') + h h'
       sim-ln         K * (S S') + u u',   u = h / max(||h||, epsilon),   S_ij = df_i/dz_ij
       sim-bn         sum_j (a_j gamma_j / s_j)^2 E_j E_j' + u diag(a^2 + gamma^2) u',   E_j = F_j - u_j c_j',   c_j = F_j'u_j / n,
                      E_j E_j' = K * (A_j A_j') - B_j u_j' - u_j B_j' + (c_j'c_j) u_j u_j',   B_j = A_j * (K u_j) / n.
2. Off interpolation, no-bias and bias (method "low-rank"): R couples w_j with a_j alone, by g_j = F_j'r, so that H maps into the span
   of the m axes a_j, of the m unit vectors g_j / ||g_j|| and of the n gradients in w: a dense problem of size n + 2 m.
3. Off interpolation, sim-bn and sim-ln (method "dense"): R has full rank in general,
       sim-bn  per neuron, with g = E'r and M = E'E / n:   R_ww = -a gamma (g c' + c g' + (r.u) M) / s^2,
               R_w,gamma = a g / s,   R_w,a = gamma g / s,   R_gamma,a = r.u
       sim-ln  (where ||h_i|| > epsilon; below it f is bilinear)   R_ww = sum_i r_i (3 (f/N^4) eta eta' - (alpha eta' + eta alpha') / N^3
               - (f / N^2) blockdiag(F_ij F_ij')),   alpha = (a_j F_ij)_j,   eta = (h_ij F_ij)_j,   N = ||h_i||,
               R_w,a = sum_i r_i (blockdiag(F_ij) / N - eta h' / N^3)
   but each w_j matters only in the span of the inputs that its neuron sees. In those coordinates H is dense, of size
   at most P and less where n < d'; above `limit` that is refused.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from flatproof.theory.networks import Array, Network, check_points, forward, hidden, with_ones
from flatproof.verify.curvature.estimates import Estimate, Floats
from flatproof.verify.two_layer.modules import TwoLayer
from flatproof.verify.utils.checks import check_whole


@dataclass(frozen=True)
class Spectrum:
    """All eigenvalues of the Hessian of a two-layer network's mean squared error.

    Attributes:
        eigenvalues: those that need not vanish, descending; the other `zeros` eigenvalues are 0 exactly.
        size: the number P of parameters.
        method: "gram" (n x n, at interpolation), "low-rank" (n + 2 m) or "dense", as at the head of this module.
        samples: points of the data.
        seconds: wall time.
    """

    eigenvalues: Floats
    size: int
    method: Literal["gram", "low-rank", "dense"]
    samples: int
    seconds: float

    @property
    def zeros(self) -> int:
        """How many further eigenvalues are exactly 0."""
        return self.size - len(self.eigenvalues)

    @property
    def error(self) -> float:
        """Bound of the rounding of each eigenvalue: backward stability of the symmetric eigenvalue problem."""
        count = max(len(self.eigenvalues), self.samples)
        return float(8 * np.finfo(np.float64).eps * count * np.abs(self.eigenvalues).max(initial=0.0))

    def all(self) -> Floats:
        """All P eigenvalues, descending."""
        return np.sort(np.concatenate([self.eigenvalues, np.zeros(self.zeros)]))[::-1]

    def lambda_max(self) -> Estimate:
        """The largest eigenvalue; its interval is rounding."""
        return self._estimate(float(self.eigenvalues.max(initial=0.0 if self.zeros else -np.inf)), self.error)

    def trace(self) -> Estimate:
        """The sum of all eigenvalues; its interval is rounding."""
        return self._estimate(float(self.eigenvalues.sum()), self.error * max(1, len(self.eigenvalues)))

    def _estimate(self, value: float, reach: float) -> Estimate:
        return Estimate(
            value,
            value - reach,
            value + reach,
            None,
            products=0,
            seconds=self.seconds,
            samples=self.samples,
            mode="eval",
            seed=None,
            method=f"whole spectrum, {self.method}",
            source="wen2023/lemma-4.1 at interpolation; residual term: verify.curvature.two_layer.spectrum",
            rests_on="rounding only",
        )


def whole_spectrum(network: Network | TwoLayer, x: ArrayLike, y: ArrayLike | None = None, *, limit: int = 6000) -> Spectrum:
    """Every eigenvalue of the Hessian of (1/n) sum_i (f(x_i) - y_i)^2, in float64.

    Without y, or where y is f(x) to rounding, the network interpolates and the n x n Gram matrix has them all. A Sim-BN network is
    normalized by the statistics of x itself.

    Args:
        network: what is differentiated, in all its parameters.
        x: inputs, (n, d).
        y: labels, (n,); None for f(x).
        limit: the largest dense problem that is solved.

    Raises:
        ValueError: NaN or wrong shapes, a dense problem that exceeds the limit.
    """
    begun = perf_counter()
    check_whole("limit", limit)
    net = (network.network() if isinstance(network, TwoLayer) else network).astype("float64")
    points, labels = check_points(x, y, d=net.w1.shape[1])
    values = forward(net, points)
    residuals = np.zeros(len(points)) if y is None else values - labels
    size = sum(p.size for p in (net.w1, net.b1, net.gamma, net.w2) if p is not None)
    rounding = 4 * np.finfo(np.float64).eps * float(np.abs(values).max(initial=0.0))
    method: Literal["gram", "low-rank", "dense"]
    if np.abs(residuals).max() <= rounding:
        method, matrix = "gram", gram(net, points)
    else:
        wide = net.architecture in ("sim-bn", "sim-ln")
        method = "dense" if wide else "low-rank"
        matrix = _dense(net, points, residuals, limit) if wide else _low_rank(net, points, residuals, limit)
    eigenvalues = np.linalg.eigvalsh(matrix)[::-1] * (2 / len(points)) if len(matrix) else np.zeros(0)
    excess = len(eigenvalues) - size  # an orthonormal basis cannot be larger: so many of its columns, hence eigenvalues, are 0
    kept = np.sort(np.argsort(np.abs(eigenvalues))[max(0, excess) :])
    return Spectrum(np.array(eigenvalues[kept]), size, method, len(points), perf_counter() - begun)


def gram(network: Network, x: ArrayLike) -> Floats:
    """J J': inner products of the gradients of the f(x_i) over all parameters (closed forms: head of this module).

    Args:
        network: f.
        x: inputs, (n, d).

    Returns:
        The matrix, (n, n).
    """
    points = check_points(x, d=network.w1.shape[1])[0]
    inputs, h = with_ones(network.architecture, points), hidden(network, points)
    on, a, K = (h > 0).astype(np.float64), network.w2, inputs @ inputs.T
    if network.gamma is not None:
        inverse = _inverse_rms(h)
        u, weight = h * inverse, (a * network.gamma * inverse) ** 2
        means = on * (K @ u) / len(points)  # F_j c_j, a column a neuron
        mixed = (means * weight) @ u.T
        lengths = np.sum(u * (K @ u), axis=0) / len(points) ** 2  # ||c_j||^2; u vanishes where the neuron is off
        return np.asarray(K * ((on * weight) @ on.T) - mixed - mixed.T + (u * (weight * lengths + a**2 + network.gamma**2)) @ u.T)
    if network.architecture == "sim-ln":
        signal, unit = _layer_norm(network, h)[:2]
        return np.asarray(K * (signal @ signal.T) + unit @ unit.T)
    return np.asarray(K * ((on * a**2) @ on.T) + h @ h.T)


def _inverse_rms(h: Array) -> Array:
    s = np.sqrt(np.mean(h**2, axis=0))
    return np.divide(1.0, s, out=np.zeros_like(s), where=s > 0)


def _layer_norm(network: Network, h: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Sim-LN: df_i/dz_ij, df_i/da_j, f, the divisor N and whether it is the norm rather than epsilon."""
    norm = np.linalg.norm(h, axis=1)
    N, above = np.maximum(norm, network.epsilon), norm > network.epsilon
    unit = h / N[:, None]
    f = unit @ network.w2
    signal = (h > 0) * (network.w2 - np.where(above, f, 0.0)[:, None] * unit) / N[:, None]
    return signal, unit, f, N, above


def _seen(inputs: Array, h: Array) -> list[Array]:
    """Of each neuron, the rows A_ij x'_i in an orthonormal basis of the span of the inputs it sees, (n, rank) each."""
    blocks = []
    for on in (h > 0).T:
        rows = inputs * on[:, None]
        if on.sum() < inputs.shape[1]:
            U, singular, _ = np.linalg.svd(rows, full_matrices=False)
            # what is cut off is rounding of the rows themselves
            rank = int(np.sum(singular > np.finfo(np.float64).eps * max(rows.shape) * singular.max(initial=0.0)))
            rows = U[:, :rank] * singular[:rank]
        blocks.append(rows)
    return blocks


def _low_rank(network: Network, points: Array, residuals: Array, limit: int) -> Floats:
    """J'J + R of the plain networks in an orthonormal basis of its range: axes a_j, directions g_j, the rest of the gradients."""
    inputs, h, a = with_ones(network.architecture, points), hidden(network, points), network.w2
    on = (h > 0).astype(np.float64)
    g = (on * residuals[:, None]).T @ inputs  # (m, d')
    lengths = np.linalg.norm(g, axis=1)
    alive = lengths > 0
    unit = g[alive] / lengths[alive, None]
    m, n = len(a), len(points)
    _check_limit(min(m + int(alive.sum()) + n, (inputs.shape[1] + 1) * m), limit)
    along = on[:, alive] * (inputs @ unit.T) * a[alive]  # J on the directions g_j
    # the gradients in w without those directions, a neuron's d' columns after the other; R of its QR is all that is needed
    rest = (on * a)[:, :, None] * inputs[:, None, :]
    rest[:, alive, :] -= along[:, :, None] * unit[None, :, :]
    upper: Floats = np.asarray(np.linalg.qr(rest.reshape(n, -1).T, mode="r"))
    J = np.hstack([h, along, upper.T])
    matrix = J.T @ J
    partners = np.arange(m)[alive], m + np.arange(int(alive.sum()))
    matrix[partners] += lengths[alive]
    matrix[partners[::-1]] += lengths[alive]
    return np.asarray(matrix)


def _dense(network: Network, points: Array, residuals: Array, limit: int) -> Floats:
    """J'J + R of the normalized networks, each w_j in coordinates of what its neuron sees."""
    inputs, h = with_ones(network.architecture, points), hidden(network, points)
    rows = _seen(inputs, h)
    own = 2 if network.gamma is not None else 1
    _check_limit(sum(f.shape[1] for f in rows) + own * network.width, limit)
    if network.gamma is not None:
        return _dense_batch_norm(network, network.gamma, rows, h, residuals)
    return _dense_layer_norm(network, rows, h, residuals)


def _check_limit(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(
            f"the dense problem has size {size}, above the limit {limit}; use eigenvalues() of a HessianOperator, or raise it"
        )


def _dense_batch_norm(network: Network, gamma: Array, rows: list[Array], h: Array, r: Array) -> Floats:
    inverse = _inverse_rms(h)
    u, n = h * inverse, len(h)
    columns, blocks = [], []
    for j, F in enumerate(rows):
        a, g, t, v = network.w2[j], gamma[j], inverse[j], u[:, j]
        c = v @ F / n
        E = F - v[:, None] * c
        pull, rank = r @ E, F.shape[1]
        columns.append(np.hstack([a * g * t * E, (a * v)[:, None], (g * v)[:, None]]))
        block = np.zeros((rank + 2, rank + 2))
        block[:rank, :rank] = -a * g * t**2 * (np.outer(pull, c) + np.outer(c, pull) + (r @ v) * (E.T @ E) / n)
        block[:rank, rank] = block[rank, :rank] = a * t * pull
        block[:rank, rank + 1] = block[rank + 1, :rank] = g * t * pull
        block[rank, rank + 1] = block[rank + 1, rank] = r @ v
        blocks.append(block)
    J = np.hstack(columns)
    matrix, at = J.T @ J, 0
    for block in blocks:
        here = slice(at, at + len(block))
        matrix[here, here] += block
        at += len(block)
    return np.asarray(matrix)


def _dense_layer_norm(network: Network, rows: list[Array], h: Array, r: Array) -> Floats:
    signal, unit, f, N, above = _layer_norm(network, h)
    owner = np.repeat(np.arange(len(rows)), [F.shape[1] for F in rows])
    F = np.hstack(rows)
    J = np.hstack([signal[:, owner] * F, unit])
    matrix, count = J.T @ J, len(owner)
    alpha, eta = network.w2[owner] * F, h[:, owner] * F
    on_norm = np.where(above, r, 0.0)
    cross = (eta * (on_norm / N**3)[:, None]).T
    first = cross @ alpha
    matrix[:count, :count] += 3 * (eta * (on_norm * f / N**4)[:, None]).T @ eta - first - first.T
    at = 0
    for block in rows:
        here = slice(at, at + block.shape[1])
        matrix[here, here] -= (block * (on_norm * f / N**2)[:, None]).T @ block
        at += block.shape[1]
    mixed = -cross @ h
    mixed[np.arange(count), owner] += (F * (r / N)[:, None]).sum(axis=0)
    matrix[:count, count:] += mixed
    matrix[count:, :count] += mixed.T
    return np.asarray(matrix)
