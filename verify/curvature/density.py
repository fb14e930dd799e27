"""Owns the spectral density of a symmetric operator by stochastic Lanczos quadrature, with its error over probes.

For a unit vector v, Lanczos' T (k, k) gives Gauss' quadrature of the measure sum_i (u_i'v)^2 delta(lambda_i): nodes theta_j, weights
s_j[1]^2, exact for polynomials of degree 2k - 1. Averaged over random directions that measure is the spectral density
(1/P) sum_i delta(lambda_i), so P * mean over probes of sum_j s_j[1]^2 f(theta_j) estimates tr f(H) for any f
(Golub and Meurant 1994; Ubaru, Chen, Saad, SIMAX 2017; for neural networks Ghorbani, Krishnan, Xiao, ICML 2019, section 2).
The density's smoothing by a Gaussian of width `width` is part of what is estimated. Its interval is Student's t over independent probes
widened by a bound of the quadrature's bias: Gauss' rule errs by at most twice the best approximation of the Gaussian by a polynomial
of degree 2k - 1, which by Bernstein's theorem, on a spectrum of length 2R, is at most for every s > 0

    exp((R sinh(s) / width)^2 / 2) / (sqrt(2 pi) width) * 2 exp(-(2k - 1) s) / (exp(s) - 1).

The default width 2R / k keeps that near 1e-3 of the Gaussian's height. For a general f (`sum`) the interval is that of quadratic
forms (`forms`), without the bias: Student's t of few probes covers too seldom a sum that one eigenvalue rules. The
products' own rounding E (`rounding`) moves each eigenvalue by at most ||E||: a Gaussian by that times its steepest slope, f by what it
does over such a step at the nodes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flatproof.verify.curvature.estimates import Estimate, Floats, Symmetric, gaussian, generator_of, metered
from flatproof.verify.curvature.forms import far_quantile
from flatproof.verify.curvature.krylov import Krylov, started
from flatproof.verify.curvature.rounding import UNSEEN, rounding_of
from flatproof.verify.curvature.scaled import times
from flatproof.verify.utils.checks import check_positive, check_share, check_whole
from flatproof.verify.utils.statistics import student_quantile

SOURCE = "Ubaru, Chen, Saad 2017; Ghorbani et al. 2019, section 2"


@dataclass(frozen=True)
class Density:
    """The smoothed spectral density (1/P) sum_i N(t; lambda_i, width^2) on a grid.

    Attributes:
        grid: points t, (G,).
        density: at each point, (G,).
        low: lower ends of the intervals, (G,).
        high: upper ends of the intervals, (G,).
        nodes: of the quadrature, one array (k,) for each probe.
        weights: of the quadrature, one array (k,) for each probe.
        size: P.
        width: of the smoothing.
        confidence: of the interval at each point, not of the whole curve.
        bias: the bound of the quadrature's error that each interval includes.
        mass: an Estimate of 1 that shows the cost: products, seconds, data.
        rounding: how far the products' own rounding may move an eigenvalue.
    """

    grid: Floats
    density: Floats
    low: Floats
    high: Floats
    nodes: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    size: int
    width: float
    confidence: float
    bias: float
    mass: Estimate
    rounding: float = 0.0

    def sum(self, function: Callable[[Floats], Floats]) -> tuple[float, float, float]:
        """tr f(H) = sum_i f(lambda_i) with its interval: value, low, high.

        Each probe w, |w|^2 = P, gives w'f(H)w and |f(H)w|^2: the interval is that of `forms` for rank 1, which is too wide for others.
        """
        unit = max(float(np.abs(function(t)).max()) for t in self.nodes) or 1.0  # squares of what is small are 0
        each, squares, moved = np.array(
            [self._sums(function, unit, t, w) for t, w in zip(self.nodes, self.weights, strict=True)]
        ).T
        count, mean = len(each), float(each.mean())
        spread = max(float(squares.mean()) - mean**2 / self.size, 0.0)  # of f(H) less a multiple of the identity, which is exact
        deviation = math.sqrt(2 * self.size / (self.size + 2) * spread)
        reach = far_quantile(self.confidence, count) * deviation / math.sqrt(count) + float(moved.mean())
        return unit * mean, unit * (mean - reach), unit * (mean + reach)

    def _sums(self, function: Callable[[Floats], Floats], unit: float, nodes: Floats, weights: Floats) -> tuple[float, ...]:
        """The quadrature of f / unit, of its square, and of what it does over a step of `rounding` to either side."""
        at = function(nodes) / unit
        steps = [np.abs(function(nodes + side * self.rounding) / unit - at) for side in (-1, 1)]
        return tuple(self.size * float(weights @ values) for values in (at, at**2, np.maximum(*steps)))

    def count(self, low: float, high: float) -> tuple[float, float, float]:
        """How many eigenvalues lie in [low, high], by quadrature with hard edges: value, low, high over probes."""
        value, below, above = self.sum(lambda t: ((t >= low) & (t <= high)).astype(np.float64))
        return value, max(0.0, below), min(float(self.size), above)


def spectral_density(
    operator: Symmetric,
    *,
    probes: int = 8,
    steps: int = 40,
    points: int = 400,
    width: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    rounding: bool = True,
) -> Density:
    """Stochastic Lanczos quadrature (defined at the head of this module). Memory: steps * P numbers.

    Args:
        operator: H, (P, P).
        probes: random directions.
        steps: products for each of them.
        points: of the grid, which reaches three widths beyond the outermost nodes.
        width: of the Gaussian smoothing, in units of eigenvalues; default the range of the nodes over `steps`.
        confidence: of the interval at each point.
        seed: of the directions.
        rounding: as for `eigenvalues`.

    Returns:
        The smoothed density with its intervals.

    Raises:
        ValueError: settings out of range, a product that is not finite.
    """
    check_whole("probes", probes, 2)
    check_whole("steps", steps)
    check_whole("points", points, 2)
    check_share("confidence", confidence)
    generator = generator_of(seed)
    size = operator.shape[0]
    with metered(operator) as meter:
        with meter.checking():
            seen = rounding_of(operator) if rounding else UNSEEN
        krylov = started(operator, gaussian(operator, 1, generator), seed)
        scaled = krylov.operator
        nodes: list[Floats] = []
        weights: list[Floats] = []
        closed = True
        for probe in range(probes):
            krylov = Krylov(scaled, gaussian(operator, 1, generator)) if probe else krylov
            while krylov.size < min(steps, size) and not krylov.invariant:
                krylov.grow()
            values, vectors = np.linalg.eigh(krylov.T)
            closed = closed and krylov.invariant  # then the quadrature is exact
            nodes.append(values)
            weights.append(vectors[0] ** 2)
        ends = float(min(t[0] for t in nodes)), float(max(t[-1] for t in nodes))
        spread = ends[1] - ends[0] or max(abs(ends[0]), 1.0)
        unit = scaled.exponent or 0
        width = spread / min(steps, size) if width is None else times(check_positive("width", width), -unit)
        grid = np.linspace(ends[0] - 3 * width, ends[1] + 3 * width, points)
        curves = np.stack(
            [_normal_density((grid[:, None] - t) / width) @ w / width for t, w in zip(nodes, weights, strict=True)], axis=1
        )
        level = seen.left(confidence)
        mean, half = _student(curves, level)
        bias = gauss_bias(spread / 2, width, min(len(t) for t in nodes)) if not closed else 0.0
        moved = seen.norm(confidence, unit)
        half += bias + min(moved * np.exp(-0.5) / width, 1.0) / (np.sqrt(2 * np.pi) * width)
        mass = meter.estimate(
            1.0,
            1.0,
            1.0,
            None,
            seed=seed,
            method=f"stochastic Lanczos quadrature, {probes} probes of {steps} products",
            source=SOURCE,
            rests_on="Student's t over independent probes at each point of the grid, and a bound of the quadrature's bias; "
            + seen.says(),
        )
    return Density(
        np.ldexp(grid, unit),
        np.ldexp(mean, -unit),
        np.ldexp(np.maximum(mean - half, 0), -unit),
        np.ldexp(mean + half, -unit),
        tuple(np.ldexp(t, unit) for t in nodes),
        tuple(weights),
        size,
        scaled.back(width),
        confidence,
        times(bias, -unit),
        mass,
        scaled.back(moved),
    )


def gauss_bias(radius: float, width: float, steps: int) -> float:
    """Bound of |quadrature - truth| for N(t; ., width^2) on a spectrum of that radius (formula: head of this module)."""
    s = np.geomspace(1e-4, 5, 400)
    logs = (radius * np.sinh(s) / width) ** 2 / 2 - (2 * steps - 1) * s - np.log(np.expm1(s))
    # never more than the Gaussian's height: both the quadrature and the truth lie between 0 and it
    return float(min(4 * np.exp(min(logs.min(), 50.0)), 1.0) / (np.sqrt(2 * np.pi) * width))


def spectral_sum(operator: Symmetric, function: Callable[[Floats], Floats], **settings: object) -> Estimate:
    """tr f(H) = sum_i f(lambda_i) by stochastic Lanczos quadrature.

    Args:
        operator: H, (P, P).
        function: f, elementwise on arrays.
        **settings: those of `spectral_density`.

    Returns:
        The sum with its interval, see `Density.sum`.
    """
    density = spectral_density(operator, **settings)  # type: ignore[arg-type]
    value, low, high = density.sum(function)
    cost = density.mass
    return Estimate(
        value,
        low,
        high,
        density.confidence,
        cost.products,
        cost.seconds,
        cost.samples,
        cost.mode,
        cost.seed,
        cost.method,
        cost.source,
        f"quadratic forms of independent probes, by rank 1; the quadrature's bias is not in it; {cost.rests_on.rpartition('; ')[2]}",
        checks=cost.checks,
    )


def _normal_density(z: Floats) -> Floats:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _student(values: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Row means over the probes (columns) and the half-widths of their t intervals."""
    count = values.shape[1]
    return values.mean(axis=1), student_quantile(confidence, count) * values.std(axis=1, ddof=1) / np.sqrt(count)
