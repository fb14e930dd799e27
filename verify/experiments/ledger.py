"""Owns the ledger as people read it: a table of every statement, its headlines, and one statement in full."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from flatproof.theory.claims import OWN, SEVERITIES, Claim, Target, statements
from flatproof.theory.claims.graph import cited
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.report.artifacts import Table

SEVERITY_WORDS = {"substance": "in substance", "constant or sign": "in a constant or a sign", "boundary": "at a boundary"}
NOTES = (
    "Status. refuted: the statement itself fails, shown by a checked counterexample, and 'corrected' says what holds instead. "
    "proved: for all "
    "parameter values, by a symbolic or exact argument. cited: a published theorem, named and not proved again. certified: exactly, on the "
    "named finite instances. tested: statistically or by property tests. open: none of these. definition: used by other statements.",
    "Fails in: of the gravest refutation its target (the statement, a construction printed with it, a step of its proof) and its severity. "
    "substance: no change of a constant, a sign or an edge case mends it; constant or sign: with another one it holds; boundary: it fails "
    "in an edge case alone. A statement whose construction or proof step fails stands. Reading: the one that the status is for, where a "
    "statement depends on it; evidence for another reading names it. Rests on: what the ledger's proof uses, * in its corrected form. "
    "Formal: a theorem that Coq's kernel checked for it; it changes no status.",
)
OWN_NOTE = "Statements own/... are this project's, printed nowhere else: 'printed' holds them as they are meant."


def headlines(claims: Sequence[Claim]) -> list[str]:
    """A line a paper: what the ledger found of its statements, by how much it matters, and of its claims that runs judge."""
    papers: dict[str, list[Claim]] = {}
    for c in claims:
        papers.setdefault(c.id.split("/")[0], []).append(c)
    examined, ledger = statements(), {c.id: c for c in claims}
    lines = []
    for paper, listed in papers.items():
        stated, measured = [c for c in listed if c.id in examined], [c for c in listed if c.id not in examined]
        parts = [_of_statements(stated, ledger)] if stated else []
        wrong = ", ".join(c.id.split("/")[1] for c in measured if c.status == "refuted")
        failing = _failing(measured) + f" ({wrong})" * bool(wrong)
        parts += [f"measured: of {len(measured)} claims {failing}{_others(measured)}."] if measured else []
        lines.append(f"{paper}: " + " ".join(part if k == 0 else part[0].upper() + part[1:] for k, part in enumerate(parts)))
    return lines


def _of_statements(claims: Sequence[Claim], ledger: Mapping[str, Claim]) -> str:
    """Of the statements of one paper, which an argument or an example settles."""
    if claims[0].own:
        return f"of {len(claims)} statements of our own, printed nowhere else, {_counted(claims)}."
    stand = [c for c in claims if c.status != "refuted"]
    targets = Counter(c.target for c in stand)
    leaning = sum(bool(cited(ledger, c.id)) for c in claims if c.status == "proved")
    told: dict[Target, str] = {
        "construction": "with a construction that fails",
        "proof step": "with a step of the proof that fails",
    }
    flawed = ", ".join(f"{targets[target]} {how}" for target, how in told.items() if targets[target])
    return (
        f"of {len(claims)} statement{'s' * (len(claims) > 1)} {_failing(claims)}{_others(claims)}."
        + (f" Of those that stand are printed: {flawed}." if flawed else "")
        + (f" {leaning} of the proved {'rest' if leaning > 1 else 'rests'} on a cited theorem." if leaning else "")
    )


def _failing(claims: Sequence[Claim]) -> str:
    """How many fail as printed, by how much that matters."""
    severities = Counter(c.severity for c in claims if c.status == "refuted")
    count = sum(severities.values())
    words = ", ".join(f"{severities[s]} {SEVERITY_WORDS[s]}" for s in SEVERITIES if severities[s])
    return f"{count or 'none'} {'fails' if count < 2 else 'fail'} as printed" + (f": {words}" if count else "")


def _others(claims: Sequence[Claim]) -> str:
    """How many of those that do not fail have which status."""
    stand = [c for c in claims if c.status != "refuted"]
    return f"; the others: {_counted(stand)}" if stand else ""


def _counted(claims: Sequence[Claim]) -> str:
    """How many have which status, the most frequent first."""
    counts = Counter(c.status for c in claims).most_common()
    return ", ".join(f"{count} {status}{'s' * (status == 'definition' and count > 1)}" for status, count in counts)


def fails_in(c: Claim) -> str:
    """Target and severity of the gravest refutation, a dash where nothing is refuted."""
    return f"{c.target}: {c.severity}" if c.target else "–"


def rests_on(c: Claim) -> str:
    """The ids that a proof rests on, without the prefix of its own paper; * marks the corrected form."""
    paper = c.id.split("/")[0]
    return ", ".join(edge.id.removeprefix(f"{paper}/") + "*" * (edge.form == "corrected") for edge in c.depends_on) or "–"


def table(id: str, claims: Sequence[Claim]) -> Table:
    """Every statement with its status, what is printed, what holds instead, what it rests on, and the evidence.

    Args:
        id: of the table.
        claims: the statements, in their order.
    """
    rows = [
        {
            "id": c.id,
            "status": c.status,
            "fails in": fails_in(c),
            "reading": c.reading or "–",
            "statement": c.title,
            "printed": c.printed + (f" ({c.words})" if c.words else ""),
            "corrected": c.corrected or "–",
            "rests on": rests_on(c),
            "evidence": " ".join(
                [
                    *(
                        f"[{'; '.join(filter(None, (e.supports, e.target, e.severity, e.reading, e.method, e.scope)))}] {e.finding}"
                        for e in c.evidence
                    ),
                    *(f"[formal; {f.about()}; Coq {f.coq}: {f.entry.theorem}] {f.entry.words}" for f in c.formal),
                ]
            ),
        }
        for c in claims
    ]
    return Table(
        id=id,
        title="Every printed statement: what holds",
        shown=pd.DataFrame(rows),
        raw=pd.DataFrame(rows),
        notes=(*headlines(claims), *NOTES, *([OWN_NOTE] if any(c.own for c in claims) else [])),
        provenance=provenance(),
        brief=("id", "status", "fails in", "statement", "corrected"),
    )


def in_full(c: Claim) -> str:
    """One statement with all of its evidence, as text."""
    lines = [c.id, f"{'our own' if c.own else 'printed':<11}{c.printed}", f"status     {c.status}"]
    if c.words:
        lines.insert(2, f"words      {c.words}")
    if c.target:
        lines.append(f"fails in   {fails_in(c)}")
    if c.reading:
        lines.append(f"reading    {c.reading}")
    if c.corrected:
        lines.append(f"corrected  {c.corrected}")
    lines += [f"rests on   {edge.id}" + f", as {edge.form}" * (not edge.id.startswith(f"{OWN}/")) for edge in c.depends_on]
    lines.append(f"about      {c.title}")  # in the words of whoever wrote the check
    for e in c.evidence:
        kind = ", ".join(filter(None, (e.supports, e.target, e.severity, e.reading and f"reading: {e.reading}", e.method)))
        lines.append(f"evidence   {kind}; scope: {e.scope}")
        lines.append(f"           {e.finding}")
    for f in c.formal:
        lines.append(f"formal     {f.about()}; checked by Coq {f.coq}: {f.entry.theorem}")
        lines.append(f"           {f.entry.words}")
        lines.append(f"           axioms: {', '.join(f.axioms) or 'none'}")
    return "\n".join(lines)
