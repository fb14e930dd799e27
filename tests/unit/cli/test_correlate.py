"""`flatproof correlate` through the real command line: two formats, one answer; what is refused, left out and gone on with."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from flatproof.verify.curvature import HessianOperator, measures
from flatproof.verify.experiments.own_sweep.jobs import digest_of_data
from tests.checkpoints import furnish, moons, safetensors

COUNT = 5
Run = Callable[..., Any]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Any], str]:
    """A folder with a sweep, its networks, and the name of its module."""
    module = f"module_{tmp_path.name.replace('-', '_')}"
    models = furnish(tmp_path, COUNT, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path, models, module


@pytest.fixture
def run(command: Run, sweep: tuple[Path, list[Any], str]) -> Run:
    """The command with what is needed; more options, of which later ones hold."""

    def correlate(*more: str, checkpoints: str = "loops") -> Any:
        own = ["--errors", "errors.csv", "--model", f"{sweep[2]}:make", "--data", "moons.npz", "--workers", "1"]
        return command("correlate", "--checkpoints", checkpoints, *own, "--measures", "trace,adaptive-worst-linf", *more)

    return correlate


def refused(done: Any) -> str:
    assert done.status == 2, done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.out + done.err
    return str(done.err)


def rows(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def test_every_checkpoint_is_measured_and_correlated(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    """Against the measures called in Python and scipy's tau."""
    folder, models, _ = sweep
    done = run("--set", "adaptive-worst-linf.rho=0.01", "--set", "adaptive-worst-linf.rho=0.1", "--m", "20", "--json")
    assert done.status == 0, done.err
    said = json.loads(done.out)
    labels = ["trace", "adaptive-worst-linf, rho 0.01", "adaptive-worst-linf, rho 0.1"]
    assert [(t["against"], t["sharpness"]) for t in said["correlations"]] == [
        (a, s) for a in ("test_error", "lr") for s in labels
    ]
    measured = rows(folder / "correlation/loops/table_2.csv")
    x, y = moons(40, 0)
    for model, row in zip(models, measured, strict=True):
        problem = HessianOperator(model, torch.nn.functional.cross_entropy, [(x, y)]).problem
        for label, rho in zip(labels[1:], (0.01, 0.1), strict=True):
            expected = measures()["adaptive-worst-linf"](problem, rho=rho, batch_size=20).value
            assert float(row[f"{label}, value"]) == pytest.approx(expected, rel=1e-6)
        assert float(row["trace, value"]) == pytest.approx(measures()["trace"](problem, method="xtrace").value, rel=1e-5)
    errors = rows(folder / "errors.csv")
    for tau in said["correlations"]:
        sharpness = [float(row[f"{tau['sharpness']}, value"]) for row in measured]
        against = [float(row[tau["against"]]) for row in errors]
        assert tau["tau"] == pytest.approx(stats.kendalltau(sharpness, against).statistic)
        assert tau["low"] <= tau["tau"] <= tau["high"]
        assert tau["n"] == COUNT
        assert tau["null_half_width"] == pytest.approx(1.96 * np.sqrt(2 * (2 * COUNT + 5) / (9 * COUNT * (COUNT - 1))), rel=1e-3)
        a, b = zip(*((s, e) for i, (s, e) in enumerate(zip(sharpness, against, strict=True)) if i % 2 == 0), strict=True)
        inside = [np.sign((a[i] - a[j]) * (b[i] - b[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
        inside.append(np.sign((sharpness[1] - sharpness[3]) * (against[1] - against[3])))
        assert tau["tau_in_groups"] == pytest.approx(np.mean(inside))


def test_two_formats_give_one_answer_and_what_is_stored_is_not_measured_again(
    run: Run, sweep: tuple[Path, list[Any], str]
) -> None:
    folder = sweep[0]
    first, second, again = (run(checkpoints=name) for name in ("loops", "folders", "loops"))
    assert (first.status, second.status, again.status) == (0, 0, 0), first.err + second.err
    assert f"0 of {2 * COUNT} measurements stored" in first.out
    assert f"0 of {2 * COUNT} measurements stored" in second.out
    assert f"{2 * COUNT} of {2 * COUNT} measurements stored in .flatproof/runs.sqlite, 0 to do" in again.out
    loops, folders = (rows(folder / "correlation" / name / "table_1.csv") for name in ("loops", "folders"))
    assert loops == folders
    files = {path.name for path in (folder / "correlation/loops").iterdir()}
    assert files == {
        *(f"table_{i}.{end}" for i in (1, 2) for end in ("md", "tex", "csv", "json")),
        *(f"figure_{i}.{end}" for i in (1, 2) for end in ("png", "pdf", "json")),
        "index.html",
    }
    assert 'src="figure_2.png"' in (folder / "correlation/folders/index.html").read_text(encoding="utf-8")
    more = run("--measures", "trace,sam")
    assert f"{COUNT} of {2 * COUNT} measurements stored" in more.out


def test_another_model_data_or_setting_is_measured_anew(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    folder, _, module = sweep
    assert run().status == 0
    for more in (["--samples", "30"], ["--seed", "1"], ["--dtype", "float64"], ["--loss", "mse"], ["--mode", "train"]):
        if more == ["--loss", "mse"]:
            np.savez(folder / "moons.npz", x=moons(40, 0)[0].numpy(), y=np.eye(2)[moons(40, 0)[1]])
        done = run(*more)
        kept = COUNT if more == ["--seed", "1"] else 0  # the worst case has no draws
        assert f"{kept} of {2 * COUNT} measurements" in done.out, done.err
    np.savez(folder / "renamed.npz", **dict(np.load(folder / "moons.npz")))
    assert f"{2 * COUNT} of {2 * COUNT} measurements" in run("--data", "renamed.npz", "--loss", "mse").out
    (folder / f"{module}.py").write_text((folder / f"{module}.py").read_text() + "# another\n")
    assert f"0 of {2 * COUNT} measurements" in run("--data", "renamed.npz", "--loss", "mse").out


def spoil(folder: Path, how: str) -> None:
    """Do something to a sweep."""
    path = folder / "loops" / "run-3.pth.tar"
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-300])
    elif how == "flipped":
        weight = torch.load(path, weights_only=True)["state_dict"]["module.0.weight"].numpy().tobytes()
        data = bytearray(path.read_bytes())
        data[data.index(weight)] ^= 1
        path.write_bytes(data)
    elif how == "foreign":
        path.write_text("a picture of a cat")
    elif how == "another network":
        torch.save({"0.weight": torch.ones(8, 2)}, path)
    elif how == "diverged":
        content = torch.load(path, weights_only=True)
        content["state_dict"]["module.2.bias"] *= torch.nan
        torch.save(content, path)
    elif how == "no row":
        (folder / "loops" / "more.pt").write_bytes(path.read_bytes())
    else:
        text = (folder / "errors.csv").read_text()
        lines = text.splitlines()
        if how == "no checkpoint":
            lines.append("run-9,0.1,0.1,mine,a")
        elif how == "twice":
            lines.append(lines[4])
        else:
            lines[4] = "run-3,,0.1,mine,a"
        (folder / "errors.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("how", "words", "left"),
    [
        ("truncated", "checkpoint loops/run-3.pth.tar is not a file that torch.load(weights_only=True) reads", COUNT - 1),
        ("flipped", "checkpoint loops/run-3.pth.tar is damaged: the checksum of", COUNT - 1),
        ("foreign", "checkpoint loops/run-3.pth.tar is not a file that torch.load(weights_only=True) reads", COUNT - 1),
        ("another network", "checkpoint loops/run-3.pth.tar does not fit the model: it lacks '0.bias' and 2 more", COUNT - 1),
        ("diverged", "run-3.pth.tar: trace not measured: the loss of the model on the data must be finite, got nan", COUNT - 1),
        ("no row", "the checkpoint more.pt has no row of errors", COUNT),
        ("no checkpoint", "the row 'run-9' has no checkpoint in loops", COUNT),
        ("twice", "errors.csv names 'run-3' in 2 rows", COUNT - 1),
        ("empty cell", "errors.csv has nothing as test_error of 'run-3'; expected a finite number", COUNT),
    ],
)
def test_what_does_not_fit_is_named_and_left_out_on_request(
    run: Run, sweep: tuple[Path, list[Any], str], how: str, words: str, left: int
) -> None:
    folder = sweep[0]
    spoil(folder, how)
    line = refused(run("--measures", "trace"))
    assert line.startswith(f"error: {words}")
    assert "--skip-broken leaves such out" in line
    assert not (folder / "correlation" / "loops").exists()
    done = run("--measures", "trace", "--skip-broken")
    assert done.status == 0, done.err
    assert "error: left out: " in done.err
    assert words.partition(" not measured")[0].partition(";")[0] in done.err
    counts = [tau["n"] for tau in json.loads(run("--measures", "trace", "--skip-broken", "--json").out)["correlations"]]
    assert counts == ([left - 1, left] if how == "empty cell" else [left, left])
    assert "Left out: " in (folder / "correlation/loops/table_1.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--checkpoints", "gone"], "--checkpoints must be a folder, gone is none"),
        (["--checkpoints", "."], "more lines like this); --skip-broken leaves such out"),
        (["--errors", "gone.csv"], "cannot use gone.csv: No such file"),
        (["--errors", "moons.npz"], "--errors moons.npz is not a text table"),
        (["--model", "nothing_here:make"], "there is no module 'nothing_here'"),
        (["--data", "gone.npz"], "cannot use gone.npz: No such file"),
        (["--loss", "mse"], "--loss mse: outputs (40, 2) and targets (40,) must have the same shape"),
        (["--loss", "hinge"], "--loss must be one of mse, cross-entropy"),
        (["--measures", "flat"], "unknown measure 'flat'"),
        (["--measures", ","], "--measures must name at least one measure"),
        (["--set", "trace.steps=3"], "trace has no setting 'steps'"),
        (["--set", "trace.products=none"], "run-0.pth.tar: trace, products none not measured: products must be"),
        (["--parameters", "9"], "parameters: '9' names nothing in the model"),
        (["--mode", "test"], "--mode must be one of eval, train"),
        (["--dtype", "int8"], "--dtype must be one of float32, float64"),
        (["--entry", "ema"], "holds no weights under 'ema'; it has state_dict"),
        (["--prefix", "student."], "has no tensor whose name begins with 'student.'"),
        (["--workers", "0"], "--workers must be a whole number of at least 1"),
        (["--m", "0"], "--m must be a whole number of at least 1"),
        (["--seed", "-1"], "--seed must be a whole number of at least 0"),
    ],
)
def test_bad_input_is_one_line(run: Run, more: list[str], words: str) -> None:
    assert words in refused(run(*more))


