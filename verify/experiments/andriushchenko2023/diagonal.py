"""Owns the experiment on diagonal linear networks: many trained together, every definition in closed form, exact test loss.

f(x) = <u * v, x>, L = mean squared error on n samples in d > n dimensions. Inputs are Gaussian with the covariance C, labels are <b, x>
without noise, so that test loss is (beta - b)'C(beta - b) exactly. Gradient descent runs until the training loss is at most 1e-5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flatproof.theory import diagonal
from flatproof.theory.diagonal import Diagonal
from flatproof.verify.jobs.job import Computation, Outcome
from flatproof.verify.utils.threads import single_threaded

Array = NDArray[np.floating]
COVARIANCES, TARGETS = ("isotropic", "power law"), ("sparse", "dense")
POWER = 1.0  # variance of coordinate i is i^-POWER
SHARE = 0.1  # of coordinates of a sparse target that are not 0
LOSS = 1e-5  # training loss that ends a training
RHO = 0.1
SCALES = (1e-3, 1.0)  # of initializations, log-uniform
SMALL = 0.03  # initializations below it are the small ones, whose networks are called rich
STEPS = (0.2, 4.0)  # of the step size, log-uniform, in units of 1 / (2 lambda_max(Sigma) ||b||_inf)

DEFINITIONS = (
    "trace, c = 1",
    "trace, c = |w|",
    "λ_max, c = 1",
    "λ_max, c = |w|",
    "average l2, c = 1",
    "average l2, c = |w|",
    "worst l2, c = 1",
    "worst l2, c = |w|",
    "worst linf, m = 1, c = 1",
    "worst linf, m = 1, c = |w|",
)


class Data(NamedTuple):
    """A panel's data: inputs (n, d), labels (n,), the target b (d,), the variances of the inputs (d,)."""

    x: Array
    y: Array
    target: Array
    variances: Array


@dataclass(frozen=True)
class Panel(Computation):
    """Networks trained on one draw of a kind of data.

    Args:
        covariance: "isotropic", or "power law", variance 1/i in coordinate i.
        target: "sparse", a tenth of its coordinates, or "dense"; of norm 1 in the inputs' covariance.
        d, n: dimension and samples.
        networks: how many, each of its own initialization and step size.
        most: steps of a training.
        seed: of data and networks.
    """

    JOB, VERSION = "andriushchenko2023 diagonal", 1

    covariance: str
    target: str
    d: int
    n: int
    networks: int
    most: int
    seed: int

    @property
    def cost(self) -> float:
        """Rough seconds: two products of all networks with the data a step, half of the steps."""
        return 2e-10 * self.most * self.networks * self.n * self.d

    @property
    def row(self) -> str:
        """Its row in the progress display and the panel that it belongs to."""
        return f"{self.covariance}, {self.target}"

    def data(self) -> Data:
        """The draw."""
        stream = np.random.default_rng([2023, COVARIANCES.index(self.covariance), TARGETS.index(self.target), self.seed])
        variances = np.ones(self.d) if self.covariance == "isotropic" else np.arange(1, self.d + 1) ** -POWER
        target = stream.standard_normal(self.d)
        if self.target == "sparse":
            target[stream.permutation(self.d)[max(1, round(SHARE * self.d)) :]] = 0
        target /= np.sqrt(variances @ target**2)
        x = stream.standard_normal((self.n, self.d)) * np.sqrt(variances)
        return Data(x, x @ target, target, variances)

    def carry_out(self) -> Outcome:
        """finished, diverged: counts; as arrays settings, loss and steps of every network, `error` and `sharpness` of the finished ones."""
        data = self.data()
        stream = np.random.default_rng([2023, 7, self.seed])
        low, high = np.log(SCALES)
        scale = np.exp(stream.uniform(low, high, self.networks))
        angle = stream.uniform(0, np.pi / 2, self.networks)
        spread = stream.integers(0, 2, self.networks)  # 0: all coordinates alike, 1: each its own
        shape = np.where(spread[:, None] == 1, np.abs(stream.standard_normal((self.networks, self.d))), 1.0)
        u, v = scale[:, None] * np.cos(angle)[:, None] * shape, scale[:, None] * np.sin(angle)[:, None] * shape
        low, high = np.log(STEPS)
        step = np.exp(stream.uniform(low, high, self.networks))
        unit = 2 * np.linalg.norm(data.x, 2) ** 2 / self.n * np.abs(data.target).max()
        with single_threaded():
            u, v, loss, taken = descend(u, v, data.x, data.y, step / unit, self.most)
            finished = loss <= LOSS
            u, v = u[finished], v[finished]
            error, sharp = (u * v - data.target) ** 2 @ data.variances, sharpness(Diagonal(u, v, data.x))
        arrays = {"scale": scale, "angle": angle, "spread": spread.astype(float), "step": step, "loss": loss, "taken": taken}
        counts = {"finished": int(finished.sum()), "diverged": int(np.isnan(loss).sum())}
        return Outcome(counts, arrays=arrays | {"error": error, "sharpness": sharp})

    def result(self, outcome: Outcome) -> dict[str, Any]:
        """The values, and the arrays where they were read."""
        return outcome.values | dict(outcome.arrays)

    def summary(self, values: dict[str, Any]) -> str:
        """How many were trained."""
        return f"seed {self.seed}: {values['finished']} of {self.networks} networks trained"


