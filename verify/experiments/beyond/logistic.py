"""Owns beyond's question of the smoothed logistic loss: its flattest networks are those of the mean squared error (own/flattest-7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from flatproof import synth, theory
from flatproof.theory.flatness.certificate import text
from flatproof.verify.experiments.beyond.jobs import DIFFERENTIABLE, SEVEN, WITHIN, WRONG, ZERO_AT_KINKS, training_set
from flatproof.verify.experiments.vocabulary import DASH, of_scale, provenance_of
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import Table

LOGISTIC = "beyond/table-7"


@dataclass(frozen=True)
class Logistic(Computation):
    """The least trace of the logistic loss over networks of a perfect fit, labels smoothed by p, and what is predicted."""

    data: str
    architecture: str
    kinks: str
    smoothing: float

    JOB, VERSION = "smoothed logistic loss", 1  # raised when a change in theory alters certificates

    @property
    def cost(self) -> float:
        """Compilation aside."""
        return 1.0

    def carry_out(self) -> dict[str, Any]:
        """The bounds of both losses, the answer at the point asked at, and the certificate."""
        certificate = theory.for_logistic(self._certificate(), self.smoothing)
        loss = certificate["loss"]
        ends = {
            "lower": loss["lower"],
            "upper": loss["upper"],
            "mse_lower": certificate["lower"],
            "mse_upper": certificate["upper"],
        }
        return {
            "n": len(certificate["y"]),
            **{name: float(Fraction(value)) for name, value in ends.items()},
            "target": float(Fraction(loss["target"][0])),
            "answer": certificate["decision"]["answer"] if "decision" in certificate else None,
            "certificate": text(certificate),
        }

    def _certificate(self) -> dict[str, Any]:
        """For the mean squared error."""
        x, y, at, labels = training_set(self.data)
        solution = theory.flattest(x, y, self.architecture, self.kinks)
        if not len(at):
            return solution.certificate()
        return theory.decide(synth.given(x, y, at, labels), self.architecture, self.kinks, solution, WITHIN).certificate()

    def summary(self, values: dict[str, Any]) -> str:
        """The trace and the answer."""
        return f"{self.file}: trace {values['upper']:.6f}, {values['answer'] or 'nothing asked'}"

    @property
    def file(self) -> str:
        """Name of the certificate's file."""
        kinks = "" if self.kinks == DIFFERENTIABLE else " zero"
        name = f"{self.data} {self.architecture}{kinks} {self.smoothing:g}.json"
        return name.replace(" ", "_").replace("=", "").replace(",", "")


SMOOTHINGS = (0.2, 0.01)
KINDS = (
    ("no-bias", DIFFERENTIABLE),
    ("no-bias", ZERO_AT_KINKS),
    ("bias", DIFFERENTIABLE),
    ("sim-bn", DIFFERENTIABLE),
)


def logistics(scale: str) -> list[Logistic]:
    """Every data set, architecture and smoothing; at smoke the square's. WRONG with samples on kinks has too many faces for a file."""
    sets = ("square",) if scale == "smoke" else ("cube d=3", SEVEN, WRONG)
    cases = [(data, *kind) for data in sets for kind in KINDS if (data, kind[1]) != (WRONG, ZERO_AT_KINKS)]
    return [Logistic(*case, p) for case in cases for p in SMOOTHINGS]


def logistic_table(pairs: Sequence[tuple[Logistic, StoredValues]], scale: str) -> Table:
    """A line a data set, architecture and smoothing."""
    shown, raw = [], []
    for job, stored in pairs:
        v = stored.result
        settings = {name: getattr(job, name) for name in ("data", "architecture", "kinks", "smoothing")}
        shown.append(
            {
                "data": job.data,
                "architecture": job.architecture,
                "kinks": job.kinks,
                "p": f"{job.smoothing:g}",
                "t": f"{v['target']:.6f}",
                "proved lower bound": f"{v['lower']:.9f}",
                "network": f"{v['upper']:.9f}",
                "of the mean squared error": f"{v['mse_lower']:.6f} to {v['mse_upper']:.6f}",
                "all right?": v["answer"] or DASH,
                "certificate": job.file,
            }
        )
        raw.append(settings | {name: value for name, value in v.items() if name != "certificate"} | {"file": job.file})
    notes = (
        "The trace of the Hessian of (1/n) sum log(1 + e^f) - q f, q = 1/2 + (1/2 - p) y: the logistic loss of labels ±1 smoothed by p, "
        "over networks of a perfect fit, f = t y at every sample, t = ln((1 - p)/p). All weights times √t take the networks that "
        "interpolate to these, and the trace of the mean squared error to t p (1 - p)/2 times it (own/flattest-7). The certificate is that "
        "of the mean squared error and says so; `python theory/check_certificate.py FILE` bounds ln((1 - p)/p) from both sides in rational "
        "numbers and verifies the correspondence, with the standard library alone.",
        f"All right: whether all networks within {WITHIN:g} of the least trace, relative, have the sign of parity at the vertex that is "
        f"asked at, whichever loss. {SEVEN}: parity but for the vertex (1, 1, 1). {WRONG}: parity with one label turned, whose opposite "
        "vertex, left out, is asked at. A dash: nothing is left out.",
        "differentiable: no sample on a kink (infima); relu'(0)=0: samples on kinks count as inactive. sim-bn: infima as W1 grows.",
        *of_scale(scale),
    )
    title = "The smoothed logistic loss: the least trace, and whether all flattest networks are right"
    brief = ("data", "architecture", "kinks", "p", "proved lower bound", "network", "all right?")
    provenance = provenance_of([stored for _, stored in pairs], scale)
    files = {job.file: stored.result["certificate"].encode() for job, stored in pairs}
    return Table(LOGISTIC, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, provenance, brief, files)
