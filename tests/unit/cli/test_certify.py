"""`flatproof certify`: what it refuses, what it prints."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatproof import synth, theory
from flatproof.theory.constructions import memorizing_network
from flatproof.verify.cli import certify, steps
from flatproof.verify.cli.endings import Signalled


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["certify", "absent.csv"], "cannot use absent.csv: No such file or directory"),
        (["certify", "nan.csv"], "nan.csv, line 4, column 1 must be a finite number"),
        (["certify", "conflict.csv"], "conflict.csv, lines 1 and 3 are the same point with labels 1 and 2"),
        (
            ["certify", "conflict.csv", "--architecture", "bias"],
            "conflict.csv, lines 1 and 3 are the same point with labels 1 and 2",
        ),
        (["certify", "ray.csv"], "ray.csv, lines 1 and 2 lie on one ray with labels 1 and 1, which are not in proportion"),
        (["certify", "ray.csv", "--architecture", "foo"], "error: architecture must be no-bias, bias or sim-bn, got 'foo'"),
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
        (["certify", "codes.csv"], "y holds 0 and 1, which look like codes of classes; expected -1 and 1"),
        (["certify", "codes.csv", "--labels", "real", "--test", "codes.csv"], "expected labels -1 and 1 in codes.csv, got real"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], arguments: list[str], words: str) -> None:
    assert words in refusal(arguments)


def test_a_network_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, network = tmp_path / "network.json", memorizing_network(np.eye(2), [1.0, -1.0])
    certify._write(path, network, trace=1.0)
    before = path.read_bytes()

    def fails(draft: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="No space left"):
        certify._write(path, network, trace=2.0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_test_labels_are_checked_before_the_solve(refusal: Callable[[list[str]], str], monkeypatch: pytest.MonkeyPatch) -> None:
    def solved(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("flatproof.theory.flattest", solved)
    assert "test_y must hold nothing but -1 and 1" in refusal(["certify", "signs.csv", "--test", "codes.csv"])
    assert "wide.csv must have 3 columns as signs.csv has" in refusal(["certify", "signs.csv", "--test", "wide.csv"])


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [(ArithmeticError("too near"), 2, "too near; "), (ValueError("thin"), 2, "thin; "), (Signalled(2), 130, "interrupted: ")],
)
def test_what_is_solved_is_kept_where_the_decision_fails(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, status: int, words: str
) -> None:
    (tmp_path / "p.csv").write_text("1,2,1\n2,1,-1\n")
    told: list[str] = []

    def fails(*_: object, note: Callable[[str], None], **__: object) -> None:
        told.extend(path.name for path in tmp_path.iterdir())
        raise failure

    monkeypatch.setattr("flatproof.theory.decide", fails)
    done = command("certify", "p.csv", "--test", "p.csv")
    assert (done.status, done.err.count("\n")) == (status, 1)
    assert f"{words}the flattest network and its certificate are written: p.no-bias.certificate.json" in done.err
    assert {"p.no-bias.certificate.json", "p.no-bias.network.json"} <= {*told}


def test_certify_tells_what_it_does() -> None:
    told: list[str] = []
    solution = theory.flattest(np.eye(2), [1.0, -1.0], note=told.append)
    theory.decide(synth.given(np.eye(2), [1, -1], np.eye(2), [1, -1]), solution=solution, note=told.append)
    assert told[0] == "listing activation patterns"
    assert any(line.startswith("solving over ") for line in told)
    assert "test point 2 of 2" in told


def test_steps_are_lines_off_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(steps, "APART", 0.0)
    with steps.steps() as note:
        note("solving, round 1")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "solving, round 1 (0 s)\n"


def test_certify_writes_a_network_and_a_proof_that_stand_alone(command: Callable[..., Any], tmp_path: Path) -> None:
    cube = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    (tmp_path / "train.csv").write_text("".join(f"{a},{b},{c},{a * b}\n" for a, b, c in cube[:-1]))
    (tmp_path / "test.csv").write_text("".join(f"{a},{b},{c},{a * b}\n" for a, b, c in cube))
    for architecture, answer in (("no-bias", "all"), ("bias", "not all")):
        done = command("certify", "train.csv", "--architecture", architecture, "--test", "test.csv", "--json")
        assert done.status == 0, done.err
        printed = json.loads(done.out)
        assert printed["decision"]["answer"] == answer
        assert 0 <= printed["gap"] < 1e-6
        network = json.loads((tmp_path / printed["files"]["network"]).read_text())
        assert network["trace"] == pytest.approx(printed["trace"])
        assert ("witness" in printed["files"]) == (answer != "all")
        checker = Path(__file__).parents[3] / "theory/check_certificate.py"
        proof = tmp_path / printed["files"]["certificate"]
        checked = subprocess.run([sys.executable, "-I", "-S", checker, proof], capture_output=True, text=True, check=True)
        assert checked.stdout.startswith("valid: every interpolating network has trace >= ")
        proof.write_text(proof.read_text().replace('"lower": "', '"lower": "1'))
        assert subprocess.run([sys.executable, checker, proof], capture_output=True, check=False).returncode == 1
    searched = command("certify", "train.csv", "--bracket", "20", "--json")
    assert searched.status == 0, searched.err
    both = json.loads(searched.out)
    certified = json.loads(command("certify", "train.csv", "--json").out)
    assert both["lower_bound"] <= certified["trace"] <= both["upper"] * (1 + 1e-6)
    shown = command("certify", "train.csv", "--test", "test.csv")
    assert "all flattest networks classify every test point correctly" in shown.out


def test_what_certify_names_is_what_the_checker_takes(command: Callable[..., Any], tmp_path: Path) -> None:
    """A file with comments is not the one to check by: its points are written out, and named."""
    checker = Path(__file__).parents[3] / "theory/check_certificate.py"
    for text, plain in (("a,b,label\n1,2,1\n3,4,-1\n#end\n", False), ("# c\n1,2,1\n3,4,-1\n", True)):
        (tmp_path / "c.csv").write_text(text, encoding="utf-8")
        files = json.loads(command("certify", "c.csv", "--architecture", "bias", "--json").out)["files"]
        assert ("points" in files) == (not plain)
        checked = [sys.executable, str(checker), "--data", files.get("points", "c.csv"), files["certificate"]]
        done = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_cannot_be_written_is_named(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, data: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "p.csv").write_text("1,2,1\n", encoding="utf-8")
    monkeypatch.setattr(Path, "write_bytes", refused)
    done = command("certify", "p.csv", "--out", "kept")
    assert (done.status, done.err) == (2, "error: cannot use kept: Permission denied\n")


def test_a_wide_gap_is_explained(command: Callable[..., Any], tmp_path: Path) -> None:
    inputs = (0.30000036457239615, 0.3000013645723961, 0.3000000284222413, -1.2999994532870134)
    inputs += (0.899999263545913, 0.39999983709005205, -0.5000004821193127, 0.6000005988462126)
    rows = zip(inputs, (1, -1, -1, -1, 1, -1, 1, 1), strict=True)
    (tmp_path / "near.csv").write_text("".join(f"{x!r},{y}\n" for x, y in rows), encoding="utf-8")
    printed = json.loads(command("certify", "near.csv", "--architecture", "bias", "--json").out)
    assert printed["gap"] > 0.1
    (why,) = printed["notes"]
    assert why.startswith("near.csv, lines 1 and 3 are dependent up to ")
    assert why.endswith(" of their size: double precision leaves this gap")
    assert command("certify", "near.csv", "--architecture", "bias").out.splitlines()[3] == why


def test_points_that_nearly_coincide_are_solved(command: Callable[..., Any], tmp_path: Path) -> None:
    """Up to 1e-5 the flattest network is that of three neurons: of points 1 and 3, of 3 alone and of 2 alone."""
    (tmp_path / "near.csv").write_text("2,2,1\n1,-1,-1\n2,2.00001,-1\n", encoding="utf-8")
    printed = json.loads(command("certify", "near.csv", "--json").out)
    assert printed["trace"] == pytest.approx(4 / 3 * (4 * 2**0.5 + 2 * 8**0.5 + 2**0.5), rel=1e-5)
    assert printed["gap"] < 1e-6
    assert "notes" not in printed
