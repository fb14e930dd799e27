"""Owns Question 1 of wen2023 for one data set: do all flattest networks that fit the training set classify the population correctly?

A point is settled right if the smallest and largest prediction of all flattest networks have the sign of its label, and settled
wrong if neither end has it. Predictions within 1e-5 of 0, relative to the largest label, count as 0, which is no sign: symmetric
data make exact zeros. For a point that is not settled right there is a witness: an interpolating network, as flat as the flattest
(as nearly as one likes, where the minimum is not attained), with the wrong sign there.
"""

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from theory.architectures import Array, Network, forward
from theory.flattest import Flattest, flattest
from theory.prediction import ZERO
from theory.primal import SIM_BN_SCALE, realize

Answer = Literal["all", "not all", "none"]


class Population(Protocol):
    """A training set and every point of its population, as synth.Data is."""

    @property
    def x(self) -> Array:
        """Training inputs, (n, d)."""
        ...

    @property
    def y(self) -> Array:
        """Training labels, (n,)."""
        ...

    def enumerate(self) -> tuple[Array, Array]:
        """Every point (N, d) and its label (N,)."""
        ...


@dataclass(frozen=True)
class Decision:
    """The answer for one data set.

    Attributes:
        answer: "all" flattest networks classify the population correctly, "not all" do, or "none" does: some point is settled wrong.
        solution: the flattest networks.
        x, y: the population, (N, d) and (N,).
        low, high: the range of predictions at each point, (N,).
        right, wrong: which points are settled, (N,) each.
        worst: index of the point where predictions stray furthest from the label's sign; None if all are right.
    """

    answer: Answer
    solution: Flattest
    x: Array
    y: Array
    low: Array
    high: Array
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    worst: int | None

    def witness(self) -> Network | None:
        """An interpolating, flattest (or nearly so) network with the wrong sign at the worst point; None if there is none.

        Errors: NotRealized if double precision cannot hold one.
        """
        if self.worst is None:
            return None
        return witness(self.solution, self.x[self.worst], -1 if self.y[self.worst] > 0 else 1)


def decide(
    data: Population, architecture: str = "no-bias", kinks: str = "differentiable", solution: Flattest | None = None
) -> Decision:
    """Whether all flattest networks of the architecture classify the population of `data` correctly.

    Args: data: with x, y and enumerate(), as synth.Data; labels must not be 0. solution: of `flattest` for data.x, data.y, if known.
    Errors: as `flattest`; ValueError for a label 0 in the population.
    """
    solution = flattest(data.x, data.y, architecture, kinks) if solution is None else solution
    x, y = data.enumerate()
    if (y == 0).any():
        raise ValueError(f"label {int(np.flatnonzero(y == 0)[0])} of the population is 0: its class is no sign")
    low, high = solution.prediction_range(x)
    zero = ZERO * float(np.abs(solution.y).max())
    least, most = np.where(y > 0, low, -high), np.where(y > 0, high, -low)  # of label times prediction
    right, wrong = least > zero, most <= zero
    answer: Answer = "all" if right.all() else "none" if wrong.any() else "not all"
    return Decision(answer, solution, x, y, low, high, right, wrong, None if right.all() else int(np.argmin(least)))


def witness(solution: Flattest, x: Array, end: Literal[-1, 1]) -> Network:
    """A network that interpolates, with a trace within 1e-6 of the flattest, whose prediction at x (d,) is extreme in direction `end`.

    Where the range is infinite, it goes past 0 by the size of the largest label.
    """
    predictions = solution.predictions
    free = predictions.outside(x)
    if free is not None:
        return _with_free_neuron(solution, x, end, free)
    extreme = predictions.extreme(x, end)
    return realize(
        solution.architecture,
        solution.coordinates,
        solution.y,
        extreme.neurons,
        extreme.alpha,
        solution.rays,
        solution.flats,
        as_given=True,
    )


def _with_free_neuron(solution: Flattest, x: Array, end: int, w: Array) -> Network:
    """The flattest network and a neuron along w, w . x' = 1 and w . x'_i <= 0, that brings f(x) to end * (largest label)."""
    network, top = solution.network, float(np.abs(solution.y).max()) or 1.0
    now = float(forward(network, x[None], train_x=solution.x)[0])
    need = end * top - now
    if need == 0:
        return network
    if solution.architecture == "sim-bn":
        return _with_barely_active_pair(solution, x, w, need)
    # little weight on the output and much on the input: should rounding leave w . x'_i above 0, it costs next to nothing
    a = 1e-6 * np.sqrt(abs(need))
    w1, b1 = _split(network, w[None] * abs(need) / a)
    return replace(
        network,
        w1=np.vstack([network.w1, w1]),
        w2=np.append(network.w2, np.sign(need) * a),
        b1=None if network.b1 is None else np.concatenate([network.b1, b1]),
    )


def _with_barely_active_pair(solution: Flattest, x: Array, w: Array, need: float) -> Network:
    """Two neurons that see the training points where w . x' is largest, with the same normalized activations and opposite weights."""
    network, points = solution.network, solution.coordinates.points
    before, gamma = network.b1, network.gamma
    assert before is not None, "a Sim-BN network has a bias"
    assert gamma is not None
    z = points @ w
    level = float(z.max())  # the training points that w sees first, and how far below the others are
    near = 1e-12 * float(np.abs(z).max() + np.abs(w[-1]))
    at = z >= level - near
    below = float((level - z[~at]).min(initial=1.0))
    share, rise = float(np.sqrt(at.mean())), float(w @ np.append(x, 1.0)) - level
    # activations eps and 2 eps at those points, f(x) gains kappa (1/eps - 1/(2 eps)) rise / share
    kappa = 1e-7 * (solution.trace or abs(need))
    eps = min(max(kappa * rise / (2 * share * abs(need)), 1e4 * near), below / 4)
    kappa = 2 * share * eps * abs(need) / rise
    w1, b1 = _split(network, np.array([w, w]))
    b1 = b1 - level + eps * np.array([1.0, 2.0])
    scale = SIM_BN_SCALE * np.abs(points).max() * max(1.0, np.sqrt(kappa)) / eps
    root = np.sqrt(kappa)
    return replace(
        network,
        w1=np.vstack([network.w1, scale * w1]),
        b1=np.concatenate([before, scale * b1]),
        w2=np.append(network.w2, np.sign(need) * root * np.array([1.0, -1.0])),
        gamma=np.append(gamma, [root, root]),
    )


def _split(network: Network, w: Array) -> tuple[Array, Array]:
    """Weights with the bias folded in, (k, p), taken apart; nothing to take if there is none."""
    return (w, np.zeros(len(w))) if network.b1 is None else (w[:, :-1], w[:, -1])
