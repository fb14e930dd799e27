"""Owns the first column of wen2023's Table 1, decided: whether all flattest networks generalize, by proof on the training sets of the runs.

Proofs are found by `theory.decide_parity`; theory/check_parity.py says what they prove and checks their files, which lie beside the table.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

from flatproof import theory
from flatproof.theory.check_parity import check
from flatproof.theory.claims import Evidence
from flatproof.theory.flatness.all_flattest import text
from flatproof.theory.networks import ARCHITECTURES, Architecture
from flatproof.verify.experiments.vocabulary import DASH, bracketed, numbers, provenance_of
from flatproof.verify.experiments.wen2023.published import ID, TABLE_1
from flatproof.verify.experiments.wen2023.rules import RULE_OF_FLATTEST, Answer, decided, says
from flatproof.verify.jobs.job import Computation, StoredValues
from flatproof.verify.report.artifacts import NOT_YET, Table
from flatproof.verify.two_layer.settings import DataSpec
from flatproof.verify.utils.statistics import binomial_interval, share_interval

FLATTEST = f"{ID}/flattest"
DATA_SETS = {"smoke": 2, "quick": 5, "paper": 20}  # seeds 1 and on, whatever the runs' are
SECONDS = {"no-bias": 5.0}  # of a proof, roughly; those of the others are read off the points
BY = {
    "no-bias": "branch and bound over the neurons of nearly flattest networks",
    "bias": "the memorizing network",
    "sim-bn": "four pairs of barely active neurons",
    "sim-ln": "the memorizing network",
}


@dataclass(frozen=True)
class AllFlattest(Computation):
    """What all flattest networks of an architecture do, fitted to one of the training sets."""

    architecture: Architecture
    d: int
    n: int
    seed: int

    JOB, VERSION = "all flattest", 1  # the version is raised when a change in theory alters proofs

    @property
    def cost(self) -> float:
        """Of the search."""
        return SECONDS.get(self.architecture, 0.1)

    def carry_out(self) -> dict[str, Any]:
        """The answer, the shares of the cube that are proved right of all and wrong of one, the proof, and the processor's seconds."""
        start = process_time()
        data = DataSpec("parity", self.seed, {"d": self.d, "n": self.n}).build()
        proof = theory.decide_parity(data.x, data.y, self.architecture)
        nothing = {
            "answer": "undecided",
            "right": 0.0,
            "wrong": 0.0,
            "within": None,
            "least": None,
            "pinned": None,
            "proof": None,
        }
        if proof is None:
            return nothing | {"seconds": process_time() - start}
        verdict = check(json.loads(text(proof)))
        values = {
            "answer": verdict.answer,
            "right": verdict.right / 2**self.d,
            "wrong": verdict.wrong / 2**self.d,
            "within": proof.get("within"),
            "least": float(verdict.margin) if verdict.answer == "all" else None,
            "pinned": theory.generalizing_infimum(data.x, data.y).pinned if self.architecture == "no-bias" else None,
            "proof": text(proof),
        }
        return values | {"seconds": process_time() - start}

    def summary(self, values: dict[str, Any]) -> str:
        """The answer."""
        return f"seed {self.seed}: {values['answer']}"

    @property
    def row(self) -> str:
        """Its row in the progress display."""
        return f"all flattest, {self.architecture}"

    @property
    def file(self) -> str:
        """Name of the proof's file."""
        return f"{self.architecture}_seed_{self.seed}.json"


Proofs = Sequence[tuple[AllFlattest, StoredValues]]


def jobs(scale: str) -> list[AllFlattest]:
    """All architectures on the training sets of table-1's runs: of size d = 30, n = 100, at smoke 10, 40."""
    d, n = (10, 40) if scale == "smoke" else (30, 100)
    return [AllFlattest(kind, d, n, seed) for kind in ARCHITECTURES for seed in range(1, DATA_SETS[scale] + 1)]


def answers(proofs: Proofs, architecture: str) -> list[Answer]:
    """What each data set says."""
    return [says(stored.result) for job, stored in proofs if job.architecture == architecture]


def in_words(proofs: Proofs, architecture: str) -> str:
    """The column's entry: the answer, and how many data sets give it."""
    given = answers(proofs, architecture)
    answer = decided(given)
    counts = ", ".join(f"{given.count(a)} {a}" for a in ("yes", "no", "undecided") if a in given)
    if not given:
        return NOT_YET
    return f"{answer}, {given.count(answer)} of {len(given)}" if answer in given else f"undecided ({counts})"


