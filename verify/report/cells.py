"""Owns texts in HTML: formulas for KaTeX to set, verdicts in colour, names of files as links, long cells folded."""

import re
from collections.abc import Collection

from markupsafe import Markup

from flatproof.verify.report.mathematics import parts
from flatproof.verify.report.verdicts import side

FOLDED = 240  # a cell of more characters is folded to about SHOWN of them
SHOWN = 90
WIDTHS = ((45, "long"), (14, "mid"))  # columns with a cell of more characters are not made narrower than these classes say
_FILE = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.(?:json|txt|csv|npz|npy|md)")


def text(value: str) -> Markup:
    """A text with `code`, whose formulas stand as they are typed until KaTeX sets them."""
    pieces = re.split(r"`([^`]+)`", value)
    return Markup().join(Markup("<code>{}</code>").format(piece) if i % 2 else _formulas(piece) for i, piece in enumerate(pieces))


def _formulas(value: str) -> Markup:
    return Markup().join(
        Markup('<span class="tex" data-tex="{}">{}</span>').format(part.tex.strip(), part.text)
        if part.tex is not None
        else part.text
        for part in parts(value)
    )


def width(longest: int) -> str:
    """The class of a column, by the characters of its longest cell."""
    return next((name for characters, name in WIDTHS if longest > characters), "")


def is_file_name(value: str) -> bool:
    """Whether a cell may name a file beside its table."""
    return _FILE.fullmatch(value) is not None


def cell(value: str, files: Collection[str] = (), folder: str = "") -> Markup:
    """What stands in a cell of a table.

    Args:
        value: its text.
        files: those beside the table; the name of one is a link to it.
        folder: in which they lie, as seen from the page; empty, or it ends with a slash.
    """
    if family := side(value):
        return Markup('<span class="verdict {}">{}</span>').format(family, value)
    if value in files:
        return Markup('<a href="{}{}">{}</a>').format(folder, value, value.rsplit("/", 1)[-1])
    if re.fullmatch(r"[^\s/]+/[^\s/]+", value):  # an id may be broken behind its paper
        return Markup("/<wbr>").join(map(text, value.split("/")))
    if len(value) <= FOLDED:
        return text(value)
    start = value[:SHOWN].rsplit(" ", 1)[0]
    return Markup('<details class="fold"><summary><span>{}…</span></summary>{}</details>').format(text(start), text(value))


def slug(value: str) -> str:
    """A text as part of an anchor: letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-")
