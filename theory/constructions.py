"""Owns every network that wen2023 writes down, in exact numbers, and the checks on them: interpolates, memorizes, trace, error.

A neuron is kept as a rational direction p (bias last, if any), a rational output weight q and the square S of the scale that
splits q between the layers: w = sqrt(S) p and a = q / sqrt(S). Outputs then are rational, f(x) = sum_j q_j relu(p_j . x'), and
only squared gradient norms see S, an algebraic number kept by sympy:

    ||grad f(x)||^2 = sum_j A_j (q_j^2 ||x'||^2 / S_j + S_j (p_j . x')^2).

`memorizing_network` and `generalizing_network` return the same networks in floating point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from flatproof.theory.networks import DeepNetwork, Network, check_architecture, check_points

Point = tuple[Fraction, ...]
SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # (-1)^i, (-1)^j for i, j in {0, 1}


@dataclass(frozen=True)
class Neuron:
    """Direction p (bias last), output weight q, squared scale S: w = sqrt(S) p, a = q / sqrt(S)."""

    direction: Point
    weight: Fraction
    scale: sp.Expr

    def activation(self, x: Point) -> Fraction:
        """relu(p . x')."""
        return max(Fraction(0), dot(self.direction, x))


def homogeneous(x: Point) -> Point:
    """(x, 1)."""
    return (*x, Fraction(1))


def dot(x: Point, y: Point) -> Fraction:
    """x . y."""
    return sum((a * b for a, b in zip(x, y, strict=True)), start=Fraction(0))


def square(x: Point) -> Fraction:
    """||x||^2."""
    return dot(x, x)


@dataclass(frozen=True)
class ExactNetwork:
    """A two-layer network "no-bias" or "bias" of exact neurons."""

    neurons: tuple[Neuron, ...]
    bias: bool = True

    def inputs(self, x: Point) -> Point:
        """x', what the first layer sees."""
        return homogeneous(x) if self.bias else x

    def output(self, x: Point) -> Fraction:
        """f(x)."""
        seen = self.inputs(x)
        return sum((n.weight * n.activation(seen) for n in self.neurons), start=Fraction(0))

    def interpolates(self, points: Sequence[Point], labels: Sequence[Fraction]) -> bool:
        """Whether f(x_i) = y_i for all i."""
        return all(self.output(x) == y for x, y in zip(points, labels, strict=True))

    def memorizes(self, points: Sequence[Point]) -> bool:
        """Whether every point activates exactly one neuron, a different one each (wen2023/definition-4.2)."""
        active = [[j for j, n in enumerate(self.neurons) if n.activation(self.inputs(x)) > 0] for x in points]
        return all(len(a) == 1 for a in active) and len({a[0] for a in active}) == len(points)

    def squared_gradient_norm(self, x: Point) -> sp.Expr:
        """||grad f(x)||^2 over both layers, an algebraic number."""
        seen = self.inputs(x)
        total: sp.Expr = sp.Integer(0)
        for n in self.neurons:
            h = n.activation(seen)
            if h > 0:
                total += rational(n.weight**2 * square(seen)) / n.scale + n.scale * rational(h**2)
        return sp.nsimplify(sp.simplify(total))

    def trace(self, points: Sequence[Point]) -> sp.Expr:
        """(2/n) sum_i ||grad f(x_i)||^2."""
        return sp.simplify(2 * sum((self.squared_gradient_norm(x) for x in points), start=sp.Integer(0)) / len(points))

    def numeric(self) -> Network:
        """The same network in floating point."""
        scale = np.sqrt([float(n.scale) for n in self.neurons])
        w = np.array([[float(p) for p in n.direction] for n in self.neurons]) * scale[:, None]
        a = np.array([float(n.weight) for n in self.neurons]) / scale
        if self.bias:
            return Network(w1=w[:, :-1], b1=w[:, -1], w2=a, architecture="bias")
        return Network(w1=w, w2=a)


def rational(value: Fraction) -> sp.Rational:
    """A Fraction as sympy's Rational."""
    return sp.Rational(value.numerator, value.denominator)


def zero_one_errors(network: ExactNetwork, d: int) -> int:
    """How many points of the cube {-1, 1}^d have y f(x) <= 0 with y = x[1] x[2]: exact enumeration."""
    return sum(network.output(x) * x[0] * x[1] <= 0 for x in cube(d))


def cube(d: int) -> Iterator[Point]:
    """All points of {-1, 1}^d."""
    return product((Fraction(1), Fraction(-1)), repeat=d)


def separating_direction(points: Sequence[Point], i: int) -> tuple[Point, Fraction] | None:
    """A direction in which one point lies beyond all others.

    Found by a linear program in floating point, rounded to rationals and verified exactly. Equal norms need no program: then
    x_i itself separates. A point that repeats is never a vertex of its own.

    Args:
        points: x_j, n of them.
        i: the point's index.

    Returns:
        A rational w with w . x_i > w . x_j for all j != i, and the smallest difference; None if x_i is no vertex of the hull.
    """
    others = [p for j, p in enumerate(points) if j != i]
    for w in _candidates(points, i):
        margin = min((dot(w, points[i]) - dot(w, x) for x in others), default=Fraction(1))
        if margin > 0:
            return w, margin
    return None


def _candidates(points: Sequence[Point], i: int) -> Iterator[Point]:
    yield points[i]
    x = np.array([[float(v) for v in p] for p in points])
    differences = x[i] - np.delete(x, i, axis=0)
    scale = np.abs(differences).max(initial=1.0)
    d = x.shape[1]
    # maximize t with w . (x_i - x_j) >= t and |w_k| <= 1
    answer = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.hstack([-differences / scale, np.ones((len(differences), 1))]) if len(differences) else None,
        b_ub=np.zeros(len(differences)) if len(differences) else None,
        bounds=[(-1, 1)] * d + [(None, 1)],
    )
    if answer.x is not None:
        for digits in (10**3, 10**6, 10**12):
            yield tuple(Fraction(float(v)).limit_denominator(digits) for v in answer.x[:d])


