"""Owns the ledger as people read it: a table of every statement, its headline, and one statement in full."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from flatproof.theory.claims import OWN, SEVERITIES, Claim
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
    "statement depends on it; evidence for another reading names it. Rests on: what the ledger's proof uses, * in its corrected form.",
)
OWN_NOTE = "Statements own/... are this project's, printed nowhere else: 'printed' holds them as they are meant."


def headline(claims: Sequence[Claim]) -> str:
    """What the ledger found of the printed statements, by how much it matters; then what it holds of the project's own."""
    ours, claims = [c for c in claims if c.own], [c for c in claims if not c.own]
    refuted, stand = [c for c in claims if c.status == "refuted"], [c for c in claims if c.status != "refuted" and c.target]
    severities, targets = Counter(c.severity for c in refuted), Counter(c.target for c in stand)
    wrong = ", ".join(f"{severities[s]} {SEVERITY_WORDS[s]}" for s in SEVERITIES)
    rest = _counted([c for c in claims if c.status != "refuted"])
    ledger = {c.id: c for c in (*claims, *ours)}
    leaning = sum(bool(cited(ledger, c.id)) for c in claims if c.status == "proved")
    return (
        f"Of {len(claims)} statements {len(refuted)} fail as printed: {wrong}. Of those that stand, {targets['construction']} are "
        "printed with a "
        f"construction that fails and {targets['proof step']} with a step of the proof that fails. The others: {rest}; {leaning} "
        "of the proved rest on a cited theorem." + (f" Of {len(ours)} statements of our own {_counted(ours)}." if ours else "")
    )


def _counted(claims: Sequence[Claim]) -> str:
    """How many have which status, the most frequent first."""
    return ", ".join(f"{count} {status}" for status, count in Counter(c.status for c in claims).most_common())


def fails_in(c: Claim) -> str:
    """Target and severity of the gravest refutation, a dash where nothing is refuted."""
    return f"{c.target}: {c.severity}" if c.target else "–"


def rests_on(c: Claim) -> str:
    """The ids that a proof rests on, without the paper's prefix; * marks the corrected form."""
    return ", ".join(edge.id.split("/")[1] + "*" * (edge.form == "corrected") for edge in c.depends_on) or "–"


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
            "printed": c.printed,
            "corrected": c.corrected or "–",
            "rests on": rests_on(c),
            "evidence": " ".join(
                f"[{'; '.join(filter(None, (e.supports, e.target, e.severity, e.reading, e.method, e.scope)))}] {e.finding}"
                for e in c.evidence
            ),
        }
        for c in claims
    ]
    return Table(
        id=id,
        title="Every printed statement: what holds",
        shown=pd.DataFrame(rows),
        raw=pd.DataFrame(rows),
        notes=(headline(claims), *NOTES, *([OWN_NOTE] if any(c.own for c in claims) else [])),
        provenance=provenance(),
        brief=("id", "status", "fails in", "statement", "corrected"),
    )


def in_full(c: Claim) -> str:
    """One statement with all of its evidence, as text."""
    lines = [f"{c.id}: {c.title}", f"status     {c.status}"]
    if c.target:
        lines.append(f"fails in   {fails_in(c)}")
    if c.reading:
        lines.append(f"reading    {c.reading}")
    lines.append(f"{'our own' if c.own else 'printed':<11}{c.printed}")
    if c.corrected:
        lines.append(f"corrected  {c.corrected}")
    lines += [f"rests on   {edge.id}" + f", as {edge.form}" * (not edge.id.startswith(f"{OWN}/")) for edge in c.depends_on]
    for e in c.evidence:
        kind = ", ".join(filter(None, (e.supports, e.target, e.severity, e.reading and f"reading: {e.reading}", e.method)))
        lines.append(f"evidence   {kind}; scope: {e.scope}")
        lines.append(f"           {e.finding}")
    return "\n".join(lines)