def table(proofs: Proofs, scale: str) -> Table:
    """A line an architecture.

    Args:
        proofs: those that are stored.
        scale: of the training sets.
    """
    shown, raw = list[dict[str, str]](), list[dict[str, object]]()
    for kind, (printed, _) in TABLE_1.items():
        stored = [s for job, s in proofs if job.architecture == kind]
        given, values = answers(proofs, kind), [s.result for s in stored]
        answer = decided(given)
        line = {"architecture": kind, "printed: all flattest generalize": printed, "decided": in_words(proofs, kind)}
        verdict = "agrees" if printed.split()[0] == answer else "differs" if answer in ("yes", "no") else "inconclusive"
        line["verdict"] = verdict if given else NOT_YET
        raw.append({**line, "data sets": len(given), **{a: given.count(a) for a in ("yes", "no", "undecided")}})
        if given:
            right, wrong = (share_interval([v[name] for v in values], None) for name in ("right", "wrong"))
            share = binomial_interval(given.count(answer), len(given)) if answer in given else None
            within = [float(_fraction(v["within"])) for v in values if v["within"]]
            line |= {
                "share of data sets": bracketed(share) if share else DASH,
                "points that all get right": bracketed(right),
                "points that one gets wrong": bracketed(wrong),
                "within": f"{min(within):.0e}" if within else DASH if kind != "sim-bn" else "any",
                "least y f": f"{min(v['least'] for v in values if v['least']):.2f}" if within else DASH,
                "seconds": f"{np.median([v['seconds'] for v in values]):.2g}",
                "by": BY[kind],
            }
            raw[-1] |= numbers("points that all get right", right) | numbers("points that one gets wrong", wrong)
            raw[-1] |= {
                "smallest within": min(within, default=np.nan),
                "seconds, median": float(np.median([v["seconds"] for v in values])),
                "seconds, sum": float(np.sum([v["seconds"] for v in values])),
            }
        shown.append(line)
    pinned = [s.result["pinned"] for job, s in proofs if job.architecture == "no-bias" and s.result["pinned"] is not None]
    return Table(
        id=FLATTEST,
        title="Do all flattest networks generalize? wen2023, Table 1, first column, decided on its training sets",
        shown=pd.DataFrame(shown).astype(object).fillna(DASH),
        raw=pd.DataFrame(raw).convert_dtypes(),
        notes=(RULE_OF_FLATTEST, _explained(pinned), INTERVALS, *(SMOKE * (scale == "smoke"))),
        provenance=provenance_of([s for _, s in proofs], scale),
        brief=("architecture", "printed: all flattest generalize", "decided", "verdict", "points that one gets wrong", "within"),
        files={job.file: s.result["proof"].encode() for job, s in proofs if s.result["proof"]},
    )


def evidence(proofs: Proofs) -> list[Evidence]:
    """What is proved as printed, for the ledger's entry of table 1."""
    out = []
    for kind, (printed, _) in TABLE_1.items():
        given = answers(proofs, kind)
        if given and decided(given) == printed.split()[0]:
            sizes = {(job.d, job.n) for job, _ in proofs}
            out.append(
                Evidence(
                    "certified",
                    f"whole numbers, theory/check_parity.py; judged by the rule of {FLATTEST}",
                    f"{kind}, {len(given)} training sets of (d, n) = {', '.join(map(str, sorted(sizes)))}",
                    f"all flattest generalize: {in_words(proofs, kind)}, by {BY[kind]}",
                )
            )
    return out


def _fraction(value: str) -> float:
    top, _, bottom = value.partition("/")
    return int(top) / int(bottom or 1)


def _explained(pinned: Sequence[bool]) -> str:
    return (
        "Proofs: theory/check_parity.py says what is proved and why, and checks each file beside this table with the standard library "
        "alone. Points: of all 2^d points of the cube, those that every network within (1 + within) of the least trace is proved to get "
        "right, and those that one network is proved to get wrong (0 is no sign) at once; no point is sampled. Least y f: what every such "
        "network has at least, at every point. Without bias samples may lie on kinks, relu'(0) = 0, where the least trace is 4 sqrt(d). "
        f"With none on a kink the least trace is the same, as an infimum, for {sum(pinned)} of {len(pinned)} data sets "
        "(certified/table-2), and what is said holds of these networks, too; for the others it is higher, and nothing is said. Sim-BN: no "
        "network attains the infimum; at any excess trace, from width n + 9 on (an infimum needs n + 1 neurons, the pairs 8), some are "
        "wrong. Theorem 3.2 is about complete training sets (condition 1), which these are not; the same pairs refute it "
        "there, and it stands for bounded normalized weights (the ledger)."
    )


INTERVALS = (
    "Shares of points: mean over data sets [95 % interval, Student's t]. Share of data sets: exact binomial interval, 95 %. Seconds: of "
    "one processor, the median of a data set, search and check."
)
SMOKE = ("Scale smoke: d = 10, n = 40; its numbers say nothing of the paper's.",)
