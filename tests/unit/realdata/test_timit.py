"""TIMIT's features."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flatproof.verify import realdata
from flatproof.verify.realdata import timit
from flatproof.verify.realdata.samples import Damaged
from tests.unit.realdata.changes import CHANGES, positions
from tests.unit.realdata.formats import timit_arrays, write_timit


def test_timit_features_are_read_and_standardized(tmp_path: Path) -> None:
    write_timit(tmp_path, classes=np.array(["aa", "b", "sil"]))
    truth = timit_arrays()
    for split in ("train", "test"):
        images = realdata.load("timit", tmp_path, split)
        assert np.array_equal(images.x, truth[f"{split}_x"])
        assert np.array_equal(images.y, truth[f"{split}_y"])
        assert images.classes == ("aa", "b", "sil")
    x, _ = realdata.load("timit", tmp_path).tensors(torch.float64)
    assert np.allclose(x.mean(0), 0, atol=1e-6)
    assert np.allclose(x.std(0, correction=0), [1, 1, 1, 1, 0], atol=1e-6)
    assert realdata.check("timit", tmp_path)[1].samples == 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"test_x": None}, "expected .'test_x', 'test_y', 'train_x', 'train_y'."),
        ({"extra": np.zeros(2)}, "holds arrays .'extra'"),
        ({"train_x": np.zeros((9, 5), dtype=complex)}, r"train_x must be real numbers \(n, d\)"),
        ({"train_x": np.zeros((9, 4))}, "test_x has 5 features, expected 4 as train_x"),
        ({"train_x": np.full((9, 5), np.nan)}, "train_x must be finite, row 0 is not"),
        ({"train_y": np.zeros(8, dtype=int)}, "train_y must be 9 whole numbers"),
        ({"train_y": np.zeros(9)}, "train_y must be 9 whole numbers"),
        ({"test_y": np.array([0, 1, -1, 0])}, "test_y must be from 0, got -1 to 1"),
        ({"classes": np.array(["a", "b"]), "test_y": np.array([0, 0, 2, 0])}, "label of sample"),
        ({"classes": np.zeros(3)}, "classes must be a list of names"),
    ],
)
def test_timit_of_another_form_is_refused(tmp_path: Path, changed: dict[str, NDArray[np.generic]], words: str) -> None:
    write_timit(tmp_path, **changed)
    with pytest.raises(Damaged, match=words):
        realdata.load("timit", tmp_path)


def test_arrays_there_twice_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_timit(tmp_path)
    monkeypatch.setattr(timit, "LARGEST", 100)
    with pytest.raises(Damaged, match="decompresses to more than 100 bytes"):
        realdata.load("timit", tmp_path)
    monkeypatch.undo()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("train_x.npy", b"")
    with pytest.raises(Damaged, match=r"holds train_x.npy twice"):
        realdata.load("timit", tmp_path)


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255), compressed=st.booleans())
def test_altered_timit_is_never_silently_wrong(
    tmp_path_factory: pytest.TempPathFactory,
    change: Callable[[bytes, int, int], bytes],
    at: int,
    amount: int,
    compressed: bool,
) -> None:
    root = tmp_path_factory.getbasetemp()
    truth = timit_arrays() | {"classes": np.array(["aa", "b", "sil"])}
    path = write_timit(root, classes=truth["classes"])
    if not compressed:
        np.savez(path, **truth)
    path.write_bytes(change(path.read_bytes(), at, amount))
    try:
        images = realdata.load("timit", root)
    except Damaged:
        return
    assert np.array_equal(images.x, truth["train_x"])
    assert np.array_equal(images.y, truth["train_y"])
    assert images.classes == ("aa", "b", "sil")
