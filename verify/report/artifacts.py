"""Owns what a report consists of, tables and figures, and the provenance that the stored outcomes behind them share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.jobs.job import Stored

NOT_YET = "not yet run"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        id: "paper/table-N".
        title: one line.
        shown: text for people.
        raw: the numbers behind it, for the CSV file.
        notes: paragraphs below the table.
        provenance: names and values, in the order in which they are printed.
        brief: the main columns: what a terminal shows, the page at first, and LaTeX unless others are chosen.
        files: by name, contents that go beside it in a folder of the table's name.
        coverage: how many stored outcomes of each row of the grid stand behind it.
    """

    id: str
    title: str
    shown: pd.DataFrame
    raw: pd.DataFrame
    notes: tuple[str, ...]
    provenance: dict[str, str]
    brief: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    coverage: Mapping[str, int] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p><b>{escape(self.title)}</b></p>{self.shown.to_html(index=False)}{notes}"


@dataclass(frozen=True)
class Figure:
    """A figure: its id is "paper/figure-N", the other fields are as a table's."""

    id: str
    title: str
    canvas: Canvas
    notes: tuple[str, ...]
    provenance: dict[str, str]
    coverage: Mapping[str, int] = field(default_factory=dict)


Artifact = Table | Figure


def merged(provenances: Sequence[dict[str, str]], unit: str) -> dict[str, str]:
    """Each field's values, with counts (of `unit`) where they are not the same."""
    out = {}
    for name in dict.fromkeys(key for provenance in provenances for key in provenance):
        counts = Counter(provenance.get(name, "unknown") for provenance in provenances)
        same = len(counts) == 1
        out[name] = "; ".join(value if same else f"{value} ({count} {unit})" for value, count in sorted(counts.items()))
    return out


def seeds_of(stored: Sequence[Stored[Any]], asked: int) -> str:
    """How many of the seeds asked for are stored: "4 of 20"."""
    return f"{len({run.settings['seed'] for run in stored})} of {asked}"


def divergences(stored: Sequence[Stored[Any]]) -> str:
    """The runs that diverged, with their seeds and steps while there are few; empty if none did."""
    steps = sorted((run.settings["seed"], run.result.diverged_step or 0) for run in stored if run.result.status == "diverged")
    if not steps:
        return ""
    if len(steps) <= 3:
        return f"{len(steps)} diverged (" + ", ".join(f"seed {seed} in step {step:,}" for seed, step in steps) + ")"
    low, high = min(step for _, step in steps), max(step for _, step in steps)
    return f"{len(steps)} diverged (in steps {low:,} to {high:,})"
