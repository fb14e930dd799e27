"""Owns the certified instances: flattest traces of named data sets, each with a file that a third party can check.

Known answers are among them: with a bias the bound 4 sqrt(d + 1) of wen2023 (equation 3) is attained on cube subsets, and Sim-BN on a
complete parity set has the infimum 8 (appendix_batchnorm of the ledger). The certificates lie beside the table; they are checked by
theory/check_certificate.py, which needs nothing but Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from flatproof import synth, theory
from flatproof.synth.cube import cube
from flatproof.theory.flatness.certificate import check, text
from flatproof.theory.flatness.parity import generalizing_infimum
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.theory.networks import trace_lower_bound
from flatproof.verify.experiments.vocabulary import DASH, Experiment, Shelf, provenance_of
from flatproof.verify.jobs.job import Computation, Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact, Table

ID = "certified"
TABLE, PINNED = f"{ID}/table-1", f"{ID}/table-2"
DIFFERENTIABLE, ZERO_AT_KINKS = "differentiable", "relu'(0)=0"
PARITY = {"square": (2, 4), "cube d=3": (3, 8), "cube d=4": (4, 16), "10 of cube d=4": (4, 10)}


@dataclass(frozen=True)
class Certify(Computation):
    """One data set, architecture and notion at kinks."""

    data: str
    architecture: str
    kinks: str

    JOB, VERSION = "certificate", 3  # the version is raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 3.0

    def points(self) -> synth.Data:
        """The training set in its population."""
        if self.data == "12 normal points d=3":
            rng = np.random.default_rng(0)
            normal, labels = np.round(rng.standard_normal((12, 3)), 2), np.round(rng.standard_normal(12), 2)
            return synth.given(normal, labels, normal, labels)
        d, n = PARITY[self.data]
        x = cube(d)
        y = x[:, 0] * x[:, 1]
        rows = np.arange(len(x)) if n == len(x) else np.sort(np.random.default_rng(0).permutation(len(x))[:n])
        return synth.given(x[rows], y[rows], x, y)

    def carry_out(self) -> dict[str, Any]:
        """The certificate and what the checker says of it, the decision, the per-sample bound."""
        data = self.points()
        solution = theory.flattest(data.x, data.y, self.architecture, self.kinks)
        decision = None
        if self.data in PARITY:
            decision = theory.decide(data, self.architecture, self.kinks, solution, ranges=False)
        certificate = solution.certificate() if decision is None else decision.certificate()
        verdict = check(certificate)
        return {
            "n": len(data.y),
            "patterns": len(certificate["patterns"]),
            "bound": trace_lower_bound(self.architecture, data.x, data.y),
            "lower": float(Fraction(verdict.lower)),
            "upper": float(Fraction(verdict.upper)),
            "gap": float(verdict.relative_gap),
            "attained": solution.attained,
            "width": solution.network.width,
            "answer": DASH if decision is None else decision.answer,
            "certificate": text(certificate),
        }

    def summary(self, values: dict[str, Any]) -> str:
        """The trace and the gap."""
        return f"{self.architecture}, {self.kinks}: trace {values['upper']:.6f}, gap {values['gap']:.0e}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        kinks = "" if self.kinks == DIFFERENTIABLE else " zero"
        return f"{self.data} {self.architecture}{kinks}.json".replace(" ", "_").replace("=", "")


@dataclass(frozen=True)
class Pin(Computation):
    """The flattest trace without bias on the paper's parity data, where activation patterns cannot be listed."""

    d: int
    n: int
    seed: int

    JOB, VERSION = "pinned trace", 1  # the version is raised when a change in theory alters pinned traces

    @property
    def cost(self) -> float:
        """Two linear programs and a check in whole numbers."""
        return 1.0

    def carry_out(self) -> dict[str, Any]:
        """The bound that no network goes below, the infimum that four-neuron networks tend to, and whether they meet exactly."""
        data = synth.parity(d=self.d, n=self.n, seed=self.seed)
        known = generalizing_infimum(data.x, data.y)
        bound = trace_lower_bound("no-bias", data.x, data.y)
        return {"bound": bound, "infimum": known.infimum, "pinned": known.pinned, "active": known.active.tolist()}

    def summary(self, values: dict[str, Any]) -> str:
        """How near they are."""
        return f"seed {self.seed}: infimum {values['infimum']:.6f}, bound {values['bound']:.6f}"


SIZES = ((10, 30), (20, 60), (30, 100), (60, 200))  # d, n; the third is wen2023's


def pins(seeds: int) -> list[Pin]:
    """All sizes over seeds 1 to `seeds`."""
    return [Pin(d, n, seed) for d, n in SIZES for seed in range(1, seeds + 1)]


def jobs() -> list[Certify]:
    """All instances; Sim-BN's prices do not depend on the notion at kinks, and its largest file would be a megabyte."""
    out = []
    for data in (*PARITY, "12 normal points d=3"):
        out += [Certify(data, "no-bias", kinks) for kinks in (DIFFERENTIABLE, ZERO_AT_KINKS)]
        out.append(Certify(data, "bias", DIFFERENTIABLE))
        if data != "cube d=4":
            out.append(Certify(data, "sim-bn", DIFFERENTIABLE))
    return out


def _provenance(pairs: Sequence[tuple[Computation, StoredValues]]) -> dict[str, str]:
    return provenance_of([stored for _, stored in pairs])


