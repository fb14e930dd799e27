"""Owns the search that minimizers rests on: each method's settings with equal budget, on seeds that no result rests on.

Best is the smallest trace where both seeds fit, by the geometric mean over seeds of trace / flattest known; where no setting fits on every
seed, the smallest training loss. The choice stands in `minimizers.methods.TUNED`, by scale.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from flatproof.theory.networks import ARCHITECTURES, Architecture
from flatproof.verify.experiments.minimizers.ends import FITS, Group, group, limits, pin
from flatproof.verify.experiments.minimizers.methods import METHODS, SEARCH_SEEDS, SIZES, Method, Setting, run
from flatproof.verify.experiments.scaling import LABELS
from flatproof.verify.experiments.vocabulary import DASH, Experiment, Shelf, of_scale, provenance_of, spread
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact, Table, divergences, seeds_of

ID = "tuning"
TABLE = f"{ID}/table-1"


def search_seeds(seeds: int) -> range:
    """As many seeds of the search."""
    return range(SEARCH_SEEDS + 1, SEARCH_SEEDS + 1 + seeds)


def search(architecture: Architecture, method: Method, scale: str, seeds: int, shelf: Shelf) -> list[Group]:
    """What is stored of each of a method's settings."""
    known = limits(scale, search_seeds(seeds), shelf)
    return [group(architecture, method, setting, scale, known, shelf, networks=False) for setting in method.tried(scale)]


def best(tried: Sequence[Group], seeds: int) -> Setting | None:
    """The setting that a method is to be judged by; None where none has ended on every seed."""
    whole = [group for group in tried if len(group.ends) == seeds]
    if not whole:
        return None
    fitting = [group for group in whole if all(end.loss <= FITS for end in group.ends)]
    if fitting:
        return min(fitting, key=lambda group: float(np.mean([np.log(end.ratio) for end in group.ends]))).setting
    return min(whole, key=lambda group: max(end.loss for end in group.ends)).setting


class Tuning(Experiment):
    """A search, of which nothing is judged."""

    ID = ID
    ABOUT: ClassVar = About(
        title="The settings that each method is judged by",
        question="Which settings take each method nearest to the flattest networks?",
    )
    ARTIFACTS = (TABLE,)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 2, "paper": 2}
    ON_REQUEST = True

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """Every setting of every method, seed by seed."""
        rows: list[tuple[str, Job[Any]]] = []
        for seed in search_seeds(seeds) if TABLE in only else ():
            rows.append(("flattest trace, no bias", pin(scale, seed)))
            for a in ARCHITECTURES:
                rows += [(f"{LABELS[a]}, {m.name}, {s}", run(a, m, s, scale, seed)) for m in METHODS for s in m.tried(scale)]
        return rows

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The table, from the store alone."""
        shelf = Shelf(store)
        return (
            [table([search(a, m, scale, seeds, shelf) for a in ARCHITECTURES for m in METHODS], scale, seeds)]
            if TABLE in only
            else []
        )


def table(searches: Sequence[Sequence[Group]], scale: str, seeds: int) -> Table:
    """A line a setting; the best of each method is marked."""
    shown, raw = [], []
    for tried in searches:
        chosen = best(tried, seeds)
        for made in tried:
            marked = made.setting == chosen
            shown.append(
                {
                    "architecture": made.architecture,
                    "method": made.method.name,
                    "setting": str(made.setting),
                    "best": "best" if marked else DASH,
                    "trace / flattest": spread([end.ratio for end in made.ends], ".3f"),
                    "training loss": f"{max(end.loss for end in made.ends):.0e}" if made.ends else DASH,
                    "test accuracy": spread([end.accuracy for end in made.ends], ".3f"),
                    "seeds": seeds_of(made.stored, seeds),
                    "remarks": divergences(made.stored) or DASH,
                }
            )
            raw += [
                {
                    "architecture": made.architecture,
                    "method": made.method.name,
                    "rate": made.setting.rate,
                    "strength": made.setting.strength,
                    "falls": made.setting.falls,
                    "best": marked,
                    "seed": end.seed,
                    "trace": end.trace,
                    "trace / flattest": end.ratio,
                    "training loss": end.loss,
                    "test accuracy": end.accuracy,
                }
                for end in made.ends
            ]
    settled = [(tried[0].method, setting) for tried in searches if (setting := best(tried, seeds))]
    ends = sum(
        s.rate == max(t.rate for t in m.tried(scale)) or (bool(s.falls) and s.strength == max(t.strength for t in m.tried(scale)))
        for m, s in settled
    )
    size = SIZES[scale]
    notes = (
        f"{len(METHODS[0].tried(scale))} settings a method and architecture, {seeds} seeds each from {SEARCH_SEEDS + 1} on, which no other "
        "table uses. lr, strength: multiples of the learning rate and of the strength in minimizers/table-1. Halved: six equal parts, "
        "each half as strong as the one before. Best: the smallest trace / flattest known (geometric mean over seeds) among settings "
        f"that fit on every seed (training loss at most {FITS:g}); where none does, the smallest training loss. {ends} of "
        f"{len(settled)} are at the upper end of the rates or strengths tried: larger ones may be better.",
        f"Parity data with d = {size.d}, n = {size.n}, width {size.width}; {size.epochs:,} epochs (Sim-BN a quarter), "
        f"{size.penalized:,} steps of the penalty (Sim-BN a quarter).",
        *of_scale(scale),
    )
    runs = [run for tried in searches for made in tried for run in made.stored]
    brief = ("architecture", "method", "setting", "best", "trace / flattest", "training loss")
    title = "The search behind minimizers/table-1: each method's settings"
    return Table(
        TABLE, title, pd.DataFrame(shown), pd.DataFrame(raw), notes, provenance_of(runs, scale, unit="runs", seeds=True), brief
    )


EXPERIMENT = Tuning()
