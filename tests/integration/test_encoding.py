"""A locale that knows nothing but ASCII: every command writes the same bytes as under UTF-8, prints what it can and ends well."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify.experiments.wen2023.grid import ROW, runs
from flatproof.verify.jobs.store import Store

ROOT = Path(__file__).parents[2]
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "LANG": "C"}
LOCALES = {"utf-8": {"PYTHONUTF8": "1"}, "strict": ASCII | {"PYTHONIOENCODING": "ascii:strict"}}
COMMANDS = {
    "report": ["report", "wen2023/table-1", "wen2023/figure-1b", "--scale", "smoke", "--store", "s.sqlite"],
    "claims as JSON": ["claims", "wen2023/theorem-3.1", "--json"],
    "certify": ["certify", "points.csv", "--test", "points.csv"],
    "sharpness": ["sharpness", "--model", "mine:make", "--data", "data.npz", "--measures", "trace"],
    "train": ["train", "--architecture", "bias", "--epochs", "3", "--width", "20"],
}


def place(folder: Path) -> Path:
    """What a user has: points, a model, data, a store with runs."""
    folder.mkdir(parents=True)
    (folder / "points.csv").write_text("größe,b,y\n1,0,1\n0,1,-1\n", encoding="utf-8")
    (folder / "mine.py").write_text(
        "import torch\ndef make():\n    torch.manual_seed(0)\n    return torch.nn.Linear(3, 3)\n", encoding="utf-8"
    )
    np.savez(folder / "data.npz", x=np.random.default_rng(0).standard_normal((10, 3)), y=np.arange(10) % 3)
    return folder


# One process a locale: what an encoding depends on is set when an interpreter starts. Each command in a folder of its own.
EACH = """
import json, os, sys
from flatproof.verify.cli import steps
from flatproof.verify.cli.main import main
steps.APART = 1e9  # a slow machine says on standard error how far it is
for name, arguments in json.loads(sys.argv[1]).items():
    os.chdir(name)
    try:
        main(arguments)
        status = 0
    except SystemExit as ending:
        status = ending.code or 0
    sys.stdout.flush()
    os.chdir("..")
    print("\\n====", status, flush=True)
"""


@pytest.mark.slow
def test_every_command_in_every_locale(tmp_path: Path) -> None:
    written, printed = {}, {}
    first = place(tmp_path / "first")
    with Store(first / "s.sqlite") as store:
        for run in runs(ROW["1b"], "smoke", 2):
            store.put(run, run.carry_out(), {"machine": "β with 2 cores"})
    for locale, variables in LOCALES.items():
        for name in COMMANDS:
            (place(tmp_path / locale / name) / "s.sqlite").write_bytes((first / "s.sqlite").read_bytes())
        folder = tmp_path / locale
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHONIOENCODING"))}
        done = subprocess.run(
            [sys.executable, "-c", EACH, json.dumps(COMMANDS)],
            cwd=folder,
            env=outside | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | variables,
            capture_output=True,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert locale == "utf-8" or done.stdout.isascii()
        printed[locale] = done.stdout.split(b"\n==== 0\n")
        assert len(printed[locale]) == len(COMMANDS) + 1, done.stdout
        written[locale] = {
            str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".sqlite"
        }
    assert written["strict"] == written["utf-8"]
    tables = {
        path: content for path, content in written["strict"].items() if path.startswith("report/") and path.endswith(".json")
    }
    assert any(not content.isascii() for content in tables.values())
    claims = [*COMMANDS].index("claims as JSON")
    assert len({str(json.loads(text[claims].decode())) for text in printed.values()}) == 1


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def unnamed(call: ast.Call) -> bool:
    """Whether a call opens text, or another program's output as text, without saying which encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    keywords = {keyword.arg for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if name in ("read_text", "write_text"):
        return True
    if name in ("open", "fdopen"):
        modes = [a.value for a in call.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        modes += [k.value.value for k in call.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
        library = ast.unparse(call.func).partition(".")[0]
        return library not in ("tarfile", "zipfile", "Image", "os", "gzip", "wheel") and not any("b" in mode for mode in modes)
    return bool(keywords & {"text", "universal_newlines"})


def test_every_text_is_opened_by_the_name_of_its_encoding() -> None:
    """In the package and its documents; ruff's rule sees only what it knows to be a path."""
    folders = ("flatproof", "theory", "synth", "verify", "docs")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 200
    assert [f"{path.relative_to(ROOT)}:{call.lineno}" for path in paths for call in calls(path) if unnamed(call)] == []
