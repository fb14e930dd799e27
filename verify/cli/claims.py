"""Owns `flatproof claims`: what is proved, cited, certified, tested, refuted or open."""

from dataclasses import asdict, replace
from typing import Annotated

import typer

from flatproof.verify.cli.options import STORE, AsJson, StorePath
from flatproof.verify.cli.terminal import busy, print_json, print_tables, refusing_bad_input, say

BRIEF = ("id", "status", "fails in", "about", "corrected")


def claims(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Statements to show in full, or papers to list; a table of all if none."),
    ] = None,
    as_json: AsJson = False,
    store: StorePath = STORE,
) -> None:
    """Examine the printed statements now: what is proved, cited, certified, tested, open, or refuted, in what, and what holds instead."""
    from flatproof.verify.experiments import are_papers, examine
    from flatproof.verify.experiments.ledger import headlines, in_full, table
    from flatproof.verify.jobs.store import Store

    with refusing_bad_input():
        examined = examine(ids or [], Store(store) if store.exists() and store.stat().st_size else None)
    listed = are_papers(ids or [])
    statements = []
    with busy("examining", quiet=as_json):
        for claim in examined:
            if not listed and not as_json:
                say(in_full(claim) + "\n")
            statements.append(claim)
    if as_json:
        print_json([asdict(claim) for claim in statements])
    elif listed:
        everything = table("all/claims", statements)
        print_tables([replace(everything, shown=everything.shown.rename(columns={"statement": "about"}), brief=BRIEF)])
        for line in headlines(statements):
            say(line)
