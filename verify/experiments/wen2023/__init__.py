"""Owns wen2023's experiments: table-1, the figures 1 to 11 with their training curves, the verdicts, and the ledger's table.

`published` holds what is printed, `grid` what is run, `rules` how runs are judged, `show` the tables and figures, `flattest` the proofs
behind table 1's first column.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from flatproof.theory.claims import Claim, Evidence, Status, ledger, statements
from flatproof.theory.claims.wen2023.section_3_batchnorm import tick
from flatproof.verify.experiments.ledger import table as ledger_table
from flatproof.verify.experiments.ledger_graph import graph
from flatproof.verify.experiments.vocabulary import (
    JUDGED_SCALES,
    TRAINING_RUNS,
    Experiment,
    Shelf,
    bracketed,
    coverage,
    entry,
    evidence_of,
    fullest,
    not_run,
)
from flatproof.verify.experiments.wen2023 import flattest, published
from flatproof.verify.experiments.wen2023.flattest import FLATTEST
from flatproof.verify.experiments.wen2023.grid import ROW, ROWS, Row, points, runs
from flatproof.verify.experiments.wen2023.published import ID, REPORTED, RESTS_ON
from flatproof.verify.experiments.wen2023.rules import STATEMENTS, generalization, judge, judge_figure, observations, observed
from flatproof.verify.experiments.wen2023.show import (
    FIGURE_2B,
    IN_TABLE_1,
    TABLE_1,
    TABLE_2,
    figure,
    figure_2b,
    table_1,
    table_2,
)
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import NOT_YET, Artifact
from flatproof.verify.two_layer.training import StoredRun
from flatproof.verify.utils.statistics import share_interval

CLAIMS, CLAIMS_GRAPH = f"{ID}/claims", f"{ID}/claims-graph"
MOST = 20  # seeds that a statement is judged by


class Wen2023(Experiment):
    """What Wen, Li and Ma train; their empirical statements are those about table 1 and each figure."""

    ID = ID
    ABOUT: ClassVar = About(
        title="K. Wen, Z. Li, T. Ma: Sharpness minimization algorithms do not only minimize sharpness to achieve better "
        "generalization (2023)",
        question="Do all flattest two-layer ReLU networks generalize on parity data, and those that 1-SAM finds?",
        figure="wen2023/figure-4b",
        link="https://arxiv.org/abs/2307.11007",
    )
    ARTIFACTS = (TABLE_1, FLATTEST, TABLE_2, FIGURE_2B, CLAIMS, CLAIMS_GRAPH, *(row.id for row in ROWS))
    DEFAULT_SEEDS: ClassVar = {"smoke": 2, "quick": 5, "paper": MOST}
    PUBLISHED = REPORTED

    def grid(self, only: Sequence[str], scale: str, seeds: int) -> list[tuple[str, Job[Any]]]:
        """The runs and proofs that the artifacts `only` need, each with the name of its row."""
        jobs: list[tuple[str, Job[Any]]] = []
        if {TABLE_1, FLATTEST} & {*only}:
            jobs += [(job.row, job) for job in flattest.jobs(scale)]
        return jobs + [(f"{row.figure} {row.name}", run) for row in _rows(only) for run in runs(row, scale, seeds)]

    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from stored runs alone."""
        shelf = Shelf(store)
        whole = {"2a"} if {TABLE_2, FIGURE_2B} & {*only} else set()  # figure 2b, which table 2 judges, is of 2a's networks
        stored = {row.figure: shelf.outcomes(runs(row, scale, seeds), arrays=row.figure in whole) for row in _rows(only)}
        made: list[Artifact] = []
        if CLAIMS in only:
            everything = [*_of_the_paper(), *self.claims([], store)]
            made.append(replace(ledger_table(CLAIMS, everything), coverage=_behind_the_claims(store)))
        if CLAIMS_GRAPH in only:
            made.append(graph(CLAIMS_GRAPH, [*_of_the_paper(), *self.claims([TABLE_1], store)]))
        proofs = shelf.pairs(flattest.jobs(scale)) if {TABLE_1, FLATTEST} & {*only} else []
        if TABLE_1 in only:
            made.append(table_1(stored, scale, seeds, proofs))
        if FLATTEST in only:
            made.append(flattest.table(proofs, scale))
        if TABLE_2 in only:
            made.append(table_2(observed(stored, scale), scale, stored, seeds))
        if FIGURE_2B in only:
            made.append(figure_2b(stored["2a"], scale))
        # a row whose runs all diverged before their second checkpoint has no curve to draw; the tables count them
        drawn = [row for row in ROWS if row.id in only and any(len(s.result.curve["epoch"]) > 1 for s in stored[row.figure])]
        return [*made, *(figure(row, stored[row.figure], scale, seeds) for row in drawn)]

    def prepare(self, only: Sequence[str]) -> None:
        """Examine the paper's statements."""
        if {CLAIMS, CLAIMS_GRAPH} & {*only}:
            deque(_of_the_paper(), maxlen=0)

    def claim(self, id: str, store: Store | None) -> Claim:
        """Judged by the rules of table-1 and table-2."""
        name = id.split("/")[1]
        evidence: list[Evidence] = []
        if store is not None:
            evidence = _of_table_1(Shelf(store)) if id == TABLE_1 else _of_figure(name.removeprefix("figure-"), Shelf(store))
        complete = len(evidence) == (len(published.TABLE_1) if id == TABLE_1 else 1)
        evidence = evidence or [not_run(f"--scale paper {id}", NOT_YET)]
        status: Status = "tested" if complete and all(e.supports == "tested" for e in evidence) else "open"
        if id == TABLE_1:
            proofs = Shelf(store).pairs(flattest.jobs("paper")) if store is not None else []
            evidence += [*flattest.evidence(proofs), tick()]
        if any(e.corrected for e in evidence):
            status = "refuted"
        return entry(id, REPORTED[name], status, evidence, RESTS_ON if id == TABLE_1 else (), separator="; ")


