"""Owns what the page says of a paper or question before its results: `about.json` in its folder, so that any later page can say it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from flatproof.verify.report.files import replaced

NAME = "about.json"


@dataclass(frozen=True)
class About:
    """What a paper or question is.

    Args:
        title: authors, year and title, or a name.
        question: one sentence.
        figure: the id of the one figure that stands for it; empty: its first.
        link: where the paper is.
        place: among the others on the index; those without one come last.
    """

    title: str = ""
    question: str = ""
    figure: str = ""
    link: str = ""
    place: int = 999


def write_about(out: Path, abouts: Mapping[str, About]) -> list[Path]:
    """Write each paper's file, by its id; those that say nothing are left out."""
    return [
        replaced(out / id / NAME, (json.dumps(asdict(about), indent=1, ensure_ascii=False) + "\n").encode())
        for id, about in abouts.items()
        if about.title or about.question
    ]


def about(out: Path, id: str) -> About:
    """What is said of a paper; one whose file is not there, or is not ours, is called by its id."""
    unknown = About(title=id)
    try:
        entry = json.loads((out / id / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return unknown
    types = {field.name: type(getattr(unknown, field.name)) for field in fields(About)}
    whole = isinstance(entry, dict) and {*entry} == {*types} and all(type(entry[name]) is kind for name, kind in types.items())
    if not whole or (entry["link"] and not entry["link"].startswith(("https://", "http://"))):
        return unknown
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return unknown
    return About(**entry)