def memorizing(points: Sequence[Point], labels: Sequence[Fraction]) -> ExactNetwork:
    """Theorem 4.1's network for D = 2: neuron i sees x_i alone and splits y_i evenly between the layers.

    p_i = (w_i, -w_i . x_i + eps) / eps with eps half the smallest margin, q_i = y_i, S_i = |y_i| ||x'_i||. A sample with label 0
    gets a neuron that is never active: any active one would add to the trace.

    Args:
        points: x_i, n of them.
        labels: y_i.

    Returns:
        The network, exact.

    Raises:
        ValueError: when a point is no vertex of the hull of the points.
    """
    neurons = []
    for i, (x, y) in enumerate(zip(points, labels, strict=True)):
        separation = separating_direction(points, i)
        if separation is None:
            raise ValueError(f"x must be in convex position to be memorized; row {i} is no vertex of the convex hull")
        if y == 0:
            neurons.append(Neuron((Fraction(0),) * (len(x) + 1), Fraction(0), sp.Integer(1)))
            continue
        w, margin = separation
        eps = margin / 2
        offset = eps - dot(w, x)
        direction = tuple(v / eps for v in (*w, offset))
        length = sp.sqrt(rational(square(homogeneous(x))))
        neurons.append(Neuron(direction, y, rational(abs(y)) * length))
    return ExactNetwork(tuple(neurons))


def generalizing(d: int) -> ExactNetwork:
    """Proposition 4.2's network with S = sqrt(d + 1): sees the first two coordinates, flattest with bias and exact on the cube."""
    zeros = (Fraction(0),) * (d - 2)
    return ExactNetwork(
        tuple(
            Neuron((Fraction(s), Fraction(t), *zeros, Fraction(-1)), Fraction(s * t), sp.sqrt(sp.Integer(d + 1)))
            for s, t in SIGNS
        )
    )


def four_corners(d: int, epsilon: Fraction) -> ExactNetwork:
    """Theorem A.1's four neurons without bias, which fit P_xor exactly for 0 < epsilon < 1; scales S = 1."""
    zeros = (Fraction(0),) * (d - 2)
    e = epsilon
    rows = ((1 + e, 1 - e), (1 + e, -1 + e), (-1 - e, 1 - e), (-1 - e, -1 + e))
    signs = (1, -1, -1, 1)
    return ExactNetwork(
        tuple(Neuron((*row, *zeros), Fraction(s) / (2 - 2 * e), sp.Integer(1)) for row, s in zip(rows, signs, strict=True)),
        bias=False,
    )


def exact_points(x: ArrayLike, y: ArrayLike) -> tuple[list[Point], list[Fraction]]:
    """Floating-point data as the rational numbers that they are."""
    points, labels = check_points(x, y)
    return [tuple(Fraction(float(v)) for v in row) for row in points], [Fraction(float(v)) for v in labels]


def memorizing_network(x: ArrayLike, y: ArrayLike, architecture: str = "bias", epsilon: float = 1e-3) -> Network:
    """A flattest network that memorizes: one neuron a sample, silent on every other sample.

    "bias": theorem-4.1, trace (4/n) sum_i ||x'_i|| |y_i|. "sim-ln": theorem-5.1 with its case boundary corrected to
    ||x'_i|| |y_i| = epsilon / 2, trace (2/n) sum_i min(1, (2/epsilon) ||x'_i|| |y_i|).

    Args:
        x: inputs, (n, d), in convex position.
        y: labels, (n,).
        architecture: "bias" or "sim-ln".
        epsilon: the floor of the norm in Sim-LN.

    Returns:
        The network, n neurons.

    Raises:
        ValueError: for another architecture, or a point that is no vertex of the hull.
    """
    kind = check_architecture(architecture)
    if kind not in ("bias", "sim-ln"):
        raise ValueError(f"a flattest memorizing network is known for 'bias' and 'sim-ln', not for {architecture!r}")
    points, labels = exact_points(x, y)
    network = memorizing(points, labels).numeric()
    if kind == "bias":
        return network
    norms = np.array([np.sqrt(float(square(homogeneous(p)))) for p in points])
    size = np.array([float(v) for v in labels])
    root = np.sqrt(np.abs(size) * norms)
    direction = network.weights / np.where(root > 0, root, 1)[:, None]  # p_i . x'_i = 1, or 0 for a label 0
    reach = norms * np.abs(size) / epsilon
    above = reach > 0.5
    height = np.where(above, 2 * epsilon, epsilon * np.sqrt(reach))
    w = direction * height[:, None]
    return Network(
        w1=w[:, :-1],
        b1=w[:, -1],
        w2=np.where(above, size, size / np.sqrt(np.maximum(reach, np.finfo(float).tiny))),
        architecture="sim-ln",
        epsilon=epsilon,
    )


