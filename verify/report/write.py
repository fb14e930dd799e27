"""Owns what is written: tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and the page that shows them together.

Each artifact leaves, beside its files, a JSON descriptor with its title, notes, provenance and coverage; the page is made from the
descriptors found in the output folder, so artifacts made by different commands stand on one page, and names those that are damaged.
Each scale has a folder of its own, and `poorer` names the artifacts that would replace fuller ones.
"""

import os
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import jinja2
import pandas as pd

from flatproof.verify.report.artifacts import NOT_YET, Artifact, Figure, Table
from flatproof.verify.report.descriptors import DamagedDescriptor, Entry, described, descriptor, descriptors, runs_behind, stem

SUFFIXES = {"paper_scale": " at the paper's own scale", "smoke_scale": " at scale smoke"}  # of titles on the page, by folder

SIZED = tuple(f"{word}{size}" for word in ("supported", "contradicted") for size in ("", " (reduced size)"))
# coloured on the page, where each word of a verdict is a class
VERDICTS = ("agrees", "differs", *SIZED, "inconclusive", "proved", "certified", "tested", "refuted", "open")

_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # what some reader takes for the end of a line

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


def write(artifacts: Sequence[Artifact], out: Path, command: str) -> list[Path]:
    """Write every artifact below a folder, and the page that shows all that lies there.

    Files are replaced whole, so a kill leaves old or new ones.

    Args:
        artifacts: each goes to out/<paper>/.
        out: the folder; made if it is not there.
        command: what reproduces them, the first line of each provenance.

    Returns:
        The files, the page last.

    Raises:
        OSError: the folder is not writable.
    """
    files = []
    for artifact in artifacts:
        provenance = {"command": command} | artifact.provenance
        files += (
            _write_table(artifact, out, provenance) if isinstance(artifact, Table) else _write_figure(artifact, out, provenance)
        )
    return [*files, write_page(out)]


def poorer(artifacts: Sequence[Artifact], out: Path) -> dict[str, str]:
    """The artifacts that would replace fuller ones below `out`, by id, each with what would be lost.

    An artifact is fuller than another where some row of its grid has more outcomes. What was written before descriptors held coverage
    is compared by the runs of its provenance and by its cells that were not yet run. One whose descriptor is damaged counts as fuller.
    """
    losses = {}
    for artifact in artifacts:
        path = stem(out, artifact.id, artifact.provenance).with_suffix(".json")
        try:
            entry = descriptor(path, out)
        except DamagedDescriptor as error:
            losses[artifact.id] = str(error)
            continue
        if entry and (loss := _loss(artifact, entry)):
            losses[artifact.id] = loss
    return losses


def _loss(new: Artifact, old: Entry) -> str | None:
    """What of an older artifact's descriptor the new one has less of."""
    if before := old.get("coverage"):
        rows = ((row, count, new.coverage.get(row, 0)) for row, count in before.items())
        return next((f"{row}: {count} there, {now} here" for row, count, now in rows if now < count), None)
    there, here = (runs_behind(provenance) for provenance in (old["provenance"], new.provenance))
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
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _line(text: object) -> str:
    """Text on one line, whatever it holds: a line of a comment, a heading or a row of a table ends where it should."""
    return _BREAKS.sub(" ", str(text))


def _write_table(table: Table, out: Path, provenance: dict[str, str]) -> list[Path]:
    path = stem(out, table.id, provenance)
    lines = [_line(f"{key}: {value}") for key, value in provenance.items()]
    title = _line(table.title)

    def commented(mark: str) -> str:
        return "".join(f"{mark} {line}\n" for line in (title, *lines))

    tail = "\n\n" + "\n\n".join(map(_line, table.notes)) + "\n\nProvenance: " + "; ".join(lines) + ".\n"
    texts = {
        ".md": f"# {title}\n\n" + _markdown(table.shown) + tail,
        ".tex": commented("%") + "% needs \\usepackage{booktabs,longtable}\n" + _latex(table.shown),
        ".csv": commented("#") + _csv(table.raw),
    }
    files = [_replace(path.with_suffix(suffix), text.encode()) for suffix, text in texts.items()]
    shown = {"columns": list(table.shown.columns), "rows": table.shown.to_numpy().tolist()}
    _replace(path.with_suffix(".json"), described(table, provenance, {"kind": "table", "table": shown}))
    return files + [_replace(path / name, content) for name, content in table.files.items()]


def _write_figure(figure: Figure, out: Path, provenance: dict[str, str]) -> list[Path]:
    path = stem(out, figure.id, provenance)
    text = "; ".join(f"{key}: {value}" for key, value in provenance.items())
    for suffix, metadata in (
        (".pdf", {"Title": figure.title, "Subject": text, "CreationDate": None}),
        (".png", {"Title": figure.title, "Description": text}),
    ):
        buffer = BytesIO()
        figure.canvas.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
        _replace(path.with_suffix(suffix), buffer.getvalue())
    _replace(path.with_suffix(".json"), described(figure, provenance, {"kind": "figure"}))
    return [path.with_suffix(suffix) for suffix in (".pdf", ".png")]


def _csv(frame: pd.DataFrame) -> str:
    text = frame.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # which ends a row for readers, and is not quoted
        text = (
            frame.rename(columns=_line)
            .map(lambda cell: _line(cell) if isinstance(cell, str) else cell)
            .to_csv(index=False, lineterminator="\n")
        )
    return text


def _markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.to_numpy().tolist()]

    def escaped(cell: object) -> str:  # backslashes before a bar would escape one another, and leave it as the end of the cell
        return re.sub(r"(\\*)\|", lambda match: 2 * match[1] + r"\|", _line(cell))

    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in rows)


def _latex(frame: pd.DataFrame) -> str:
    """A booktabs table, over pages where it is long; columns of more than 30 characters are set as paragraphs."""

    def escaped(cell: object) -> str:
        return "".join(_LATEX.get(character, character) for character in _line(cell))

    widths = [max(map(len, [name, *column.astype(str)])) for name, column in frame.items()]
    formats = ("l" if width <= 30 else f"p{{{min(3 + width // 40, 9)}cm}}" for width in widths)
    escaped_frame = frame.map(escaped).rename(columns=escaped)
    return escaped_frame.to_latex(index=False, longtable=len(frame) > 25, column_format="".join(formats))


def write_page(out: Path) -> Path:
    """out/index.html from the descriptors found in out/*/ and the scales' folders there; those at scale smoke come last."""
    entries, damaged = descriptors(out)
    for entry in entries:
        path = stem(Path(), entry["id"], entry["provenance"])
        entry["path"], entry["anchor"] = path.as_posix(), "-".join(path.parts).replace("_", "-")
        entry["at"] = SUFFIXES.get(path.parent.name, "")
    entries.sort(
        key=lambda e: ("smoke" in e["at"], e["id"].split("/")[0], e["kind"] != "table", "/table" not in e["id"], e["id"])
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flatproof.verify.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("index.html.j2").render(entries=entries, verdicts=VERDICTS, damaged=damaged)
    return _replace(out / "index.html", page.encode())
