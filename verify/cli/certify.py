"""Owns `flatproof certify`: the flattest network of a user's own points, its certificate, and what all flattest networks predict."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flatproof import synth, theory
from flatproof.theory.check_certificate import Verdict
from flatproof.theory.flatness.certificate import check, save
from flatproof.theory.flatness.neurons import NotRealized
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.theory.networks import PARAMETERS

SUFFIXES = {"network": "network.json", "certificate": "certificate.json", "witness": "witness.json"}


@dataclass(frozen=True)
class Certified:
    """What was found for one data set: the solution, the checker's verdict, the decision on test points if there are any."""

    solution: theory.Flattest
    verdict: Verdict
    decision: theory.Decision | None
    files: dict[str, Path]

    def summary(self) -> dict[str, Any]:
        """The numbers, ready for JSON; null for an end of a range that is infinite."""
        solution = self.solution
        out: dict[str, Any] = {
            "architecture": solution.architecture,
            "kinks": solution.kinks,
            "n": len(solution.y),
            "d": solution.x.shape[1],
            "patterns": len(solution.patterns.signs),
            "trace": solution.trace,
            "lower_bound": float(self.verdict.lower),
            "gap": float(self.verdict.relative_gap),
            "attained": solution.attained,
            "width": solution.network.width,
            "files": {name: str(path) for name, path in self.files.items()},
        }
        if self.decision is not None:
            out["decision"] = {
                "answer": self.decision.answer,
                "within": self.decision.within,
                "certified": int(self.decision.certified.sum()),
                "right": int(self.decision.right.sum()),
                "wrong": int(self.decision.wrong.sum()),
                "points": len(self.decision.y),
                "low": [_finite(value) for value in self.decision.low.tolist()],
                "high": [_finite(value) for value in self.decision.high.tolist()],
                "certified_ranges": self.decision.certified.tolist(),
            }
        return out


def certify(
    data: synth.Data, architecture: str, kinks: str, limit: int, folder: Path, name: str, test: bool, within: float = WITHIN
) -> Certified:
    """Solve, decide on the test points if there are any, write NAME.network.json and NAME.certificate.json, check what was written.

    Args:
        data: points, labels and, for `test`, a population.
        architecture, kinks, limit: as theory.flattest takes them.
        folder, name: where the files go.
        test: whether to decide on the population.
        within: how near the flattest the networks are that the decision is about, relative.

    Errors: as theory.flattest; ArithmeticError where double precision does not suffice.
    """
    solution = theory.flattest(data.x, data.y, architecture, kinks, limit)
    decision = theory.decide(data, architecture, kinks, solution, within) if test else None
    certificate = solution.certificate() if decision is None else decision.certificate()
    verdict = check(certificate)
    files = {kind: folder / f"{name}.{suffix}" for kind, suffix in SUFFIXES.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save(certificate, files["certificate"])
    _write(files["network"], solution.network, trace=solution.trace)
    try:
        witness = decision.witness() if decision is not None else None
    except NotRealized:  # it stays in the certificate, in rational numbers
        witness = None
    if decision is None or decision.worst is None or witness is None:
        files.pop("witness")
    else:
        trace = theory.trace_of_hessian(witness, data.x)
        point, label = decision.x[decision.worst].tolist(), decision.y[decision.worst]
        _write(files["witness"], witness, trace=trace, point=point, label=label)
    return Certified(solution, verdict, decision, files)


@dataclass(frozen=True)
class Bracketed:
    """What was found without listing patterns."""

    bracket: theory.Bracket
    files: dict[str, Path]

    def summary(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        found = self.bracket
        return {
            "architecture": found.architecture,
            "kinks": found.kinks,
            "n": len(found.y),
            "d": found.x.shape[1],
            "upper": found.upper,
            "lower_bound": found.lower_bound,
            "gap": found.gap,
            "width": found.network.width,
            "exhausted": found.exhausted,
            "files": {name: str(path) for name, path in self.files.items()},
        }


def bracket(data: synth.Data, architecture: str, kinks: str, seconds: float, folder: Path, name: str) -> Bracketed:
    """An upper bound with its network, written to NAME.network.json, and a lower bound, after a search of about so many seconds."""
    found = theory.bracket(data.x, data.y, architecture, kinks, seconds=seconds)
    path = folder / f"{name}.{SUFFIXES['network']}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, found.network, trace=found.upper)
    return Bracketed(found, {"network": path})


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _write(path: Path, network: theory.Network, **facts: Any) -> None:
    parameters = {name: value.tolist() for name in PARAMETERS if isinstance(value := getattr(network, name), np.ndarray)}
    path.write_text(json.dumps({"architecture": network.architecture, **facts, **parameters}, indent=1) + "\n")
