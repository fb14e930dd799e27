"""`flatproof sharpness`: what it reads of the user's own, what it refuses, what it prints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flatproof.verify.cli import measuring
from flatproof.verify.curvature import user_model
from tests.unit.curvature.models import explicit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module, weights and data, as a user would have them."""
    name = f"module_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n    torch.manual_seed(0)\n    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))\n"
        "def batches():\n    yield torch.ones(2, 3), torch.tensor([0, 1])\n"
        "def single():\n    return torch.ones(2, 3), torch.tensor([0, 1])\n"
        "def two_lines():\n    raise RuntimeError('one\\ntwo')\n"
        "class Asserts(nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(3, 3)\n"
        "    def forward(self, x):\n        assert len(x) == 0\n"
        "def broken():\n    raise KeyError('x')\n"
        "number = 3\n"
        "class Diagonal(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.u, self.v = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))\n"
        "    def forward(self, x):\n        return x @ (self.u * self.v)\n"
    )
    x, y = np.random.default_rng(0).standard_normal((10, 3)), np.arange(10) % 3
    state = {"0.weight": np.ones((4, 3)), "0.bias": np.zeros(4), "2.weight": np.ones((3, 4)) / 4, "2.bias": np.arange(3.0)}
    np.savez(tmp_path / "d.npz", x=x, y=y)
    np.savez(tmp_path / "fractions.npz", x=x, y=x[:, 0])
    np.savez(tmp_path / "column.npz", x=x, y=y[:, None])
    np.savez(tmp_path / "real_column.npz", x=x, y=y[:, None].astype(float))
    np.savez(tmp_path / "one_hot.npz", x=x, y=np.eye(3, dtype=int)[y])
    np.savez(tmp_path / "two_columns.npz", x=x, y=x[:, :2])
    np.savez(tmp_path / "fractions_column.npz", x=x, y=x[:, :1])
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "w.npz", **state)
    torch.save({"state_dict": {f"module.{k}": torch.as_tensor(v) for k, v in state.items()}}, tmp_path / "w.pt")
    torch.save((torch.as_tensor(x), torch.as_tensor(y)), tmp_path / "d.pt")
    (tmp_path / "text.pt").write_text("no tensors")
    (tmp_path / "text.npz").write_text("no arrays")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Path(name)


