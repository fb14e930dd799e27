"""The ledger: every printed statement with its status and the evidence that a machine just produced for it.

A statement is one function in a module of its paper's folder:

    @claim("wen2023/lemma-4.1", printed="...", uses=("wen2023/equation-2",))
    def lemma_4_1() -> Iterator[Evidence]:
        \"\"\"The statement in mathematics, with its source.\"\"\"
        require(sp.simplify(left - right) == 0, "what did not hold")
        yield Evidence("proved", "symbolic", "all parameter values", "what was simplified to what")

It yields evidence; its status is the strongest that the evidence supports:
    refuted     a counterexample, checked by the code, that a reader can check by hand; `corrected` says what holds instead
    proved      a symbolic or exact argument for all parameter values; cited facts are named
    certified   exact arithmetic or exhaustive enumeration on named finite instances
    tested      property-based or statistical, with counts and the confidence reached
    open        none of these
    definition  a definition, condition or setting that other statements use
A check that fails raises `EvidenceFailed`: the ledger then shows the statement as open, with the failure.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, get_args

Status = Literal["refuted", "proved", "certified", "tested", "open", "definition"]
STATUSES: tuple[Status, ...] = get_args(Status)
PAPERS = ("wen2023",)


class EvidenceFailed(AssertionError):
    """A check that the evidence rests on did not hold."""


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    supports: the status it establishes. method: how it was produced. scope: for which parameter values, instances or samples.
    finding: what came out. corrected: for a refutation, the statement that holds instead.
    """

    supports: Status
    method: str
    scope: str
    finding: str
    corrected: str | None = None


@dataclass(frozen=True)
class Claim:
    """A printed statement with what the ledger found. `corrected` is None where nothing needed correcting."""

    id: str
    title: str
    printed: str
    status: Status
    corrected: str | None
    evidence: tuple[Evidence, ...]
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A registered statement, not yet examined."""

    id: str
    printed: str
    uses: tuple[str, ...]
    title: str
    examine: Callable[[], Iterable[Evidence]]

    def claim(self) -> Claim:
        """Examine the statement now."""
        found: list[Evidence] = []
        try:
            found += self.examine()
        except EvidenceFailed as failure:
            found = [replace(e, supports="open") for e in found] + [Evidence("open", "failed check", "-", str(failure))]
        supported = {e.supports for e in found}
        status: Status = next((s for s in STATUSES if s in supported), "open")
        corrections = [e.corrected for e in found if e.corrected]
        corrected = " ".join(corrections) if status == "refuted" and corrections else None
        return Claim(self.id, self.title, self.printed, status, corrected, tuple(found), self.uses)


_statements: dict[str, Statement] = {}


def claim(
    id: str, printed: str, uses: tuple[str, ...] = ()
) -> Callable[[Callable[[], Iterable[Evidence]]], Callable[[], Iterable[Evidence]]]:
    """Register a statement; the first line of the function's docstring is its title."""

    def register(examine: Callable[[], Iterable[Evidence]]) -> Callable[[], Iterable[Evidence]]:
        if id in _statements:
            raise ValueError(f"statement {id} is registered twice")
        title = (examine.__doc__ or id).strip().splitlines()[0].rstrip(".")
        _statements[id] = Statement(id, " ".join(printed.split()), uses, title, examine)
        return examine

    return register


def definition(id: str, title: str, printed: str) -> None:
    """Register a definition, condition or setting."""
    note = Evidence("definition", "as printed", "-", "used by the statements that name it")
    _statements[id] = Statement(id, " ".join(printed.split()), (), title, lambda: (note,))


def require(holds: object, failure: str) -> None:
    """Raise EvidenceFailed with the given words unless `holds`."""
    if not bool(holds):
        raise EvidenceFailed(failure)


def statements() -> dict[str, Statement]:
    """Every registered statement by id. A module added to a paper's folder is found here; nothing else needs to name it."""
    for paper in PAPERS:
        package = import_module(f"theory.claims.{paper}")
        names = (m.name for m in iter_modules(package.__path__))
        for module in sorted(names, key=lambda name: (name.startswith("appendix"), name)):
            import_module(f"theory.claims.{paper}.{module}")
    return dict(_statements)


def ledger(ids: Iterable[str] = ()) -> Iterator[Claim]:
    """Examine statements, all of them if no ids are given, each as it is asked for.

    Errors: ValueError naming an unknown id.
    """
    known, wanted = statements(), list(ids)
    for id in wanted:
        if id not in known:
            raise ValueError(f"unknown statement {id!r}; expected one of {', '.join(known)}")
    return (known[id].claim() for id in (wanted or known))
