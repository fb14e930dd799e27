"""What is the user's own in a training: arrays, a network, a loss. What counts for the address, and that the training is of them."""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flatproof.verify.deep import ImageData, Method, Net, Stop, Training, samples, trained
from flatproof.verify.deep.registry import own_code
from flatproof.verify.jobs.workspace import working_in

MODULE = """
import torch
from torch import nn

def network(width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.Tanh(), nn.Linear(width, 3))

def squared(scores, y):
    targets = y if y.ndim == 2 else nn.functional.one_hot(y, 3).to(scores.dtype)
    return (scores - targets).square().sum(1).mean()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_parts.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    own_code.cache_clear()
    yield tmp_path
    sys.modules.pop("own_parts", None)
    own_code.cache_clear()


def arrays(seed: int = 0, dtype: type = np.uint8) -> tuple[np.ndarray, ...]:
    stream = np.random.default_rng(seed)
    x = stream.integers(0, 256, (20, 3, 2, 2)).astype(dtype)
    return x[:12], stream.integers(0, 3, 12), x[12:], stream.integers(0, 3, 8)


def test_own_images_are_normalized_and_addressed_by_content() -> None:
    data = ImageData.from_arrays(*arrays())
    held = samples(data)
    x = arrays()[0].astype(np.float64) / 255
    expected = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    assert np.allclose(held.train_x.numpy(), expected, atol=1e-5)
    assert data == ImageData.from_arrays(*arrays())
    assert data != ImageData.from_arrays(*arrays(1))
    assert pickle.loads(pickle.dumps(data)) == data
    assert "arrays" not in data.plain()
    assert ImageData.from_arrays(*arrays(), side=1) != data
    assert samples(ImageData.from_arrays(*arrays(), side=1)).train_x.shape == (12, 3, 1, 1)
    floats = ImageData.from_arrays(*arrays(dtype=np.float32))
    assert np.array_equal(samples(floats).train_x.numpy(), arrays()[0].astype(np.float32))


def test_the_address_of_data_sets_stays() -> None:
    assert set(ImageData("synthetic").plain()) == {"name", "train", "test", "settings", "edition"}


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, np.zeros((12, 3, 2, 2), int), "train_x must be bytes or floating-point numbers, got int64"),
        (0, np.full((12, 3, 2, 2), np.nan), "train_x must be finite"),
        (0, np.zeros((12, 3, 3, 3), np.uint8), "test_x must be like train_x"),
        (1, np.zeros(11, int), "train_y must be 12 classes, whole numbers from 0, got int64 of"),
        (3, np.zeros(8), "test_y must be 8 classes, whole numbers from 0, got float64"),
        (3, np.full(8, -1), "test_y must be 8 classes"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(place: int, value: np.ndarray, words: str) -> None:
    given = list(arrays())
    given[place] = value
    with pytest.raises(ValueError, match=words):
        ImageData.from_arrays(*given)


def test_the_name_alone_is_no_data() -> None:
    with pytest.raises(ValueError, match=r"must come from ImageData.from_arrays"):
        ImageData("arrays")


def job(**method: object) -> Training:
    data = ImageData.from_arrays(*arrays(dtype=np.float32))
    chosen = Method(lr=1e-6, **method)  # type: ignore[arg-type]
    return Training(data, Net("own_parts:network"), chosen, Stop(1), batch_size=12, seed=1)


def test_a_training_of_ones_own_parts(own: Path) -> None:
    training = job(loss="own_parts:squared")
    with working_in(own / "files"):
        network, outcome = trained(training)
    x, y, test_x, test_y = (torch.from_numpy(array) for array in arrays(dtype=np.float32))
    with torch.no_grad():
        expected = (network(test_x) - F.one_hot(test_y, 3)).square().sum(1).mean()
    assert outcome["curve"]["test_loss"][-1] == pytest.approx(float(expected), rel=1e-5)
    with torch.no_grad():
        first = (network(x) - F.one_hot(y, 3)).square().sum(1).mean()
    assert outcome["curve"]["step_loss"][-1] == pytest.approx(float(first), rel=1e-3)  # its only step hardly moves


def test_mixup_gives_a_loss_of_ones_own_shares(own: Path) -> None:
    with working_in(own / "files"):
        _, outcome = trained(job(loss="own_parts:squared", mixup=0.5))
    assert outcome["status"] == "finished"


def test_the_code_of_ones_own_parts_is_in_the_address(own: Path) -> None:
    before, with_loss = job().key, job(loss="own_parts:squared").key
    assert before != with_loss
    for old, new, moved in (("nn.Tanh", "nn.ReLU", (True, False)), ("sum(1)", "mean(1)", (False, True))):
        change(own, MODULE.replace(old, new))
        assert ((job().key != before), own_code("own_parts:squared", "loss_code") != {}) == (moved[0], True)
        assert job(loss="own_parts:squared").key != with_loss
    change(own, MODULE + "# a comment\n")
    assert (job().key, job(loss="own_parts:squared").key) == (before, with_loss)


def change(folder: Path, text: str) -> ModuleType | None:
    (folder / "own_parts.py").write_text(text, encoding="utf-8")
    for cached in folder.glob("__pycache__/own_parts*"):
        cached.unlink()
    own_code.cache_clear()
    return sys.modules.pop("own_parts", None)


def test_a_loss_that_is_not_there_is_named(own: Path) -> None:
    with pytest.raises(ValueError, match="loss 'own_parts:absent' cannot be found"):
        job(loss="own_parts:absent").key  # noqa: B018
    with pytest.raises(ValueError, match="loss must be 'cross-entropy' or module:function, got 'hinge'"):
        Method(loss="hinge")
    with pytest.raises(ValueError, match="smoothing belongs to cross-entropy"):
        Method(loss="own_parts:squared", smoothing=0.1)