def test_a_missing_header_is_said_to_be_missing(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    path = sweep[0] / "errors.csv"
    path.write_text("".join(f"run-{number},0.{number + 1},0.{number + 20}\n" for number in range(COUNT)))
    assert "--errors errors.csv has no header: its first row, of 'run-0', was taken as the names of columns" in refused(run())


def test_only_what_may_have_been_broadcast_is_measured_anew() -> None:
    """Of targets (n,) addresses are what they were, SHA-256 of types, shapes and bytes; those of other shapes are new."""
    for shape in ((2,), (2, 1)):
        x, y = np.ones((2, 3), np.float32), np.arange(2).reshape(shape)
        old = hashlib.sha256(b"".join(f"torch.{a.dtype} {a.shape}\n".encode() + a.tobytes() for a in (x, y))).hexdigest()
        assert (digest_of_data([(torch.as_tensor(x), torch.as_tensor(y))]) == old) == (shape == (2,))


def test_two_checkpoints_say_nothing(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    lines = (sweep[0] / "errors.csv").read_text().splitlines()
    (sweep[0] / "errors.csv").write_text("\n".join(lines[:3]) + "\n")
    done = run("--skip-broken")
    assert done.status == 2
    assert (
        "2 checkpoints have errors and can be measured; expected at least 3; the checkpoint run-2.pth.tar has no row"
        in refused(done)
    )


def test_averaged_weights_are_named_and_measured_by_name(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    folder = sweep[0]

    def flatter(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v / 2 for k, v in state.items()}

    for path in (folder / "loops").iterdir():
        content = torch.load(path, weights_only=True)
        torch.save(content | {"state_dict_ema": flatter(content["state_dict"])}, path)
    said = run().out
    assert "run-0.pth.tar: prefix 'module.' taken off the names; it also holds state_dict_ema" in said
    assert "--entry state_dict_ema measures that" in said
    plain = rows(folder / "correlation/loops/table_2.csv")
    done = run("--entry", "state_dict_ema")
    assert done.status == 0, done.err
    averaged = rows(folder / "correlation/loops/table_2.csv")
    assert all(a["loss"] != b["loss"] for a, b in zip(plain, averaged, strict=True))


def test_a_measure_that_is_not_defined_is_left_out_alone(run: Run) -> None:
    line = refused(run("--measures", "trace,geodesic"))
    assert "geodesic not measured: geodesic sharpness is defined here for attention layers" in line
    done = run("--measures", "trace,geodesic", "--skip-broken", "--json")
    taus = json.loads(done.out)["correlations"]
    assert {(tau["sharpness"], tau["n"], tau["tau"] is None) for tau in taus} == {("trace", COUNT, False), ("geodesic", 0, True)}


def test_a_damaged_row_of_the_store_is_named(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    assert run().status == 0
    with sqlite3.connect(sweep[0] / ".flatproof/runs.sqlite") as connection:
        connection.execute("UPDATE jobs SET outcome = replace(outcome, '\"value\"', '\"other\"')")
    assert "is damaged: it was altered after it was written" in refused(run())


def test_safetensors_alone_are_checkpoints_too(run: Run, sweep: tuple[Path, list[Any], str]) -> None:
    folder, models, _ = sweep
    (folder / "flat").mkdir()
    for i, model in enumerate(models):
        (folder / "flat" / f"run-{i}.safetensors").write_bytes(safetensors(model.state_dict(), metadata=False))
    done = run("--measures", "trace", checkpoints="flat")
    assert done.status == 0, done.err
    assert run("--measures", "trace").status == 0
    assert rows(folder / "correlation/flat/table_1.csv") == rows(folder / "correlation/loops/table_1.csv")
