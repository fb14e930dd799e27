"""Owns beyond's search for flat networks of three layers without bias: what many seeds find, beside two constructions (own/flattest-11).

Parity is learnt from some vertices of the cube by Adam on the mean squared error / weight + the trace at interpolation,

    (2/n) sum_i |h_2|^2 + |g_2|^2 |h_1|^2 + |g_1|^2 |x_i|^2,    f = w_3 . h_2, h_2 = relu(W_2 h_1), h_1 = relu(W_1 x),

g_l the gradient of f in what enters layer l's ReLU, by closed forms; then Gauss-Newton steps of least norm until f = y. Rules, written
before the runs: a seed counts if |f - y| <= MISS at every sample; it is nearly flattest if its trace is within NEAR of the smallest
found; it is right if y f > 0 at every vertex left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flatproof.synth.cube import cube
from flatproof.theory.constructions import deep_generalizing, deep_memorizing
from flatproof.theory.networks import Array
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

DEEP = "beyond/table-6"
MISS = 1e-9
NEAR = 0.01
RATE = 0.03  # of Adam, falling to 0
WEIGHTS = 1.5, 3.0  # the weight of the trace falls from 10^-1.5 to 10^-3
PROJECTIONS = 60
BETAS = 0.9, 0.999
Layers = list[Array]


@dataclass(frozen=True)
class Pass:
    """Activations and gradients of networks (S, ..) at samples: f (S, n), h and g of both hidden layers."""

    f: Array
    h1: Array
    h2: Array
    g1: Array
    g2: Array

    @classmethod
    def of(cls, layers: Layers, x: Array) -> "Pass":
        """W_1 (S, m, d), W_2 (S, k, m) and w_3 (S, k) at x (n, d)."""
        first, second, last = layers
        h1 = np.maximum(x @ first.transpose(0, 2, 1), 0)
        h2 = np.maximum(h1 @ second.transpose(0, 2, 1), 0)
        g2 = (h2 > 0) * last[:, None]
        return cls((h2 @ last[:, :, None])[..., 0], h1, h2, (g2 @ second) * (h1 > 0), g2)

    def kernel(self, x: Array) -> Array:
        """grad f(x_i) . grad f(x_k), (S, n, n)."""

        def gram(rows: Array) -> Array:
            return rows @ rows.transpose(0, 2, 1)

        return gram(self.h2) + gram(self.g2) * gram(self.h1) + gram(self.g1) * (x @ x.T)

    def back(self, weights: Array, x: Array) -> Layers:
        """sum_i weights_i grad f(x_i), for weights (S, n)."""
        share = weights[..., None]
        return [
            (share * self.g1).transpose(0, 2, 1) @ x,
            (share * self.g2).transpose(0, 2, 1) @ self.h1,
            (share * self.h2).sum(1),
        ]

    def trace(self, x: Array) -> Array:
        """(2/n) sum_i |grad f(x_i)|^2, (S,)."""
        return 2 / len(x) * np.trace(self.kernel(x), axis1=1, axis2=2)

    def back_of_trace(self, layers: Layers, x: Array) -> Layers:
        """The gradient of the trace, the pattern held fixed: the trace is a polynomial there."""
        factor, (_, second, _) = 4 / len(x), layers
        on1, on2 = self.h1 > 0, self.h2 > 0
        squares = [np.sum(rows**2, axis=2, keepdims=True) for rows in (self.h1, self.g2, np.broadcast_to(x, (1, *x.shape)))]
        of_g1 = squares[2] * self.g1
        of_g2 = self.g2 * squares[0] + of_g1 @ second.transpose(0, 2, 1)
        of_h1 = (self.h2 @ second + self.h1 * squares[1]) * on1
        return [
            factor * of_h1.transpose(0, 2, 1) @ x,
            factor * (self.g2.transpose(0, 2, 1) @ of_g1 + self.h2.transpose(0, 2, 1) @ self.h1),
            factor * (of_g2 * on2).sum(1),
        ]


def searched(x: Array, y: Array, seeds: int, width: int, steps: int) -> Layers:
    """Networks that interpolate, or nearly, with a trace as small as Adam makes it.

    Args:
        x: inputs, (n, d).
        y: labels, (n,).
        seeds: networks, side by side.
        width: of both hidden layers.
        steps: of Adam.

    Returns:
        W_1 (S, m, d), W_2 (S, m, m), w_3 (S, m).
    """
    d, rng = x.shape[1], np.random.default_rng(0)
    layers = [
        rng.standard_normal((seeds, width, d)) * np.sqrt(2 / d),
        rng.standard_normal((seeds, width, width)) * np.sqrt(2 / width),
        rng.standard_normal((seeds, width)) / np.sqrt(width),
    ]
    means, squares = [np.zeros_like(w) for w in layers], [np.zeros_like(w) for w in layers]
    for step in range(steps):
        done, now = step / steps, Pass.of(layers, x)
        weight = 10 ** -(WEIGHTS[0] + (WEIGHTS[1] - WEIGHTS[0]) * done)
        fit, flat = now.back(2 / len(x) / weight * (now.f - y), x), now.back_of_trace(layers, x)
        for k, (a, b) in enumerate(zip(fit, flat, strict=True)):
            means[k] += (1 - BETAS[0]) * (a + b - means[k])
            squares[k] += (1 - BETAS[1]) * ((a + b) ** 2 - squares[k])
            mean, square = means[k] / (1 - BETAS[0] ** (step + 1)), squares[k] / (1 - BETAS[1] ** (step + 1))
            layers[k] = layers[k] - RATE * (1 - done) * mean / (np.sqrt(square) + 1e-8)
    for _ in range(PROJECTIONS):
        now = Pass.of(layers, x)
        inverse = np.linalg.pinv(now.kernel(x), rcond=1e-10, hermitian=True)
        step_back = now.back((inverse @ (now.f - y)[..., None])[..., 0], x)
        layers = [w - s for w, s in zip(layers, step_back, strict=True)]
    return layers


@dataclass(frozen=True)
class Deep(Computation):
    """Three layers without bias on parity from all vertices but some, many seeds."""

    d: int
    left_out: tuple[int, ...]
    seeds: int
    width: int
    steps: int

    JOB, VERSION = "three layers without bias", 1  # raised when the search changes

    @property
    def cost(self) -> float:
        """In all."""
        return 1e-5 * self.seeds * self.steps * self.width

    def carry_out(self) -> dict[str, Any]:
        """Of each seed `miss`, `trace` and y f at the vertices left out, `margins`; of the constructions `memorizing`, `generalizing` and
        the margins of the first, made for the wrong labels.
        """
        every: Array = cube(self.d)
        labels = every[:, 0] * every[:, 1]
        inside = ~np.isin(np.arange(len(every)), self.left_out)
        x, y, asked = every[inside], labels[inside], every[~inside]
        layers = searched(x, y, self.seeds, self.width, self.steps)
        now = Pass.of(layers, x)
        memorizing = deep_memorizing(every, np.where(inside, labels, -labels))
        return {
            "n": len(x),
            "miss": np.abs(now.f - y).max(axis=1).tolist(),
            "trace": now.trace(x).tolist(),
            "margins": np.round(labels[~inside] * Pass.of(layers, asked).f, 4).tolist(),
            "bound": memorizing.trace_lower_bound(x, y),
            "memorizing": memorizing.trace_of_hessian(x),
            "memorizing_margins": (labels[~inside] * memorizing.forward(asked)).tolist(),
            "generalizing": deep_generalizing(self.d).trace_of_hessian(x),
        }

    def summary(self, values: dict[str, Any]) -> str:
        """The smallest trace and the bound."""
        trace = np.array(values["trace"])[np.array(values["miss"]) <= MISS]
        return f"d = {self.d} without {self.left_out}: {trace.min(initial=np.inf):.4f}, no less than {values['bound']:.4f}"


LEFT_OUT = {  # vertices, the last coordinate fastest
    3: ((0,), (5, 6), (2, 5, 7)),
    4: ((0,), (0, 5, 10, 12), (1, 3, 4, 6, 9, 10, 13, 15)),
}
WIDTHS = {3: 10, 4: 16}
SCALES = {"smoke": (4, 100), "quick": (64, 1500), "paper": (400, 6000)}  # seeds and steps


def deeps(scale: str) -> list[Deep]:
    """Every subset; at smoke d = 3 alone."""
    seeds, steps = SCALES[scale]
    dimensions = (3,) if scale == "smoke" else (3, 4)
    return [Deep(d, left_out, seeds, WIDTHS[d], steps) for d in dimensions for left_out in LEFT_OUT[d]]


def deep_table(pairs: Sequence[tuple[Deep, StoredValues]], scale: str) -> Table:
    """A line a subset."""
    shown, raw = [], []
    for job, stored in pairs:
        v = stored.result
        fits = np.array(v["miss"]) <= MISS
        trace, margins = np.array(v["trace"])[fits], np.array(v["margins"])[fits]
        near = trace <= (1 + NEAR) * trace.min(initial=np.inf)
        found = near.any()
        right = (margins[near] > 0).all(axis=1)
        shown.append(
            {
                "d": str(job.d),
                "vertices left out": f"{len(job.left_out)} of {2**job.d}",
                "seeds": str(job.seeds),
                "that interpolate": str(fits.sum()),
                "proved lower bound": f"{v['bound']:.4f}",
                "smallest found": f"{trace.min():.4f}" if found else DASH,
                "within 1 % of it": f"{near.sum()} of {fits.sum()}",
                "of these right": f"{right.sum()} of {near.sum()}",
                "y f of these": f"{margins[near].min():.3f} to {margins[near].max():.3f}" if found else DASH,
                "generalizing": f"{v['generalizing']:.4f}",
                "memorizing": f"{v['memorizing']:.4f}",
                "its y f": f"{max(v['memorizing_margins']):.3f}",
            }
        )
        raw.append(
            pd.DataFrame({"trace": v["trace"], "miss": v["miss"], "least_margin": np.min(v["margins"], axis=1)}).assign(
                d=job.d, left_out=" ".join(map(str, job.left_out)), seed=range(job.seeds), bound=v["bound"]
            )
        )
    notes = (
        "Networks w3 . relu(W2 relu(W1 x)) on parity x1 x2, all vertices of the cube but those left out. Lower bound: 6 d^(1/3), for "
        "every network that interpolates (own/flattest-11). Generalizing: four quarters and two paths, with relu'(0) = 0; memorizing: a "
        "path a vertex, no sample on a kink, with the wrong label at every vertex left out. Both attain the bound: not all flattest "
        "networks generalize.",
        "The columns from smallest found to y f are evidence of what a search finds, not proof: Adam on the mean squared error and the "
        f"trace, then Gauss-Newton steps; a seed interpolates if it misses no label by more than {MISS:g}. Right: y f > 0 at every vertex "
        "left out.",
        *of_scale(scale),
    )
    title = "Three layers without bias: flat networks that many seeds find, and what they predict"
    brief = ("d", "vertices left out", "proved lower bound", "smallest found", "of these right", "generalizing", "memorizing")
    provenance = provenance_of([stored for _, stored in pairs], scale)
    return Table(DEEP, title, pd.DataFrame(shown), pd.concat(raw, ignore_index=True), notes, provenance, brief)
