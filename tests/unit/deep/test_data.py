"""Images in memory: their layout, synthetic ones, and files that were replaced."""

from pathlib import Path

import pytest
import torch

from flatproof.verify.deep import ImageData, Stop, samples, trained
from flatproof.verify.deep.data import picked
from flatproof.verify.utils.errors import UserError
from tests.unit.deep.trainings import IMAGES, SPOKEN, job, write_timit


def test_picked_images_keep_values_and_layout() -> None:
    x, index = samples(IMAGES).train_x, torch.tensor([5, 0, 5])
    out = picked(x, index)
    assert torch.equal(out, x[index])
    assert out.stride()[1:] == x.stride()[1:]
    flat = torch.randn(4, 7)
    assert torch.equal(picked(flat, index.clamp(max=3)), flat[index.clamp(max=3)])


def test_fewer_synthetic_images_are_the_first_of_more() -> None:
    few, more = (samples(ImageData("synthetic", n, k, {"side": 4, "noise": 2.0})) for n, k in ((40, 15), (90, 70)))
    for split, n in (("train", 40), ("test", 15)):
        for part in "xy":
            assert torch.equal(getattr(few, f"{split}_{part}"), getattr(more, f"{split}_{part}")[:n])
    assert not torch.equal(more.train_x[:70], more.test_x)
    assert float(more.train_x.std()) == pytest.approx(1, abs=0.1)


def test_replaced_files_are_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was trained on the old file is used for the new one; put back, the old one has its old address."""
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path / "data"))
    assert ImageData("timit").edition == "not on this machine"
    write_timit(tmp_path / "data")
    old = job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1))
    losses = trained(old)[1]["curve"]["train_loss"]
    write_timit(tmp_path / "data", seed=1)
    new = job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1))
    assert new.key != old.key
    assert new != old
    assert trained(new)[1]["curve"]["train_loss"] != losses
    samples.cache_clear()
    with pytest.raises(UserError, match="the files of timit were replaced: expected edition"):
        samples(old.data)
    write_timit(tmp_path / "data")
    assert job(data=ImageData("timit", 50), net=SPOKEN, stop=Stop(1)).key == old.key
