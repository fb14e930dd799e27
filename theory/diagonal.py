"""Owns diagonal linear networks f(x) = <u * v, x> with L = (kappa/n) ||X(u * v) - y||^2: sharpness in closed form, or bounded.

Displacing (u, v) by (a, b) moves beta = u * v by e = a v + u b + a b, so that with Sigma = X'X/n and the residuals r = X beta - y

    L(u + a, v + b) - L(u, v) = kappa (2 (X'r/n)'e + e' Sigma e),   at interpolation kappa e' Sigma e.

A displacement is a = c_u * s, b = c_v * t with (s, t) random, or in a ball of radius rho; the scaling c is 1 ("none"), |w|
("elementwise"), c_u = |u|^q |v|^(q-1) with c_v likewise (a number q), or a pair (c_u, c_v) of the caller's. With signs taken out of
s and t, e_i = sign(u_i v_i) (along_u s_i + along_v t_i + both s_i t_i), along_u = c_u |v|, along_v = c_v |u|, both = c_u c_v, none
below 0: all that follows is of these three. The ledger proves each form for every d (own/diagonal-1 and on; andriushchenko2023/diag-1
and on); worst cases and spectra are those at interpolation, the rest holds anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Scaling = str | float | tuple[ArrayLike, ArrayLike]
VARIANCES = {"l2": 1.0, "linf": 1 / 3}  # of N(0, 1) and of U[-1, 1]
MOST_ENUMERATED = 20  # coordinates, 2^20 vertices
ROWS = 2**12


@dataclass(frozen=True)
class Diagonal:
    """A network, or many of the same data.

    Attributes:
        u: first layer, (..., d); leading axes are networks.
        v: second layer, of u's shape.
        x: the data, (n, d).
        kappa: factor of the loss; 1 for the mean squared error, 1/2 for half of it.
    """

    u: Array
    v: Array
    x: Array
    kappa: float = 1.0

    def __post_init__(self) -> None:
        for name in ("u", "v", "x"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(
                    f"{name} must be finite, entry {np.argwhere(~np.isfinite(getattr(self, name)))[0].tolist()} is not"
                )
        if self.x.ndim != 2 or 0 in self.x.shape:
            raise ValueError(f"x must be of shape (n, d), got {self.x.shape}")
        if self.u.shape != self.v.shape or self.u.shape[-1:] != self.x.shape[1:]:
            raise ValueError(f"u and v must be of shape (..., {self.x.shape[1]}), got {self.u.shape} and {self.v.shape}")
        if not (np.isfinite(self.kappa) and self.kappa > 0):
            raise ValueError(f"kappa must be a number above 0, got {self.kappa!r}")

    @property
    def beta(self) -> Array:
        """The linear predictor u * v, (..., d)."""
        return self.u * self.v

    @cached_property
    def covariance(self) -> Array:
        """Sigma = X'X/n, (d, d)."""
        return self.x.T @ self.x / len(self.x)

    @cached_property
    def variances(self) -> Array:
        """Sigma_ii, (d,)."""
        return np.einsum("ki,ki->i", self.x, self.x) / len(self.x)

    @cached_property
    def uncorrelated(self) -> bool:
        """Whether Sigma is diagonal: to 1e-12 of its entries' size."""
        off = np.abs(self.covariance - np.diag(self.variances))
        return bool((off <= 1e-12 * np.sqrt(np.outer(self.variances, self.variances))).all())

    def forward(self) -> Array:
        """f at the data, (..., n)."""
        return self.beta @ self.x.T

    def residuals(self, y: ArrayLike) -> Array:
        """f - y at the data, (..., n); ValueError unless y is of shape (n,)."""
        labels = np.asarray(y, dtype=float)
        if labels.shape != (len(self.x),):
            raise ValueError(f"y must be of shape ({len(self.x)},), got {labels.shape}")
        return self.forward() - labels

    def loss(self, y: ArrayLike) -> Array:
        """L, of the shape of the leading axes.

        Args:
            y: labels, (n,).
        """
        return self.kappa * np.mean(self.residuals(y) ** 2, axis=-1)

    def increase(self, y: ArrayLike, a: ArrayLike, b: ArrayLike) -> Array:
        """L(u + a, v + b) - L(u, v), exactly (own/diagonal-1).

        Args:
            y: labels, (n,).
            a: displacement of u, broadcast against it.
            b: displacement of v.
        """
        e = np.asarray(a) * self.v + self.u * np.asarray(b) + np.asarray(a) * np.asarray(b)
        moved = e @ self.x.T
        return self.kappa * np.mean((2 * self.residuals(y) + moved) * moved, axis=-1)

    def gradient(self, y: ArrayLike) -> Array:
        """dL/d(u, v), (..., 2d)."""
        of_beta = 2 * self.kappa * self.residuals(y) @ self.x / len(self.x)
        return np.concatenate([self.v * of_beta, self.u * of_beta], axis=-1)

    def scales(self, scaling: Scaling) -> tuple[Array, Array]:
        """c_u and c_v, (..., d).

        Args:
            scaling: "none", "elementwise", a number q, or the pair itself.

        Raises:
            ValueError: an unknown scaling, q < 1 where a coordinate is 0 (the power is infinite there), a pair below 0.
        """
        u, v = np.abs(self.u), np.abs(self.v)
        if isinstance(scaling, str):
            if scaling not in ("none", "elementwise"):
                raise ValueError(f"scaling must be 'none', 'elementwise', a number or a pair of arrays, got {scaling!r}")
            return (u, v) if scaling == "elementwise" else (np.ones_like(u), np.ones_like(v))
        if isinstance(scaling, tuple):
            pair = [np.broadcast_to(np.asarray(c, dtype=float), u.shape) for c in scaling]
            if len(pair) != 2 or not all((c >= 0).all() for c in pair):
                raise ValueError("scaling must be a pair of arrays without an entry below 0")
            return pair[0], pair[1]
        if scaling < 1 and not (u * v).all():
            raise ValueError(f"scaling q = {scaling:g} < 1 needs u and v without zeros: |v|^(q-1) is infinite at 0")
        return u**scaling * v ** (scaling - 1), v**scaling * u ** (scaling - 1)

    def terms(self, scaling: Scaling) -> tuple[Array, Array, Array]:
        """along_u = c_u |v|, along_v = c_v |u| and both = c_u c_v, (..., d) each."""
        c_u, c_v = self.scales(scaling)
        return c_u * np.abs(self.v), c_v * np.abs(self.u), c_u * c_v


