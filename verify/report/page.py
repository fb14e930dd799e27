"""Owns the pages: an index with a card a paper, and a page a paper with its verdicts first, made from the descriptors below a folder.

Static files that need no server and no network: `index.html`, `<paper>/index.html`, and what they share in `assets/`. The same
descriptors give the same bytes, whichever command wrote them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from flatproof.verify.report import cells
from flatproof.verify.report.about import About, about
from flatproof.verify.report.descriptors import Entry, descriptors, stem
from flatproof.verify.report.files import on_one_line, replaced
from flatproof.verify.report.outcomes import NAME as OUTCOMES
from flatproof.verify.report.outcomes import listed, origin
from flatproof.verify.report.verdicts import AGAINST, FOR, NEUTRAL, OPEN, REDUCED, tally, verdict_column, words
from flatproof.verify.report.verdicts import side as side_of

ASSETS = Path(__file__).with_name("assets")
SCALES = {"": "", "paper_scale": "the paper's own scale", "smoke_scale": "scale smoke"}  # by folder
LONGEST = 30  # rows of a table that stands among the first ones, or without a box of its own


@dataclass(frozen=True)
class Row:
    """A row of a table: its anchor, empty for none, the scale it is of where that is shown, and its cells in HTML."""

    anchor: str
    scale: str
    cells: Sequence[Markup]


@dataclass(frozen=True)
class Grid:
    """A table as the page shows it: columns with their classes, and rows; whether some columns are shown on demand alone."""

    columns: Sequence[tuple[Markup, str]]
    rows: Sequence[Row]
    tall: bool
    hidden: int


@dataclass(frozen=True)
class Piece:
    """One artifact at one scale: where its files and its outcomes lie from its paper's page, its scale in words, a picture's pixels."""

    entry: Entry
    path: str
    scale: str
    outcomes: str = ""
    grid: Grid | None = None
    size: tuple[int, int] | None = None


@dataclass
class Section:
    """One artifact on a paper's page, at every scale that there is of it."""

    id: str
    title: str
    anchor: str
    pieces: list[Piece]
    verdicts: Mapping[str, int] = field(default_factory=dict)
    tally: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, Sequence[tuple[str, str, Markup]]] = field(default_factory=dict)  # by side: anchor, id, what is printed
    grid: Grid | None = None  # of all scales in one

    @property
    def kind(self) -> str:
        """Table or figure."""
        return str(self.pieces[0].entry["kind"])

    @property
    def short(self) -> str:
        """Its name: "figure 1a" of "wen2023/figure-1a"."""
        return self.id.split("/")[1].replace("-", " ")

    def called(self, side: str) -> str:
        """What the page calls a side: networks of a reduced size contradict a statement, and do not refute it."""
        against = [word for word in self.verdicts if side_of(word) == AGAINST]
        return (
            "contradicted" if side == AGAINST and against and all(word.startswith("contradicted") for word in against) else side
        )

    @property
    def named(self) -> str:
        """Its title without its paper and its name, which stand before it."""
        paper = self.id.split("/")[0]
        named = re.sub(
            rf"^(?:{re.escape(paper)}(?:, |: |$))?(?:{re.escape(self.short)}(?:: |$))?", "", self.title, flags=re.IGNORECASE
        )
        return named or self.title

    @property
    def old_anchors(self) -> list[str]:
        """Under which older pages knew the scales that share this section."""
        return [anchor_of(piece.entry) for piece in self.pieces[1:]]


@dataclass(frozen=True)
class Paper:
    """A paper or question with what is shown of it."""

    id: str
    about: About
    sections: Sequence[Section]
    damaged: Sequence[str]

    @property
    def judging(self) -> list[Section]:
        """The sections with verdicts, that with the most first."""
        return sorted((s for s in self.sections if s.verdicts), key=lambda s: (-sum(s.tally.values()), s.id))

    @property
    def picture(self) -> tuple[Section, Piece] | None:
        """The one figure, at the fullest scale."""
        figures = [section for section in self.sections if section.kind == "figure"]
        chosen = next((section for section in figures if section.id == self.about.figure), figures[0] if figures else None)
        return (chosen, chosen.pieces[-1]) if chosen else None

    @property
    def reduced(self) -> bool:
        """Whether verdicts are about networks of a reduced size."""
        return any(REDUCED in word for section in self.judging for word in section.verdicts)


def anchor_of(entry: Entry) -> str:
    """Where an artifact at its scale is found on a page."""
    return "-".join(stem(Path(), entry["id"], entry["provenance"]).parts).replace("_", "-")


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 1a before 2 before 10a."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d{1,15})", name) if part)


