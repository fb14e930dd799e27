"""Which checkpoints lie in a folder, and which of them a row means."""

from pathlib import Path

import pytest

from flatproof.verify.experiments.own_sweep.matching import checkpoints, matched

FILES = [
    "a.pt",
    "b.pth.tar",
    "notes.txt",
    ".hidden.pt",
    ".cache/x.pt",
    "run_1/last.ckpt",
    "run_2/last.ckpt",
    "run_2/best.ckpt",
    "bert/model.safetensors",
    "bert/config.json",
    "bert/optimizer.pt",
    "bert/checkpoint-5/pytorch_model.bin",
    "bert/checkpoint-5/scheduler.pt",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "sweep" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sweep" / name).write_bytes(b"x")
    return tmp_path / "sweep"


def test_files_and_saved_folders_are_checkpoints(folder: Path) -> None:
    names = [checkpoint.name for checkpoint in checkpoints(folder)]
    assert names == ["a.pt", "b.pth.tar", "bert", "bert/checkpoint-5", "run_1/last.ckpt", "run_2/best.ckpt", "run_2/last.ckpt"]


def test_a_folder_can_be_a_checkpoint_itself(folder: Path) -> None:
    assert [checkpoint.name for checkpoint in checkpoints(folder / "bert")] == ["bert", "checkpoint-5"]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("a.pt", "a.pt"),
        ("a", "a.pt"),
        ("./a.pt", "a.pt"),
        ("b", "b.pth.tar"),
        ("bert/", "bert"),
        ("checkpoint-5", "bert/checkpoint-5"),
        ("run_1", "run_1/last.ckpt"),
        ("run_2/last", "run_2/last.ckpt"),
        ("best.ckpt", "run_2/best.ckpt"),
        ("FOLDER/a.pt", "a.pt"),
    ],
)
def test_a_row_names_a_checkpoint(folder: Path, row: str, name: str) -> None:
    pairs, faults = matched(folder, checkpoints(folder), [row.replace("FOLDER", str(folder))])
    assert pairs[0].name == name
    assert len(faults) == 6  # the others have no row
    assert all("has no row of errors" in fault for fault in faults)


def test_mismatches_are_named(folder: Path) -> None:
    there = [checkpoint for checkpoint in checkpoints(folder) if checkpoint.name.startswith(("a", "run_2"))]
    pairs, faults = matched(folder, there, ["a", "a.pt", "run_2", "z"])
    assert pairs == {}
    assert faults == [
        f"the row 'run_2' could mean run_2/best.ckpt, run_2/last.ckpt; expected the path of one below {folder}",
        f"the row 'z' has no checkpoint in {folder}",
        "the checkpoint a.pt has the rows 'a' and 'a.pt'",
        "the checkpoint run_2/best.ckpt has no row of errors",
        "the checkpoint run_2/last.ckpt has no row of errors",
    ]


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--checkpoints must be a folder"):
        checkpoints(tmp_path / "gone")
    with pytest.raises(ValueError, match="holds no checkpoint; expected files"):
        checkpoints(tmp_path)
