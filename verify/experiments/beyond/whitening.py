"""Owns what whitening does to the atlas: from which training subsets of the cube all flattest networks generalize before and after it.

A = (X'X / n)^(-1/2) of the subset X is applied to every vertex: an invertible map (own/flattest-8), so that patterns stay and lengths alone
change. A is irrational as a rule, M = A'A = n (X'X)^(-1) is not, and certificates name M: they are of the whitened inputs exactly, with
samples on kinks where they are. It commutes with the cube's symmetries; one subset of each orbit is decided. A subset that does not span
is not whitened: some vertex is outside its cone then, which settles the answer for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from flatproof.theory.cube_symmetries import members
from flatproof.theory.flatness.certificate import text
from flatproof.theory.flatness.objectives import Objective, whitening
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.theory.flatness.wider import flattest_for
from flatproof.verify.experiments.atlas.jobs import NOTIONS, TARGETS, classes, cube, decide_subset, labels
from flatproof.verify.experiments.beyond.jobs import DIFFERENTIABLE
from flatproof.verify.experiments.vocabulary import of_scale, provenance_of
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation, StoredValues
from flatproof.verify.report.artifacts import Table

WHITENED = "beyond/table-4"
DIMENSIONS = {"smoke": (2,), "quick": (2, 3), "paper": (2, 3)}
ANSWERS = ("all", "not all")
COLUMNS = ("subset", "size", "raw", "white", "stretch")


def decided(target: str, d: int, kinks: str, subset: int) -> dict[str, Any]:
    """The certificate, checked, of the networks that fit a spanning subset whitened and what they predict at the vertices left out, at
    all vertices of the whole cube; its decision is the answer.
    """
    x, y = cube(d), labels(target, d)
    inside = members(subset, len(x))
    asked = inside if inside.all() else ~inside
    inner = whitening("no-bias", x[inside])
    answer = flattest_for(x[inside], y[inside], kinks=kinks, objective=Objective(inner=inner))
    ranges = [answer.range(q, WITHIN, witness=-int(label)) for q, label in zip(x[asked], y[asked], strict=True)]
    return answer.certificate(ranges, WITHIN, y[asked])


@dataclass(frozen=True)
class Whitening(Computation):
    """The answers on every spanning subset, one of each orbit, before and after whitening."""

    target: str = field(metadata=OFF_ADDRESS)
    d: int
    kinks: str

    JOB, VERSION = "whitened subsets of the cube", 2  # raised when a change in theory alters answers

    @property
    def cost(self) -> float:
        """In all."""
        return 0.15 * len(classes(self.target, self.d))

    def settings(self) -> dict[str, Any]:
        """The fields, with the target as its labels."""
        return super().settings() | {"labels": labels(self.target, self.d).astype(int).tolist()}

    def carry_out(self) -> dict[str, Any]:
        """Lists over the orbits: `subset`; `size`, subsets in it; `raw` and `white`, answers; `stretch`, largest over smallest length of
        whitened samples; `certificate` of the whitened ones, as text.
        """
        x = cube(self.d)
        out = dict[str, list[Any]]((name, []) for name in (*COLUMNS, "certificate"))
        for subset, size in classes(self.target, self.d).items():
            inside = x[members(subset, len(x))]
            if np.linalg.matrix_rank(inside) < self.d:
                continue
            raw = decide_subset(self.target, self.d, "no-bias", self.kinks, subset)["answer"]
            certificate = decided(self.target, self.d, self.kinks, subset)
            lengths = np.sqrt(np.einsum("ni,ij,nj->n", inside, np.array(whitening("no-bias", inside), float), inside))
            white, stretch = certificate["decision"]["answer"], float(lengths.max() / lengths.min())
            for name, value in zip(out, (subset, size, raw, white, stretch, text(certificate)), strict=True):
                out[name].append(value)
        return out

    def summary(self, values: dict[str, Any]) -> str:
        """Orbits whose answer changes."""
        changed = sum(a != b for a, b in zip(values["raw"], values["white"], strict=True))
        return f"{len(values['subset'])} spanning orbits, {changed} answers change"

    def file(self, subset: int) -> str:
        """Name of a certificate's file."""
        return f"{self.target}_d{self.d}{'' if self.kinks == DIFFERENTIABLE else '_zero'}_{subset}.json"


def whitenings(scale: str) -> list[Whitening]:
    """Every notion, dimension and target."""
    return [Whitening(target, d, kinks) for kinks in NOTIONS for d in DIMENSIONS[scale] for target in TARGETS]


def whitening_table(pairs: Sequence[tuple[Whitening, StoredValues]], scale: str) -> Table:
    """A line a notion, dimension and target: subsets, with orbits in brackets, by both answers."""
    shown, raw, files = [], [], dict[str, bytes]()
    for job, stored in pairs:
        v = stored.result
        lines = pd.DataFrame({name: v[name] for name in COLUMNS})
        files |= {job.file(k): proof.encode() for k, proof in zip(v["subset"], v["certificate"], strict=True)}

        def counted(chosen: "pd.Series[bool]", lines: pd.DataFrame = lines) -> str:
            rows = lines[chosen]
            return f"{rows['size'].sum():,} ({len(rows):,})" if len(rows) else "0"

        forced, after = lines["raw"] == "all", lines["white"] == "all"
        open_ = ~lines["raw"].isin(ANSWERS) | ~lines["white"].isin(ANSWERS)
        shown.append(
            {
                "kinks": job.kinks,
                "d": str(job.d),
                "target": job.target,
                "spanning subsets": counted(lines["size"] > 0),
                "force as they are": counted(forced),
                "force whitened": counted(after),
                "lost": counted(forced & ~after & ~open_),
                "gained": counted(after & ~forced & ~open_),
                "undecided or infeasible": counted(open_),
                "largest / smallest length": f"at most {lines['stretch'].max():.3f}",
            }
        )
        raw.append(lines.assign(kinks=job.kinks, d=job.d, target=job.target))
    notes = (
        f"A subset forces its target if every network without bias that fits it and is within {WITHIN:g} of the flattest classifies the "
        "whole cube correctly, by proof; whitened: the same question with A x in place of each vertex x, A = (X'X/n)^(-1/2) of the "
        "subset. Lost: forces as it is, not whitened; gained: the other way round. Subsets, with orbits under the target's symmetries in "
        "brackets; subsets that do not span force in neither case.",
        "Whitened: each orbit has a certificate, TARGET_dD_SUBSET.json (zero: relu'(0) = 0), which `python theory/check_certificate.py "
        "FILE` checks with the standard library alone. It names M = A'A = n (X'X)^(-1), in rational numbers where A has none, and proves "
        "the least trace, what nearly flattest networks predict at each vertex left out, and the answer. Bit i of SUBSET: whether vertex "
        "i is in it, the last coordinate fastest.",
        "A linear map leaves activation patterns and changes lengths alone (own/flattest-8): where all whitened lengths are equal (ratio "
        "1) the flattest networks are the same functions. With a bias only the whole cube forces, before and after: hulls are mapped to "
        "hulls.",
        "differentiable: no sample on a kink (infima); relu'(0)=0: samples on kinks count as inactive.",
        *of_scale(scale),
    )
    title = "Whitening the inputs: from which subsets of the cube do all flattest networks generalize?"
    brief = ("kinks", "d", "target", "force as they are", "force whitened", "lost", "gained")
    provenance = provenance_of([stored for _, stored in pairs], scale)
    return Table(WHITENED, title, pd.DataFrame(shown), pd.concat(raw, ignore_index=True), notes, provenance, brief, files)