def write_page(out: Path) -> Path:
    """Write the index and each paper's page from the descriptors found below a folder; those at scale smoke come last.

    Returns:
        The index.
    """
    entries, damaged = descriptors(out)
    papers = [
        Paper(id, about(out, id), _sections(out, [e for e in entries if e["id"].split("/")[0] == id]), _about(damaged, out / id))
        for id in dict.fromkeys(entry["id"].split("/")[0] for entry in entries)
    ]
    papers.sort(key=lambda paper: (paper.about.place, natural(paper.id)))
    for path in sorted(path for path in ASSETS.rglob("*") if path.is_file()):
        target, content = out / "assets" / path.relative_to(ASSETS), path.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            replaced(target, content)
    replaced(out / "assets" / "entries.js", _entries(papers).encode())
    shared = {"sides": (FOR, AGAINST, OPEN), "text": cells.text}
    for paper in papers:
        page = _template("paper.html.j2").render(paper=paper, papers=papers, root="../", **shared)
        replaced(out / paper.id / "index.html", page.encode())
    return replaced(
        out / "index.html", _template("index.html.j2").render(papers=papers, damaged=damaged, root="", **shared).encode()
    )


@cache
def _template(name: str) -> jinja2.Template:
    loader = jinja2.PackageLoader("flatproof.verify.report")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(name)


def _about(damaged: Sequence[str], folder: Path) -> list[str]:
    return [line for line in damaged if line.startswith(f"{folder}/")]


def _entries(papers: Sequence[Paper]) -> str:
    """What the search looks through, as a script, for a page that is opened as a file may load no other."""
    found: list[dict[str, str]] = []
    for paper in papers:
        found.append({"id": paper.id, "title": paper.about.title, "at": f"{paper.id}/index.html"})
        for section in paper.sections:
            at = f"{paper.id}/index.html#"
            found.append({"id": section.id, "title": section.title, "at": at + section.anchor})
            found += [{"id": section.id, "title": "", "at": at + old} for old in section.old_anchors]
            for rows in section.names.values():
                found += [{"id": name, "title": printed.striptags()[:120], "at": at + row} for row, name, printed in rows if row]
    return "window.ENTRIES = [\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in found) + "\n];\n"


# ---------------------------------------------------------------------------------------------------------------- sections


def _sections(out: Path, entries: Sequence[Entry]) -> list[Section]:
    """A paper's sections: short tables of verdicts, figures, tables, long tables of verdicts, and scale smoke; each in natural order."""
    groups: dict[tuple[str, bool], list[Entry]] = {}
    behind = listed(out)
    for entry in entries:  # those of scale quick before those of scale paper
        groups.setdefault((entry["id"], _folder(entry) == "smoke_scale"), []).append(entry)
    made = [_section(out, sorted(group, key=_folder), behind) for group in groups.values()]
    return sorted(made, key=_place)


def _folder(entry: Entry) -> str:
    name = stem(Path(), entry["id"], entry["provenance"]).parent.name
    return name if name in SCALES else ""


def _place(section: Section) -> tuple[Any, ...]:
    rows = max((len(piece.grid.rows) for piece in section.pieces if piece.grid), default=0)
    short = bool(section.verdicts) and rows <= LONGEST
    rank = 0 if short else 3 if section.verdicts else 1 if "/figure" in section.id else 2
    name = section.id.split("/")[1]
    return _folder(section.pieces[0].entry) == "smoke_scale", rank, not any(map(str.isdigit, name)), natural(name)


