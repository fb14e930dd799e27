"""Owns beyond's jobs: traces of fits within a tolerance or with a constant of any size, and eigenvalues, each least, with certificates."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from flatproof.synth.cube import cube
from flatproof.theory.flatness.certificate import text
from flatproof.theory.flatness.objectives import Objective, Tolerance
from flatproof.theory.flatness.wider import Range, Wider, flattest_for
from flatproof.theory.networks import Array
from flatproof.verify.jobs.job import Computation

DIFFERENTIABLE, ZERO_AT_KINKS = "differentiable", "relu'(0)=0"
WITHIN = 1e-3  # predictions are of all networks that are within this of the least value, relative
SEVEN, WRONG, NORMAL = "7 of cube d=3", "12 of cube d=4, one label wrong", "12 normal points d=3"
CUBES = {"square": 2, "cube d=3": 3, "cube d=4": 4}
TEN = "10 of cube d=4"


def training_set(data: str) -> tuple[Array, Array, Array, Array]:
    """The points and labels, and what predictions are asked at, with its labels.

    Args:
        data: its name.

    Returns:
        x (n, d), y (n,), the points asked at (k, d) and their labels of parity (k,).
    """
    if data == NORMAL:
        rng = np.random.default_rng(0)
        normal, labels = np.round(rng.standard_normal((12, 3)), 2), np.round(rng.standard_normal(12), 2)
        return normal, labels, normal[:0], labels[:0]
    x: Array = cube(CUBES.get(data, 3 if data == SEVEN else 4))
    y: Array = x[:, 0] * x[:, 1]
    if data in CUBES:
        return x, y, x[:0], y[:0]
    if data == SEVEN:
        return x[1:], y[1:], x[:1], y[:1]
    if data == TEN:
        rows = np.sort(np.random.default_rng(0).permutation(16)[:10])
        return x[rows], y[rows], x[:0], y[:0]
    rows = np.sort(np.random.default_rng(1).permutation(16)[:12])
    x, y = x[rows], y[rows]
    opposite = (x[:, None, :] == -x[None, :, :]).all(axis=2).any(axis=1)
    wrong = int(
        np.flatnonzero(~opposite)[0]
    )  # the opposite of one of an opposite pair is no label to choose: the odd part is linear
    at, label = -x[wrong][None], y[wrong][None].copy()
    y[wrong] *= -1
    return x, y, at, label


def proved(answer: Wider, ranges: list[Range], labels: Array) -> dict[str, Any]:
    """What a job stores of an answer: numbers, and the certificate as text."""
    certificate = answer.certificate(ranges, WITHIN, labels if len(labels) else None) if ranges else answer.certificate()
    lower, upper = float(answer.lower), float(answer.upper)
    out = {
        "n": len(answer.y),
        "patterns": len(certificate["patterns"]),
        "lower": lower,
        "upper": upper,
        "gap": float((answer.upper - answer.lower) / answer.upper) if answer.upper else 0.0,
        "dual_sum": float(np.abs(answer.solved.dual).sum()),
        "width": len(answer.neurons),
        "certificate": text(certificate),
    }
    if ranges:
        ends = {"low": ranges[0].low, "high": ranges[0].high, "least": ranges[0].reached[0], "most": ranges[0].reached[1]}
        out |= {name: value if np.isfinite(value) else None for name, value in ends.items()}
        out |= {"answer": certificate["decision"]["answer"]}
    return out


@dataclass(frozen=True)
class Fit(Computation):
    """The least trace of networks without bias that fit within a tolerance, |f - y| <= each or a root mean square of at most `rms`."""

    data: str
    each: float
    rms: float

    JOB, VERSION = "fit within a tolerance", 1  # raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 1.0

    def carry_out(self) -> dict[str, Any]:
        """The bounds, and what is predicted at the point asked at."""
        x, y, at, labels = training_set(self.data)
        tolerance = Tolerance(each=self.each) if self.each or not self.rms else Tolerance(mean_square=round(self.rms**2, 12))
        answer = flattest_for(x, y, tolerance=tolerance)
        return proved(answer, [answer.range(q, WITHIN) for q in at], labels)

    def summary(self, values: dict[str, Any]) -> str:
        """The trace and the gap."""
        return f"{self.file}: trace {values['upper']:.6f}, gap {values['gap']:.0e}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        kind = f"rms_{self.rms:g}" if self.rms else f"each_{self.each:g}"
        return f"{self.data} {kind}.json".replace(" ", "_").replace("=", "").replace(",", "")


@dataclass(frozen=True)
class Constant(Computation):
    """Parity on seven vertices of the cube with a constant of some size appended, weights at a price, and the eighth vertex."""

    size: float
    price: float

    JOB, VERSION = "constant of a size", 1  # raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 1.0

    def carry_out(self) -> dict[str, Any]:
        """The bounds, and what is predicted at the vertex left out."""
        x, y, at, labels = training_set(SEVEN)
        if self.size:
            x, at = (np.hstack([points, np.full((len(points), 1), self.size)]) for points in (x, at))
        answer = flattest_for(x, y, objective=Objective(squares=self.price))
        return proved(answer, [answer.range(q, WITHIN) for q in at], labels)

    def summary(self, values: dict[str, Any]) -> str:
        """The value and the answer."""
        return f"s = {self.size:g}, price {self.price:g}: {values['upper']:.6f}, {values['answer']}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        return f"constant_{self.size:g}_price_{self.price:g}.json"


@dataclass(frozen=True)
class Eigenvalue(Computation):
    """The least value of trace * (the trace) + lambda_max * (the largest eigenvalue), of networks that interpolate."""

    data: str
    architecture: str
    kinks: str
    trace: float
    lambda_max: float

    JOB, VERSION = "least eigenvalue", 1  # raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 4.0 if self.data == "cube d=4" else 1.0

    def carry_out(self) -> dict[str, Any]:
        """The bounds, and the trace and the largest eigenvalue of the network in the certificate."""
        x, y, _, _ = training_set(self.data)
        answer = flattest_for(x, y, self.architecture, self.kinks, Objective(self.trace, self.lambda_max))
        out = proved(answer, [], x[:0, 0])
        if not self.lambda_max:
            return out | {"network_trace": out["upper"], "network_eigenvalue": None}
        eigenvalue = float(answer.eigenvalue)
        trace = answer.networks.trace(answer.neurons)
        return out | {"network_trace": trace, "network_eigenvalue": eigenvalue}

    def summary(self, values: dict[str, Any]) -> str:
        """The value and the gap."""
        return f"{self.file}: {values['upper']:.6f}, gap {values['gap']:.0e}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        kinks = "" if self.kinks == DIFFERENTIABLE else " zero"
        weights = f"{self.trace:g}_{self.lambda_max:g}"
        return f"{self.data} {self.architecture}{kinks} {weights}.json".replace(" ", "_").replace("=", "")


EACH = {SEVEN: (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), NORMAL: (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), WRONG: (0.0, 0.1, 0.5)}
RMS = {SEVEN: (0.1, 0.3, 0.5, 0.7, 0.9), NORMAL: (0.1, 0.3, 0.5, 0.7, 0.9), WRONG: (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)}
SIZES = (0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
PRICES = (0.0, 0.001, 0.01, 0.1)
SHARES = {  # weights of the trace times n, beside a largest eigenvalue of weight 1, by data, architecture and notion at kinks
    ("square", "no-bias", DIFFERENTIABLE): (0.0, 1.0, 10.0),
    ("square", "no-bias", ZERO_AT_KINKS): (0.0, 1.0, 10.0),
    ("cube d=3", "no-bias", DIFFERENTIABLE): (0.0, 0.3, 1.0, 3.0, 10.0, 100.0),
    ("cube d=3", "no-bias", ZERO_AT_KINKS): (0.0, 0.3, 1.0, 3.0, 10.0, 100.0),
    ("cube d=3", "bias", DIFFERENTIABLE): (0.0, 1.0),
    ("cube d=4", "no-bias", DIFFERENTIABLE): (0.0, 1.0, 5.0, 100.0),
    ("cube d=4", "no-bias", ZERO_AT_KINKS): (0.0, 3.0, 100.0),
    (TEN, "no-bias", DIFFERENTIABLE): (0.0, 1.0, 5.0, 100.0),
    (TEN, "no-bias", ZERO_AT_KINKS): (0.0, 3.0, 100.0),
}


def fits(scale: str) -> list[Fit]:
    """All tolerances; at smoke two."""
    if scale == "smoke":
        return [Fit(SEVEN, 0.5, 0.0), Fit(SEVEN, 0.0, 0.5)]
    return [job for data in EACH for job in [Fit(data, e, 0.0) for e in EACH[data]] + [Fit(data, 0.0, r) for r in RMS[data]]]


def constants(scale: str) -> list[Constant]:
    """All sizes and prices; at smoke four."""
    sizes, prices = (SIZES, PRICES) if scale != "smoke" else (SIZES[::4], PRICES[::2])
    return [Constant(size, price) for price in prices for size in sizes]


def eigenvalues(scale: str) -> list[Eigenvalue]:
    """All weights, and the trace alone; at smoke the square's."""
    out = []
    for (data, architecture, kinks), shares in SHARES.items():
        if scale == "smoke" and data != "square":
            continue
        n = len(training_set(data)[0])
        out += [Eigenvalue(data, architecture, kinks, share / n, 1.0) for share in shares]
        out.append(Eigenvalue(data, architecture, kinks, 1.0, 0.0))
    return out
