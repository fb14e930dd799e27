"""Owns what is written: tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and the page that shows them together.

Each artifact leaves, beside its files, a JSON descriptor with its title, notes, provenance and coverage; the page is made from the
descriptors found in the output folder, so artifacts made by different commands stand on one page. Each scale has a folder of its own,
and `poorer` names the artifacts that would replace fuller ones.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure as Canvas

from flatproof.verify.jobs.job import Stored


@dataclass(frozen=True)
class Table:
    """A table: `shown` holds text for people, `raw` the numbers behind it (for the CSV), `brief` names the columns that
    a terminal shows, `files` (by name) go beside it in a folder of the table's name. id is "paper/table-N". `coverage`: how many
    stored outcomes of each row of the grid stand behind it."""

    id: str
    title: str
    shown: pd.DataFrame
    raw: pd.DataFrame
    notes: tuple[str, ...]
    provenance: dict[str, str]
    brief: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    coverage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A figure. id is "paper/figure-N"; coverage as a table's."""

    id: str
    title: str
    canvas: Canvas
    notes: tuple[str, ...]
    provenance: dict[str, str]
    coverage: Mapping[str, int] = field(default_factory=dict)


Artifact = Table | Figure


def collected(stored: Sequence[Stored[Any]], scale: str) -> dict[str, str]:
    """The provenance of several runs: their seeds, then each field's values, with counts of runs where they are not the same."""
    seeds = sorted({int(one.settings["seed"]) for one in stored})
    out = {"scale": scale, "seeds": ", ".join(map(str, seeds)), "runs": str(len(stored))}
    return out | merged([one.provenance for one in stored], "runs")


def seeds_of(stored: Sequence[Stored[Any]], asked: int) -> str:
    """How many of the seeds asked for are stored: "4 of 20"."""
    return f"{len({one.settings['seed'] for one in stored})} of {asked}"


def divergences(stored: Sequence[Stored[Any]]) -> str:
    """The runs that diverged, with their seeds and steps while there are few; empty if none did."""
    steps = sorted((one.settings["seed"], one.result.diverged_step or 0) for one in stored if one.result.status == "diverged")
    if not steps:
        return ""
    if len(steps) <= 3:
        return f"{len(steps)} diverged (" + ", ".join(f"seed {seed} in step {step:,}" for seed, step in steps) + ")"
    low, high = min(step for _, step in steps), max(step for _, step in steps)
    return f"{len(steps)} diverged (in steps {low:,} to {high:,})"


NOT_YET = "not yet run"


def merged(provenances: Sequence[dict[str, str]], unit: str) -> dict[str, str]:
    """Each field's values, with counts (of `unit`) where they are not the same."""
    out = {}
    for name in dict.fromkeys(key for one in provenances for key in one):
        values = Counter(one.get(name, "unknown") for one in provenances)
        same = len(values) == 1
        out[name] = "; ".join(value if same else f"{value} ({count} {unit})" for value, count in sorted(values.items()))
    return out


def write(artifacts: Sequence[Artifact], out: Path, command: str) -> list[Path]:
    """Write every artifact under out/<paper>/ and the page out/index.html; returns the files, the page last.

    `command` reproduces them. Files are replaced whole, so a kill leaves old or new ones. Errors: OSError when not writable.
    """
    files = []
    for artifact in artifacts:
        provenance = {"command": command} | artifact.provenance
        files += (
            _write_table(artifact, out, provenance) if isinstance(artifact, Table) else _write_figure(artifact, out, provenance)
        )
    return [*files, write_page(out)]


FOLDERS = {"paper": "paper_scale", "smoke": "smoke_scale"}  # of the scales but quick, in the paper's folder


def stem(out: Path, id: str, provenance: Mapping[str, str]) -> Path:
    """Where an artifact's files go, without extension: paper/table-1 -> out/paper/table_1.

    At scale 'paper' out/paper/paper_scale/table_1, at 'smoke' out/paper/smoke_scale/table_1, so that no scale replaces another.
    """
    paper, name = id.split("/")
    return out / paper / FOLDERS.get(provenance.get("scale", ""), "") / name.replace("-", "_")


def poorer(artifacts: Sequence[Artifact], out: Path) -> dict[str, str]:
    """The artifacts that would replace fuller ones below `out`, by id, each with what would be lost.

    An artifact is fuller than another where some row of its grid has more outcomes. What was written before descriptors told that is
    compared by the runs of its provenance and by its cells that were not yet run.
    """
    found = {}
    for artifact in artifacts:
        path = stem(out, artifact.id, artifact.provenance).with_suffix(".json")
        entry = _descriptor(path, out) if path.exists() else None
        if entry and (lost := _lost(artifact, entry)):
            found[artifact.id] = lost
    return found


def _lost(new: Artifact, old: Mapping[str, Any]) -> str | None:
    if before := old.get("coverage"):
        rows = ((row, count, new.coverage.get(row, 0)) for row, count in before.items())
        return next((f"{row}: {count} there, {now} here" for row, count, now in rows if now < count), None)
    there, here = (int(p.get("runs") or p.get("jobs") or 0) for p in (old["provenance"], new.provenance))
    if here < there:
        return f"{there} runs there, {here} here"
    if not isinstance(new, Table) or old["kind"] != "table":
        return None
    here, there = (
        sum(NOT_YET in str(cell) for row in rows for cell in row)
        for rows in (new.shown.to_numpy().tolist(), old["table"]["rows"])
    )
    return f"{there} cells {NOT_YET} there, {here} here" if here > there else None


