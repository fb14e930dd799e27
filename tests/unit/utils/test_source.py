"""The digest of a user's own code: what changes it and what does not."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flatproof.verify.utils.source import code_digest

BASE = """
import math
import helpers
from helpers import scale

RATE = 0.1
TABLE = {"a": (1, 2)}

class Model:
    size = 3

def twice(x):
    return 2 * x

def measure(seed):
    return {"x": twice(RATE) * Model.size + math.pi + scale(1) + helpers.OTHER + TABLE["a"][0]}

def unrelated():
    return 1
"""
HELPERS = "OTHER = 1\n\ndef scale(x):\n    return x\n"


@pytest.fixture
def digest_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.syspath_prepend(tmp_path)

    def of(text: str = BASE, helpers: str = HELPERS) -> str:
        for name, content in (("helpers", helpers), ("measured", text)):
            (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        for cached in tmp_path.glob("__pycache__/*"):
            cached.unlink()
        return code_digest(importlib.import_module("measured").measure)

    return of


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "3 * x"),
        ("RATE = 0.1", "RATE = 0.2"),
        ("size = 3", "size = 4"),
        ("(1, 2)", "(1, 3)"),
        ("math.pi", "math.e"),
        ("from helpers import scale", "from helpers import scale as other, scale\nRATE = 7"),
    ],
)
def test_what_the_function_does_changes_it(digest_of: Callable[..., str], old: str, new: str) -> None:
    before = digest_of()
    assert old in BASE
    changed = BASE.replace(old, new) if not new.endswith("RATE = 7") else BASE.replace("RATE = 0.1", "RATE = 7")
    assert digest_of(changed) != before


def test_imported_files_of_ones_own_count(digest_of: Callable[..., str]) -> None:
    before = digest_of()
    assert digest_of(helpers=HELPERS.replace("return x", "return x + 1")) != before
    assert digest_of(helpers=HELPERS.replace("OTHER = 1", "OTHER = 2")) != before


def test_comments_layout_docstrings_and_what_is_not_named_do_not_count(digest_of: Callable[..., str]) -> None:
    before = digest_of()
    changed = BASE.replace("return 2 * x", '"""Twice."""\n    return 2*x  # doubled').replace("return 1", "return 2")
    assert changed != BASE
    assert digest_of(changed) == before


def test_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    namespace: dict[str, object] = {}
    exec("def made(seed):\n    return {}", namespace)
    with pytest.raises(ValueError, match="source of made cannot be read"):
        code_digest(namespace["made"])
