"""Owns beyond's question of several outputs: the least trace of networks into R^K, bracketed with certificates (own/flattest-9, -10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from flatproof import theory
from flatproof.synth.cube import cube
from flatproof.theory.flatness.certificate import text
from flatproof.theory.flatness.outputs import Outputs, flattest_outputs
from flatproof.theory.networks import Array
from flatproof.verify.experiments.beyond.jobs import CUBES, DIFFERENTIABLE, SEVEN, WITHIN, ZERO_AT_KINKS
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

SEVERAL = "beyond/table-5"
CLOSED = 1e-5  # relative gap up to which the relaxation without cones is proof enough
SIX, NORMAL = "6 of cube d=3", "6 normal points d=2"
KEPT = {SEVEN: (1, 2, 3, 4, 5, 6, 7), SIX: (0, 1, 2, 3, 4, 7)}  # vertices, the last coordinate fastest
ONE_HOT, OPPOSITE, PAIRS, THREE, DRAWN = "one-hot", "y and -y", "x1 x2, x1 x3, x2 x3", "one-hot of x1 + x2", "normal"


def points_of(data: str) -> tuple[Array, Array]:
    """The inputs (n, d), and the vertices that are left out (k, d)."""
    if data == NORMAL:
        x = np.round(np.random.default_rng(0).standard_normal((6, 2)), 2)
        return x, x[:0]
    every = cube(CUBES.get(data, 3))
    if data in CUBES:
        return every, every[:0]
    inside = np.isin(np.arange(len(every)), KEPT[data])
    return every[inside], every[~inside]


def labels_of(labels: str, x: Array) -> Array:
    """The labels, (n, K)."""
    if labels == DRAWN:
        return np.round(np.random.default_rng(1).standard_normal((len(x), 3)), 2)
    if labels == PAIRS:
        return np.stack([x[:, 0] * x[:, 1], x[:, 0] * x[:, 2], x[:, 1] * x[:, 2]], axis=1)
    if labels == THREE:
        return np.stack([x[:, 0] + x[:, 1] == value for value in (2, 0, -2)], axis=1).astype(float)
    y = x[:, 0] * x[:, 1]
    return np.stack([y, -y], axis=1) if labels == OPPOSITE else np.stack([y > 0, y < 0], axis=1).astype(float)


@dataclass(frozen=True)
class Several(Computation):
    """The least trace of networks of several outputs that interpolate, from both sides; and classes at the vertices left out."""

    data: str
    labels: str
    architecture: str
    kinks: str

    JOB, VERSION = "several outputs", 2  # raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 3.0 if self.data == "cube d=4" else 0.5

    def carry_out(self) -> dict[str, Any]:
        """The bounds, with and without the cones, that of one output with labels ±1, and the certificate."""
        x, asked = points_of(self.data)
        y = labels_of(self.labels, x)
        relaxed = flattest_outputs(x, y, self.architecture, self.kinks, cones=False)
        enough = not len(asked) and float((relaxed.upper - relaxed.lower) / relaxed.upper) <= CLOSED
        answer = relaxed if enough else flattest_outputs(x, y, self.architecture, self.kinks)
        entries = _worst(answer, asked, labels_of(self.labels, asked)) if self.labels == ONE_HOT else []
        bounds = [bound for bound, _ in entries]
        certificate = answer.certificate([entry for _, entry in entries if entry], WITHIN)
        one = theory.flattest(x, y[:, 0] - y[:, 1], self.architecture, self.kinks) if self.labels == ONE_HOT else None
        return {
            "n": len(x),
            "outputs": y.shape[1],
            "patterns": len(certificate["patterns"]),
            "relaxed": float(relaxed.lower),
            "lower": float(answer.lower),
            "upper": float(answer.upper),
            "gap": float((answer.upper - answer.lower) / answer.upper),
            "width": len(answer.neurons),
            "one_output": [one.lower_bound, one.trace] if one else None,
            "wrong_less_right": max(bounds) if bounds and np.isfinite(bounds).all() else None,
            "certificate": text(certificate),
        }

    def summary(self, values: dict[str, Any]) -> str:
        """The trace and the gap."""
        return f"{self.file}: trace {values['upper']:.6f}, gap {values['gap']:.0e}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        kinks = "" if self.kinks == DIFFERENTIABLE else " zero"
        name = f"{self.data} {self.labels} {self.architecture}{kinks}.json"
        return (
            name.replace("one-hot of x1 + x2", "one-hot three")
            .replace("x1 x2, x1 x3, x2 x3", "pairs")
            .replace(" ", "_")
            .replace("=", "")
        )


def _worst(answer: Outputs, asked: Array, labels: Array) -> list[tuple[float, dict[str, Any] | None]]:
    """Bounds on the wrong class's output less the right one's, of every nearly flattest network."""
    return [answer.at_most(q, 1 - 2 * label, WITHIN) for q, label in zip(asked, labels, strict=True)]


CASES = (
    ("cube d=3", ONE_HOT, "no-bias", DIFFERENTIABLE),
    ("cube d=3", ONE_HOT, "no-bias", ZERO_AT_KINKS),
    ("cube d=4", ONE_HOT, "no-bias", DIFFERENTIABLE),
    ("cube d=3", ONE_HOT, "bias", DIFFERENTIABLE),
    ("cube d=3", OPPOSITE, "no-bias", DIFFERENTIABLE),
    ("cube d=3", OPPOSITE, "no-bias", ZERO_AT_KINKS),
    ("cube d=3", THREE, "no-bias", DIFFERENTIABLE),
    ("cube d=3", THREE, "no-bias", ZERO_AT_KINKS),
    ("cube d=3", PAIRS, "no-bias", DIFFERENTIABLE),
    ("cube d=3", PAIRS, "no-bias", ZERO_AT_KINKS),
    (SEVEN, ONE_HOT, "no-bias", DIFFERENTIABLE),
    (SEVEN, ONE_HOT, "no-bias", ZERO_AT_KINKS),
    (SIX, ONE_HOT, "no-bias", DIFFERENTIABLE),
    (SIX, ONE_HOT, "no-bias", ZERO_AT_KINKS),
    (NORMAL, DRAWN, "no-bias", DIFFERENTIABLE),
    (NORMAL, DRAWN, "bias", DIFFERENTIABLE),
)


def several(scale: str) -> list[Several]:
    """Every case; at smoke the square's."""
    if scale == "smoke":
        return [
            Several("square", labels, "no-bias", kinks)
            for labels in (ONE_HOT, OPPOSITE)
            for kinks in (DIFFERENTIABLE, ZERO_AT_KINKS)
        ]
    return [Several(*case) for case in CASES]


