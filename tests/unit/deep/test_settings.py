"""Settings: checked when they are made, and what their addresses tell apart."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flatproof.verify import realdata
from flatproof.verify.deep import ImageData, Method, Net, Stop, loop, samples, trained
from flatproof.verify.realdata.mnist import FASHION_MNIST
from tests.unit.deep.trainings import (
    DATA,
    DROPPING,
    NET,
    job,
    write_timit,
)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"batch_size": 33},
        {"method": Method(lr=0.06)},
        {"augment": ("flip",)},
        {"net": DROPPING},
        {"data": replace(DATA, train=131)},
    ],
    ids=str,
)
def test_every_setting_matters_and_has_an_address_of_its_own(change: dict[str, object]) -> None:
    training, other = job(), job(**change)
    assert training.key != other.key
    assert trained(training)[1]["curve"]["train_loss"] != trained(other)[1]["curve"]["train_loss"]


def test_equal_settings_have_equal_addresses() -> None:
    training = job(augment=("flip", "shift"), keep=(2, 0, 2), seed=np.int64(3))
    other = job(augment=("shift", "flip"), keep=(0, 2), net=Net(NET.build, dict(reversed(NET.settings.items()))))
    assert training.key == other.key
    assert training == other
    assert json.loads(json.dumps(training.settings())) == training.settings()


def test_settings_are_made_without_a_look_at_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    write_timit(tmp_path)
    looks, real = [], realdata.edition_of
    monkeypatch.setattr(realdata, "edition_of", lambda *arguments: (looks.append(arguments), real(*arguments))[1])
    with monkeypatch.context() as patched:
        for name in ("stat", "is_file", "is_dir", "open", "iterdir"):
            patched.setattr(Path, name, None)
        trainings = [job(data=ImageData(name, 50)) for name in ("timit", "cifar10", "imagenet")]
        assert not looks
    assert trainings[0].key != trainings[1].key
    assert looks == [("timit", 50, None), ("cifar10", 50, None)]
    assert trainings[0].data.edition == real("timit", 50)


def test_an_edition_stays_with_its_object_and_travels_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker process gets is what its parent had, whether or not the parent had asked for it before."""
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    write_timit(tmp_path)
    asked, unasked = ImageData("timit", 50), ImageData("timit", 50)
    first = asked.edition
    packed = pickle.dumps((asked, unasked))
    write_timit(tmp_path, seed=1)
    assert asked.edition == first != ImageData("timit", 50).edition == asked.edition_now()
    assert [data.edition for data in pickle.loads(packed)] == [first, first]
    assert pickle.loads(packed)[1] == asked != ImageData("timit", 50)
    assert asked.plain()["edition"] == first


def test_published_editions_have_addresses_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    seen = {ImageData("fashion-mnist").edition}
    for edition in reversed(FASHION_MNIST.editions):  # the first that is there is taken
        for file in (file for batches in edition.batches.values() for batch in batches for file in batch.files):
            (tmp_path / edition.folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / edition.folder / file.name).touch()
        seen.add(ImageData("fashion-mnist").edition)
    assert len(seen) == 1 + len(FASHION_MNIST.editions) > 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Method(lr=0), "lr must be a finite number above 0"),
        (lambda: Method("lbfgs"), "optimizer must be one of sgd, adam, got 'lbfgs'"),
        (lambda: Method("adam", momentum=0.9), "momentum belongs to sgd"),
        (lambda: Method(momentum=1.0), "momentum must be below 1"),
        (lambda: Method(rho=0.1, adversarial=0.1), "expected at most one above 0"),
        (lambda: Method(inner=3), "inner steps belong to proximal training"),
        (lambda: Stop(0), "epochs must be a whole number of at least 1"),
        (lambda: Stop(1, accuracy=99), "accuracy is a share"),
        (lambda: Stop(1, patience=0), "patience must be a whole number of at least 1"),
        (lambda: ImageData("cifar11"), "data must be one of synthetic, "),
        (lambda: ImageData("imagenet-sample"), "imagenet-sample has no train split; expected test"),
        (
            lambda: ImageData("mnist", settings={"noise": 1}),
            "of real images the one setting is side; expected no other for mnist",
        ),
        (lambda: samples(ImageData("synthetic", settings={"colour": 1})), "synthetic images have the settings"),
        (lambda: Net("vgg12"), "network must be one of fully-connected, .*, or be named module:function, got 'vgg12'"),
        (lambda: loop.build(Net("verify.models:vgg12"), 0), "network 'verify.models:vgg12' cannot be found"),
        (lambda: loop.build(Net("verify.model:vgg11"), 0), "network 'verify.model:vgg11' cannot be found"),
        (lambda: job(augment=("rotate",)), "augment must be one of shift, flip, randaugment, got 'rotate'"),
        (lambda: job(keep=(5,)), "keep must be a whole number of at most 4, got 5"),
        (lambda: job(device="tpu"), "device must be one of cpu, cuda"),
        (lambda: job(start=job(), start_epoch=1), r"start_epoch must be an epoch that `start` keeps, one of \(\), got 1"),
        (lambda: job(method="sgd"), "method must be a Method, got 'sgd'"),
        (lambda: trained(job(), 1), "epoch must be one that the training keeps"),
    ],
)
def test_bad_settings_are_named(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_settings_that_came_later_leave_addresses_as_they_were() -> None:
    plain = job().settings()["method"]
    assert not {"schedule", "mixup", "smoothing"} & set(plain)
    later = ({"schedule": "triangle"}, {"mixup": 0.2}, {"smoothing": 0.2}, {})
    assert len({job(method=Method(lr=0.05, **settings)).key for settings in later}) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": "square"}, "schedule must be one of constant, triangle"),
        ({"mixup": -1.0}, "mixup must be"),
        ({"smoothing": -0.1}, "smoothing must be"),
        ({"smoothing": 1.0}, "smoothing must be below 1, got 1"),
    ],
)
def test_a_schedule_mixup_or_smoothing_that_is_none_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Method(**settings)  # type: ignore[arg-type]
