"""Owns the experiment kaur2023: lambda_max and generalization of VGG-11 and a dropout network; its verdicts, tables and figures.

`rules` states how each claim is judged, `runs` what is trained and measured at each scale, `show` the tables and figures.
"""

from collections.abc import Sequence
from typing import Any

from flatproof.theory.claims import Claim, Evidence, Status, gravity
from flatproof.verify.experiments.kaur2023 import rules
from flatproof.verify.experiments.kaur2023.runs import DENSE, DROPOUTS, NORMALIZED, PLAIN, Final
from flatproof.verify.experiments.kaur2023.runs import grid as all_runs
from flatproof.verify.experiments.kaur2023.show import (
    BY_RATE,
    CELLS,
    DROPOUT,
    EFFECTS,
    PUBLISHED,
    SCATTER,
    VERDICTS,
    artifacts,
    frame,
    in_words,
)
from flatproof.verify.jobs.job import Job, StoredValues
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.artifacts import Artifact

ID = "kaur2023"
ARTIFACTS = (VERDICTS, CELLS, EFFECTS, *BY_RATE, SCATTER, DROPOUT)
DEFAULT_SEEDS = {"smoke": 3, "quick": 3, "paper": 5}


def grid(only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
    """All runs whose data are there, for any of the artifacts: they show the same runs."""
    there = [run for run in all_runs(scale, seeds) if run.training.data.available()] if only else []
    return [(f"{run.setup}{f', p = {run.p:g}' if run.p else ''}", run) for run in there]


def judged(found: Sequence[tuple[Final, StoredValues]]) -> dict[str, list[rules.Part]]:
    """Every claim's parts, from the runs that reached 99 % training accuracy."""
    runs = frame(found)
    runs = runs[runs.reached]
    convolutional, dense = runs[runs.network != DENSE], runs[runs.network == DENSE]
    return {
        "claim-1": rules.claim_1(convolutional),
        "claim-2": rules.claim_2(convolutional),
        "claim-3": rules.claim_3(convolutional),
        "claim-4": rules.claim_4(dense, max(DROPOUTS)),
        "claim-5": rules.claim_5(convolutional, PLAIN, NORMALIZED),
        "claim-6": rules.claim_6(convolutional),
    }


def stored_runs(scale: str, seeds: int, store: Store) -> list[tuple[Final, StoredValues]]:
    """The runs of a scale that are stored; at 'paper' of the device that most are stored of."""
    devices = ("cuda", "cpu") if scale == "paper" else (None,)
    found = ([(run, one) for run in all_runs(scale, seeds, d) if (one := store.get(run)) is not None] for d in devices)
    return max(found, key=len)


def claim_ids() -> list[str]:
    """The ids of the paper's claims."""
    return [f"{ID}/{name}" for name in PUBLISHED]


def claims(ids: Sequence[str], store: Store | None) -> list[Claim]:
    """The paper's claims among `ids` (all if empty), judged from stored runs at the largest scale of which there are any."""
    found: list[tuple[Final, StoredValues]] = []
    scale = ""
    for scale in ("paper", "quick"):
        found = stored_runs(scale, DEFAULT_SEEDS["paper"], store) if store is not None else []
        if found:
            break
    parts = judged(found) if found else {}
    return [_claim(id, parts.get(id.split("/")[1], []), scale, len(found)) for id in claim_ids() if not ids or id in ids]


def _claim(id: str, parts: Sequence[rules.Part], scale: str, runs: int) -> Claim:
    name = id.split("/")[1]
    if not parts:
        evidence = (Evidence("open", "training runs", "-", f"not run: flatproof reproduce {ID} runs it"),)
        return Claim(id, name.replace("-", " ").capitalize(), PUBLISHED[name], "open", None, evidence, ())
    verdict, reduced = rules.together(parts), scale != "paper"
    statuses: dict[str, Status] = {"supported": "tested", "refuted": "refuted"}
    status = "open" if reduced else statuses.get(verdict, "open")
    said = {part.id: f"{part.id} {rules.in_size(part.verdict, reduced)}: {in_words(part.effects)}" for part in parts}
    against = " ".join(f"Instead, {said[part.id]}." for part in parts if part.verdict == "refuted")
    corrected = against if status == "refuted" else None
    evidence = (
        Evidence(
            status,
            "training runs, judged by the rules in verify/experiments/kaur2023/rules.py",
            f"{runs} runs, scale {scale}",
            f"{rules.in_size(verdict, reduced)}; " + "; ".join(said.values()),
            corrected,
            *gravity(status),
        ),
    )
    return Claim(id, name.replace("-", " ").capitalize(), PUBLISHED[name], status, corrected, evidence, (), *gravity(status))


def build(only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
    """The artifacts `only`, from stored runs alone."""
    found = stored_runs(scale, seeds, store)
    return [one for one in artifacts(found, judged(found), scale, seeds) if one.id in only]
