"""Owns the flattest interpolating network of a data set: its trace, the network, and a dual point proving that none is flatter.

The trace is minimized over all networks of an architecture that fit the data (Question 1 of wen2023 asks what these do elsewhere).
After the change of variables v = |a| w it is the cone program of program.py over all activation patterns, solved here by
pattern generation: solve over a few patterns, price all the others at the dual point by projecting it on the activations each can
produce (projection.py), add the most violated, until none is. The bound is the dual value, scaled down by the largest
price ratio left, so it holds whatever the solver's accuracy.

Points on a kink (w_j . x_i = 0) have no Hessian. Two notions are offered:
    "differentiable"  patterns are full-dimensional cells: the infimum over parameters at which no point is on a kink; a network
                      on the boundary of a cell is a limit of such, and `attained` says whether a flattest one exists inside.
    "relu'(0)=0"      patterns are the positive sets of all faces: a point on a kink counts as inactive, as automatic
                      differentiation has it. The minimum is attained and never above the other.
For Sim-BN the trace falls to its infimum only as W1 grows; prices there do not depend on the pattern.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from flatproof.theory.flatness.certificate import certificate
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.neurons import Array, Columns, Coordinates
from flatproof.theory.flatness.patterns import Patterns, cells, faces
from flatproof.theory.flatness.predictions import WITHIN, Predictions, Ranges
from flatproof.theory.flatness.projection import project
from flatproof.theory.flatness.realize import deep_enough, deepest, network_of, vertex
from flatproof.theory.networks import Architecture, Network, check_architecture, check_points, trace_of_hessian

Kinks = Literal["differentiable", "relu'(0)=0"]
KINKS: tuple[Kinks, ...] = get_args(Kinks)
LIMIT = 200_000  # patterns listed at most, unless told otherwise
THIN = 1e-9  # cells in which every neuron is this near a kink, as an angle, are set aside
ROUNDING = 1e-12  # the bound stays this far below the trace, whatever rounding did; certificates are exact (certificate.py)


@dataclass(frozen=True)
class Flattest:
    """The flattest interpolating network of a data set.

    Attributes:
        architecture, kinks: the class of networks and the notion at kinks.
        x, y: the data, (n, d) and (n,).
        trace: trace of the Hessian of the mean squared error at `network`, by the closed form.
        lower_bound: no interpolating network has a smaller trace.
        network: an interpolating network of at most n neurons, none of them on a kink (of the notion) at a sample.
        dual: the point (n,) behind the bound, lower_bound = dual . y.
        patterns: every activation pattern.
        thin: how many of them are too thin for double precision and set aside (0 unless points are dependent up to rounding only):
            the bound holds for networks without a neuron in one of these, and there is no certificate.
        binding: the neurons that flattest networks use (complementary slackness): all others have weight 0 in each of them.
        coordinates: in which the neurons of `binding` are given.
    """

    architecture: Architecture
    kinks: Kinks
    x: Array
    y: Array
    trace: float
    lower_bound: float
    network: Network
    dual: Array = field(repr=False)
    patterns: Patterns = field(repr=False)
    thin: int
    binding: Columns = field(repr=False)
    rays: Columns = field(repr=False)
    flats: dict[bytes, Array] = field(repr=False)
    coordinates: Coordinates = field(repr=False)

    @property
    def gap(self) -> float:
        """(trace - lower_bound) / trace; 0 for the zero network."""
        return (self.trace - self.lower_bound) / self.trace if self.trace > 0 else 0.0

    @cached_property
    def attained(self) -> bool:
        """Whether a flattest network exists in this notion; if not, networks only come as near as one likes.

        Sim-BN never attains a positive trace (W1 grows without end); with relu'(0) = 0 the others always do; on differentiable
        parameters they do if some neurons of `binding` inside their cells interpolate.
        """
        if self.trace == 0 or self.architecture == "sim-bn":
            return self.trace == 0
        if self.kinks != "differentiable":
            return True
        u, binding = self.coordinates.u, self.binding
        inside = binding.take(np.array([deep_enough(u, s, v) for s, v in zip(binding.signs, binding.v, strict=True)], bool))
        top = float(np.abs(self.y).max())
        return vertex(inside.outputs(u), inside.prices, self.y / top, tolerance=1e-8) is not None

    def prediction_range(self, x_new: ArrayLike, within: float = WITHIN) -> Ranges:
        """Smallest and largest prediction at each new point over all networks of trace at most (1 + within) times the flattest.

        Args:
            x_new: points, (k, d).
            within: how near the flattest, relative; 0 for the limit, bounded from outside.

        Returns: `low` and `high`, (k,) each, which it iterates over, and which of them are certified; see theory.flatness.predictions.
        Errors: ValueError for NaN, a wrong number of columns, within < 0.
        """
        return self.predictions.range(x_new, within)

    def certificate(self) -> dict[str, Any]:
        """The proof in rational numbers that no interpolating network is flatter than (nearly) `lower_bound`; see `certificate`.

        Errors: ValueError if thin patterns were set aside, or the labels cannot be fitted exactly.
        """
        if self.thin:
            raise ValueError(
                f"{self.thin} activation patterns are too thin for double precision, so the bound is no proof: "
                "points are dependent up to rounding; expected exactly dependent or clearly independent ones"
            )
        points = self.coordinates.points
        patterns = self.patterns if self.kinks == "differentiable" else faces(points)
        signs = np.where(patterns.signs > 0, 1, -1).astype(np.int8)
        targets = np.broadcast_to(self.dual, signs.shape)
        multipliers = np.array([project(self.coordinates.u, signs, side * targets)[1] for side in (1, -1)])
        weights, coefficients = self.network.weights, self.network.w2
        exact = self.predictions.flattest
        return certificate(
            self.architecture, self.kinks, self.x, self.y, self.dual, patterns, weights, coefficients, multipliers, exact
        )

    @cached_property
    def predictions(self) -> Predictions:
        """What flattest networks do elsewhere."""
        return Predictions(self)


def flattest(
    x: ArrayLike, y: ArrayLike, architecture: str = "no-bias", kinks: str = "differentiable", limit: int = LIMIT
) -> Flattest:
    """The flattest two-layer ReLU network that interpolates y on x, with a proof of its flatness.

    Args:
        x: inputs, (n, d). y: real labels, (n,).
        architecture: "no-bias", "bias" or "sim-bn".
        kinks: "differentiable" (infimum over parameters without kinks) or "relu'(0)=0".
        limit: the most patterns to list.

    Errors: theory.Infeasible if no network of the class fits the labels, naming the rows; theory.TooManyPatterns with the count;
    ValueError for NaN, shapes, unknown names.
    """
    points, labels = check_points(x, y)
    kind, notion = check_names(architecture, kinks)
    check_feasible(points, labels, kind)
    coordinates = Coordinates.of(kind, points)
    patterns, flats = (
        (cells(coordinates.points, limit), {}) if notion == "differentiable" else positive_sets(coordinates.points, limit)
    )
    inner, wide = _interiors(coordinates, patterns)
    active = (patterns.signs > 0).any(axis=1) & wide
    signs = np.where(patterns.signs[active] > 0, 1, -1).astype(np.int8)
    thin = int(np.sum(~wide))
    program = Program(kind, coordinates, labels, signs)
    rays = program.rays(inner[active])
    if not labels.any():
        network, nothing = zero_network(kind, points.shape[1]), rays.take(np.zeros(0, int))
        return Flattest(
            kind,
            notion,
            points,
            labels,
            0.0,
            0.0,
            network,
            np.zeros(len(labels)),
            patterns,
            thin,
            nothing,
            rays,
            flats,
            coordinates,
        )
    dual, bound, binding, in_use, of_any_length = program.solve()
    choices = (in_use, binding, in_use + binding, of_any_length)
    network = network_of(kind, coordinates, labels, choices, rays, flats, bound)
    for more in (in_use, of_any_length):
        if vertex(binding.outputs(coordinates.u), binding.prices, labels / np.abs(labels).max()) is None:
            binding = binding + more
    trace = trace_of_hessian(network, points)
    if bound > (1 - ROUNDING) * trace:
        dual, bound = dual * ((1 - ROUNDING) * trace / bound), (1 - ROUNDING) * trace
    return Flattest(kind, notion, points, labels, trace, bound, network, dual, patterns, thin, binding, rays, flats, coordinates)


def _interiors(coordinates: Coordinates, patterns: Patterns) -> tuple[Array, NDArray[np.bool_]]:
    """A neuron (r,) well inside each pattern's cell or face, (M, r), and whether there is one in double precision, (M,).

    Witnesses serve where they are THIN at least, |u_i . v| / (||u_i|| ||v||) over the points off the kink. Nearly dependent points
    leave all witnesses near a wall: there a linear program finds the deepest neuron, or none.
    """
    v = coordinates.neurons(np.nan_to_num(patterns.witnesses.astype(float)))
    length = np.linalg.norm(coordinates.u, axis=1)
    unit = coordinates.u / np.where(length > 0, length, 1)[:, None]
    off = (patterns.signs != 0) & (length > 0)

    def width(neurons: Array, which: NDArray[np.intp]) -> Array:
        size = np.linalg.norm(neurons, axis=1, keepdims=True)
        sine = patterns.signs[which] * (neurons @ unit.T) / np.where(size > 0, size, 1)
        return np.where(off[which], sine, 1.0).min(axis=1)

    everything = np.arange(len(v))
    wide = width(v, everything) > THIN
    doubtful = np.flatnonzero(~wide & patterns.signs.any(axis=1))
    for i in doubtful:
        v[i] = deepest((patterns.signs[i][:, None] * unit)[off[i]], np.zeros(int(off[i].sum())))
    wide[doubtful] = width(v[doubtful], doubtful) > THIN
    return v, wide


def positive_sets(points: Array, limit: int | None) -> tuple[Patterns, dict[bytes, Array]]:
    """The sets {i : x_i . w > 0} of all w, kinks included, each as the largest face that has it, and the flats of these faces.

    Faces of one positive set have a largest among them: where one is zero and another negative, their composition is negative.
    Returns: the faces (M, n), and for the signs (zeros read as -1) of each face with zeros beyond those of zero points, a basis of
    its flat in whole numbers, (p, k).
    """
    found = faces(points, limit)
    zeros = (found.signs == 0).sum(axis=1)
    order = np.argsort(zeros, kind="stable")
    _, first = np.unique(found.signs[order] > 0, axis=0, return_index=True)
    chosen = order[np.sort(first)]
    flats, bases = {}, {}
    blank = ~points.any(axis=1)
    for signs in found.signs[chosen]:
        zero = (signs == 0) & ~blank
        if zero.any():
            if zero.tobytes() not in bases:
                bases[zero.tobytes()] = null_space(points[zero])
            flats[np.where(signs > 0, 1, -1).astype(np.int8).tobytes()] = bases[zero.tobytes()]
    return Patterns(found.signs[chosen], found.witnesses[chosen]), flats


def null_space(points: Array) -> Array:
    """A basis of {w : x_i . w = 0 for all i} in whole numbers, (p, k)."""
    exact = [[QQ(*Fraction(c).as_integer_ratio()) for c in row] for row in points.tolist()]
    rows = DomainMatrix(exact, points.shape, QQ).nullspace().to_list()
    whole = [[Fraction(int(c.numerator), int(c.denominator)) for c in row] for row in rows]
    return np.array([[float(c * lcm(*(b.denominator for b in row))) for c in row] for row in whole]).T


def check_names(architecture: str, kinks: str) -> tuple[Architecture, Kinks]:
    """Both names, if the program covers them; ValueError naming the known ones otherwise."""
    kind = check_architecture(architecture)
    if kind == "sim-ln":
        raise ValueError('architecture must be no-bias, bias or sim-bn, got "sim-ln": its trace is no convex program')
    for notion in KINKS:
        if kinks == notion:
            return kind, notion
    raise ValueError(f"kinks must be one of {', '.join(KINKS)}, got {kinks!r}")


def zero_network(architecture: Architecture, d: int) -> Network:
    """The network that is 0 everywhere, with trace 0."""
    zero = np.zeros(1)
    return Network(
        w1=np.zeros((1, d)),
        w2=zero,
        b1=None if architecture == "no-bias" else zero,
        gamma=zero if architecture == "sim-bn" else None,
        architecture=architecture,
    )