def descend(u: Array, v: Array, x: Array, y: Array, step: Array, most: int) -> tuple[Array, Array, Array, Array]:
    """Gradient descent of many networks at once, each until its loss is at most LOSS, is not finite, or its steps are used up.

    Args:
        u, v: starts, (networks, d).
        x, y: data, (n, d) and (n,).
        step: step sizes, (networks,).
        most: steps.

    Returns:
        u and v at the end, the loss there (NaN where it is not finite), and the steps taken, as floats.
    """
    u, v, n = u.copy(), v.copy(), len(y)
    loss, taken = np.full(len(u), np.nan), np.zeros(len(u))
    active = np.arange(len(u))
    a, b, rate = u.copy(), v.copy(), 2 / n * step[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(most + 1):
            residuals = (a * b) @ x.T - y
            now = np.einsum("ij,ij->i", residuals, residuals) / n
            ended = ~(now > LOSS) | ~np.isfinite(now) if i < most else np.ones(len(now), bool)
            if ended.any():
                done = active[ended]
                u[done], v[done], loss[done], taken[done] = a[ended], b[ended], now[ended], i
                stay = ~ended
                active, a, b, rate, residuals = active[stay], a[stay], b[stay], rate[stay], residuals[stay]
                if not len(active):
                    break
            slope = rate * (residuals @ x)
            a, b = a - slope * b, b - slope * a
    loss[~np.isfinite(loss)] = np.nan
    return u, v, loss, taken


def sharpness(network: Diagonal) -> Array:
    """Every definition at interpolation in closed form, in the order of DEFINITIONS, (networks, definitions).

    The worst case in l2 is the lower of its bounds (`theory.diagonal.worst_case_l2`): Sigma is not diagonal, with n < d.

    Args:
        network: many networks of one data set.
    """
    if not len(network.u):
        return np.zeros((0, len(DEFINITIONS)))
    definitions: tuple[Callable[[str], Array], ...] = (
        lambda c: diagonal.trace(network, c),
        lambda c: diagonal.lambda_max(network, c),
        lambda c: diagonal.average_case(network, RHO, "l2", c),
        lambda c: diagonal.worst_case_l2(network, RHO, c)[0],
        lambda c: diagonal.one_sample_linf(network, RHO, c),
    )
    return np.stack([compute(c) for compute in definitions for c in ("none", "elementwise")], axis=1)


@dataclass(frozen=True)
class Size:
    """Dimension, samples, networks and largest number of steps of a panel, and how many draws of data."""

    d: int
    n: int
    networks: int
    most: int
    draws: int


SIZES = {
    "smoke": Size(12, 6, 20, 2_000, 1),
    "quick": Size(100, 40, 200, 200_000, 3),
    "paper": Size(200, 80, 200, 1_000_000, 20),
}
FIRST = 11  # seed of the first draw; a pilot with smaller ones was looked at before the rule was written


def jobs(scale: str) -> Iterator[Panel]:
    """The panels of a scale, each over its draws of data."""
    size = SIZES[scale]
    for seed in range(FIRST, FIRST + size.draws):
        for covariance in COVARIANCES:
            for target in TARGETS:
                yield Panel(covariance, target, size.d, size.n, size.networks, size.most, seed)
