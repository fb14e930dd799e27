"""Owns tables in LaTeX: a `table` environment with booktabs, a caption and a label, as wide as a column of text, formulas in maths mode.

Columns whose cells are short are set as they are; where a line would not hold all of them, columns are paragraphs that share the line's
width, each at least as wide as its longest word. A table that is longer than a page so is a `longtable` where a page has one column, and a
`table*` across both where it has two, for which a longtable is an error; one that is longer than a page even so is a `longtable` alone.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from flatproof.verify.report.mathematics import parts

PACKAGES = r"% needs \usepackage{amsmath,array,booktabs,longtable}"
LONGEST = 45  # lines of a table that stands on one page
HIGHEST = {r"\small": 44, r"\footnotesize": 51, r"\scriptsize": 60}  # of one across a page, by the size of type
# How many characters a column of 240 pt (two of them on a page) takes, by the size of type.
SIZES = ((50, r"\small"), (54, r"\footnotesize"), (59, r"\scriptsize"), (70, r"\tiny"))
HYPHENATED = 8  # a word that is wider can be broken
WIDE = 1.95  # columns of text that fit across a page of two, a little less than there is room for
SPACING = r"\setlength{\tabcolsep}{4pt}"
GAP = 2  # characters that the space between two columns, of 8 pt, is worth

_ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "’": "'",
    "°": r"$^\circ$",
    "√": r"$\surd$",
}
_MATHS = {
    "±": r"\pm",
    "·": r"\cdot",
    "×": r"\times",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "∞": r"\infty",
    "∈": r"\in",
    "→": r"\to",
    "⇒": r"\Rightarrow",
    "≈": r"\approx",
    "‖": r"\|",
    "−": "-",
    "²": "^2",
    "³": "^3",
    "⁴": "^4",
    "₊": "_+",
    "∇": r"\nabla",
    "α": r"\alpha",
    "β": r"\beta",
    "γ": r"\gamma",
    "δ": r"\delta",
    "ε": r"\varepsilon",
    "ζ": r"\zeta",
    "η": r"\eta",
    "θ": r"\theta",
    "κ": r"\kappa",
    "λ": r"\lambda",
    "μ": r"\mu",
    "ν": r"\nu",
    "ξ": r"\xi",
    "π": r"\pi",
    "ρ": r"\rho",
    "σ": r"\sigma",
    "τ": r"\tau",
    "φ": r"\varphi",
    "χ": r"\chi",
    "ψ": r"\psi",
    "ω": r"\omega",
    "Γ": r"\Gamma",
    "Δ": r"\Delta",
    "Θ": r"\Theta",
    "Λ": r"\Lambda",
    "Σ": r"\Sigma",
    "Φ": r"\Phi",
    "Ψ": r"\Psi",
    "Ω": r"\Omega",
    "≪": r"\ll",
    "≫": r"\gg",
}
_NUMBER = re.compile(r"(?<![\w.-])-(?=\d)")  # a minus sign


def chosen(names: Sequence[str], wanted: str, brief: Sequence[str]) -> list[str]:
    """The columns of a table that are set.

    Args:
        names: of all of its columns.
        wanted: "brief", "all", or names separated by semicolons, or by commas where no name has one.
        brief: those that stand for "brief".

    Returns:
        Of the names those that the table has, in the order in which they are wanted; its brief ones if it has none of them.
    """
    known = list(dict.fromkeys(names))
    if wanted == "all":
        return known
    listed = [name for name in split(wanted) if name in known] if wanted != "brief" else []
    return list(dict.fromkeys(listed or [name for name in brief if name in known])) or known


def split(wanted: str) -> list[str]:
    """The names in a list of columns."""
    return [name.strip() for name in wanted.split(";" if ";" in wanted else ",") if name.strip()]


def check_columns(wanted: str, tables: Sequence[pd.DataFrame]) -> None:
    """Raise ValueError naming a column that none of the tables has."""
    if wanted in ("brief", "all") or not tables:
        return
    known = list(dict.fromkeys(name for table in tables for name in table.columns))
    if not split(wanted):
        raise ValueError("columns must be brief, all, or names of columns separated by semicolons; got none")
    for name in split(wanted):
        if name not in known:
            raise ValueError(f"no table has the column {name!r}; expected brief, all, or some of: {'; '.join(known)}")


def escaped(text: str) -> str:
    """A text as LaTeX sets it, formulas in maths mode."""
    return "".join(f"${part.tex.strip()}$" if part.tex is not None else _prose(part.text) for part in parts(text))


def _prose(text: str) -> str:
    pieces = re.split(_NUMBER, text)
    return "$-$".join("".join(map(_character, piece)) for piece in pieces)


def _character(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character in _MATHS:
        return f"${_MATHS[character]}$"
    if ord(character) < 128 or unicodedata.category(character).startswith("L"):
        return character
    return unicodedata.normalize("NFKD", character).encode("ascii", "replace").decode()


def table(frame: pd.DataFrame, caption: str, label: str, line: Callable[[object], str]) -> str:
    """A data frame as LaTeX.

    Args:
        frame: the columns to set, texts.
        caption: plain text.
        label: what \\ref names.
        line: brings a cell onto one line.
    """
    rows = [[line(name) for name in frame.columns], *([line(cell) for cell in row] for row in frame.to_numpy().tolist())]
    size, columns, lines = _columns(rows)
    head, *body = ["  " + " & ".join(_breakable(escaped(cell)) for cell in row) + r" \\" for row in rows]
    named = f"\\caption{{{escaped(line(caption))}}}\\label{{{label}}}"
    if lines <= LONGEST:
        return "\n".join(_float("table", named, size, columns, head, body)) + "\n"
    narrow = size, columns
    for start in range(len(HIGHEST)):
        size, columns, lines = _columns(rows, WIDE, start)
        if lines <= HIGHEST.get(size, 0):
            shared = [r"\def\tablerows{%", *body, "}"]
            long = _longtable(named, *narrow, head, [r"\tablerows"])
            wide = _float("table*", named, size, columns, head, [r"\tablerows"])
            return "\n".join([*shared, r"\ifdim\columnwidth<\textwidth % two columns", *wide, r"\else", *long, r"\fi"]) + "\n"
    return "\n".join(_longtable(named, *narrow, head, body)) + "\n"


def _float(kind: str, caption: str, size: str, columns: str, head: str, body: Sequence[str]) -> list[str]:
    opening = [f"\\begin{{{kind}}}", r"\centering", caption, size + SPACING, f"\\begin{{tabular}}{{{columns}}}"]
    return [*opening, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", f"\\end{{{kind}}}"]


def _longtable(caption: str, size: str, columns: str, head: str, body: Sequence[str]) -> list[str]:
    opening = [f"\\begin{{longtable}}{{{columns}}}", caption + r"\\", r"\toprule", head, r"\midrule", r"\endfirsthead"]
    again = [r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
    return ["{" + size + SPACING, *opening, *again, *body, r"\end{longtable}", "}"]


def _columns(rows: Sequence[Sequence[str]], room: float = 1.0, start: int = 0) -> tuple[str, str, int]:
    """The size of type, of those from `start` on, the columns' format, and about how many lines it takes; room: in columns of text."""
    columns = list(zip(*rows, strict=True))
    natural = [max(map(_width, column)) for column in columns]
    gaps = GAP * (len(columns) - 1)
    sizes = [(room * many, size) for many, size in SIZES[start:]]
    for characters, size in sizes[:2]:
        if sum(natural) + gaps <= characters:
            return size, "@{}" + "l" * len(columns) + "@{}", len(rows)
    least = [max((width for cell in column for width in _unbroken(cell)), default=0) + 1 for column in columns]
    characters, size = next(((many, size) for many, size in sizes[start == 0 :] if sum(least) + gaps <= many), sizes[-1])
    wants = [max(0.0, width**0.75 - shortest) for width, shortest in zip(natural, least, strict=True)]  # long texts want less
    spare = max(0.0, characters - gaps - sum(least)) / max(1e-9, sum(wants))
    widths = [shortest + want * spare for shortest, want in zip(least, wants, strict=True)]
    lines = sum(max(math.ceil(1.2 * _width(cell) / width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    gap = 2 * (len(columns) - 1) / len(columns)  # of \tabcolsep, which the columns share alike
    paragraph = r">{\raggedright\arraybackslash\hspace{0pt}}p{\dimexpr %.4f\linewidth-%.4f\tabcolsep\relax}"
    total = sum(widths) + gaps
    shares = [(width + gaps / len(columns)) / total for width in widths]
    return size, "@{}" + "".join(paragraph % (share, gap) for share in shares) + "@{}", lines


def _width(text: str) -> float:
    """About how many lower-case letters wide a text is."""
    return sum(0.6 if c in " .,:;ijltfI'|()[]1" else 1.35 if c.isupper() or c in "mwMW%@–" else 1.0 for c in text)


def _unbroken(cell: str) -> Iterator[float]:
    """How wide the pieces are that no line breaks: words up to a hyphen or a slash, and syllables of a long word."""
    for part in parts(cell):
        for word in (part.text if part.tex is None else part.text[:20]).split():
            bare = word.strip(".,;:()")
            yield min(_width(word), HYPHENATED) if bare.isalpha() else max(map(_width, re.split(r"[/_]|(?<=\w)-", word)))


def _breakable(text: str) -> str:
    """A line may end behind a slash or an underscore within a word."""
    return re.sub(r"(?<=[A-Za-z0-9])(/|\\_)(?=[A-Za-z0-9])", r"\1\\allowbreak{}", text)