def _radius(rho: float) -> float:
    if not (np.isfinite(rho) and rho > 0):
        raise ValueError(f"rho must be a number above 0, got {rho!r}")
    return rho


# --- curvature ----------------------------------------------------------------------------------------------------------


def hessian(network: Diagonal, y: ArrayLike | None = None) -> Array:
    """The Hessian in (u, v), (2d, 2d), of one network.

    Args:
        network: of one network.
        y: labels, (n,); None at interpolation, where no residual counts (andriushchenko2023/diag-1).
    """
    u, v, sigma = np.diag(network.u), np.diag(network.v), network.covariance
    crossed = v @ sigma @ u
    if y is not None:
        crossed = crossed + np.diag(network.residuals(y) @ network.x / len(network.x))
    return 2 * network.kappa * np.block([[v @ sigma @ v, crossed], [crossed.T, u @ sigma @ u]])


def trace(network: Diagonal, scaling: Scaling = "none") -> Array:
    """tr(C H C) = 2 kappa sum_i Sigma_ii (along_u^2 + along_v^2), anywhere (andriushchenko2023/diag-2, diag-10)."""
    along_u, along_v, _ = network.terms(scaling)
    return 2 * network.kappa * (along_u**2 + along_v**2) @ network.variances


def lambda_max(network: Diagonal, scaling: Scaling = "none") -> Array:
    """lambda_max(C H C) = 2 kappa lambda_max(R Sigma R), R^2 = along_u^2 + along_v^2, at interpolation (own/diagonal-4)."""
    along_u, along_v, _ = network.terms(scaling)
    return 2 * network.kappa * _largest(network, np.hypot(along_u, along_v))


