"""Owns the rule by which claim-4 is judged, written before any fine-tuning of the grid.

A fine-tuning is a row: test_error, template_error (on the lexical-overlap templates that are not entailed, as the paper takes HANS), and a
column of sharpness a cell; hans_error too where HANS is there. An effect is Kendall's tau-b over seeds of a cell with one of these errors.

    claim-4   supported: the interval at 95 % of every effect lies within ±NEAR; refuted: the interval of one, among all (its level is
              1 - 0.05/k for k effects), lies outside ±NEAR. An effect that has no tau, because all seeds have the same error, decides
              nothing.

NEAR: 50 independent seeds have tau within ±0.19 in 95 % of cases, and the paper's -0.09 is to count as near zero at its own 50 seeds:
0.09 + 0.19 = 0.28. Fewer than LEAST_SEEDS judge nothing; at 20 the half width is 0.32, so that they can refute and cannot support.
"""

from collections.abc import Sequence

import pandas as pd

from flatproof.verify.experiments.andriushchenko2023.rules import Judgement, tau
from flatproof.verify.experiments.vocabulary import Verdict

NEAR = 0.3
LEAST_SEEDS = 20
TARGETS = {"test_error": "test error", "template_error": "error on templates", "hans_error": "error on HANS"}
RULE = (
    "τ over seeds with test error and with error on templates (and on HANS where it is there): every interval within "
    f"±{NEAR} supports, one outside (among all) refutes"
)


def targets_of(seeds: pd.DataFrame) -> dict[str, str]:
    """The errors that were measured, and what they are called; that on HANS only where every seed has it."""
    return {target: name for target, name in TARGETS.items() if target in seeds and seeds[target].notna().all()}


def judge(seeds: pd.DataFrame, cells: Sequence[str]) -> Judgement:
    """claim-4.

    Args:
        seeds: a row a fine-tuning that finished.
        cells: its columns of sharpness.
    """
    if len(seeds) < LEAST_SEEDS:
        return Judgement("claim-4", Verdict.NOT_RUN, f"{len(seeds)} fine-tunings; expected {LEAST_SEEDS} at least")
    effects = [(cell, target) for cell in cells for target in targets_of(seeds)]
    plain = [tau(seeds, *effect) for effect in effects]
    among = [tau(seeds, *effect, among=len(effects)) for effect in effects]
    inside = sum(interval.low > -NEAR and interval.high < NEAR for interval in plain)
    outside = sum(interval.low > NEAR or interval.high < -NEAR for interval in among)
    verdict = Verdict.REFUTED if outside else Verdict.SUPPORTED if inside == len(effects) else Verdict.INCONCLUSIVE
    taus = [interval.mean for interval in plain]
    finding = (
        f"{inside} of {len(effects)} intervals lie within ±{NEAR}, {outside} outside; τ from {min(taus):+.2f} to {max(taus):+.2f}"
    )
    return Judgement("claim-4", verdict, f"{finding} over {len(seeds)} seeds")
