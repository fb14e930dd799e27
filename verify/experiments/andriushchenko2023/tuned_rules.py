"""Owns the rules by which fine-tuned models are judged, written before any run of their grid.

They are parts of their own beside claim-1 and claim-3, whose verdicts rest on the two networks from scratch alone (`rules`): nothing here
enters them. A model is a row as there; an effect is Kendall's tau-b over all models, with intervals as there.

    claim-1, fine-tuned   tau of each cell with test error. supported: every interval at 95 % lies below STRONG; refuted: one, among all
                          cells, lies above STRONG.
    claim-3, fine-tuned   tau of each cell with error on corrupted images. A definition (law and scaling) is a case if the intervals of all
                          of its radii lie below 0, among all cells. supported: CASES at least; refuted: no interval at 95 % lies
                          below 0.

Fewer than LEAST_MODELS models judge nothing.
"""

from collections.abc import Sequence

import pandas as pd

from flatproof.verify.experiments.andriushchenko2023.rules import LEAST_MODELS, STRONG, Judgement, tau
from flatproof.verify.experiments.vocabulary import Verdict

CASES = 2  # of the four adaptive definitions that are measured
RULES = {  # as tables print them
    "claim-1, fine-tuned": f"τ with test error: every definition below {STRONG} supports, one above {STRONG} (among all) refutes",
    "claim-3, fine-tuned": f"τ with error on corrupted images: {CASES} definitions at least below 0 at all radii (among all); none below "
    "0 refutes",
}


def judge(models: pd.DataFrame, cells: Sequence[str]) -> list[Judgement]:
    """Both parts.

    Args:
        models: a row a fine-tuned model that finished.
        cells: its columns of sharpness.
    """
    if len(models) < LEAST_MODELS:
        finding = f"{len(models)} fine-tuned models; expected {LEAST_MODELS} at least"
        return [Judgement(part, Verdict.NOT_RUN, finding) for part in RULES]
    return [_claim_1(models, cells), _claim_3(models, cells)]


def _claim_1(models: pd.DataFrame, cells: Sequence[str]) -> Judgement:
    plain = [tau(models, cell, "test_error") for cell in cells]
    below = sum(interval.high < STRONG for interval in plain)
    above = sum(tau(models, cell, "test_error", among=len(cells)).low > STRONG for cell in cells)
    verdict = Verdict.REFUTED if above else Verdict.SUPPORTED if below == len(cells) else Verdict.INCONCLUSIVE
    taus = [interval.mean for interval in plain]
    return Judgement(
        "claim-1, fine-tuned",
        verdict,
        f"{below} of {len(cells)} definitions and radii lie below {STRONG}, {above} above; τ from {min(taus):+.2f} to {max(taus):+.2f} "
        f"over {len(models)} models",
    )


def _claim_3(models: pd.DataFrame, cells: Sequence[str]) -> Judgement:
    if models.ood_error.isna().all():
        return Judgement("claim-3, fine-tuned", Verdict.NOT_RUN, "no corrupted images were measured")
    plain = [tau(models, cell, "ood_error") for cell in cells]
    below = sum(interval.high < 0 for interval in plain)
    decided: dict[str, list[bool]] = {}
    for cell in cells:
        decided.setdefault(cell.rpartition(", rho")[0], []).append(tau(models, cell, "ood_error", among=len(cells)).high < 0)
    cases = [name for name, radii in decided.items() if all(radii)]
    verdict = Verdict.SUPPORTED if len(cases) >= CASES else Verdict.REFUTED if not below else Verdict.INCONCLUSIVE
    named = f": {'; '.join(cases)}" if cases else ""
    taus = [interval.mean for interval in plain]
    return Judgement(
        "claim-3, fine-tuned",
        verdict,
        f"{len(cases)} cases{named}; {below} of {len(cells)} intervals at 95 % lie below 0; τ from {min(taus):+.2f} to {max(taus):+.2f}",
    )