def _largest(network: Diagonal, r: Array) -> Array:
    """lambda_max(R Sigma R), R = diag(r)."""
    if network.uncorrelated:
        return np.max(network.variances * r**2, axis=-1)
    if len(network.x) < network.x.shape[1]:  # the same eigenvalues from X R R X'/n
        return np.linalg.eigvalsh(np.einsum("ki,...i,li->...kl", network.x, r**2, network.x) / len(network.x))[..., -1]
    return np.linalg.eigvalsh(r[..., :, None] * network.covariance * r[..., None, :])[..., -1]


def fisher_rao(network: Diagonal) -> Array:
    """w'Gw = 8 kappa beta' Sigma beta, the Fisher-Rao norm of the model's own Fisher matrix (own/diagonal-5)."""
    return 8 * network.kappa * np.mean(network.forward() ** 2, axis=-1)


# --- average and first order ------------------------------------------------------------------------------------------------


def average_case(network: Diagonal, rho: float, norm: str = "l2", scaling: Scaling = "elementwise") -> Array:
    """E L(w + delta) - L(w) over independent delta_i, exactly in rho and anywhere (andriushchenko2023/diag-3, diag-4; own/diagonal-2).

    Args:
        network: one or many.
        rho: size of the displacements, in units of c.
        norm: their law, "l2" for N(0, rho^2 c_i^2), "linf" for U[-rho c_i, rho c_i].
        scaling: c.
    """
    if norm not in VARIANCES:
        raise ValueError(f"norm must be one of {', '.join(VARIANCES)}, got {norm!r}")
    along_u, along_v, both = network.terms(scaling)
    variance = VARIANCES[norm] * _radius(rho) ** 2
    return network.kappa * (variance * (along_u**2 + along_v**2) + variance**2 * both**2) @ network.variances


def first_order(network: Diagonal, y: ArrayLike, rho: float) -> Array:
    """L(w + rho grad / ||grad||) - L(w), SAM's sharpness at its first-order point; 0 where the gradient vanishes."""
    gradient = network.gradient(y)
    length = np.linalg.norm(gradient, axis=-1, keepdims=True)
    step = _radius(rho) * np.divide(gradient, length, out=np.zeros_like(gradient), where=length > 0)
    d = network.x.shape[1]
    return network.increase(y, step[..., :d], step[..., d:])


# --- worst case over a box ------------------------------------------------------------------------------------------------


def worst_case_linf(network: Diagonal, rho: float, scaling: Scaling = "elementwise") -> Array:
    """max over |s_i|, |t_i| <= rho of L(w + delta) - L(w) at interpolation, exactly in rho.

    e moves in a box of its own and e' Sigma e is convex: the maximum is at a vertex (own/diagonal-8). For diagonal Sigma coordinates
    separate (andriushchenko2023/diag-7); else 2^d vertices are enumerated, for no way is known that is fast for every Sigma
    (own/diagonal-9).

    Args:
        network: one or many.
        rho: radius in units of c.
        scaling: c.

    Raises:
        ValueError: correlated data with d above MOST_ENUMERATED.
    """
    low, high = _range(network, _radius(rho), scaling)
    if network.uncorrelated:
        return network.kappa * high**2 @ network.variances
    sign = _signs(network.beta)
    return network.kappa * _over_vertices(network, sign * low, sign * high)


def second_order_linf(network: Diagonal, rho: float, scaling: Scaling = "elementwise") -> Array:
    """kappa rho^2 max over z in {-1, 1}^d of z'R Sigma R z, R = along_u + along_v (andriushchenko2023/diag-8).

    Args:
        network: one or many.
        rho: radius in units of c.
        scaling: c; R = 2 |beta| for c = |w|.

    Raises:
        ValueError: correlated data with d above MOST_ENUMERATED.
    """
    along_u, along_v, _ = network.terms(scaling)
    reach = _radius(rho) * (along_u + along_v)
    if network.uncorrelated:
        return network.kappa * reach**2 @ network.variances
    return network.kappa * _over_vertices(network, -reach, reach)


