"""Owns what an experiment is, the papers' empirical statements as entries of the ledger, and notes that many tables share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flatproof.theory.claims import Claim, Dependency, Evidence, Status, gravity
from flatproof.theory.claims.formal import theorems
from flatproof.verify.experiments.vocabulary.verdicts import Verdict
from flatproof.verify.jobs.job import Job
from flatproof.verify.jobs.store import Store
from flatproof.verify.report.about import About
from flatproof.verify.report.artifacts import Artifact

SCALES = ("smoke", "quick", "paper")
JUDGED_SCALES = ("paper", "quick")  # at which verdicts are reached, the paper's own first
TRAINING_RUNS = "training runs"


class Experiment(ABC):
    """A paper or question: what is run for it, and what is reported of that.

    ID: the prefix of its ids. ABOUT: what the page says before its results. ARTIFACTS: ids of its tables and figures.
    DEFAULT_SEEDS: seeds by scale. PUBLISHED: the empirical statements that it judges, as printed, by name. ON_REQUEST: whether it runs
    only when it is named, as what needs fetched data or long runs does.
    """

    ID: ClassVar[str]
    ABOUT: ClassVar[About] = About()
    ARTIFACTS: ClassVar[tuple[str, ...]]
    DEFAULT_SEEDS: ClassVar[Mapping[str, int]]
    PUBLISHED: ClassVar[Mapping[str, str]] = {}
    ON_REQUEST: ClassVar[bool] = False

    @abstractmethod
    def grid(self, only: Sequence[str], scale: str, seeds: int) -> Sequence[tuple[str, Job[Any]]]:
        """The jobs that the artifacts `only` need, each with the name that the progress display gives its row."""

    @abstractmethod
    def build(self, only: Sequence[str], scale: str, seeds: int, store: Store) -> list[Artifact]:
        """The artifacts `only`, from what is stored alone."""

    def prepare(self, only: Sequence[str]) -> None:  # noqa: B027  # most have nothing to prepare
        """What takes `build` seconds for the artifacts `only` and rests on no run: done once a process, beside the runs."""

    def claim_ids(self) -> list[str]:
        """The ids of the empirical statements."""
        return [f"{self.ID}/{name}" for name in self.PUBLISHED]

    def claims(self, ids: Sequence[str], store: Store | None) -> list[Claim]:
        """The empirical statements among `ids` (all if empty), judged from what is stored; None: there is no store."""
        return [self.claim(id, store) for id in self.claim_ids() if not ids or id in ids]

    def claim(self, id: str, store: Store | None) -> Claim:
        """One of them."""
        raise NotImplementedError(f"{self.ID} has the statement {id}; expected a method `claim` that judges it")


def evidence_of(
    verdict: Verdict, method: str, scope: str, finding: str, corrected: str | None = None, reduced: bool = False
) -> Evidence:
    """What a verdict is in the ledger.

    Args:
        verdict: what the rule concludes.
        method: how the runs are judged.
        scope: of which runs.
        finding: what they show.
        corrected: what holds instead of what is printed; dropped unless the verdict refutes.
        reduced: whether the networks or data are of a reduced size, which settles nothing.
    """
    status = verdict.status(reduced)
    return Evidence(status, method, scope, finding, corrected if status == "refuted" else None, *gravity(status))


def not_run(ids: str, how: str = Verdict.NOT_RUN) -> Evidence:
    """Nothing is stored; `ids` runs it, options included."""
    return Evidence("open", TRAINING_RUNS, "-", f"{how}: flatproof reproduce {ids} runs it")


def entry(
    id: str,
    printed: str,
    status: Status,
    evidence: Sequence[Evidence],
    depends_on: tuple[Dependency, ...] = (),
    separator: str = " ",
) -> Claim:
    """An empirical statement in the ledger; its title is the name in its id, its correction what the evidence says holds instead.

    What Coq checked of it is shown too.

    Args:
        id: "paper/claim-1".
        printed: the statement.
        status: what the evidence amounts to.
        evidence: for and against.
        depends_on: what the statement rests on.
        separator: between the corrections of several pieces of evidence.
    """
    corrected = separator.join(e.corrected for e in evidence if e.corrected) or None
    title = id.split("/")[1].replace("-", " ").capitalize()
    return Claim(id, title, printed, status, corrected, tuple(evidence), depends_on, *gravity(status), formal=theorems(id))


def of_scale(scale: str) -> tuple[str, ...]:
    """The note of a table or figure at scale smoke; none at the others."""
    return ("Scale smoke: its numbers mean nothing.",) if scale == "smoke" else ()
