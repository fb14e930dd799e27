"""The real command line: one clear line and exit status 2 for bad input, never a traceback, results otherwise."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command import COMMAND, here, in_a_process


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce", "--only", "wen2024"], "unknown id 'wen2024'; expected one of: wen2023"),
        (["reproduce", "wen2023/figure-0"], "unknown id 'wen2023/figure-0'"),
        (["reproduce", "--scale", "huge"], "scale must be one of smoke, quick, paper, got 'huge'"),
        (["reproduce", "--seeds", "0"], "--seeds must be a whole number of at least 1, got 0"),
        (["reproduce", "--seeds", "many"], "Invalid value for '--seeds'"),
        (["reproduce", "--workers", "-2"], "--workers must be a whole number of at least 1, got -2"),
        (["reproduce", "--workers", "0"], "--workers must be a whole number of at least 1, got 0"),
        (["reproduce", "--out", "/proc/nowhere"], "cannot use /proc/nowhere"),
        (["reproduce", "--data-root", "nowhere"], "--data-root must be a folder, nowhere is none"),
        (["reproduce", "--store", "text.txt"], "store text.txt is not a flatproof store"),
        (["reproduce", "--store", "newer.sqlite"], "has format 99, this version reads format"),
        (["report", "--store", "absent.sqlite"], "store absent.sqlite does not exist"),
        (["certify", "absent.csv"], "cannot use absent.csv: No such file or directory"),
        (["certify", "nan.csv"], "nan.csv, line 4, column 1 must be a finite number"),
        (["certify", "conflict.csv"], "rows 0 and 2 are the same point with labels 1 and 2"),
        (["certify", "conflict.csv", "--architecture", "bias"], "rows 0 and 2 are the same point with labels 1 and 2"),
        (["certify", "ray.csv"], "rows 0 and 1 lie on one ray with labels 1 and 1, which are not in proportion"),
        (["certify", "ray.csv", "--architecture", "sim-ln"], 'architecture must be no-bias, bias or sim-bn, got "sim-ln"'),
        (
            ["certify", "ray.csv", "--architecture", "bias", "--kinks", "soft"],
            "kinks must be one of differentiable, relu'(0)=0, got 'soft'",
        ),
        (["certify", "ray.csv", "--architecture", "bias", "--limit", "5"], "6 activation patterns, more than the limit of 5"),
        (["certify", "ray.csv", "--limit", "0"], "--limit must be a whole number of at least 1, got 0"),
        (["certify", "ray.csv", "--test", "one.csv"], "one.csv, line 1 must hold at least two numbers, the label last"),
        (["certify", "ray.csv", "--bracket", "0"], "--bracket must be a number of seconds above 0, got 0"),
        (["certify", "ray.csv", "--bracket", "5", "--test", "ray.csv"], "expected --test or --bracket, not both"),
        (["bench", "images", "--repeats", "0"], "--repeats must be a whole number of at least 1, got 0"),
        (["bench", "images", "--workload", "vit"], "workload must be one of mlp, batch 256; mlp, batch 64; C1, batch 256"),
        (["bench", "certify", "--repeats", "0"], "--repeats must be a whole number of at least 1, got 0"),
        (["train", "--architecture", "mlp"], "architecture must be one of no-bias, bias, sim-bn, sim-ln, got 'mlp'"),
        (["train", "--architecture", "bias", "--smoothing", "0.7"], "smoothing must be a number above 0 and below 0.5"),
        (["train", "--architecture", "sim-bn", "--activation", "softplus"], "'softplus' is for 'no-bias' and 'bias'"),
        (["train", "--architecture", "bias", "--depth", "4"], "depth must be 2 or 3, got 4"),
        (["train", "--architecture", "bias", "--smoothing", "0.2", "--data", "good.csv"], "entry 0 is 3; expected 'mse'"),
        (["train", "--architecture", "bias", "--n", "0"], "n must be a whole number of at least 1, got 0"),
        (["train", "--architecture", "bias", "--d", "-1"], "d must be a whole number of at least 1, got -1"),
        (["train", "--architecture", "bias", "--width", "0"], "width must be a whole number of at least 1, got 0"),
        (["train", "--architecture", "bias", "--seed", "-1"], "seed must be a whole number of at least 0"),
        (["train", "--architecture", "bias", "--lr", "nan"], "lr must be a finite number above 0"),
        (["train", "--architecture", "bias", "--data", "nan.csv"], "nan.csv, line 4, column 1 must be a finite number"),
        (
            ["train", "--architecture", "bias", "--data", "ragged.csv"],
            "ragged.csv, line 2 must hold 3 numbers like the first row, got 4",
        ),
        (
            ["train", "--architecture", "bias", "--data", "one.csv"],
            "one.csv, line 1 must hold at least two numbers, the label last",
        ),
        (["train", "--architecture", "bias", "--data", "counted.csv"], "line 1 counts columns 0 to 2; expected a point"),
        (
            ["train", "--architecture", "bias", "--data", "first_nan.csv"],
            "first_nan.csv, line 1, column 1 must be a finite number",
        ),
        (["train", "--architecture", "bias", "--data", "packed.gz"], "packed.gz is not a text table"),
        (["train", "--architecture", "bias", "--data", "huge.csv"], "they are too large"),
        (["train", "--architecture", "bias", "--epochs", "1" + 30 * "0"], "epochs must be a whole number of at most"),
        (["reproduce", "--seeds", "100000000"], "--seeds must be a whole number of at most 100000"),
        (["report", "--store", "damaged.sqlite"], "store damaged.sqlite cannot be read"),
        (["train", "--architecture", "bias", "--data", "absent.csv"], "absent.csv"),
        (["train", "--architecture", "bias", "--data", "good.csv", "--test", "wide.csv"], "test_x must have 2 columns"),
        (["train", "--architecture", "bias", "--test", "good.csv"], "--test needs --data"),
        (["train", "--architecture", "bias", "--labels", "classes"], "--labels says what the labels of --data are"),
        (["train", "--architecture", "bias", "--data", "codes.csv"], "y holds 0 and 1, which look like codes of classes"),
        (["train", "--architecture", "bias", "--data", "codes.csv", "--labels", "sign"], "labels must be auto, classes or real"),
        (
            ["train", "--architecture", "bias", "--data", "signs.csv", "--test", "codes.csv"],
            "test_y must hold nothing but -1 and 1",
        ),
        (["certify", "codes.csv"], "y holds 0 and 1, which look like codes of classes; expected -1 and 1"),
        (["certify", "codes.csv", "--labels", "real", "--test", "codes.csv"], "expected labels -1 and 1 in codes.csv, got real"),
        (
            ["claims", "wen2023/lemma-9.9"],
            "unknown statement 'wen2023/lemma-9.9'; expected an id of the ledger, such as wen2023/",
        ),
        (["claims", "--store", "text.txt"], "store text.txt is not a flatproof store"),
        (["train"], "Missing option"),
        (["bench", "train", "--repeats", "0"], "--repeats must be a whole number of at least 1"),
        (["bench", "hvp", "--rounds", "0"], "--rounds must be a whole number of at least 1, got 0"),
        (["bench", "hvp", "--workload", "lenet"], "--workload must be one of two-layer, mlp, vgg11, resnet18, vit, got 'lenet'"),
        (["bench", "hvp", "--out", "/proc/nowhere"], "cannot use /proc/nowhere"),
        (["sharpness", "--model", "text", "--data", "good.csv"], "--model must be module:function, got 'text'"),
        (["sharpness", "--model", "text:make", "--data", "good.csv"], "--model text:make: there is no module 'text'"),
        (["teleport"], "No such command 'teleport'"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    write_csv(tmp_path / "text.txt", "not a database")
    write_csv(tmp_path / "nan.csv", "1,2,3\n\n# a comment\nnan,2,3\n")
    write_csv(tmp_path / "ragged.csv", "1,2,3\n1,2,3,4\n")
    write_csv(tmp_path / "one.csv", "1\n2\n")
    write_csv(tmp_path / "counted.csv", "0,1,2\n5,6,7\n")
    write_csv(tmp_path / "first_nan.csv", "nan,nan,nan\n5,6,7\n")
    write_csv(tmp_path / "huge.csv", "1e200,2,1\n")
    (tmp_path / "packed.gz").write_bytes(b"\x1f\x8b\x08\x00garb")
    write_csv(tmp_path / "good.csv", "a,b,y\n1,2,3\n2,1,-1\n")
    write_csv(tmp_path / "wide.csv", "1,2,3,1\n")
    write_csv(tmp_path / "codes.csv", "1,2,0\n3,1,1\n2,2,0\n")
    write_csv(tmp_path / "signs.csv", "1,2,-1\n3,1,1\n2,2,-1\n")
    write_csv(tmp_path / "conflict.csv", "1,2,1\n3,1,0\n1,2,2\n")
    write_csv(tmp_path / "ray.csv", "1,2,1\n2,4,1\n3,6,1\n")
    with sqlite3.connect(tmp_path / "newer.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("PRAGMA application_id = 0x464C5052")
    with sqlite3.connect(tmp_path / "damaged.sqlite") as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA application_id = 0x464C5052")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    done = here(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_only_takes_several_ids(tmp_path: Path) -> None:
    done = here("reproduce", "--only", "wen2023/figure-1a", "wen2024", cwd=tmp_path)
    assert "unknown id 'wen2024'" in done.stderr


def test_train_on_own_points(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    frame = pd.DataFrame(np.column_stack([x, np.sign(x[:, 0])]), columns=["a", "b", "c", "label"])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    done = here(
        "train", "--architecture", "bias", "--data", "mine.csv", "--test", "mine.csv", "--epochs", "200", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["status"] == "finished"
    assert said["curve"]["test_accuracy"][-1] > 0.9
    alone = here("train", "--architecture", "bias", "--data", "mine.csv", "--epochs", "5", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "test" not in alone.stdout  # no test set, no test error
    frame["label"] = (frame["label"] + 1) / 2
    frame.to_csv(tmp_path / "codes.csv", index=False)
    arguments = ["--data", "codes.csv", "--test", "codes.csv", "--epochs", "200", "--json"]
    for labels, curve in (("classes", said["curve"]), ("real", None)):
        made = here("train", "--architecture", "bias", *arguments, "--labels", labels, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        found = json.loads(made.stdout)
        assert ("test_accuracy" in found["curve"]) == (curve is not None)
        assert curve in (None, found["curve"])
    text = here("train", "--architecture", "sim-ln", "--d", "4", "--n", "8", "--width", "8", "--epochs", "5", cwd=tmp_path)
    assert "lower bound" in text.stdout
    soft = ("train", "--architecture", "bias", "--activation", "softplus", "--smoothing", "0.2", "--d", "4", "--epochs", "2")
    assert json.loads(here(*soft, "--json", cwd=tmp_path).stdout)["lower_bound"] is None
    assert "lower bound –" in here(*soft, cwd=tmp_path).stdout


def results(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_killed_sweep_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL in the middle, twice; what was stored stays, and every file equals that of a sweep that nobody disturbed."""
    figures = [f"wen2023/figure-{f}" for f in ("1a", "1b", "2a", "4a", "4b", "6a")]
    arguments = [
        "reproduce",
        "wen2023/table-1",
        *figures,
        "--scale",
        "smoke",
        "--seeds",
        "3",
        "--out",
        "out",
        "--store",
        "s.sqlite",
    ]
    whole = tmp_path / "whole"
    whole.mkdir()
    done = here(*arguments, "--workers", "1", cwd=whole)
    assert done.returncode == 0, done.stderr
    killed = tmp_path / "killed"
    killed.mkdir()
    stored = 0
    for lines in (3, 4):
        process = subprocess.Popen(
            [*COMMAND, *arguments, "--workers", "2"], cwd=killed, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with sqlite3.connect(killed / "s.sqlite") as connection:
            now = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        assert stored + lines - 1 <= now < 18
        stored = now
    last = in_a_process(*arguments, "--workers", "2", cwd=killed)
    assert last.returncode == 0, last.stderr
    assert f"18 runs at scale smoke: {stored} stored in s.sqlite, {18 - stored} to do" in last.stdout
    assert results(killed / "out") == results(whole / "out")
    rebuilt = here("report", *arguments[1:-4], "--out", "again", "--store", "s.sqlite", cwd=killed)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert results(killed / "again") == results(whole / "out")
    names = set(results(whole / "out"))
    assert {"index.html", *(f"wen2023/smoke_scale/table_1.{suffix}" for suffix in ("md", "tex", "csv"))} <= names
    assert {f"wen2023/smoke_scale/figure_{f}.{e}" for f in ("1a", "1b", "2a", "4a", "4b", "6a") for e in ("png", "pdf")} <= names
    raw = pd.read_csv(whole / "out/wen2023/smoke_scale/table_1.csv", comment="#")
    assert list(raw["architecture"]) == ["no-bias", "bias", "sim-bn", "sim-ln"]


def test_networks_on_images_without_any_data(tmp_path: Path) -> None:
    """keskar2017 whole: killed in the middle, gone on with, rebuilt from the store; what has no data says so."""
    (tmp_path / "nothing").mkdir()
    environment = {"FLATPROOF_DATA": str(tmp_path / "nothing")}
    arguments = ["keskar2017", "--scale", "smoke", "--seeds", "1"]
    process = subprocess.Popen(
        [*COMMAND, "reproduce", *arguments, "--workers", "1"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for _ in range(8):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = in_a_process("reproduce", *arguments, "--workers", "2", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert ": 0 stored" not in done.stdout
    again = here("reproduce", *arguments, "--workers", "2", "--out", "again", cwd=tmp_path, env=environment)
    assert ", 0 to do" in again.stdout
    assert results(tmp_path / "again") == results(tmp_path / "paper_results")
    folder = tmp_path / "paper_results/keskar2017/smoke_scale"
    tables = {*(f"table_{i}" for i in range(1, 5)), "eigenvalues", "distances", "remedies", "claims", "trainings"}
    assert {p.stem for p in folder.iterdir()} == {*tables, *(f"figure_{i}" for i in range(2, 8))}
    said = (folder / "table_2.md").read_text().splitlines()
    assert all("data not available on this machine" in line for line in said if line.startswith(("| F2", "| C3", "| C4")))
    measured = [line for line in said if line.startswith(("| F1", "| C1", "| C2"))]
    assert len(measured) == 3
    assert not any("data not available" in line for line in measured)
    assert "not judged" in (folder / "claims.md").read_text()


def test_tensorboard_is_optional(tmp_path: Path) -> None:
    """Without the package one line says what to install, before anything is run."""
    (tmp_path / "tensorboard.py").write_text("raise ImportError('none here')\n")
    hidden = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    arguments = [
        "reproduce",
        "keskar2017/table-2",
        "--scale",
        "smoke",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--tensorboard",
        "board",
    ]
    done = in_a_process(*arguments, cwd=tmp_path, env=hidden)
    assert done.returncode == 2
    assert "--tensorboard needs the package tensorboard" in done.stderr
    assert not (tmp_path / ".flatproof").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_end_with_a_killed_sweep(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "reproduce", "wen2023/figure-4b", "--workers", "2", "--seeds", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def alive() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == process.pid and fields[0] != "Z":  # session id: the killed command's
                found.append(int(path.parent.name))
        return found

    deadline = time.monotonic() + 60
    while len(alive()) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(5)  # the workers are training by now
    assert len(alive()) >= 3
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while alive() and time.monotonic() < deadline:
        time.sleep(0.2)
    left = alive()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_a_wrong_backend_is_one_line(tmp_path: Path) -> None:
    arguments = ["reproduce", "wen2023/figure-6a", "--scale", "smoke", "--workers", "2"]
    for extra in ({"FLATPROOF_BACKEND": "nope"}, {"FLATPROOF_BACKEND_MODULE": "no_such_module"}):
        done = here(*arguments, cwd=tmp_path, env=extra)
        assert done.returncode == 2, done.stderr
        assert "cannot run a sweep" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_figure_alone_writes_its_own_files(tmp_path: Path) -> None:
    """And leaves other people's files in the output folder alone."""
    other = tmp_path / "paper_results/other/package.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"name": 1}')
    done = here("reproduce", "wen2023/figure-6a", "--scale", "smoke", "--seeds", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "paper_results/wen2023/smoke_scale").iterdir()) == [
        "figure_6a.json",
        "figure_6a.pdf",
        "figure_6a.png",
    ]


def test_a_report_replaces_no_fuller_result(tmp_path: Path) -> None:
    """Two seeds stay where one would take their place; --force replaces them; the page shows what lies there."""
    (tmp_path / "paper_results/wen2023").mkdir(parents=True)
    committed = tmp_path / "paper_results/wen2023/figure_6a.png"
    committed.write_bytes(b"committed")
    arguments = ["wen2023/figure-6a", "--scale", "smoke"]
    done = here("reproduce", *arguments, "--seeds", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before = results(tmp_path / "paper_results")
    again = here("report", *arguments, "--seeds", "2", cwd=tmp_path)
    assert "kept" not in again.stdout
    fewer = here("report", *arguments, "--seeds", "1", cwd=tmp_path)
    assert fewer.returncode == 0, fewer.stderr
    (line,) = (line for line in fewer.stdout.splitlines() if line.startswith("kept"))
    assert "wen2023/figure-6a, 6a sim-ln, 1-SAM: 2 there, 1 here" in line
    assert "--force" in line
    after = results(tmp_path / "paper_results")
    assert {name for name in after if after[name] != before[name]} <= {"index.html"}
    assert "2 seeds" in (tmp_path / "paper_results/index.html").read_text()
    forced = here("report", *arguments, "--seeds", "1", "--force", cwd=tmp_path)
    assert "kept" not in forced.stdout
    assert "1 of 1 seeds" in (tmp_path / "paper_results/index.html").read_text()
    assert committed.read_bytes() == b"committed"


def test_claims_in_full_and_as_json(tmp_path: Path) -> None:
    done = here("claims", "wen2023/proposition-4.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "status     refuted" in done.stdout
    assert "fails in   statement: boundary" in done.stdout
    assert "corrected  For every n >= 3" in done.stdout
    assert "The same with r = (d+1)^(1/4)" in done.stdout
    assert "rests on   wen2023/equation-3, as printed" in done.stdout
    as_json = here("claims", "--json", "wen2023/proposition-4.2", "wen2023/lemma-4.1", "wen2023/figure-5a", cwd=tmp_path)
    said = json.loads(as_json.stdout)
    assert [c["id"] for c in said] == ["wen2023/proposition-4.2", "wen2023/lemma-4.1", "wen2023/figure-5a"]
    assert {"id", "status", "target", "severity", "reading", "printed", "corrected", "evidence", "depends_on"} <= set(said[0])
    assert (said[0]["target"], said[0]["severity"]) == ("statement", "boundary")
    assert {"id": "wen2023/equation-3", "form": "printed"} in said[0]["depends_on"]
    assert [c["status"] for c in said] == ["refuted", "proved", "open"]
    assert said[1]["corrected"] is None
    assert list(tmp_path.iterdir()) == []


def test_certify_writes_a_network_and_a_proof_that_stand_alone(tmp_path: Path) -> None:
    cube = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    write_csv(tmp_path / "train.csv", "".join(f"{a},{b},{c},{a * b}\n" for a, b, c in cube[:-1]))
    write_csv(tmp_path / "test.csv", "".join(f"{a},{b},{c},{a * b}\n" for a, b, c in cube))
    for architecture, answer in (("no-bias", "all"), ("bias", "not all")):
        done = here("certify", "train.csv", "--architecture", architecture, "--test", "test.csv", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["decision"]["answer"] == answer
        assert 0 <= said["gap"] < 1e-6
        network = json.loads((tmp_path / said["files"]["network"]).read_text())
        assert network["trace"] == pytest.approx(said["trace"])
        assert ("witness" in said["files"]) == (answer != "all")
        checker = Path(__file__).parents[2] / "theory/check_certificate.py"
        proof = tmp_path / said["files"]["certificate"]
        checked = subprocess.run([sys.executable, "-I", "-S", checker, proof], capture_output=True, text=True, check=True)
        assert checked.stdout.startswith("valid: every interpolating network has trace >= ")
        proof.write_text(proof.read_text().replace('"lower": "', '"lower": "1'))
        assert subprocess.run([sys.executable, checker, proof], capture_output=True, check=False).returncode == 1
    searched = here("certify", "train.csv", "--bracket", "20", "--json", cwd=tmp_path)
    assert searched.returncode == 0, searched.stderr
    both = json.loads(searched.stdout)
    certified = json.loads(here("certify", "train.csv", "--json", cwd=tmp_path).stdout)
    assert both["lower_bound"] <= certified["trace"] <= both["upper"] * (1 + 1e-6)
    shown = here("certify", "train.csv", "--test", "test.csv", cwd=tmp_path)
    assert "all flattest networks classify every test point correctly" in shown.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    done = in_a_process("--help", cwd=tmp_path)
    assert done.returncode == 0
    for name in ("reproduce", "report", "claims", "certify", "train", "bench"):
        assert name in done.stdout


def test_what_every_command_imports_leaves_torch_out() -> None:
    code = (
        "import sys, flatproof.verify.cli.main, flatproof.verify.cli.progress, flatproof.verify.experiments; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


@pytest.mark.parametrize(
    ("experiment", "runs", "tables", "figures"),
    [("imagenet", 6, 2, 1), ("kaur2023", 15, 3, 4)],
)
def test_an_experiment_at_scale_smoke_needs_no_data(
    tmp_path: Path, experiment: str, runs: int, tables: int, figures: int
) -> None:
    arguments = [
        "reproduce",
        experiment,
        "--scale",
        "smoke",
        "--seeds",
        "1",
        "--workers",
        "1",
        "--store",
        "s.sqlite",
        "--out",
        "out",
    ]
    empty = {"HOME": str(tmp_path), "FLATPROOF_DATA": str(tmp_path / "nothing")}
    done = here(*arguments, cwd=tmp_path, env=empty)
    assert done.returncode == 0, done.stderr
    assert f"{runs} runs at scale smoke: 0 stored in s.sqlite, {runs} to do" in done.stdout
    written = {p.name for p in (tmp_path / "out" / experiment / "smoke_scale").iterdir()}
    for suffix in ("md", "tex", "csv", "json"):
        assert {f"table_{i}.{suffix}" for i in range(1, tables + 1)} <= written
    assert {f"figure_{i}.{suffix}" for i in range(1, figures + 1) for suffix in ("pdf", "png")} <= written
    before = results(tmp_path / "out")
    again = here(*arguments, cwd=tmp_path, env=empty)
    assert f"{runs} runs at scale smoke: {runs} stored in s.sqlite, 0 to do" in again.stdout
    assert results(tmp_path / "out") == before
