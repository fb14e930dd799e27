"""`flatproof data`: what it lists, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flatproof.verify import realdata
from flatproof.verify.realdata import files
from tests.unit.realdata.formats import write_timit


def test_what_is_not_there_is_listed(command: Callable[..., Any], tmp_path: Path) -> None:
    rows = json.loads(command("data", "list", "--root", str(tmp_path), "--json").out)
    assert [row["name"] for row in rows] == list(realdata.NAMES)
    assert {row["where"] for row in rows} == {realdata.UNAVAILABLE}


def test_damage_is_listed(command: Callable[..., Any], tmp_path: Path) -> None:
    files.put(tmp_path / "MNIST/raw/train-images-idx3-ubyte", b"short")
    write_timit(tmp_path)
    rows = {row["name"]: row for row in json.loads(command("data", "list", "--root", str(tmp_path), "--json").out)}
    assert "lacks train-labels-idx1-ubyte" in rows["mnist"]["verified"]
    assert rows["timit"]["samples"] == "4"  # of the last row, test
    files.put(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", b"short")
    done = command("data", "list", "--root", str(tmp_path))
    assert "holds 5 bytes" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "cifar100"], "cifar100 cannot be fetched: unpack cifar-100-python.tar.gz"),
        (["verify", "mnist"], "data not available on this machine: mnist, train: looked for MNIST/raw/train-images-idx3-ubyte"),
        (["verify", "svhn"], "data set must be one of"),
        (["fetch"], "Missing argument"),
    ],
)
def test_bad_input_is_one_line(refusal: Callable[[list[str]], str], tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in refusal(["data", *arguments, "--root", str(tmp_path)])
