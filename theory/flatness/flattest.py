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

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flatproof.notebooks import html_rows
from flatproof.theory.flatness.certificate import certificate
from flatproof.theory.flatness.column_generation import Program
from flatproof.theory.flatness.feasibility import check_feasible
from flatproof.theory.flatness.linear_programs import deepest, vertex
from flatproof.theory.flatness.neurons import Array, Columns, Coordinates
from flatproof.theory.flatness.patterns import Patterns, cells, faces, positive_sets
from flatproof.theory.flatness.predictions import WITHIN, Predictions, Ranges
from flatproof.theory.flatness.projection import project
from flatproof.theory.flatness.realize import network_of
from flatproof.theory.flatness.setting import ROUNDING, Answer, Setting
from flatproof.theory.flatness.settle import MANY, deep_enough, insides
from flatproof.theory.flatness.walls import walls
from flatproof.theory.networks import Network, trace_of_hessian

LISTING, MADE = 0.4, 1.2  # shares of the time, where there is an end to it, when patterns are listed and when the network is made
LEAST = 0.5  # seconds that either has
LIMIT = 200_000  # patterns listed at most, unless told otherwise
THIN = 1e-9  # cells in which every neuron is this near a kink, as an angle, are set aside


@dataclass(frozen=True)
class Flattest(Answer):
    """The flattest interpolating network of a data set.

    Attributes:
        setting: the problem: the data, the class of networks, the notion at kinks.
        trace: trace of the Hessian of the mean squared error at `network`, by the closed form.
        lower_bound: no interpolating network has a smaller trace.
        network: an interpolating network of at most n neurons, none of them on a kink (of the notion) at a sample.
        dual: the point (n,) behind the bound, lower_bound = dual . y.
        patterns: every activation pattern.
        thin: how many of them are too thin for double precision and set aside (0 unless points are dependent up to rounding only):
            the bound holds for networks without a neuron in one of these, and there is no certificate.
        binding: the neurons that flattest networks use (complementary slackness): all others have weight 0 in each of them.
        rays: neurons inside every cell, of either sign.
        flats: of the faces that are no cells: see `positive_sets`.
        complete: whether the program was solved over all patterns; False where `solved` ran out of time: the bound holds, the network
            interpolates, and neither need be near the other.
    """

    trace: float
    lower_bound: float
    network: Network
    dual: Array = field(repr=False)
    patterns: Patterns = field(repr=False)
    thin: int
    binding: Columns = field(repr=False)
    rays: Columns = field(repr=False)
    flats: dict[bytes, Array] = field(repr=False)
    complete: bool = True

    @property
    def coordinates(self) -> Coordinates:
        """In which the neurons of `binding` and `rays` are given."""
        return self.setting.coordinates

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
        if not self.setting.differentiable:
            return True
        u, binding = self.coordinates.u, self.binding
        inner = insides(u, self.rays)
        deep = [deep_enough(u, s, v, inner.get(s.tobytes())) for s, v in zip(binding.signs, binding.v, strict=True)]
        inside = binding.take(np.array(deep, bool))
        return vertex(inside.outputs(u), inside.prices, self.y / self.setting.top, tolerance=1e-8) is not None

    def prediction_range(self, x_new: ArrayLike, within: float = WITHIN) -> Ranges:
        """Smallest and largest prediction at each new point over all networks of trace at most (1 + within) times the flattest.

        Args:
            x_new: points, (k, d).
            within: how near the flattest, relative; 0 for the limit, bounded from outside.

        Returns:
            `low` and `high`, (k,) each, which it iterates over, and which of them are certified; see theory.flatness.predictions.

        Raises:
            ValueError: for NaN, a wrong number of columns, within < 0.
        """
        return self.predictions.range(x_new, within)

    def _repr_html_(self) -> str:
        width, patterns = self.network.width, f"{len(self.patterns.signs):,}"
        rows = {"trace": f"{self.trace:.10g}", "lower bound": f"{self.lower_bound:.10g}", "gap": f"{self.gap:.1e}"}
        rows |= {"neurons": str(width), "patterns": patterns, "points": f"{len(self.y)} in dimension {self.x.shape[1]}"}
        return html_rows(f"Flattest network: {self.architecture}, {self.kinks}", rows)

    def certificate(self) -> dict[str, Any]:
        """The proof in rational numbers that no interpolating network is flatter than (nearly) `lower_bound`; see `certificate`.

        Returns:
            The certificate, ready for JSON.

        Raises:
            ValueError: if thin patterns were set aside, or the labels cannot be fitted exactly.
        """
        if self.thin:
            raise ValueError(
                f"{self.thin} activation patterns are too thin for double precision, so the bound is no proof: "
                "points are dependent up to rounding; expected exactly dependent or clearly independent ones"
            )
        patterns = self.patterns if self.setting.differentiable else faces(self.setting.points)
        signs = np.where(patterns.signs > 0, 1, -1).astype(np.int8)
        targets = np.broadcast_to(self.dual, signs.shape)
        bounding = walls(signs) if self.setting.differentiable else None
        multipliers = np.array([project(self.coordinates.u, signs, side * targets, walls=bounding)[1] for side in (1, -1)])
        weights, coefficients = self.network.weights, self.network.w2
        exact = self.predictions.flattest
        return certificate(self.setting, self.dual, patterns, weights, coefficients, multipliers, exact)

    @cached_property
    def predictions(self) -> Predictions:
        """What flattest networks do elsewhere."""
        return Predictions(
            self.setting, self.patterns, self.network, self.trace, self.lower_bound, self.dual, thin=bool(self.thin)
        )


