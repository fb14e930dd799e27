"""Owns the formal evidence: which theorems Coq's kernel checked for which statement, and that it checked the sources that lie here.

The proofs are the files *.v; index.toml says which theorem is for which statement; confirmed.json is what `make formal` wrote after Coq
had compiled all of them: for each theorem the axioms it rests on, and a hash of *.v and index.toml. The ledger shows a theorem where that
hash is the one of the files that lie here, and no other: whoever changes a proof, or what is said of it, runs `make formal` again.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent
CONFIRMED = "confirmed.json"
INDEX = "index.toml"

Shows = Literal["printed", "corrected", "refutation"]


@dataclass(frozen=True)
class Entry:
    """A line of the index: a theorem for a statement.

    Attributes:
        id: of the statement.
        theorem: its name, "File.name".
        shows: what of the statement it is: as printed, as corrected, or that the printed one fails.
        words: the theorem in words.
        part: what of the ledger's form it covers, where that is not all of it; None for all.
    """

    id: str
    theorem: str
    shows: Shows
    words: str
    part: str | None = None


@dataclass(frozen=True)
class Formal:
    """A theorem that Coq's kernel checked.

    Attributes:
        entry: what it is for.
        axioms: that it rests on, all of them.
        coq: the version that checked it.
    """

    entry: Entry
    axioms: tuple[str, ...]
    coq: str

    def about(self) -> str:
        """What of the statement it covers, in a few words."""
        kind = {"printed": "as printed", "corrected": "as corrected", "refutation": "the printed form fails"}[self.entry.shows]
        return kind if self.entry.part is None else f"{kind}, in part: {self.entry.part}"


def index(folder: Path = FOLDER) -> list[Entry]:
    """The lines of the index, in its order.

    Raises:
        ValueError: naming a line that says what it should not.
    """
    read = tomllib.loads((folder / INDEX).read_text(encoding="utf-8"))
    entries = []
    lines: list[dict[str, Any]] = read["theorem"]
    for line in lines:
        entry = Entry(**(line | {"words": " ".join(line["words"].split())}))
        if entry.shows not in ("printed", "corrected", "refutation"):
            raise ValueError(f"{INDEX}: {entry.theorem} shows {entry.shows!r}; expected printed, corrected or refutation")
        entries.append(entry)
    return entries


def sources(folder: Path = FOLDER) -> list[Path]:
    """The files of the proofs, by name."""
    return sorted(folder.glob("*.v"))


def fingerprint(folder: Path = FOLDER) -> str:
    """A hash of the proofs and of the index."""
    digest = hashlib.sha256()
    for path in (*sources(folder), folder / INDEX):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def confirmed(folder: Path = FOLDER) -> Iterator[Formal]:
    """The theorems that Coq checked as they lie here; none where confirmed.json is missing or is for other sources."""
    if not (folder / CONFIRMED).exists():
        return
    record: dict[str, Any] = json.loads((folder / CONFIRMED).read_text(encoding="utf-8"))
    if record["sources"] != fingerprint(folder):
        return
    axioms: dict[str, list[str]] = record["axioms"]
    for entry in index(folder):
        if entry.theorem in axioms:
            yield Formal(entry, tuple(axioms[entry.theorem]), record["coq"])


@cache
def _by_id() -> dict[str, tuple[Formal, ...]]:
    groups: dict[str, list[Formal]] = {}
    for formal in confirmed():
        groups.setdefault(formal.entry.id, []).append(formal)
    return {id: tuple(group) for id, group in groups.items()}


def theorems(id: str) -> tuple[Formal, ...]:
    """The confirmed theorems for a statement; none if there are none."""
    return _by_id().get(id, ())
