"""Owns wen2023's open question: what minimizes sharpness here? Methods against the flattest trace, for each architecture.

Every method starts from the same networks on the same data, with the setting that a search of equal budget found best (`tuning`), and ends
with gradient descent alone, so that all are compared where they interpolate. The flattest trace, by architecture, on parity data:

    no-bias   the infimum over networks of one neuron a quarter (`theory.generalizing_infimum`), certified where it is pinned
    bias      4 sqrt(d + 1), certified: equation-3's bound, attained
    sim-bn    4 sum_k sqrt(q_k), q_k the quarters' shares of the data: one neuron a quarter, in the limit of large first-layer weights.
              Not known to be the least; certified from below by 4 (p + q) of `theory.trace_lower_bound`
    sim-ln    2, certified: lemma-A.12's bound, attained

The rules were written after a pilot on seeds 101 and 102 at the size of scale quick.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from flatproof.theory.networks import ARCHITECTURES
from flatproof.verify.experiments.minimizers.ends import groups, pin
from flatproof.verify.experiments.minimizers.methods import METHODS, run, tuned
from flatproof.verify.experiments.minimizers.show import FIGURE, ID, TABLE, figure, table
from flatproof.verify.experiments.scaling import LABELS
from flatproof.verify.experiments.vocabulary import Experiment, Shelf
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact


class Minimizers(Experiment):
    """A question, not a statement: nothing of it is judged in the ledger."""

    ID = ID
    ABOUT: ClassVar = About(
        title="What minimizes sharpness",
        question="Which training methods reach the flattest networks, and which of them do they reach?",
        figure=FIGURE,
    )
    ARTIFACTS = (TABLE, FIGURE)
    DEFAULT_SEEDS: ClassVar = {"smoke": 1, "quick": 3, "paper": 20}

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """The same runs for either artifact."""
        rows: list[tuple[str, Job[Any]]] = []
        for seed in range(1, seeds + 1) if {*self.ARTIFACTS} & set(only) else ():
            rows += [
                (f"{LABELS[a]}, {m.name}", run(a, m, tuned(a, m, scale), scale, seed)) for a in ARCHITECTURES for m in METHODS
            ]
            rows.append(("flattest trace, no bias", pin(scale, seed)))
        return rows

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The table and the figure, from the store alone."""
        made = groups(scale, seeds, Shelf(store))
        return [
            *([table(made, scale, seeds)] if TABLE in only else []),
            *([figure(made, scale)] if FIGURE in only and any(group.ends for group in made) else []),
        ]


EXPERIMENT = Minimizers()
