"""Owns the graph of what rests on what in the ledger, and the check that no proof rests on what does not hold."""

from collections.abc import Mapping, Sequence

from flatproof.theory.claims import Claim

SOUND = ("proved", "cited", "definition")


def holds(claim: Claim, form: str) -> bool:
    """Whether other proofs may rest on a statement in this form.

    As printed: proved, cited or defined, with nothing to correct in the statement itself. As corrected: the ledger proves it in the
    reading that its status is for.
    """
    if form == "printed":
        return claim.status in SOUND
    return any(e.supports in ("proved", "cited") and e.reading in (None, claim.reading) for e in claim.evidence)


def claims_a_proof(claim: Claim) -> bool:
    """Whether the ledger holds a proof of the statement, as printed or as corrected."""
    return any(e.supports == "proved" for e in claim.evidence)


def unsupported(ledger: Mapping[str, Claim]) -> list[str]:
    """One line for each edge of a proof to a statement that is unknown, open or wrong in the form in which it is used; sorted."""
    lines = []
    for claim in ledger.values():
        if claims_a_proof(claim):
            for edge in claim.depends_on:
                other = ledger.get(edge.id)
                if other is None:
                    lines.append(f"{claim.id} rests on {edge.id}, which is not in the ledger")
                elif not holds(other, edge.form):
                    lines.append(f"{claim.id} rests on {edge.id} as {edge.form}, which is {other.status}")
    return sorted(lines)


def layers(ledger: Mapping[str, Claim]) -> dict[str, int]:
    """For each statement the length of the longest chain that it rests on, 0 for those that rest on none.

    Args:
        ledger: claims by id; edges to statements outside it do not count.

    Returns:
        Lengths by id.

    Raises:
        ValueError: naming a statement that rests on itself.
    """
    depth: dict[str, int] = {}

    def visit(id: str, above: Sequence[str]) -> int:
        if id in above:
            raise ValueError(f"{' rests on '.join((*above[above.index(id) :], id))}")
        if id not in depth:
            below = [visit(edge.id, (*above, id)) for edge in ledger[id].depends_on if edge.id in ledger]
            depth[id] = 1 + max(below, default=-1)
        return depth[id]

    for id in ledger:
        visit(id, ())
    return depth


def cited(ledger: Mapping[str, Claim], id: str) -> list[str]:
    """The cited statements that a statement rests on, through any chain; sorted."""
    reached, todo = set(), [id]
    while todo:
        for edge in ledger[todo.pop()].depends_on:
            if edge.id in ledger and edge.id not in reached:
                reached.add(edge.id)
                todo.append(edge.id)
    return sorted(other for other in reached if ledger[other].status == "cited")
