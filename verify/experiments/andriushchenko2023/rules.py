"""Owns the rules by which andriushchenko2023's claims are judged, written before any run of the grid.

A model is a row: kind (ResNet or ViT), seed, lr, group (SAM radius, mixup and augmentation together), train_error, test_error, gap (test
minus training error), ood_error, and a column of sharpness for each cell, a definition at a radius. Every effect is Kendall's tau-b over
models with its percentile bootstrap interval at 95 % (models drawn with replacement inside their groups). Where any one of k effects can
decide, "among k" says that its interval is taken at 1 - 0.05/k (Bonferroni). Fewer than LEAST_MODELS models of a network judge nothing.

    claim-1   tau of each cell with test error, over all models of a network. supported: every cell has a network where its interval, among
              the networks, lies below STRONG; refuted: a cell whose intervals, among all cells, lie above STRONG in every network.
    claim-2   a  tau of each cell with the learning rate, inside groups. A cell supports it if its interval excludes 0 in every network, it
                 contradicts it if it lies within ±WEAK in every network. By majority.
              b  tau of the learning rate with test error, inside groups. supported: above 0 in one network and below 0 in another;
                 refuted: on one side of 0 in all.
    claim-3   tau of each cell with error on corrupted images, over all models of a network. A definition (law and scaling) in a network
              is a case if the intervals of all of its radii lie below 0, among all cells and networks. supported: SEVERAL cases at least;
              refuted: no interval at 95 % lies below 0.

Diagonal networks (a pilot on other draws, with smaller steps, was looked at before this rule was written):

    claim-5   tau of each definition with test loss in each panel (covariance and target), over the networks that reached the training loss,
              inside draws of data. supported: a definition that lies above TRACKS in one panel and below it in another, among all
              definitions and panels; refuted: every definition lies, at 95 %, on one side of TRACKS in all panels.

By majority: supported if more cells support than half and none contradicts; refuted the other way round. A claim of two parts is supported
if both are, refuted if one is. At a reduced size (any scale but paper) a verdict says so, and the ledger leaves the statement open: the
paper's claims are about its settings, of which training from scratch on CIFAR-10 is one. Nothing is judged at scale smoke.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from flatproof.verify.experiments.andriushchenko2023.published import KINDS
from flatproof.verify.experiments.vocabulary import ERROR, Says, Verdict, bracketed, majority
from flatproof.verify.utils.statistics import Interval, kendall_interval

STRONG, WEAK = 0.5, 0.1
SEVERAL = 3
TRACKS = 0.5
LEAST_MODELS = 20
ENDS = ("tau", "low", "high")  # of an interval, in the numbers behind tables
FITTED = 0.01  # training error up to which a model counts as fitted, as in the paper
TARGETS = {"test_error": "test error", "gap": "generalization gap", "ood_error": "error on corrupted images"}
RULES = {  # as tables print them
    "claim-1": f"τ with test error: every definition and radius has a network where it lies below {STRONG} (among the networks); one above "
    f"{STRONG} in every network refutes (among all)",
    "claim-2a": f"τ with the learning rate inside groups: not 0 in every network supports, within ±{WEAK} in every one contradicts; "
    "majority",
    "claim-2b": "τ of learning rate and test error inside groups: above 0 in one network, below 0 in another; one side in all refutes",
    "claim-3": f"τ with error on corrupted images: {SEVERAL} definitions at least below 0 at all radii in a network (among all); none "
    "below 0 refutes",
    "claim-5": f"τ with test loss: a definition above {TRACKS} in one panel and below it in another (among all); every definition on one "
    "side in all panels refutes",
}
ON_IMAGES = ("claim-1", "claim-2a", "claim-2b", "claim-3")


def of_the_fitted(models: pd.DataFrame, cells: "Cells") -> str:
    """What the models say that the paper would have kept, those with a training error of at most FITTED: no verdict rests on them alone."""
    sentences = []
    for kind, columns in cells.items():
        kept = models[(models.kind == kind) & (models.train_error <= FITTED)] if len(models) else models
        if len(kept) < LEAST_MODELS:
            sentences.append(f"{len(kept)} {kind}s, too few to say anything")
            continue
        counts = []
        for target in ("test_error", "ood_error"):
            intervals = [tau(kept, column, target) for column in columns]
            above, below = sum(i.low > 0 for i in intervals), sum(i.high < 0 for i in intervals)
            largest = max(i.mean for i in intervals)
            counts.append(
                f"with {TARGETS[target]} {above} of {len(columns)} intervals lie above 0 and {below} below, the largest τ is {largest:+.2f}"
            )
        sentences.append(f"{len(kept)} {kind}s: {', '.join(counts)}")
    return f"The paper keeps models with a training error of at most {FITTED:.0%}; here these are {'; '.join(sentences)}."


Groups = Mapping[str, pd.DataFrame]
Cells = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Judgement:
    """The verdict on a part of a claim, and what it rests on, in words."""

    part: str
    verdict: Verdict
    finding: str


def tau(models: pd.DataFrame, x: str, y: str, grouped: bool = False, among: int = 1) -> Interval:
    """Kendall's tau between two columns, with its interval.

    Args:
        models: rows.
        x, y: columns; rows in which one is missing are left out.
        grouped: over pairs inside groups alone.
        among: how many effects can decide.
    """
    kept = models.dropna(subset=[x, y]) if len(models) else pd.DataFrame({x: [], y: [], "group": []})  # no column of none
    groups = kept.group.tolist() if grouped else None
    return kendall_interval(kept[x].tolist(), kept[y].tolist(), 1 - ERROR / among, groups)


def words(interval: Interval) -> str:
    """A correlation with its interval; a dash where there is none."""
    return bracketed(interval, "+.2f")


def judge(models: pd.DataFrame, cells: Mapping[str, Sequence[str]]) -> list[Judgement]:
    """Every claim on images.

    Args:
        models: one row a model that finished.
        cells: the columns of sharpness of each network, in one order for all: law, scaling and place among the radii.
    """
    by_kind: Groups = {kind: models[models.kind == kind] for kind in KINDS}
    if any(len(group) < LEAST_MODELS for group in by_kind.values()):
        counts = ", ".join(f"{len(group)} {kind}s" for kind, group in by_kind.items())
        return [Judgement(part, Verdict.NOT_RUN, f"{counts}; expected {LEAST_MODELS} of each at least") for part in ON_IMAGES]
    return [_claim_1(by_kind, cells), _claim_2a(by_kind, cells), _claim_2b(by_kind), _claim_3(by_kind, cells)]


def _claim_1(by_kind: Groups, cells: Cells) -> Judgement:
    count = len(cells[KINDS[0]])
    weak = strong = 0
    largest = -1.0
    for i in range(count):
        columns = {kind: cells[kind][i] for kind in by_kind}
        weak += any(tau(group, columns[kind], "test_error", among=len(by_kind)).high < STRONG for kind, group in by_kind.items())
        against = [tau(group, columns[kind], "test_error", among=count) for kind, group in by_kind.items()]
        strong += all(interval.low > STRONG for interval in against)
        largest = max(largest, min(interval.mean for interval in against))
    verdict = Verdict.REFUTED if strong else Verdict.SUPPORTED if weak == count else Verdict.INCONCLUSIVE
    return Judgement(
        "claim-1",
        verdict,
        f"{weak} of {count} definitions and radii lie below {STRONG} in a network, {strong} lie above in every one; the largest τ that one "
        f"reaches in every network is {largest:.2f}",
    )


def _claim_2a(by_kind: Groups, cells: Cells) -> Judgement:
    says: list[Says] = []
    for columns in zip(*(cells[kind] for kind in by_kind), strict=True):
        pairs = zip(by_kind.values(), columns, strict=True)
        intervals = [tau(group, column, "lr", grouped=True) for group, column in pairs]
        apart = all(interval.low > 0 or interval.high < 0 for interval in intervals)
        none = all(interval.low > -WEAK and interval.high < WEAK for interval in intervals)
        says.append("supports" if apart else "contradicts" if none else "open")
    finding = f"{says.count('supports')} of {len(says)} definitions and radii go with the learning rate in every network, "
    return Judgement("claim-2a", majority(says), finding + f"{says.count('contradicts')} in none")


def _claim_2b(by_kind: Groups) -> Judgement:
    intervals = {kind: tau(group, "lr", "test_error", grouped=True) for kind, group in by_kind.items()}
    above, below = ([i.low > 0 for i in intervals.values()], [i.high < 0 for i in intervals.values()])
    verdict = Verdict.INCONCLUSIVE
    if any(above) and any(below):
        verdict = Verdict.SUPPORTED
    elif all(above) or all(below):
        verdict = Verdict.REFUTED
    words = ", ".join(f"{kind} {i.mean:.2f} [{i.low:.2f}, {i.high:.2f}]" for kind, i in intervals.items())
    return Judgement("claim-2b", verdict, f"τ of learning rate and test error: {words}")


def _claim_3(by_kind: Groups, cells: Cells) -> Judgement:
    if any(group.ood_error.isna().all() for group in by_kind.values()):
        return Judgement("claim-3", Verdict.NOT_RUN, "no corrupted images were measured")
    total = sum(len(cells[kind]) for kind in by_kind)
    cases, below = [], 0
    for kind, group in by_kind.items():
        by_definition: dict[str, list[bool]] = {}
        for column in cells[kind]:
            below += tau(group, column, "ood_error").high < 0
            decided = tau(group, column, "ood_error", among=total).high < 0
            by_definition.setdefault(column.rpartition(", rho")[0], []).append(decided)
        cases += [f"{kind} {name}" for name, decided in by_definition.items() if all(decided)]
    verdict = Verdict.SUPPORTED if len(cases) >= SEVERAL else Verdict.REFUTED if not below else Verdict.INCONCLUSIVE
    named = f": {'; '.join(cases)}" if cases else ""
    return Judgement("claim-3", verdict, f"{len(cases)} cases{named}; {below} of {total} intervals at 95 % lie below 0")


def judge_diagonal(panels: Mapping[str, pd.DataFrame], definitions: Sequence[str]) -> Judgement:
    """claim-5.

    Args:
        panels: of each panel the networks that reached the training loss: a column a definition, test_error, and group, the draw.
        definitions: their columns.
    """
    if len(panels) < 2 or any(len(networks) < LEAST_MODELS for networks in panels.values()):
        counts = ", ".join(f"{len(networks)} in {panel}" for panel, networks in panels.items()) or "no networks"
        return Judgement("claim-5", Verdict.NOT_RUN, f"{counts}; expected {LEAST_MODELS} in each panel at least")
    total = len(panels) * len(definitions)
    apart, undecided = [], 0
    for definition in definitions:
        decided = {p: tau(networks, definition, "test_error", True, total) for p, networks in panels.items()}
        above, below = ([p for p, i in decided.items() if i.low > TRACKS], [p for p, i in decided.items() if i.high < TRACKS])
        if above and below:
            apart.append(f"{definition} ({'; '.join(above)}; not in {'; '.join(below)})")
        plain = [tau(networks, definition, "test_error", True) for networks in panels.values()]
        undecided += not (all(i.low > TRACKS for i in plain) or all(i.high < TRACKS for i in plain))
    verdict = Verdict.SUPPORTED if apart else Verdict.INCONCLUSIVE if undecided else Verdict.REFUTED
    return Judgement(
        "claim-5", verdict, f"{len(apart)} of {len(definitions)} track test loss in some panels alone: {', '.join(apart)}"
    )
