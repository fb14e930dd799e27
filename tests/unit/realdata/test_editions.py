"""Editions: what is asked for is noted, and what is assumed counts whatever is on this machine."""

import pickle
from pathlib import Path

import pytest

from flatproof.verify.deep import ImageData
from flatproof.verify.realdata import ABSENT, assuming_editions, edition_of, noting_editions


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageData:
    monkeypatch.setenv("FLATPROOF_DATA", str(tmp_path))
    return ImageData("cifar10", 10, 5)


def test_what_is_assumed_counts_within_the_block_alone(nowhere: ImageData) -> None:
    assert not nowhere.available()
    with noting_editions() as noted:
        here = nowhere.plain()
        assert not nowhere.available()
    assert noted == {"cifar10, 10 and 5 images": ABSENT, "cifar10, files": ABSENT}
    assumed = {"cifar10, 10 and 5 images": "abc", "cifar10, files": "there"}
    with assuming_editions(assumed), noting_editions() as noted:
        assert nowhere.available()
        assert nowhere.plain() == here | {"edition": "abc"}
        assert ImageData("cifar10", 10, 6).edition == ABSENT  # of others as found
    assert noted == assumed | {"cifar10, 10 and 6 images": ABSENT}
    assert nowhere.plain() == here
    assert not nowhere.available()


def test_a_worker_has_its_parent_s_edition(nowhere: ImageData) -> None:
    with assuming_editions({"cifar10, 10 and 5 images": "abc"}):
        sent = pickle.dumps(nowhere)
    assert pickle.loads(sent).edition == "abc"
    assert edition_of("cifar10", 10, 5) == ABSENT
