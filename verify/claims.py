"""Owns the ledger as people read it: a table of every statement, and one statement in full."""

from collections.abc import Sequence

import pandas as pd

from theory.claims import Claim
from verify.provenance import provenance
from verify.report import Table


def table(id: str, claims: Sequence[Claim]) -> Table:
    """Every statement with its status, what is printed, what holds instead, and the evidence."""
    rows = [
        {
            "id": c.id,
            "status": c.status,
            "statement": c.title,
            "printed": c.printed,
            "corrected": c.corrected or "–",
            "evidence": " ".join(f"[{e.supports}; {e.method}; {e.scope}] {e.finding}" for e in c.evidence),
        }
        for c in claims
    ]
    counts = pd.Series([c.status for c in claims]).value_counts()
    return Table(
        id=id,
        title="Every printed statement: what holds",
        shown=pd.DataFrame(rows),
        raw=pd.DataFrame(rows),
        notes=(
            "Status, the strongest that the evidence supports. refuted: a checked counterexample, with what holds instead. "
            "proved: for all parameter values. certified: exactly, on the named finite instances. tested: statistically or by "
            "property tests. open: none of these. definition: used by other statements.",
            "; ".join(f"{count} {status}" for status, count in counts.items()) + ".",
        ),
        provenance=provenance(),
        brief=("id", "status", "statement", "corrected"),
    )


def in_full(c: Claim) -> str:
    """One statement with all of its evidence, as text."""
    lines = [f"{c.id}: {c.title}", f"status     {c.status}", f"printed    {c.printed}"]
    if c.corrected:
        lines.append(f"corrected  {c.corrected}")
    if c.uses:
        lines.append(f"uses       {', '.join(c.uses)}")
    for e in c.evidence:
        lines.append(f"evidence   {e.supports}, {e.method}; scope: {e.scope}")
        lines.append(f"           {e.finding}")
    return "\n".join(lines)