def _replace(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
    return path


def _describe(artifact: Artifact, path: Path, provenance: dict[str, str], **more: Any) -> Path:
    entry = {
        "id": artifact.id,
        "title": artifact.title,
        "notes": list(artifact.notes),
        "provenance": provenance,
        **({"coverage": dict(artifact.coverage)} if artifact.coverage else {}),
        **more,
    }
    return _replace(path.with_suffix(".json"), (json.dumps(entry, indent=1, ensure_ascii=False) + "\n").encode())


def _write_table(table: Table, out: Path, provenance: dict[str, str]) -> list[Path]:
    path = stem(out, table.id, provenance)
    lines = [f"{key}: {value}" for key, value in provenance.items()]
    head = f"# {table.title}\n\n"
    tail = "\n\n" + "\n\n".join(table.notes) + "\n\nProvenance: " + "; ".join(lines) + ".\n"
    comment = "".join(f"{{0}} {line}\n" for line in (table.title, *lines))
    needed = "% needs \\usepackage{booktabs,longtable}\n"
    widths = [max(map(len, [name, *column.astype(str)])) for name, column in table.shown.items()]
    latex = (
        table.shown.map(_latex)
        .rename(columns=_latex)
        .to_latex(
            index=False,
            longtable=len(table.shown) > 25,
            column_format="".join("l" if width <= 30 else f"p{{{min(3 + width // 40, 9)}cm}}" for width in widths),
        )
    )
    _replace(path.with_suffix(".md"), (head + _markdown(table.shown) + tail).encode())
    _replace(path.with_suffix(".tex"), (comment.replace("{0}", "%") + needed + latex).encode())
    _replace(
        path.with_suffix(".csv"), (comment.replace("{0}", "#") + table.raw.to_csv(index=False, lineterminator="\n")).encode()
    )
    shown = {"columns": list(table.shown.columns), "rows": table.shown.to_numpy().tolist()}
    _describe(table, path, provenance, kind="table", table=shown)
    more = [_replace(path / name, content) for name, content in table.files.items()]
    return [*(path.with_suffix(s) for s in (".md", ".tex", ".csv")), *more]


def _write_figure(figure: Figure, out: Path, provenance: dict[str, str]) -> list[Path]:
    path = stem(out, figure.id, provenance)
    said = "; ".join(f"{key}: {value}" for key, value in provenance.items())
    for suffix, metadata in (
        (".pdf", {"Title": figure.title, "Subject": said, "CreationDate": None}),
        (".png", {"Title": figure.title, "Description": said}),
    ):
        buffer = BytesIO()
        figure.canvas.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
        _replace(path.with_suffix(suffix), buffer.getvalue())
    _describe(figure, path, provenance, kind="figure")
    return [path.with_suffix(s) for s in (".pdf", ".png")]


def _markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "·": r"$\cdot$",
    "λ": r"$\lambda$",
    "θ": r"$\theta$",
    "δ": r"$\delta$",
    "Σ": r"$\Sigma$",
}
_latex: Callable[[object], str] = lambda cell: "".join(_LATEX.get(c, c) for c in str(cell))  # noqa: E731


SIZED = tuple(f"{word}{size}" for word in ("supported", "contradicted") for size in ("", " (reduced size)"))
# coloured on the page, where each word of a verdict is a class
VERDICTS = ("agrees", "differs", *SIZED, "inconclusive", "proved", "certified", "tested", "refuted", "open")


def _descriptor(path: Path, out: Path) -> dict[str, Any] | None:
    """What `_describe` wrote, or None for any other JSON file that lies there."""
    try:
        entry = json.loads(path.read_text())
    except ValueError:
        return None
    ours = isinstance(entry, dict) and {"id", "title", "notes", "provenance", "kind"} <= set(entry)
    return entry if ours and stem(out, entry["id"], entry["provenance"]).with_suffix(".json") == path else None


AT = {"paper_scale": " at the paper's own scale", "smoke_scale": " at scale smoke"}


def write_page(out: Path) -> Path:
    """out/index.html from the descriptors found in out/*/ and the scales' folders there; those at scale smoke come last."""
    paths = sorted([*out.glob("*/*.json"), *(path for folder in FOLDERS.values() for path in out.glob(f"*/{folder}/*.json"))])
    entries = [entry for path in paths if (entry := _descriptor(path, out))]
    for entry in entries:
        path = stem(Path(), entry["id"], entry["provenance"])
        entry["path"], entry["anchor"] = path.as_posix(), "-".join(path.parts).replace("_", "-")
        entry["at"] = AT.get(path.parent.name, "")
    entries.sort(
        key=lambda e: ("smoke" in e["at"], e["id"].split("/")[0], e["kind"] != "table", "/table" not in e["id"], e["id"])
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flatproof.verify.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("index.html.j2").render(entries=entries, verdicts=VERDICTS)
    return _replace(out / "index.html", page.encode())
