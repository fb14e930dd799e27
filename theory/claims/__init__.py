"""The ledger: every printed statement with its status and the evidence that a machine just produced for it.

A statement is one function in a module of its paper's folder:

    @claim("wen2023/lemma-4.1", printed="...", depends_on=("wen2023/equation-2", corrected("wen2023/lemma-A.5")))
    def lemma_4_1() -> Iterator[Evidence]:
        \"\"\"What it is about, and below in which setting.\"\"\"
        require(sp.simplify(left - right) == 0, "what did not hold")
        yield Evidence("proved", "symbolic", "all parameter values", "what was simplified to what")

It yields evidence; its status is what the evidence supports, the first of these:
    refuted     the statement itself fails; `corrected` says what holds instead
    proved      a symbolic or exact argument for all parameter values; classical facts that it cites are named
    cited       a published theorem that this ledger names but does not prove
    certified   exact arithmetic or exhaustive enumeration on named finite instances
    tested      property-based or statistical, with counts and the confidence reached
    open        none of these
    definition  a definition, condition or setting that other statements use
A refutation is a counterexample, checked by the code, that a reader can check by hand. It has a target: the statement, a
construction that is printed with it, or a step of its printed proof; only the first makes a statement refuted. It has a severity:
    substance         no change of a constant, a sign or an edge case mends it
    constant or sign  it holds with another constant, exponent, index or sign
    boundary          it fails in an edge case alone, which the correction excludes
Where a statement depends on a reading, `reading` names the one that its status is for; evidence for another one says so.
Where the paper's text was not at hand, `words` says whose words `printed` holds: its abstract's, or ours.
`depends_on` lists what the proof in the ledger rests on, each as printed or as corrected (theory.claims.graph).
A check that fails raises `EvidenceFailed`: the ledger then shows the statement as open, with the failure.
Beside the evidence stands what Coq's kernel checked of the statement (`formal`, theory.claims.formal); it changes no status.
Another package adds statements by the entry-point group `flatproof.claims`, whose values are modules that register them; those of a file of
one's own are registered when it is imported.
Statements of the project's own, printed nowhere else, lie in the folder `own` under ids "own/...", registered by `@own_claim`; they
are counted apart from the printed ones.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Literal, get_args

from flatproof.notebooks import html_rows
from flatproof.theory.claims.formal import Formal, theorems

Status = Literal["refuted", "proved", "cited", "certified", "tested", "open", "definition"]
Target = Literal["statement", "construction", "proof step"]
Severity = Literal["substance", "constant or sign", "boundary"]
Reading = Literal[
    "differentiable parameters",
    "relu'(0) = 0",
    "distinct samples",
    "repeated samples",
    "Gaussian displacements",
    "uniform displacements",
    "every minimum",
    "both sharper and flatter",
    "one sample a step",
    "two samples a step",
    "inputs x and -x alike",
    "no bias",
    "with a bias",
]
Words = Literal["quoted from the abstract", "restated: the paper's own text was not at hand"]
RESTATED: Words = "restated: the paper's own text was not at hand"
Form = Literal["printed", "corrected"]
STATUSES: tuple[Status, ...] = get_args(Status)
TARGETS: tuple[Target, ...] = get_args(Target)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
GROUP = "flatproof.claims"
OWN = "own"  # the folder of the project's own statements


class EvidenceFailed(AssertionError):
    """A check that the evidence rests on did not hold."""


@dataclass(frozen=True)
class Evidence:
    """One piece of evidence.

    Attributes:
        supports: the status it establishes.
        method: how it was produced.
        scope: for which parameter values, instances or samples.
        finding: what came out.
        corrected: for a refutation, what holds instead.
        target: of a refutation, which needs one.
        severity: of a refutation, which needs one.
        reading: the reading that it is for, None for all.

    Raises:
        ValueError: where a refutation has no target or severity, or something else has one.
    """

    supports: Status
    method: str
    scope: str
    finding: str
    corrected: str | None = None
    target: Target | None = None
    severity: Severity | None = None
    reading: Reading | None = None

    def __post_init__(self) -> None:
        refutes = self.supports == "refuted"
        if (self.target is not None, self.severity is not None) != (refutes, refutes):
            raise ValueError(
                f"a refutation, and nothing else, has a target and a severity; got {self.supports!r}, {self.target!r}, "
                f"{self.severity!r} in {self.finding!r}"
            )


@dataclass(frozen=True)
class Dependency:
    """What a proof rests on: a statement as printed or as corrected."""

    id: str
    form: Form = "printed"


def corrected(id: str) -> Dependency:
    """The corrected form of a statement."""
    return Dependency(id, "corrected")


@dataclass(frozen=True)
class Claim:
    """A printed statement with what the ledger found.

    `corrected` is None where nothing needed correcting. target, severity: of the gravest refutation, None where nothing is refuted;
    a target other than "statement" leaves the statement standing. reading: the one that the status is for, None for all. formal: the
    theorems that Coq checked for it, in the form that lies here. words: whose `printed` holds, where the paper's text was not at hand.
    """

    id: str
    title: str
    printed: str
    status: Status
    corrected: str | None
    evidence: tuple[Evidence, ...]
    depends_on: tuple[Dependency, ...]
    target: Target | None = None
    severity: Severity | None = None
    reading: Reading | None = None
    formal: tuple[Formal, ...] = ()
    words: Words | None = None

    @property
    def own(self) -> bool:
        """Whether it is the project's own, printed nowhere else."""
        return self.id.startswith(f"{OWN}/")

    def _repr_html_(self) -> str:
        fails = f"{self.target}: {self.severity}" if self.target else ""
        about = {
            "printed": self.printed,
            "words": self.words or "",
            "status": self.status,
            "fails in": fails,
            "reading": self.reading or "",
        }
        about |= {"corrected": self.corrected or "", "rests on": ", ".join(f"{e.id} ({e.form})" for e in self.depends_on)}
        found = {f"evidence {k}": f"{e.supports}, {e.method}; {e.scope}: {e.finding}" for k, e in enumerate(self.evidence, 1)}
        checked = {f"formal {k}": f"{f.entry.theorem}, {f.about()}: {f.entry.words}" for k, f in enumerate(self.formal, 1)}
        return html_rows(self.id, about | {"about": self.title} | found | checked)