EXPERIMENT = Wen2023()


def _of_the_paper() -> Iterator[Claim]:
    """The ledger's statements of this paper."""
    return ledger(id for id in statements() if id.startswith(f"{ID}/"))


def _rows(only: Sequence[str]) -> list[Row]:
    """The rows whose runs the artifacts `only` need; figure 2b's are those of 2a."""
    figures = {row.figure for row in ROWS if row.id in only or TABLE_2 in only or (TABLE_1 in only and row in IN_TABLE_1)}
    return [row for row in ROWS if row.figure in figures or (row.figure == "2a" and FIGURE_2B in only)]


def _of_table_1(shelf: Shelf) -> list[Evidence]:
    return [e for row in IN_TABLE_1 if row.method == "1-SAM" and (e := _of_row(row, shelf))]


def _of_figure(name: str, shelf: Shelf) -> list[Evidence]:
    """What the stored runs say of one figure, at the scale of which most seeds are stored, the paper's own if they are as many."""
    needed = {"2a" if name == "2b" else name, *(statement.than for statement in STATEMENTS[name] if statement.than)}
    judged = {}
    for scale in JUDGED_SCALES:
        stored: dict[str, list[StoredRun]] = {f: shelf.outcomes(runs(ROW[f], scale, MOST), arrays=name == "2b") for f in needed}
        judged[scale] = judge_figure(name, observed(stored, scale), scale)
    scale = max(judged, key=lambda scale: len(judged[scale].runs))  # the first of equals
    judgement = judged[scale]
    if not judgement.runs:
        return []
    counts = "; ".join(f"{f.text}: {f.shown} of {f.total} seeds" for f in judgement.findings)
    return [
        evidence_of(
            judgement.verdict,
            f"{TRAINING_RUNS}, judged by the rule of table-2",
            f"figure {name}, {len(judgement.runs)} seeds, scale {scale}",
            f"{judgement.verdict}; {counts}",
            counts,
        )
    ]


def _of_row(row: Row, shelf: Shelf) -> Evidence | None:
    """What the stored runs say of one row, at the scale that `_of_figure` takes; None if none are stored."""
    at = {scale: shelf.outcomes(runs(row, scale, MOST), arrays=False) for scale in JUDGED_SCALES}
    stored = fullest(at.values())
    if not stored:
        return None
    scale = next(scale for scale in at if at[scale] is stored)
    judged = judge(row, stored, scale)
    answer, verdict = generalization(row, observations(row, stored, scale), scale, published.TABLE_1[row.architecture][1])
    share = bracketed(share_interval(judged.accuracy, points(row, scale)), ".3f") if judged.accuracy else "none"
    return evidence_of(
        verdict,
        f"{TRAINING_RUNS}, judged by the rule of table-1",
        f"figure {row.figure}, {len(stored)} seeds, scale {scale}",
        f"generalizes: {answer}, {verdict}; test accuracy {share}; {judged.diverged} diverged, {judged.off} end off interpolation",
        f"1-SAM generalizes, {row.architecture}: {answer}",
    )


def _behind_the_claims(store: Store) -> dict[str, int]:
    """How many runs of each row the empirical claims may rest on, at either scale that is judged."""
    keys = store.keys()
    counts: dict[str, int] = {}
    for scale in JUDGED_SCALES:
        for row in ROWS:
            counts |= coverage([(f"{row.figure} {row.name}, scale {scale}", run) for run in runs(row, scale, MOST)], keys)
    return counts