def keskar(network: Diagonal, epsilon: float) -> Array:
    """100 max over |z_i| <= epsilon (|w_i| + 1) of L(w + z), L(w) = 0: keskar2017's metric, exactly; as `worst_case_linf`."""
    return 100 * worst_case_linf(network, epsilon, (np.abs(network.u) + 1, np.abs(network.v) + 1))


def _range(network: Diagonal, rho: float, scaling: Scaling) -> tuple[Array, Array]:
    """Least and largest value of along_u s + along_v t + both s t for |s|, |t| <= rho; the largest is also so in absolute value."""
    along_u, along_v, both = network.terms(scaling)
    high = rho * (along_u + along_v) + rho**2 * both
    apart = -rho * np.abs(along_u - along_v) - rho**2 * both
    return np.minimum(rho**2 * both - rho * (along_u + along_v), apart), high


def _signs(values: Array) -> Array:
    return np.where(values < 0, -1.0, 1.0)


def _over_vertices(network: Diagonal, low: Array, high: Array) -> Array:
    """max of e' Sigma e over e_i in {low_i, high_i}, (...)."""
    d = network.x.shape[1]
    if d > MOST_ENUMERATED:
        raise ValueError(
            f"correlated data of dimension {d} has 2^{d} vertices; expected at most {MOST_ENUMERATED} dimensions, or uncorrelated data"
        )
    factor = np.linalg.qr(network.x).R if len(network.x) > d else network.x
    flat_low, flat_high = low.reshape(-1, d), high.reshape(-1, d)
    values = [
        max(float(np.max(np.sum((np.where(chosen, up, down) @ factor.T) ** 2, axis=1))) for chosen in _vertices(d))
        for down, up in zip(flat_low, flat_high, strict=True)
    ]
    return np.array(values).reshape(low.shape[:-1]) / len(network.x)


def _vertices(d: int) -> Iterator[NDArray[np.bool_]]:
    """All of {0, 1}^d, some thousand rows at a time."""
    for start in range(0, 2**d, ROWS):
        numbers = np.arange(start, min(start + ROWS, 2**d))
        yield (numbers[:, None] >> np.arange(d)) & 1 == 1


# --- worst case over a ball -----------------------------------------------------------------------------------------------


def worst_case_l2(network: Diagonal, rho: float, scaling: Scaling = "elementwise") -> tuple[Array, Array]:
    """Bounds of max over ||(s, t)||_2 <= rho of L(w + delta) - L(w) at interpolation; they coincide for diagonal Sigma.

    With m_i the largest |e_i| that radius rho reaches in coordinate i alone: from below the best single coordinate,
    kappa max_i Sigma_ii m_i^2, and the increase along the Hessian's top direction; from above kappa lambda_max(M Sigma M), M = diag(m)
    (own/diagonal-12, own/diagonal-13; andriushchenko2023/diag-6).

    Args:
        network: one or many.
        rho: radius in units of c.
        scaling: c.

    Returns:
        Lower and upper bound, of the shape of the leading axes.
    """
    terms = network.terms(scaling)
    _radius(rho)
    reach = reach_of_one(*terms, rho)
    low = network.kappa * np.max(network.variances * reach**2, axis=-1)
    if network.uncorrelated:
        return low, low
    _, vectors = np.linalg.eigh(reach[..., :, None] * network.covariance * reach[..., None, :])
    top = vectors[..., -1]
    s, t = best_of_one(*terms, rho * np.abs(top))
    for flip in (1, -1):
        sign = flip * _signs(top * network.beta)
        e = _signs(network.beta) * (sign * (terms[0] * s + terms[1] * t) + terms[2] * s * t)
        low = np.maximum(low, network.kappa * np.mean((e @ network.x.T) ** 2, axis=-1))
    return low, network.kappa * _largest(network, reach)