def _section(out: Path, entries: Sequence[Entry], behind: Mapping[Path, Mapping[str, str]]) -> Section:
    first, last = entries[0], entries[-1]
    pieces = []
    for entry in entries:
        path = stem(Path(), entry["id"], entry["provenance"])
        lies = path.relative_to(entry["id"].split("/")[0]).as_posix()
        scale = SCALES[_folder(entry)] or (f"scale {entry['provenance']['scale']}" if "scale" in entry["provenance"] else "")
        rows = (out / path).with_name(OUTCOMES)
        outcomes = Path(lies).with_name(OUTCOMES).as_posix() if behind.get(rows, {}).get(entry["id"]) == origin(entry) else ""
        if entry["kind"] == "table":
            pieces.append(Piece(entry, lies, scale, outcomes, grid=_grid([entry], [""], out)))
        else:
            pieces.append(Piece(entry, lies, scale, outcomes, size=_size((out / path).with_suffix(".png"))))
    titles = dict.fromkeys(on_one_line(entry["title"]) for entry in entries)
    title = next(iter(titles)) if len(titles) == 1 else re.sub(r", \d+ seeds?$", "", on_one_line(first["title"]))
    section = Section(first["id"], title, anchor_of(first), pieces)
    if last["kind"] != "table":
        return section
    columns, rows = last["table"]["columns"], last["table"]["rows"]
    at = verdict_column(columns, rows)
    if at is not None:
        section.verdicts, section.tally = words(columns, rows, at), tally(columns, rows, at)
        printed = next(
            (columns.index(n) for n in ("statement", "printed", "published", "the paper reports") if n in columns), None
        )
        anchors = _anchors(section.anchor, rows)
        section.names = {
            family: [
                (anchor, row[0], cells.text(row[printed]) if printed is not None else Markup())
                for anchor, row in zip(anchors, rows, strict=True)
                if side_of(row[at]) == family and anchor
            ]
            for family in (FOR, AGAINST, OPEN, NEUTRAL)
        }
    if len(pieces) > 1 and _alike(entries):
        section.grid = _grid(entries, [piece.scale for piece in pieces], out)
    return section


def _alike(entries: Sequence[Entry]) -> bool:
    """Whether tables of several scales have the same columns, and rows that are told apart by their first cells."""
    tables = [entry.get("table") for entry in entries]
    if not all(tables) or len({tuple(table["columns"]) for table in tables if table}) > 1:
        return False
    names = [[row[0] for row in table["rows"]] for table in tables if table]
    return all(len({*own}) == len(own) for own in names) and all(own == names[0] for own in names)


def _anchors(anchor: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """An anchor for the first row of each name."""
    names = [cells.slug(row[0].split("/")[-1]) if row else "" for row in rows]
    return [f"{anchor}-{name}" if name and name not in names[:at] else "" for at, name in enumerate(names)]


def _grid(entries: Sequence[Entry], scales: Sequence[str], out: Path) -> Grid:
    """The tables of one artifact at several scales as one, line by line beside each other; columns: name, verdict, brief ones, others."""
    columns = entries[0]["table"]["columns"]
    at = verdict_column(columns, [row for entry in entries for row in entry["table"]["rows"]])
    brief = [*(entries[0]["table"].get("brief") or columns), *_with_files(out, entries)]
    order = sorted(range(len(columns)), key=lambda i: (i != 0, i != at, columns[i] not in brief))
    hidden = {i for i in order if columns[i] not in brief and i not in (0, at)}
    longest = [max((len(row[i]) for entry in entries for row in entry["table"]["rows"]), default=0) for i in range(len(columns))]
    heads = [
        (
            cells.text(columns[i]),
            " ".join(filter(None, ("more" * (i in hidden), cells.width(longest[i]), "fixed" * (i == 0)))),
        )
        for i in order
    ]
    anchors = _anchors(anchor_of(entries[0]), entries[0]["table"]["rows"])
    files = {(entry["id"], scale): _files(out, entry) for entry, scale in zip(entries, scales, strict=True)}
    rows = []
    for number in range(max(len(entry["table"]["rows"]) for entry in entries)):
        for entry, scale in zip(entries, scales, strict=True):
            row = entry["table"]["rows"][number]
            under = stem(Path(), entry["id"], entry["provenance"]).relative_to(entry["id"].split("/")[0]).as_posix() + "/"
            shown = [cells.cell(row[i], files[entry["id"], scale], under) for i in order]
            rows.append(Row(anchors[number] if entry is entries[0] else "", scale, shown))
    return Grid(heads, rows, len(rows) > LONGEST, len(hidden))


def _files(out: Path, entry: Entry) -> set[str]:
    """The files beside a table that its cells name."""
    named = {value for row in entry["table"]["rows"] for value in row if cells.is_file_name(value)}
    return {value for value in named if (stem(out, entry["id"], entry["provenance"]) / value).is_file()}


def _with_files(out: Path, entries: Sequence[Entry]) -> list[str]:
    """The columns that name files beside their table, which are links and never hidden."""
    files = {value for entry in entries for value in _files(out, entry)}
    table = entries[0]["table"]
    return [name for at, name in enumerate(table["columns"]) if any(row[at] in files for row in table["rows"])] if files else []


def _size(picture: Path) -> tuple[int, int] | None:
    """Width and height of a PNG file; None if it is none."""
    try:
        with picture.open("rb") as file:
            start = file.read(24)
    except OSError:
        return None
    if start[:8] != b"\x89PNG\r\n\x1a\n" or len(start) < 24:
        return None
    return int.from_bytes(start[16:20]), int.from_bytes(start[20:24])