def several_table(pairs: Sequence[tuple[Several, StoredValues]], scale: str) -> Table:
    """A line a case."""
    shown, raw = [], []
    for job, stored in pairs:
        v = stored.result
        times = DASH
        if v["one_output"]:
            low, high = (v[end] / (2**0.5 * one) for end, one in zip(("lower", "upper"), reversed(v["one_output"]), strict=True))
            times = f"{low:.5f} to {high:.5f}" if f"{low:.5f}" != f"{high:.5f}" else f"{low:.5f}"
        shown.append(
            {
                "data": job.data,
                "labels": job.labels,
                "architecture": job.architecture,
                "kinks": job.kinks,
                "without the cones": f"{v['relaxed']:.5f}",
                "proved lower bound": f"{v['lower']:.7f}",
                "network": f"{v['upper']:.7f}",
                "relative gap": f"{v['gap']:.0e}",
                "over √2 times one output": times,
                "wrong class less right": DASH if v["wrong_less_right"] is None else f"at most {v['wrong_less_right']:.5f}",
                "certificate": job.file,
            }
        )
        settings = {name: getattr(job, name) for name in ("data", "labels", "architecture", "kinks")}
        low, high = v["one_output"] or (np.nan, np.nan)
        numbers = {name: value for name, value in v.items() if name not in ("certificate", "one_output")}
        raw.append(settings | numbers | {"one_output_lower": low, "one_output_upper": high, "file": job.file})
    notes = (
        "Networks f(x) = sum of a_j relu(w_j . x), a_j in R^K, that interpolate; the trace is that of the Hessian of (1/n) sum "
        "|f(x_i) - y_i|². Lower bound: no network goes below, proved by a dual point and for each activation pattern a positive "
        "semidefinite matrix in rational numbers; network: one that interpolates, in rational numbers. Both stand in the certificate, "
        "which `python theory/check_certificate.py FILE` checks with the standard library alone. The matrices know the patterns' "
        "cones by products of their walls: enough for the least trace in the plane, and where cones have no more walls than "
        "dimensions, at most 4, and active samples that span the space; elsewhere the gap tells what may be missing. Without the "
        f"cones: the relaxation by nuclear norms, proved in the same way; its certificate is kept where its gap is at most {CLOSED:g}.",
        "one-hot: classes x1 x2 = 1 and -1; on the whole cube the least trace is 8 √d, with relu'(0) = 0 4 √(2d) (own/flattest-10). y and "
        "-y: twice that of one output (own/flattest-9). Over √2 times one output: of the same classes with labels ±1; 1 for every "
        "training set with relu'(0) = 0, but not without.",
        f"Wrong class less right: at the vertices left out, of every network whose trace is within {WITHIN:g} of the least, relative; "
        "below 0: all of them classify these vertices correctly. A dash: not asked, or no bound, outside the cone of the samples.",
        "differentiable: no sample on a kink (infima); relu'(0)=0: samples on kinks count as inactive.",
        *of_scale(scale),
    )
    title = "Several outputs: the least trace, from both sides"
    brief = ("data", "labels", "architecture", "kinks", "proved lower bound", "relative gap", "wrong class less right")
    provenance = provenance_of([stored for _, stored in pairs], scale)
    files = {job.file: stored.result["certificate"].encode() for job, stored in pairs}
    return Table(SEVERAL, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, provenance, brief, files)
