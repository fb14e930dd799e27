"""Owns the frame of a picture and how it is saved: as PNG and PDF with its numbers as CSV beside, and what made it in all three.

The same picture gives the same bytes: no file holds a date.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.report.style import GRAY

DOTS = 150  # an inch
DIGITS = "%.10g"  # of the numbers beside a picture
MARK, HEAD = b"\n# flatproof: ", 8192  # what the head of a picture's CSV file holds, within so many bytes
SQUARE = 4.0  # how much longer one side of a plane may be than the other before its axes get scales of their own


@dataclass(frozen=True)
class Frame:
    """Axes to draw on, and whether their figure is their own: one of a caller's holds other things, and gets no caption."""

    axes: Axes
    own: bool

    @classmethod
    def of(cls, axes: Axes | None, size: tuple[float, float] = (5.2, 3.6)) -> "Frame":
        """The axes that were given, or those of a figure of their own, of that size in inches."""
        if axes is not None:
            return cls(axes, False)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        return cls(figure.subplots(), True)

    def legend(self, place: str, columns: int = 1, handles: Sequence[Artist] | None = None) -> None:
        """A legend outside the axes at that place, or within those of a caller's figure."""
        given: dict[str, Any] = {"frameon": False, "fontsize": 8} | ({} if handles is None else {"handles": handles})
        if self.own:
            given |= {"loc": f"outside {place}", "ncols": columns}
        (figure_of(self.axes) if self.own else self.axes).legend(**given)

    def caption(self, *texts: str) -> None:
        """Lines in small type below the figure, as wide as it is, if it is the axes' own; empty texts count for nothing."""
        if not self.own:
            return
        figure = figure_of(self.axes)
        per_line, lines = int(figure.get_figwidth() * 17), [""]
        for word in "; ".join(filter(None, texts)).split():
            if len(lines[-1]) + len(word) > per_line:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        figure.supxlabel("\n".join(lines), fontsize=7, color=GRAY, x=0.01, ha="left")


def plane_size(width: float, height: float) -> tuple[float, float]:
    """Of a figure for a plane with a colour bar and a caption, in inches."""
    ratio = height / width
    return 5.4, 1.3 + 3.9 * (min(max(ratio, 0.3), 1.6) if 1 / SQUARE <= ratio <= SQUARE else 0.8)


def square(axes: Axes) -> str:
    """Give a plane's axes one scale where that leaves neither side thin; what to say of it in the caption, if anything."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    if 1 / SQUARE <= (high - low) / (right - left) <= SQUARE:
        axes.set_aspect("equal")
        return ""
    return "axes have scales of their own"


def figure_of(axes: Axes) -> Figure:
    """The whole figure that axes stand in."""
    figure = axes.get_figure(root=True)
    if not isinstance(figure, Figure):
        raise ValueError("expected axes that stand in a figure")
    return figure


def check_free(folder: str | Path, name: str) -> None:
    """ValueError where a picture would replace files that are not a picture's of this room: a user's own points, for instance."""
    numbers, *_ = paths = [Path(folder) / f"{name}{suffix}" for suffix in (".csv", ".png", ".pdf")]
    there = [path for path in paths if path.exists()]
    if there and not (numbers.is_file() and MARK in numbers.read_bytes()[:HEAD]):
        raise ValueError(f"{there[0]} is there and is no earlier picture's; expected another name or folder")


def save_picture(
    axes: Axes, numbers: pd.DataFrame, folder: str | Path, name: str, title: str, made_by: Mapping[str, str] | None = None
) -> list[Path]:
    """Write NAME.png, NAME.pdf and NAME.csv into a folder; each is there in full or not at all.

    Args:
        axes: of the figure.
        numbers: what it shows.
        folder: made if it is not there.
        name: of the files, without a suffix.
        title: in the files' metadata.
        made_by: the command and what else belongs to the provenance, before versions and machine.

    Returns:
        The files.

    Raises:
        ValueError: files of these names are there that are no earlier picture's.
        OSError: the folder cannot be written.
    """
    check_free(folder, name)
    facts = {**(made_by or {}), **provenance()}
    text = "; ".join(f"{key}: {' '.join(value.split())}" for key, value in facts.items())
    path, figure = Path(folder) / name, figure_of(axes)
    head = "".join(f"# {line}\n" for line in (title, *(f"{key}: {' '.join(value.split())}" for key, value in facts.items())))
    # the numbers first: by them a picture is known as an earlier one, if a kill leaves no more
    contents = {".csv": (head + numbers.to_csv(index=False, lineterminator="\n", float_format=DIGITS)).encode()}
    for suffix, metadata in (
        (".png", {"Title": title, "Description": text}),
        (".pdf", {"Title": title, "Subject": text, "CreationDate": None}),
    ):
        buffer = BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=DOTS, metadata=metadata)
        contents[suffix] = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, content in contents.items():
        file = path.with_name(path.name + suffix)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            draft.write_bytes(content)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    return [path.with_name(path.name + suffix) for suffix in (".png", ".pdf", ".csv")]