@dataclass(frozen=True)
class Statement:
    """A registered statement, not yet examined."""

    id: str
    printed: str
    depends_on: tuple[Dependency, ...]
    title: str
    examine: Callable[[], Iterable[Evidence]]
    reading: Reading | None = None
    words: Words | None = None

    def claim(self) -> Claim:
        """Examine the statement now; once a process, for nothing that it rests on changes."""
        return self._claim

    @cached_property
    def _claim(self) -> Claim:
        evidence: list[Evidence] = []
        try:
            evidence += self.examine()
        except EvidenceFailed as failure:
            evidence = [replace(e, supports="open", target=None, severity=None, corrected=None) for e in evidence]
            evidence.append(Evidence("open", "failed check", "-", str(failure)))
        claim = judged(self.id, self.title, self.printed, evidence, self.depends_on, self.reading)
        return replace(claim, formal=theorems(self.id), words=self.words)


def judged(
    id: str,
    title: str,
    printed: str,
    evidence: Iterable[Evidence],
    depends_on: tuple[Dependency, ...] = (),
    reading: Reading | None = None,
) -> Claim:
    """The claim that evidence makes of a statement: what counts is the evidence for its reading or for all of them.

    Args:
        id: of the statement.
        title: of the statement.
        printed: the statement as it is printed.
        evidence: all there is, for whatever reading.
        depends_on: what its proof rests on.
        reading: the one that its status is for; None if it has but one.

    Returns:
        The claim, its status the first of STATUSES that the evidence supports.
    """
    everything = tuple(evidence)
    counted = [e for e in everything if e.reading in (None, reading)]
    refutations = [e for e in counted if e.target and e.severity]
    supported = {e.supports for e in counted if e.target in (None, "statement")}
    status: Status = next((s for s in STATUSES if s in supported), "open")
    gravest = min(
        refutations,
        key=lambda e: (TARGETS.index(e.target), SEVERITIES.index(e.severity)),
        default=None,
    )
    corrections = " ".join(dict.fromkeys(e.corrected for e in counted if e.corrected)) or None
    target, severity = (gravest.target, gravest.severity) if gravest else (None, None)
    return Claim(id, title, printed, status, corrections, everything, depends_on, target, severity, reading)


def gravity(status: Status) -> tuple[Target | None, Severity | None]:
    """Target and severity of what training runs say: where they refute a statement, they refute it in substance."""
    return ("statement", "substance") if status == "refuted" else (None, None)


