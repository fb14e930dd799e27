"""A paper of a few cheap jobs, with a table, a figure made of arrays, and a column of times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.experiments.vocabulary import Experiment, Shelf, provenance_of
from flatproof.verify.jobs.job import Computation, Job, Outcome
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact, Figure, Table


@dataclass(frozen=True)
class Draw(Computation):
    """A random number, and the others that were drawn before it."""

    JOB: ClassVar[str] = "draw"
    VERSION: ClassVar[int] = 1
    name: str
    seed: int

    @property
    def cost(self) -> float:
        return 1.0

    def carry_out(self) -> Outcome:
        drawn = np.random.default_rng([ord(self.name), self.seed]).standard_normal(20)
        return Outcome({"last": float(drawn[-1]), "seconds": 0.5}, arrays={"drawn": drawn})

    def result(self, outcome: Outcome) -> dict[str, Any]:
        return outcome.values | dict(outcome.arrays)

    def summary(self, result: dict[str, Any]) -> str:
        return f"{result['last']:.2f}"


class Study(Experiment):
    """Its table needs no arrays, its figure does."""

    ID = "study"
    ARTIFACTS = ("study/table-1", "study/figure-1")
    DEFAULT_SEEDS: ClassVar = {"smoke": 2, "quick": 3, "paper": 4}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        return [(f"row {name}", Draw(name, seed)) for name in "ab" for seed in range(1, seeds + 1)]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        shelf, made = Shelf(store), list[Artifact]()
        jobs = [job for _, job in self.grid(only, scale, seeds)]
        if "study/table-1" in only:
            pairs = shelf.pairs(jobs, arrays=False)
            rows = [
                {"name": name, "mean": float(np.mean(values)), "verdict": "agrees", "seconds": sum(s.seconds for s in stored)}
                for name in "ab"
                if (stored := [s for job, s in pairs if job.name == name])  # type: ignore[attr-defined]
                and (values := [s.result["last"] for s in stored])
            ]
            raw = pd.DataFrame(rows)
            shown = pd.DataFrame({"name": raw["name"], "mean": raw["mean"].map("{:.2f}".format), "verdict": raw["verdict"]})
            provenance = provenance_of([s for _, s in pairs], scale)
            made.append(Table("study/table-1", "Draws", shown, raw, ("Of 6 draws.",), provenance, ("name", "mean")))
        if "study/figure-1" in only:
            stored = shelf.outcomes(jobs)
            canvas = Canvas(figsize=(2, 2))
            for s in stored:
                canvas.subplots().plot(s.result["drawn"])
            made.append(Figure("study/figure-1", "Draws", canvas, ("Each draw.",), provenance_of(stored, scale)))
        return made
