"""Measures of other packages: by address, by entry point, and what is said of one that is none."""

from pathlib import Path

import pytest
import torch
from torch import nn

from flatproof.verify.curvature import Problem, measures, select

MODULE = """
from flatproof.verify.curvature import Estimate, Measure

def weight_norm(source, *, power=2.0):
    problem = getattr(source, "problem", source)
    value = float(sum(p.detach().abs().pow(power).sum() for p in problem.tensors))
    return Estimate(value, value, value, None, 0, 0.0, problem.samples, problem.mode, None, "exact", "nobody 2026")

NORM = Measure("weight-norm", "sum_i |w_i|^p", "nobody 2026", weight_norm, "loss", "rotations for p = 2")
CUBE = Measure("weight-cube", "sum_i |w_i|^3", "nobody 2026", weight_norm, "loss", "none", (("power", 3.0),))
BOTH = (NORM, CUBE)
NUMBER = Measure("number", "7", "nobody 2026", lambda source: 7, "loss", "everything")
SAM = Measure("sam", "another", "nobody 2026", weight_norm, "loss", "none")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a module of measures, as an installed package has it."""
    name = f"measures_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / name


def installed(package: Path, line: str) -> None:
    """Its entry points, as an installer writes them."""
    folder = package.parent / "elsewhere-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[flatproof.measures]\n{line}\n")


def problem() -> Problem:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0]]))
    return Problem(model, nn.MSELoss(), (torch.ones(3, 2), torch.ones(3, 1)))


def test_by_address(package: Path) -> None:
    chosen = select(["trace", f"{package.name}:BOTH"])
    assert list(chosen) == ["trace", "weight-norm", "weight-cube"]
    assert chosen["weight-norm"].accepts == {"power"}
    assert chosen["weight-norm"](problem()).value == 5
    assert chosen["weight-norm"](problem(), power=1.0).value == 3
    assert chosen["weight-cube"](problem()).value == 9
    assert "weight-norm" not in measures()


def test_by_entry_point(package: Path) -> None:
    before = list(measures())
    installed(package, f"norm = {package.name}:NORM")
    assert list(measures()) == [*before, "weight-norm"]
    assert select(["weight-norm"])["weight-norm"](problem()).value == 5


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("absent", "AttributeError"),
        ("weight_norm", "expected a Measure or a tuple of them, got function"),
        ("SAM", "two measures are called 'sam'"),
    ],
)
def test_what_is_no_measure_is_named(package: Path, attribute: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        select(["sam", f"{package.name}:{attribute}"])
    assert attribute == "SAM" or f"{package.name}:{attribute}" in str(caught.value)
    installed(package, f"mine = {package.name}:{attribute}")
    with pytest.raises(ValueError, match=words):
        measures()


def test_what_gives_no_estimate(package: Path) -> None:
    with pytest.raises(TypeError, match="measure 'number' must give an Estimate, got int"):
        select([f"{package.name}:NUMBER"])["number"](problem())
