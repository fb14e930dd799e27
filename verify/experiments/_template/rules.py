"""Owns the rules by which the paper's statements are judged. Write them before any run of the grid, and say so here.

Every effect is the difference between the larger and the smaller learning rate within a seed, one for each architecture; its interval
is Student's t over seeds. A diverged run makes an effect unjudged, fewer than three seeds do too.

    claim-1   d log10 trace. Supported: every interval below 0; refuted: one above 0, among all of them.
    claim-2   d test accuracy. An architecture supports it above 0 and contradicts it below 0; by majority without dissent.

At a reduced size (any scale but paper) verdicts say so and the ledger leaves the statements open. Nothing is judged at scale smoke.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flatproof.verify.experiments._template.grid import ARCHITECTURES, Trained
from flatproof.verify.experiments.vocabulary import Effect, Says, Verdict, consistently_below, majority
from flatproof.verify.jobs.job import StoredValues

RULES = {  # as tables print them
    "claim-1": "larger against smaller learning rate: d log10 trace, each architecture: all below 0; one above 0 refutes (among all)",
    "claim-2": "larger against smaller learning rate: d test accuracy, each architecture: above 0; majority, none against",
}


@dataclass(frozen=True)
class Judgement:
    """The verdict on a statement and the effects that it rests on."""

    claim: str
    verdict: Verdict
    effects: tuple[Effect, ...]


def judge(pairs: Sequence[tuple[Trained, StoredValues]], scale: str) -> list[Judgement]:
    """Every statement, from stored jobs."""
    traces, gains = effects(pairs, "trace"), effects(pairs, "test_accuracy")
    says: list[Says] = ["supports" if e.above else "contradicts" if e.below else "open" for e in gains]
    verdicts = {"claim-1": (consistently_below(traces), traces), "claim-2": (majority(says), gains)}
    return [Judgement(claim, _at(scale, verdict, over), over) for claim, (verdict, over) in verdicts.items()]


def _at(scale: str, verdict: Verdict, over: Sequence[Effect]) -> Verdict:
    if not over:
        return Verdict.NOT_RUN
    return Verdict.NOT_JUDGED if scale == "smoke" else verdict


def effects(pairs: Sequence[tuple[Trained, StoredValues]], name: str) -> tuple[Effect, ...]:
    """The effect of the learning rate in each architecture that has seeds with both; NaN for a seed of which a run diverged."""
    out = []
    for architecture in ARCHITECTURES:
        ends = {(job.rate, job.seed): _end(stored, name) for job, stored in pairs if job.architecture == architecture}
        rates = sorted({rate for rate, _ in ends})
        seeds = [seed for rate, seed in ends if rate == rates[-1] and (rates[0], seed) in ends] if len(rates) > 1 else []
        if seeds:
            values = tuple(ends[rates[-1], seed] - ends[rates[0], seed] for seed in seeds)
            out.append(Effect(architecture, "d log10 trace" if name == "trace" else "d test accuracy", values))
    return tuple(out)


def _end(stored: StoredValues, name: str) -> float:
    if stored.result["status"] != "finished":
        return float("nan")
    return float(np.log10(stored.result[name]) if name == "trace" else stored.result[name])
