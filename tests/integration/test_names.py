"""The name `flatproof`: whatever a user's own files are called, and however the code came to his machine, it is what is imported."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("synth", "theory", "verify")
CUBE = "1,1,1,1\n1,1,-1,1\n1,-1,1,-1\n1,-1,-1,-1\n-1,1,1,-1\n-1,1,-1,-1\n-1,-1,1,1\n"

# Ours by their full names, the user's by his.
SCRIPT = """
import theory, synth, verify
import flatproof.verify.curvature.estimates
from flatproof import decide, given
assert (theory.WHOSE, synth.WHOSE, verify.WHOSE) == ("mine",) * 3
assert (decide.__module__, given.__module__) == ("flatproof.theory.flatness.decide", "flatproof.synth.data")
assert flatproof.verify.curvature.estimates.Estimate.__module__ == "flatproof.verify.curvature.estimates"
print("both")
"""

# A study of his own, which uses his own theory.py.
STUDY = """
import theory
from flatproof import Study

def measure(rate, seed):
    assert theory.WHOSE == "mine"
    return {"loss": rate + seed}

experiment = Study("mine", measure, {"rate": [0, 1]}, seeds=2)
"""

# A table, its page, and where the code lies that wrote them.
REPORT = """
import pathlib, sys
import pandas as pd
import flatproof
from flatproof.verify.jobs.provenance import provenance
from flatproof.verify.report.artifacts import Table
from flatproof.verify.report.write import write
frame = pd.DataFrame({"row": ["a cell"]})
write([Table("paper/table-1", "A title", frame, frame, (), provenance(), ("row",))], pathlib.Path("out"), "command")
print(flatproof.__file__)
print(*provenance())
"""


def write_own_modules(folder: Path) -> None:
    """theory.py, verify.py and a package synth/, as anybody may call his own."""
    (folder / "synth").mkdir(parents=True)
    for name in ("theory.py", "verify.py", "synth/__init__.py"):
        (folder / name).write_text('WHOSE = "mine"\n')


def python(*arguments: str, cwd: Path, path: Path | None = None, inherit: bool = True, binary: str = sys.executable) -> str:
    """What a Python prints. `path`: stands first on PYTHONPATH; `inherit`: what this process was given follows."""
    environment = dict(os.environ)
    entries = [str(path or ""), environment.get("PYTHONPATH", "") if inherit else ""]
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if entry)
    if not inherit:  # a copy has no compiled kernels, and compiling them anew is not what is tested
        environment["NUMBA_DISABLE_JIT"] = "1"
    return _output([binary, *arguments], cwd, environment)


def _output(command: list[str], cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("place", ["beside the script", "on PYTHONPATH", "in the working folder"])
def test_a_users_own_modules_change_nothing(tmp_path: Path, place: str) -> None:
    own, work = tmp_path / "own", tmp_path / "work"
    write_own_modules(own)
    work.mkdir()
    script = (own if place == "beside the script" else work) / "script.py"
    script.write_text(SCRIPT)
    if place == "beside the script":
        assert python(str(script), cwd=work) == "both\n"
    elif place == "on PYTHONPATH":
        assert python(str(script), cwd=work, path=own) == "both\n"
    else:  # `python -c` and `python -m` look there first
        assert python("-c", SCRIPT, cwd=own) == "both\n"
    (work / "cube.csv").write_text(CUBE)
    path = own if place == "on PYTHONPATH" else None
    certified = python("-m", "flatproof", "certify", str(work / "cube.csv"), cwd=work if path else own, path=path)
    assert "proved in rational numbers" in certified


@pytest.mark.slow
def test_a_users_own_modules_do_not_reach_the_workers(tmp_path: Path) -> None:
    write_own_modules(tmp_path)
    arguments = ["reproduce", "wen2023/figure-6a", "--scale", "smoke", "--seeds", "2", "--workers", "2"]
    printed = python("-m", "flatproof", *arguments, cwd=tmp_path, path=tmp_path)
    assert "0 stored in .flatproof/runs.sqlite, 2 to do" in printed
    assert (tmp_path / "paper_results/wen2023/smoke_scale/figure_6a.png").exists()


def checkout(folder: Path, links: str) -> Path:
    """The repository as it comes to another machine: files alone, without what git ignores or keeps for itself.

    links: "links" as they are, "absent", or "plain files" that hold where a link leads, as on a system that has none.
    """
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.nbi", "*.nbc")
    for name in ("flatproof", *ROOMS):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    for name in ROOMS if links != "links" else ():
        link = folder / "flatproof" / name
        link.unlink()
        if links == "plain files":
            link.write_text(f"../{name}")
    return folder


def check_everything(root: Path, work: Path, installed: str = "") -> None:
    """Theory, a page with its template, and the command, from another folder than where the code lies.

    installed: a Python that finds the code by itself.
    """
    run = partial(python, cwd=work, inherit=False, **({"binary": installed} if installed else {"path": root}))
    work.mkdir()
    (work / "cube.csv").write_text(CUBE)
    certified = run("-m", "flatproof", "certify", "cube.csv")
    assert "proved in rational numbers" in certified
    place, keys = run("-c", REPORT).splitlines()
    assert Path(place).is_relative_to(root)
    assert keys.split()[:2] == ["flatproof", "python"]  # the version, and no commit where there is no repository
    assert "A title" in (work / "out/paper/index.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("links", ["links", "absent", "plain files"])
def test_a_bare_checkout_works(tmp_path: Path, links: str) -> None:
    root = checkout(tmp_path / "checkout", links)
    assert "--json" in python("-m", "flatproof", "claims", "--help", cwd=root, inherit=False)
    check_everything(root, tmp_path / "work")


@pytest.mark.slow
def test_a_wheel_works_outside_the_repository(tmp_path: Path) -> None:
    """In a fresh environment, which has the wheel, and what it needs from where these tests find it."""
    root, fresh, work = checkout(tmp_path / "checkout", "links"), tmp_path / "venv", tmp_path / "work"
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input")
    python(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(root), cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"flatproof"}
    report = "flatproof/verify/report"
    parts = [f"{report}/templates/index.html.j2", *(f"{report}/assets/{name}" for name in ("page.js", "katex/katex.min.js"))]
    parts += [f"{report}/assets/katex/{name}" for name in ("LICENSE", "fonts/KaTeX_Main-Regular.woff2")]
    assert {"flatproof/py.typed", "flatproof/__main__.py", *parts} <= set(names)
    python("-m", "venv", "--without-pip", str(fresh), cwd=tmp_path)
    bin, site = fresh / "bin", Path(sysconfig.get_path("purelib", "venv", {"base": str(fresh), "platbase": str(fresh)}))
    python(*pip, "--python", str(bin / "python"), "install", "--no-deps", "--no-index", str(wheel), cwd=tmp_path, inherit=False)
    # .pth files of that folder, such as an editable install's, are not read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    shutil.rmtree(root)
    check_everything(site, work, str(bin / "python"))
    own = partial(python, cwd=work, inherit=False, binary=str(bin / "python"))
    for room in ROOMS:  # a user's module of that name is his alone
        printed = own("-c", f"import importlib.util as i; print(i.find_spec({room!r}))")
        assert printed == "None\n"
    write_own_modules(work)
    assert own("-c", SCRIPT) == "both\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = str(bin / "flatproof")
    assert _output([command, "--version"], work, environment).startswith("flatproof ")
    (work / "mine.py").write_text(STUDY)
    where = {**environment, "NUMBA_DISABLE_JIT": "1"}
    printed = _output([command, "reproduce", "mine:experiment", "--workers", "2"], work, where)
    assert "4 runs at scale quick: 0 stored" in printed
    written = work / "paper_results/mine"
    assert {"table.md", "table.tex", "figure.png", "figure.pdf", "index.html"} <= {path.name for path in written.iterdir()}
    assert "1.5 [" in (written / "table.md").read_text()
    again = _output([command, "reproduce", "mine.py:experiment/table"], work, where)
    assert "4 stored in .flatproof/runs.sqlite, 0 to do" in again