def generalizing_network(d: int, architecture: str = "bias", epsilon: float = 1e-3, size: float = 1.0) -> Network:
    """A network that computes x[1] x[2] on the whole cube {-1, 1}^d.

    "bias": proposition-4.2 corrected, flattest. "sim-ln": proposition-5.2, flattest for epsilon < sqrt(d + 1). "sim-bn":
    lemma-A.1 with first-layer weights scaled by `size`, whose trace tends to the infimum 8 on complete parity sets as size
    grows. "no-bias": theorem-A.1's four neurons at epsilon = 1/2, scaled between the layers for ||x|| = sqrt(d); not flattest.

    Args:
        d: dimension.
        architecture: one of ARCHITECTURES.
        epsilon: the floor of the norm in Sim-LN.
        size: of Sim-BN's first layer.

    Returns:
        The network, four neurons.

    Raises:
        ValueError: for d < 2 or an unknown architecture.
    """
    kind = check_architecture(architecture)
    if d < 2:
        raise ValueError(f"d must be a whole number of at least 2, got {d!r}")
    exact = generalizing(d).numeric()
    if kind == "bias":
        return exact
    if kind == "no-bias":
        network = four_corners(d, Fraction(1, 2)).numeric()
        scale = d**0.25 * np.sqrt(np.abs(network.w2)) / 2**0.25
        return Network(w1=network.w1 * scale[:, None], w2=network.w2 / scale)
    signs, products = np.array(SIGNS, dtype=float), np.prod(np.array(SIGNS, dtype=float), axis=1)
    w1 = np.zeros((4, d))
    w1[:, :2] = signs * (size if kind == "sim-bn" else 2 * epsilon)
    b1 = np.full(4, -size if kind == "sim-bn" else -2 * epsilon)
    if kind == "sim-bn":
        half = np.full(4, np.sqrt(0.5))
        return Network(w1=w1, b1=b1, w2=half * products, gamma=half, architecture="sim-bn")
    return Network(w1=w1, b1=b1, w2=products, architecture="sim-ln", epsilon=epsilon)


def deep_memorizing(x: ArrayLike, values: ArrayLike, y: float = 1.0, depth: int = 3) -> DeepNetwork:
    """A network without bias that takes any values at distinct vertices of {-1, 1}^d, each by a path of its own (own/flattest-11).

    The first layer has the 2 d neurons relu(x_k) and relu(-x_k). A neuron of the second is positive on the vertex that it is for and
    negative on all others. If |values| = y on a training set, its trace there is the least of all networks without bias.

    Args:
        x: vertices, (N, d).
        values: what it outputs at them, (N,); 0 needs no path.
        y: the size of the labels.
        depth: layers, at least 3.

    Returns:
        The network, of width N.
    """
    points, wanted = check_points(x, values)
    d = points.shape[1]
    share = (y / np.sqrt(d)) ** (1 / depth)  # of each layer but the first in an output of y
    first = np.vstack([np.eye(d), -np.eye(d)]) * y / np.sqrt(d) * share ** -(depth - 1)
    seen = np.hstack([points, -points]) > 0
    second = np.where(seen, 1.0, -d) * share / np.sqrt(d)
    chain = [share * np.eye(len(points))] * (depth - 3)
    return DeepNetwork((first, second, *chain, (share * wanted / y)[None]), None)


def deep_generalizing(d: int, depth: int = 3) -> DeepNetwork:
    """x1 x2 without bias: four quarters, then one path for each sign; with relu'(0) = 0 of the least trace on every subset of the cube.

    Args:
        d: dimension, at least 2.
        depth: layers, at least 3.

    Returns:
        The network.
    """
    share = d ** (-1 / (2 * depth))
    first = np.array([[s, t, *[0.0] * (d - 2)] for s, t in SIGNS]) / 2 * share ** -(depth - 1)
    second = np.array([[float(s * t == label) for s, t in SIGNS] for label in (1, -1)]) * share
    return DeepNetwork((first, second, *[share * np.eye(2)] * (depth - 3), share * np.array([[1.0, -1.0]])), None)