def best_of_one(along_u: Array, along_v: Array, both: Array, rho: ArrayLike) -> tuple[Array, Array]:
    """The s, t >= 0 with s^2 + t^2 = rho^2 of the largest along_u s + along_v t + both s t, elementwise.

    Stationary points are along_u + both t = lam s, along_v + both s = lam t; in the axes (1, 1) and (1, -1), with g_+ and g_- the linear
    terms there, g_+^2/(lam - both)^2 + g_-^2/(lam + both)^2 = rho^2 has one root lam >= both, found by bisection.
    """
    radius = np.broadcast_to(np.asarray(rho, dtype=float), along_u.shape)
    plus, minus = (along_u + along_v) / np.sqrt(2), (along_u - along_v) / np.sqrt(2)
    safe = np.where(radius > 0, radius, 1.0)
    low, high = plus / safe, np.hypot(plus, minus) / safe  # of lam - both
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(60):
            middle = (low + high) / 2
            outside = (plus / middle) ** 2 + (minus / (middle + 2 * both)) ** 2 > safe**2
            low, high = np.where(outside, middle, low), np.where(outside, high, middle)
        across = np.where(minus == 0, 0.0, minus / ((low + high) / 2 + 2 * both))
    across = np.clip(across, -radius, radius)
    along = np.sqrt(np.maximum(radius**2 - across**2, 0))
    return (along + across) / np.sqrt(2), (along - across) / np.sqrt(2)


def reach_of_one(along_u: Array, along_v: Array, both: Array, rho: ArrayLike) -> Array:
    """The largest |along_u s + along_v t + both s t| for s^2 + t^2 <= rho^2, elementwise; |beta| (sqrt 2 rho + rho^2/2) for c = |w|."""
    s, t = best_of_one(along_u, along_v, both, rho)
    return along_u * s + along_v * t + both * s * t


# --- one sample a batch ---------------------------------------------------------------------------------------------------


def one_sample_linf(network: Diagonal, rho: float, scaling: Scaling = "elementwise") -> Array:
    """mean_k max over |s_i|, |t_i| <= rho of L_k(w + delta), m-sharpness with m = 1 at interpolation, exactly in rho.

    kappa mean_k (max |x_k'e|)^2, coordinate by coordinate (andriushchenko2023/diag-9, own/diagonal-11).
    """
    low, high = _range(network, _radius(rho), scaling)
    ends = _signs(network.beta)[..., None, :] * network.x, low[..., None, :], high[..., None, :]
    upper = np.sum(np.maximum(ends[0] * ends[1], ends[0] * ends[2]), axis=-1)
    lower = np.sum(np.minimum(ends[0] * ends[1], ends[0] * ends[2]), axis=-1)
    return network.kappa * np.mean(np.maximum(upper, -lower) ** 2, axis=-1)


def one_sample_second_order(network: Diagonal, rho: float, norm: str = "linf", scaling: Scaling = "elementwise") -> Array:
    """The leading term in rho of m-sharpness with m = 1 at interpolation (andriushchenko2023/diag-9, own/diagonal-11).

    Args:
        network: one or many.
        rho: radius in units of c.
        norm: "linf": kappa rho^2 mean_k (sum_i |x_ki| (along_u + along_v)_i)^2; "l2": rho^2/2 tr(C H C), for one sample's Hessian has
            rank 1.
        scaling: c.
    """
    _radius(rho)
    if norm == "l2":
        return rho**2 / 2 * trace(network, scaling)
    if norm != "linf":
        raise ValueError(f"norm must be 'l2' or 'linf', got {norm!r}")
    along_u, along_v, _ = network.terms(scaling)
    return network.kappa * rho**2 * np.mean(((along_u + along_v) @ np.abs(network.x).T) ** 2, axis=-1)