def _table(certified: Sequence[tuple[Certify, StoredValues]]) -> Table:
    raw = pd.DataFrame(
        [
            {"data": job.data, "architecture": job.architecture, "kinks": job.kinks, **stored.result, "file": job.file}
            for job, stored in certified
        ]
    ).drop(columns="certificate")
    shown = pd.DataFrame(
        {
            "data": raw.data,
            "n": raw.n.astype(str),
            "architecture": raw.architecture,
            "kinks": raw.kinks,
            "patterns": raw.patterns.astype(str),
            "per-sample bound": raw.bound.map("{:.6f}".format),
            "proved lower bound": raw.lower.map("{:.9f}".format),
            "exact network": raw.upper.map("{:.9f}".format),
            "relative gap": raw.gap.map("{:.0e}".format),
            "attained": raw.attained.map({True: "yes", False: "no"}),
            "do all generalize?": raw.answer,
            "certificate": raw.file,
        }
    )
    notes = (
        "The trace of the Hessian of the flattest interpolating network. Lower bound: no interpolating network of the architecture "
        "goes below, proved by a dual point in rational numbers over every activation pattern. Exact network: an upper bound, from a "
        "network that fits the labels exactly in rational numbers (Sim-BN: the infimum as its first layer grows). Both stand in the "
        "certificate; `python theory/check_certificate.py FILE` checks it with the standard library alone.",
        "Kinks: differentiable, no sample on a neuron's kink (an infimum that need not be attained; whether it is, is what floating "
        "point says, without proof); relu'(0)=0, samples on kinks count as inactive. Per-sample bound: wen2023, equation 3, and for "
        "Sim-BN that of `theory.trace_lower_bound`.",
        f"Do all generalize? Whether all networks within {WITHIN:g} of the flattest trace classify the whole cube as parity of the first "
        "two coordinates: all, not all, or undecided; the proof stands in the certificate, too. Labels: that parity; for the normal "
        "points, normal numbers, both rounded to two decimals.",
    )
    files = {job.file: stored.result["certificate"].encode() for job, stored in certified}
    brief = ("data", "architecture", "kinks", "proved lower bound", "relative gap", "do all generalize?")
    title = "Flattest networks with certificates"
    return Table(TABLE, title, shown, raw, notes, _provenance(certified), brief, files)


def _pinned(pinned: Sequence[tuple[Pin, StoredValues]]) -> Table:
    rows = []
    for d, n in SIZES:
        values = [stored.result for job, stored in pinned if (job.d, job.n) == (d, n)]
        excess = np.array([max(0.0, v["infimum"] / v["bound"] - 1) for v in values])
        if values:
            rows.append(
                {
                    "d": d,
                    "n": n,
                    "seeds": len(values),
                    "bound": values[0]["bound"],
                    "pinned": sum(v["pinned"] for v in values),
                    "median_excess": float(np.median(excess)),
                    "largest_excess": float(excess.max()),
                }
            )
    raw = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "d": raw.d.astype(str),
            "n": raw.n.astype(str),
            "seeds": raw.seeds.astype(str),
            "lower bound 4 sqrt(d)": raw.bound.map("{:.6f}".format),
            "flattest trace equals it": [f"{p} of {k}" for p, k in zip(raw.pinned, raw.seeds, strict=True)],
            "median excess": raw.median_excess.map("{:.2%}".format),
            "largest excess": raw.largest_excess.map("{:.2%}".format),
        }
    )
    notes = (
        "Parity data (x uniform in the cube, y = x[1] x[2]), networks without bias, no sample on a kink. Lower bound: wen2023, equation 3. "
        "Four neurons near (+-1, +-1, 0, ..) fit it; each has about half of the samples on its kink. Where some small move turns all of "
        "these off, the trace tends to the bound, which thus is the flattest trace exactly (an infimum, not attained): a linear program "
        "finds the move, whole numbers check it (`theory.generalizing_infimum`).",
        "Excess: how far above the bound these networks tend where no such move exists; the flattest trace lies between. "
        "With relu'(0) = 0 samples may stay on kinks, and the bound is attained for every seed.",
    )
    brief = ("d", "n", "flattest trace equals it", "median excess", "largest excess")
    return Table(PINNED, "The flattest trace on parity data, without bias", shown, raw, notes, _provenance(pinned), brief)


class Certified(Experiment):
    """Data sets, architectures and notions at kinks with their certificates, and the flattest trace on the paper's parity data.

    The instances of table 1 are the same at every scale; seeds are those of the parity data.
    """

    ID = ID
    ABOUT: ClassVar = About(
        title="Flattest networks with certificates",
        question="How flat is the flattest network, proved, and do all that are as flat generalize?",
    )
    ARTIFACTS = (TABLE, PINNED)
    DEFAULT_SEEDS: ClassVar = {"smoke": 2, "quick": 20, "paper": 100}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """All instances at every scale, and the parity data of the seeds."""
        rows: list[tuple[str, Job[Any]]] = [(f"certified {job.data}", job) for job in jobs()] if TABLE in only else []
        return rows + [(f"flattest at d = {job.d}", job) for job in (pins(seeds) if PINNED in only else [])]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The tables with their certificates, from stored jobs alone; none where nothing is stored."""
        shelf = Shelf(store)
        certified = shelf.pairs(jobs()) if TABLE in only else []
        pinned = shelf.pairs(pins(seeds)) if PINNED in only else []
        return [*([_table(certified)] if certified else []), *([_pinned(pinned)] if pinned else [])]


EXPERIMENT = Certified()
