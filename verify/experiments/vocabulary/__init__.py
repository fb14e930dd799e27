"""Owns the words in which experiments are said: what an experiment is, verdicts, effects, what is stored, cells of tables.

`experiment` has the base class of a paper and its entries in the ledger, `verdicts` what rules conclude, `stored` the way from the store to
outcomes with their provenance, `cells` numbers as tables print them, `power` how many seeds a rule needs.
"""

from flatproof.verify.experiments.vocabulary.cells import (
    DASH,
    ONE_SEED,
    bracketed,
    mean_and_diverged,
    numbers,
    quantiles,
    spread,
)
from flatproof.verify.experiments.vocabulary.experiment import (
    JUDGED_SCALES,
    SCALES,
    TRAINING_RUNS,
    Experiment,
    entry,
    evidence_of,
    not_run,
    of_scale,
)
from flatproof.verify.experiments.vocabulary.stored import Shelf, coverage, fullest, provenance_of
from flatproof.verify.experiments.vocabulary.verdicts import (
    ERROR,
    LEAST_SEEDS,
    ROUNDING,
    Effect,
    Says,
    Verdict,
    consistently_below,
    every_above,
    majority,
    most_seeds,
    together,
)

__all__ = [
    "DASH",
    "ERROR",
    "JUDGED_SCALES",
    "LEAST_SEEDS",
    "ONE_SEED",
    "ROUNDING",
    "SCALES",
    "TRAINING_RUNS",
    "Effect",
    "Experiment",
    "Says",
    "Shelf",
    "Verdict",
    "bracketed",
    "consistently_below",
    "coverage",
    "entry",
    "every_above",
    "evidence_of",
    "fullest",
    "majority",
    "mean_and_diverged",
    "most_seeds",
    "not_run",
    "numbers",
    "of_scale",
    "provenance_of",
    "quantiles",
    "spread",
    "together",
]
