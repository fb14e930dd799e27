"""Owns the problem that every solver of this room is given: points, labels, class of networks and notion at kinks, validated once.

A `Setting` is made where data enter (`flattest`, `bracket`, `relaxed_bound`, ..) and passed on; whoever is handed one checks nothing again.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from flatproof.theory.flatness.arrangement import arrangement_of
from flatproof.theory.flatness.neurons import Array, Coordinates
from flatproof.theory.networks import ARCHITECTURES, Architecture, Network, check_architecture, check_points, with_ones

Kinks = Literal["differentiable", "relu'(0)=0"]
KINKS: tuple[Kinks, ...] = get_args(Kinks)
ROUNDING = 1e-12  # lower bounds stay this far below the trace, whatever rounding did; certificates are exact (certificate.py)


@dataclass(frozen=True, eq=False)
class Setting:
    """One problem: the flattest network of an architecture that fits y on x. Made by `Setting.of`, which validates.

    Attributes:
        x: inputs, finite, (n, d).
        y: real labels, finite, (n,).
        architecture: "no-bias", "bias" or "sim-bn".
        kinks: the notion at kinks, one of KINKS (flattest.py says what they mean).
    """

    x: Array
    y: Array
    architecture: Architecture
    kinks: Kinks

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, architecture: str = "no-bias", kinks: str = "differentiable") -> "Setting":
        """The validated problem.

        Args:
            x: inputs, (n, d).
            y: real labels, (n,).
            architecture: "no-bias", "bias" or "sim-bn".
            kinks: "differentiable" or "relu'(0)=0".

        Returns:
            The setting, its arrays in float64.

        Raises:
            ValueError: for NaN, shapes that do not fit, unknown names.
        """
        points, labels = check_points(x, y)
        return cls(points, labels, *check_names(architecture, kinks))

    @property
    def differentiable(self) -> bool:
        """Whether no sample may lie on the kink of a neuron."""
        return self.kinks == "differentiable"

    @cached_property
    def points(self) -> Array:
        """The inputs as the first layer sees them, the constant 1 appended where there is a bias, (n, p)."""
        return with_ones(self.architecture, self.x)

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates in which the programs are solved."""
        return Coordinates.of(self.architecture, self.x)

    @cached_property
    def top(self) -> float:
        """The largest size of a label."""
        return float(np.abs(self.y).max())

    def nearest(self) -> tuple[int, int, float] | None:
        """The two points that are nearest dependence without being dependent; where there is a bias, centred and at sizes up to 1.

        Returns:
            Their rows, and how far the unit vector of one is from that of the other or its negative; None if there are none.
        """
        from scipy.spatial.distance import cdist  # a refusal does not wait for scipy

        rows, line = self.points, np.array(arrangement_of(self.points).line)
        if self.architecture != "no-bias":
            centred = self.x - self.x.mean(axis=0)
            rows = with_ones(self.architecture, centred / (np.abs(centred).max() or 1.0))
        live = np.flatnonzero(rows.any(axis=1))
        unit, line = rows[live] / np.linalg.norm(rows[live], axis=1, keepdims=True), line[live]
        apart = np.minimum(cdist(unit, unit), cdist(unit, -unit))
        apart[line[:, None] == line] = np.inf
        if not np.isfinite(apart).any():
            return None
        i, k = np.unravel_index(apart.argmin(), apart.shape)
        return int(live[i]), int(live[k]), float(apart[i, k])

    def zero_network(self) -> Network:
        """The network that is 0 everywhere, with trace 0."""
        zero = np.zeros(1)
        return Network(
            w1=np.zeros((1, self.x.shape[1])),
            w2=zero,
            b1=None if self.architecture == "no-bias" else zero,
            gamma=zero if self.architecture == "sim-bn" else None,
            architecture=self.architecture,
        )


@dataclass(frozen=True)
class Answer:
    """What is found for a problem, which it names.

    Attributes:
        setting: the problem: the data, the class of networks, the notion at kinks.
    """

    setting: Setting

    @property
    def architecture(self) -> Architecture:
        """The class of networks."""
        return self.setting.architecture

    @property
    def kinks(self) -> Kinks:
        """The notion at kinks."""
        return self.setting.kinks

    @property
    def x(self) -> Array:
        """Inputs, (n, d)."""
        return self.setting.x

    @property
    def y(self) -> Array:
        """Labels, (n,)."""
        return self.setting.y


def check_names(architecture: str, kinks: str) -> tuple[Architecture, Kinks]:
    """Both names, if the program covers them; ValueError naming the known ones otherwise."""
    if architecture == "sim-ln":
        raise ValueError('architecture must be no-bias, bias or sim-bn, got "sim-ln": its trace is no convex program')
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be no-bias, bias or sim-bn, got {architecture!r}")
    kind = check_architecture(architecture)
    for notion in KINKS:
        if kinks == notion:
            return kind, notion
    raise ValueError(f"kinks must be one of {', '.join(KINKS)}, got {kinks!r}")
