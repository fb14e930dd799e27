"""Owns how results look in a notebook: a small table of names and values."""

from collections.abc import Mapping
from html import escape


def html_rows(title: str, rows: Mapping[str, object]) -> str:
    """A title above a table of two columns, as HTML; what has no text is left out.

    Args:
        title: one line.
        rows: values by name, as text.
    """
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if str(value)
    )
    return f"<table><caption style='text-align:left'><b>{escape(title)}</b></caption><tbody>{cells}</tbody></table>"
