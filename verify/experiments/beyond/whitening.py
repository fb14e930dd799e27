"""Owns what whitening does to the atlas: from which training subsets of the cube all flattest networks generalize before and after it.

A = (X'X / n)^(-1/2) of the subset X, rounded to DIGITS decimals, is applied to every vertex: an invertible map (own/flattest-8), so that
patterns stay and lengths alone change. It commutes with the cube's symmetries; one subset of each orbit is decided. A subset that does
not span is not whitened: some vertex is outside its cone then, which settles the answer for both. Differentiable networks alone:
weights in double precision do not hold whitened samples on kinks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from flatproof.theory.cube_symmetries import members
from flatproof.theory.flatness.predictions import WITHIN
from flatproof.theory.networks import Array
from flatproof.verify.experiments.atlas.jobs import DIFFERENTIABLE, TARGETS, classes, cube, decide_subset, labels
from flatproof.verify.experiments.vocabulary import of_scale, provenance_of
from flatproof.verify.jobs.job import OFF_ADDRESS, Computation, StoredValues
from flatproof.verify.report.artifacts import Table

WHITENED = "beyond/table-4"
DIGITS = 6
DIMENSIONS = {"smoke": (2,), "quick": (2, 3), "paper": (2, 3)}
ANSWERS = ("all", "not all")


def whitened(x: Array, everything: Array) -> Array:
    """The images (N, d) of points (N, d) under the map that whitens x (n, d), n >= d, of full rank."""
    values, directions = np.linalg.eigh(x.T @ x / len(x))
    return np.round(everything @ np.round(directions / np.sqrt(values) @ directions.T, DIGITS), DIGITS)


@dataclass(frozen=True)
class Whitening(Computation):
    """The answers on every spanning subset, one of each orbit, before and after whitening."""

    target: str = field(metadata=OFF_ADDRESS)
    d: int

    JOB, VERSION = "whitened subsets of the cube", 1  # raised when a change in theory alters answers

    @property
    def cost(self) -> float:
        """In all."""
        return 0.05 * len(classes(self.target, self.d))

    def settings(self) -> dict[str, Any]:
        """The fields, with the target as its labels."""
        return super().settings() | {"labels": labels(self.target, self.d).astype(int).tolist()}

    def carry_out(self) -> dict[str, Any]:
        """Lists over the orbits: `subset`; `size`, subsets in it; `raw` and `white`, answers; `stretch`, largest over smallest length."""
        x = cube(self.d)
        out = dict[str, list[Any]]((name, []) for name in ("subset", "size", "raw", "white", "stretch"))
        for subset, size in classes(self.target, self.d).items():
            inside = x[members(subset, len(x))]
            if np.linalg.matrix_rank(inside) < self.d:
                continue
            images = whitened(inside, x)
            lengths = np.linalg.norm(images[members(subset, len(x))], axis=1)
            answers = (
                decide_subset(self.target, self.d, "no-bias", DIFFERENTIABLE, subset, points)["answer"]
                for points in (None, images)
            )
            for name, value in zip(out, (subset, size, *answers, float(lengths.max() / lengths.min())), strict=True):
                out[name].append(value)
        return out

    def summary(self, values: dict[str, Any]) -> str:
        """Orbits whose answer changes."""
        changed = sum(a != b for a, b in zip(values["raw"], values["white"], strict=True))
        return f"{len(values['subset'])} spanning orbits, {changed} answers change"


def whitenings(scale: str) -> list[Whitening]:
    """Every dimension and target."""
    return [Whitening(target, d) for d in DIMENSIONS[scale] for target in TARGETS]


def whitening_table(pairs: Sequence[tuple[Whitening, StoredValues]], scale: str) -> Table:
    """A line a dimension and target: subsets, with orbits in brackets, by both answers."""
    shown, raw = [], []
    for job, stored in pairs:
        v = stored.result
        lines = pd.DataFrame({name: v[name] for name in ("subset", "size", "raw", "white", "stretch")})

        def counted(chosen: "pd.Series[bool]", lines: pd.DataFrame = lines) -> str:
            rows = lines[chosen]
            return f"{rows['size'].sum():,} ({len(rows):,})" if len(rows) else "0"

        forced, after = lines["raw"] == "all", lines["white"] == "all"
        open_ = ~lines["raw"].isin(ANSWERS) | ~lines["white"].isin(ANSWERS)
        shown.append(
            {
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
        raw.append(lines.assign(d=job.d, target=job.target))
    notes = (
        f"A subset forces its target if every network without bias that fits it and is within {WITHIN:g} of the flattest classifies the "
        "whole cube correctly, by proof; whitened: the same question with A x in place of each vertex x, A = (X'X/n)^(-1/2) of the "
        f"subset, rounded to {DIGITS} decimals. Lost: forces as it is, not whitened; gained: the other way round. Subsets, with orbits "
        "under the target's symmetries in brackets; subsets that do not span force in neither case.",
        "A linear map leaves activation patterns and changes lengths alone (own/flattest-8): where all whitened lengths are equal (ratio "
        "1) the flattest networks are the same functions. With a bias only the whole cube forces, before and after: hulls are mapped to "
        "hulls.",
        "No sample on a kink (infima). With relu'(0) = 0 flattest networks have whitened samples on kinks, which weights in double "
        "precision do not hold: not decided.",
        *of_scale(scale),
    )
    title = "Whitening the inputs: from which subsets of the cube do all flattest networks generalize?"
    brief = ("d", "target", "force as they are", "force whitened", "lost", "gained")
    provenance = provenance_of([stored for _, stored in pairs], scale)
    return Table(WHITENED, title, pd.DataFrame(shown), pd.concat(raw, ignore_index=True), notes, provenance, brief)