_statements: dict[str, Statement] = {}


def claim(
    id: str,
    printed: str,
    depends_on: tuple[str | Dependency, ...] = (),
    reading: Reading | None = None,
    words: Words | None = None,
) -> Callable[[Callable[[], Iterable[Evidence]]], Callable[[], Iterable[Evidence]]]:
    """Register a statement; the first line of the function's docstring is its title: what it is about, no claim.

    Args:
        id: of the statement, "paper/lemma-4.1".
        printed: the statement as it is printed.
        depends_on: what its proof rests on, as printed unless it is `corrected(id)`.
        reading: the one that its status is for; None if it has but one.
        words: whose `printed` holds, where the paper's text was not at hand.

    Returns:
        A decorator of the function that yields the evidence.

    Raises:
        ValueError: for an id that is registered already.
    """

    def register(examine: Callable[[], Iterable[Evidence]]) -> Callable[[], Iterable[Evidence]]:
        if id in _statements:
            raise ValueError(f"statement {id} is registered twice")
        if id.count("/") != 1 or not all(id.split("/")):
            raise ValueError(f"a statement's id must be 'paper/name', got {id!r}")
        title = (examine.__doc__ or id).strip().splitlines()[0].rstrip(".")
        edges = tuple(Dependency(edge) if isinstance(edge, str) else edge for edge in depends_on)
        _statements[id] = Statement(id, " ".join(printed.split()), edges, title, examine, reading, words)
        return examine

    return register


def own_claim(
    name: str, statement: str, depends_on: tuple[str | Dependency, ...] = ()
) -> Callable[[Callable[[], Iterable[Evidence]]], Callable[[], Iterable[Evidence]]]:
    """Register a statement of the project's own, "own/name"; the rest as for `claim`."""
    return claim(f"{OWN}/{name}", statement, depends_on)


def definition(id: str, title: str, printed: str, words: Words | None = None) -> None:
    """Register a definition, condition or setting."""
    note = Evidence("definition", "as printed", "-", "used by the statements that name it")
    _statements[id] = Statement(id, " ".join(printed.split()), (), title, lambda: (note,), words=words)


def require(holds: object, failure: str) -> None:
    """Raise EvidenceFailed with the given words unless `holds`."""
    if not bool(holds):
        raise EvidenceFailed(failure)


def _in_order(id: str) -> tuple[str, int, int, int, str]:
    """Sorts by paper, then what has no section number (condition-1), then 3.1, .., 5.2, A.1, .., A.27; the project's own by their kind."""
    paper, name = id.split("/")
    kind, _, number = name.rpartition("-")
    paper = f"{paper}/{kind}" if paper == OWN else paper
    section, dot, index = number.rpartition(".")
    if not index.isdigit():
        return paper, 0, 0, 0, name
    return paper, 0 if not dot else 1 if section.isdigit() else 2, int(section) if section.isdigit() else 0, int(index), kind


def statements() -> dict[str, Statement]:
    """Every registered statement by id, in the papers' order. A folder added here, or a module added to one, is found; nothing else needs
    to name it.

    Raises:
        ValueError: naming an entry point whose module cannot be imported.
    """
    for paper in iter_modules(__path__):
        if paper.ispkg:
            package = import_module(f"{__name__}.{paper.name}")
            for module in iter_modules(package.__path__):
                import_module(f"{package.__name__}.{module.name}")
    for point in entry_points(group=GROUP):
        try:
            import_module(point.module)
        except Exception as error:  # another's code: whatever it raises, the line names the entry point
            raise ValueError(
                f"claims {point.name} = {point.value} of the entry points {GROUP} cannot be imported: {type(error).__name__}: {error}"
            ) from error
    return {id: _statements[id] for id in sorted(_statements, key=_in_order)}


def registered_by(function: object) -> list[str]:
    """The ids of the statements that a function examines."""
    return [id for id, statement in _statements.items() if statement.examine is function]


def ledger(ids: Iterable[str] = ()) -> Iterator[Claim]:
    """Examine statements, each as it is asked for.

    Args:
        ids: of the statements; all of them if none are given.

    Returns:
        The claims, one after another.

    Raises:
        ValueError: naming an unknown id.
    """
    known, wanted = statements(), list(ids)
    for id in wanted:
        if id not in known:
            raise ValueError(f"unknown statement {id!r}; expected one of {', '.join(known)}")
    return (known[id].claim() for id in (wanted or known))
