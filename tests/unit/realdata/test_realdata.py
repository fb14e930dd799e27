"""The command `flatproof data`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flatproof.verify import realdata
from flatproof.verify.cli import data as listing
from flatproof.verify.realdata import files
from flatproof.verify.utils.errors import UserError
from tests.unit.realdata.formats import write_timit


def test_the_command_lists_what_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(listing.app, ["list", "--root", str(tmp_path), "--json"])
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == list(realdata.NAMES)
    assert {row["where"] for row in rows} == {realdata.UNAVAILABLE}


def test_the_command_lists_damage(tmp_path: Path) -> None:
    files.put(tmp_path / "MNIST/raw/train-images-idx3-ubyte", b"short")
    write_timit(tmp_path)
    done = CliRunner().invoke(listing.app, ["list", "--root", str(tmp_path), "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert "lacks train-labels-idx1-ubyte" in rows["mnist"]["verified"]
    assert rows["timit"]["samples"] == "4"  # of the last row, test
    files.put(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", b"short")
    done = CliRunner().invoke(listing.app, ["list", "--root", str(tmp_path)])
    assert "holds 5 bytes" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "cifar100"], "cifar100 cannot be fetched: unpack cifar-100-python.tar.gz"),
        (["verify", "mnist"], "data not available on this machine: mnist, train: looked for MNIST/raw/train-images-idx3-ubyte"),
        (["verify", "svhn"], "data set must be one of"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(listing.app, [*arguments, "--root", str(tmp_path)])
    assert isinstance(done.exception, UserError)
    assert words in str(done.exception)
    assert "\n" not in str(done.exception)
