"""What is not there, arguments, and the real files where they were fetched."""

from pathlib import Path

import pytest

from flatproof.verify import realdata
from flatproof.verify.realdata.samples import NotAvailable


def test_data_that_are_not_there_say_what_would_fetch_them(tmp_path: Path) -> None:
    for name in realdata.NAMES:
        split = "test"
        with pytest.raises(NotAvailable) as raised:
            realdata.load(name, tmp_path, split)
        message = str(raised.value)
        assert "\n" not in message
        assert str(tmp_path) in message
        assert realdata.DATASETS[name].how in message
        assert not realdata.available(name, tmp_path, split)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "cifar-10"}, "data set must be one of mnist, .*, got 'cifar-10'"),
        ({"name": "mnist", "split": "val"}, "split must be train or test, got 'val'"),
        ({"name": "mnist", "limit": 0}, "limit must be a whole number of at least 1, got 0"),
        ({"name": "mnist", "limit": 2.5}, "limit must be a whole number of at least 1, got 2.5"),
        ({"name": "imagenet", "size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"name": "imagenet-sample"}, "imagenet-sample has no train split; expected test"),
    ],
)
def test_bad_arguments_are_named(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        realdata.load(root=tmp_path, **arguments)


def test_a_split_that_a_data_set_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="imagenet-sample has no train split; expected test"):
        realdata.available("imagenet-sample", tmp_path)


@pytest.mark.parametrize("name", [name for name, known in realdata.DATASETS.items() if known.recipe])
def test_what_was_fetched_is_what_everybody_knows(name: str) -> None:
    if not realdata.available(name, split="test"):
        pytest.skip(realdata.UNAVAILABLE)
    checked = realdata.check(name)
    assert [split.samples for split in checked] == {
        "cifar10": [50_000, 10_000],
        "imagenet-sample": [20],
        "paraphrase-minilm-l3": [3],
    }.get(name, [60_000, 10_000])
