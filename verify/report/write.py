"""Owns what is written: tables (Markdown, LaTeX, CSV), figures (PDF, PNG) and the pages that show them together.

Each artifact leaves, beside its files, a JSON descriptor with its title, notes, provenance and coverage; the pages are made from the
descriptors found in the output folder, so artifacts made by different commands stand on them, and name those that are damaged.
Each scale has a folder of its own, and `poorer` names the artifacts that would replace fuller ones.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

from flatproof.verify.report import latex
from flatproof.verify.report.about import About, write_about
from flatproof.verify.report.artifacts import NOT_YET, Artifact, Figure, Table
from flatproof.verify.report.descriptors import DamagedDescriptor, Entry, described, descriptor, runs_behind, stem
from flatproof.verify.report.files import on_one_line, replaced
from flatproof.verify.report.page import write_page


def write(
    artifacts: Sequence[Artifact],
    out: Path,
    command: str,
    abouts: Mapping[str, About] | None = None,
    columns: str = "brief",
    drawn: Collection[str] = (),
) -> list[Path]:
    """Write every artifact below a folder, and the pages that show all that lies there.

    Files are replaced whole, so a kill leaves old or new ones.

    Args:
        artifacts: each goes to out/<paper>/.
        out: the folder; made if it is not there.
        command: what reproduces them, the first line of each provenance.
        abouts: what the pages say of the papers, by id.
        columns: of the LaTeX tables: "brief", "all", or names as `latex.chosen` takes them.
        drawn: ids of figures that this process has written of these very outcomes: not drawn again while their descriptor still lies there.

    Returns:
        The files, the index last.

    Raises:
        OSError: the folder is not writable.
        ValueError: no table has a column that is named.
    """
    latex.check_columns(columns, [artifact.shown for artifact in artifacts if isinstance(artifact, Table)])
    files = write_about(out, abouts or {})
    for artifact in artifacts:
        provenance = {"command": command} | artifact.provenance
        files += (
            _write_table(artifact, out, provenance, columns)
            if isinstance(artifact, Table)
            else _write_figure(artifact, out, provenance, artifact.id in drawn)
        )
    return [*files, write_page(out)]


def poorer(artifacts: Sequence[Artifact], out: Path) -> dict[str, str]:
    """The artifacts that would replace fuller ones below `out`, by id, each with what would be lost.

    An artifact is fuller than another where some row of its grid has more outcomes; where the grid has no row of then,
    where some row has fewer outcomes than one of then. What was written before descriptors held coverage
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
        least = min(new.coverage.values(), default=0) if before.keys().isdisjoint(new.coverage) else 0
        rows = ((row, count, new.coverage.get(row, least)) for row, count in before.items())
        return next(
            (f"{row}: {count} there, {new.coverage.get(row, 'none')} here" for row, count, now in rows if now < count), None
        )
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


def _write_table(table: Table, out: Path, provenance: dict[str, str], columns: str) -> list[Path]:
    path = stem(out, table.id, provenance)
    lines = [on_one_line(f"{key}: {value}") for key, value in provenance.items()]
    title = on_one_line(table.title)

    def commented(mark: str) -> str:
        return "".join(f"{mark} {line}\n" for line in (title, *lines))

    tail = "\n\n" + "\n\n".join(map(on_one_line, table.notes)) + "\n\nProvenance: " + "; ".join(lines) + ".\n"
    set_columns = latex.chosen(list(table.shown.columns), columns, table.brief)
    label = "tab:" + "-".join(stem(Path(), table.id, provenance).parts).replace("_", "-")
    texts = {
        ".md": f"# {title}\n\n" + _markdown(table.shown) + tail,
        ".tex": commented("%") + latex.PACKAGES + "\n" + latex.table(table.shown[set_columns], title, label, on_one_line),
        ".csv": commented("#") + _csv(table.raw),
    }
    files = [replaced(path.with_suffix(suffix), text.encode()) for suffix, text in texts.items()]
    shown = {
        "columns": list(table.shown.columns),
        "brief": [name for name in table.brief if name in table.shown.columns],
        "rows": table.shown.to_numpy().tolist(),
    }
    replaced(path.with_suffix(".json"), described(table, provenance, {"kind": "table", "table": shown}))
    return files + [replaced(path / name, content) for name, content in table.files.items()]


def _write_figure(figure: Figure, out: Path, provenance: dict[str, str], drawn: bool = False) -> list[Path]:
    path = stem(out, figure.id, provenance)
    files, descriptor_of = [path.with_suffix(suffix) for suffix in (".pdf", ".png")], path.with_suffix(".json")
    content = described(figure, provenance, {"kind": "figure"})
    if drawn and all(file.exists() for file in (*files, descriptor_of)) and descriptor_of.read_bytes() == content:
        return files
    text = "; ".join(f"{key}: {value}" for key, value in provenance.items())
    for suffix, metadata in (
        (".png", {"Title": figure.title, "Description": text}),
        (".pdf", {"Title": figure.title, "Subject": text, "CreationDate": None}),
    ):
        buffer = BytesIO()
        figure.canvas.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
        figure.canvas.set_layout_engine("none")  # what lies where is settled, and takes as long as drawing it
        replaced(path.with_suffix(suffix), buffer.getvalue())
    replaced(descriptor_of, content)
    return files


def _csv(frame: pd.DataFrame) -> str:
    text = frame.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # which ends a row for readers, and is not quoted
        text = (
            frame.rename(columns=on_one_line)
            .map(lambda cell: on_one_line(cell) if isinstance(cell, str) else cell)
            .to_csv(index=False, lineterminator="\n")
        )
    return text


def _markdown(frame: pd.DataFrame) -> str:
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.to_numpy().tolist()]

    def escaped(cell: object) -> str:  # backslashes before a bar would escape one another, and leave it as the end of the cell
        return re.sub(r"(\\*)\|", lambda match: 2 * match[1] + r"\|", on_one_line(cell))

    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in rows)
