"""`flatproof landscape`, `density` and `draw`: files, and refusals in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.command import here

MODULE = """
import torch
from torch import nn
def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder of one's own with a model, data and three checkpoints: the options that name them."""
    module = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).standard_normal((12, 3)), y=np.arange(12) % 3)
    for i in range(3):
        torch.manual_seed(i)
        torch.save({"0.weight": torch.randn(4, 3), "0.bias": torch.zeros(4), "2.weight": torch.randn(3, 4), "2.bias": torch.ones(3)},
                   tmp_path / f"{i}.pt")  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    return ["--model", f"{module}:make", "--data", "d.npz"]


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (["landscape", "--points", "5"], 5),
        (["landscape", "--points", "3", "--dimensions", "2"], 9),
        (["landscape", "--checkpoints", "0.pt", "--checkpoints", "1.pt", "--points", "4", "--beyond", "0.5"], 8),
        (["landscape", "--checkpoints", "0.pt", "--checkpoints", "1.pt", "--checkpoints", "2.pt", "--points", "3",
          "--dimensions", "2"], 12),
        (["density", "--weights", "0.pt", "--steps", "10", "--probes", "2"], 400),
    ],
)  # fmt: skip
def test_pictures_of_a_model(tmp_path: Path, own: list[str], command: list[str], rows: int) -> None:
    done = here(*command, *own, "--out", "pictures", "--name", "p", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["pictures/p.png", "pictures/p.pdf", "pictures/p.csv"]
    text = (tmp_path / "pictures/p.csv").read_text(encoding="utf-8")
    assert f"# command: flatproof {command[0]}" in text
    assert len(pd.read_csv(tmp_path / "pictures/p.csv", comment="#")) == rows


def test_a_way_from_checkpoint_to_checkpoint_has_their_losses(tmp_path: Path, own: list[str]) -> None:
    arguments = ["landscape", *own, "--checkpoints", "0.pt", "--checkpoints", "1.pt", "--dtype", "float64", "--points", "2"]
    assert here(*arguments, cwd=tmp_path).returncode == 0
    drawn = pd.read_csv(tmp_path / "landscape.csv", comment="#").loss.tolist()
    data = np.load(tmp_path / "d.npz")
    for file, loss in zip(("0.pt", "1.pt"), drawn, strict=True):
        state = {name: t.double() for name, t in torch.load(tmp_path / file).items()}
        hidden = torch.tanh(torch.as_tensor(data["x"]) @ state["0.weight"].T)
        outputs = hidden @ state["2.weight"].T + state["2.bias"]
        assert loss == pytest.approx(float(torch.nn.functional.cross_entropy(outputs, torch.as_tensor(data["y"]))), rel=1e-8)


def test_checkpoints_that_hold_the_same_are_named(tmp_path: Path, own: list[str]) -> None:
    (tmp_path / "twin.pt").write_bytes((tmp_path / "0.pt").read_bytes())
    done = here("landscape", *own, *(f"--checkpoints={name}.pt" for name in ("0", "1", "twin")), "--points", "2", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "twin.pt holds the same weights as 0.pt: the picture has one point for both"


def test_points_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "line.csv").write_text("-1,1.5\n0,0.2\n1,1\n")
    (tmp_path / "plane.csv").write_text("1,1,1\n1,-1,-1\n-1,1,-1\n-1,-1,1\n")
    done = here("draw", "line.csv", "--points", "3", cwd=tmp_path)
    assert done.stdout.split() == [f"line.bias.function.{suffix}" for suffix in ("png", "pdf", "csv")], done.stderr
    done = here("draw", "plane.csv", "--architecture", "no-bias", "--points", "2", "--out", "o", cwd=tmp_path)
    assert [Path(file).name for file in done.stdout.split()] == [
        f"plane.no-bias.{kind}.{suffix}" for kind in ("function", "range") for suffix in ("png", "pdf", "csv")
    ]
    done = here("draw", "plane.csv", "--architecture", "no-bias", "--no-ranges", "--out", "n", cwd=tmp_path)
    assert "low" not in pd.read_csv(tmp_path / "n/plane.no-bias.function.csv", comment="#")
    assert len(done.stdout.split()) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dimensions", "3"], "--dimensions must be 1 or 2, got 3"),
        (["--points", "4"], "points must be odd"),
        (["--weights", "0.pt", "--checkpoints", "1.pt"], "expected --weights or --checkpoints, not both"),
        (["--entry", "ema"], "--entry ema chooses among the tensors of a checkpoint's file, there is none; expected no --entry"),
        (["--prefix", "m."], "--prefix m. chooses among the tensors of a checkpoint's file, there is none; expected no --prefix"),
        (["--checkpoints", "1.pt"], "expected at least 2 checkpoints, got 1"),
        (["--checkpoints", "0.pt", "--checkpoints", "none.pt"], "none.pt"),
        (["--scaling", "layer"], "scaling must be one of filter, parameter, none, got 'layer'"),
        (["--name", "a/b"], "--name must be a plain name without folders"),
        (["--out", "d.npz"], "cannot use d.npz"),
        (["--name", "mine"], "mine.csv is there and is no earlier picture's; expected another name or folder"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, own: list[str], options: list[str], words: str) -> None:
    (tmp_path / "mine.csv").write_text("# points\n1,2\n")
    done = here("landscape", *own, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))
    assert (tmp_path / "mine.csv").read_text() == "# points\n1,2\n"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("1,2,3,1\n2,3,4,-1\n", [], "has points of 3 coordinates; expected one or two"),
        ("1,1\n1,2\n", [], "points.csv, lines 1 and 2 are the same point with labels 1 and 2"),
        ("1,1\n2,2\n", ["--within", "-1"], "--within must be a finite number of at least 0"),
        ("1,1\n2,2\n", ["--points", "1"], "--points must be a whole number of at least 2"),
    ],
)
def test_points_that_cannot_be_drawn(tmp_path: Path, content: str, options: list[str], words: str) -> None:
    (tmp_path / "points.csv").write_text(content)
    done = here("draw", "points.csv", *options, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
