"""Loaders on tiny files in the true formats: what they hold is what is read, and altered files are found."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatproof.verify.realdata.files import digest
from flatproof.verify.realdata.known_files import Facts, compare
from flatproof.verify.realdata.samples import Damaged, Incomplete, NotAvailable
from tests.unit.realdata.changes import CHANGES, positions
from tests.unit.realdata.tiny import KINDS, N, Tiny, same


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_a_format_holds_is_what_is_read(tiny: Tiny, split: str) -> None:
    images = tiny.load(split)
    assert same(images, tiny)
    assert (images.x.dtype, images.y.dtype, len(images)) == (np.uint8, np.int64, N)
    assert (images.coarse is not None) == tiny.kind.endswith("100")
    assert images.verified
    assert set(images.checksums) == {file.name for batch in tiny.edition.batches[split] for file in batch.files}
    few = tiny.load(split, limit=3)
    assert np.array_equal(few.x, images.x[:3])
    assert few.y.tolist() == images.y[:3].tolist()


with_checksums = pytest.mark.parametrize("checksums", [True, False], ids=["checksums", "format alone"])


def mistakes(tiny: Tiny, checksums: bool) -> list[str]:
    """What is silently wrong. With checksums: anything but the exact data or an error. Without: a wrong shape, count or range."""
    wrong: dict[str, bool] = {}
    for split in ("train", "test"):
        try:
            images = tiny.load(split, verify_checksums=checksums)
        except (Damaged, NotAvailable):
            continue
        wrong[f"{split}: other data"] = checksums and not same(images, tiny)
        wrong[f"{split}: images"] = images.x.shape != (N, *tiny.shape) or images.x.dtype != np.uint8
        wrong[f"{split}: number of labels"] = images.y.shape != (N,)
        wrong[f"{split}: labels"] = images.y.min() < 0 or images.y.max() >= len(images.classes)
        if images.coarse is not None:
            wrong[f"{split}: coarse labels"] = images.coarse.shape != (N,) or images.coarse.max() >= 20
    return [name for name, holds in wrong.items() if holds]


@with_checksums
@given(which=st.integers(0, 99), change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255))
def test_an_altered_file_is_never_silently_wrong(
    tiny: Tiny, checksums: bool, which: int, change: Callable[[bytes, int, int], bytes], at: int, amount: int
) -> None:
    path = tiny.paths()[which % len(tiny.paths())]
    data = path.read_bytes()
    try:
        path.write_bytes(change(data, at, amount))
        assert not mistakes(tiny, checksums)
    finally:
        path.write_bytes(data)


@with_checksums
@given(pair=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_exchanged_files_are_never_silently_wrong(tiny: Tiny, checksums: bool, pair: tuple[int, int]) -> None:
    first, second = (tiny.paths()[i % len(tiny.paths())] for i in pair)
    kept = first.read_bytes(), second.read_bytes()
    try:
        first.write_bytes(kept[1])
        second.write_bytes(kept[0])
        assert not mistakes(tiny, checksums)
    finally:
        first.write_bytes(kept[0])
        second.write_bytes(kept[1])


@given(change=st.sampled_from(CHANGES), at=positions, amount=st.integers(0, 255), which=st.integers(0, 3))
def test_an_altered_gzip_file_is_never_silently_wrong(
    tmp_path_factory: pytest.TempPathFactory, change: Callable[[bytes, int, int], bytes], at: int, amount: int, which: int
) -> None:
    tiny = Tiny("idx", tmp_path_factory.getbasetemp() / "gz")
    for path in tiny.paths():
        if path.suffix != ".gz":
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
    path = tiny.paths()[which]
    path.write_bytes(change(path.read_bytes(), at, amount))
    assert not mistakes(tiny, True)


def test_gzip_files_stand_in_for_plain_ones(tmp_path: Path) -> None:
    tiny = Tiny("idx", tmp_path)
    for path in tiny.paths():
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(tiny.load("train"), tiny)
    (tmp_path / "idx" / "train-images.gz").write_bytes(gzip.compress(bytes(10**7)))  # decompresses to more than it may hold
    with pytest.raises(Damaged, match=r"holds more than 3152 bytes, expected 3152"):
        tiny.load("train")


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("idx", lambda data: data[:-1], "holds 3151 bytes, expected 3152: it was cut short or added to"),
        ("binary10", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "was altered: its checksum is sha256:"),
    ],
)
def test_errors_name_the_file_and_what_was_expected(
    tmp_path: Path, kind: str, change: Callable[[bytes], bytes], words: str
) -> None:
    tiny = Tiny(kind, tmp_path)
    path = next(p for p in tiny.paths() if p.name in ("train-images", "train.bin"))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Damaged, match=words) as raised:
        tiny.load()
    assert str(path) in str(raised.value)


def test_a_file_cut_between_samples_is_refused_without_checksums(tmp_path: Path) -> None:
    tiny = Tiny("binary100", tmp_path)
    path = tmp_path / "binary100" / "test.bin"
    path.write_bytes(path.read_bytes()[: 3 * 3074])
    with pytest.raises(Damaged, match=r"test.bin holds 3 samples of shape .*, expected 4 of"):
        tiny.load("test", verify_checksums=False)


def test_a_label_out_of_range_is_refused_without_checksums(tmp_path: Path) -> None:
    tiny = Tiny("binary10", tmp_path)
    path = tmp_path / "binary10" / "train.bin"
    data = bytearray(path.read_bytes())
    data[2 * 3073] = 10
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"label of sample 2 must be from 0 to 9, got 10"):
        tiny.load(verify_checksums=False)
    data[2 * 3073] = 9
    path.write_bytes(data)
    images = tiny.load(verify_checksums=False)  # changed labels are what this switch is for
    assert images.y[2] == 9
    assert not images.verified
    assert images.checksums["train.bin"] == digest(bytes(data))


def test_a_split_with_a_file_lacking_is_incomplete(tmp_path: Path) -> None:
    tiny = Tiny("idx", tmp_path)
    (tmp_path / "idx" / "train-labels").unlink()
    with pytest.raises(Incomplete, match=r"tiny, train: .*idx lacks train-labels; get it"):
        tiny.load("train")
    assert same(tiny.load("test"), tiny)


def test_a_limit_beyond_what_there_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="limit must be at most the 4 samples that there are, got 5"):
        Tiny("binary10", tmp_path).load(limit=5)


def test_facts_that_do_not_hold_are_found(tmp_path: Path) -> None:
    images = Tiny("binary10", tmp_path).load()
    counts = tuple(np.bincount(images.y, minlength=10).tolist())
    values = images.x.transpose(1, 0, 2, 3).reshape(3, -1) / 255
    facts = Facts(tuple(images.y[:2].tolist()), counts, tuple(values.mean(axis=1)), tuple(values.std(axis=1)))
    compare(images, facts)
    for wrong, words in (
        (replace(facts, counts=(N,) + (0,) * 9), "samples a class must be"),
        (replace(facts, first_labels=((images.y[0] + 1) % 10,)), "the first labels must be"),
        (replace(facts, mean=(0.9, *facts.mean[1:])), "the mean a channel must be"),
        (replace(facts, std=(0.9, *facts.std[1:])), "the deviation a channel must be"),
    ):
        with pytest.raises(Damaged, match=words):
            compare(images, wrong)
