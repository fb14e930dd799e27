"""Images in memory: their layout, synthetic ones, and files that were replaced."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flatproof.verify import realdata
from flatproof.verify.deep import ImageData, Stop, samples, trained
from flatproof.verify.deep.data import picked
from flatproof.verify.realdata.samples import Images
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


def test_a_smaller_side_averages_pixels_and_a_larger_one_is_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written from the pixels: means of squares or between neighbours, normalized by training images' moments; others prepared alike."""
    pixels = np.random.default_rng(0).integers(0, 256, (42, 3, 32, 32)).astype(np.uint8)
    parts = {"train": pixels[:30], "test": pixels[30:]}

    def load(name: str, split: str, limit: int | None) -> Images:
        x = parts[split][:limit]
        moments = ((0.5,) * 3, (0.25,) * 3)
        return Images(name, split, x, np.zeros(len(x), int), tuple("0123456789"), *moments, "tiny", "here", {}, True)  # type: ignore[arg-type]

    monkeypatch.setattr(realdata, "load", load)
    monkeypatch.setattr(realdata, "edition_of", lambda *_: "tiny")
    small, whole = (samples(ImageData("cifar10", 30, 12, settings)) for settings in ({"side": 16}, {}))
    blocks = parts["train"].reshape(-1, 3, 16, 2, 16, 2).mean((3, 5)) / 255
    mean, std = blocks.mean((0, 2, 3), keepdims=True), blocks.std((0, 2, 3), keepdims=True)
    assert torch.allclose(small.train_x, torch.from_numpy((blocks - mean) / std).float(), atol=1e-4)
    expected = (parts["test"][:5].reshape(-1, 3, 16, 2, 16, 2).mean((3, 5)) / 255 - mean) / std
    assert torch.allclose(small.prepared(parts["test"][:5]), torch.from_numpy(expected).float(), atol=1e-4)
    for data in (small, whole):
        assert torch.allclose(data.prepared(parts["test"]), data.test_x, atol=1e-4)
        assert data.prepared(parts["test"]).stride() == data.test_x.stride()
    assert small.edition.endswith(", averaged to 16 x 16")
    large = samples(ImageData("cifar10", 30, 12, {"side": 64}))
    assert large.edition.endswith(", enlarged to 64 x 64")
    assert torch.allclose(large.prepared(parts["test"]), large.test_x, atol=1e-4)
    mean, std = large.mean.numpy().reshape(3, 1), large.std.numpy().reshape(3, 1)
    row = parts["train"][3, :, 0] / 255  # between neighbours at a quarter and three quarters; the edges stay
    between = np.stack([row[:, :-1] * 0.75 + row[:, 1:] * 0.25, row[:, :-1] * 0.25 + row[:, 1:] * 0.75], axis=2).reshape(3, -1)
    expected = (np.hstack([row[:, :1], between, row[:, -1:]]) - mean) / std
    assert torch.allclose(large.train_x[3, :, 0], torch.from_numpy(expected).float(), atol=1e-4)
    with pytest.raises(ValueError, match="synthetic images have no pixels"):
        samples(IMAGES).prepared(parts["test"])
