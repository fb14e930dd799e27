"""Owns `flatproof ids`: what `reproduce` and `report` can be asked for."""

from typing import Annotated

import typer

from flatproof.verify.cli.terminal import refusing_bad_input, say


def ids(
    papers: Annotated[
        list[str] | None, typer.Argument(metavar="[PAPER]...", help="Of which papers or questions; all if none.")
    ] = None,
) -> None:
    """Print the ids of papers, tables and figures, a line each: what 'flatproof reproduce' and 'report' take."""
    from flatproof.verify.experiments import EXPERIMENTS, select

    with refusing_bad_input():
        chosen = select(papers) if papers else {id: list(experiment.ARTIFACTS) for id, experiment in EXPERIMENTS.items()}
    for paper, artifacts in chosen.items():
        for id in (paper, *artifacts):
            say(id)