def test_what_users_have_is_read(folder: Path) -> None:
    weights = [user_model.load_model(f"{folder}:make", Path(file), "float64").state_dict() for file in ("w.npz", "w.pt")]
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())
    first, second = (user_model.load_data(file, 4, 6) for file in ("d.npz", "d.pt"))
    assert [len(y) for _, y in first] == [4, 2]
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert len(user_model.load_data(f"{folder}:batches", 4, None)) == 1
    assert [len(y) for _, y in user_model.load_data(f"{folder}:single", 4, 1)] == [1]
    model = user_model.load_model(f"{folder}:make", None, None)
    problem = user_model.build_problem(
        model, user_model.load_loss("cross-entropy"), user_model.fit_data(first, model, "cross-entropy"), "eval"
    )
    rows = list(
        measuring.measure_all(problem, ["trace", "sam"], batch_size=1, settings=["sam.rho=0.1", "trace.method=hutchinson"])
    )
    assert [row.measure.name for row in rows] == ["trace", "sam"]
    assert rows[0].estimate is not None
    assert "Hutchinson" in rows[0].estimate.method
    assert "rho = 0.1, batches of 1" in rows[1].as_dict()["method"]
    assert "gap" not in rows[0].as_dict()  # no maximum
    assert rows[1].estimate is not None
    assert rows[1].as_dict()["gap"] == rows[1].estimate.high / rows[1].estimate.value >= 1
    assert measuring.table(rows, "").row_count == 2
    gaps = next(column for column in measuring.table(rows, "").columns if column.header == "gap")
    assert next(iter(gaps.cells)) == ""
    assert list(gaps.cells)[1].startswith("×")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sharpness", "--model", "text", "--data", "good.csv"], "--model must be module:object, got 'text'"),
        (["sharpness", "--model", "text:make", "--data", "good.csv"], "--model text:make: there is no module 'text'"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "MODULE"], "--model must be module:object, got 'MODULE'"),
        (["--model", "nothing_here:make"], "there is no module 'nothing_here'"),
        (["--model", "MODULE:absent"], "has no 'absent'"),
        (["--model", "MODULE:number"], "expected a function, got int"),
        (["--model", "MODULE:broken"], "the function raised KeyError: 'x'"),
        (["--model", "MODULE:two_lines"], "the function raised RuntimeError: one two; it is called without arguments"),
        (["--model", "MODULE:Asserts"], "the model, loss and data do not go together: AssertionError"),
        (["--model", "MODULE:batches"], "expected a torch.nn.Module, got generator"),
        (["--weights", "text.pt"], "is not a file that torch.load(weights_only=True) reads"),
        (["--weights", "gone.pt"], "cannot use gone.pt: No such file"),
        (["--weights", "x.npz"], "does not fit the model"),
        (["--data", "x.npz"], "--data x.npz must hold x and y, got x"),
        (["--data", "text.npz"], "is not an .npz file of plain arrays"),
        (["--data", "MODULE:make"], "expected batches (x, y)"),
        (["--data", "fractions.npz"], "--loss cross-entropy needs classes 0, 1, ... as targets"),
        (["--data", "fractions_column.npz"], "--loss cross-entropy needs classes 0, 1, ... as targets"),
        (
            ["--data", "two_columns.npz"],
            "targets must be whole numbers of shape (10,) or floating point of shape (10, 3), got float32 of shape (10, 2)",
        ),
        (
            ["--loss", "torch.nn.functional:soft_margin_loss"],
            "targets must have the outputs' shape (10, 3), or be spread to it, got (10,)",
        ),
        (["--loss", "mse"], "outputs (10, 3) and targets (10,) must have the same shape"),
        (["--loss", "hinge"], "--loss must be one of mse, cross-entropy or module:function, got 'hinge'"),
        (["--parameters", "3.weight"], "parameters: '3.weight' names nothing in the model; it has 0.weight"),
        (["--parameters", "."], "parameters: '.' names nothing in the model"),
        (["--parameters", "0.weight."], "parameters: '0.weight.' names nothing in the model"),
        (["--entry", "ema"], "--entry ema chooses among the tensors of a checkpoint's file, there is none; expected no --entry"),
        (["--prefix", "x."], "--prefix x. chooses among the tensors of a checkpoint's file, there is none; expected no --prefix"),
        (["--mode", "test"], "--mode must be one of eval, train, got 'test'"),
        (["--measures", "trace,flat"], "unknown measure 'flat'"),
        (["--set", "trace.steps=3"], "trace has no setting 'steps'"),
        (["--set", "rho=3"], "--set must be MEASURE.SETTING=VALUE"),
        (["--set", "sam.rho=big"], "sam: rho must be a finite number above 0, got 'big'"),
        (["--samples", "0"], "--samples must be a whole number of at least 1, got 0"),
        (["--threads", "0"], "--threads must be a whole number of at least 1, got 0"),
        (["--data", "gone.safetensors"], "cannot use gone.safetensors: No such file"),
        (["--seed", "-1"], "--seed must be a whole number of at least 0, got -1"),
        (["--dtype", "int8"], "--dtype must be one of float32, float64, got 'int8'"),
    ],
)
def test_the_culprit_is_named(command: Callable[..., Any], folder: Path, arguments: list[str], words: str) -> None:
    given = {"--model": "MODULE:make", "--data": "d.npz", "--measures": "sam,trace"} | dict([arguments])
    texts = [text.replace("MODULE", str(folder)) for pair in given.items() for text in pair]
    done = command("sharpness", *texts)
    assert done.status == 2
    assert words.replace("MODULE", str(folder)) in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("file", ["column.npz", "real_column.npz", "one_hot.npz"])
def test_a_column_of_labels_is_labels(command: Callable[..., Any], folder: Path, file: str) -> None:
    """Against torch's own loss of the labels, and the largest eigenvalue of its whole Hessian."""
    arguments = ["sharpness", "--model", f"{folder}:make", "--data", file, "--dtype", "float64", "--measures", "lambda-max"]
    (row,) = json.loads(command(*arguments, "--json").out)
    x, y = (torch.as_tensor(np.load("d.npz")[name]) for name in "xy")
    model = user_model.load_model(f"{folder}:make", None, "float64")
    H = explicit(model, lambda f: torch.nn.functional.cross_entropy(f(x), y))
    assert row["value"] == pytest.approx(float(torch.linalg.eigvalsh(H)[-1]), rel=1e-4)


def test_a_class_a_pixel_and_axes_of_length_one() -> None:
    """The named losses against torch's and numpy's of targets in the shape that they want."""
    z, y = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randint(3, (2, 4, 5))
    ((_, fitted),) = user_model.fit_data([(z, y.int())], torch.nn.Linear(1, 1), "cross-entropy")
    wanted = torch.nn.functional.cross_entropy(z, y)
    assert user_model.load_loss("cross-entropy")(z, fitted) == pytest.approx(float(wanted), rel=1e-12)
    mse, outputs = user_model.load_loss("mse"), z.reshape(20, 6, 1)
    for targets in (outputs[..., 0] + 1, outputs[:, None] + 1, outputs.mT + 1):
        assert float(mse(outputs, targets)) == pytest.approx(1.0)
    for shape in ((20, 3, 2), (6, 20), (120,), (10, 12, 1)):
        with pytest.raises(ValueError, match=r"outputs \(20, 6, 1\) and targets .* must have the same shape"):
            mse(outputs, torch.ones(shape))