def flattest(
    x: ArrayLike,
    y: ArrayLike,
    architecture: str = "no-bias",
    kinks: str = "differentiable",
    limit: int = LIMIT,
    note: Callable[[str], None] = lambda _: None,
) -> Flattest:
    """The flattest two-layer ReLU network that interpolates y on x, with a proof of its flatness.

    Args:
        x: inputs, (n, d).
        y: real labels, (n,).
        architecture: "no-bias", "bias" or "sim-bn".
        kinks: "differentiable" (infimum over parameters without kinks) or "relu'(0)=0".
        limit: the most patterns to list.
        note: is told what is being done, in words.

    Returns:
        The network with its trace, the bound and the dual point behind it.

    Raises:
        Infeasible: if no network of the class fits the labels, naming the rows.
        TooManyPatterns: with the count.
        NotRealized: if double precision does not suffice.
        ValueError: for NaN, shapes, unknown names.
    """
    return solved(Setting.of(x, y, architecture, kinks), limit, note)


def solved(setting: Setting, limit: int, note: Callable[[str], None] = lambda _: None, end: float = np.inf) -> Flattest:
    """`flattest` of a problem; where the time (of `monotonic`) `end` comes first, with what is known by then: a network, a bound."""
    check_feasible(setting)
    note("listing activation patterns")
    listed, made = (
        (end, end) if end == np.inf else (monotonic() + max(LEAST, share * (end - monotonic())) for share in (LISTING, MADE))
    )
    patterns, flats = (
        (cells(setting.points, limit, listed), {}) if setting.differentiable else positive_sets(setting.points, limit, listed)
    )
    note(f"{len(patterns.signs):,} activation patterns: looking for a neuron inside each")
    inner, wide = _interiors(setting.coordinates, patterns)
    active = (patterns.signs > 0).any(axis=1) & wide
    signs = np.where(patterns.signs[active] > 0, 1, -1).astype(np.int8)
    thin = int(np.sum(~wide))
    bounding = walls(patterns.signs) if setting.differentiable else None
    program = Program(setting, signs, None if bounding is None else bounding[active])
    rays = program.rays(inner[active])
    if not setting.y.any():
        nothing = rays.take(np.zeros(0, int))
        zero = np.zeros(len(setting.y))
        return Flattest(setting, 0.0, 0.0, setting.zero_network(), zero, patterns, thin, nothing, rays, flats)
    dual, bound, binding, in_use, of_any_length, lengths = program.solve(note, inner[active], end)
    note("making the network")
    network = network_of(setting, (in_use, binding, in_use + binding, of_any_length), rays, flats, bound, lengths, made)
    for more in (in_use, of_any_length):
        if len(setting.y) > MANY:  # the linear program takes too long to ask whether they are needed
            binding = binding + in_use
            break
        if vertex(binding.outputs(setting.coordinates.u), binding.prices, setting.y / setting.top) is None:
            binding = binding + more
    trace = trace_of_hessian(network, setting.x)
    if bound > (1 - ROUNDING) * trace:
        dual, bound = dual * ((1 - ROUNDING) * trace / bound), (1 - ROUNDING) * trace
    return Flattest(setting, trace, bound, network, dual, patterns, thin, binding, rays, flats, program.complete)


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
