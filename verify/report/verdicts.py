"""Owns the words of verdicts as the pages read them: which column of a table holds them, what they speak for, and how many there are."""

from collections import Counter
from collections.abc import Mapping, Sequence

from flatproof.verify.report.artifacts import NOT_YET

SIZED = tuple(f"{word}{size}" for word in ("supported", "contradicted") for size in ("", " (reduced size)"))
VERDICTS = ("agrees", "differs", *SIZED, "inconclusive", "proved", "certified", "tested", "refuted", "open")
FOR, AGAINST, OPEN, NEUTRAL = "supported", "refuted", "open", "neutral"
REDUCED = " (reduced size)"
DASH = "–"  # of a cell with nothing in it

_SIDE = {
    **dict.fromkeys(("agrees", "supported", "proved", "certified", "tested", "cited"), FOR),
    **dict.fromkeys(("differs", "refuted", "contradicted"), AGAINST),
    **dict.fromkeys(("inconclusive", "open", "not judged", "not run", NOT_YET), OPEN),
    "definition": NEUTRAL,
}


def side(word: str) -> str | None:
    """What a verdict speaks for: FOR, AGAINST, OPEN or NEUTRAL; None for what is no verdict."""
    return _SIDE.get(word.removesuffix(REDUCED))


def verdict_column(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int | None:
    """Which column of a table holds verdicts, or dashes where nothing is judged; of several one that is called so, else the last."""
    named, judging = list[int](), list[int]()
    for at in range(1, len(columns)):
        words = {row[at] for row in rows} - {DASH}
        if not words or not all(side(word) for word in words):
            continue
        if columns[at] in ("verdict", "status"):
            named.append(at)
        elif any(side(word) in (FOR, AGAINST) or word == "inconclusive" for word in words):
            judging.append(at)
    found = named or judging
    return found[-1] if found else None


def tally(columns: Sequence[str], rows: Sequence[Sequence[str]], at: int) -> Mapping[str, int]:
    """How many rows speak for what; several rows of one claim count once."""
    return Counter(side(verdict) or "" for verdict in _counted(columns, rows, at))


def words(columns: Sequence[str], rows: Sequence[Sequence[str]], at: int) -> Mapping[str, int]:
    """How often each verdict is reached, counted likewise; the most frequent first."""
    counts = Counter(_counted(columns, rows, at))
    return dict(sorted(counts.items(), key=lambda count: (-count[1], count[0])))


def _counted(columns: Sequence[str], rows: Sequence[Sequence[str]], at: int) -> list[str]:
    verdicts = [(row[0], row[at]) for row in rows if row[at] != DASH]
    return [verdict for _, verdict in (dict.fromkeys(verdicts) if columns[0] in ("claim", "id") else verdicts)]