def test_json_holds_the_estimates(command: Callable[..., Any], folder: Path) -> None:
    done = command("sharpness", "--model", f"{folder}:make", "--data", "d.npz", "--measures", "keskar,lambda-max", "--json")
    keskar_row, lambda_row = json.loads(done.out)
    assert 0 < keskar_row["low"] == keskar_row["value"] <= keskar_row["high"]
    assert lambda_row["low"] <= lambda_row["value"] <= lambda_row["high"]
    assert lambda_row["samples"] == 10


def test_a_terminal_gets_a_table(command: Callable[..., Any], folder: Path) -> None:
    done = command("sharpness", "--model", f"{folder}:make", "--data", "d.npz", "--measures", "trace,sam")
    assert done.status == 0, done.err
    assert "31 parameters, 10 samples, cross-entropy, eval mode" in done.out
    names = [line.split("│")[1].strip() for line in done.out.splitlines() if line.startswith("│")]
    assert [name for name in names if name] == ["trace", "sam"]


def test_parts_are_measured(command: Callable[..., Any], folder: Path) -> None:
    """Every layer is the subset of its parameters; the trace is the sum over layers."""
    arguments = [
        "sharpness",
        "--model",
        f"{folder}:make",
        "--data",
        "d.npz",
        "--measures",
        "trace",
        "--dtype",
        "float64",
        "--json",
    ]

    def measured(*more: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(command(*arguments, *more).out)
        return rows

    (whole,), first, second = measured(), measured("--parameters", "0"), measured("--parameters", "2.weight,2.bias")
    assert measured("--parameters", "2.")[0]["value"] == second[0]["value"]
    parts = measured("--per-layer")
    assert [row["layer"] for row in parts] == ["0", "2"]
    assert [row["value"] for row in parts] == pytest.approx([first[0]["value"], second[0]["value"]])
    assert sum(row["value"] for row in parts) == pytest.approx(whole["value"], rel=1e-6)
    both = command(*arguments, "--per-layer", "--parameters", "0")
    assert both.status == 2
    assert "--parameters or --per-layer, not both" in both.err


def test_pairs_of_parameters_are_a_setting(
    command: Callable[..., Any], refusal: Callable[[list[str]], str], folder: Path
) -> None:
    """A product that the model uses is named on the command line; without it the measure says in one line that it is not defined."""
    arguments = [
        "sharpness",
        "--model",
        f"{folder}:Diagonal",
        "--data",
        "fractions.npz",
        "--loss",
        "mse",
        "--measures",
        "geodesic",
    ]
    done = command(*arguments, "--set", 'geodesic.pairs=[["u", "v"]]', "--set", "geodesic.starts=3", "--json")
    (row,) = json.loads(done.out)
    assert row["value"] > 0
    assert row["gradients"] == 60
    assert "geodesic sharpness is defined here for attention layers and for `pairs`" in refusal(arguments)
    words = refusal([*arguments, "--set", 'geodesic.pairs=[["u", "w"]]'])
    assert "pairs must name two chosen parameters each, of u, v; got ['u', 'w']" in words


@pytest.mark.parametrize(("more", "count"), [([], 1), (["--threads", "2"], 2)])
def test_one_thread_unless_asked(
    command: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], count: int
) -> None:
    """As everywhere else; on small networks many threads take longer."""
    seen = []
    measured = measuring.measure_all

    def counting(*arguments: Any, **options: Any) -> Any:
        seen.append(torch.get_num_threads())
        return measured(*arguments, **options)

    monkeypatch.setattr(measuring, "measure_all", counting)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        done = command("sharpness", "--model", f"{folder}:make", "--data", "d.npz", "--measures", "sam", *more)
        assert (done.status, seen, torch.get_num_threads()) == (0, [count], 3), done.err
    finally:
        torch.set_num_threads(before)


def test_what_was_done_to_the_names_of_weights_is_said(command: Callable[..., Any], folder: Path) -> None:
    arguments = ("sharpness", "--model", f"{folder}:make", "--data", "d.npz", "--measures", "sam", "--weights", "w.pt")
    assert "w.pt: prefix 'module.' taken off the names\n" in command(*arguments).out
    assert json.loads(command(*arguments, "--json").out)[0]["weights"] == "w.pt: prefix 'module.' taken off the names"
