"""Owns how files are written: whole or not at all; and text brought onto one line."""

import os
import re
from pathlib import Path

_BREAKS = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # what some reader takes for the end of a line


def replaced(path: Path, content: bytes) -> Path:
    """Write a file whole, so that a kill leaves the old one or the new one; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def on_one_line(text: object) -> str:
    """Text on one line, whatever it holds: a line of a comment, a heading or a row of a table ends where it should."""
    return _BREAKS.sub(" ", str(text))
